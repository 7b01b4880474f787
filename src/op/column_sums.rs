//! Rows of int8 codes added up, on the device.

use super::{Step, check};
use crate::Result;
use crate::device::{Device, Launch, Matrix, Region, Stream, ViewMut};
use crate::manifest::Entry;
use crate::plan::column_sums::{self as plan, ColumnSumsPlan};

/// Adds up each row of int8 codes `[N, K]`: what [`Gemm`](super::Gemm) takes as `column_sums` where the other operand
/// has zero points. Exact in s32.
#[derive(Clone, Debug)]
pub struct ColumnSums {
    device: Device,
}

impl ColumnSums {
    /// The operation on one device; loads its kernel.
    ///
    /// # Errors
    /// No kernel serves the device, or its module cannot be loaded.
    pub fn new(device: &Device) -> Result<ColumnSums> {
        device.load(Entry::ColumnSumsS8)?;
        Ok(ColumnSums { device: device.clone() })
    }

    /// The plan for codes of `rows` rows (N) and `cols` columns (K).
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan(&self, rows: usize, cols: usize) -> Result<ColumnSumsPlan> {
        plan::plan(rows, cols, self.device.facts())
    }

    /// Does the planned work on a stream: codes `[N, K]` with any leading dimension and alignment, `sums` of N
    /// elements. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// A plan of another device or shape; sums of another number, or that overlap the codes; operands or a stream
    /// of another device; an error of the device.
    pub fn run(
        &self,
        plan: &ColumnSumsPlan,
        stream: &Stream,
        codes: Matrix<'_, i8>,
        sums: ViewMut<'_, i32>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, codes, sums, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn launches(
        &self,
        plan: &ColumnSumsPlan,
        codes: Matrix<'_, i8>,
        sums: ViewMut<'_, i32>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        let (rows, cols) = (plan.rows(), plan.cols());
        check::shape("the matrix of codes", [codes.rows(), codes.cols()], "[N, K]", [rows, cols])?;
        check::length("the array of sums", sums.len(), "N", rows)?;
        check::device(&self.device, "the codes", &codes)?;
        check::device(&self.device, "the sums", &sums)?;
        check::apart(("the array of sums", sums.span()), &[("the matrix of codes", codes.span())])?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        let ld = codes.ld() as i64;
        let mut launch = Launch::new(geometry);
        launch.ptr(codes).ptr_mut(sums).i64(ld).u32(rows as u32).u32(cols as u32);
        each(Step::Launch(launch.finish()?))
    }
}

//! 8-bit codes turned, on the device.

use super::{CodeElement, Step, check};
use crate::Result;
use crate::device::{Device, Launch, Matrix, MatrixMut, Region, Stream};
use crate::manifest::Entry;
use crate::plan::transpose_bytes::{self as plan, TransposeBytesPlan};

/// Turns 8-bit codes `[K, N]`, with K down their rows, into `[N, K]` with padded rows, as products take them. Exact.
#[derive(Clone, Debug)]
pub struct TransposeBytes {
    device: Device,
}

impl TransposeBytes {
    /// The operation on one device; loads its kernel.
    ///
    /// # Errors
    /// No kernel serves the device, or its module cannot be loaded.
    pub fn new(device: &Device) -> Result<TransposeBytes> {
        device.load(Entry::TransposeBytesB8)?;
        Ok(TransposeBytes { device: device.clone() })
    }

    /// The plan for an input of `rows` rows (K) and `cols` columns (N).
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan(&self, rows: usize, cols: usize) -> Result<TransposeBytesPlan> {
        plan::plan(rows, cols, self.device.facts())
    }

    /// Does the planned work on a stream: `x` is `[K, N]` with any leading dimension and alignment; `out` has N rows of
    /// `ld` bytes, a multiple of 16, at least K, all of it written (what lies beyond K with zeros), aligned to 16
    /// bytes. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// A plan of another device or shape; an output that is not as said or overlaps `x`; operands or a stream of
    /// another device; an error of the device.
    pub fn run<C: CodeElement>(
        &self,
        plan: &TransposeBytesPlan,
        stream: &Stream,
        x: Matrix<'_, C>,
        out: MatrixMut<'_, C>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, x, out, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn launches<C: CodeElement>(
        &self,
        plan: &TransposeBytesPlan,
        x: Matrix<'_, C>,
        out: MatrixMut<'_, C>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        let (rows, cols) = (plan.rows(), plan.cols());
        check::shape("x", [x.rows(), x.cols()], "[K, N]", [rows, cols])?;
        check::codes_out(&out, cols, rows)?;
        check::device(&self.device, "x", &x)?;
        check::device(&self.device, "the codes", &out)?;
        check::apart(("the matrix of codes", out.span()), &[("x", x.span())])?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        let (ldx, ldd) = (x.ld() as i64, out.ld() as i64);
        let mut launch = Launch::new(geometry);
        launch.ptr(x).ptr_mut(out.into_view()).i64(ldx).i64(ldd).u32(rows as u32).u32(cols as u32);
        each(Step::Launch(launch.finish()?))
    }
}

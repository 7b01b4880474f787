//! Rows of floats to int8 codes and one scale a row, on the device.

use super::{InputElement, Step, check};
use crate::device::{Device, Launch, Matrix, MatrixMut, Region, Status, Stream, ViewMut};
use crate::plan::quantize_rows::{self as plan, Input, QuantizeRowsPlan, QuantizeRowsProblem};
use crate::{Error, Result};

/// Quantizes the rows of a matrix: `scale = absmax / 127`, `code = clamp(rne(x / scale), ±127)`.
///
/// Codes and scales are bit for bit those of [`quantize_row`](crate::format::int8::quantize_row) under every
/// plan. A row with a NaN or an infinity gets scale NaN and zero codes, and raises
/// [`nonfinite_input`](crate::device::StatusFlags::nonfinite_input).
#[derive(Clone, Debug)]
pub struct QuantizeRows {
    device: Device,
}

/// What one run works on.
pub struct QuantizeRowsArgs<'a, T> {
    /// Input `[rows, cols]`, with any leading dimension.
    pub x: Matrix<'a, T>,
    /// Output codes, `rows` rows of `ld` bytes: a multiple of 16, at least `cols`, and all of it written (what
    /// lies beyond `cols` with zeros). Aligned to 16 bytes.
    pub codes: MatrixMut<'a, i8>,
    /// Output scales, one a row.
    pub scales: ViewMut<'a, f32>,
    /// Where a non-finite input is told.
    pub status: Option<&'a mut Status>,
}

impl QuantizeRows {
    /// The operation on one device; loads its kernels.
    ///
    /// # Errors
    /// No kernel serves the device, or its module cannot be loaded.
    pub fn new(device: &Device) -> Result<QuantizeRows> {
        for input in [Input::F32, Input::F16, Input::Bf16] {
            device.load(input.entry())?;
        }
        Ok(QuantizeRows { device: device.clone() })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan for a matrix of `T`.
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan<T: InputElement>(&self, rows: usize, cols: usize) -> Result<QuantizeRowsPlan> {
        plan::plan(&QuantizeRowsProblem { rows, cols, input: T::INPUT }, self.device.facts())
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: InputElement>(
        &self,
        plan: &QuantizeRowsPlan,
        stream: &Stream,
        args: QuantizeRowsArgs<'_, T>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Shapes, types or a device that are not the plan's; a leading dimension of the codes that is no multiple of
    /// 16, not their width, or beyond an i32; codes not aligned to 16 bytes; an output that overlaps another operand.
    pub fn launches<T: InputElement>(
        &self,
        plan: &QuantizeRowsPlan,
        args: QuantizeRowsArgs<'_, T>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(plan, &args)?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        let QuantizeRowsProblem { rows, cols, .. } = *plan.problem();
        let QuantizeRowsArgs { x, codes, scales, status } = args;
        let (ldx, ldc) = (x.ld() as i64, codes.ld() as i64);
        let mut launch = Launch::new(geometry);
        launch.ptr(x).ptr_mut(codes.into_view()).ptr_mut(scales).null().null();
        match status {
            Some(status) => launch.ptr_mut(status.word_mut()),
            None => launch.null(),
        };
        // The plan checked that both dimensions fit an i32.
        launch.i64(ldx).i64(ldc).u32(rows as u32).u32(cols as u32).u32(plan.cached().into());
        each(Step::Launch(launch.finish()?))
    }

    fn check<T: InputElement>(&self, plan: &QuantizeRowsPlan, args: &QuantizeRowsArgs<'_, T>) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        let QuantizeRowsProblem { rows, cols, input } = *plan.problem();
        if input != T::INPUT {
            return Err(Error::Shape(format!("the plan is for {input}, but x holds {}", T::INPUT)));
        }
        let QuantizeRowsArgs { x, codes, scales, status } = args;
        check::shape("x", [x.rows(), x.cols()], "[rows, columns]", [rows, cols])?;
        check::codes_out(codes, rows, cols)?;
        check::length("the array of scales", scales.len(), "the number of rows", rows)?;
        check::device(&self.device, "x", x)?;
        check::device(&self.device, "the codes", codes)?;
        check::device(&self.device, "the scales", scales)?;
        let mut word = ("x", x.span());
        if let Some(status) = status {
            check::same_device(&self.device, "the status", status.device())?;
            word = ("the status", status.word().span());
        }
        check::apart(("the matrix of codes", codes.span()), &[("x", x.span()), ("the scales", scales.span()), word])?;
        check::apart(("the array of scales", scales.span()), &[("x", x.span()), word])
    }
}

//! A linear layer with int8 weights that live on a device.

use super::{GemmS8, GemmS8Args, InputElement, OutputElement, QuantizeRows, QuantizeRowsArgs, Step, check};
use crate::device::{Buffer, Device, Matrix, MatrixMut, Region, Status, Stream, ViewMut};
use crate::format::int8::Int8Matrix;
use crate::plan::gemm_s8::SCRATCH_ALIGN;
use crate::plan::linear::{self as plan, LinearPlan, LinearProblem};
use crate::{Error, Result};

/// `out[m, n] = Σ_k x[m, k] · w[n, k] + bias[n]` with int8 weights and activations that are quantized on the way.
///
/// Each row of `x` is quantized by the rule of [`format::int8`](crate::format::int8), multiplied exactly, and scaled
/// back; the output is bit for bit that of [`reference::exact::linear`](crate::reference::exact::linear) under every
/// plan, on every device. A row of `x` with a NaN or an infinity becomes a row of NaN.
///
/// ```
/// # #[cfg(feature = "emulator")] {
/// use halfbyte::device::Device;
/// use halfbyte::emulator::Arch;
/// use halfbyte::format::int8::Int8Matrix;
/// use halfbyte::op::Linear;
///
/// let stream = Device::emulator(Arch::Sm80).stream()?;
/// let weights = Int8Matrix::quantize(&[1.0f32, 0.0, 0.0, 0.0, 2.0, 0.0], 2, 3)?; // N = 2, K = 3
/// let linear = Linear::new(&stream, &weights, Some(&[0.5, 0.0]))?;
/// let out = linear.forward(&stream, &[1.0f32, 0.0, 127.0])?; // one row
/// assert!((out[0] - 1.5).abs() < 1e-5 && out[1] == 0.0);
/// # }
/// # Ok::<(), halfbyte::Error>(())
/// ```
///
/// [`forward`](Self::forward) is the form for everybody. A runtime keeps a scratch buffer of
/// [`scratch_bound`](Self::scratch_bound) bytes and calls [`plan`](Self::plan) and [`run`](Self::run), which neither
/// allocate nor wait.
#[derive(Debug)]
pub struct Linear {
    quantize: QuantizeRows,
    gemm: GemmS8,
    codes: Buffer<i8>,
    scales: Buffer<f32>,
    bias: Option<Buffer<f32>>,
    n: usize,
    k: usize,
    ld: usize,
}

/// What one run works on.
pub struct LinearArgs<'a, T, O> {
    /// Input `[M, K]`, with any leading dimension.
    pub x: Matrix<'a, T>,
    /// Output `[M, N]`, with any leading dimension.
    pub out: MatrixMut<'a, O>,
    /// At least [`LinearPlan::scratch_bytes`], aligned to [`SCRATCH_ALIGN`]. Contents do not matter and are lost. One
    /// buffer serves one run at a time.
    pub scratch: ViewMut<'a, u8>,
    /// Where a non-finite input is told.
    pub status: Option<&'a mut Status>,
}

impl Linear {
    /// Puts weights `[N, K]` and an optional bias `[N]` on the device of a stream. Waits for the copies.
    ///
    /// # Errors
    /// A bias of another length or with a NaN or an infinity; K beyond the exact range of
    /// [`gemm_s8`](crate::plan::gemm_s8); no memory; a device that no kernel serves.
    pub fn new(stream: &Stream, weights: &Int8Matrix, bias: Option<&[f32]>) -> Result<Linear> {
        if let Some(bias) = bias {
            check::length("the bias", bias.len(), "N", weights.rows())?;
            if let Some(at) = bias.iter().position(|b| !b.is_finite()) {
                return Err(Error::Value(format!("the bias of column {at} is {}; it must be finite", bias[at])));
            }
        }
        let codes = stream.upload(weights.codes())?;
        let scales = stream.upload(weights.scales())?;
        let bias = bias.map(|bias| stream.upload(bias)).transpose()?;
        Linear::from_buffers(codes, [weights.rows(), weights.cols()], weights.ld(), scales, bias)
    }

    /// Takes over weights that are on a device already: codes `[N, K]` with row stride `ld`, a scale a row, an optional
    /// bias. `shape` is `[N, K]`. Values are taken as they are.
    ///
    /// # Errors
    /// Buffers too short or of several devices; `ld` below K or no multiple of 16; K beyond the exact range; a device
    /// that no kernel serves.
    pub fn from_buffers(
        codes: Buffer<i8>,
        shape: [usize; 2],
        ld: usize,
        scales: Buffer<f32>,
        bias: Option<Buffer<f32>>,
    ) -> Result<Linear> {
        let [n, k] = shape;
        let device = codes.device().clone();
        codes.view().matrix(n, k, ld)?;
        check::codes_stride("the weights", ld)?;
        check::aligned("the weights", &codes.span(), check::CODES_ALIGN)?;
        check::length("the array of weight scales", scales.len(), "N", n)?;
        check::device(&device, "the weight scales", &scales)?;
        if let Some(bias) = &bias {
            check::length("the bias", bias.len(), "N", n)?;
            check::device(&device, "the bias", bias)?;
        }
        let (quantize, gemm) = (QuantizeRows::new(&device)?, GemmS8::new(&device)?);
        let linear = Linear { quantize, gemm, codes, scales, bias, n, k, ld };
        linear.plan::<f32, f32>(1)?;
        Ok(linear)
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        self.gemm.device()
    }

    /// Columns of the output: N.
    pub fn out_features(&self) -> usize {
        self.n
    }

    /// Columns of the input: K.
    pub fn in_features(&self) -> usize {
        self.k
    }

    /// The weights, copied back, as to save them. Waits for the copies.
    ///
    /// # Errors
    /// A stream of another device, or an error of the device; [`Error::Value`] for weights from
    /// [`from_buffers`](Self::from_buffers) whose scales are not finite.
    pub fn weights(&self, stream: &Stream) -> Result<Int8Matrix> {
        let padded = stream.download(&self.codes)?;
        // The buffer was checked to hold the last row; without columns it need not, whatever the leading dimension.
        let rows = if self.k == 0 { 0 } else { self.n };
        let rows = (0..rows).filter_map(|row| padded.get(row * self.ld..row * self.ld + self.k));
        let codes: Vec<i8> = rows.flatten().copied().collect();
        Int8Matrix::from_contiguous(self.n, self.k, &codes, stream.download(&self.scales)?)
    }

    /// The bias, copied back. Waits for the copy.
    ///
    /// # Errors
    /// A stream of another device, or an error of the device.
    pub fn bias(&self, stream: &Stream) -> Result<Option<Vec<f32>>> {
        self.bias.as_ref().map(|bias| stream.download(bias)).transpose()
    }

    /// The whole road for data on the host: rows of K floats in, rows of N out, in the same type.
    ///
    /// # Errors
    /// A length that is no multiple of K; no memory; a stream of another device; an error of the device.
    pub fn forward<T: InputElement + OutputElement>(&self, stream: &Stream, x: &[T]) -> Result<Vec<T>> {
        let rows = x.len().checked_div(self.k).unwrap_or(0);
        if rows.checked_mul(self.k) != Some(x.len()) {
            return Err(Error::Shape(format!("{} inputs are not rows of K = {}", x.len(), self.k)));
        }
        let x = stream.upload(x)?;
        let out = self.forward_on_device::<T, T>(stream, x.view().matrix(rows, self.k, self.k)?)?;
        stream.download(&out)
    }

    /// The same for a matrix on the device, into a new buffer `[M, N]`. Allocates, and does not wait.
    ///
    /// # Errors
    /// As [`plan`](Self::plan) and [`run`](Self::run), and no memory.
    pub fn forward_on_device<T: InputElement, O: OutputElement>(
        &self,
        stream: &Stream,
        x: Matrix<'_, T>,
    ) -> Result<Buffer<O>> {
        let plan = self.plan::<T, O>(x.rows())?;
        // The plan checked that the output fits the address space.
        let mut out = stream.alloc::<O>(x.rows() * self.n)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let args = LinearArgs {
            x,
            out: out.view_mut().matrix(x.rows(), self.n, self.n)?,
            scratch: scratch.view_mut(),
            status: None,
        };
        self.run(&plan, stream, args)?;
        Ok(out)
    }

    /// The plan for `rows` rows of `T`, written as `O`.
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan<T: InputElement, O: OutputElement>(&self, rows: usize) -> Result<LinearPlan> {
        plan::plan(&self.problem::<T, O>(rows), self.device().facts())
    }

    /// Scratch bytes that cover every plan of at most `rows` rows.
    ///
    /// # Errors
    /// As [`plan::scratch_bound`].
    pub fn scratch_bound(&self, rows: usize) -> Result<usize> {
        plan::scratch_bound(&self.problem::<f32, f32>(rows), self.device().facts())
    }

    fn problem<T: InputElement, O: OutputElement>(&self, rows: usize) -> LinearProblem {
        LinearProblem { m: rows, n: self.n, k: self.k, input: T::INPUT, out: O::OUTPUT }
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait; may be captured in a graph.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: InputElement, O: OutputElement>(
        &self,
        plan: &LinearPlan,
        stream: &Stream,
        args: LinearArgs<'_, T, O>,
    ) -> Result<()> {
        check::same_device(self.device(), "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// A plan for another problem or another device; shapes or types that are not the plan's; operands of another
    /// device; too little or misaligned scratch; an output or scratch that overlaps another operand. All of this is
    /// known before the first step.
    pub fn launches<T: InputElement, O: OutputElement>(
        &self,
        plan: &LinearPlan,
        args: LinearArgs<'_, T, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(plan, &args)?;
        if plan.problem().is_empty() {
            return Ok(());
        }
        let LinearArgs { x, out, scratch, status } = args;
        let (rows, ld) = (x.rows(), plan.codes_ld());
        let (codes, rest) = scratch.split_at(plan.scales().start)?;
        let (scales, rest) = rest.split_at(plan.gemm_scratch().start - plan.scales().start)?;
        let mut codes = codes.slice(plan.codes())?.cast::<i8>()?;
        let mut scales = scales.slice(..plan.scales().len())?.cast::<f32>()?;

        let quantize =
            QuantizeRowsArgs { x, codes: codes.reborrow().matrix(rows, ld, ld)?, scales: scales.reborrow(), status };
        self.quantize.launches(plan.quantize(), quantize, &mut each)?;
        let gemm = GemmS8Args {
            a: codes.as_view().matrix(rows, self.k, ld)?,
            b: self.codes.view().matrix(self.n, self.k, self.ld)?,
            scale_row: Some(scales.as_view()),
            scale_col: Some(self.scales.view()),
            bias: self.bias.as_ref().map(Buffer::view),
            d: out,
            scratch: Some(rest),
        };
        self.gemm.launches(plan.gemm(), gemm, &mut each)
    }

    fn check<T: InputElement, O: OutputElement>(&self, plan: &LinearPlan, args: &LinearArgs<'_, T, O>) -> Result<()> {
        check::plan_facts(plan.quantize().facts(), self.device())?;
        let LinearArgs { x, out, scratch, status } = args;
        let (want, have) = (plan.problem(), self.problem::<T, O>(x.rows()));
        if *want != have {
            return Err(Error::Shape(format!("the plan is for {want}, but this is {have}")));
        }
        check::shape("x", [x.rows(), x.cols()], "[M, K]", [want.m, want.k])?;
        check::shape("the output", [out.rows(), out.cols()], "[M, N]", [want.m, want.n])?;
        check::device(self.device(), "x", x)?;
        check::device(self.device(), "the output", out)?;
        check::device(self.device(), "the scratch", scratch)?;
        let mut inputs = [
            ("x", x.span()),
            ("the weights", self.codes.span()),
            ("the weight scales", self.scales.span()),
            ("the bias", self.bias.as_ref().map_or(self.scales.span(), Region::span)),
            ("x", x.span()),
        ];
        if let Some(status) = status {
            check::same_device(self.device(), "the status", status.device())?;
            inputs[4] = ("the status", status.word().span());
        }
        let (have, need) = (scratch.len(), plan.scratch_bytes());
        if have < need {
            return Err(Error::TooShort { what: "the scratch", have, need, unit: "bytes" });
        }
        check::aligned("the scratch", &scratch.span(), SCRATCH_ALIGN as u64)?;
        check::apart(("the output", out.span()), &inputs)?;
        check::apart(("the scratch", scratch.span()), &inputs)?;
        check::apart(("the output", out.span()), &[("the scratch", scratch.span())])
    }
}

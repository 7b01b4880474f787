//! Partial results of attention joined, on the device.

use super::strided::{Operands, Rows};
use super::{InputElement, OutputElement, Step, check};
use crate::device::{Device, Element, Launch, Stream, View, ViewMut};
use crate::format::DType;
use crate::manifest::Entry;
use crate::plan::merge::{self as plan, MergePlan, MergeProblem};
use crate::{Error, Result};

/// Joins partial results of attention: of a long sequence that was split, of a prefix that several sequences share, or
/// of the steps of a ring.
///
/// ```text
/// m = max lse[p]    out = Σ exp(lse[p] − m) · part[p] / Σ exp(lse[p] − m)    lse = m + ln Σ exp(lse[p] − m)
/// ```
///
/// A part with an lse of −∞ has seen no key: its numbers are not read and may be anything. Where all are, the result is
/// 0 and −∞. An lse that is NaN or +∞ makes its row NaN. Parts are added in the order in which they are given, in f32,
/// so every plan and every layout gives the same bits.
///
/// Parts come of [`Attention`](super::Attention) with
/// [`wide_output`](crate::plan::attention::AttentionProblem::wide_output) and its log-sum-exps. It counts the place of
/// a query from the end of the keys it is given, so where `n` later keys are left to other parts, say `right: Some(n)`
/// for a causal mask (where `n` is the number of queries or more, none), and a window reaches back by `n` less. With
/// ALiBi such a part's log-sum-exps are `slope · n` too high. Kept first keys and sinks belong to one part.
///
#[cfg_attr(feature = "emulator", doc = "```")]
#[cfg_attr(not(feature = "emulator"), doc = "```ignore")]
/// use halfbyte::device::Device;
/// use halfbyte::emulator::Arch;
/// use halfbyte::format::DType;
/// use halfbyte::op::{Merge, MergeArgs};
/// use halfbyte::plan::merge::MergeProblem;
///
/// # fn main() -> halfbyte::Result<()> {
/// let device = Device::emulator(Arch::Sm80);
/// let stream = device.stream()?;
/// let op = Merge::new(&device)?;
/// let problem = MergeProblem { parts: 2, tokens: 1, heads: 1, value_dim: 4, dtype: DType::F32, out: DType::F32 };
/// let plan = op.plan(&problem)?;
/// let parts = stream.upload(&[1.0f32, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0])?; // [parts, tokens, heads, value_dim]
/// let lse = stream.upload(&[0.0f32, 3f32.ln()])?;                           // [parts, heads, tokens]
/// let mut out = stream.alloc::<f32>(4)?;
/// op.run(&plan, &stream, MergeArgs::new(&problem, parts.view(), lse.view(), out.view_mut()))?;
/// let out = stream.download(&out)?;
/// assert!(out.iter().all(|x| (x - 4.0).abs() < 1e-6), "1/4 of 1 and 3/4 of 5");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Merge {
    device: Device,
}

/// Outputs of the parts `[parts, tokens, heads, value_dim]`: number c of a row is at `part · p + token · t + head · h +
/// c`.
#[derive(Clone, Copy)]
pub struct Parts<'a, T> {
    /// From the first number of the first part on.
    pub view: View<'a, T>,
    /// Elements from a part to the next.
    pub part: usize,
    /// Elements from a token to the next.
    pub token: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

/// Log-sum-exps of the parts `[parts, heads, tokens]`, those of a head side by side.
#[derive(Clone, Copy)]
pub struct PartLse<'a> {
    /// From the first of the first part on.
    pub view: View<'a, f32>,
    /// Elements from a part to the next.
    pub part: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

/// The result `[tokens, heads, value_dim]`. What lies between its rows is not written.
pub struct Merged<'a, O> {
    /// From its first number on.
    pub view: ViewMut<'a, O>,
    /// Elements from a token to the next.
    pub token: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

/// Log-sum-exps of the result `[heads, tokens]`, those of a head side by side.
pub struct LseMut<'a> {
    /// From the first on.
    pub view: ViewMut<'a, f32>,
    /// Elements from a head to the next.
    pub head: usize,
}

/// What one run works on.
///
/// Several sequences are one row of tokens. Of `[batch, tokens, heads, value_dim]` batch · tokens are the tokens, and
/// `LogSumExp { batch: queries, head: batch * queries, .. }` makes the log-sum-exps to match; of
/// `[batch, heads, tokens, value_dim]` batch · heads are the heads. Else run once for each.
pub struct MergeArgs<'a, T, O> {
    /// Outputs of the parts. 16 bytes are read at once where the address, all strides, and value_dim are multiples of
    /// that, and those of `out` too.
    pub parts: Parts<'a, T>,
    /// Their log-sum-exps.
    pub lse: PartLse<'a>,
    /// The result.
    pub out: Merged<'a, O>,
    /// Its log-sum-exps, if they are wanted.
    pub lse_out: Option<LseMut<'a>>,
}

impl<'a, T, O> MergeArgs<'a, T, O> {
    /// Everything side by side: `[parts, tokens, heads, value_dim]`, `[parts, heads, tokens]` and `[tokens, heads,
    /// value_dim]`, and no log-sum-exps out.
    pub fn new(
        problem: &MergeProblem,
        parts: View<'a, T>,
        lse: View<'a, f32>,
        out: ViewMut<'a, O>,
    ) -> MergeArgs<'a, T, O> {
        let MergeProblem { tokens, heads, value_dim, .. } = *problem;
        // What overflows is refused by a plan.
        let token = heads.saturating_mul(value_dim);
        MergeArgs {
            parts: Parts { view: parts, part: token.saturating_mul(tokens), token, head: value_dim },
            lse: PartLse { view: lse, part: heads.saturating_mul(tokens), head: tokens },
            out: Merged { view: out, token, head: value_dim },
            lse_out: None,
        }
    }
}

/// A stride as kernels take it: of a single one it means nothing, and must not cost the wide loads.
fn step(count: usize, stride: usize) -> i64 {
    if count > 1 { stride as i64 } else { 0 }
}

impl Merge {
    /// The operation on one device; loads its kernels.
    ///
    /// # Errors
    /// No kernel serves the device, or its module cannot be loaded.
    pub fn new(device: &Device) -> Result<Merge> {
        for entry in [Entry::MergeF32, Entry::MergeF16, Entry::MergeBf16] {
            device.load(entry)?;
        }
        Ok(Merge { device: device.clone() })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of a problem.
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan(&self, problem: &MergeProblem) -> Result<MergePlan> {
        plan::plan(problem, self.device.facts())
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// A plan of another device or of other types; views shorter than the strides reach, rows of the result that share
    /// elements, a result that overlaps what is read; operands or a stream of another device; an error of the device.
    pub fn run<T: InputElement, O: OutputElement>(
        &self,
        plan: &MergePlan,
        stream: &Stream,
        args: MergeArgs<'_, T, O>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn launches<T: InputElement, O: OutputElement>(
        &self,
        plan: &MergePlan,
        args: MergeArgs<'_, T, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        let MergeProblem { parts: count, tokens, heads, value_dim: dv, dtype, out: to } = *plan.problem();
        for (what, have, want) in [("parts", <T as Element>::DTYPE, dtype), ("a result", <O as Element>::DTYPE, to)] {
            if have != want {
                return Err(Error::Shape(format!("the plan is for {what} of {want}, but {have} was given")));
            }
        }
        let MergeArgs { mut parts, mut lse, mut out, mut lse_out } = args;
        let mut operands = Operands::new(&self.device);
        let part = |stride| ("part", count, stride);
        let of_tokens = |stride| ("token", tokens, stride);
        let of_heads = |stride| ("head", heads, stride);
        let rows = Rows::new([part(parts.part), of_tokens(parts.token), of_heads(parts.head)], dv);
        parts.view = operands.read("the parts", parts.view, rows, size_of::<T>())?;
        let rows = Rows::new([part(lse.part), of_heads(lse.head), Rows::ONE], tokens);
        lse.view = operands.read("the lse of the parts", lse.view, rows, 4)?;
        let rows = Rows::new([of_tokens(out.token), of_heads(out.head), Rows::ONE], dv);
        out.view = operands.write("the result", out.view, rows, size_of::<O>())?;
        if let Some(mut of) = lse_out.take() {
            let rows = Rows::new([of_heads(of.head), Rows::ONE, Rows::ONE], tokens);
            of.view = operands.write("the lse of the result", of.view, rows, 4)?;
            lse_out = Some(of);
        }
        operands.apart()?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };

        let mut launch = Launch::new(geometry);
        launch.ptr(parts.view).ptr(lse.view).ptr_mut(out.view);
        let lse_out_head = match lse_out {
            None => {
                launch.null();
                0
            }
            Some(LseMut { view, head }) => {
                launch.ptr_mut(view);
                step(heads, head)
            }
        };
        launch.i64(step(count, parts.part)).i64(step(tokens, parts.token)).i64(step(heads, parts.head));
        launch.i64(step(count, lse.part)).i64(step(heads, lse.head));
        launch.i64(step(tokens, out.token)).i64(step(heads, out.head)).i64(lse_out_head);
        launch.u32(count as u32).u32(tokens as u32).u32(heads as u32).u32(dv as u32);
        launch.u32(u32::from(to == DType::F32));
        each(Step::Launch(launch.finish()?))
    }
}

//! Partial results of attention joined, on the device.

use super::{InputElement, OutputElement, Step, check};
use crate::device::{Device, Element, Launch, Region, Stream, View, ViewMut};
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
/// ```
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
/// Several sequences are one row of tokens: where they lie apart in memory, choose strides by head and token that reach
/// all (of `[batch, heads, tokens]`, batch · heads are the heads), or run once for each.
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

/// Elements from the first to the last of nested rows: (count, stride) each, the innermost run contiguous.
fn extent(what: &str, dims: &[(usize, usize)], run: usize, size: usize) -> Result<usize> {
    let mut all = Some(run);
    for &(count, stride) in dims {
        if count == 0 {
            return Ok(0);
        }
        all = all.and_then(|all| (count - 1).checked_mul(stride)?.checked_add(all));
    }
    all.filter(|&len| len <= isize::MAX as usize / size).ok_or_else(|| {
        let counts: Vec<_> =
            dims.iter().map(|(count, stride)| format!("{count} times {stride} elements apart")).collect();
        Error::Shape(format!("{what}: {run} elements, {} leave the address space", counts.join(", ")))
    })
}

/// The view of no more than it must hold.
fn enough<'a, T: Element>(what: &'static str, view: View<'a, T>, need: usize) -> Result<View<'a, T>> {
    match view.len() < need {
        true => Err(Error::TooShort { what, have: view.len(), need, unit: "elements" }),
        false => view.slice(..need),
    }
}

/// Likewise of one to write.
fn enough_mut<'a, T: Element>(what: &'static str, view: ViewMut<'a, T>, need: usize) -> Result<ViewMut<'a, T>> {
    match view.len() < need {
        true => Err(Error::TooShort { what, have: view.len(), need, unit: "elements" }),
        false => view.slice(..need),
    }
}

/// Rows that are written must not share an element: one dimension lies within the steps of the other.
fn distinct(what: &str, (tokens, token): (usize, usize), (heads, head): (usize, usize), run: usize) -> Result<()> {
    let within = |(count, inner): (usize, usize), (others, outer): (usize, usize)| {
        let one = (count - 1).saturating_mul(inner).saturating_add(run);
        (count == 1 || inner >= run) && (others == 1 || outer >= one)
    };
    if within((heads, head), (tokens, token)) || within((tokens, token), (heads, head)) {
        return Ok(());
    }
    Err(Error::Shape(format!(
        "rows of {what} share elements: {run} each, {tokens} tokens {token} apart and {heads} heads {head} apart"
    )))
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
        let MergeArgs { parts, lse, out, lse_out } = args;
        check::device(&self.device, "the parts", &parts.view)?;
        check::device(&self.device, "the lse of the parts", &lse.view)?;
        check::device(&self.device, "the result", &out.view)?;
        if let Some(lse_out) = &lse_out {
            check::device(&self.device, "the lse of the result", &lse_out.view)?;
        }
        let Some(&geometry) = plan.geometry() else { return Ok(()) };

        let dims = [(count, parts.part), (tokens, parts.token), (heads, parts.head)];
        let from = enough("the parts", parts.view, extent("the parts", &dims, dv, size_of::<T>())?)?;
        let of_lse = extent("the lse of the parts", &[(count, lse.part), (heads, lse.head)], tokens, 4)?;
        let from_lse = enough("the lse of the parts", lse.view, of_lse)?;
        distinct("the result", (tokens, out.token), (heads, out.head), dv)?;
        let dims = [(tokens, out.token), (heads, out.head)];
        let into = enough_mut("the result", out.view, extent("the result", &dims, dv, size_of::<O>())?)?;
        let inputs = [("the parts", from.span()), ("the lse of the parts", from_lse.span())];
        check::apart(("the result", into.span()), &inputs)?;
        let into_lse = match lse_out {
            None => None,
            Some(LseMut { view, head }) => {
                distinct("the lse of the result", (1, 0), (heads, head), tokens)?;
                let need = extent("the lse of the result", &[(heads, head)], tokens, 4)?;
                let view = enough_mut("the lse of the result", view, need)?;
                check::apart(("the lse of the result", view.span()), &inputs)?;
                check::apart(("the lse of the result", view.span()), &[("the result", into.span())])?;
                Some((view, head))
            }
        };

        let mut launch = Launch::new(geometry);
        launch.ptr(from).ptr(from_lse).ptr_mut(into);
        let lse_out_head = match into_lse {
            None => {
                launch.null();
                0
            }
            Some((view, head)) => {
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

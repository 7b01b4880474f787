//! Dense products on the device: every element, scale and direction that the kernels know.

mod args;
mod groups;
mod path;
mod tune;

use super::mma::Side;
use super::{OutputElement, Step, check};
use crate::device::{Device, Launch, Region, Stream};
use crate::format::DType;
use crate::plan::gemm::{self as plan, GemmPlan, GemmProblem, MAX_K_WITH_ZEROS, Operand, SCRATCH_ALIGN};
use crate::plan::gemm_s8::Output;
use crate::{Error, Result};

pub use args::{Addend, GemmArgs, GemmElement, Strided, StridedMut};
pub use groups::{GroupScales, SharedBy};
pub use path::{Copies, Path};

/// `d[m, n] = α · (Σ_k a[m, k] · b[n, k]) · scale_row[m] · scale_col[n] + β · c[m, n] + bias[n]`, alone or in batches.
///
/// The sum is exact in s32 for int8 operands, where `a[m, k]` may have a zero point:
/// `Σ_k (a[m, k] − zero_row[m]) · b[n, k]`. For floats it is made in f32 by the tensor cores, mma after mma from the
/// first K to the last; the same plan gives the same bits, and [`GemmProblem::batch_invariant`] the same bits for every
/// M. What follows the sum is rounded step by step as [`reference::exact::gemm`](crate::reference::exact::gemm) does.
///
/// Operands may start and be strided at any multiple of their element: where both allow copies of 16 bytes, those are
/// made ([`GemmArgs::path`] says whether, and what is in the way).
#[derive(Clone, Debug)]
pub struct Gemm {
    device: Device,
    a: Operand,
    b: Operand,
    grouped: bool,
}

impl Gemm {
    /// The products of two kinds of operands on one device; loads every kernel that a plan for them may name.
    ///
    /// # Errors
    /// No kernel serves the operands or the device, or a module cannot be loaded.
    pub fn new(device: &Device, a: Operand, b: Operand) -> Result<Gemm> {
        Gemm::load(device, a, b, false)
    }

    /// The same of products that are summed by groups of K:
    /// `d = α · (Σ_g (Σ_{k in g} a · b) · groups_a[m, g] · groups_b[n, g]) · …`. The inner sum is exact for int8. The
    /// outer one is f32 and goes from the first group to the last, `fma(inner, groups_a · groups_b, outer)`.
    ///
    /// # Errors
    /// As [`new`](Self::new); operands that are not of 8 bits.
    pub fn grouped(device: &Device, a: Operand, b: Operand) -> Result<Gemm> {
        Gemm::load(device, a, b, true)
    }

    fn load(device: &Device, a: Operand, b: Operand, grouped: bool) -> Result<Gemm> {
        for entry in plan::entries(a, b, grouped, device.facts())? {
            device.load(entry)?;
        }
        Ok(Gemm { device: device.clone(), a, b, grouped })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of least estimated time.
    ///
    /// # Errors
    /// As [`plan::plan`]; operands that are not this operation's.
    pub fn plan(&self, problem: &GemmProblem) -> Result<GemmPlan> {
        self.serves(problem)?;
        plan::plan(problem, self.device.facts())
    }

    /// Scratch bytes that cover every problem of at most these dimensions.
    ///
    /// # Errors
    /// As [`plan::scratch_bound`]; operands that are not this operation's.
    pub fn scratch_bound(&self, max: &GemmProblem) -> Result<usize> {
        self.serves(max)?;
        plan::scratch_bound(max, self.device.facts())
    }

    fn serves(&self, problem: &GemmProblem) -> Result<()> {
        if (problem.a, problem.b, problem.k_group.is_some()) == (self.a, self.b, self.grouped) {
            return Ok(());
        }
        let name = |a: &Operand, b: &Operand, grouped: bool| {
            let way = |o: &Operand| if o.k_down { " with K down the rows" } else { "" };
            let groups = if grouped { " by groups of K" } else { "" };
            format!("{}{} by {}{}{groups}", a.dtype, way(a), b.dtype, way(b))
        };
        let have = name(&problem.a, &problem.b, problem.k_group.is_some());
        let want = name(&self.a, &self.b, self.grouped);
        Err(Error::Unsupported(format!("the problem multiplies {have}, but the operation was made for {want}")))
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<A: GemmElement, B: GemmElement, O: OutputElement>(
        &self,
        plan: &GemmPlan,
        stream: &Stream,
        args: GemmArgs<'_, A, B, O>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Types, shapes or a device that are not the plan's; views too short for their strides; matrices of d that
    /// overlap; scales, a bias or an addend of an s32 output; scales of another length than one, M (or N), or a batch
    /// of those; a beta without c; zero points of other operands than int8, without column sums, of another form than
    /// `scale_row`, or with a K beyond [`MAX_K_WITH_ZEROS`]; scales of groups where the problem has none, or too few of
    /// them; too little or misaligned scratch; an output or scratch that overlaps another operand.
    pub fn launches<'a, A: GemmElement, B: GemmElement, O: OutputElement>(
        &self,
        plan: &GemmPlan,
        args: GemmArgs<'a, A, B, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        self.serves(plan.problem())?;
        let (mut mma, scratch) = args.checked(&self.device, plan)?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        if let Some(given) = scratch.filter(|_| plan.split_k() > 1) {
            let (partials, tickets) = given.slice(..plan.tickets().end)?.split_at(plan.tickets().start)?;
            let mut tickets = tickets.cast::<u32>()?;
            each(Step::Clear(tickets.reborrow()))?;
            mma.scratch = Some((partials, tickets));
        }
        let mut launch = Launch::new(geometry);
        mma.encode(&mut launch);
        each(Step::Launch(launch.finish()?))
    }
}

/// An operand in bytes, and the greatest alignment that every row of it has.
fn side<T: GemmElement>(operand: Strided<'_, T>) -> Side<'_, T> {
    let size = size_of::<T>();
    let (ld, batch) = ((operand.ld * size) as i64, (operand.stride * size) as i64);
    let unit = path::unit([operand.view.span().address, ld as u64, batch as u64], size);
    Side { view: operand.view, ld, batch, unit }
}

//! Attention of many queries on the device.

mod args;
mod checked;

pub use args::{
    AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, PageTable, ScoreBias, TreeMask,
    alibi_slopes,
};

use super::{OutputElement, Step, check};
use crate::device::{Device, Launch, Stream};
use crate::format::DType;
use crate::plan::attention::{self as plan, AttentionPlan, AttentionProblem};
use crate::{Error, Result};
use checked::Checked;
pub(super) use checked::{cut_bias, cut_tree};

/// `out = softmax(scale · Q·Kᵀ, changed and masked) · V` for every head of every sequence, in one pass over the keys.
///
/// Scores, their maxima and sums are f32; probabilities are rounded to the type of the values for their product with
/// these, which is f32 again; the output is divided by the sum at the end and rounded once. In the order in which they
/// are applied: the scale, a soft-cap, ALiBi, a bias; then masks: where keys stand ([`Mask`](plan::Mask)), bits
/// ([`TreeMask`]), and the ends of sequences. A query that sees no key gives 0, and a log-sum-exp of −∞ unless it has a
/// sink.
///
/// The same plan gives the same bits, and so do plans that differ only in which blocks run when; plans of other tiles
/// agree within [`reference::attention::tolerance`](crate::reference::attention::tolerance). A NaN or an infinity in a
/// key or value that is masked, but not past the end of its sequence, may reach queries that do not see it.
///
/// | a model has | say |
/// |---|---|
/// | grouped heads, causal (Llama) | [`Mask::CAUSAL`](plan::Mask::CAUSAL), `AttentionProblem::new([queries, keys], [heads, kv_heads], …)`; `keys` counts earlier tokens and new ones |
/// | a window of W tokens, the query's own among them | `Mask { left: Some(W - 1), ..Mask::CAUSAL }` |
/// | first tokens that stay visible (StreamingLLM) | [`Mask::keep_first`](plan::Mask::keep_first) |
/// | learned sinks (gpt-oss) | [`AttentionArgs::sinks`] |
/// | ALiBi (BLOOM) | [`AttentionArgs::slopes`]: [`alibi_slopes`]`(heads)`, on the device |
/// | a soft-cap and a scale of its own (Gemma 2) | [`AttentionArgs::softcap`], [`AttentionArgs::scale`] |
/// | sequences one after the other | [`packed_queries`](AttentionProblem::packed_queries) and `packed_keys`: the second example |
/// | keys in pages | [`page_size`](AttentionProblem::page_size): the second example |
/// | keys in parts | [`wide_output`](AttentionProblem::wide_output), [`AttentionArgs::lse`], then [`Merge`](super::Merge) |
///
#[cfg_attr(feature = "emulator", doc = "```")]
#[cfg_attr(not(feature = "emulator"), doc = "```ignore")]
/// use half::f16;
/// use halfbyte::device::Device;
/// use halfbyte::emulator::Arch;
/// use halfbyte::format::DType;
/// use halfbyte::op::{Attention, AttentionArgs, Heads, HeadsMut};
/// use halfbyte::plan::attention::{AttentionProblem, Mask};
///
/// # fn main() -> halfbyte::Result<()> {
/// let device = Device::emulator(Arch::Sm80);
/// let stream = device.stream()?;
/// // 5 queries after 3 earlier keys, 4 query heads that share 2 heads of keys.
/// let problem = AttentionProblem { mask: Mask::CAUSAL, ..AttentionProblem::new([5, 8], [4, 2], 64, DType::F16) };
/// let attention = Attention::new(&device, DType::F16)?;
/// let plan = attention.plan(&problem)?;
///
/// let q = stream.upload(&vec![f16::from_f32(0.25); 5 * 4 * 64])?;
/// let k = stream.upload(&vec![f16::from_f32(0.5); 8 * 2 * 64])?;
/// let v = stream.upload(&vec![f16::from_f32(3.0); 8 * 2 * 64])?;
/// let mut out = stream.zeros::<f16>(5 * 4 * 64)?;
/// let args = AttentionArgs::new(
///     &problem,
///     Heads::bshd(&q, 5, 4, 64),
///     Heads::bshd(&k, 8, 2, 64),
///     Heads::bshd(&v, 8, 2, 64),
///     HeadsMut::bshd(&mut out, 5, 4, 64),
/// );
/// attention.run(&plan, &stream, args)?;
/// assert!(stream.download(&out)?.iter().all(|&x| x == f16::from_f32(3.0)));
/// # Ok(())
/// # }
/// ```
///
/// Two sequences, their queries one after the other, their keys in pages of 16 tokens; lengths and pages lie on the
/// device:
///
#[cfg_attr(feature = "emulator", doc = "```")]
#[cfg_attr(not(feature = "emulator"), doc = "```ignore")]
/// use half::f16;
/// use halfbyte::device::{Device, Status};
/// use halfbyte::emulator::Arch;
/// use halfbyte::format::DType;
/// use halfbyte::op::{Attention, AttentionArgs, Heads, HeadsMut, PageTable};
/// use halfbyte::plan::attention::{AttentionProblem, Mask, Packing};
///
/// # fn main() -> halfbyte::Result<()> {
/// let device = Device::emulator(Arch::Sm80);
/// let stream = device.stream()?;
/// // 3 queries at the end of 20 keys, and 1 at the end of 40; 4 query heads share 1 of keys.
/// let (cu_queries, key_lengths) = ([0u32, 3, 4], [20u32, 40]);
/// let queries = Packing::new(&cu_queries, 4)?; // checked: the longest, and the tokens of all
/// let problem = AttentionProblem {
///     batch: queries.batch,
///     packed_queries: Some(queries.total),
///     page_size: Some(16),
///     mask: Mask::CAUSAL,
///     ..AttentionProblem::new([queries.longest, 40], [4, 1], 64, DType::F16)
/// };
/// let attention = Attention::new(&device, DType::F16)?;
/// let plan = attention.plan(&problem)?;
///
/// // Five pages; a row of the table has room for three, of which the first sequence needs two.
/// let table = stream.upload(&[4u32, 0, u32::MAX, 2, 1, 3])?;
/// let (cu_queries, key_lengths) = (stream.upload(&cu_queries)?, stream.upload(&key_lengths)?);
/// let q = stream.upload(&vec![f16::from_f32(0.25); 4 * 4 * 64])?;
/// let k = stream.upload(&vec![f16::from_f32(0.5); 5 * 16 * 64])?;
/// let v = stream.upload(&vec![f16::from_f32(3.0); 5 * 16 * 64])?;
/// let mut out = stream.zeros::<f16>(4 * 4 * 64)?;
/// let mut status = Status::new(&stream)?;
/// let args = AttentionArgs {
///     cu_queries: Some(cu_queries.view()),
///     key_lengths: Some(key_lengths.view()),
///     pages: Some(PageTable { table: table.view(), row: 3, pages: 5 }),
///     status: Some(&mut status),
///     ..AttentionArgs::new(
///         &problem,
///         Heads::bshd(&q, queries.total, 4, 64),
///         Heads::bshd(&k, 16, 1, 64), // [pages, tokens of a page, heads, elements]
///         Heads::bshd(&v, 16, 1, 64),
///         HeadsMut::bshd(&mut out, queries.total, 4, 64),
///     )
/// };
/// attention.run(&plan, &stream, args)?;
/// assert!(stream.download(&out)?.iter().all(|&x| x == f16::from_f32(3.0)));
/// assert!(status.read_and_clear(&stream)?.is_clear());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Attention {
    device: Device,
    dtype: DType,
}

impl Attention {
    /// The attention of one type on one device; loads every kernel that a plan for it may name.
    ///
    /// # Errors
    /// No kernel serves the type or the device, or a module cannot be loaded.
    pub fn new(device: &Device, dtype: DType) -> Result<Attention> {
        plan::plan(&AttentionProblem::new([0, 0], [1, 1], 64, dtype), device.facts())?;
        for entry in plan::entries(dtype) {
            device.load(entry)?;
        }
        Ok(Attention { device: device.clone(), dtype })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of a problem.
    ///
    /// # Errors
    /// As [`plan::plan`]; a type that is not this operation's.
    pub fn plan(&self, problem: &AttentionProblem) -> Result<AttentionPlan> {
        self.serves(problem)?;
        plan::plan(problem, self.device.facts())
    }

    fn serves(&self, problem: &AttentionProblem) -> Result<()> {
        if problem.dtype == self.dtype {
            return Ok(());
        }
        let (have, want) = (problem.dtype, self.dtype);
        Err(Error::Unsupported(format!("the problem is one of {have}, but the operation was made for {want}")))
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: AttentionElement, O: OutputElement>(
        &self,
        plan: &AttentionPlan,
        stream: &Stream,
        args: AttentionArgs<'_, T, O>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Types or a device that are not the plan's; tensors too short for the problem and their strides, or with rows
    /// that do not start at multiples of 16 bytes (an output of f32: 8); an output whose rows meet, or that overlaps
    /// another operand; a scale or a soft-cap that is not above 0 and finite; slopes or sinks that are not one a head;
    /// bits of a mask that are too few; first tokens, lengths or pages that are missing, not asked for by the problem,
    /// or not one a sequence.
    pub fn launches<'a, T: AttentionElement, O: OutputElement>(
        &self,
        plan: &AttentionPlan,
        args: AttentionArgs<'a, T, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        self.serves(plan.problem())?;
        let checked = Checked::new(&self.device, plan, args)?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        let mut launch = Launch::new(geometry);
        checked.encode(plan, &mut launch);
        each(Step::Launch(launch.finish()?))
    }
}

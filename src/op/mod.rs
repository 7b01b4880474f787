//! The public doors: check the arguments, plan, run.
//!
//! | door | what it does |
//! |---|---|
//! | [`Linear`] | a linear layer with int8 weights on one device: `x` in f32, f16 or bf16 to `x · Wᵀ + bias` |
//! | [`QuantizeRows`] | rows of floats to int8 codes and a scale a row |
//! | [`Quantize`] | floats, K along or down their rows, to int8, e4m3 or e5m2 codes with scales by row, by group of K or given, with zero points and factors of channels |
//! | [`TransposeBytes`] | 8-bit codes with K down their rows to codes with K along them |
//! | [`ColumnSums`] | the sums that correct a product for zero points |
//! | [`Gemm`] | dense products of int8, f16, bf16 and 8-bit floats, with scales, zero points, α, β, bias and batches; of 8 bits by groups of K too |
//! | [`Attention`] | attention of many queries in f16 and bf16: grouped heads, packed and paged sequences, causal, window and bit masks, kept first keys, ALiBi, soft-cap, bias, sinks, log-sum-exps |
//! | [`AttentionInt8`] | the same but for pages, with scores of signed bytes, P·V in 16 bits or e4m3, its quantizers included |
//! | [`AttentionQuantize`] | Q, K and V in 16 bits to the 8-bit operands of attention: K less its mean, V turned |
//! | [`Merge`] | partial results of attention, of split sequences, shared prefixes or rings, joined to the whole |
//! | [`GemmS8`] | the int8 product itself, exact in s32 or scaled to f32, f16 or bf16 |
//!
//! Every door has the same three handles. `plan` is pure and free of allocation; `launches` checks the
//! arguments and hands out the [`Step`]s of a run as values; `run` does them on a stream. On CUDA, running
//! allocates nothing and waits for nothing, so it can be captured in a graph; the emulator does the work there and
//! then. Arguments that break a rule are refused with their values before anything is launched.

mod attention;
mod attention_int8;
mod attention_quantize;
mod check;
mod column_sums;
mod element;
mod gemm;
mod gemm_s8;
mod linear;
mod merge;
mod mma;
mod probe;
mod quantize;
mod quantize_rows;
mod strided;
mod transpose_bytes;

pub use attention::{
    Attention, AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, PageTable, ScoreBias, TreeMask,
    alibi_slopes,
};
pub use attention_int8::{AttentionInt8, AttentionInt8Args};
pub use attention_quantize::{AttentionQuantize, AttentionQuantizeArgs, Mean};
pub use column_sums::ColumnSums;
pub use element::{CodeElement, InputElement, OutputElement};
pub use gemm::{Addend, Copies, Gemm, GemmArgs, GemmElement, GroupScales, Path, SharedBy, Strided, StridedMut};
pub use gemm_s8::{GemmS8, GemmS8Args};
pub use linear::{Linear, LinearArgs};
pub use merge::{LseMut, Merge, MergeArgs, Merged, PartLse, Parts};
pub use probe::{Golden, Probe, ProbeOutput, run_probes};
pub use quantize::{Quantize, QuantizeArgs, Scaling};
pub use quantize_rows::{QuantizeRows, QuantizeRowsArgs};
pub use transpose_bytes::TransposeBytes;

use crate::Result;
use crate::device::{Launch, Stream, ViewMut};

/// One step of a run. Steps are done in the order in which they are given, on one stream.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a launch is a plain value, so that a run allocates nothing")]
pub enum Step<'a> {
    /// These words must be zero before the next launch.
    Clear(ViewMut<'a, u32>),
    /// A kernel.
    Launch(Launch<'a>),
}

impl Step<'_> {
    /// Puts the step on a stream. Does not wait for it.
    ///
    /// # Errors
    /// As [`Stream::fill_zero`] and [`Stream::launch`].
    pub fn submit(self, stream: &Stream) -> Result<()> {
        match self {
            Step::Clear(words) => stream.fill_zero(words),
            Step::Launch(launch) => {
                #[cfg(feature = "tracing")]
                let _span = tracing::trace_span!(
                    "launch",
                    entry = launch.entry().row().symbol,
                    grid = ?launch.grid(),
                    block = ?launch.block(),
                    shared_bytes = launch.shared_bytes()
                )
                .entered();
                stream.launch(&launch)
            }
        }
    }
}

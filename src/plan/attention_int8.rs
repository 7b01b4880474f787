//! Plans of attention in 8 bits: the quantizers of its operands, then `prefill_int8`, which makes scores of signed
//! bytes and takes values in 16 bits or in e4m3.

use std::fmt;

use super::attention::{Mask, Visits};
use super::attention_quantize::{self, AttentionQuantizePlan, AttentionQuantizeProblem, PlannedLaunch, WIDTHS};
use super::quantize_rows::Input;
use super::{DeviceFacts, Geometry};
use crate::manifest::Entry;
use crate::{Error, Result};

/// Queries that a block takes.
const QUERIES: usize = 64;

/// Attention to plan: what is quantized, and what each query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionInt8Problem {
    /// Q, K and V. With [`values`](AttentionQuantizeProblem::values) P·V is in e4m3, else in the type of V.
    pub operands: AttentionQuantizeProblem,
    /// Type of the output: f16 or bf16.
    pub output: Input,
    /// Which keys a query sees by where they stand.
    pub mask: Mask,
}

impl AttentionInt8Problem {
    /// Every query sees every key, and the output has the type of the input.
    pub const fn new(operands: AttentionQuantizeProblem) -> AttentionInt8Problem {
        AttentionInt8Problem { operands, output: operands.input, mask: Mask::NONE }
    }
}

impl fmt::Display for AttentionInt8Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operands, output, mask } = self;
        write!(f, "{operands}, to {output}, {mask}")
    }
}

/// How attention in 8 bits is done. Private fields: only [`plan`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionInt8Plan {
    problem: AttentionInt8Problem,
    quantize: AttentionQuantizePlan,
    prefill: Option<PlannedLaunch>,
}

impl AttentionInt8Plan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &AttentionInt8Problem {
        &self.problem
    }

    /// The plan of the quantizers.
    pub const fn quantize(&self) -> &AttentionQuantizePlan {
        &self.quantize
    }

    /// `prefill_int8`; `None` without queries.
    pub const fn prefill(&self) -> Option<&PlannedLaunch> {
        self.prefill.as_ref()
    }

    /// All launches in their order.
    pub fn launches(&self) -> impl Iterator<Item = &PlannedLaunch> {
        self.quantize.launches().chain(&self.prefill)
    }

    /// What the masks leave out, in tiles of 64 queries by 64 keys, where every sequence has its full length.
    pub fn visits(&self) -> Visits {
        let p = &self.problem.operands;
        Visits::new(&self.problem.mask, [p.queries, p.keys], (p.batch * p.heads) as u64, QUERIES, 1)
    }

    /// Bytes of scratch: the quantized operands.
    pub fn scratch_bytes(&self) -> usize {
        self.quantize.layout().bytes()
    }
}

impl fmt::Display for AttentionInt8Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(prefill) = &self.prefill else { return write!(f, "{}: no queries", self.problem) };
        let Visits { visited, skipped } = self.visits();
        write!(
            f,
            "{}; then to {}, {}: {prefill}, at most {visited} tiles of keys, {skipped} skipped",
            self.quantize, self.problem.output, self.problem.mask
        )
    }
}

/// The kernel of a width of codes; by the type of the values: f16, bf16, e4m3.
const fn kernels(width: usize) -> [Entry; 3] {
    match width {
        64 => [Entry::PrefillInt8F16W64, Entry::PrefillInt8Bf16W64, Entry::PrefillInt8E4m3W64],
        96 => [Entry::PrefillInt8F16W96, Entry::PrefillInt8Bf16W96, Entry::PrefillInt8E4m3W96],
        128 => [Entry::PrefillInt8F16W128, Entry::PrefillInt8Bf16W128, Entry::PrefillInt8E4m3W128],
        192 => [Entry::PrefillInt8F16W192, Entry::PrefillInt8Bf16W192, Entry::PrefillInt8E4m3W192],
        _ => [Entry::PrefillInt8F16W256, Entry::PrefillInt8Bf16W256, Entry::PrefillInt8E4m3W256],
    }
}

const fn pick(input: Input, values: bool) -> usize {
    match (values, input) {
        (true, _) => 2,
        (_, Input::Bf16) => 1,
        _ => 0,
    }
}

/// Every kernel of `prefill_int8` that an input may take.
pub fn entries(input: Input, values: bool) -> impl Iterator<Item = Entry> {
    WIDTHS.into_iter().map(move |width| kernels(width)[pick(input, values)])
}

/// Scratch bytes that cover [`plan`] of every problem whose operands [`attention_quantize::operands_bound`] covers.
///
/// # Errors
/// As there.
pub fn scratch_bound(max: &AttentionInt8Problem, facts: &DeviceFacts) -> Result<usize> {
    attention_quantize::operands_bound(&max.operands, facts)
}

/// The plan of a problem. Pure.
///
/// # Errors
/// As [`attention_quantize::plan`]; [`Error::Unsupported`] for more channels of V than the codes of Q and K have bytes,
/// an f32 output, and a device without enough shared memory; [`Error::Shape`] for a mask that contradicts itself.
pub fn plan(problem: &AttentionInt8Problem, facts: &DeviceFacts) -> Result<AttentionInt8Plan> {
    let p = &problem.operands;
    let quantize = attention_quantize::plan(p, facts)?;
    problem.mask.check()?;
    let width = p.width();
    if p.value_dim > width {
        return Err(Error::Unsupported(format!(
            "value_dim = {} exceeds {width}, the width of codes of head_dim = {}",
            p.value_dim, p.head_dim
        )));
    }
    if problem.output == Input::F32 {
        return Err(Error::Unsupported("an f32 output of attention in 8 bits; f16 and bf16 are served".into()));
    }
    let entry = kernels(width)[pick(p.input, p.values)];
    let row = entry.row();
    if facts.resident_blocks(row, row.shared_bytes) == 0 {
        let (have, need) = (facts.shared_per_block, row.shared_bytes);
        let what = format!("{} needs {need} bytes of shared memory a block, the device has {have}", row.symbol);
        return Err(Error::Unsupported(what));
    }
    // The plan of the quantizers checked that twice as many blocks fit, and that the operands fit memory.
    let blocks = p.batch * p.heads * p.queries.div_ceil(QUERIES);
    let layout = quantize.layout();
    let codes = [&layout.q_codes, &layout.k_codes, &layout.q_scales, &layout.k_scales, &layout.shift];
    let codes: usize = codes.into_iter().map(|part| part.len()).sum();
    let [q_rows, k_rows] = p.rows();
    let values = match p.values {
        true => layout.v_codes.len() + layout.v_scales.len(),
        false => 2 * k_rows * p.kv_heads * p.value_dim,
    };
    let geometry = Geometry { entry, grid: [blocks as u32, 1, 1], cluster: [1; 3], shared_bytes: row.shared_bytes };
    let prefill = (blocks > 0).then_some(PlannedLaunch {
        geometry,
        bytes_read: (codes + values) as u64,
        bytes_written: 2 * (q_rows * p.heads * p.value_dim) as u64,
    });
    Ok(AttentionInt8Plan { problem: *problem, quantize, prefill })
}

//! Plans of the quantizers of attention: Q and K to signed bytes with a scale for each token and head, K less its mean
//! over the keys, and V to e4m3 with a scale for each channel.
//!
//! | launch | when | gives |
//! |---|---|---|
//! | `key_mean` | the mean is computed, or values are wanted | the mean of K and the scales of V, or parts of them |
//! | `key_mean_finish` | the keys were walked in several slices | both, from the parts in their order |
//! | `quantize_heads` | there are tokens | codes, scales and shifts of Q and K |
//! | `quantize_values` | values are wanted | codes of V |
//!
//! Means of K and scales of V come from one launch: both want every key of every head once.

use std::fmt;
use std::ops::Range;

use super::quantize_rows::Input;
use super::{DeviceFacts, GRID_X_MAX, Geometry, model};
use crate::manifest::Entry;
use crate::{Error, Result};

/// Channels of a row: a multiple of 8, at most as many.
pub const MAX_DIM: usize = 256;

/// Bytes that a row of codes of Q and K may have: what kernels of attention in 8 bits are made for.
pub const WIDTHS: [usize; 5] = [64, 96, 128, 192, 256];

/// What operands and scratch are aligned to, in bytes.
pub const OPERAND_ALIGN: usize = 128;

/// Positions of tokens come by as many.
const POSITIONS: usize = 64;
/// Tokens that a block of `quantize_heads` takes, keys that one of `quantize_values` takes, and its channels.
const HEAD_TOKENS: usize = 32;
const VALUE_KEYS: usize = 128;
const VALUE_CHANNELS: usize = 32;
/// Keys that are worth a slice of their own.
const LEAST_SLICE: usize = 128;
/// Static shared memory of `key_mean`, in bytes.
const MEAN_BYTES: u32 = 8192;

/// What is taken from every key, which changes all scores of a query alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyMean {
    /// The mean over the keys of the sequence, which is written for later use.
    Computed,
    /// One that is given, such as that of a prompt for the tokens that follow. Any finite one gives right results; one
    /// near the true mean loses least.
    Given,
    /// Nothing.
    Zero,
}

/// Q, K and V to quantize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionQuantizeProblem {
    /// Type of Q, K and V: f16 or bf16.
    pub input: Input,
    /// Sequences.
    pub batch: usize,
    /// Most queries of a sequence.
    pub queries: usize,
    /// Most keys of a sequence.
    pub keys: usize,
    /// Where sequences lie one after the other: the tokens of all, of Q and of K.
    pub packed: Option<[usize; 2]>,
    /// Heads of Q.
    pub heads: usize,
    /// Heads of K and V, a divisor of `heads`.
    pub kv_heads: usize,
    /// Channels of Q and K: a multiple of 8 up to [`MAX_DIM`].
    pub head_dim: usize,
    /// Channels of V: a multiple of 8 up to [`MAX_DIM`]; for attention in 8 bits at most [`width`](Self::width).
    pub value_dim: usize,
    /// What is taken from K.
    pub mean: KeyMean,
    /// Whether V becomes e4m3 too.
    pub values: bool,
}

impl AttentionQuantizeProblem {
    /// One sequence of so many queries and keys, with heads of one size: `[queries, keys]`, `[heads, kv_heads]`; the
    /// mean is computed and values stay in 16 bits.
    pub const fn new(
        [queries, keys]: [usize; 2],
        [heads, kv_heads]: [usize; 2],
        head_dim: usize,
        input: Input,
    ) -> AttentionQuantizeProblem {
        AttentionQuantizeProblem {
            input,
            batch: 1,
            queries,
            keys,
            packed: None,
            heads,
            kv_heads,
            head_dim,
            value_dim: head_dim,
            mean: KeyMean::Computed,
            values: false,
        }
    }

    /// Bytes of a row of codes of Q and K: the channels, and zeros up to the next of [`WIDTHS`].
    pub fn width(&self) -> usize {
        WIDTHS.into_iter().find(|&width| width >= self.head_dim).unwrap_or(MAX_DIM)
    }

    /// Rows of Q and of K that there is room for.
    pub fn rows(&self) -> [usize; 2] {
        self.packed.unwrap_or([self.batch.saturating_mul(self.queries), self.batch.saturating_mul(self.keys)])
    }

    /// Positions in a row of scales of Q and of K. With packed sequences the first of sequence b is that of its first
    /// token rounded down to a multiple of 64, plus 64 b; else each sequence has a row of its own.
    pub fn pitches(&self) -> [usize; 2] {
        match self.packed {
            Some(totals) => totals.map(|total| total / POSITIONS * POSITIONS + POSITIONS * self.batch),
            None => [self.queries, self.keys].map(|most| most.next_multiple_of(POSITIONS)),
        }
    }

    /// Tensors that are walked for a mean or for scales: K, V.
    fn walked(&self) -> usize {
        usize::from(self.mean == KeyMean::Computed) + usize::from(self.values)
    }

    /// How many times each row of scales is there beside the heads.
    const fn rows_of_heads(&self) -> usize {
        if self.packed.is_some() { 1 } else { self.batch }
    }

    fn check(&self) -> Result<()> {
        let Self { input, batch, queries, keys, packed, heads, kv_heads, .. } = *self;
        if input == Input::F32 {
            return Err(Error::Unsupported("attention of f32; f16 and bf16 are served".into()));
        }
        for (what, dim) in [("head_dim", self.head_dim), ("value_dim", self.value_dim)] {
            if dim == 0 || dim > MAX_DIM || !dim.is_multiple_of(8) {
                let what = format!("{what} = {dim}; multiples of 8 from 8 to {MAX_DIM} are served");
                return Err(Error::Unsupported(what));
            }
        }
        if kv_heads == 0 || heads == 0 || !heads.is_multiple_of(kv_heads) {
            let what = format!(
                "{heads} heads of queries cannot share {kv_heads} heads of keys: served are multiples of the latter"
            );
            return Err(Error::Shape(what));
        }
        let totals = packed.unwrap_or([0; 2]);
        // Indices of rows, positions and channels are 32 bits wide in the kernels.
        let most = |factors: &[usize]| factors.iter().fold(1usize, |all, &f| all.saturating_mul(f));
        let large = [
            ("batch * heads * channels", most(&[batch, heads, MAX_DIM])),
            ("queries of a sequence", queries),
            ("keys of a sequence", keys),
            ("batch * 64 + packed queries", most(&[batch, POSITIONS]).saturating_add(totals[0])),
            ("batch * 64 + packed keys", most(&[batch, POSITIONS]).saturating_add(totals[1])),
            ("blocks of queries", most(&[batch, heads, queries.div_ceil(HEAD_TOKENS)])),
            ("blocks of keys", most(&[batch, kv_heads, keys.div_ceil(HEAD_TOKENS), 8])),
        ];
        match large.into_iter().find(|&(_, n)| n > i32::MAX as usize / 2) {
            None => Ok(()),
            Some((what, n)) => Err(Error::Shape(format!("{what} = {n} exceed {}", i32::MAX / 2))),
        }
    }
}

impl fmt::Display for AttentionQuantizeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, batch, queries, keys, packed, heads, kv_heads, head_dim, value_dim, mean, values } = self;
        write!(f, "{batch} x ({queries} queries x {heads}, {keys} keys x {kv_heads}) x {head_dim} {input} -> s8")?;
        if *values {
            write!(f, ", values of {value_dim} -> e4m3")?;
        }
        if let Some([q, k]) = packed {
            write!(f, ", packed {q} and {k}")?;
        }
        match mean {
            KeyMean::Computed => Ok(()),
            KeyMean::Given => f.write_str(", mean given"),
            KeyMean::Zero => f.write_str(", keys as they are"),
        }
    }
}

/// Where the quantized operands lie in the one buffer that holds them, in bytes; each begins at a multiple of
/// [`OPERAND_ALIGN`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OperandLayout {
    /// int8 `[batch, queries, heads, width]`, packed `[tokens, heads, width]`.
    pub q_codes: Range<usize>,
    /// int8 `[batch, keys, kv_heads, width]`, packed `[tokens, kv_heads, width]`.
    pub k_codes: Range<usize>,
    /// f32 `[batch, heads, positions]`, packed `[heads, positions]`.
    pub q_scales: Range<usize>,
    /// f32 `[batch, kv_heads, positions]`, packed `[kv_heads, positions]`.
    pub k_scales: Range<usize>,
    /// f32 as `q_scales`: `Σ q · mean`; none where nothing is taken from K.
    pub shift: Range<usize>,
    /// e4m3 `[batch, kv_heads, value_dim, positions]`, packed `[kv_heads, value_dim, positions]`; every 16 keys stand
    /// as 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15. None without values.
    pub v_codes: Range<usize>,
    /// f32 `[batch, kv_heads, value_dim]`. None without values.
    pub v_scales: Range<usize>,
    /// What slices of keys leave for the launch that joins them.
    pub partials: Range<usize>,
}

impl OperandLayout {
    /// `partial_rows`: how many rows of channels slices of keys leave, those of all heads together.
    fn new(problem: &AttentionQuantizeProblem, partial_rows: usize) -> Result<OperandLayout> {
        let p = problem;
        let ([q_rows, k_rows], [q_pitch, k_pitch]) = (p.rows(), p.pitches());
        let shared = p.rows_of_heads();
        let items = p.batch * p.kv_heads;
        let smooth = usize::from(p.mean != KeyMean::Zero);
        let values = usize::from(p.values);
        let channels = if p.mean == KeyMean::Computed { p.head_dim } else { 0 } + values * p.value_dim;
        let mut end = 0usize;
        let mut next = |factors: [usize; 4]| {
            let bytes = factors.iter().try_fold(1usize, |all, &f| all.checked_mul(f));
            let start = end;
            let stop = bytes.and_then(|bytes| start.checked_add(bytes));
            let padded = stop.and_then(|stop| stop.checked_next_multiple_of(OPERAND_ALIGN));
            let padded = padded.filter(|&bytes| bytes <= isize::MAX as usize);
            end = padded.ok_or_else(|| Error::Shape(format!("the operands of {p} exceed the address space")))?;
            Ok::<_, Error>(start..stop.unwrap_or(end))
        };
        Ok(OperandLayout {
            q_codes: next([q_rows, p.heads, p.width(), 1])?,
            k_codes: next([k_rows, p.kv_heads, p.width(), 1])?,
            q_scales: next([shared, p.heads, q_pitch, 4])?,
            k_scales: next([shared, p.kv_heads, k_pitch, 4])?,
            shift: next([shared * smooth, p.heads, q_pitch, 4])?,
            v_codes: next([shared * values, p.kv_heads, p.value_dim, k_pitch])?,
            v_scales: next([items * values, p.value_dim, 4, 1])?,
            partials: next([partial_rows, channels, 4, 1])?,
        })
    }

    /// Bytes of the whole buffer.
    pub fn bytes(&self) -> usize {
        self.partials.end
    }
}

/// One launch of a plan, and what it moves at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlannedLaunch {
    /// The launch without its operands.
    pub geometry: Geometry,
    /// Bytes of global memory to read where every sequence is as long as it may be: each operand once.
    pub bytes_read: u64,
    /// Bytes of global memory to write.
    pub bytes_written: u64,
}

impl fmt::Display for PlannedLaunch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlannedLaunch { geometry, bytes_read, bytes_written } = self;
        let row = geometry.entry.row();
        write!(f, "{}, {} blocks of {} threads", row.symbol, geometry.grid[0], row.threads)?;
        if geometry.shared_bytes > 0 {
            write!(f, ", {} bytes shared", geometry.shared_bytes)?;
        }
        write!(f, ", {bytes_read} bytes read, {bytes_written} written")
    }
}

/// How Q, K and V are quantized. Private fields: only [`plan`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionQuantizePlan {
    problem: AttentionQuantizeProblem,
    facts: DeviceFacts,
    layout: OperandLayout,
    slices: usize,
    slice: usize,
    mean: Option<PlannedLaunch>,
    finish: Option<PlannedLaunch>,
    heads: Option<PlannedLaunch>,
    values: Option<PlannedLaunch>,
}

impl AttentionQuantizePlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &AttentionQuantizeProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// Where the operands lie.
    pub const fn layout(&self) -> &OperandLayout {
        &self.layout
    }

    /// Parts in which the keys of a sequence are walked for their mean, and the keys of each.
    pub const fn slices(&self) -> [usize; 2] {
        [self.slices, self.slice]
    }

    /// `key_mean`, if it is launched.
    pub const fn mean(&self) -> Option<&PlannedLaunch> {
        self.mean.as_ref()
    }

    /// `key_mean_finish`, if it is launched.
    pub const fn finish(&self) -> Option<&PlannedLaunch> {
        self.finish.as_ref()
    }

    /// `quantize_heads`, if it is launched.
    pub const fn heads(&self) -> Option<&PlannedLaunch> {
        self.heads.as_ref()
    }

    /// `quantize_values`, if it is launched.
    pub const fn values(&self) -> Option<&PlannedLaunch> {
        self.values.as_ref()
    }

    /// All launches in their order.
    pub fn launches(&self) -> impl Iterator<Item = &PlannedLaunch> {
        [&self.mean, &self.finish, &self.heads, &self.values].into_iter().flatten()
    }
}

impl fmt::Display for AttentionQuantizePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.problem)?;
        for (i, launch) in self.launches().enumerate() {
            let comma = if i > 0 { "; " } else { "" };
            write!(f, "{comma}{launch}")?;
            if self.mean.as_ref() == Some(launch) {
                write!(f, ", keys in {} slices", self.slices)?;
            }
        }
        if self.launches().next().is_none() {
            f.write_str("empty, nothing is launched")?;
        }
        Ok(())
    }
}

/// The kernels of an input, in the order of their launches.
const fn kernels(input: Input) -> [Entry; 4] {
    match input {
        Input::Bf16 => [Entry::KeyMeanBf16, Entry::KeyMeanFinish, Entry::QuantizeHeadsBf16, Entry::QuantizeValuesBf16],
        _ => [Entry::KeyMeanF16, Entry::KeyMeanFinish, Entry::QuantizeHeadsF16, Entry::QuantizeValuesF16],
    }
}

/// Every kernel that a problem of this input may take, with values or without.
pub fn entries(input: Input, values: bool) -> impl Iterator<Item = Entry> {
    kernels(input).into_iter().take(if values { 4 } else { 3 })
}

/// Bytes of operands that cover [`plan`] of every problem of no size above those of `max`, with the same input, mean
/// and values, packed if `max` is, on this device.
///
/// # Errors
/// As [`plan`] of `max`.
pub fn operands_bound(max: &AttentionQuantizeProblem, facts: &DeviceFacts) -> Result<usize> {
    served(max, facts)?;
    // Few heads may be cut into many slices: of all blocks at once, each leaves a row, but none of fewer keys than a
    // slice has.
    let rows = match max.walked() {
        0 => 0,
        tensors => (resident(max, facts) / tensors).min(max.batch * max.kv_heads * max.keys.div_ceil(LEAST_SLICE)),
    };
    Ok(OperandLayout::new(max, rows)?.bytes())
}

/// Blocks of `key_mean` that the device runs at once.
fn resident(problem: &AttentionQuantizeProblem, facts: &DeviceFacts) -> usize {
    let row = kernels(problem.input)[0].row();
    facts.resident_blocks(row, MEAN_BYTES) as usize * facts.sm_count.max(1) as usize
}

/// The problem is one that kernels are made for, and the device has what they need.
fn served(problem: &AttentionQuantizeProblem, facts: &DeviceFacts) -> Result<()> {
    model(facts)?;
    problem.check()?;
    if problem.values && facts.capability < 89 {
        return Err(Error::Unsupported(format!(
            "values of e4m3 are made by an instruction of compute capability 8.9, and this device has {}.{}",
            facts.capability / 10,
            facts.capability % 10
        )));
    }
    Ok(())
}

/// The plan of a problem. Pure.
///
/// # Errors
/// [`Error::Unsupported`] for f32, channels that are not served, a device below compute capability 8.0, or 8.9 with
/// values; [`Error::Shape`] for heads that do not divide and sizes that no kernel indexes.
pub fn plan(problem: &AttentionQuantizeProblem, facts: &DeviceFacts) -> Result<AttentionQuantizePlan> {
    served(problem, facts)?;
    let AttentionQuantizeProblem { batch, queries, keys, heads, kv_heads, head_dim, value_dim, mean, values, .. } =
        *problem;
    let entries = kernels(problem.input);
    let computed = mean == KeyMean::Computed;
    let (items, tensors) = (batch * kv_heads, problem.walked());
    let most = (resident(problem, facts) / (items * tensors).max(1)).min(keys.div_ceil(LEAST_SLICE)).max(1);
    let slice = keys.div_ceil(most).max(1);
    let slices = keys.div_ceil(slice).max(1);
    let layout = OperandLayout::new(problem, if tensors > 0 && slices > 1 { slices * items } else { 0 })?;

    let launch = |entry: Entry, blocks: usize, bytes_read: usize, bytes_written: usize| {
        let grid = [blocks.min(GRID_X_MAX as usize) as u32, 1, 1];
        let geometry = Geometry { entry, grid, cluster: [1; 3], shared_bytes: 0 };
        (blocks > 0).then_some(PlannedLaunch {
            geometry,
            bytes_read: bytes_read as u64,
            bytes_written: bytes_written as u64,
        })
    };
    let bytes = |range: &Range<usize>| range.len();
    let [q_rows, k_rows] = problem.rows();
    // The layout has counted more bytes than these.
    let (q, k) = (2 * q_rows * heads * head_dim, 2 * k_rows * kv_heads * head_dim);
    let v = if values { 2 * k_rows * kv_heads * value_dim } else { 0 };
    let means = 4 * items * head_dim;
    let channels = items * (if computed { head_dim } else { 0 } + if values { value_dim } else { 0 });
    let (known, partials) = (4 * channels, bytes(&layout.partials));
    let read = if computed { k } else { 0 } + v;
    let used = if mean == KeyMean::Zero { 0 } else { means };
    let written = [&layout.q_codes, &layout.k_codes, &layout.q_scales, &layout.k_scales, &layout.shift];
    let head_blocks = items * (heads / kv_heads * queries.div_ceil(HEAD_TOKENS) + keys.div_ceil(HEAD_TOKENS));
    let value_blocks = items * value_dim.div_ceil(VALUE_CHANNELS) * keys.div_ceil(VALUE_KEYS);
    Ok(AttentionQuantizePlan {
        problem: *problem,
        facts: *facts,
        slices,
        slice,
        mean: launch(entries[0], slices * items * tensors, read, if slices > 1 { partials } else { known }),
        finish: if slices > 1 { launch(entries[1], channels.div_ceil(256), partials, known) } else { None },
        heads: launch(entries[2], head_blocks, q + k + used, written.into_iter().map(bytes).sum()),
        values: if values {
            launch(entries[3], value_blocks, v + bytes(&layout.v_scales), bytes(&layout.v_codes))
        } else {
            None
        },
        layout,
    })
}

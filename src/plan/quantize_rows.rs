//! Plans of `quantize_rows`: `[rows, cols]` floats to int8 codes and one f32 scale a row.
//!
//! A row is reduced to its largest magnitude and then coded, so it is needed twice. While it fits in
//! shared memory it is read from global memory once; a longer one is read twice.

use std::fmt;

use super::{DeviceFacts, Geometry, dimensions, model};
use crate::manifest::Entry;
use crate::{Error, Result};

/// Type of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Input {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
}

impl Input {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Input::F32 => 4,
            Input::F16 | Input::Bf16 => 2,
        }
    }

    /// The kernel that reads this type.
    pub const fn entry(self) -> Entry {
        match self {
            Input::F32 => Entry::QuantizeRowsF32,
            Input::F16 => Entry::QuantizeRowsF16,
            Input::Bf16 => Entry::QuantizeRowsBf16,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::F32 => "f32",
            Input::F16 => "f16",
            Input::Bf16 => "bf16",
        })
    }
}

/// Rows to quantize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantizeRowsProblem {
    /// Rows.
    pub rows: usize,
    /// Columns: the length of a row.
    pub cols: usize,
    /// Type of the input.
    pub input: Input,
}

impl fmt::Display for QuantizeRowsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}] {} -> s8", self.rows, self.cols, self.input)
    }
}

/// Bytes of shared memory that the kernel keeps beside the row, for its reductions.
pub const REDUCTION_BYTES: u32 = 256;

/// How rows are quantized. Private fields: only [`plan`] and [`candidates`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantizeRowsPlan {
    problem: QuantizeRowsProblem,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
    cached: bool,
}

impl QuantizeRowsPlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &QuantizeRowsProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when there are no rows and nothing is launched.
    pub const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// True when a row is kept in shared memory and read from global memory once.
    pub const fn cached(&self) -> bool {
        self.cached
    }
}

impl fmt::Display for QuantizeRowsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(g) = self.geometry else {
            return write!(f, "{}: empty, nothing is launched", self.problem);
        };
        let row = g.entry.row();
        write!(
            f,
            "{}: {}, rows read {}, {} blocks of {} threads, {} bytes shared",
            self.problem,
            row.symbol,
            if self.cached { "once" } else { "twice" },
            g.grid[0],
            row.threads,
            g.shared_bytes
        )
    }
}

/// The plan of a problem: rows are kept in shared memory wherever one fits. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`] for more rows or columns than a kernel indexes; [`Error::Unsupported`] for a device below
/// compute capability 8.0.
pub fn plan(problem: &QuantizeRowsProblem, facts: &DeviceFacts) -> Result<QuantizeRowsPlan> {
    let cached = make(problem, facts, true)?;
    match cached {
        Some(plan) => Ok(plan),
        None => make(problem, facts, false)?.ok_or_else(|| {
            Error::Unsupported(format!(
                "quantize_rows does not fit a device with {} registers and {} threads a multiprocessor",
                facts.registers_per_sm, facts.threads_per_sm
            ))
        }),
    }
}

/// Every legal plan of a problem: with the row kept on chip, where it fits, and with the row read twice.
pub fn candidates(
    problem: &QuantizeRowsProblem,
    facts: &DeviceFacts,
) -> impl Iterator<Item = QuantizeRowsPlan> + use<> {
    let (problem, facts) = (*problem, *facts);
    [true, false].into_iter().filter_map(move |cached| make(&problem, &facts, cached).ok().flatten())
}

fn make(problem: &QuantizeRowsProblem, facts: &DeviceFacts, cached: bool) -> Result<Option<QuantizeRowsPlan>> {
    model(facts)?;
    dimensions(problem.rows, problem.cols)?;
    let mut plan = QuantizeRowsPlan { problem: *problem, facts: *facts, geometry: None, cached };
    if problem.rows == 0 {
        return Ok(Some(plan));
    }
    // The columns fit an i32.
    plan.geometry =
        rows_geometry(problem.input.entry(), problem.rows, problem.cols * problem.input.size(), cached, facts);
    Ok(plan.geometry.is_some().then_some(plan))
}

/// The launch of a kernel whose blocks take one row of `row_bytes` after another, kept in shared memory if it is
/// `cached`; `None` where that does not fit. No more blocks than the device holds at once.
pub(super) fn rows_geometry(
    entry: Entry,
    rows: usize,
    row_bytes: usize,
    cached: bool,
    facts: &DeviceFacts,
) -> Option<Geometry> {
    let shared = if cached { u32::try_from(row_bytes.next_multiple_of(16)).ok()? } else { 0 };
    let resident = facts.resident_blocks(entry.row(), shared.saturating_add(REDUCTION_BYTES));
    if resident == 0 {
        return None;
    }
    let blocks = (rows as u64).min(u64::from(facts.sm_count.max(1)) * u64::from(resident));
    let grid = [blocks.min(i32::MAX as u64) as u32, 1, 1];
    Some(Geometry { entry, grid, cluster: [1; 3], shared_bytes: shared })
}

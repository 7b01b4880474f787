//! Plans of `merge`: partial results of attention, each with its log-sum-exp, joined to the result of all keys.

use std::fmt;

use super::{DeviceFacts, Geometry, all_resident};
use crate::format::DType;
use crate::manifest::Entry;
use crate::{Error, Result};

/// Partial results `[parts, tokens, heads, value_dim]`.
///
/// A part that holds nothing has a log-sum-exp of −∞ and is not read, so a problem of the most parts serves fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MergeProblem {
    /// Parts, at least 1.
    pub parts: usize,
    /// Query tokens, of all sequences.
    pub tokens: usize,
    /// Query heads.
    pub heads: usize,
    /// Numbers of a head's output, at least 1.
    pub value_dim: usize,
    /// Type of the parts: f32, f16 or bf16.
    pub dtype: DType,
    /// Type of the result: that of the parts, or f32.
    pub out: DType,
}

impl MergeProblem {
    /// The kernel that reads parts of this type.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there is none, or when it does not write the result's type.
    pub fn entry(&self) -> Result<Entry> {
        let entry = match self.dtype {
            DType::F32 => Entry::MergeF32,
            DType::F16 => Entry::MergeF16,
            DType::Bf16 => Entry::MergeBf16,
            other => {
                return Err(Error::Unsupported(format!(
                    "parts of {other} are not merged: they must be f32, f16 or bf16"
                )));
            }
        };
        if self.out != self.dtype && self.out != DType::F32 {
            return Err(Error::Unsupported(format!(
                "parts of {0} are not merged to {1}: the result must be {0} or f32",
                self.dtype, self.out
            )));
        }
        Ok(entry)
    }
}

impl fmt::Display for MergeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MergeProblem { parts, tokens, heads, value_dim, dtype, out } = self;
        write!(f, "{parts} parts of [{tokens}, {heads}, {value_dim}] {dtype} -> {out}")
    }
}

/// How parts are merged. Private fields: only [`plan`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MergePlan {
    problem: MergeProblem,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
}

impl MergePlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &MergeProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when the result is empty and nothing is launched.
    pub const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }
}

impl fmt::Display for MergePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.problem)?;
        match self.geometry {
            None => f.write_str("empty, nothing is launched"),
            Some(g) => {
                let row = g.entry.row();
                write!(f, "{}, {} blocks of {} threads", row.symbol, g.grid[0], row.threads)
            }
        }
    }
}

/// Lanes that share a row: a power of two, each with 16 bytes of it where there are enough.
fn team(value_dim: usize, dtype: DType) -> usize {
    value_dim.div_ceil(16 / dtype.size()).min(32).next_power_of_two()
}

/// The plan to merge parts. Pure and free of allocation. The same bits come of every plan.
///
/// # Errors
/// [`Error::Shape`] without a part or a number of a row, and for more of either, or of rows (tokens · heads), than a
/// kernel indexes; [`Error::Unsupported`] as [`MergeProblem::entry`], and for a device below compute capability 8.0.
pub fn plan(problem: &MergeProblem, facts: &DeviceFacts) -> Result<MergePlan> {
    let MergeProblem { parts, tokens, heads, value_dim, dtype, .. } = *problem;
    let entry = problem.entry()?;
    for (what, value) in [("parts", parts), ("numbers of a row", value_dim)] {
        if value == 0 || value > i32::MAX as usize {
            return Err(Error::Shape(format!("{value} {what} are not within 1 and {}", i32::MAX)));
        }
    }
    let rows = if heads == 0 { Some(0) } else { tokens.checked_mul(heads) };
    let Some(rows) = rows.filter(|&rows| rows == 0 || u32::try_from(rows).is_ok()) else {
        return Err(Error::Shape(format!(
            "{tokens} tokens of {heads} heads exceed {}, the most rows that a kernel indexes",
            u32::MAX
        )));
    };
    let rows_of_a_block = entry.row().threads as usize / team(value_dim, dtype);
    let geometry = all_resident(entry, rows.div_ceil(rows_of_a_block) as u64, 0, facts)?;
    Ok(MergePlan { problem: *problem, facts: *facts, geometry })
}

//! Plans of `column_sums`: the sum of each row of int8 codes `[rows, cols]`, which as weights `[N, K]` are summed over
//! K.

use std::fmt;

use super::{DeviceFacts, Geometry, all_resident, dimensions};
use crate::manifest::Entry;
use crate::{Error, Result};

/// Most columns of which the sum of int8 codes is an int32 whatever they are: 128 · K < 2³¹.
pub const MAX_COLS: usize = (1 << 24) - 1;

/// How the rows of a matrix are added up. Private fields: only [`plan`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnSumsPlan {
    rows: usize,
    cols: usize,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
}

impl ColumnSumsPlan {
    /// Rows of the input.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the input.
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when the output is empty and nothing is launched.
    pub const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }
}

impl fmt::Display for ColumnSumsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, cols) = (self.rows, self.cols);
        write!(f, "sums of {rows} rows of {cols} s8")?;
        match self.geometry {
            None => f.write_str(": empty, nothing is launched"),
            Some(g) => {
                let row = g.entry.row();
                write!(f, ": {}, {} blocks of {} threads", row.symbol, g.grid[0], row.threads)
            }
        }
    }
}

/// The plan to add up each of `rows` rows of `cols` codes. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`] for more rows than a kernel indexes, and for more than [`MAX_COLS`] columns; [`Error::Unsupported`]
/// for a device below compute capability 8.0.
pub fn plan(rows: usize, cols: usize, facts: &DeviceFacts) -> Result<ColumnSumsPlan> {
    if cols > MAX_COLS {
        let what = format!("K = {cols} exceeds {MAX_COLS}: the sum of as many s8 codes may leave an int32");
        return Err(Error::Shape(what));
    }
    dimensions(rows, cols)?;
    let warps = Entry::ColumnSumsS8.row().threads as usize / 32;
    let blocks = rows.div_ceil(warps) as u64;
    let geometry = all_resident(Entry::ColumnSumsS8, blocks, 0, facts)?;
    Ok(ColumnSumsPlan { rows, cols, facts: *facts, geometry })
}

//! Plans of `transpose_bytes`: a matrix of bytes `[rows, cols]` turned into `[cols, rows]` with padded rows.

use std::fmt;

use super::{DeviceFacts, Geometry, all_resident, dimensions};
use crate::Result;
use crate::manifest::Entry;

/// Rows and columns of a tile, of which a block turns one after another.
const TILE: usize = 128;
/// Bytes of static shared memory: a tile.
const TILE_BYTES: u32 = 128 * 128;

/// How a matrix of bytes is turned. Private fields: only [`plan`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransposeBytesPlan {
    rows: usize,
    cols: usize,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
}

impl TransposeBytesPlan {
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

impl fmt::Display for TransposeBytesPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, cols) = (self.rows, self.cols);
        write!(f, "[{rows}, {cols}]^T of bytes")?;
        match self.geometry {
            None => f.write_str(": empty, nothing is launched"),
            Some(g) => {
                let row = g.entry.row();
                write!(f, ": {}, {} blocks of {} threads", row.symbol, g.grid[0], row.threads)
            }
        }
    }
}

/// The plan to turn a matrix of `rows` rows and `cols` columns. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for more rows or columns than a kernel indexes;
/// [`Error::Unsupported`](crate::Error::Unsupported) for a device below compute capability 8.0.
pub fn plan(rows: usize, cols: usize, facts: &DeviceFacts) -> Result<TransposeBytesPlan> {
    dimensions(rows, cols)?;
    // Padding is written even where there is no row to turn.
    let blocks = (cols.div_ceil(TILE) * rows.div_ceil(TILE).max(1)) as u64;
    let geometry = all_resident(Entry::TransposeBytesB8, blocks, TILE_BYTES, facts)?;
    Ok(TransposeBytesPlan { rows, cols, facts: *facts, geometry })
}

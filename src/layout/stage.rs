//! A warp's way from accumulator fragments to whole rows: 16 rows of 16 or 32 int32 in shared memory.
//!
//! Four int32 (a *quad*, 16 bytes) stay together; quad `q` of row `r` stands at place `q ^ s(r)` of its row:
//!
//! | columns | quads a row | `s(r)` |
//! |---|---|---|
//! | 32 | 8 | `2 · (r % 4)` |
//! | 16 | 4 | `2 · (r / 2 % 2)` |
//!
//! Lanes write 8 bytes (two neighbouring columns of an accumulator) and read 16 (a quad) or 4 (one column); none of
//! these meets a bank conflict. `kernels/tile/stage.cuh` is the same map.

/// Rows of a stage: those of one accumulator fragment.
pub const ROWS: u32 = 16;

/// A stage of 16 or 32 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    quads: u32,
}

impl Stage {
    /// 16 columns.
    pub const COLUMNS_16: Stage = Stage { quads: 4 };
    /// 32 columns.
    pub const COLUMNS_32: Stage = Stage { quads: 8 };

    /// Columns.
    pub const fn columns(self) -> u32 {
        self.quads * 4
    }

    /// Bytes of the whole stage.
    pub const fn bytes(self) -> u32 {
        ROWS * self.columns() * 4
    }

    /// Byte offset of an element; `None` outside the stage.
    pub fn offset(self, row: u32, column: u32) -> Option<u32> {
        if row >= ROWS || column >= self.columns() {
            return None;
        }
        let rows_per_line = 8 / self.quads;
        let place = (column / 4) ^ (2 * (row / rows_per_line % (self.quads / 2)));
        Some(((row * self.quads + place) * 4 + column % 4) * 4)
    }
}

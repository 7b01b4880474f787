//! Where the 16-byte chunks of a tile stand in shared memory, so that no access meets a bank conflict.
//!
//! A *line* is the 128 bytes that all 32 banks hold side by side: 8 chunks. A tile is rows of 64 or 128 bytes. Chunk
//! `c` of row `r` stands at place `c ^ f(r)` of its row:
//!
//! | row | rows a line | `f(r)` | equal to |
//! |---|---|---|---|
//! | 64 bytes | 2 | `r / 2 % 4` | TMA's 64-byte swizzle |
//! | 128 bytes | 1 | `r % 8` | TMA's and wgmma's 128-byte swizzle |
//!
//! In digits: a byte offset is `line · 128 + half · 64 + chunk · 16 + byte` for 64-byte rows, and
//! `row = 2 · line + half`, so `f` is `line % 4`; for 128-byte rows a row is a line and `f` is `line % 8`. Both are one
//! rule on addresses: the low bits of the line number are XORed onto the chunk. The same chunk of 8 rows, which
//! ldmatrix reads at once, falls on all 8 places of a line, and a whole row stays whole.
//!
//! `kernels/tile/swizzle.cuh` is the same map.

/// Bytes of a chunk: what one lane copies, and one row of an 8 × 8 matrix of ldmatrix.
pub const CHUNK: u32 = 16;

/// Bytes that the 32 banks hold side by side.
pub const LINE: u32 = 128;

/// The swizzle of tiles with rows of 64 or 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swizzle {
    chunks: u32,
}

impl Swizzle {
    /// Rows of 64 bytes.
    pub const ROWS_OF_64: Swizzle = Swizzle { chunks: 4 };
    /// Rows of 128 bytes.
    pub const ROWS_OF_128: Swizzle = Swizzle { chunks: 8 };

    /// The swizzle for rows of this many bytes, if there is one.
    pub fn for_row_bytes(row_bytes: u32) -> Option<Self> {
        [Self::ROWS_OF_64, Self::ROWS_OF_128].into_iter().find(|swizzle| swizzle.row_bytes() == row_bytes)
    }

    /// Bytes of a row.
    pub const fn row_bytes(self) -> u32 {
        self.chunks * CHUNK
    }

    /// Chunks of a row.
    pub const fn chunks(self) -> u32 {
        self.chunks
    }

    /// Where `chunk` of `row` stands in its row; `None` when the row has no such chunk. Its own inverse.
    pub fn place(self, row: u32, chunk: u32) -> Option<u32> {
        let rows_per_line = LINE / self.row_bytes();
        (chunk < self.chunks).then_some(chunk ^ (row / rows_per_line % self.chunks))
    }

    /// Byte offset in the tile of `byte` of `row`; `None` when the row has no such byte.
    pub fn offset(self, row: u32, byte: u32) -> Option<u64> {
        let place = self.place(row, byte / CHUNK)?;
        Some(u64::from(row) * u64::from(self.row_bytes()) + u64::from(place * CHUNK + byte % CHUNK))
    }

    /// The (row, byte) at a byte offset in the tile; `None` when the row number passes 32 bits.
    pub fn position(self, offset: u64) -> Option<(u32, u32)> {
        let row = u32::try_from(offset / u64::from(self.row_bytes())).ok()?;
        let at = (offset % u64::from(self.row_bytes())) as u32;
        Some((row, self.place(row, at / CHUNK)? * CHUNK + at % CHUNK))
    }
}

/// TMA's 128-byte swizzle as the hardware applies it, to address bits: bits 4–6 are XORed with bits 7–9. Its own
/// inverse.
///
/// For a tile of 128-byte rows that starts at a multiple of 1024 bytes this is [`Swizzle::ROWS_OF_128`].
pub const fn tma_128(address: u64) -> u64 {
    address ^ (((address >> 7) & 7) << 4)
}

/// TMA's 64-byte swizzle: bits 4–5 are XORed with bits 7–8. Its own inverse.
///
/// For a tile of 64-byte rows that starts at a multiple of 512 bytes this is [`Swizzle::ROWS_OF_64`].
pub const fn tma_64(address: u64) -> u64 {
    address ^ (((address >> 7) & 3) << 4)
}

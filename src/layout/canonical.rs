//! The canonical order of int8, fp8 and 16-bit matrices: `[rows, cols]`, columns contiguous, rows padded with zeros.
//!
//! It is what checkpoints hold, up to the padding, and what cp.async, ldmatrix, TMA and wgmma all read. A row starts at
//! a multiple of 16 bytes, the unit of a copy.

use crate::format::int8::ROW_ALIGN;
use crate::{Error, Result};

/// `cols` elements of `element_bytes` (1, 2, 4, 8 or 16), padded so that the next row starts at a multiple of
/// [`ROW_ALIGN`] bytes; in elements.
///
/// # Errors
/// [`Error::Shape`] when the size overflows or the element size is none of these.
pub fn padded(cols: usize, element_bytes: usize) -> Result<usize> {
    if !element_bytes.is_power_of_two() || element_bytes > ROW_ALIGN {
        return Err(Error::Shape(format!("elements of {element_bytes} bytes do not tile {ROW_ALIGN} bytes")));
    }
    cols.checked_next_multiple_of(ROW_ALIGN / element_bytes)
        .ok_or_else(|| Error::Shape(format!("{cols} columns exceed the address space")))
}

/// An index map of a row-major matrix with padded rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canonical {
    rows: usize,
    cols: usize,
    ld: usize,
}

impl Canonical {
    /// `[rows, cols]` of elements of `element_bytes`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the size overflows or the element size is not 1, 2, 4, 8 or 16.
    pub fn new(rows: usize, cols: usize, element_bytes: usize) -> Result<Self> {
        let ld = padded(cols, element_bytes)?;
        if rows.checked_mul(ld).and_then(|len| len.checked_mul(element_bytes)).is_none() {
            return Err(Error::Shape(format!("{rows} rows of {ld} columns exceed the address space")));
        }
        Ok(Canonical { rows, cols, ld })
    }

    /// Row stride in elements.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// Elements with the padding.
    pub fn padded_len(&self) -> usize {
        self.rows * self.ld
    }

    /// Index of element (row, col); `None` outside the matrix.
    pub fn index(&self, row: usize, col: usize) -> Option<usize> {
        (row < self.rows && col < self.cols).then(|| row * self.ld + col)
    }

    /// The (row, col) at an index; `None` in the padding and beyond the end.
    pub fn position(&self, index: usize) -> Option<(usize, usize)> {
        let (row, col) = (index.checked_div(self.ld)?, index.checked_rem(self.ld)?);
        (row < self.rows && col < self.cols).then_some((row, col))
    }
}

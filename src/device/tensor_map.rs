//! Descriptions of two-dimensional tiles for the tensor memory accelerator (TMA).

use crate::format::DType;
use crate::{Error, Result};

/// How the rows of a tile are permuted in shared memory so that column accesses meet no bank twice
/// (PTX ISA §5.5.6, "Swizzling modes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Swizzle {
    /// Row after row.
    None,
    /// 16-byte chunks permuted within 32 bytes.
    B32,
    /// 16-byte chunks permuted within 64 bytes.
    B64,
    /// 16-byte chunks permuted within 128 bytes.
    B128,
}

impl Swizzle {
    /// The bytes within which chunks move; a row of a tile is at most this long.
    pub fn span(self) -> Option<u32> {
        match self {
            Swizzle::None => None,
            Swizzle::B32 => Some(32),
            Swizzle::B64 => Some(64),
            Swizzle::B128 => Some(128),
        }
    }
}

/// What a kernel wants of a tensor map over a matrix: the tile, and how it lies in shared memory. Elements of the
/// tile outside the matrix are filled with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorMapDesc {
    /// Rows of a tile, 1 to 256.
    pub box_rows: u32,
    /// Columns of a tile in elements, 1 to 256; a row of the tile is a multiple of 16 bytes.
    pub box_cols: u32,
    /// Permutation in shared memory.
    pub swizzle: Swizzle,
}

/// A tensor map ready to be encoded: a description with the matrix that it is over, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TensorMap {
    pub dtype: DType,
    pub address: u64,
    /// Columns and rows of the matrix.
    pub dims: [u64; 2],
    /// Bytes from one row to the next.
    pub row_stride: u64,
    /// The tile.
    pub desc: TensorMapDesc,
}

impl TensorMap {
    /// Checks what `cuTensorMapEncodeTiled` demands (CUDA driver API, "Tensor Map Object Management").
    pub fn check(self) -> Result<TensorMap> {
        let shape = |text: String| Err(Error::Shape(format!("tensor map: {text}")));
        if !self.address.is_multiple_of(16) {
            return Err(Error::Misaligned { what: "a tensor map's matrix", address: self.address, align: 16 });
        }
        for (what, dim) in [("columns", self.dims[0]), ("rows", self.dims[1])] {
            if dim == 0 || dim > 1 << 32 {
                return shape(format!("{dim} {what} are not in 1..=2^32"));
            }
        }
        if !self.row_stride.is_multiple_of(16) || self.row_stride >= 1 << 40 {
            return shape(format!("a row stride of {} bytes is not a multiple of 16 below 2^40", self.row_stride));
        }
        for (what, size) in [("columns", self.desc.box_cols), ("rows", self.desc.box_rows)] {
            if size == 0 || size > 256 {
                return shape(format!("a box of {size} {what} is not in 1..=256"));
            }
        }
        let inner = self.desc.box_cols * self.dtype.size() as u32;
        if !inner.is_multiple_of(16) {
            return shape(format!("a box row of {inner} bytes is not a multiple of 16"));
        }
        if let Some(span) = self.desc.swizzle.span().filter(|&span| inner > span) {
            return shape(format!("a box row of {inner} bytes exceeds the swizzle's {span}"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> TensorMap {
        TensorMap {
            dtype: DType::U8,
            address: 4096,
            dims: [100, 7],
            row_stride: 112,
            desc: TensorMapDesc { box_rows: 64, box_cols: 128, swizzle: Swizzle::B128 },
        }
    }

    #[test]
    fn every_rule_has_its_error() {
        assert_eq!(good().check(), Ok(good()));
        let text = |change: fn(&mut TensorMap)| {
            let mut map = good();
            change(&mut map);
            map.check().unwrap_err().to_string()
        };
        assert_eq!(
            text(|m| m.address = 4104),
            "a tensor map's matrix is at address 0x1008, which is not a multiple of 16 bytes"
        );
        assert_eq!(text(|m| m.dims[0] = 0), "tensor map: 0 columns are not in 1..=2^32");
        assert_eq!(text(|m| m.dims[1] = (1 << 32) + 1), "tensor map: 4294967297 rows are not in 1..=2^32");
        assert_eq!(
            text(|m| m.row_stride = 120),
            "tensor map: a row stride of 120 bytes is not a multiple of 16 below 2^40"
        );
        assert_eq!(text(|m| m.desc.box_rows = 257), "tensor map: a box of 257 rows is not in 1..=256");
        assert_eq!(text(|m| m.desc.box_cols = 120), "tensor map: a box row of 120 bytes is not a multiple of 16");
        assert_eq!(text(|m| m.desc.box_cols = 144), "tensor map: a box row of 144 bytes exceeds the swizzle's 128");
    }
}

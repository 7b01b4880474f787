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

/// A tensor of one to five dimensions and the box that one copy takes of it. Dimension 0 is the innermost; entries
/// beyond the rank are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TensorShape {
    pub rank: usize,
    /// Elements in each dimension.
    pub dims: [u64; 5],
    /// Bytes between neighbours in each dimension; those of dimension 0 are adjacent.
    pub strides: [u64; 5],
    /// Elements of the box.
    pub tile: [u32; 5],
    pub swizzle: Swizzle,
    /// Elements outside read as NaN instead of zero; float types only.
    pub nan: bool,
}

/// A tensor map ready to be encoded: checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TensorMap {
    pub dtype: DType,
    pub address: u64,
    pub shape: TensorShape,
}

/// What the dimensions of a matrix are called.
const NAMES: [&str; 5] =
    ["columns", "rows", "elements of dimension 2", "elements of dimension 3", "elements of dimension 4"];

impl TensorShape {
    /// Tiles of a matrix, filled with zeros outside.
    pub fn matrix(cols: u64, rows: u64, row_stride: u64, desc: TensorMapDesc) -> TensorShape {
        TensorShape {
            rank: 2,
            dims: [cols, rows, 1, 1, 1],
            strides: [0, row_stride, 0, 0, 0],
            tile: [desc.box_cols, desc.box_rows, 1, 1, 1],
            swizzle: desc.swizzle,
            nan: false,
        }
    }

    /// Bytes from the first element to the end of the last one; None beyond 64 bits.
    pub fn extent(&self, size: u64) -> Option<u64> {
        let row = self.dims[0].checked_mul(size)?;
        (1..self.rank)
            .try_fold(row, |sum, i| sum.checked_add(self.dims[i].checked_sub(1)?.checked_mul(self.strides[i])?))
    }
}

impl TensorMap {
    /// Checks what `cuTensorMapEncodeTiled` demands (CUDA driver API, "Tensor Map Object Management").
    pub fn check(self) -> Result<TensorMap> {
        let shape = |text: String| Err(Error::Shape(format!("tensor map: {text}")));
        let TensorShape { rank, dims, strides, tile, swizzle, nan } = self.shape;
        if !(1..=5).contains(&rank) {
            return shape(format!("{rank} dimensions are not in 1..=5"));
        }
        if !self.address.is_multiple_of(16) {
            return Err(Error::Misaligned { what: "a tensor map's matrix", address: self.address, align: 16 });
        }
        for (what, dim) in NAMES.iter().zip(dims).take(rank) {
            if dim == 0 || dim > 1 << 32 {
                return shape(format!("{dim} {what} are not in 1..=2^32"));
            }
        }
        for (i, stride) in strides.into_iter().enumerate().take(rank).skip(1) {
            if !stride.is_multiple_of(16) || stride >= 1 << 40 {
                let what = if i == 1 { "a row stride".to_string() } else { format!("a stride of dimension {i}") };
                return shape(format!("{what} of {stride} bytes is not a multiple of 16 below 2^40"));
            }
        }
        for (what, size) in NAMES.iter().zip(tile).take(rank) {
            if size == 0 || size > 256 {
                return shape(format!("a box of {size} {what} is not in 1..=256"));
            }
        }
        let inner = tile[0] * self.dtype.size() as u32;
        if !inner.is_multiple_of(16) {
            return shape(format!("a box row of {inner} bytes is not a multiple of 16"));
        }
        if let Some(span) = swizzle.span().filter(|&span| inner > span) {
            return shape(format!("a box row of {inner} bytes exceeds the swizzle's {span}"));
        }
        if nan && !matches!(self.dtype, DType::F16 | DType::Bf16 | DType::F32) {
            return shape(format!("{:?} elements outside cannot be NaN", self.dtype));
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
            shape: TensorShape::matrix(
                100,
                7,
                112,
                TensorMapDesc { box_rows: 64, box_cols: 128, swizzle: Swizzle::B128 },
            ),
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
        assert_eq!(text(|m| m.shape.dims[0] = 0), "tensor map: 0 columns are not in 1..=2^32");
        assert_eq!(text(|m| m.shape.dims[1] = (1 << 32) + 1), "tensor map: 4294967297 rows are not in 1..=2^32");
        assert_eq!(
            text(|m| m.shape.strides[1] = 120),
            "tensor map: a row stride of 120 bytes is not a multiple of 16 below 2^40"
        );
        assert_eq!(text(|m| m.shape.tile[1] = 257), "tensor map: a box of 257 rows is not in 1..=256");
        assert_eq!(text(|m| m.shape.tile[0] = 120), "tensor map: a box row of 120 bytes is not a multiple of 16");
        assert_eq!(text(|m| m.shape.tile[0] = 144), "tensor map: a box row of 144 bytes exceeds the swizzle's 128");
        assert_eq!(text(|m| m.shape.rank = 6), "tensor map: 6 dimensions are not in 1..=5");
        assert_eq!(text(|m| m.shape.nan = true), "tensor map: U8 elements outside cannot be NaN");
    }
}

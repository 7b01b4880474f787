//! What a dense product is: operands, shape, output.

use std::fmt;

use super::super::gemm_s8::{MAX_K, Output};
use super::super::tile::Work;
use crate::format::DType;
use crate::{Error, Result};

/// Most bytes of K.
pub const MAX_K_BYTES: usize = i32::MAX as usize - 256;

/// Elements of K that a group may have.
pub const K_GROUPS: [usize; 2] = [64, 128];

/// Largest K of an int8 product whose rows of a have zero points: with `|a − zero| ≤ 255`, the greatest `K` with
/// `K·255·128 < 2^31`.
pub const MAX_K_WITH_ZEROS: usize = 65_793;

/// One operand: its element, and how K lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Type of an element.
    pub dtype: DType,
    /// False: `[M, K]` (or `[N, K]`) row-major, K along the rows. True: `[K, M]` row-major, K down the rows; 16-bit
    /// floats only.
    pub k_down: bool,
}

impl Operand {
    /// K along the rows.
    pub const fn new(dtype: DType) -> Operand {
        Operand { dtype, k_down: false }
    }

    /// K down the rows.
    pub const fn down(dtype: DType) -> Operand {
        Operand { dtype, k_down: true }
    }
}

/// A product, or a batch of products of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmProblem {
    /// Rows of the output.
    pub m: usize,
    /// Columns of the output.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Products: 1, or the size of a batch.
    pub batch: usize,
    /// The first operand, M × K.
    pub a: Operand,
    /// The second operand, N × K.
    pub b: Operand,
    /// Type of the output; s32 of int8 operands only.
    pub out: Output,
    /// Elements of K in a group, one of [`K_GROUPS`], where every group's sum is scaled by itself (or is only added by
    /// itself, so that an accumulator of few bits loses less); 8-bit operands only. The last group may be shorter.
    pub k_group: Option<usize>,
    /// Every element of the output has the same bits whatever M and the batch are. (Those of int8 without groups always
    /// have.)
    pub batch_invariant: bool,
}

impl GemmProblem {
    /// One product of operands of one type, K along the rows of both.
    pub const fn new(m: usize, n: usize, k: usize, dtype: DType, out: Output) -> GemmProblem {
        let operand = Operand::new(dtype);
        GemmProblem { m, n, k, batch: 1, a: operand, b: operand, out, k_group: None, batch_invariant: false }
    }

    /// True when the output has no element, so that nothing is launched.
    pub const fn is_empty(&self) -> bool {
        self.m == 0 || self.n == 0 || self.batch == 0
    }

    /// Whether sums are exact, so that every plan gives the same bits.
    pub(super) fn exact(&self) -> bool {
        self.a.dtype == DType::I8 && self.k_group.is_none()
    }

    pub(super) fn check(&self) -> Result<()> {
        let size = self.a.dtype.size();
        if let Some(group) = self.k_group {
            if !K_GROUPS.contains(&group) {
                return Err(Error::Unsupported(format!(
                    "groups of {group} elements of K: groups have {} or {}",
                    K_GROUPS[0], K_GROUPS[1]
                )));
            }
            if self.out == Output::I32 {
                return Err(Error::Unsupported("an s32 output of sums by groups of K, which are f32".into()));
            }
        }
        if self.exact() && self.k > MAX_K {
            return Err(Error::Shape(format!(
                "K = {} exceeds {MAX_K}, the largest K whose int32 sum is exact: K·128·128 must stay below 2^31",
                self.k
            )));
        }
        if self.k > MAX_K_BYTES / size {
            let most = MAX_K_BYTES / size;
            return Err(Error::Shape(format!("K = {} exceeds {most}, the largest that a kernel indexes", self.k)));
        }
        for (name, value) in [("M", self.m), ("N", self.n)] {
            if value > i32::MAX as usize / 2 {
                return Err(Error::Shape(format!(
                    "{name} = {value} exceeds {}, the largest dimension that a kernel indexes",
                    i32::MAX / 2
                )));
            }
        }
        let bytes = self.m.checked_mul(self.n).and_then(|e| e.checked_mul(self.batch)).and_then(|e| e.checked_mul(4));
        match bytes {
            Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
            _ => Err(Error::Shape(format!(
                "an output of {} x {} x {} elements exceeds the address space",
                self.batch, self.m, self.n
            ))),
        }
    }

    pub(super) fn work(&self) -> Work {
        let out = self.out.size() as u32;
        let [m, n, k, batch] = [self.m, self.n, self.k, self.batch].map(|x| x as u128);
        let operands = (m * self.a.dtype.size() as u128 + n * self.b.dtype.size() as u128) * k;
        let bytes = u64::try_from((operands + m * n * u128::from(out)).saturating_mul(batch)).unwrap_or(u64::MAX);
        Work { m: self.m, n: self.n, k: self.k, batch: self.batch, bytes, out }
    }
}

impl fmt::Display for GemmProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GemmProblem { m, n, k, batch, a, b, out, .. } = self;
        if *batch != 1 {
            write!(f, "{batch} of ")?;
        }
        let shape = |rows: &usize, operand: &Operand, t| match operand.k_down {
            false => format!("{} [{rows}, {k}]{t}", operand.dtype),
            true => format!("{} [{k}, {rows}]{}", operand.dtype, if t == "^T" { "" } else { "^T" }),
        };
        write!(f, "{} x {} -> {out}", shape(m, a, ""), shape(n, b, "^T"))?;
        if let Some(group) = self.k_group {
            write!(f, ", K in groups of {group}")?;
        }
        if self.batch_invariant { f.write_str(", batch invariant") } else { Ok(()) }
    }
}

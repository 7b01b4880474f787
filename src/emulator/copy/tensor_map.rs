//! Tensor maps: what `cuTensorMapEncodeTiled` makes on a GPU, for the modelled device.

use super::problem::Problem;

/// Element type of a tensor in a [`TensorMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TensorMapDtype {
    U8,
    U16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
    Bf16,
}

const DTYPES: [TensorMapDtype; 10] = {
    use TensorMapDtype::*;
    [U8, U16, U32, I32, U64, I64, F16, F32, F64, Bf16]
};

impl TensorMapDtype {
    /// Bytes of an element.
    pub fn size(self) -> u64 {
        use TensorMapDtype::*;
        match self {
            U8 => 1,
            U16 | F16 | Bf16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    fn is_float(self) -> bool {
        use TensorMapDtype::*;
        matches!(self, F16 | F32 | F64 | Bf16)
    }
}

/// How 16-byte chunks of the box are exchanged in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Swizzle {
    None,
    B32,
    B64,
    B128,
}

const SWIZZLES: [Swizzle; 4] = [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128];

impl Swizzle {
    /// Bytes of a line of the pattern; 16 without swizzle.
    pub fn span(self) -> u64 {
        match self {
            Swizzle::None => 16,
            Swizzle::B32 => 32,
            Swizzle::B64 => 64,
            Swizzle::B128 => 128,
        }
    }
}

/// What elements outside the tensor read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Zero.
    Zero,
    /// NaN, 0x7ff7 in every two bytes; float types only.
    Nan,
}

const MAGIC: [u8; 8] = *b"hbTMAP\x01\0";

/// A tiled tensor map: a tensor in global memory and the box that one copy takes from it. Dimension 0 is the
/// innermost.
///
/// Interleaved layouts and element strides other than 1 are not modelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// Element type.
    pub dtype: TensorMapDtype,
    /// Dimensions, 1 to 5; the entries of the arrays beyond it are not looked at.
    pub rank: u32,
    /// Device address of element 0, a multiple of 16.
    pub address: u64,
    /// Elements in each dimension, 1 to 2³².
    pub dims: [u64; 5],
    /// Bytes between neighbours in each dimension: multiples of 16 below 2⁴⁰. `strides[0]` is not looked at:
    /// elements of dimension 0 are adjacent.
    pub strides: [u64; 5],
    /// Elements of the box in each dimension, 1 to 256; the innermost a multiple of 16 bytes, and with a swizzle
    /// at most its span.
    pub box_: [u32; 5],
    /// Steps between the elements taken in each dimension; only 1 is modelled.
    pub element_strides: [u32; 5],
    /// Exchange of 16-byte chunks in shared memory.
    pub swizzle: Swizzle,
    /// What elements outside the tensor read as.
    pub fill: Fill,
}

impl TensorMap {
    /// The rank as an index.
    pub(super) fn ranks(&self) -> usize {
        self.rank.min(5) as usize
    }

    /// Bytes of a box in shared memory: what one copy completes on its mbarrier.
    pub fn box_bytes(&self) -> u64 {
        self.box_[..self.ranks()].iter().fold(self.dtype.size(), |bytes, &n| bytes.saturating_mul(u64::from(n)))
    }

    /// Checks the rules of `cuTensorMapEncodeTiled`.
    ///
    /// # Errors
    /// The rule that is broken, with its values.
    pub fn validate(&self) -> Result<(), Problem> {
        let refuse = |what: String| Err(Problem::operand(format!("tensor map: {what}")));
        if !(1..=5).contains(&self.rank) {
            return refuse(format!("rank {} is not 1 to 5", self.rank));
        }
        if !self.address.is_multiple_of(16) {
            return refuse(format!("address {:#x} is not a multiple of 16", self.address));
        }
        let (rank, size) = (self.ranks(), self.dtype.size());
        for (i, &dim) in self.dims[..rank].iter().enumerate() {
            if !(1..=1 << 32).contains(&dim) {
                return refuse(format!("dimension {i} of {dim} elements is not 1 to 2^32"));
            }
        }
        for (i, &stride) in self.strides[..rank].iter().enumerate().skip(1) {
            if !stride.is_multiple_of(16) || stride >= 1 << 40 {
                return refuse(format!("stride {stride} of dimension {i} is not a multiple of 16 below 2^40"));
            }
        }
        // The furthest element must have an address.
        let reach = (1..rank).try_fold(self.dims[0] * size, |sum, i| {
            (self.dims[i] - 1).checked_mul(self.strides[i]).and_then(|more| more.checked_add(sum))
        });
        if reach.and_then(|reach| self.address.checked_add(reach)).is_none() {
            return refuse(format!(
                "{:?} elements with strides {:?} reach beyond the address space",
                &self.dims[..rank],
                &self.strides[..rank]
            ));
        }
        for (i, &n) in self.box_[..rank].iter().enumerate() {
            if !(1..=256).contains(&n) {
                return refuse(format!("box of {n} elements in dimension {i} is not 1 to 256"));
            }
        }
        let inner = u64::from(self.box_[0]) * size;
        if !inner.is_multiple_of(16) {
            return refuse(format!("inner box of {inner} bytes is not a multiple of 16"));
        }
        if self.swizzle != Swizzle::None && inner > self.swizzle.span() {
            return refuse(format!("inner box of {inner} bytes exceeds the swizzle's {}", self.swizzle.span()));
        }
        for (i, &step) in self.element_strides[..rank].iter().enumerate() {
            if !(1..=8).contains(&step) {
                return refuse(format!("element stride {step} of dimension {i} is not 1 to 8"));
            }
            if step != 1 {
                return Err(Problem::unsupported(format!("tensor map: element stride {step} of dimension {i}")));
            }
        }
        if self.fill == Fill::Nan && !self.dtype.is_float() {
            return refuse(format!("NaN fill of {:?} elements", self.dtype));
        }
        Ok(())
    }

    /// The map as the 128 opaque bytes that a kernel gets (aligned to 64 by the parameter block).
    ///
    /// # Errors
    /// As [`TensorMap::validate`].
    pub fn to_bytes(&self) -> Result<[u8; 128], Problem> {
        self.validate()?;
        let mut bytes = [0; 128];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&MAGIC);
        put(&[self.dtype as u8, self.rank as u8, self.swizzle as u8, self.fill as u8]);
        put(&[0; 4]);
        put(&self.address.to_le_bytes());
        for i in 0..5 {
            let used = i < self.ranks();
            put(&(if used { self.dims[i] } else { 1 }).to_le_bytes());
            put(&(if used && i > 0 { self.strides[i] } else { 0 }).to_le_bytes());
            put(&(if used { self.box_[i] as u16 } else { 1 }).to_le_bytes());
        }
        Ok(bytes)
    }

    /// Reads what [`TensorMap::to_bytes`] wrote.
    ///
    /// # Errors
    /// Bytes that are not a tensor map, or a map that breaks the rules.
    pub fn from_bytes(bytes: &[u8; 128]) -> Result<TensorMap, Problem> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
            match bytes.split_first_chunk::<N>() {
                Some((field, rest)) => {
                    *bytes = rest;
                    *field
                }
                None => [0; N],
            }
        }
        let mut rest = &bytes[..];
        let magic: [u8; 8] = take(&mut rest);
        let [dtype, rank, swizzle, fill, ..]: [u8; 8] = take(&mut rest);
        let (dtype, swizzle) = (DTYPES.get(usize::from(dtype)), SWIZZLES.get(usize::from(swizzle)));
        let (MAGIC, Some(&dtype), Some(&swizzle)) = (magic, dtype, swizzle) else {
            return Err(Problem::operand(String::from("the 128 bytes are not a tensor map")));
        };
        let fill = if fill == 0 { Fill::Zero } else { Fill::Nan };
        let address = u64::from_le_bytes(take(&mut rest));
        let (mut dims, mut strides, mut box_) = ([1; 5], [0; 5], [1; 5]);
        for i in 0..5 {
            dims[i] = u64::from_le_bytes(take(&mut rest));
            strides[i] = u64::from_le_bytes(take(&mut rest));
            box_[i] = u32::from(u16::from_le_bytes(take(&mut rest)));
        }
        let map = TensorMap {
            dtype,
            rank: u32::from(rank),
            address,
            dims,
            strides,
            box_,
            element_strides: [1; 5],
            swizzle,
            fill,
        };
        map.validate()?;
        Ok(map)
    }
}

#[cfg(test)]
pub(super) fn example() -> TensorMap {
    TensorMap {
        dtype: TensorMapDtype::U8,
        rank: 2,
        address: 0x1_0000,
        dims: [200, 10, 1, 1, 1],
        strides: [0, 208, 0, 0, 0],
        box_: [128, 8, 1, 1, 1],
        element_strides: [1; 5],
        swizzle: Swizzle::B128,
        fill: Fill::Zero,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for rank in 1..=5 {
            let mut map = example();
            map.rank = rank;
            for i in 2..rank as usize {
                (map.dims[i], map.strides[i], map.box_[i]) = (1 << 32, 16 << i, 256);
            }
            let again = TensorMap::from_bytes(&map.to_bytes().unwrap()).unwrap();
            assert_eq!(again.to_bytes().unwrap(), map.to_bytes().unwrap());
            assert_eq!(again.box_bytes(), map.box_bytes());
            if rank >= 2 {
                assert_eq!(again, map);
            }
        }
        assert!(TensorMap::from_bytes(&[0; 128]).is_err());
        assert!(TensorMap::from_bytes(&[0xff; 128]).is_err());
    }

    #[test]
    fn broken_rules_are_refused() {
        type Break = fn(&mut TensorMap);
        let cases: [(Break, &str); 12] = [
            (|m| m.rank = 0, "rank 0"),
            (|m| m.rank = 6, "rank 6"),
            (|m| m.address += 8, "address 0x10008"),
            (|m| m.dims[1] = 0, "dimension 1 of 0"),
            (|m| m.dims[0] = (1 << 32) + 1, "dimension 0 of 4294967297"),
            (|m| m.strides[1] = 200, "stride 200"),
            (|m| m.strides[1] = 1 << 40, "stride 1099511627776"),
            (|m| m.box_[1] = 257, "box of 257"),
            (|m| m.box_[0] = 100, "100 bytes is not a multiple of 16"),
            (|m| m.box_[0] = 144, "144 bytes exceeds the swizzle's 128"),
            (|m| m.element_strides[0] = 9, "element stride 9"),
            (|m| m.fill = Fill::Nan, "NaN fill"),
        ];
        for (change, words) in cases {
            let mut map = example();
            change(&mut map);
            let problem = map.to_bytes().unwrap_err();
            assert!(problem.what.contains(words), "{problem} should name {words}");
        }
    }
}

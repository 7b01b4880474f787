//! What the bits mean: number types, quantized formats, and the files that hold them.
//!
//! Everything here is plain arithmetic on slices, with no device and no `unsafe`. A format says how a number becomes
//! bits and back; [`layout`](crate::layout) says where those bits lie, and nothing here knows tiles or launches.

mod fp8;
pub mod int8;
pub mod safetensors;
pub mod scaled;

use std::fmt;

use half::{bf16, f16};

pub use float8::{F8E4M3, F8E5M2};

/// A number type that buffers, kernels and files share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of an F32.
    Bf16,
    /// OCP 8-bit float of 4 exponent and 3 fraction bits: up to 448, no infinities, one NaN of either sign.
    E4m3,
    /// OCP 8-bit float of 5 exponent and 2 fraction bits: up to 57,344, the upper half of an F16.
    E5m2,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
}

impl DType {
    /// Every type, in declaration order.
    pub const ALL: [DType; 9] =
        [DType::F32, DType::F16, DType::Bf16, DType::E4m3, DType::E5m2, DType::I8, DType::U8, DType::I32, DType::U32];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::Bf16 => 2,
            DType::E4m3 | DType::E5m2 | DType::I8 | DType::U8 => 1,
        }
    }

    /// The short lower-case name: `f32`, `bf16`, `e4m3`, `i8`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::E4m3 => "e4m3",
            DType::E5m2 => "e5m2",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::I32 => "i32",
            DType::U32 => "u32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl Sealed for super::F8E4M3 {}
    impl Sealed for super::F8E5M2 {}
}

/// A floating type: `f32`, `f16`, `bf16`, or one of the 8-bit [`F8E4M3`] and [`F8E5M2`]. Every value of each is exactly
/// an `f32`.
pub trait Float: sealed::Sealed + Copy {
    /// The type's name as a value.
    const DTYPE: DType;
    /// The same number as an `f32`, exactly.
    fn to_f32(self) -> f32;
    /// The nearest number to an `f32`, ties to even. Beyond the range, and of an infinity: an infinity, but the largest
    /// finite number of an 8-bit type. NaN stays NaN.
    fn from_f32(value: f32) -> Self;
}

impl Float for f32 {
    const DTYPE: DType = DType::F32;
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> f32 {
        value
    }
}

impl Float for f16 {
    const DTYPE: DType = DType::F16;
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn from_f32(value: f32) -> f16 {
        f16::from_f32(value)
    }
}

impl Float for bf16 {
    const DTYPE: DType = DType::Bf16;
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
    fn from_f32(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
}

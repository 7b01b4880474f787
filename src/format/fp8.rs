//! The two 8-bit floats of the OCP 8-bit Floating Point Specification (OFP8), as the crate `float8` holds them.
//!
//! | | e4m3 | e5m2 |
//! |---|---|---|
//! | exponent bias | 7 | 15 |
//! | largest | 448 (`S.1111.110`) | 57,344 (`S.11110.11`) |
//! | least normal | 2⁻⁶ | 2⁻¹⁴ |
//! | least | 2⁻⁹ | 2⁻¹⁶ |
//! | infinities | none | `S.11111.00` |
//! | NaN | `S.1111.111` | `S.11111.{01, 10, 11}` |
//!
//! Narrowing is what `cvt.rn.satfinite.e4m3x2.f32` and `.e5m2x2.f32` do (PTX ISA, `cvt`): to the nearest, ties to the
//! even code, beyond the largest number to it, infinities too, and every NaN to 0x7F. `float8` does the same but for
//! NaN, whose sign (and in e5m2 part of whose payload) it keeps.

use super::{DType, F8E4M3, F8E5M2, Float};

/// The NaN that conversions give, in either format.
const NAN: u8 = 0x7f;

macro_rules! fp8 {
    ($($type:ident => $dtype:ident),*) => {$(
        impl Float for $type {
            const DTYPE: DType = DType::$dtype;
            fn to_f32(self) -> f32 {
                $type::to_f32(&self)
            }
            fn from_f32(value: f32) -> $type {
                if value.is_nan() { $type::from_bits(NAN) } else { $type::from_f32(value) }
            }
        }
    )*};
}

fp8!(F8E4M3 => E4m3, F8E5M2 => E5m2);

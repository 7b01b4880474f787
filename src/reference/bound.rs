//! How far from the truth a right result may be, element by element.
//!
//! Two kinds of terms: the *slack* of everything before the last rounding, and that rounding itself ([`Rounding`]), which
//! also knows where a type overflows to infinity.

use crate::format::DType;
use crate::{Error, Result};

/// Half the distance from 1 to the next f32: the largest relative error of one f32 rounding.
pub const U_F32: f64 = f64_power_of_two(-24);

/// Half the least positive f32: the largest absolute error of an f32 rounding below the normal range.
pub const TINY_F32: f64 = f64_power_of_two(-150);

/// The last rounding, to the type of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounding {
    /// Largest relative error of one rounding to nearest.
    pub unit: f64,
    /// Largest absolute error of one rounding below the normal range.
    pub tiny: f64,
    /// From this magnitude on, rounding to nearest gives infinity.
    pub overflow: f64,
}

impl Rounding {
    /// The rounding from f32 to `dtype`; to f32 itself there is none, only the range.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when `dtype` is an integer type.
    pub fn of(dtype: DType) -> Result<Self> {
        let power = f64_power_of_two;
        match dtype {
            // The largest finite value plus half its distance to the next power of two.
            DType::F32 => Ok(Rounding { unit: 0.0, tiny: 0.0, overflow: power(128) - power(103) }),
            DType::F16 => Ok(Rounding { unit: power(-11), tiny: power(-25), overflow: power(16) - power(4) }),
            DType::Bf16 => Ok(Rounding { unit: power(-8), tiny: power(-134), overflow: power(128) - power(119) }),
            other => Err(Error::Unsupported(format!("{other} is not a floating output type"))),
        }
    }

    /// The whole tolerance around `r`, for a value that was within `slack` of it before this rounding.
    pub fn tolerance(&self, r: f64, slack: f64) -> f64 {
        slack + (self.unit * (r.abs() + slack)).max(self.tiny)
    }
}

/// Slack of an int8 product scaled as the kernels do it: the accumulator is exact, so only the scaling rounds.
///
/// `acc` is the exact sum, `product = scale_row · scale_col · acc`, and `r` is `product + bias`. With `u` = 2⁻²⁴, the kernel's
/// `f32(acc)` is within `u` of `acc` (equal to it up to 2²⁴), the product of the scales within `u`, and their product within
/// `u` again: `(1 + u)³ − 1` of `product` at most, to which each product that falls below the normal range adds 2⁻¹⁵⁰, the
/// first of them multiplied by `acc`. Adding a bias rounds once more, by `u` of the sum. The factor 1.001 covers the squares of
/// `u` and the f64 roundings of `r` itself.
pub fn scaled_s8(acc: i64, product: f64, r: f64, has_bias: bool) -> f64 {
    let roundings = if acc.unsigned_abs() <= 1 << 24 { 2.0 } else { 3.0 };
    let scaling = roundings * U_F32 * product.abs() + (acc.unsigned_abs() as f64 + 1.0) * TINY_F32;
    let adding = if has_bias { U_F32 * r.abs() } else { 0.0 };
    1.001 * (scaling + adding)
}

/// What the bound of a floating product is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Magnitudes {
    /// `Σₖ |a · w|`
    pub absolute: f64,
    /// `Σₖ (a · w)²`
    pub squares: f64,
}

/// Slack of a floating product of `k` terms, for data of mean zero: `6 · u_w · √Σ(a·w)² + 2 · u_acc · √K · Σ|a·w|`.
///
/// `u_weight` is the unit roundoff of the dequantized factors (0 when they are not rounded) and `u_accumulate` that of the
/// sum. The first term is six standard deviations of independent roundings; the second allows the order of the sum to be
/// anything. For data of one sign, the number of partial sums that are rounded stands for √K: pass its square as `k`.
pub fn float_product(k: usize, sums: Magnitudes, u_weight: f64, u_accumulate: f64) -> f64 {
    6.0 * u_weight * sums.squares.sqrt() + 2.0 * u_accumulate * (k as f64).sqrt() * sums.absolute
}

const fn f64_power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

//! How far from the truth a right result may be, element by element.
//!
//! Two kinds of terms: the *slack* of everything before the last rounding, and that rounding itself ([`Rounding`]),
//! which also knows where a type overflows to infinity.

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
/// `acc` is the exact sum, `product = scale_row · scale_col · acc`, and `r` is `product + bias`. With `u` = 2⁻²⁴, the
/// kernel's `f32(acc)` is within `u` of `acc` (equal to it up to 2²⁴), the product of the scales within `u`, and their
/// product within `u` again: `(1 + u)³ − 1` of `product` at most, to which each product that falls below the normal
/// range adds 2⁻¹⁵⁰, the first of them multiplied by `acc`. Adding a bias rounds once more, by `u` of the sum. The
/// factor 1.001 covers the squares of `u` and the f64 roundings of `r` itself.
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
/// `u_weight` is the unit roundoff of the dequantized factors (0 when they are not rounded) and `u_accumulate` that of
/// the sum. The first term is six standard deviations of independent roundings; the second allows the order of the sum
/// to be anything. For data of one sign, the number of partial sums that are rounded stands for √K: pass its square as
/// `k`.
pub fn float_product(k: usize, sums: Magnitudes, u_weight: f64, u_accumulate: f64) -> f64 {
    6.0 * u_weight * sums.squares.sqrt() + 2.0 * u_accumulate * (k as f64).sqrt() * sums.absolute
}

/// A true value, and how far from it the f32 that a kernel holds may be.
///
/// Each operation bounds what its operands' slack becomes, then rounds once: by [`U_F32`] of the result, and by
/// [`TINY_F32`] where a product falls below the normal range (sums there are exact). Where the f32 surely overflows the
/// value is infinite, as the kernel's is; where it may or may not, the slack is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub value: f64,
    pub slack: f64,
}

impl Near {
    /// A number that the kernel is given.
    pub fn exactly(value: f32) -> Self {
        Near { value: value.into(), slack: 0.0 }
    }

    /// An f32 that is within `slack` of a true `value`.
    pub fn within(value: f64, slack: f64) -> Self {
        if !value.is_finite() {
            return Near { value, slack: 0.0 };
        }
        let overflows = |size: f64| (size as f32).is_infinite();
        match (overflows((value.abs() - slack).max(0.0)), overflows(value.abs() + slack)) {
            (true, _) => Near { value: f64::INFINITY.copysign(value), slack: 0.0 },
            (false, true) => Near { value, slack: f64::INFINITY },
            (false, false) => Near { value, slack },
        }
    }

    /// The product. With x and y off by s and t: `|x|·t + |y|·s + s·t`, and the rounding. A factor of exactly 1 rounds
    /// nothing.
    pub fn times(self, other: Near) -> Self {
        let one = Near::exactly(1.0);
        if self == one || other == one {
            return if self == one { other } else { self };
        }
        let value = self.value * other.value;
        // Zero times what may or may not be infinite counts as zero.
        let cross = |size: f64, slack: f64| if size == 0.0 || slack == 0.0 { 0.0 } else { size * slack };
        let slack = cross(self.value.abs() + self.slack, other.slack) + cross(other.value.abs(), self.slack);
        Near::within(value, 1.001 * (slack + U_F32 * (value.abs() + slack) + TINY_F32))
    }

    /// The sum. With operands off by s and t: `s + t`, and the rounding.
    pub fn plus(self, other: Near) -> Self {
        let (value, slack) = (self.value + other.value, self.slack + other.slack);
        Near::within(value, 1.001 * (slack + U_F32 * (value.abs() + slack)))
    }
}

const fn f64_power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

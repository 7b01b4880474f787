//! Floating-point formats and correct rounding into them, by integers: every mode, every format, one routine.

use super::super::super::ir::Round;

/// A binary floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Explicit mantissa bits.
    pub mantissa: u32,
    /// Exponent bits.
    pub exponent: u32,
    /// Has infinities; if not, the all-ones exponent holds numbers and only all-ones is NaN (e4m3).
    pub infinities: bool,
    /// The NaN that results are.
    pub nan: u64,
}

pub(crate) const F16: Format = Format { mantissa: 10, exponent: 5, infinities: true, nan: 0x7FFF };
pub(crate) const BF16: Format = Format { mantissa: 7, exponent: 8, infinities: true, nan: 0x7FFF };
pub(crate) const F32: Format = Format { mantissa: 23, exponent: 8, infinities: true, nan: 0x7FFF_FFFF };
pub(crate) const TF32: Format = Format { mantissa: 10, exponent: 8, infinities: true, nan: 0x3_FFFF };
pub(crate) const F64: Format = Format { mantissa: 52, exponent: 11, infinities: true, nan: 0x7FFF_FFFF_FFFF_FFFF };
pub(crate) const E4M3: Format = Format { mantissa: 3, exponent: 4, infinities: false, nan: 0x7F };
pub(crate) const E5M2: Format = Format { mantissa: 2, exponent: 5, infinities: true, nan: 0x7F };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    /// Bits of the largest finite number.
    pub fn max_finite(self) -> u64 {
        let all = (1 << (self.mantissa + self.exponent)) - 1;
        if self.infinities { all - (1 << self.mantissa) } else { all - 1 }
    }

    /// Bits of +infinity, or of the largest number where there is none.
    pub fn infinity(self) -> u64 {
        if self.infinities { ((1 << self.exponent) - 1) << self.mantissa } else { self.max_finite() }
    }

    /// The sign bit.
    pub fn sign(self) -> u64 {
        1 << (self.mantissa + self.exponent)
    }

    /// Rounds `±magnitude · 2^exponent` (plus something smaller than one unit of `magnitude` when `sticky`).
    /// Overflow gives infinity or the largest number, as the mode says; with `saturate` always the largest number.
    pub fn encode(
        self,
        negative: bool,
        magnitude: u64,
        exponent: i32,
        sticky: bool,
        mode: Round,
        saturate: bool,
    ) -> u64 {
        let sign = if negative { self.sign() } else { 0 };
        if magnitude == 0 {
            return sign; // callers give a sticky zero only after scaling, never here
        }
        // Normalize so that the leading one is bit 63.
        let shift = magnitude.leading_zeros();
        let (magnitude, exponent) = (magnitude << shift, exponent - shift as i32);
        // The value is 1.xxx · 2^top.
        let top = exponent + 63;
        let least = 1 - self.bias();
        // Bits below the last kept one: more of them for subnormal results.
        let drop = (63 - self.mantissa as i32) + (least - top).max(0);
        let (kept, half, below) = if drop > 64 {
            (0, false, true)
        } else if drop == 64 {
            (0, magnitude >> 63 == 1, magnitude << 1 != 0 || sticky)
        } else {
            let (rest, kept) = (magnitude << (64 - drop), magnitude >> drop);
            (kept, rest >> 63 == 1, rest << 1 != 0 || sticky)
        };
        let inexact = half || below;
        let up = match mode {
            Round::Zero | Round::IntZero => false,
            Round::Up | Round::IntUp => inexact && !negative,
            Round::Down | Round::IntDown => inexact && negative,
            Round::NearestAway => half,
            Round::Nearest | Round::IntNearest | Round::None => half && (below || kept & 1 == 1),
        };
        // A carry out of the mantissa moves into the exponent field by itself.
        let field = if top < least { 0 } else { (top - least) as u64 };
        let bits = (field << self.mantissa) + kept + u64::from(up);
        let overflowed = top > self.bias() + 1 || bits > self.max_finite();
        if !overflowed {
            return sign | bits;
        }
        let to_max = saturate
            || !self.infinities && mode == Round::Zero
            || matches!((mode, negative), (Round::Zero, _) | (Round::Up, true) | (Round::Down, false));
        sign | if to_max {
            self.max_finite()
        } else if self.infinities {
            self.infinity()
        } else {
            self.nan
        }
    }

    /// Rounds a number to this format. NaN becomes the format's NaN.
    pub fn encode_f64(self, value: f64, mode: Round, saturate: bool) -> u64 {
        if value.is_nan() {
            return self.nan;
        }
        let negative = value.is_sign_negative();
        if value.is_infinite() {
            let sign = if negative { self.sign() } else { 0 };
            let end = if saturate {
                self.max_finite()
            } else if self.infinities {
                self.infinity()
            } else {
                self.nan
            };
            return sign | end;
        }
        let bits = value.to_bits();
        let (field, fraction) = ((bits >> 52 & 0x7FF) as i32, bits & ((1 << 52) - 1));
        let (magnitude, exponent) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
        self.encode(negative, magnitude, exponent, false, mode, saturate)
    }

    /// The number that bits of this format stand for (every format here but f64 itself fits f64 exactly).
    pub fn to_f64(self, bits: u64) -> f64 {
        let negative = bits & self.sign() != 0;
        let magnitude = bits & (self.sign() - 1);
        let fraction = magnitude & ((1 << self.mantissa) - 1);
        let field = (magnitude >> self.mantissa) as i32;
        let last = (1 << self.exponent) - 1;
        let value = if self.infinities && field == last {
            if fraction == 0 { f64::INFINITY } else { return f64::NAN }
        } else if !self.infinities && magnitude == self.sign() - 1 {
            return f64::NAN;
        } else if field == 0 {
            fraction as f64 * power_of_two(1 - self.bias() - self.mantissa as i32)
        } else {
            (fraction | 1 << self.mantissa) as f64 * power_of_two(field - self.bias() - self.mantissa as i32)
        };
        if negative { -value } else { value }
    }
}

/// 2^n for n in the normal range of f64.
pub(crate) fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n + 1023).clamp(1, 2046) as u64) << 52)
}

/// `hi + error`, where `hi` is the f64 nearest to it, as the f64 next to it whose last bit is odd unless it is exact:
/// rounding that to fewer bits rounds the true value correctly in every mode.
pub(crate) fn odd(hi: f64, error: f64) -> f64 {
    if error == 0.0 || error.is_nan() || !hi.is_finite() || hi.to_bits() & 1 == 1 {
        return hi;
    }
    if hi == 0.0 {
        return error;
    }
    if error > 0.0 { hi.next_up() } else { hi.next_down() }
}

/// x + y, correctly rounded when rounded again.
pub(crate) fn add_odd(x: f64, y: f64) -> f64 {
    let (sum, error) = two_sum(x, y);
    odd(sum, error)
}

/// The rounded sum and what rounding lost (Knuth).
pub(crate) fn two_sum(x: f64, y: f64) -> (f64, f64) {
    let sum = x + y;
    let back = sum - x;
    (sum, (x - (sum - back)) + (y - back))
}

/// x·y + z for x and y of at most 26 significant bits, correctly rounded when rounded again.
pub(crate) fn fma_odd(x: f64, y: f64, z: f64) -> f64 {
    add_odd(x * y, z)
}

/// x ÷ y, correctly rounded when rounded again.
pub(crate) fn div_odd(x: f64, y: f64) -> f64 {
    let quotient = x / y;
    if !quotient.is_finite() || quotient == 0.0 || y.is_infinite() {
        return quotient;
    }
    let rest = (-quotient).mul_add(y, x);
    odd(quotient, if (rest < 0.0) == (y < 0.0) { rest.abs() } else { -rest.abs() })
}

/// √x, correctly rounded when rounded again.
pub(crate) fn sqrt_odd(x: f64) -> f64 {
    let root = x.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    odd(root, (-root).mul_add(root, x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_goes_to_f64_and_back() {
        for (format, peer) in [
            (F16, (|bits| f64::from(half::f16::from_bits(bits))) as fn(u16) -> f64),
            (BF16, |bits| f64::from(half::bf16::from_bits(bits))),
        ] {
            for bits in 0..=u16::MAX {
                let value = format.to_f64(u64::from(bits));
                assert!(value == peer(bits) || value.is_nan() && peer(bits).is_nan(), "{bits:#x}");
                if !value.is_nan() {
                    for mode in [Round::Nearest, Round::Zero, Round::Up, Round::Down, Round::NearestAway] {
                        assert_eq!(format.encode_f64(value, mode, false), u64::from(bits));
                    }
                }
            }
        }
    }

    #[test]
    fn rounding_to_f32_agrees_with_the_host() {
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let wide =
                f64::from_bits((state >> 2) & 0x000F_FFFF_FFFF_FFFF | (state % 400 + 823) << 52 | state & 1 << 63);
            assert_eq!(F32.encode_f64(wide, Round::Nearest, false) as u32, (wide as f32).to_bits(), "{wide:e}");
            let down = f32::from_bits(F32.encode_f64(wide, Round::Down, false) as u32);
            let up = f32::from_bits(F32.encode_f64(wide, Round::Up, false) as u32);
            assert!(f64::from(down) <= wide && wide <= f64::from(up));
            assert!(down == up || down.next_up() == up, "{wide:e}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(F16.encode_f64(65519.9, Round::Nearest, false), 0x7BFF);
        assert_eq!(F16.encode_f64(65520.0, Round::Nearest, false), 0x7C00);
        assert_eq!(F16.encode_f64(65520.0, Round::Nearest, true), 0x7BFF);
        assert_eq!(F16.encode_f64(1e9, Round::Zero, false), 0x7BFF);
        assert_eq!(F16.encode_f64(-1e9, Round::Up, false), 0xFBFF);
        assert_eq!(F16.encode_f64(2f64.powi(-25), Round::Nearest, false), 0);
        assert_eq!(F16.encode_f64(2f64.powi(-25) * 1.0001, Round::Nearest, false), 1);
        assert_eq!(F16.encode_f64(1e-300, Round::Up, false), 1);
        assert_eq!(F16.encode_f64(-1e-300, Round::Up, false), 0x8000);
        assert_eq!(E4M3.encode_f64(448.0, Round::Nearest, true), 0x7E);
        assert_eq!(E4M3.encode_f64(1e9, Round::Nearest, true), 0x7E);
        assert_eq!(E4M3.to_f64(0x7E), 448.0);
        assert_eq!(E4M3.encode_f64(-0.001953125, Round::Nearest, true), 0x81);
        assert_eq!(E5M2.encode_f64(1e9, Round::Nearest, true), 0x7B);
        assert_eq!(E5M2.to_f64(0x7B), 57344.0);
    }

    #[test]
    fn odd_results_keep_what_was_lost() {
        // 1 + 2^-60 is just above 1: rounding up must see it.
        assert_eq!(F32.encode_f64(add_odd(1.0, 2f64.powi(-60)), Round::Up, false), 0x3F80_0001);
        assert_eq!(F32.encode_f64(add_odd(1.0, -2f64.powi(-60)), Round::Zero, false), 0x3F7F_FFFF);
        assert_eq!(F32.encode_f64(div_odd(1.0, 3.0), Round::Down, false), 0x3EAA_AAAA);
        assert_eq!(F32.encode_f64(div_odd(1.0, 3.0), Round::Up, false), 0x3EAA_AAAB);
        assert_eq!(F32.encode_f64(div_odd(-1.0, 3.0), Round::Down, false), 0xBEAA_AAAB);
        assert_eq!(F32.encode_f64(sqrt_odd(2.0), Round::Down, false), 0x3FB5_04F3);
        assert_eq!(F32.encode_f64(sqrt_odd(2.0), Round::Up, false), 0x3FB5_04F4);
    }
}

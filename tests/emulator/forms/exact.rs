//! Correct rounding without rounding: a result is found by comparing its neighbours with the exact value, which is
//! a sum of products of integers and powers of two.

use std::cmp::Ordering;

/// `m · 2^e`, |m| below 2^110.
#[derive(Clone, Copy, Debug)]
pub struct Dyadic {
    pub m: i128,
    pub e: i32,
}

impl Dyadic {
    pub fn new(m: i128, e: i32) -> Dyadic {
        Dyadic { m, e }
    }

    pub fn neg(self) -> Dyadic {
        Dyadic { m: -self.m, e: self.e }
    }

    /// The product; both factors are below 2^55.
    pub fn times(self, other: Dyadic) -> Dyadic {
        Dyadic { m: self.m * other.m, e: self.e + other.e }
    }

    /// A finite f64.
    pub fn of(x: f64) -> Dyadic {
        let bits = x.to_bits();
        let (field, fraction) = ((bits >> 52 & 0x7FF) as i32, (bits & ((1 << 52) - 1)) as i128);
        let (m, e) = if field == 0 { (fraction, -1074) } else { (fraction + (1 << 52), field - 1075) };
        Dyadic { m: if x.is_sign_negative() { -m } else { m }, e }
    }
}

/// The sign of a sum.
#[inline(always)]
pub fn sign<const N: usize>(terms: [Dyadic; N]) -> Ordering {
    // Mostly all fits one i128.
    let least = terms.iter().fold(i32::MAX, |e, t| e.min(t.e));
    let most = terms.iter().fold(i32::MIN, |e, t| e.max(t.e));
    if most - least <= 60 && terms.iter().fold(0, |any, t| any | t.m ^ t.m >> 127) >> 64 == 0 {
        return terms.iter().map(|t| t.m << (t.e - least)).sum::<i128>().cmp(&0);
    }
    far_apart(terms)
}

#[inline(never)]
fn far_apart<const N: usize>(mut terms: [Dyadic; N]) -> Ordering {
    // From the largest exponent down; as soon as what is left cannot outweigh the sum, the sum's sign counts.
    terms.sort_by_key(|t| std::cmp::Reverse(t.e));
    let (mut high, mut low, mut e) = (0i128, 0u128, terms[0].e);
    for t in terms.iter().filter(|t| t.m != 0) {
        let shift = (e - t.e) as u32;
        let small = high == low as i128 >> 127 && (low as i128).unsigned_abs() < 1 << 112;
        if (high, low) != (0, 0) && (!small || shift > 112) {
            break;
        }
        if shift > 0 && (high, low) != (0, 0) {
            high = high << shift | (low >> (128 - shift)) as i128;
            low <<= shift;
        }
        let (sum, carry) = low.overflowing_add(t.m as u128);
        high += (t.m >> 127) + i128::from(carry);
        (low, e) = (sum, t.e);
    }
    high.cmp(&0).then(if low == 0 { Ordering::Equal } else { Ordering::Greater })
}

/// 2^n of a normal f64.
fn power(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// A rounding mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Rn,
    Rna,
    Rz,
    Rm,
    Rp,
}

/// The four modes of arithmetic, by name.
pub const MODES: [(&str, Mode); 4] = [("rn", Mode::Rn), ("rz", Mode::Rz), ("rm", Mode::Rm), ("rp", Mode::Rp)];

/// A format: mantissa bits, least exponent of a normal number, largest finite magnitude as bits, sign bit, canonical
/// NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub mantissa: u32,
    pub emin: i32,
    pub max: u64,
    pub sign: u64,
    pub nan: u64,
}

pub const F16: Format = Format { mantissa: 10, emin: -14, max: 0x7BFF, sign: 0x8000, nan: 0x7FFF };
pub const BF16: Format = Format { mantissa: 7, emin: -126, max: 0x7F7F, sign: 0x8000, nan: 0x7FFF };
pub const F32: Format = Format { mantissa: 23, emin: -126, max: 0x7F7F_FFFF, sign: 1 << 31, nan: 0x7FFF_FFFF };
pub const TF32: Format = Format { mantissa: 10, emin: -126, max: 0x3_FBFF, sign: 1 << 18, nan: 0x3_FFFF };
pub const F64: Format =
    Format { mantissa: 52, emin: -1022, max: 0x7FEF_FFFF_FFFF_FFFF, sign: 1 << 63, nan: 0xFFF8_0000_0000_0000 };
pub const E4M3: Format = Format { mantissa: 3, emin: -6, max: 0x7E, sign: 0x80, nan: 0x7F };
pub const E5M2: Format = Format { mantissa: 2, emin: -14, max: 0x7B, sign: 0x80, nan: 0x7F };

/// A number as the format holds it.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Nan,
    Infinite(bool),
    Finite(bool, Dyadic),
}

impl Format {
    /// Infinity: one above the largest finite number.
    pub fn infinity(self) -> u64 {
        self.max + 1
    }

    /// The number of bits.
    #[inline(always)]
    pub fn number(self, bits: u64) -> Number {
        let (negative, magnitude) = (bits & self.sign != 0, bits & (self.sign - 1));
        if magnitude > self.max {
            let infinite = magnitude == self.infinity() && self.mantissa != 3;
            return if infinite { Number::Infinite(negative) } else { Number::Nan };
        }
        let value = self.value(magnitude as i64);
        Number::Finite(negative, if negative { value.neg() } else { value })
    }

    /// The number at a place on the line of all finite ones, where zero is 0; one past the largest is what would
    /// follow if exponents went on.
    #[inline(always)]
    fn value(self, key: i64) -> Dyadic {
        let magnitude = key.unsigned_abs();
        let (field, fraction) = (magnitude >> self.mantissa, magnitude & ((1 << self.mantissa) - 1));
        let (m, e) = match field {
            0 => (fraction, self.emin),
            _ => (fraction + (1 << self.mantissa), self.emin + field as i32 - 1),
        };
        Dyadic::new(if key < 0 { -i128::from(m) } else { m.into() }, e - self.mantissa as i32)
    }

    /// A place near a number.
    fn key(self, near: f64) -> i64 {
        let size = near.abs();
        let key = if size.is_nan() {
            0
        } else if self.mantissa == 52 {
            size.to_bits()
        } else if size < power(self.emin) {
            (size * power(self.mantissa as i32 - self.emin)) as u64
        } else {
            let bits = size.to_bits();
            let field = (bits >> 52) as i64 - 1023 - i64::from(self.emin) + 1;
            (field.min(1 << 11) as u64) << self.mantissa | (bits & ((1 << 52) - 1)) >> (52 - self.mantissa)
        };
        let key = key.min(self.max) as i64;
        // Below zero the greatest number that is not above lies one further, unless the guess is exact.
        if near < 0.0 { -key - 1 } else { key }
    }

    /// Rounds a value that is not zero, known by how it compares with others. `near` is a guess, which costs time
    /// when it is wrong and nothing else. With `clamp` what is too large becomes the largest number.
    #[inline(always)]
    pub fn round(self, mode: Mode, near: f64, clamp: bool, compare: impl Fn(Dyadic) -> Ordering) -> u64 {
        let max = self.max as i64;
        // The greatest finite number that is not above the value.
        let mut low = self.key(near).clamp(-max - 1, max);
        let against = |key: i64| if key < -max { Ordering::Greater } else { compare(self.value(key)) };
        let mut step = 1i64;
        let mut order = against(low);
        while order == Ordering::Less {
            low = low.saturating_sub(step).max(-max - 1);
            step = step.saturating_mul(2);
            order = against(low);
        }
        step = 1;
        let mut high = low + 1;
        while high <= max && order != Ordering::Equal {
            let next = against(high);
            if next == Ordering::Less {
                break;
            }
            (low, order) = (high, next);
            high = high.saturating_add(step).min(max + 1);
            step = step.saturating_mul(2);
        }
        while high - low > 1 && order != Ordering::Equal {
            let middle = low + (high - low) / 2;
            match against(middle) {
                Ordering::Less => high = middle,
                next => (low, order) = (middle, next),
            }
        }
        // The value is not zero, so that it has the sign of its neighbours.
        let negative = low < 0;
        let up = if order == Ordering::Equal {
            false
        } else {
            match mode {
                Mode::Rm => false,
                Mode::Rp => true,
                Mode::Rz => negative,
                Mode::Rn | Mode::Rna => {
                    // The value against the middle of its neighbours.
                    let (a, b) = (self.value(low), self.value(low + 1));
                    let e = a.e.min(b.e);
                    let middle = Dyadic::new((a.m << (a.e - e)) + (b.m << (b.e - e)), e - 1);
                    match compare(middle) {
                        Ordering::Less => false,
                        Ordering::Greater => true,
                        Ordering::Equal if mode == Mode::Rna => !negative,
                        Ordering::Equal => low & 1 != 0,
                    }
                }
            }
        };
        let key = low + i64::from(up);
        let magnitude = key.unsigned_abs();
        let magnitude = if clamp { magnitude.min(self.max) } else { magnitude };
        magnitude | if negative { self.sign } else { 0 }
    }

    /// A sum of two terms that is not zero.
    pub fn round_sum(self, mode: Mode, near: f64, x: Dyadic, y: Dyadic) -> u64 {
        self.round(mode, near, false, |v| sign([x, y, v.neg()]))
    }

    /// One number that is not zero.
    pub fn round_one(self, mode: Mode, near: f64, clamp: bool, x: Dyadic) -> u64 {
        self.round(mode, near, clamp, |v| sign([x, v.neg()]))
    }
}

#[test]
fn signs_of_sums() {
    let d = Dyadic::new;
    assert_eq!(sign([d(1, 2000), d(-1, 2000), d(1, -2000)]), Ordering::Greater);
    assert_eq!(sign([d(1, 2000), d(-1, 2000), d(-1, -2000)]), Ordering::Less);
    assert_eq!(sign([d(-1, 2000), d((1 << 109) - 1, 1891), d(1, 1891)]), Ordering::Equal);
    assert_eq!(sign([d(-1, 200), d(1 << 100, 100), d(1, -2000)]), Ordering::Greater);
    assert_eq!(sign([d(-1, 200), d((1 << 100) - 1, 100), d(1 << 100, -1)]), Ordering::Less);
    assert_eq!(sign([d(-1, 200), d((1 << 100) - 1, 100), d(1 << 100, 0)]), Ordering::Equal);
    assert_eq!(sign([d(-(1 << 105), 300), d(1 << 105, 299), d(1 << 105, 299)]), Ordering::Equal);
    assert_eq!(sign([d(0, 300), d(0, 299)]), Ordering::Equal);
}

#[test]
fn rounding_agrees_with_the_host() {
    let mut random = super::inputs::Random(3);
    for _ in 0..10_000 {
        let x = f64::from_bits(random.next());
        if !x.is_finite() || x == 0.0 {
            continue;
        }
        let nearest = |mode| F32.round_one(mode, x, false, Dyadic::of(x));
        assert_eq!(nearest(Mode::Rn), u64::from((x as f32).to_bits()), "{x:e}");
        for mode in [Mode::Rn, Mode::Rz, Mode::Rm, Mode::Rp] {
            assert_eq!(nearest(mode), F32.round_one(mode, 1.0, false, Dyadic::of(x)), "{x:e} with a bad guess");
            assert_eq!(F64.round_one(mode, 0.0, false, Dyadic::of(x)), x.to_bits());
        }
    }
    assert_eq!(F16.round_one(Mode::Rn, 65520.0, false, Dyadic::of(65520.0)), 0x7C00);
    assert_eq!(F16.round_one(Mode::Rz, 65520.0, false, Dyadic::of(65520.0)), 0x7BFF);
    assert_eq!(F16.round_one(Mode::Rn, 1e300, true, Dyadic::of(-1e300)), 0xFBFF);
    assert_eq!(E4M3.round_one(Mode::Rn, 464.0, true, Dyadic::of(464.0)), 0x7E);
}

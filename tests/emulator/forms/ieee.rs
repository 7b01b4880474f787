//! IEEE 754 operations with PTX's rules for NaN, `.ftz`, `.sat` and `.relu`, by exact comparison; to nearest in f32 and
//! f64 by the host's own arithmetic.

use super::exact::{BF16, Dyadic, E4M3, E5M2, F16, F32, F64, Format, Mode, Number, sign};
use std::cmp::Ordering;
use std::sync::OnceLock;

use Number::{Finite, Infinite, Nan};

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn g(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// The number as f64, for guesses and for formats that fit.
pub fn near(format: Format, bits: u64) -> f64 {
    match format {
        F32 => f(bits).into(),
        F64 => g(bits),
        F16 => halves()[bits as usize & 0xFFFF],
        BF16 => f32::from_bits((bits as u32) << 16).into(),
        _ => match format.number(bits) {
            Finite(_, v) => v.m as f64 * 2f64.powi(v.e),
            Infinite(negative) => f64::INFINITY * if negative { -1.0 } else { 1.0 },
            Nan => f64::NAN,
        },
    }
}

/// Every f16.
fn halves() -> &'static [f64] {
    static ALL: OnceLock<Vec<f64>> = OnceLock::new();
    ALL.get_or_init(|| (0..=u16::MAX).map(|bits| half::f16::from_bits(bits).into()).collect())
}

/// What an operation gives that has a NaN among its operands: f64 keeps the first one's payload, quiet; others have
/// one NaN only.
pub fn nan(format: Format, operands: &[u64]) -> u64 {
    if format != F64 {
        return format.nan;
    }
    operands.iter().find(|x| g(**x).is_nan()).map_or(F64.nan, |x| x | 1 << 51)
}

fn signed(format: Format, negative: bool, magnitude: u64) -> u64 {
    magnitude | if negative { format.sign } else { 0 }
}

/// Bits of a host result that is not NaN, or canonical NaN.
fn host32(x: f32) -> u64 {
    if x.is_nan() { F32.nan } else { x.to_bits().into() }
}

fn host64(x: f64, operands: &[u64]) -> u64 {
    if x.is_nan() { nan(F64, operands) } else { x.to_bits() }
}

pub fn add(format: Format, mode: Mode, a: u64, b: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => return host32(f(a) + f(b)),
        (F64, Mode::Rn) => return host64(g(a) + g(b), &[a, b]),
        _ => {}
    }
    match (format.number(a), format.number(b)) {
        (Nan, _) | (_, Nan) => nan(format, &[a, b]),
        (Infinite(x), Infinite(y)) if x != y => format.nan,
        (Infinite(x), _) | (_, Infinite(x)) => signed(format, x, format.infinity()),
        (Finite(s, x), Finite(t, y)) => sum(format, mode, (s, x), (t, y), near(format, a) + near(format, b)),
    }
}

/// A sum, with the sign of an exact zero.
fn sum(format: Format, mode: Mode, (s, x): (bool, Dyadic), (t, y): (bool, Dyadic), guess: f64) -> u64 {
    if sign([x, y]) == Ordering::Equal {
        let negative = if s == t && x.m == 0 { s } else { mode == Mode::Rm };
        return signed(format, negative, 0);
    }
    format.round_sum(mode, guess, x, y)
}

pub fn sub(format: Format, mode: Mode, a: u64, b: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => host32(f(a) - f(b)),
        (F64, Mode::Rn) => host64(g(a) - g(b), &[a, b]),
        _ if matches!(format.number(b), Nan) => nan(format, &[a, b]),
        _ => add(format, mode, a, b ^ format.sign),
    }
}

pub fn mul(format: Format, mode: Mode, a: u64, b: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => return host32(f(a) * f(b)),
        (F64, Mode::Rn) => return host64(g(a) * g(b), &[a, b]),
        _ => {}
    }
    let negative = (a ^ b) & format.sign != 0;
    match (format.number(a), format.number(b)) {
        (Nan, _) | (_, Nan) => nan(format, &[a, b]),
        (Infinite(_), Finite(_, z)) | (Finite(_, z), Infinite(_)) if z.m == 0 => format.nan,
        (Infinite(_), _) | (_, Infinite(_)) => signed(format, negative, format.infinity()),
        (Finite(_, x), Finite(_, y)) if x.m == 0 || y.m == 0 => signed(format, negative, 0),
        (Finite(_, x), Finite(_, y)) => format.round_one(mode, near(format, a) * near(format, b), false, x.times(y)),
    }
}

pub fn fma(format: Format, mode: Mode, a: u64, b: u64, c: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => return host32(f(a).mul_add(f(b), f(c))),
        (F64, Mode::Rn) => return host64(g(a).mul_add(g(b), g(c)), &[b, c, a]),
        _ => {}
    }
    let negative = (a ^ b) & format.sign != 0;
    let guess = near(format, a).mul_add(near(format, b), near(format, c));
    match (format.number(a), format.number(b), format.number(c)) {
        // The second factor's NaN comes first, then the addend's, as on an H100.
        (Nan, ..) | (_, Nan, _) | (.., Nan) => nan(format, &[b, c, a]),
        (Infinite(_), Finite(_, z), _) | (Finite(_, z), Infinite(_), _) if z.m == 0 => format.nan,
        (Infinite(_), _, Infinite(s)) | (_, Infinite(_), Infinite(s)) if s != negative => format.nan,
        (Infinite(_), ..) | (_, Infinite(_), _) => signed(format, negative, format.infinity()),
        (.., Infinite(s)) => signed(format, s, format.infinity()),
        (Finite(_, x), Finite(_, y), Finite(t, z)) => sum(format, mode, (negative, x.times(y)), (t, z), guess),
    }
}

pub fn div(format: Format, mode: Mode, a: u64, b: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => return host32(f(a) / f(b)),
        (F64, Mode::Rn) => return host64(g(a) / g(b), &[a, b]),
        _ => {}
    }
    let negative = (a ^ b) & format.sign != 0;
    match (format.number(a), format.number(b)) {
        (Nan, _) | (_, Nan) => nan(format, &[a, b]),
        (Infinite(_), Infinite(_)) => format.nan,
        (Infinite(_), _) => signed(format, negative, format.infinity()),
        (_, Infinite(_)) => signed(format, negative, 0),
        (Finite(_, x), Finite(_, y)) => match (x.m, y.m) {
            (0, 0) => format.nan,
            (0, _) => signed(format, negative, 0),
            (_, 0) => signed(format, negative, format.infinity()),
            // a ÷ b against v is a against v · b, the other way round for negative b.
            _ => format.round(mode, near(format, a) / near(format, b), false, |v| {
                let order = sign([x, v.times(y).neg()]);
                if y.m < 0 { order.reverse() } else { order }
            }),
        },
    }
}

pub fn sqrt(format: Format, mode: Mode, a: u64) -> u64 {
    match (format, mode) {
        (F32, Mode::Rn) => return host32(f(a).sqrt()),
        (F64, Mode::Rn) => return host64(g(a).sqrt(), &[a]),
        _ => {}
    }
    match format.number(a) {
        Nan => nan(format, &[a]),
        Finite(_, x) if x.m == 0 => a,
        Infinite(true) | Finite(true, _) => format.nan,
        Infinite(false) => a,
        Finite(_, x) => format.round(mode, near(format, a).sqrt(), false, |v| {
            if v.m < 0 { Ordering::Greater } else { sign([x, v.times(v).neg()]) }
        }),
    }
}

/// A subnormal becomes a zero of its sign.
pub fn flush(format: Format, bits: u64) -> u64 {
    if bits & (format.sign - 1) < 1 << format.mantissa { bits & format.sign } else { bits }
}

pub fn flush_if(ftz: bool, format: Format, bits: u64) -> u64 {
    if ftz { flush(format, bits) } else { bits }
}

/// `.sat`: into [0, 1], NaN becoming 0.
pub fn saturate(format: Format, bits: u64) -> u64 {
    let value = near(format, bits);
    if value.is_nan() || value <= 0.0 {
        0
    } else if value >= 1.0 {
        format.round_one(Mode::Rn, 1.0, false, Dyadic::new(1, 0))
    } else {
        bits
    }
}

/// `.relu`: what is negative becomes 0, NaN stays.
pub fn relu(format: Format, bits: u64) -> u64 {
    if bits & format.sign != 0 && !is_nan(format, bits) { 0 } else { bits }
}

pub fn is_nan(format: Format, bits: u64) -> bool {
    matches!(format.number(bits), Nan)
}

/// The place of a number in the order in which -0 is below +0.
fn rank(format: Format, bits: u64) -> i64 {
    let magnitude = (bits & (format.sign - 1)) as i64;
    if bits & format.sign != 0 { -1 - magnitude } else { magnitude }
}

/// `min` and `max`: a number wins over NaN unless `.NaN` is there.
pub fn least(format: Format, largest: bool, keep_nan: bool, a: u64, b: u64) -> u64 {
    match (is_nan(format, a), is_nan(format, b)) {
        (true, true) => nan(format, &[a, b]),
        (true, false) | (false, true) if keep_nan => format.nan,
        (true, false) => b,
        (false, true) => a,
        _ if (rank(format, a) > rank(format, b)) == largest => a,
        _ => b,
    }
}

/// The same of the magnitudes, with the product's sign.
pub fn least_magnitude(format: Format, largest: bool, keep_nan: bool, a: u64, b: u64) -> u64 {
    let d = least(format, largest, keep_nan, a & (format.sign - 1), b & (format.sign - 1));
    if is_nan(format, d) { d } else { d | (a ^ b) & format.sign }
}

#[test]
fn both_ways_to_nearest_agree() {
    let mut random = super::inputs::Random(9);
    let odd = |format: Format, x: u64| format.round(Mode::Rn, 0.0, false, move |v| sign([Dyadic::of(g(x)), v.neg()]));
    for _ in 0..20_000 {
        let x = f64::from(f(random.next()));
        if x.is_finite() && x != 0.0 {
            assert_eq!(odd(F16, x.to_bits()), u64::from(half::f16::from_f32(x as f32).to_bits()), "{x:e}");
            assert_eq!(odd(BF16, x.to_bits()), u64::from(half::bf16::from_f32(x as f32).to_bits()), "{x:e}");
        }
    }
    for bits in 0..256 {
        assert!((bits & 0x7F > 0x7E) == is_nan(E4M3, bits) && (bits & 0x7F > 0x7C) == is_nan(E5M2, bits));
    }
}

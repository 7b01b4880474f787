//! `cvt` between all scalar types (PTX ISA §9.7.9.21), and packed conversions.

use super::super::super::ir::{Mods, Round, Ty};
use super::float;
use super::half::{self, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::int32::{L32, extend, map1, map2, shape};
use super::int64::L64;
use super::round::{self, BF16, E4M3, E5M2, F16, F32, F64, Format, TF32};

/// A conversion whose source and destination are both in the 32-bit file and that is common enough for a plain loop.
#[inline(always)]
pub(crate) fn fast(to: Ty, from: Ty, mods: Mods, a: &L32) -> Option<L32> {
    if mods.ftz || mods.relu {
        return None;
    }
    let nearest = matches!(mods.round, Round::Nearest | Round::None);
    let f = |x: u32| f32::from_bits(x);
    Some(match (to, from) {
        (Ty::F32, Ty::F16) if !mods.sat => map1(a, |x| nan_kept(f16_to_f32(x & 0xFFFF))),
        // A shift, whatever the number: NaN too keeps its bits.
        (Ty::F32, Ty::BF16) if !mods.sat => map1(a, |x| x << 16),
        // NaN is cut off, not rounded.
        (Ty::TF32, Ty::F32) if mods.round == Round::NearestAway && !mods.sat => {
            map1(a, |x| if f(x).is_nan() { x } else { x + 0x1000 } & !0x1FFF)
        }
        (Ty::F16, Ty::F32) if nearest && !mods.sat => map1(a, f32_to_f16),
        (Ty::BF16, Ty::F32) if nearest && !mods.sat => map1(a, f32_to_bf16),
        (Ty::F32, Ty::S32) if nearest && !mods.sat => map1(a, |x| (x as i32 as f32).to_bits()),
        (Ty::F32, Ty::U32) if nearest && !mods.sat => map1(a, |x| (x as f32).to_bits()),
        (Ty::S32, Ty::F32) if mods.round == Round::IntNearest => map1(a, |x| f(x).round_ties_even() as i32 as u32),
        (Ty::S32, Ty::F32) if mods.round == Round::IntZero => map1(a, |x| f(x) as i32 as u32),
        (Ty::U32, Ty::F32) if mods.round == Round::IntNearest => map1(a, |x| f(x).round_ties_even() as u32),
        (Ty::U32, Ty::F32) if mods.round == Round::IntZero => map1(a, |x| f(x) as u32),
        (Ty::S8, Ty::F32) if mods.round == Round::IntNearest => map1(a, |x| f(x).round_ties_even() as i8 as u32),
        _ if !mods.sat => {
            let ((to_bits, _), (bits, signed)) = (shape(to)?, shape(from)?);
            let (_, to_signed) = shape(to)?;
            map1(a, |x| extend(extend(x, bits, signed), to_bits, to_signed))
        }
        _ => return None,
    })
}

/// NaN canonical, else unchanged.
#[inline(always)]
fn nan_kept(x: u32) -> u32 {
    if x & 0x7FFF_FFFF > 0x7F80_0000 { float::NAN } else { x }
}

/// True for the types of the 64-bit file.
pub(crate) fn is_wide(ty: Ty) -> bool {
    matches!(ty, Ty::U64 | Ty::S64 | Ty::B64 | Ty::F64)
}

fn float_format(ty: Ty) -> Option<Format> {
    Some(match ty {
        Ty::F16 => F16,
        Ty::BF16 => BF16,
        Ty::F32 => F32,
        Ty::F64 => F64,
        Ty::TF32 => TF32,
        _ => return None,
    })
}

/// One value on its way: a number, exactly.
enum Value {
    Integer(i128),
    Float(f64),
}

/// Any conversion, lane by lane. Sources and results are given as 64-bit lanes; a signed narrow result is
/// sign-extended, as registers wider than the type ask.
#[inline(never)]
pub(crate) fn slow(to: Ty, from: Ty, mods: Mods, a: &L64) -> Option<L64> {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = one(to, from, mods, a[i])?;
    }
    Some(t)
}

fn integer_shape(ty: Ty) -> Option<(u32, bool)> {
    match ty {
        Ty::U64 | Ty::B64 => Some((64, false)),
        Ty::S64 => Some((64, true)),
        _ => shape(ty),
    }
}

fn one(to: Ty, from: Ty, mods: Mods, x: u64) -> Option<u64> {
    let value = match from {
        Ty::E4M3x2 | Ty::E5M2x2 => return unpack(to, from, mods, x),
        Ty::F16x2 => return narrow(to, mods, x),
        _ => match (float_format(from), integer_shape(from)) {
            (Some(format), _) => {
                let v = if format == F64 { f64::from_bits(x) } else { format.to_f64(x & (2 * format.sign() - 1)) };
                let subnormal = mods.ftz && format == F32 && v != 0.0 && v.abs() < round::power_of_two(-126);
                Value::Float(if subnormal { 0f64.copysign(v) } else { v })
            }
            (_, Some((64, true))) => Value::Integer(i128::from(x as i64)),
            (_, Some((64, false))) => Value::Integer(i128::from(x)),
            (_, Some((bits, signed))) => {
                let x = extend(x as u32, bits, signed);
                Value::Integer(if signed { i128::from(x as i32) } else { i128::from(x) })
            }
            _ => return None,
        },
    };
    if let Some(format) = float_format(to) {
        return Some(to_float(format, from, mods, value));
    }
    let (bits, signed) = integer_shape(to)?;
    let (least, most) =
        if signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
    let whole = match value {
        // Floats always clamp. NaN becomes 0, or the highest bit where an f64 or a 64-bit integer takes part.
        Value::Float(v) if v.is_nan() && (bits == 64 || from == Ty::F64) => 1i128 << (bits - 1),
        Value::Float(v) => (integral(v, mods.round) as i128).clamp(least, most),
        Value::Integer(v) if mods.sat => v.clamp(least, most),
        Value::Integer(v) => v,
    };
    Some(match (bits, signed) {
        (64, _) => whole as u64,
        (_, true) => u64::from(extend(whole as u32, bits, true)),
        (_, false) => whole as u64 & ((1 << bits) - 1),
    })
}

/// A float rounded to an integral value.
fn integral(v: f64, mode: Round) -> f64 {
    match mode {
        Round::IntNearest | Round::Nearest => v.round_ties_even(),
        Round::IntUp | Round::Up => v.ceil(),
        Round::IntDown | Round::Down => v.floor(),
        Round::NearestAway => v.round(),
        Round::IntZero | Round::Zero | Round::None => v.trunc(),
    }
}

fn to_float(format: Format, from: Ty, mods: Mods, value: Value) -> u64 {
    let bits = match value {
        Value::Integer(v) => {
            let magnitude = v.unsigned_abs() as u64;
            format.encode(v < 0, magnitude, 0, false, mods.round, false)
        }
        Value::Float(v) => {
            let v = match mods.round {
                Round::IntNearest | Round::IntZero | Round::IntUp | Round::IntDown => {
                    if v.is_finite() {
                        integral(v, mods.round).copysign(v)
                    } else {
                        v
                    }
                }
                _ => v,
            };
            if format == F64 {
                if v.is_nan() { 0xFFF8_0000_0000_0000 } else { v.to_bits() }
            } else if format == TF32 {
                let bits = TF32.encode_f64(v, mods.round, mods.sat);
                return if mods.relu && v < 0.0 { 0 } else { bits << 13 };
            } else {
                format.encode_f64(v, mods.round, false)
            }
        }
    };
    settle(format, from, mods, bits)
}

/// What `.ftz`, `.sat` and `.relu` do to a result.
fn settle(format: Format, _from: Ty, mods: Mods, bits: u64) -> u64 {
    let sign = format.sign();
    let magnitude = bits & (sign - 1);
    let nan = magnitude > format.infinity();
    let bits = if mods.ftz && format == F32 && magnitude < 1 << format.mantissa { bits & sign } else { bits };
    if mods.sat {
        let one = format.encode_f64(1.0, Round::Nearest, false);
        return if nan || bits & sign != 0 { 0 } else { bits.min(one) };
    }
    if mods.relu && !nan && bits & sign != 0 { 0 } else { bits }
}

/// `cvt.rn.f16x2.e4m3x2` and its like: two packed bytes to two halves.
fn unpack(to: Ty, from: Ty, mods: Mods, x: u64) -> Option<u64> {
    let source = if from == Ty::E4M3x2 { E4M3 } else { E5M2 };
    let (format, true) = half::format(to)? else { return None };
    let one = |byte: u64| {
        let bits = format.encode_f64(source.to_f64(byte & 0xFF), Round::Nearest, false);
        settle(format, from, Mods { sat: false, ftz: false, ..mods }, bits)
    };
    Some(one(x) | one(x >> 8) << 16)
}

/// `cvt.rn.satfinite.e4m3x2.f16x2` and its like: two halves to two packed bytes.
fn narrow(to: Ty, mods: Mods, x: u64) -> Option<u64> {
    let format = match to {
        Ty::E4M3x2 => E4M3,
        Ty::E5M2x2 => E5M2,
        _ => return None,
    };
    let one = |half: u64| {
        let bits = format.encode_f64(F16.to_f64(half & 0xFFFF), mods.round, mods.sat);
        settle(format, Ty::F16, Mods { sat: false, ftz: false, ..mods }, bits)
    };
    Some(one(x) | one(x >> 16) << 8)
}

/// `cvt` of two f32 into one packed register: `a` to the upper half, `b` to the lower.
#[inline(always)]
pub(crate) fn pack(to: Ty, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    if mods.round == Round::Nearest && !mods.relu && !mods.sat && !mods.ftz {
        match to {
            Ty::F16x2 => return Some(map2(a, b, |x, y| f32_to_f16(x) << 16 | f32_to_f16(y))),
            Ty::BF16x2 => return Some(map2(a, b, |x, y| f32_to_bf16(x) << 16 | f32_to_bf16(y))),
            _ => {}
        }
    }
    pack_slow(to, mods, a, b)
}

#[inline(never)]
fn pack_slow(to: Ty, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    let (format, width) = match to {
        Ty::F16x2 => (F16, 16),
        Ty::BF16x2 => (BF16, 16),
        Ty::E4M3x2 => (E4M3, 8),
        Ty::E5M2x2 => (E5M2, 8),
        _ => return None,
    };
    let one = |x: u32| {
        // `.satfinite` clamps to the largest number; NaN stays NaN.
        let bits = format.encode_f64(f64::from(f32::from_bits(x)), mods.round, mods.sat);
        settle(format, Ty::F32, Mods { sat: false, ftz: false, ..mods }, bits) as u32
    };
    Some(map2(a, b, |x, y| one(x) << width | one(y)))
}

//! `cvt` between all scalar types (PTX ISA §9.7.9.21), and packed conversions.

use super::super::super::ir::{Mods, Round, Ty};
use super::float;
use super::half::{self, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::int32::{L32, extend, map1, map2, shape};
use super::int64::L64;
use super::round::{BF16, E4M3, E5M2, F16, F32, F64, Format, TF32};

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

fn integer_shape(ty: Ty) -> Option<(u32, bool)> {
    match ty {
        Ty::U64 | Ty::B64 => Some((64, false)),
        Ty::S64 => Some((64, true)),
        _ => shape(ty),
    }
}

/// Any conversion. Sources and results are given as 64-bit lanes; a signed narrow result is sign-extended, as registers
/// wider than the type ask.
#[inline(never)]
pub(crate) fn slow(to: Ty, from: Ty, mods: Mods, a: &L64) -> Option<L64> {
    if let (Ty::E4M3x2 | Ty::E5M2x2, _) | (_, Ty::E4M3x2 | Ty::E5M2x2) = (from, to) {
        let mut t = [0; 32];
        for i in 0..32 {
            t[i] = bytes(to, from, mods, a[i])?;
        }
        return Some(t);
    }
    match (float_format(from), float_format(to)) {
        (Some(source), Some(format)) => Some(float_to_float(source, format, mods, a)),
        (Some(source), None) => float_to_integer(source, integer_shape(to)?, mods, a),
        (None, Some(format)) => integer_to_float(integer_shape(from)?, format, mods, a),
        (None, None) => integer_to_integer(integer_shape(from)?, integer_shape(to)?, mods, a),
    }
}

/// A number of an integer type in the low bits of a lane, extended to all 64.
fn extended(x: u64, bits: u32, signed: bool) -> u64 {
    let unused = 64 - bits;
    if signed { ((x << unused) as i64 >> unused) as u64 } else { x << unused >> unused }
}

/// What a register holds of a result: narrow ones are extended to 32 bits.
fn register(x: u64, bits: u32, signed: bool) -> u64 {
    let x = extended(x, bits, signed);
    if bits < 64 { x & 0xFFFF_FFFF } else { x }
}

fn integer_to_integer((bits, signed): (u32, bool), (to, to_signed): (u32, bool), mods: Mods, a: &L64) -> Option<L64> {
    let (least, most) =
        if to_signed { (-(1i128 << (to - 1)), (1i128 << (to - 1)) - 1) } else { (0, (1i128 << to) - 1) };
    Some(a.map(|x| {
        let x = extended(x, bits, signed);
        let value = if signed { i128::from(x as i64) } else { i128::from(x) };
        register(if mods.sat { value.clamp(least, most) as u64 } else { x }, to, to_signed)
    }))
}

/// Lanes as numbers, exactly.
fn values(source: Format, ftz: bool, a: &L64) -> [f64; 32] {
    let wide = |x: u32| f64::from(f32::from_bits(x));
    match source {
        F64 => a.map(f64::from_bits),
        F32 if ftz => a.map(|x| wide(float::flush(x as u32))),
        F32 => a.map(|x| wide(x as u32)),
        BF16 => a.map(|x| wide((x as u32) << 16)),
        F16 => a.map(|x| wide(f16_to_f32(x as u32 & 0xFFFF))),
        _ => a.map(|x| source.to_f64(x & (2 * source.sign() - 1))),
    }
}

/// Floats rounded to integral values.
fn integral(v: [f64; 32], mode: Round) -> [f64; 32] {
    match mode {
        Round::IntNearest | Round::Nearest => v.map(f64::round_ties_even),
        Round::IntUp | Round::Up => v.map(f64::ceil),
        Round::IntDown | Round::Down => v.map(f64::floor),
        Round::NearestAway => v.map(f64::round),
        Round::IntZero | Round::Zero | Round::None => v.map(f64::trunc),
    }
}

/// Floats always clamp. NaN becomes 0, or the highest bit where an f64 or a 64-bit integer takes part.
fn float_to_integer(source: Format, (bits, signed): (u32, bool), mods: Mods, a: &L64) -> Option<L64> {
    let v = integral(values(source, mods.ftz, a), mods.round);
    let nan = if bits == 64 || source == F64 { register(1 << (bits - 1), bits, signed) } else { 0 };
    let one = |v: f64| match (bits, signed) {
        (64, true) => v as i64 as u64,
        (64, false) => v as u64,
        (_, true) => register((v as i64).clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) as u64, bits, true),
        (_, false) => (v as u64).min((1 << bits) - 1),
    };
    Some(v.map(|v| if v.is_nan() { nan } else { one(v) }))
}

fn integer_to_float((bits, signed): (u32, bool), format: Format, mods: Mods, a: &L64) -> Option<L64> {
    let nearest = mods.round == Round::Nearest;
    Some(a.map(|x| {
        let x = extended(x, bits, signed);
        let result = match (format, signed) {
            (F64, true) if nearest => (x as i64 as f64).to_bits(),
            (F64, false) if nearest => (x as f64).to_bits(),
            (F32, true) if nearest => (x as i64 as f32).to_bits().into(),
            (F32, false) if nearest => (x as f32).to_bits().into(),
            _ => {
                let negative = signed && (x as i64) < 0;
                let magnitude = if negative { x.wrapping_neg() } else { x };
                format.encode(negative, magnitude, 0, false, mods.round, false)
            }
        };
        settle(format, mods, result)
    }))
}

/// From or to double precision a NaN keeps its sign and the top of what it carries, and becomes quiet, as on an H100.
fn kept_nan(source: Format, format: Format, x: u64) -> u64 {
    let sign = if x & source.sign() != 0 { format.sign() } else { 0 };
    let carried = x & ((1 << source.mantissa) - 1);
    let carried = match format.mantissa.checked_sub(source.mantissa) {
        Some(up) => carried << up,
        None => carried >> (source.mantissa - format.mantissa),
    };
    sign | format.infinity() | 1 << (format.mantissa - 1) | carried
}

fn float_to_float(source: Format, format: Format, mods: Mods, a: &L64) -> L64 {
    let mut v = values(source, mods.ftz, a);
    if matches!(mods.round, Round::IntNearest | Round::IntZero | Round::IntUp | Round::IntDown) {
        let whole = integral(v, mods.round);
        v = std::array::from_fn(|i| whole[i].copysign(v[i]));
    }
    let one = |x: u64, v: f64| match format {
        _ if v.is_nan() && (source == F64 || format == F64) => settle(format, mods, kept_nan(source, format, x)),
        F64 => settle(format, mods, v.to_bits()),
        F32 => settle(format, mods, float::narrow(v, mods.round).into()),
        TF32 => {
            let bits = TF32.encode_f64(v, mods.round, mods.sat);
            settle(format, Mods { sat: false, ..mods }, bits) << 13
        }
        _ => settle(format, mods, format.encode_f64(v, mods.round, false)),
    };
    std::array::from_fn(|i| one(a[i], v[i]))
}

/// What `.ftz`, `.sat` and `.relu` do to a result.
fn settle(format: Format, mods: Mods, bits: u64) -> u64 {
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

/// Two packed bytes to two halves, or the other way.
fn bytes(to: Ty, from: Ty, mods: Mods, x: u64) -> Option<u64> {
    let byte_format = |ty| match ty {
        Ty::E4M3x2 => Some((E4M3, 8)),
        Ty::E5M2x2 => Some((E5M2, 8)),
        _ => half::format(ty).filter(|(_, packed)| *packed).map(|(format, _)| (format, 16)),
    };
    let ((source, width), (format, to_width)) = (byte_format(from)?, byte_format(to)?);
    let one = |x: u64| {
        let value = source.to_f64(x & ((1 << width) - 1));
        let bits = format.encode_f64(value, mods.round, mods.sat);
        settle(format, Mods { sat: false, ftz: false, ..mods }, bits)
    };
    Some(one(x) | one(x >> width) << to_width)
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
        settle(format, Mods { sat: false, ftz: false, ..mods }, bits) as u32
    };
    Some(map2(a, b, |x, y| one(x) << width | one(y)))
}

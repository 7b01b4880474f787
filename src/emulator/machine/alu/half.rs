//! f16 and bf16 arithmetic, scalar and packed (PTX ISA §9.7.4): computed wide and rounded once.

use super::super::super::ir::{Binary, Mods, Round, Ternary, Ty, Unary};
use super::approx;
use super::int32::{L32, map1, map2, map3};
use super::round::{self, BF16, F16, Format};

/// The NaN that half arithmetic gives, in both formats.
pub(crate) const NAN: u32 = 0x7FFF;

/// Bits of an f16 as bits of the same f32.
#[inline(always)]
pub(crate) fn f16_to_f32(h: u32) -> u32 {
    let magnitude = h & 0x7FFF;
    // Exponents move by a multiplication, which also makes subnormals normal.
    let scaled = (f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000)).to_bits();
    let value = if magnitude >= 0x7C00 { magnitude << 13 | 0x7F80_0000 } else { scaled };
    value | (h & 0x8000) << 16
}

/// Bits of an f32 rounded to the nearest f16, ties to even; NaN becomes 0x7FFF.
#[inline(always)]
pub(crate) fn f32_to_f16(x: u32) -> u32 {
    let sign = x >> 16 & 0x8000;
    let magnitude = x & 0x7FFF_FFFF;
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_add(0xC800_0FFF).wrapping_add(odd) >> 13;
    // Adding 1/2 puts the last bit of a subnormal f16 at the last bit of the sum.
    let small = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3F00_0000);
    let finite = if magnitude < 0x3880_0000 { small } else { normal };
    let value = if magnitude >= 0x4780_0000 { 0x7C00 } else { finite };
    if magnitude > 0x7F80_0000 { NAN } else { value | sign }
}

/// Bits of an f32 rounded to the nearest bf16, ties to even; NaN becomes 0x7FFF.
#[inline(always)]
pub(crate) fn f32_to_bf16(x: u32) -> u32 {
    let rounded = x.wrapping_add(0x7FFF).wrapping_add(x >> 16 & 1) >> 16;
    if x & 0x7FFF_FFFF > 0x7F80_0000 { NAN } else { rounded }
}

/// The format of a half type, and whether two are packed.
pub(crate) fn format(ty: Ty) -> Option<(Format, bool)> {
    Some(match ty {
        Ty::F16 => (F16, false),
        Ty::F16x2 => (F16, true),
        Ty::BF16 => (BF16, false),
        Ty::BF16x2 => (BF16, true),
        _ => return None,
    })
}

fn value(format: Format, bits: u32) -> f64 {
    let wide = if format == F16 { f16_to_f32(bits & 0xFFFF) } else { bits << 16 };
    f64::from(f32::from_bits(wide))
}

fn finish(format: Format, mods: Mods, exact: f64) -> u32 {
    settle(format, mods, format.encode_f64(exact, Round::Nearest, false) as u32)
}

/// The modifiers that act on a result.
fn settle(format: Format, mods: Mods, bits: u32) -> u32 {
    let bits = flush(format, mods.ftz, bits);
    let nan = is_nan(format, bits);
    if mods.sat {
        let v = value(format, bits);
        return if nan || v <= 0.0 {
            0
        } else if v > 1.0 {
            format.encode_f64(1.0, Round::Nearest, false) as u32
        } else {
            bits
        };
    }
    if mods.relu && !nan && bits & 0x8000 != 0 { 0 } else { bits }
}

fn is_nan(format: Format, bits: u32) -> bool {
    u64::from(bits & 0x7FFF) > format.infinity()
}

/// A subnormal as a zero of its sign, if asked for.
pub(crate) fn flush(format: Format, ftz: bool, bits: u32) -> u32 {
    if ftz && bits & 0x7FFF < 1 << format.mantissa { bits & 0x8000 } else { bits }
}

/// Applies a function of one half to the low half, or to both.
#[inline(always)]
fn halves1(packed: bool, x: u32, g: impl Fn(u32) -> u32) -> u32 {
    let low = g(x & 0xFFFF);
    if packed { low | g(x >> 16) << 16 } else { low }
}

#[inline(always)]
fn halves2(packed: bool, x: u32, y: u32, g: impl Fn(u32, u32) -> u32) -> u32 {
    let low = g(x & 0xFFFF, y & 0xFFFF);
    if packed { low | g(x >> 16, y >> 16) << 16 } else { low }
}

#[inline(always)]
fn halves3(packed: bool, x: u32, y: u32, z: u32, g: impl Fn(u32, u32, u32) -> u32) -> u32 {
    let low = g(x & 0xFFFF, y & 0xFFFF, z & 0xFFFF);
    if packed { low | g(x >> 16, y >> 16, z >> 16) << 16 } else { low }
}

/// `d = f(a)`.
#[inline(never)]
pub(crate) fn unary(f: Unary, ty: Ty, mods: Mods, a: &L32) -> Option<L32> {
    let (format, packed) = format(ty)?;
    let g: fn(f64) -> f64 = match f {
        Unary::Mov => return Some(*a),
        // Any NaN becomes the canonical one, as when the hardware adds.
        Unary::Neg | Unary::Abs => {
            let (clear, flip) = if f == Unary::Neg { (0xFFFF, 0x8000) } else { (0x7FFF, 0) };
            let nan = |h: u32| u64::from(h & 0x7FFF) > format.infinity();
            let one = |h: u32| if nan(h) { 0x7FFF } else { flush(format, mods.ftz, h) & clear ^ flip };
            return Some(map1(a, |x| halves1(packed, x, one)));
        }
        Unary::Ex2 => approx::exp2,
        Unary::Tanh => approx::tanh,
        _ => return None,
    };
    Some(map1(a, |x| halves1(packed, x, |h| finish(format, mods, g(value(format, flush(format, mods.ftz, h)))))))
}

/// `d = f(a, b)`.
#[inline(always)]
pub(crate) fn binary(f: Binary, ty: Ty, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    // f32 has more than twice f16's bits and a wider range, so that rounding twice is rounding once.
    let simple = !mods.ftz && !mods.sat && !mods.relu && matches!(ty, Ty::F16 | Ty::F16x2);
    let packed = ty == Ty::F16x2;
    let wide = |x: u32| f32::from_bits(f16_to_f32(x));
    match f {
        Binary::Add if simple => {
            Some(map2(a, b, |x, y| halves2(packed, x, y, |u, v| f32_to_f16((wide(u) + wide(v)).to_bits()))))
        }
        Binary::Sub if simple => {
            Some(map2(a, b, |x, y| halves2(packed, x, y, |u, v| f32_to_f16((wide(u) - wide(v)).to_bits()))))
        }
        Binary::Mul if simple => {
            Some(map2(a, b, |x, y| halves2(packed, x, y, |u, v| f32_to_f16((wide(u) * wide(v)).to_bits()))))
        }
        _ => binary_slow(f, ty, mods, a, b),
    }
}

#[inline(never)]
fn binary_slow(f: Binary, ty: Ty, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    let (format, packed) = format(ty)?;
    let f = match f {
        Binary::MinXorsign => return xorsign(Binary::Min, ty, mods, a, b),
        Binary::MaxXorsign => return xorsign(Binary::Max, ty, mods, a, b),
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Min | Binary::Max => f,
        _ => return None,
    };
    Some(map2(a, b, |x, y| {
        halves2(packed, x, y, |x, y| {
            let (x, y) = (flush(format, mods.ftz, x), flush(format, mods.ftz, y));
            let (u, v) = (value(format, x), value(format, y));
            match f {
                Binary::Add => finish(format, mods, round::add_odd(u, v)),
                Binary::Sub => finish(format, mods, round::add_odd(u, -v)),
                Binary::Mul => finish(format, mods, u * v),
                _ if u.is_nan() && v.is_nan() || mods.nan && (u.is_nan() || v.is_nan()) => NAN,
                _ if u.is_nan() => y,
                _ if v.is_nan() => x,
                // -0 < +0
                Binary::Max if u > v || u == v && x < y => x,
                Binary::Min if u < v || u == v && x > y => x,
                _ => y,
            }
        })
    }))
}

/// `.xorsign.abs`: of the magnitudes, with the sign of the product unless the result is NaN.
fn xorsign(f: Binary, ty: Ty, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    let (format, packed) = format(ty)?;
    let magnitude = |x: &L32| map1(x, |x| x & 0x7FFF_7FFF);
    let best = binary_slow(f, ty, mods, &magnitude(a), &magnitude(b))?;
    let signed = |d: u32, sign: u32| if is_nan(format, d) { d } else { d | sign & 0x8000 };
    Some(map3(&best, a, b, |d, x, y| halves2(packed, d, x ^ y, signed)))
}

/// `fma`.
#[inline(always)]
pub(crate) fn ternary(f: Ternary, ty: Ty, mods: Mods, a: &L32, b: &L32, c: &L32) -> Option<L32> {
    if f != Ternary::Fma {
        return None;
    }
    if !mods.ftz && !mods.sat && !mods.relu && matches!(ty, Ty::F16 | Ty::F16x2) {
        let packed = ty == Ty::F16x2;
        return Some(map3(a, b, c, |x, y, z| halves3(packed, x, y, z, fma_f16)));
    }
    fma_slow(ty, mods, a, b, c)
}

/// x·y + z of f16: the product is exact in f32, and what the sum loses goes into its last bit.
#[inline(always)]
fn fma_f16(x: u32, y: u32, z: u32) -> u32 {
    let wide = |x: u32| f32::from_bits(f16_to_f32(x));
    let (p, z) = (wide(x) * wide(y), wide(z));
    let sum = p + z;
    let back = sum - p;
    let lost = (p - (sum - back)) + (z - back);
    let bits = sum.to_bits();
    let exact = lost == 0.0 || lost.is_nan() || bits & 1 == 1;
    let outward = (lost < 0.0) == (sum < 0.0);
    let odd = if outward { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f32_to_f16(if exact { bits } else { odd })
}

#[inline(never)]
fn fma_slow(ty: Ty, mods: Mods, a: &L32, b: &L32, c: &L32) -> Option<L32> {
    let (format, packed) = format(ty)?;
    Some(map3(a, b, c, |x, y, z| {
        halves3(packed, x, y, z, |x, y, z| {
            let [u, v, w] = [x, y, z].map(|h| value(format, flush(format, mods.ftz, h)));
            finish(format, mods, round::fma_odd(u, v, w))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_as_ieee_says() {
        for bits in 0..=u16::MAX {
            let want = half::f16::from_bits(bits).to_f32();
            let got = f32::from_bits(f16_to_f32(u32::from(bits)));
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn f32_narrows_correctly_around_every_f16_and_every_tie() {
        for bits in 0..0x7C00u32 {
            let low = f32::from_bits(f16_to_f32(bits));
            let high = if bits == 0x7BFF { 65536.0 } else { f32::from_bits(f16_to_f32(bits + 1)) };
            let middle = low + (high - low) / 2.0;
            let even = bits + (bits & 1);
            for (x, want) in [(low, bits), (middle, even), (middle.next_down(), bits), (middle.next_up(), bits + 1)] {
                assert_eq!(f32_to_f16(x.to_bits()), want, "{x:e}");
                assert_eq!(f32_to_f16((-x).to_bits()), want | 0x8000, "{x:e}");
            }
        }
        assert_eq!(f32_to_f16(0x7F80_0001), NAN);
        assert_eq!(f32_to_f16(f32::INFINITY.to_bits()), 0x7C00);
        assert_eq!(f32_to_f16(f32::MAX.to_bits()), 0x7C00);
    }

    #[test]
    fn f32_narrows_correctly_around_every_bf16() {
        for bits in 0..0x7F80u32 {
            let x = bits << 16;
            for (x, want) in [(x, bits), (x + 0x8000, bits + (bits & 1)), (x + 0x7FFF, bits), (x + 0x8001, bits + 1)] {
                assert_eq!(f32_to_bf16(x), want);
                assert_eq!(f32_to_bf16(x | 1 << 31), want | 0x8000);
            }
        }
        assert_eq!(f32_to_bf16(0xFFFF_FFFF), NAN);
    }

    #[test]
    fn fused_f16_products_round_once() {
        let mut state = 7u64;
        for _ in 0..300_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let [x, y, z] = [state >> 16, state >> 32, state >> 48].map(|s| s as u32 & 0xFFFF);
            let exact = round::fma_odd(value(F16, x), value(F16, y), value(F16, z));
            assert_eq!(
                u64::from(fma_f16(x, y, z)),
                F16.encode_f64(exact, Round::Nearest, false),
                "{x:#x} {y:#x} {z:#x}"
            );
        }
    }
}

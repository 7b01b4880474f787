//! f32 and f64 arithmetic (PTX ISA §9.7.3). The common case (round to nearest, no modifiers) is a plain loop; every
//! other goes lane by lane through exact intermediate results.

use super::super::super::ir::{Binary, Mods, Round, Ternary, Unary};
use super::approx;
use super::exact64;
use super::int32::{L32, map1, map2, map3};
use super::int64::{self, L64};
use super::round;

/// The NaN that f32 arithmetic gives.
pub(crate) const NAN: u32 = 0x7FFF_FFFF;
/// The NaN that f64 arithmetic makes of numbers.
pub(crate) const NAN64: u64 = 0xFFF8_0000_0000_0000;

/// Bits of an f32 result, NaN made canonical.
#[inline(always)]
pub(crate) fn bits(x: f32) -> u32 {
    if x.is_nan() { NAN } else { x.to_bits() }
}

#[inline(always)]
fn f(x: u32) -> f32 {
    f32::from_bits(x)
}

/// Bits of an f64 NaN, made quiet.
pub(crate) fn quiet(x: f64) -> u64 {
    x.to_bits() | 1 << 51
}

/// Bits of an f64 result. Double precision keeps a NaN operand's payload (PTX ISA §9.7.3): of several, the first one's.
#[inline(always)]
fn bits64(x: f64, operands: &[f64]) -> u64 {
    if x.is_nan() { nan_of(operands) } else { x.to_bits() }
}

#[cold]
fn nan_of(operands: &[f64]) -> u64 {
    operands.iter().find(|x| x.is_nan()).map_or(NAN64, |x| quiet(*x))
}

#[inline(always)]
fn plain(mods: Mods) -> bool {
    matches!(mods.round, Round::Nearest | Round::None) && !mods.ftz && !mods.sat
}

/// A subnormal as a zero of its sign.
#[inline(always)]
pub(crate) fn flush(x: u32) -> u32 {
    if x & 0x7F80_0000 == 0 { x & 0x8000_0000 } else { x }
}

#[inline(always)]
fn flush_if(ftz: bool, x: u32) -> u32 {
    if ftz { flush(x) } else { x }
}

/// Clamps to [0, 1]; NaN becomes +0.
#[inline(always)]
pub(crate) fn saturate(x: u32) -> u32 {
    let v = f(x);
    if v > 1.0 {
        1f32.to_bits()
    } else if v > 0.0 {
        x
    } else {
        0
    }
}

fn finish(mods: Mods, x: u32) -> u32 {
    let x = flush_if(mods.ftz, x);
    if mods.sat { saturate(x) } else { x }
}

/// A number with `flip` exclusive-or'ed; any NaN becomes the canonical one: the hardware negates by an addition.
#[inline(always)]
fn canonical(x: u32, flip: u32) -> u32 {
    if x & 0x7FFF_FFFF > 0x7F80_0000 { NAN } else { x ^ flip }
}

/// `d = f(a)` of f32.
#[inline(always)]
pub(crate) fn unary(op: Unary, mods: Mods, a: &L32) -> Option<L32> {
    Some(match op {
        Unary::Mov => *a,
        Unary::Neg => map1(a, |x| canonical(flush_if(mods.ftz, x), 0x8000_0000)),
        Unary::Abs => map1(a, |x| canonical(flush_if(mods.ftz, x) & 0x7FFF_FFFF, 0)),
        _ => {
            let g: fn(Mods, u32) -> u32 = match op {
                Unary::Sqrt => |m, x| exact1(m, x, round::sqrt_odd(f64::from(f(x)))),
                Unary::Rcp => |m, x| exact1(m, x, round::div_odd(1.0, f64::from(f(x)))),
                Unary::SqrtApprox => |_, x| bits(f(x).sqrt()),
                Unary::RcpApprox => |_, x| bits(1.0 / f(x)),
                Unary::Rsqrt => |_, x| bits((1.0 / f64::from(f(x)).sqrt()) as f32),
                Unary::Ex2 => |_, x| bits(approx::exp2(f64::from(f(x))) as f32),
                Unary::Lg2 => |_, x| bits(approx::log2(f64::from(f(x))) as f32),
                Unary::Sin => |_, x| bits(approx::sin(f64::from(f(x))) as f32),
                Unary::Cos => |_, x| bits(approx::cos(f64::from(f(x))) as f32),
                Unary::Tanh => |_, x| bits(approx::tanh(f64::from(f(x))) as f32),
                _ => return None,
            };
            each(a, |x| finish(mods, g(mods, flush_if(mods.ftz, x))))
        }
    })
}

#[inline(never)]
fn each(a: &L32, g: impl Fn(u32) -> u32) -> L32 {
    a.map(g)
}

fn exact1(mods: Mods, _: u32, value: f64) -> u32 {
    narrow(value, mods.round)
}

/// Rounds an f64, itself rounded to odd, to f32: the nearest one, or its neighbour where the mode asks for that.
#[inline(always)]
pub(crate) fn narrow(x: f64, mode: Round) -> u32 {
    let near = x as f32;
    let back = f64::from(near);
    bits(match mode {
        Round::Zero if back.abs() > x.abs() => f32::from_bits(near.to_bits() - 1),
        Round::Up if back < x => near.next_up(),
        Round::Down if back > x => near.next_down(),
        _ => near,
    })
}

/// `d = f(a, b)` of f32.
#[inline(always)]
pub(crate) fn binary(op: Binary, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    if plain(mods) {
        match op {
            Binary::Add => return Some(map2(a, b, |x, y| bits(f(x) + f(y)))),
            Binary::Sub => return Some(map2(a, b, |x, y| bits(f(x) - f(y)))),
            Binary::Mul => return Some(map2(a, b, |x, y| bits(f(x) * f(y)))),
            Binary::Div | Binary::DivFull => return Some(map2(a, b, |x, y| bits(f(x) / f(y)))),
            Binary::Max => return Some(map2(a, b, |x, y| max(x, y, mods.nan))),
            Binary::Min => return Some(map2(a, b, |x, y| min(x, y, mods.nan))),
            _ => {}
        }
    }
    binary_slow(op, mods, a, b)
}

/// Maximum: NaN only when both are (or, with `.NaN`, when one is); -0 < +0.
#[inline(always)]
pub(crate) fn max(x: u32, y: u32, nan: bool) -> u32 {
    let (u, v) = (f(x), f(y));
    let best = if u > v || (u == v && x < y) || v.is_nan() { x } else { y };
    if (u.is_nan() && v.is_nan()) || (nan && (u.is_nan() || v.is_nan())) { NAN } else { best }
}

/// Minimum: as [`max`].
#[inline(always)]
pub(crate) fn min(x: u32, y: u32, nan: bool) -> u32 {
    let (u, v) = (f(x), f(y));
    let best = if u < v || (u == v && x > y) || v.is_nan() { x } else { y };
    if (u.is_nan() && v.is_nan()) || (nan && (u.is_nan() || v.is_nan())) { NAN } else { best }
}

/// A magnitude with the sign of x · y; NaN has none.
fn xorsign(x: u32, y: u32, d: u32) -> u32 {
    if f(d).is_nan() { d } else { d | (x ^ y) & 0x8000_0000 }
}

#[inline(never)]
fn binary_slow(op: Binary, mods: Mods, a: &L32, b: &L32) -> Option<L32> {
    if op == Binary::CopySign {
        // copysign.f32 d, a, b: the sign of a, the rest of b.
        return Some(map2(a, b, |x, y| x & 0x8000_0000 | y & 0x7FFF_FFFF));
    }
    if !matches!(
        op,
        Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::DivFull
            | Binary::DivApprox
            | Binary::Max
            | Binary::Min
            | Binary::MaxXorsign
            | Binary::MinXorsign
    ) {
        return None;
    }
    Some(map2(a, b, |x, y| {
        let (x, y) = (flush_if(mods.ftz, x), flush_if(mods.ftz, y));
        let (u, v) = (f64::from(f(x)), f64::from(f(y)));
        let exact = match op {
            Binary::Add => sum(u, v, mods.round),
            Binary::Sub => sum(u, -v, mods.round),
            Binary::Mul => u * v,
            Binary::DivApprox if v.abs() > round::power_of_two(126) && v.is_finite() => {
                if u.is_infinite() {
                    f64::NAN
                } else {
                    0.0 * u * v.signum()
                }
            }
            Binary::Max => return finish(mods, max(x, y, mods.nan)),
            Binary::Min => return finish(mods, min(x, y, mods.nan)),
            Binary::MaxXorsign => return xorsign(x, y, max(x & 0x7FFF_FFFF, y & 0x7FFF_FFFF, mods.nan)),
            Binary::MinXorsign => return xorsign(x, y, min(x & 0x7FFF_FFFF, y & 0x7FFF_FFFF, mods.nan)),
            _ => round::div_odd(u, v),
        };
        finish(mods, narrow(exact, mods.round))
    }))
}

/// x + y to be rounded once more; an exact zero of opposite operands is -0 when rounding down.
fn sum(x: f64, y: f64, mode: Round) -> f64 {
    let total = round::add_odd(x, y);
    if total == 0.0 && mode == Round::Down && (x != 0.0 || x.is_sign_negative() != y.is_sign_negative()) {
        -0.0
    } else {
        total
    }
}

/// `fma.f32`.
#[inline(always)]
pub(crate) fn ternary(op: Ternary, mods: Mods, a: &L32, b: &L32, c: &L32) -> Option<L32> {
    if op != Ternary::Fma {
        return None;
    }
    Some(if plain(mods) { map3(a, b, c, |x, y, z| bits(f(x).mul_add(f(y), f(z)))) } else { fma_slow(mods, a, b, c) })
}

#[inline(never)]
fn fma_slow(mods: Mods, a: &L32, b: &L32, c: &L32) -> L32 {
    map3(a, b, c, |x, y, z| {
        let [x, y, z] = [x, y, z].map(|v| f64::from(f(flush_if(mods.ftz, v))));
        finish(mods, narrow(sum(x * y, z, mods.round), mods.round))
    })
}

/// `d = f(a)` of f64.
#[inline(never)]
pub(crate) fn unary64(op: Unary, mods: Mods, a: &L64) -> Option<L64> {
    let d = f64::from_bits;
    let nearest = matches!(mods.round, Round::Nearest | Round::None);
    Some(match op {
        Unary::Mov => *a,
        // NaN keeps even its sign, as on an H100.
        Unary::Neg => int64::map1(a, |x| if d(x).is_nan() { quiet(d(x)) } else { x ^ 1 << 63 }),
        Unary::Abs => int64::map1(a, |x| if d(x).is_nan() { quiet(d(x)) } else { x & !(1 << 63) }),
        Unary::Sqrt => int64::map1(a, |x| match d(x).sqrt() {
            root if nearest || !root.is_finite() || root == 0.0 => bits64(root, &[d(x)]),
            _ => exact64::sqrt(d(x), mods.round),
        }),
        Unary::Rcp => int64::map1(a, |x| quotient(1.0, d(x), mods.round)),
        Unary::RcpApprox => int64::map1(a, |x| gross(x, |x| 1.0 / x)),
        Unary::Rsqrt if mods.ftz => int64::map1(a, |x| gross(x, |x| 1.0 / x.sqrt())),
        Unary::Rsqrt => int64::map1(a, |x| bits64(1.0 / d(x).sqrt(), &[d(x)])),
        _ => return None,
    })
}

/// The `.approx.ftz.f64` functions (PTX ISA §9.7.3.14): of the upper word, into the upper word.
fn gross(x: u64, g: impl Fn(f64) -> f64) -> u64 {
    const UPPER: u64 = !0xFFFF_FFFF;
    let flushed = |x: u64| if x & 0x7FF0_0000_0000_0000 == 0 { x & 1 << 63 } else { x };
    let result = g(f64::from_bits(flushed(x & UPPER)));
    if result.is_nan() {
        return 0x7FFF_FFFF_0000_0000;
    }
    let bits = result.to_bits();
    flushed((bits + 0x7FFF_FFFF + (bits >> 32 & 1)) & UPPER)
}

/// `d = f(a, b)` of f64.
#[inline(never)]
pub(crate) fn binary64(op: Binary, mods: Mods, a: &L64, b: &L64) -> Option<L64> {
    let d = f64::from_bits;
    let nearest = matches!(mods.round, Round::Nearest | Round::None);
    Some(match op {
        Binary::Add if nearest => int64::map2(a, b, |x, y| bits64(d(x) + d(y), &[d(x), d(y)])),
        Binary::Sub if nearest => int64::map2(a, b, |x, y| bits64(d(x) - d(y), &[d(x), d(y)])),
        Binary::Mul if nearest => int64::map2(a, b, |x, y| bits64(d(x) * d(y), &[d(x), d(y)])),
        Binary::Add => int64::map2(a, b, |x, y| match finite(&[d(x), d(y)]) {
            true => exact64::add(d(x), d(y), mods.round),
            false => bits64(d(x) + d(y), &[d(x), d(y)]),
        }),
        Binary::Sub => int64::map2(a, b, |x, y| match finite(&[d(x), d(y)]) {
            true => exact64::add(d(x), -d(y), mods.round),
            false => bits64(d(x) - d(y), &[d(x), d(y)]),
        }),
        Binary::Mul => int64::map2(a, b, |x, y| match finite(&[d(x), d(y)]) {
            true => exact64::fma(d(x), d(y), None, mods.round),
            false => bits64(d(x) * d(y), &[d(x), d(y)]),
        }),
        Binary::Div | Binary::DivFull | Binary::DivApprox => int64::map2(a, b, |x, y| quotient(d(x), d(y), mods.round)),
        Binary::Max => int64::map2(a, b, |x, y| pick64(x, y, d(x) > d(y) || d(x) == d(y) && x < y)),
        Binary::Min => int64::map2(a, b, |x, y| pick64(x, y, d(x) < d(y) || d(x) == d(y) && x > y)),
        Binary::CopySign => int64::map2(a, b, |x, y| x & 1 << 63 | y & !(1 << 63)),
        _ => return None,
    })
}

fn finite(operands: &[f64]) -> bool {
    operands.iter().all(|x| x.is_finite())
}

fn pick64(x: u64, y: u64, first: bool) -> u64 {
    match (f64::from_bits(x).is_nan(), f64::from_bits(y).is_nan()) {
        (true, true) => quiet(f64::from_bits(x)),
        (true, false) => y,
        (false, true) => x,
        _ if first => x,
        _ => y,
    }
}

fn quotient(x: f64, y: f64, mode: Round) -> u64 {
    let nearest = matches!(mode, Round::Nearest | Round::None);
    // Zeros, infinities and NaN are exact.
    if nearest || !finite(&[x, y]) || x == 0.0 || y == 0.0 {
        return bits64(x / y, &[x, y]);
    }
    exact64::div(x, y, mode)
}

/// `fma.f64`.
#[inline(never)]
pub(crate) fn fma64(mods: Mods, a: &L64, b: &L64, c: &L64) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        let [x, y, z] = [a[i], b[i], c[i]].map(f64::from_bits);
        t[i] = if matches!(mods.round, Round::Nearest | Round::None) || !finite(&[x, y, z]) {
            // Of several NaN an H100 takes the second factor's, then the addend's.
            bits64(x.mul_add(y, z), &[y, z, x])
        } else {
            exact64::fma(x, y, Some(z), mods.round)
        };
    }
    t
}

//! f32 and f64 arithmetic (PTX ISA §9.7.3). The common case (round to nearest, no modifiers) is a plain loop; every
//! other goes lane by lane through exact intermediate results.

use super::super::super::ir::{Binary, Mods, Round, Ternary, Unary};
use super::approx;
use super::int32::{L32, map1, map2, map3};
use super::int64::{self, L64};
use super::round::{self, F32, two_sum};

/// The NaN that f32 arithmetic gives.
pub(crate) const NAN: u32 = 0x7FFF_FFFF;
/// The NaN that f64 arithmetic gives.
const NAN64: u64 = 0xFFF8_0000_0000_0000;

/// Bits of an f32 result, NaN made canonical.
#[inline(always)]
pub(crate) fn bits(x: f32) -> u32 {
    if x.is_nan() { NAN } else { x.to_bits() }
}

#[inline(always)]
fn f(x: u32) -> f32 {
    f32::from_bits(x)
}

#[inline(always)]
fn bits64(x: f64) -> u64 {
    if x.is_nan() { NAN64 } else { x.to_bits() }
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
    F32.encode_f64(value, mods.round, false) as u32
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
            _ => round::div_odd(u, v),
        };
        finish(mods, F32.encode_f64(exact, mods.round, false) as u32)
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
        finish(mods, F32.encode_f64(sum(x * y, z, mods.round), mods.round, false) as u32)
    })
}

/// `d = f(a)` of f64.
#[inline(never)]
pub(crate) fn unary64(op: Unary, mods: Mods, a: &L64) -> Option<L64> {
    let d = f64::from_bits;
    Some(match op {
        Unary::Mov => *a,
        Unary::Neg => int64::map1(a, |x| x ^ 1 << 63),
        Unary::Abs => int64::map1(a, |x| x & !(1 << 63)),
        Unary::Sqrt => int64::map1(a, |x| {
            let root = d(x).sqrt();
            directed(root, (-root).mul_add(root, d(x)), mods.round)
        }),
        Unary::Rcp | Unary::RcpApprox => int64::map1(a, |x| quotient(1.0, d(x), mods.round)),
        Unary::Rsqrt => int64::map1(a, |x| bits64(1.0 / d(x).sqrt())),
        _ => return None,
    })
}

/// `d = f(a, b)` of f64.
#[inline(never)]
pub(crate) fn binary64(op: Binary, mods: Mods, a: &L64, b: &L64) -> Option<L64> {
    let d = f64::from_bits;
    Some(match op {
        Binary::Add => int64::map2(a, b, |x, y| add64(d(x), d(y), mods.round)),
        Binary::Sub => int64::map2(a, b, |x, y| add64(d(x), -d(y), mods.round)),
        Binary::Mul => int64::map2(a, b, |x, y| {
            let product = d(x) * d(y);
            directed(product, d(x).mul_add(d(y), -product), mods.round)
        }),
        Binary::Div | Binary::DivFull | Binary::DivApprox => int64::map2(a, b, |x, y| quotient(d(x), d(y), mods.round)),
        Binary::Max => int64::map2(a, b, |x, y| pick64(x, y, d(x) > d(y) || d(x) == d(y) && x < y)),
        Binary::Min => int64::map2(a, b, |x, y| pick64(x, y, d(x) < d(y) || d(x) == d(y) && x > y)),
        Binary::CopySign => int64::map2(a, b, |x, y| x & 1 << 63 | y & !(1 << 63)),
        _ => return None,
    })
}

fn pick64(x: u64, y: u64, first: bool) -> u64 {
    match (f64::from_bits(x).is_nan(), f64::from_bits(y).is_nan()) {
        (true, true) => NAN64,
        (true, false) => y,
        (false, true) => x,
        _ if first => x,
        _ => y,
    }
}

fn add64(x: f64, y: f64, mode: Round) -> u64 {
    let (total, error) = two_sum(x, y);
    if total == 0.0 && mode == Round::Down && (x != 0.0 || x.is_sign_negative() != y.is_sign_negative()) {
        return 1 << 63;
    }
    directed(total, error, mode)
}

fn quotient(x: f64, y: f64, mode: Round) -> u64 {
    let q = x / y;
    let rest = (-q).mul_add(y, x);
    directed(q, if (rest < 0.0) == (y < 0.0) { rest.abs() } else { -rest.abs() }, mode)
}

/// The result of a mode, from the nearest one and the sign of what rounding lost.
fn directed(nearest: f64, lost: f64, mode: Round) -> u64 {
    if nearest.is_nan() {
        return NAN64;
    }
    let lost = if lost.is_nan() { 0.0 } else { lost };
    let negative = nearest.is_sign_negative();
    let result = match mode {
        Round::Up if lost > 0.0 => nearest.next_up(),
        Round::Down if lost < 0.0 => nearest.next_down(),
        Round::Zero if lost < 0.0 && !negative => nearest.next_down(),
        Round::Zero if lost > 0.0 && negative => nearest.next_up(),
        _ => nearest,
    };
    result.to_bits()
}

/// `fma.f64`.
#[inline(never)]
pub(crate) fn fma64(mods: Mods, a: &L64, b: &L64, c: &L64) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        let [x, y, z] = [a[i], b[i], c[i]].map(f64::from_bits);
        let nearest = x.mul_add(y, z);
        t[i] = if matches!(mods.round, Round::Nearest | Round::None) {
            bits64(nearest)
        } else {
            // What the fused result lost, exactly as two numbers (Boldo and Muller); the first gives its sign.
            let product = x * y;
            let low = x.mul_add(y, -product);
            let (s, e) = two_sum(z, low);
            let (t1, t2) = two_sum(product, s);
            let lost = ((t1 - nearest) + t2) + e;
            directed(nearest, lost, mods.round)
        };
    }
    t
}

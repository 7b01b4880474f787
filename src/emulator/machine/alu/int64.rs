//! Integer and bit operations of 64 bits, 32 lanes at a time.

use super::super::super::ir::{Binary, Ternary, Ty, Unary};
use super::int32::L32;

/// 32 lanes of 64 bits.
pub(crate) type L64 = [u64; 32];

/// Applies a function to every lane.
#[inline(always)]
pub(crate) fn map1(a: &L64, f: impl Fn(u64) -> u64) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = f(a[i]);
    }
    t
}

/// Applies a function to every pair of lanes.
#[inline(always)]
pub(crate) fn map2(a: &L64, b: &L64, f: impl Fn(u64, u64) -> u64) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = f(a[i], b[i]);
    }
    t
}

/// True for S64; None for other than the 64-bit integer types.
#[inline(always)]
fn signedness(ty: Ty) -> Option<bool> {
    match ty {
        Ty::U64 | Ty::B64 => Some(false),
        Ty::S64 => Some(true),
        _ => None,
    }
}

/// `d = f(a)` with a 64-bit result.
#[inline(always)]
pub(crate) fn unary(f: Unary, a: &L64) -> Option<L64> {
    Some(match f {
        Unary::Mov => *a,
        Unary::Not => map1(a, |x| !x),
        Unary::Neg => map1(a, u64::wrapping_neg),
        Unary::Abs => map1(a, |x| (x as i64).wrapping_abs() as u64),
        Unary::Cnot => map1(a, |x| u64::from(x == 0)),
        Unary::Brev => map1(a, u64::reverse_bits),
        _ => return None,
    })
}

/// The operations on 64 bits whose result is 32 bits wide.
#[inline(always)]
pub(crate) fn count(f: Unary, ty: Ty, a: &L64) -> Option<L32> {
    let signed = signedness(ty)?;
    let mut t = [0; 32];
    for i in 0..32 {
        let x = a[i];
        t[i] = match f {
            Unary::Popc => x.count_ones(),
            Unary::Clz => x.leading_zeros(),
            Unary::BfindHigh => {
                let x = if signed && (x as i64) < 0 { !x } else { x };
                63u32.wrapping_sub(x.leading_zeros())
            }
            _ => return None,
        };
    }
    Some(t)
}

/// `d = f(a, b)`.
#[inline(always)]
pub(crate) fn binary(f: Binary, ty: Ty, a: &L64, b: &L64) -> Option<L64> {
    let signed = signedness(ty)?;
    Some(match (f, signed) {
        (Binary::Add, _) => map2(a, b, u64::wrapping_add),
        (Binary::Sub, _) => map2(a, b, u64::wrapping_sub),
        (Binary::MulLo, _) => map2(a, b, u64::wrapping_mul),
        (Binary::MulHi, false) => map2(a, b, |x, y| ((u128::from(x) * u128::from(y)) >> 64) as u64),
        (Binary::MulHi, true) => map2(a, b, |x, y| ((i128::from(x as i64) * i128::from(y as i64)) >> 64) as u64),
        (Binary::Div, signed) => map2(a, b, |x, y| match (y, signed) {
            (0, _) => u64::MAX,
            (_, true) => (x as i64).wrapping_div(y as i64) as u64,
            (_, false) => x / y,
        }),
        (Binary::Rem, signed) => map2(a, b, |x, y| match (y, signed) {
            (0, _) => x,
            (_, true) => (x as i64).wrapping_rem(y as i64) as u64,
            (_, false) => x % y,
        }),
        (Binary::Min, false) => map2(a, b, u64::min),
        (Binary::Min, true) => map2(a, b, |x, y| (x as i64).min(y as i64) as u64),
        (Binary::Max, false) => map2(a, b, u64::max),
        (Binary::Max, true) => map2(a, b, |x, y| (x as i64).max(y as i64) as u64),
        (Binary::And, _) => map2(a, b, |x, y| x & y),
        (Binary::Or, _) => map2(a, b, |x, y| x | y),
        (Binary::Xor, _) => map2(a, b, |x, y| x ^ y),
        _ => return None,
    })
}

/// Shifts, whose amount is a 32-bit register.
#[inline(always)]
pub(crate) fn shift(f: Binary, ty: Ty, a: &L64, n: &L32) -> Option<L64> {
    let signed = signedness(ty)?;
    let mut t = [0; 32];
    match (f, signed) {
        (Binary::Shl, _) => (0..32).for_each(|i| t[i] = if n[i] > 63 { 0 } else { a[i] << (n[i] & 63) }),
        (Binary::Shr, false) => (0..32).for_each(|i| t[i] = if n[i] > 63 { 0 } else { a[i] >> (n[i] & 63) }),
        (Binary::Shr, true) => (0..32).for_each(|i| t[i] = ((a[i] as i64) >> n[i].min(63)) as u64),
        _ => return None,
    }
    Some(t)
}

/// `mul.wide` of 32-bit operands.
#[inline(always)]
pub(crate) fn mul_wide(ty: Ty, a: &L32, b: &L32) -> Option<L64> {
    let mut t = [0; 32];
    match ty {
        Ty::U32 | Ty::B32 => (0..32).for_each(|i| t[i] = u64::from(a[i]) * u64::from(b[i])),
        Ty::S32 => (0..32).for_each(|i| t[i] = (i64::from(a[i] as i32) * i64::from(b[i] as i32)) as u64),
        _ => return None,
    }
    Some(t)
}

/// `d = f(a, b, c)`, all 64 bits.
#[inline(always)]
pub(crate) fn ternary(f: Ternary, ty: Ty, a: &L64, b: &L64, c: &L64) -> Option<L64> {
    Some(match f {
        Ternary::MadLo => map2(&binary(Binary::MulLo, ty, a, b)?, c, u64::wrapping_add),
        Ternary::MadHi => map2(&binary(Binary::MulHi, ty, a, b)?, c, u64::wrapping_add),
        Ternary::Sad => {
            let signed = signedness(ty)?;
            let distance = map2(a, b, |x, y| if signed { (x as i64).abs_diff(y as i64) } else { x.abs_diff(y) });
            map2(&distance, c, u64::wrapping_add)
        }
        _ => return None,
    })
}

/// `bfe` of 64 bits; position and length are 32-bit registers.
pub(crate) fn bfe(ty: Ty, a: &L64, p: &L32, n: &L32) -> Option<L64> {
    let signed = signedness(ty)?;
    let mut t = [0; 32];
    for i in 0..32 {
        // All 32 bits of place and length count on a GPU, where the PTX ISA takes the low 8.
        let (x, p, n) = (a[i], p[i].min(64), n[i].min(64));
        let value = if signed { i128::from(x as i64) } else { i128::from(x) };
        let n64 = n.min(64);
        let low = ((value >> p.min(64)) as u128 & ((1u128 << n64) - 1)) as u64;
        let sign = signed && n > 0 && x >> (p + n - 1).min(63) & 1 == 1;
        t[i] = low | if sign && n64 < 64 { u64::MAX << n64 } else { 0 };
    }
    Some(t)
}

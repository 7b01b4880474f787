//! Comparisons and selections (PTX ISA §9.7.6).

use super::super::super::ir::{BoolOp, Cmp, Ty};
use super::float::flush;
use super::half;
use super::int32::{L32, extend, map3, shape};
use super::int64::L64;
use super::round::BF16;

/// One bit a lane.
#[inline(always)]
fn mask(a: &L32, b: &L32, f: impl Fn(u32, u32) -> bool) -> u32 {
    let mut t = [false; 32];
    for i in 0..32 {
        t[i] = f(a[i], b[i]);
    }
    gather(&t)
}

#[inline(always)]
fn gather(t: &[bool; 32]) -> u32 {
    let mut m = 0;
    for (i, bit) in t.iter().enumerate() {
        m |= u32::from(*bit) << i;
    }
    m
}

macro_rules! integers {
    ($cmp:expr, $a:expr, $b:expr, $cast:expr) => {
        match $cmp {
            Cmp::Eq => mask($a, $b, |x, y| $cast(x) == $cast(y)),
            Cmp::Ne => mask($a, $b, |x, y| $cast(x) != $cast(y)),
            Cmp::Lt => mask($a, $b, |x, y| $cast(x) < $cast(y)),
            Cmp::Le => mask($a, $b, |x, y| $cast(x) <= $cast(y)),
            Cmp::Gt => mask($a, $b, |x, y| $cast(x) > $cast(y)),
            Cmp::Ge => mask($a, $b, |x, y| $cast(x) >= $cast(y)),
            _ => return None,
        }
    };
}

/// Does a comparison hold between two floats?
#[inline(always)]
fn float_holds<T: PartialOrd>(cmp: Cmp, x: T, y: T, nan: bool) -> bool {
    match cmp {
        Cmp::Eq => x == y,
        Cmp::Ne => !nan && x != y,
        Cmp::Lt => x < y,
        Cmp::Le => x <= y,
        Cmp::Gt => x > y,
        Cmp::Ge => x >= y,
        Cmp::Equ => nan || x == y,
        Cmp::Neu => nan || x != y,
        Cmp::Ltu => nan || x < y,
        Cmp::Leu => nan || x <= y,
        Cmp::Gtu => nan || x > y,
        Cmp::Geu => nan || x >= y,
        Cmp::Num => !nan,
        Cmp::Nan => nan,
    }
}

/// `setp` on the 32-bit file: one bit a lane. Packed halves compare their low halves.
#[inline(always)]
pub(crate) fn compare32(cmp: Cmp, ty: Ty, ftz: bool, a: &L32, b: &L32) -> Option<u32> {
    if let Some((bits, signed)) = shape(ty) {
        return Some(match (bits, signed) {
            (32, false) => integers!(cmp, a, b, |x: u32| x),
            (32, true) => integers!(cmp, a, b, |x: u32| x as i32),
            (_, true) => integers!(cmp, a, b, |x: u32| extend(x, bits, true) as i32),
            (_, false) => integers!(cmp, a, b, |x: u32| extend(x, bits, false)),
        });
    }
    let f = |x: u32| f32::from_bits(if ftz { flush(x) } else { x });
    Some(match (ty, cmp) {
        (Ty::F32, Cmp::Lt) => mask(a, b, |x, y| f(x) < f(y)),
        (Ty::F32, Cmp::Gt) => mask(a, b, |x, y| f(x) > f(y)),
        (Ty::F32, _) => mask(a, b, |x, y| float_holds(cmp, f(x), f(y), f(x).is_nan() || f(y).is_nan())),
        _ => compare_half(cmp, ty, false, ftz, a, b)?,
    })
}

/// `setp` of halves: the low ones, or the upper ones of packed registers.
#[inline(never)]
pub(crate) fn compare_half(cmp: Cmp, ty: Ty, upper: bool, ftz: bool, a: &L32, b: &L32) -> Option<u32> {
    let (format, _) = half::format(ty)?;
    let f = |x: u32| {
        let h = half::flush(format, ftz, if upper { x >> 16 } else { x & 0xFFFF });
        f32::from_bits(if format == BF16 { h << 16 } else { half::f16_to_f32(h) })
    };
    Some(mask(a, b, |x, y| float_holds(cmp, f(x), f(y), f(x).is_nan() || f(y).is_nan())))
}

/// `setp` on the 64-bit file.
#[inline(always)]
pub(crate) fn compare64(cmp: Cmp, ty: Ty, a: &L64, b: &L64) -> Option<u32> {
    let mut t = [false; 32];
    match ty {
        Ty::F64 => {
            for i in 0..32 {
                let (x, y) = (f64::from_bits(a[i]), f64::from_bits(b[i]));
                t[i] = float_holds(cmp, x, y, x.is_nan() || y.is_nan());
            }
        }
        Ty::U64 | Ty::B64 | Ty::S64 => {
            // Moving the sign bit makes unsigned order of signed numbers.
            let bias = if ty == Ty::S64 { 1 << 63 } else { 0 };
            for i in 0..32 {
                let (x, y) = (a[i] ^ bias, b[i] ^ bias);
                t[i] = match cmp {
                    Cmp::Eq => x == y,
                    Cmp::Ne => x != y,
                    Cmp::Lt => x < y,
                    Cmp::Le => x <= y,
                    Cmp::Gt => x > y,
                    Cmp::Ge => x >= y,
                    _ => return None,
                };
            }
        }
        _ => return None,
    }
    Some(gather(&t))
}

/// Combines two lane masks.
#[inline(always)]
pub(crate) fn combine(op: BoolOp, a: u32, b: u32) -> u32 {
    match op {
        BoolOp::And => a & b,
        BoolOp::Or => a | b,
        BoolOp::Xor => a ^ b,
    }
}

/// `selp`: lanes of `a` where the mask is set, of `b` elsewhere.
#[inline(always)]
pub(crate) fn select32(p: u32, a: &L32, b: &L32) -> L32 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = if p >> i & 1 == 1 { a[i] } else { b[i] };
    }
    t
}

/// `selp` of 64 bits.
#[inline(always)]
pub(crate) fn select64(p: u32, a: &L64, b: &L64) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = if p >> i & 1 == 1 { a[i] } else { b[i] };
    }
    t
}

/// Lanes where `c` of `slct` is not negative (NaN counts as negative, -0 does not).
pub(crate) fn slct_mask(cty: Ty, ftz: bool, c: &L32) -> u32 {
    let ones = map3(c, c, c, |x, _, _| {
        u32::from(match cty {
            Ty::F32 => f32::from_bits(if ftz { flush(x) } else { x }) >= 0.0,
            _ => x as i32 >= 0,
        })
    });
    mask(&ones, &ones, |x, _| x == 1)
}

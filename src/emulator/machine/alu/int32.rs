//! Integer and bit operations of 32 bits and less, 32 lanes at a time (PTX ISA §9.7.1, §9.7.2, §9.7.8).
//!
//! Registers hold 8- and 16-bit values in their low bits; operands are extended here, so that whatever stands above
//! does not matter.

use super::super::super::ir::{Binary, Ternary, Ty, Unary};

/// 32 lanes.
pub(crate) type L32 = [u32; 32];

/// Applies a function to every lane.
#[inline(always)]
pub(crate) fn map1(a: &L32, f: impl Fn(u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = f(a[i]);
    }
    t
}

/// Applies a function to every pair of lanes.
#[inline(always)]
pub(crate) fn map2(a: &L32, b: &L32, f: impl Fn(u32, u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = f(a[i], b[i]);
    }
    t
}

/// Applies a function to every triple of lanes.
#[inline(always)]
pub(crate) fn map3(a: &L32, b: &L32, c: &L32, f: impl Fn(u32, u32, u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = f(a[i], b[i], c[i]);
    }
    t
}

/// The same out of the way of what is frequent.
#[inline(never)]
fn each3(a: &L32, b: &L32, c: &L32, f: fn(u32, u32, u32) -> u32) -> L32 {
    map3(a, b, c, f)
}

/// Width in bits and signedness of an integer type of at most 32 bits.
#[inline(always)]
pub(crate) fn shape(ty: Ty) -> Option<(u32, bool)> {
    Some(match ty {
        Ty::U8 | Ty::B8 => (8, false),
        Ty::S8 => (8, true),
        Ty::U16 | Ty::B16 => (16, false),
        Ty::S16 => (16, true),
        Ty::U32 | Ty::B32 => (32, false),
        Ty::S32 => (32, true),
        _ => return None,
    })
}

/// A value of a narrow type, extended to 32 bits as its type says.
#[inline(always)]
pub(crate) fn extend(x: u32, bits: u32, signed: bool) -> u32 {
    match (bits, signed) {
        (8, false) => x & 0xFF,
        (8, true) => x as i8 as u32,
        (16, false) => x & 0xFFFF,
        (16, true) => x as i16 as u32,
        _ => x,
    }
}

/// `d = f(a)`; None when there is no such instruction.
#[inline(always)]
pub(crate) fn unary(f: Unary, ty: Ty, a: &L32) -> Option<L32> {
    if f == Unary::Mov {
        return Some(*a);
    }
    let (bits, signed) = shape(ty)?;
    let narrow = if bits == 32 { *a } else { map1(a, |x| extend(x, bits, signed)) };
    let a = &narrow;
    let keep = u32::MAX >> (32 - bits);
    Some(match f {
        Unary::Not => map1(a, |x| !x & keep),
        Unary::Neg => map1(a, |x| x.wrapping_neg() & keep),
        Unary::Abs => map1(a, |x| (x as i32).wrapping_abs() as u32 & keep),
        Unary::Cnot => map1(a, |x| u32::from(x & keep == 0)),
        Unary::Popc => map1(a, |x| (x & keep).count_ones()),
        Unary::Clz => map1(a, |x| (x & keep).leading_zeros()),
        Unary::Brev => map1(a, |x| x.reverse_bits()),
        Unary::BfindHigh => map1(a, |x| {
            // The highest bit that differs from the sign; all ones when there is none.
            let x = if signed && (x as i32) < 0 { !x } else { x };
            31u32.wrapping_sub(x.leading_zeros())
        }),
        _ => return None,
    })
}

/// `d = f(a, b)`; None when there is no such instruction. `MulWide` of 16 bits gives all 32.
#[inline(always)]
pub(crate) fn binary(f: Binary, ty: Ty, a: &L32, b: &L32) -> Option<L32> {
    let (bits, signed) = shape(ty)?;
    if bits == 32 {
        return word(f, signed, a, b);
    }
    let a = map1(a, |x| extend(x, bits, signed));
    let b = match f {
        Binary::Shl | Binary::Shr => *b,
        _ => map1(b, |x| extend(x, bits, signed)),
    };
    let keep = u32::MAX >> (32 - bits);
    Some(match f {
        Binary::MulWide => map2(&a, &b, u32::wrapping_mul),
        Binary::MulHi => map2(&a, &b, |x, y| x.wrapping_mul(y) >> bits & keep),
        _ => map1(&word(f, signed, &a, &b)?, |x| x & keep),
    })
}

#[inline(always)]
fn word(f: Binary, signed: bool, a: &L32, b: &L32) -> Option<L32> {
    Some(match (f, signed) {
        (Binary::Add, _) => map2(a, b, u32::wrapping_add),
        (Binary::Sub, _) => map2(a, b, u32::wrapping_sub),
        (Binary::MulLo, _) => map2(a, b, u32::wrapping_mul),
        (Binary::MulHi, false) => map2(a, b, |x, y| ((u64::from(x) * u64::from(y)) >> 32) as u32),
        (Binary::MulHi, true) => map2(a, b, |x, y| ((i64::from(x as i32) * i64::from(y as i32)) >> 32) as u32),
        (Binary::Mul24Lo, false) => map2(a, b, |x, y| (x & 0xFF_FFFF).wrapping_mul(y & 0xFF_FFFF)),
        (Binary::Mul24Lo, true) => map2(a, b, |x, y| {
            let low = |v: u32| ((v << 8) as i32) >> 8;
            low(x).wrapping_mul(low(y)) as u32
        }),
        (Binary::Div, _) => divide(a, b, signed),
        (Binary::Rem, _) => remainder(a, b, signed),
        (Binary::Min, false) => map2(a, b, u32::min),
        (Binary::Min, true) => map2(a, b, |x, y| (x as i32).min(y as i32) as u32),
        (Binary::Max, false) => map2(a, b, u32::max),
        (Binary::Max, true) => map2(a, b, |x, y| (x as i32).max(y as i32) as u32),
        (Binary::And, _) => map2(a, b, |x, y| x & y),
        (Binary::Or, _) => map2(a, b, |x, y| x | y),
        (Binary::Xor, _) => map2(a, b, |x, y| x ^ y),
        (Binary::Shl, _) => map2(a, b, shl),
        (Binary::Shr, false) => map2(a, b, shr),
        (Binary::Shr, true) => map2(a, b, sar),
        _ => return masks(f, signed, a, b),
    })
}

/// `shl`: amounts beyond the width are clamped to it.
#[inline(always)]
pub(crate) fn shl(x: u32, n: u32) -> u32 {
    if n > 31 { 0 } else { x << (n & 31) }
}

/// `shr` of an unsigned number.
#[inline(always)]
pub(crate) fn shr(x: u32, n: u32) -> u32 {
    if n > 31 { 0 } else { x >> (n & 31) }
}

/// `shr` of a signed number.
#[inline(always)]
pub(crate) fn sar(x: u32, n: u32) -> u32 {
    ((x as i32) >> n.min(31)) as u32
}

/// What few programs use: upper 24-bit products, `bmsk` and `szext`.
#[inline(never)]
fn masks(f: Binary, signed: bool, a: &L32, b: &L32) -> Option<L32> {
    Some(match (f, signed) {
        // Bits 47 to 16 of the 48-bit product.
        (Binary::Mul24Hi, false) => {
            map2(a, b, |x, y| ((u64::from(x & 0xFF_FFFF) * u64::from(y & 0xFF_FFFF)) >> 16) as u32)
        }
        (Binary::Mul24Hi, true) => map2(a, b, |x, y| {
            let low = |v: u32| i64::from(((v << 8) as i32) >> 8);
            ((low(x) * low(y)) >> 16) as u32
        }),
        (Binary::BmskClamp, _) => map2(a, b, |p, n| if p > 31 { 0 } else { bmsk(p, n.min(32)) }),
        (Binary::BmskWrap, _) => map2(a, b, |p, n| bmsk(p & 31, n & 31)),
        (Binary::SzextClamp, _) => map2(a, b, |x, n| szext(x, n.min(32), signed)),
        (Binary::SzextWrap, _) => map2(a, b, |x, n| szext(x, n & 31, signed)),
        _ => return None,
    })
}

/// `n` ones from bit `p` on, as far as they are within 32 bits.
fn bmsk(p: u32, n: u32) -> u32 {
    ((((1u64 << n) - 1) << p) & 0xFFFF_FFFF) as u32
}

/// The low `n` bits, extended.
fn szext(x: u32, n: u32, signed: bool) -> u32 {
    if n == 0 {
        return 0;
    }
    let up = x << (32 - n);
    if signed { ((up as i32) >> (32 - n)) as u32 } else { up >> (32 - n) }
}

/// Operations on two 16-bit numbers a register.
#[inline(never)]
pub(crate) fn packed(f: Binary, ty: Ty, a: &L32, b: &L32) -> Option<L32> {
    let g: fn(u32, u32) -> u32 = match (f, ty) {
        (Binary::Add, _) => |x, y| x.wrapping_add(y),
        (Binary::Min, Ty::U16x2) => |x, y| x.min(y),
        (Binary::Max, Ty::U16x2) => |x, y| x.max(y),
        (Binary::Min, _) => |x, y| (x as i16).min(y as i16) as u32,
        (Binary::Max, _) => |x, y| (x as i16).max(y as i16) as u32,
        _ => return None,
    };
    Some(map2(a, b, |x, y| g(x & 0xFFFF, y & 0xFFFF) & 0xFFFF | g(x >> 16, y >> 16) << 16))
}

/// `fns`: the position of the |n|-th set bit of `mask`, upwards or (n < 0) downwards from `base`; of 0 the bit at
/// `base`.
fn fns(mask: u32, base: u32, n: u32) -> u32 {
    let n = n as i32;
    // A base beyond the mask is undefined in PTX; here nothing is found.
    if base > 31 {
        return u32::MAX;
    }
    let mut left = match n {
        0 => mask & 1 << base,
        1.. => mask & u32::MAX << base,
        _ => mask & u32::MAX >> (31 - base),
    };
    for _ in 1..n.unsigned_abs().clamp(1, 33) {
        left &= if n > 0 { left.wrapping_sub(1) } else { !(1u32 << 31).unbounded_shr(left.leading_zeros()) };
    }
    match left {
        0 => u32::MAX,
        _ if n < 0 => 31 - left.leading_zeros(),
        _ => left.trailing_zeros(),
    }
}

/// Quotients. Division by zero is unspecified in PTX; here it gives all ones, as the hardware's routine does.
#[inline(never)]
fn divide(a: &L32, b: &L32, signed: bool) -> L32 {
    map2(a, b, |x, y| match (y, signed) {
        (0, _) => u32::MAX,
        (_, true) => (x as i32).wrapping_div(y as i32) as u32,
        (_, false) => x / y,
    })
}

/// Remainders, of the dividend's sign. By zero (unspecified in PTX): the dividend.
#[inline(never)]
fn remainder(a: &L32, b: &L32, signed: bool) -> L32 {
    map2(a, b, |x, y| match (y, signed) {
        (0, _) => x,
        (_, true) => (x as i32).wrapping_rem(y as i32) as u32,
        (_, false) => x % y,
    })
}

/// `d = f(a, b, c)`; None when there is no such instruction.
#[inline(always)]
pub(crate) fn ternary(f: Ternary, ty: Ty, sat: bool, a: &L32, b: &L32, c: &L32) -> Option<L32> {
    let (bits, signed) = shape(ty)?;
    if bits != 32 {
        return match f {
            Ternary::MadLo => binary(Binary::Add, ty, &binary(Binary::MulLo, ty, a, b)?, c),
            Ternary::MadHi => binary(Binary::Add, ty, &binary(Binary::MulHi, ty, a, b)?, c),
            // The addend and the result are 32 bits.
            Ternary::MadWide => Some(map2(&binary(Binary::MulWide, ty, a, b)?, c, u32::wrapping_add)),
            Ternary::Sad => {
                let (x, y) = (map1(a, |x| extend(x, bits, signed)), map1(b, |x| extend(x, bits, signed)));
                let keep = u32::MAX >> (32 - bits);
                Some(map3(&x, &y, c, |x, y, z| (x as i32).abs_diff(y as i32).wrapping_add(z) & keep))
            }
            _ => None,
        };
    }
    Some(match f {
        Ternary::MadLo => map3(a, b, c, |x, y, z| x.wrapping_mul(y).wrapping_add(z)),
        Ternary::MadHi if sat && signed => {
            map2(&word(Binary::MulHi, true, a, b)?, c, |h, z| (h as i32).saturating_add(z as i32) as u32)
        }
        Ternary::MadHi => map2(&word(Binary::MulHi, signed, a, b)?, c, u32::wrapping_add),
        Ternary::Sad if signed => map3(a, b, c, |x, y, z| (x as i32).abs_diff(y as i32).wrapping_add(z)),
        Ternary::Sad => map3(a, b, c, |x, y, z| x.abs_diff(y).wrapping_add(z)),
        Ternary::Bfe => map3(a, b, c, |x, p, n| bfe(x, p, n, signed)),
        Ternary::Lop3(table) => lop3(table, a, b, c),
        Ternary::Prmt => map3(a, b, c, |x, y, s| (0..4).fold(0, |d, i| d | prmt_byte(x, y, s >> (4 * i)) << (8 * i))),
        Ternary::ShfLClamp => map3(a, b, c, |lo, hi, n| ((pair(lo, hi) << n.min(32)) >> 32) as u32),
        Ternary::ShfLWrap => map3(a, b, c, |lo, hi, n| ((pair(lo, hi) << (n & 31)) >> 32) as u32),
        Ternary::ShfRClamp => map3(a, b, c, |lo, hi, n| (pair(lo, hi) >> n.min(32)) as u32),
        Ternary::ShfRWrap => map3(a, b, c, |lo, hi, n| (pair(lo, hi) >> (n & 31)) as u32),
        Ternary::Dp4a(sa, sb) => map3(a, b, c, |x, y, z| {
            (0..4).fold(z, |sum, i| {
                sum.wrapping_add(extend(x >> (8 * i), 8, sa).wrapping_mul(extend(y >> (8 * i), 8, sb)))
            })
        }),
        Ternary::Dp2aLo(sa, sb) => map3(a, b, c, |x, y, z| dp2a(x, y, z, sa, sb)),
        Ternary::Dp2aHi(sa, sb) => map3(a, b, c, |x, y, z| dp2a(x, y >> 16, z, sa, sb)),
        Ternary::Fns => each3(a, b, c, fns),
        _ => return None,
    })
}

#[inline(always)]
fn pair(lo: u32, hi: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}

#[inline(always)]
fn dp2a(x: u32, y: u32, z: u32, sa: bool, sb: bool) -> u32 {
    (0..2).fold(z, |sum, i| sum.wrapping_add(extend(x >> (16 * i), 16, sa).wrapping_mul(extend(y >> (8 * i), 8, sb))))
}

/// Byte of {b, a} that the low nibble of a selector names, its sign replicated if bit 3 is set.
#[inline(always)]
fn prmt_byte(a: u32, b: u32, selector: u32) -> u32 {
    let byte = (pair(a, b) >> (8 * (selector & 7))) as u32 & 0xFF;
    if selector & 8 == 0 {
        byte
    } else if byte & 0x80 != 0 {
        0xFF
    } else {
        0
    }
}

/// `prmt` in the modes that take two bits of `c`.
pub(crate) fn prmt_mode(mode: super::super::super::ir::PrmtMode, a: u32, b: u32, c: u32) -> u32 {
    use super::super::super::ir::PrmtMode::{B4e, Ecl, Ecr, F4e, Rc8, Rc16};
    let n = c & 3;
    let selectors: [u32; 4] = match mode {
        F4e => [n, n + 1, n + 2, n + 3],
        B4e => [n, n.wrapping_sub(1) & 7, n.wrapping_sub(2) & 7, n.wrapping_sub(3) & 7],
        Rc8 => [n; 4],
        Ecl => [0, 1, 2, 3].map(|i: u32| i.max(n)),
        Ecr => [0, 1, 2, 3].map(|i: u32| i.min(n)),
        Rc16 => [0, 1, 0, 1].map(|i| i + 2 * (n & 1)),
    };
    (0..4).fold(0, |d, i| d | prmt_byte(a, b, selectors[i]) << (8 * i))
}

#[inline(always)]
fn lop3(table: u8, a: &L32, b: &L32, c: &L32) -> L32 {
    match table {
        // What nvcc makes most: and, or, xor of three and select.
        0x80 => map3(a, b, c, |x, y, z| x & y & z),
        0xFE => map3(a, b, c, |x, y, z| x | y | z),
        0x96 => map3(a, b, c, |x, y, z| x ^ y ^ z),
        0xCA => map3(a, b, c, |x, y, z| (x & y) | (!x & z)),
        0xEA => map3(a, b, c, |x, y, z| (x & y) | z),
        _ => {
            let term = |i: u32| 0u32.wrapping_sub(u32::from(table) >> i & 1);
            let m: [u32; 8] = [term(0), term(1), term(2), term(3), term(4), term(5), term(6), term(7)];
            map3(a, b, c, |x, y, z| {
                (m[0] & !x & !y & !z)
                    | (m[1] & !x & !y & z)
                    | (m[2] & !x & y & !z)
                    | (m[3] & !x & y & z)
                    | (m[4] & x & !y & !z)
                    | (m[5] & x & !y & z)
                    | (m[6] & x & y & !z)
                    | (m[7] & x & y & z)
            })
        }
    }
}

/// `bfe`: a field of `n` bits from `p`, bits beyond the top being the sign (or zero).
#[inline(always)]
fn bfe(x: u32, p: u32, n: u32, signed: bool) -> u32 {
    let (p, n) = (p & 0xFF, n & 0xFF);
    let value = if signed { i64::from(x as i32) } else { i64::from(x) };
    let shifted = value >> p.min(32);
    let n = n.min(32);
    let low = (shifted as u64 & ((1u64 << n) - 1)) as u32;
    // The sign is bit min(p + n - 1, 31) of the source.
    let sign = signed && n > 0 && x >> (p + n - 1).min(31) & 1 == 1;
    let fill = if sign && n < 32 { u32::MAX << (n & 31) } else { 0 };
    low | fill
}

/// `bfi`: the low `n` bits of `a` put into `b` at bit `p`.
#[inline(always)]
pub(crate) fn bfi(a: u32, b: u32, p: u32, n: u32) -> u32 {
    bfi64(u64::from(a), u64::from(b), p & 0xFF, n & 0xFF) as u32
}

/// `bfi` of 64 bits. All 32 bits of place and length count on a GPU, where the PTX ISA takes the low 8.
#[inline(always)]
pub(crate) fn bfi64(a: u64, b: u64, p: u32, n: u32) -> u64 {
    if p > 63 || n == 0 {
        return b;
    }
    let mask = (u64::MAX >> (64 - n.min(64))) << p;
    b & !mask | (a << p) & mask
}

//! f64 arithmetic in the directed roundings, of finite numbers: exactly, by integers, and rounded once.

use super::super::super::ir::Round;
use super::round::F64;

/// `±m · 2^e`; the highest bit of `m` is bit 126 unless it is zero.
#[derive(Clone, Copy)]
struct Term {
    negative: bool,
    m: u128,
    e: i32,
}

impl Term {
    /// Of any `m` below 2^127.
    fn new(negative: bool, m: u128, e: i32) -> Term {
        if m == 0 {
            return Term { negative, m, e: i32::MIN };
        }
        let shift = m.leading_zeros() - 1;
        Term { negative, m: m << shift, e: e - shift as i32 }
    }
}

/// Sign, integer and exponent of a finite number. The integer has 53 bits unless it is zero.
fn split(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let (field, fraction) = ((bits >> 52 & 0x7FF) as i32, bits & ((1 << 52) - 1));
    let (m, e) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
    let shift = if m == 0 { 0 } else { m.leading_zeros() - 11 };
    (bits >> 63 == 1, m << shift, e - shift as i32)
}

fn term(x: f64) -> Term {
    let (negative, m, e) = split(x);
    Term::new(negative, m.into(), e)
}

/// Rounds `±m · 2^e`, of which the last bit also stands for whatever was lost below it.
fn finish(negative: bool, m: u128, e: i32, mode: Round) -> u64 {
    let shift = m.leading_zeros();
    let m = m << shift;
    F64.encode(negative, (m >> 64) as u64, e - shift as i32 + 64, m as u64 != 0, mode, false)
}

fn sum(a: Term, b: Term, mode: Round) -> u64 {
    let (big, small) = if a.e >= b.e { (a, b) } else { (b, a) };
    let zero = |negative| u64::from(negative) << 63;
    if small.m == 0 {
        return match big.m {
            // Zeros of one sign keep it; else the sum is -0 only when rounding down.
            0 => zero(if a.negative == b.negative { a.negative } else { mode == Round::Down }),
            m => finish(big.negative, m, big.e, mode),
        };
    }
    // A term has at most 106 bits, so that a shift that loses some leaves no cancellation of more than one bit.
    let distance = (big.e - small.e).min(127) as u32;
    let lost = small.m & ((1 << distance) - 1) != 0;
    let shifted = small.m >> distance | u128::from(lost);
    let (negative, m) = if big.negative == small.negative {
        (big.negative, big.m + shifted)
    } else if big.m >= shifted {
        (big.negative, big.m - shifted)
    } else {
        (small.negative, shifted - big.m)
    };
    if m == 0 { zero(mode == Round::Down) } else { finish(negative, m, big.e, mode) }
}

/// x + y.
#[inline(never)]
pub(super) fn add(x: f64, y: f64, mode: Round) -> u64 {
    sum(term(x), term(y), mode)
}

/// x · y, and + z if there is one.
#[inline(never)]
pub(super) fn fma(x: f64, y: f64, z: Option<f64>, mode: Round) -> u64 {
    let ((s, a, d), (t, b, e)) = (split(x), split(y));
    let product = Term::new(s != t, u128::from(a) * u128::from(b), d + e);
    match z {
        Some(z) => sum(product, term(z), mode),
        None if product.m == 0 => u64::from(s != t) << 63,
        None => finish(product.negative, product.m, product.e, mode),
    }
}

/// x ÷ y, neither of them zero.
#[inline(never)]
pub(super) fn div(x: f64, y: f64, mode: Round) -> u64 {
    let ((s, a, d), (t, b, e)) = (split(x), split(y));
    let (a, b) = (u128::from(a) << 74, u128::from(b));
    let (quotient, rest) = (a / b, a % b);
    finish(s != t, quotient << 1 | u128::from(rest != 0), d - e - 75, mode)
}

/// √x of a positive number.
#[inline(never)]
pub(super) fn sqrt(x: f64, mode: Round) -> u64 {
    let (_, m, e) = split(x);
    let odd = e & 1;
    let square = u128::from(m) << (72 + odd);
    let root = square.isqrt();
    finish(false, root << 1 | u128::from(root * root != square), (e - odd - 72) / 2 - 1, mode)
}

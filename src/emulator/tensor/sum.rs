//! How tensor cores add floating-point products: every term is cut off at a fixed number of bits below the largest one,
//! the cut terms are added exactly, and the sum is converted once.
//!
//! The PTX ISA leaves order and inner width open. This is what an H100 does, bit for bit on every probe of
//! `tests/golden` (`mma_*`, `wgmma_*`); other GPUs have not been asked yet.
//!
//! - All products of an instruction and the addend make one sum. With E the greatest exponent among them (of a product:
//!   the sum of its factors' exponents, a subnormal's being the least of its type), every term is cut off toward zero
//!   at 2^(E - 25), with fp8 factors of `wgmma` at 2^(E - 13).
//! - A sum becomes f32 by cutting off toward zero, with fp8 factors of `wgmma` after 13 bits behind the point; f16 by
//!   rounding to nearest even. A sum of zero is +0. NaN is the canonical one.
//! - `mma` of fp8 factors is two such sums of 16 products from zero, of elements 0 and 1 of every word, then of 2 and 3
//!   on top of it (they are converted to f16 for that); the addend comes last, rounded to nearest.

use half::f16;

use crate::emulator::ir::{AccTy, MmaTy, V32};
use crate::emulator::simd::leveled;

use super::float::{ColumnsB, MAX_K, RowsA, half};

/// How an instruction sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summing {
    /// Accumulators.
    pub acc: AccTy,
    /// Depth of the tile.
    pub k: usize,
    /// Types of A and B.
    pub types: [MmaTy; 2],
    /// `wgmma`, which multiplies fp8 factors itself.
    pub wgmma: bool,
}

impl Summing {
    fn fp8(&self) -> bool {
        matches!(self.types[0], MmaTy::E4M3 | MmaTy::E5M2)
    }
}

/// Exponent of a zero: with that of any number it is below that of any product.
const NONE: i32 = -1 << 18;
/// Exponent of an infinity or NaN: with that of any other, even of zero, it is above that of any product.
const SPECIAL: i32 = 1 << 20;

/// The least exponent of a type's normal numbers.
fn least(ty: MmaTy) -> i32 {
    match ty {
        MmaTy::F16 | MmaTy::E5M2 => -14,
        MmaTy::E4M3 => -6,
        _ => -126,
    }
}

/// Exponent of a number of a type whose least is given.
#[inline(always)]
fn exponent(x: f64, least: i32) -> i32 {
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    if x == 0.0 {
        NONE
    } else if biased == 0x7ff {
        SPECIAL
    } else {
        (biased - 1023).max(least)
    }
}

/// The sums of one row: 8 columns. `take` says which k count; `c` are the addends with the least exponent of their
/// type.
#[inline(always)]
fn row(
    a: &[f64; MAX_K],
    b: &ColumnsB,
    exponents: (&[i32; MAX_K], &[[i32; 8]; MAX_K]),
    (k, take): (usize, impl Fn(usize) -> bool),
    (c, c_least): (&[f64; 8], i32),
    bits: i32,
) -> [f64; 8] {
    let (a_exponents, b_exponents) = exponents;
    let mut most = c.map(|c| exponent(c, c_least));
    for i in (0..k).filter(|&i| take(i)) {
        for (most, b) in most.iter_mut().zip(&b_exponents[i]) {
            *most = (*most).max(a_exponents[i] + b);
        }
    }
    // An infinity or NaN: what plain sums make of it.
    let special = most.map(|most| most >= SPECIAL / 2);
    // 2^(bits - E); of zeros alone any will do.
    let scale = most.map(|most| {
        let power = if most.abs() > 600 { 0 } else { bits - most };
        f64::from_bits(((1023 + power) as u64) << 52)
    });
    let mut sums = [0.0; 8];
    for j in 0..8 {
        sums[j] += (c[j] * scale[j]).trunc();
    }
    for i in (0..k).filter(|&i| take(i)) {
        for j in 0..8 {
            // Exact up to the cut: no product has more than 24 bits.
            sums[j] += (a[i] * b[i][j] * scale[j]).trunc();
        }
    }
    for j in 0..8 {
        sums[j] /= scale[j];
        if special[j] {
            sums[j] = (0..k).filter(|&i| take(i)).fold(c[j], |sum, i| sum + a[i] * b[i][j]);
        }
    }
    sums
}

/// Cut off toward zero; NaN becomes canonical.
#[inline(always)]
fn to_f32(x: f64) -> u32 {
    if x.is_nan() {
        return 0x7fff_ffff;
    }
    let near = x as f32;
    // One step nearer to zero if the rounding went away from it. Beyond the range it is infinity.
    let away = near.is_finite() && f64::from(near).abs() > x.abs();
    near.to_bits() - u32::from(away)
}

/// Rounds once to f16; NaN becomes canonical.
fn to_f16(x: f64) -> u32 {
    if x.is_nan() { 0x7fff } else { u32::from(f16::from_f64(x).to_bits()) }
}

/// Rounds once to f32; NaN becomes canonical.
fn nearest(x: f64) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { (x as f32).to_bits() }
}

/// The sums of a tile before their conversion, and how f32 is made of them.
#[inline(always)]
fn sums(how: Summing, a: &RowsA, b: &ColumnsB, c: &[[f64; 8]; 16]) -> [[f64; 8]; 16] {
    let [a_least, b_least] = how.types.map(least);
    let b_exponents: [[i32; 8]; MAX_K] = b.map(|row| row.map(|x| exponent(x, b_least)));
    let c_least = if how.acc == AccTy::F16 { -14 } else { -126 };
    let mut sums = [[0.0; 8]; 16];
    for ((sums, a), c) in sums.iter_mut().zip(a).zip(c) {
        let exponents = (&a.map(|x| exponent(x, a_least)), &b_exponents);
        *sums = match (how.fp8(), how.wgmma) {
            (false, _) => row(a, b, exponents, (how.k, |_| true), (c, c_least), 25),
            (true, true) => row(a, b, exponents, (how.k, |_| true), (c, c_least), 13),
            (true, false) => {
                let wide = |x: f64| f64::from(f32::from_bits(to_f32(x)));
                let first = row(a, b, exponents, (how.k, |k| k % 4 < 2), (&[0.0; 8], -126), 25).map(wide);
                let both = row(a, b, exponents, (how.k, |k| k % 4 >= 2), (&first, -126), 25).map(wide);
                std::array::from_fn(|j| both[j] + c[j])
            }
        };
    }
    sums
}

#[inline(always)]
fn tile_any(how: Summing, a: &RowsA, b: &ColumnsB, c: [&V32; 4]) -> [V32; 4] {
    let mut addends = [[0.0; 8]; 16];
    let mut d = [V32([0; 32]); 4];
    if how.acc == AccTy::F16 {
        for (lane, r) in (0..64).map(|i| (i % 32, i / 32)) {
            let row = &mut addends[lane / 4 + 8 * r];
            (row[2 * (lane % 4)], row[2 * (lane % 4) + 1]) = (half(c[r].0[lane] & 0xffff), half(c[r].0[lane] >> 16));
        }
        let sums = sums(how, a, b, &addends);
        for (lane, r) in (0..64).map(|i| (i % 32, i / 32)) {
            let row = &sums[lane / 4 + 8 * r];
            d[r].0[lane] = to_f16(row[2 * (lane % 4)]) | to_f16(row[2 * (lane % 4) + 1]) << 16;
        }
        return d;
    }
    for (i, lane) in (0..128).map(|i| (i / 32, i % 32)) {
        addends[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2] = f64::from(f32::from_bits(c[i].0[lane]));
    }
    let sums = sums(how, a, b, &addends);
    for (i, lane) in (0..128).map(|i| (i / 32, i % 32)) {
        let sum = sums[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
        d[i].0[lane] = match (how.fp8(), how.wgmma) {
            (false, _) => to_f32(sum),
            // 13 bits behind the point.
            (true, true) if sum.is_nan() => to_f32(sum),
            (true, true) => to_f32(sum) & !0x3ff,
            (true, false) => nearest(sum),
        };
    }
    d
}

leveled!(
    /// `D = A·B + C` of one tile. With an f16 accumulator only the first two registers of `c` and of the result count.
    pub(super) fn tile(how: Summing, a: &RowsA, b: &ColumnsB, c: [&V32; 4]) -> [V32; 4] = tile_any
);

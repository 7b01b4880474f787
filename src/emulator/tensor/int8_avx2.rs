//! The 16×8 integer tile with AVX2: bytes widened to 16 bits, pairs multiplied and added by `vpmaddwd`.
//!
//! A 32-bit word of four k is split into its even and its odd bytes, both as 16-bit pairs: the word layout of
//! the fragments stays, and `dot4 = madd(even, even) + madd(odd, odd)`.

use std::arch::x86_64::*;

use crate::emulator::ir::{Reg, V32};

use super::int8::{FragA, IntKind, Names};

/// The four 256-bit quarters of a register: quarter `q` is lanes `8q..8q+8`, rows `2q` and `2q + 1` of the tile.
#[target_feature(enable = "avx2")]
#[inline]
fn quarters(v: &V32) -> [__m256i; 4] {
    // SAFETY: `V32` is 128 bytes aligned to 64, so its four 32-byte quarters are inside it and aligned.
    std::array::from_fn(|q| unsafe { _mm256_load_si256(v.0.as_ptr().cast::<__m256i>().add(q)) })
}

/// Even and odd bytes of every word as 16-bit integers.
#[target_feature(enable = "avx2")]
fn widen(x: __m256i, signed: bool) -> (__m256i, __m256i) {
    if signed {
        (_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)), _mm256_srai_epi16::<8>(x))
    } else {
        (_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(x))
    }
}

/// Adds the products of word `j` of every row (`IMM` is `j` in each 2-bit field) and column.
#[target_feature(enable = "avx2")]
fn step<const IMM: i32>(sums: &mut [[__m256i; 4]; 4], a: &[[(__m256i, __m256i); 4]; 2], b: &[u32; 32], b_signed: bool) {
    let j = (IMM & 3) as usize;
    // Lane l of a quarter stands for column 2(l % 4) + e.
    let columns = |e: usize| {
        let word = |t: usize| b[8 * t + 4 * e + j] as i32;
        widen(_mm256_broadcastsi128_si256(_mm_setr_epi32(word(0), word(1), word(2), word(3))), b_signed)
    };
    let b = [columns(0), columns(1)];
    for r in 0..2 {
        for q in 0..4 {
            let (even, odd) = (_mm256_shuffle_epi32::<IMM>(a[r][q].0), _mm256_shuffle_epi32::<IMM>(a[r][q].1));
            for (e, &(b_even, b_odd)) in b.iter().enumerate() {
                let dot = _mm256_add_epi32(_mm256_madd_epi16(even, b_even), _mm256_madd_epi16(odd, b_odd));
                sums[2 * r + e][q] = _mm256_add_epi32(sums[2 * r + e][q], dot);
            }
        }
    }
}

/// `sums += A·B` of one tile.
#[target_feature(enable = "avx2")]
#[inline]
fn multiply(sums: &mut [[__m256i; 4]; 4], kind: IntKind, halves: usize, a: FragA<'_>, b: [&V32; 2]) {
    for h in 0..halves {
        let mut wide = [[(_mm256_setzero_si256(), _mm256_setzero_si256()); 4]; 2];
        for r in 0..2 {
            for (wide, x) in wide[r].iter_mut().zip(quarters(a[2 * h + r])) {
                *wide = widen(x, kind.a_signed);
            }
        }
        step::<0x00>(sums, &wide, &b[h].0, kind.b_signed);
        step::<0x55>(sums, &wide, &b[h].0, kind.b_signed);
        step::<0xaa>(sums, &wide, &b[h].0, kind.b_signed);
        step::<0xff>(sums, &wide, &b[h].0, kind.b_signed);
    }
}

/// Writes the quarters of a register.
#[target_feature(enable = "avx2")]
#[inline]
fn store(v: &mut V32, quarters: [__m256i; 4]) {
    for (q, quarter) in quarters.into_iter().enumerate() {
        // SAFETY: as in `quarters`.
        unsafe { _mm256_store_si256(v.0.as_mut_ptr().cast::<__m256i>().add(q), quarter) };
    }
}

/// `A·B` of one tile.
#[target_feature(enable = "avx2")]
pub(super) fn tile(kind: IntKind, halves: usize, a: FragA<'_>, b: [&V32; 2]) -> [V32; 4] {
    let mut sums = [[_mm256_setzero_si256(); 4]; 4];
    multiply(&mut sums, kind, halves, a, b);
    let mut d = [V32([0; 32]); 4];
    d.iter_mut().zip(sums).for_each(|(d, sums)| store(d, sums));
    d
}

/// A wrapping integer `mma.sync`. D is written after everything is read, so registers may coincide.
#[target_feature(enable = "avx2")]
pub(super) fn mma(kind: IntKind, registers: &mut [V32], halves: usize, names: &Names) {
    let get = |r: Reg| &registers[usize::from(r)];
    let [c0, c1, c2, c3] = names.c.map(get);
    let mut sums = [quarters(c0), quarters(c1), quarters(c2), quarters(c3)];
    multiply(&mut sums, kind, halves, names.a.map(get), names.b.map(get));
    for (sums, d) in sums.into_iter().zip(names.d) {
        store(&mut registers[usize::from(d)], sums);
    }
}

//! The 16×8 integer tile: the portable path, and the choice between it and the vector paths.
//!
//! Fragments (PTX ISA §9.7.14, `mma.m16n8k32` and `.m16n8k16` with 8-bit types), with `g = lane / 4`, `t = lane % 4`:
//! - A register `2h + r`, lane `4g + t`: row `g + 8r`, columns `16h + 4t ..+ 4`. Lanes `4g..4g+4` of a register are
//!   thus 16 consecutive bytes of one row.
//! - B register `h`, lane `4g + t`: column `g`, rows (k) `16h + 4t ..+ 4`: 16 consecutive k of one column.
//! - C, D register `2r + e`, lane `4g + t`: row `g + 8r`, column `2t + e`.
//!
//! `m16n8k16` has only `h = 0`. `wgmma` tiles look the same for each warp and each 8 columns.

use crate::emulator::ir::{Reg, V32};
use crate::emulator::simd::{Level, Simd};

/// Signedness of the operands, and whether the result saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IntKind {
    pub a_signed: bool,
    pub b_signed: bool,
    pub sat: bool,
}

/// The A fragment: registers `2h + r`. For k = 16 the upper two repeat the lower and are not read.
pub(super) type FragA<'a> = [&'a V32; 4];

/// Register numbers of one `mma.sync`: D, A (fewer are repeated and not read), B, C.
pub(super) struct Names {
    pub d: [Reg; 4],
    pub a: [Reg; 4],
    pub b: [Reg; 2],
    pub c: [Reg; 4],
}

/// `D = A·B + C` of one tile of depth `16 * halves` (1 or 2). What is common does not come here: wrapping
/// `mma.sync` with vector instructions (`int8_avx2`, `int8_avx512`) and wrapping `wgmma` with AVX-512.
pub(super) fn tile(level: Level, kind: IntKind, halves: usize, a: FragA<'_>, b: [&V32; 2], c: [&V32; 4]) -> [V32; 4] {
    match level.simd() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Level` of this level exists only where the processor has AVX2 (AVX-512 includes it).
        Simd::Avx2 | Simd::Avx512 => finish(kind, unsafe { super::int8_avx2::tile(kind, halves, a, b) }, c),
        _ => finish(kind, portable(kind, halves, a, b), c),
    }
}

/// Adds C to the product (which cannot overflow: |Σ| ≤ 32 · 255²): wrapping, or clamped to the range of s32.
fn finish(kind: IntKind, mut product: [V32; 4], c: [&V32; 4]) -> [V32; 4] {
    for (p, c) in product.iter_mut().zip(c) {
        for (p, &c) in p.0.iter_mut().zip(&c.0) {
            let (product, c) = (*p as i32, c as i32);
            *p = if kind.sat { product.saturating_add(c) } else { product.wrapping_add(c) } as u32;
        }
    }
    product
}

/// The byte `i` of a word, extended.
fn extend(word: u32, i: usize, signed: bool) -> i32 {
    let byte = word.to_le_bytes()[i % 4];
    if signed { i32::from(byte as i8) } else { i32::from(byte) }
}

fn portable(kind: IntKind, halves: usize, a: FragA<'_>, b: [&V32; 2]) -> [V32; 4] {
    let mut d = [V32([0; 32]); 4];
    // Words 4h + j of k, unpacked: B as [k][column] so that the inner loop runs over columns.
    let mut bk = [[0i32; 8]; 32];
    for (h, b) in b.iter().enumerate().take(halves) {
        for (lane, &word) in b.0.iter().enumerate() {
            for i in 0..4 {
                bk[16 * h + 4 * (lane % 4) + i][lane / 4] = extend(word, i, kind.b_signed);
            }
        }
    }
    for r in 0..2 {
        for g in 0..8 {
            let mut sums = [0i32; 8];
            for h in 0..halves {
                for t in 0..4 {
                    let word = a[2 * h + r].0[4 * g + t];
                    for i in 0..4 {
                        let x = extend(word, i, kind.a_signed);
                        for (sum, y) in sums.iter_mut().zip(bk[16 * h + 4 * t + i]) {
                            *sum += x * y;
                        }
                    }
                }
            }
            for (column, sum) in sums.into_iter().enumerate() {
                d[2 * r + column % 2].0[4 * g + column / 2] = sum as u32;
            }
        }
    }
    d
}

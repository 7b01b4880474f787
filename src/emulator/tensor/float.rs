//! The 16×8 floating-point tile: f16, bf16, tf32 and fp8 operands, f32 or f16 accumulators.
//!
//! Fragments follow the pattern of the integer tile with 4, 2 or 1 elements in a word (PTX ISA §9.7.14, `mma.m16n8k4`
//! to `.m16n8k32`): A register `2h + r`, lane `4g + t` holds row `g + 8r`, columns `4e·h + e·t ..+ e`; B register `h`
//! column `g`, the same rows; C as f32 like the integer tile, as f16 register `r` holds columns `2t` (low) and `2t + 1`.
//!
//! Arithmetic: a product of two such elements is exact in f64; one instruction's products are added to C in f64, k
//! ascending, and the sum is rounded once, to nearest even. The hardware's order and inner width are not specified by the
//! PTX ISA, so this is one legal result, provisional until probes have run on a GPU. A NaN result is the canonical one.

use half::f16;

use crate::emulator::ir::{AccTy, MmaTy, V32};
use crate::emulator::simd::{Level, leveled};

/// The deepest tile: 32 fp8 elements.
const MAX_K: usize = 32;

/// Operand A of a tile as numbers: `[row][k]`.
pub(super) type RowsA = [[f64; MAX_K]; 16];
/// Operand B of a tile as numbers: `[k][column]`.
pub(super) type ColumnsB = [[f64; 8]; MAX_K];

/// Elements of `ty` in a 32-bit word.
pub(super) fn per_word(ty: MmaTy) -> usize {
    match ty {
        MmaTy::S8 | MmaTy::U8 | MmaTy::E4M3 | MmaTy::E5M2 => 4,
        MmaTy::F16 | MmaTy::BF16 => 2,
        MmaTy::TF32 => 1,
    }
}

/// e4m3 (no infinities; `S.1111.111` is NaN).
fn e4m3(code: u8) -> f64 {
    let sign = if code & 0x80 != 0 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(code >> 3) & 15, f64::from(code & 7));
    match (exponent, code & 7) {
        (15, 7) => f64::NAN,
        (0, _) => sign * mantissa * 2f64.powi(-9),
        _ => sign * (8.0 + mantissa) * 2f64.powi(exponent - 10),
    }
}

/// Element `i` of a word.
#[inline(always)]
fn element(ty: MmaTy, word: u32, i: usize) -> f64 {
    let half = || (word >> (16 * i)) as u16;
    let byte = || (word >> (8 * i)) as u8;
    match ty {
        MmaTy::F16 => f16::from_bits(half()).to_f64(),
        MmaTy::BF16 => f64::from(f32::from_bits(u32::from(half()) << 16)),
        // The low 13 bits of a tf32 operand are not looked at.
        MmaTy::TF32 => f64::from(f32::from_bits(word & !0x1fff)),
        MmaTy::E4M3 => e4m3(byte()),
        // e5m2 is the upper byte of an f16.
        MmaTy::E5M2 => f16::from_bits(u16::from(byte()) << 8).to_f64(),
        MmaTy::S8 => f64::from(byte() as i8),
        MmaTy::U8 => f64::from(byte()),
    }
}

/// Unpacks an A fragment of `halves` blocks of k.
pub(super) fn rows_a(ty: MmaTy, halves: usize, a: [&V32; 4]) -> RowsA {
    let per = per_word(ty);
    let mut rows = [[0.0; MAX_K]; 16];
    for (index, register) in a.iter().enumerate().take(2 * halves) {
        let (h, r) = (index / 2, index % 2);
        for (lane, &word) in register.0.iter().enumerate() {
            for i in 0..per {
                rows[lane / 4 + 8 * r][4 * per * h + per * (lane % 4) + i] = element(ty, word, i);
            }
        }
    }
    rows
}

/// Unpacks a B fragment.
pub(super) fn columns_b(ty: MmaTy, halves: usize, b: [&V32; 2]) -> ColumnsB {
    let per = per_word(ty);
    let mut columns = [[0.0; 8]; MAX_K];
    for (h, register) in b.iter().enumerate().take(halves) {
        for (lane, &word) in register.0.iter().enumerate() {
            for i in 0..per {
                columns[4 * per * h + per * (lane % 4) + i][lane / 4] = element(ty, word, i);
            }
        }
    }
    columns
}

/// `sums += A·B`, k ascending. Products are exact, so a fused multiply-add would give the same bits.
#[inline(always)]
fn accumulate_any(sums: &mut [[f64; 8]; 16], a: &RowsA, b: &ColumnsB, k: usize) {
    for (sums, a) in sums.chunks_exact_mut(4).zip(a.chunks_exact(4)) {
        let mut acc = [[0.0; 8]; 4];
        acc.copy_from_slice(sums);
        for (i, b) in b.iter().enumerate().take(k) {
            for (acc, a) in acc.iter_mut().zip(a) {
                for (acc, b) in acc.iter_mut().zip(b) {
                    *acc += a[i] * b;
                }
            }
        }
        sums.copy_from_slice(&acc);
    }
}

leveled!(fn accumulate(sums: &mut [[f64; 8]; 16], a: &RowsA, b: &ColumnsB, k: usize) = accumulate_any);

/// Rounds once to f32; NaN becomes canonical.
fn to_f32(x: f64) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { (x as f32).to_bits() }
}

/// Rounds once to f16; NaN becomes canonical.
fn to_f16(x: f64) -> u32 {
    if x.is_nan() { 0x7fff } else { u32::from(f16::from_f64(x).to_bits()) }
}

/// `D = A·B + C` of one tile of depth `k`. With an f16 accumulator only the first two registers of `c` and of the
/// result count.
pub(super) fn tile(level: Level, acc: AccTy, k: usize, a: &RowsA, b: &ColumnsB, c: [&V32; 4]) -> [V32; 4] {
    let half = acc == AccTy::F16;
    let mut sums = [[0.0; 8]; 16];
    for r in 0..2 {
        for lane in 0..32 {
            let row = &mut sums[lane / 4 + 8 * r];
            for e in 0..2 {
                row[2 * (lane % 4) + e] = if half {
                    f16::from_bits((c[r].0[lane] >> (16 * e)) as u16).to_f64()
                } else {
                    f64::from(f32::from_bits(c[2 * r + e].0[lane]))
                };
            }
        }
    }
    accumulate(level, &mut sums, a, b, k);
    let mut d = [V32([0; 32]); 4];
    for r in 0..2 {
        for lane in 0..32 {
            let row = &sums[lane / 4 + 8 * r];
            let (x, y) = (row[2 * (lane % 4)], row[2 * (lane % 4) + 1]);
            if half {
                d[r].0[lane] = to_f16(x) | to_f16(y) << 16;
            } else {
                d[2 * r].0[lane] = to_f32(x);
                d[2 * r + 1].0[lane] = to_f32(y);
            }
        }
    }
    d
}

/// Flips the sign of every element of a fragment (`wgmma`'s `imm-scale` of −1).
pub(super) fn negate(ty: MmaTy, fragment: &mut [V32]) {
    let mask = match ty {
        MmaTy::F16 | MmaTy::BF16 => 0x8000_8000,
        MmaTy::TF32 => 0x8000_0000,
        MmaTy::E4M3 | MmaTy::E5M2 => 0x8080_8080,
        MmaTy::S8 | MmaTy::U8 => 0,
    };
    for register in fragment {
        for word in &mut register.0 {
            *word ^= mask;
        }
    }
}


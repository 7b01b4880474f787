//! The 16×8 floating-point tile: f16, bf16, tf32 and fp8 operands, f32 or f16 accumulators.
//!
//! Fragments follow the pattern of the integer tile with 4, 2 or 1 elements in a word (PTX ISA §9.7.14,
//! `mma.m16n8k4` to `.m16n8k32`): A register `2h + r`, lane `4g + t` holds row `g + 8r`, columns `4e·h + e·t ..+
//! e`; B register `h` column `g`, the same rows; C as f32 like the integer tile, as f16 register `r` holds
//! columns `2t` (low) and `2t + 1`.
//!
//! How products are summed is in `sum.rs`.

use crate::emulator::ir::{MmaTy, V32};
use crate::emulator::simd::leveled;

/// The deepest tile: 32 fp8 elements.
pub(super) const MAX_K: usize = 32;

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

/// f16 without branches, so that loops over it become vectors. Exact: every f16 is an f32.
#[inline(always)]
pub(super) fn half(bits: u32) -> f64 {
    let magnitude = bits & 0x7fff;
    // Exponent and mantissa in place, then the bias from 15 to 127; subnormals come out right by the multiplication.
    let finite = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let special = f32::from_bits(0x7f80_0000 | magnitude << 13);
    let value = if magnitude >= 0x7c00 { special } else { finite };
    f64::from(f32::from_bits(value.to_bits() | (bits & 0x8000) << 16))
}

/// e4m3: no infinities, `S.1111.111` is NaN.
#[inline(always)]
fn e4m3(bits: u32) -> f64 {
    let magnitude = bits & 0x7f;
    // Exponent and mantissa in place, then the bias from 7 to 127.
    let finite = f32::from_bits(magnitude << 20) * f32::from_bits((127 + 120) << 23);
    let value = if magnitude == 0x7f { f32::NAN } else { finite };
    f64::from(f32::from_bits(value.to_bits() | (bits & 0x80) << 24))
}

/// Calls `$body` with the type's word splitter: a function from a word to its elements.
macro_rules! with_splitter {
    ($ty:expr, $split:ident => $body:expr) => {
        match $ty {
            MmaTy::F16 => {
                let $split = |w: u32| [half(w & 0xffff), half(w >> 16)];
                $body
            }
            MmaTy::BF16 => {
                let $split = |w: u32| [f64::from(f32::from_bits(w << 16)), f64::from(f32::from_bits(w & 0xffff_0000))];
                $body
            }
            // The low 13 bits of a tf32 operand are not looked at.
            MmaTy::TF32 => {
                let $split = |w: u32| [f64::from(f32::from_bits(w & !0x1fff))];
                $body
            }
            MmaTy::E4M3 => {
                let $split = |w: u32| [e4m3(w & 0xff), e4m3(w >> 8 & 0xff), e4m3(w >> 16 & 0xff), e4m3(w >> 24)];
                $body
            }
            // e5m2 is the upper byte of an f16.
            MmaTy::E5M2 => {
                let $split =
                    |w: u32| [half(w << 8 & 0xff00), half(w & 0xff00), half(w >> 8 & 0xff00), half(w >> 16 & 0xff00)];
                $body
            }
            // Integer tiles do not come here.
            MmaTy::S8 | MmaTy::U8 => {
                let $split = |_: u32| [0.0; 4];
                $body
            }
        }
    };
}

#[inline(always)]
fn rows_a_any(ty: MmaTy, halves: usize, a: [&V32; 4]) -> RowsA {
    #[inline(always)]
    fn unpack<const PER: usize>(rows: &mut RowsA, halves: usize, a: [&V32; 4], split: impl Fn(u32) -> [f64; PER]) {
        for (index, register) in a.into_iter().enumerate().take(2 * halves) {
            let (h, r) = (index / 2, index % 2);
            for (row, words) in rows[8 * r..8 * r + 8].iter_mut().zip(register.0.chunks_exact(4)) {
                for (out, &word) in row[4 * PER * h..].chunks_exact_mut(PER).zip(words) {
                    out.copy_from_slice(&split(word));
                }
            }
        }
    }
    let mut rows = [[0.0; MAX_K]; 16];
    with_splitter!(ty, split => unpack(&mut rows, halves, a, split));
    rows
}

#[inline(always)]
fn columns_b_any(ty: MmaTy, halves: usize, b: [&V32; 2]) -> ColumnsB {
    #[inline(always)]
    fn unpack<const PER: usize>(to: &mut ColumnsB, halves: usize, b: [&V32; 2], split: impl Fn(u32) -> [f64; PER]) {
        for (h, register) in b.into_iter().enumerate().take(halves) {
            for t in 0..4 {
                let rows = &mut to[4 * PER * h + PER * t..][..PER];
                for (column, words) in register.0.chunks_exact(4).enumerate() {
                    for (row, value) in rows.iter_mut().zip(split(words[t])) {
                        row[column] = value;
                    }
                }
            }
        }
    }
    let mut columns = [[0.0; 8]; MAX_K];
    with_splitter!(ty, split => unpack(&mut columns, halves, b, split));
    columns
}

leveled!(
    /// Unpacks an A fragment of `halves` blocks of k.
    pub(super) fn rows_a(ty: MmaTy, halves: usize, a: [&V32; 4]) -> RowsA = rows_a_any
);
leveled!(
    /// Unpacks a B fragment of `halves` blocks of k.
    pub(super) fn columns_b(ty: MmaTy, halves: usize, b: [&V32; 2]) -> ColumnsB = columns_b_any
);

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

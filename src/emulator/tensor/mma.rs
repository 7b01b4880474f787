//! `mma.sync`: one 16×8 tile for a warp (PTX ISA §9.7.14).

use crate::emulator::copy::Problem;
use crate::emulator::ir::{AccTy, MmaKind, MmaOp, MmaTy, Reg, V32};
use crate::emulator::simd::Level;
#[cfg(target_arch = "x86_64")]
use crate::emulator::simd::Simd;

use super::sum::{self, Summing};
use super::{float, int8};
#[cfg(target_arch = "x86_64")]
use super::{int8_avx2, int8_avx512};

/// Blocks of k in an A or B register pair, and whether the shape and types are an `mma.sync` this emulator knows.
fn blocks(kind: &MmaKind) -> Option<usize> {
    let per_register = 4 * float::per_word(kind.a) as u16;
    let types = match (kind.a, kind.b) {
        (MmaTy::S8 | MmaTy::U8, MmaTy::S8 | MmaTy::U8) => kind.acc == AccTy::S32,
        (MmaTy::E4M3 | MmaTy::E5M2, MmaTy::E4M3 | MmaTy::E5M2) => kind.acc != AccTy::S32 && kind.k == 32,
        (MmaTy::F16, MmaTy::F16) => kind.acc != AccTy::S32,
        (MmaTy::BF16, MmaTy::BF16) | (MmaTy::TF32, MmaTy::TF32) => kind.acc == AccTy::F32,
        _ => false,
    };
    let k = kind.k;
    (types && kind.m == 16 && kind.n == 8 && (k == per_register || k == 2 * per_register))
        .then_some(usize::from(k / per_register))
}

/// Runs one `mma.sync` for the full warp. Registers of `D` may be those of `A`, `B` or `C`.
///
/// Integer products are exact and wrap, or saturate with `.satfinite`; for floating point see [`float`].
///
/// # Errors
/// `Unsupported` for a shape, type combination or register count that this emulator does not know.
pub(crate) fn mma(level: Level, registers: &mut [V32], op: &MmaOp) -> Result<(), Problem> {
    let kind = &op.kind;
    let Some(halves) = blocks(kind) else {
        return Err(Problem::unsupported(format!("mma.sync of {kind:?}")));
    };
    let results = if kind.acc == AccTy::F16 { 2 } else { 4 };
    if (op.a.len(), op.b.len(), op.c.len(), op.d.len()) != (2 * halves, halves, results, results) {
        let counts = (op.d.len(), op.a.len(), op.b.len(), op.c.len());
        return Err(Problem::unsupported(format!("mma.sync of {kind:?} with {counts:?} registers for D, A, B, C")));
    }
    let known = |list: &[Reg]| list.iter().all(|&r| usize::from(r) < registers.len());
    if !(known(&op.a) && known(&op.b) && known(&op.c) && known(&op.d)) {
        return Err(Problem::operand(format!("mma.sync names a register above the {} of the kernel", registers.len())));
    }
    // A tile of half the depth or with packed results repeats operands that are then not looked at.
    fn names<const N: usize>(list: &[Reg]) -> [Reg; N] {
        std::array::from_fn(|i| *list.get(i).unwrap_or(&list[0]))
    }
    let (a, b, c) = (names::<4>(&op.a), names::<2>(&op.b), names::<4>(&op.c));
    let int = int8::IntKind { a_signed: kind.a == MmaTy::S8, b_signed: kind.b == MmaTy::S8, sat: kind.sat };
    #[cfg(target_arch = "x86_64")]
    if kind.acc == AccTy::S32 && !kind.sat && level.simd() != Simd::Portable {
        let names = int8::Names { d: names(&op.d), a, b, c };
        if level.simd() == Simd::Avx512 {
            // SAFETY: a `Level` of AVX-512 exists only where the processor has its F, BW and VNNI parts.
            unsafe { int8_avx512::mma(int, registers, halves, &names) };
        } else {
            // SAFETY: a `Level` of AVX2 exists only where the processor has it.
            unsafe { int8_avx2::mma(int, registers, halves, &names) };
        }
        return Ok(());
    }
    let get = |r: Reg| &registers[usize::from(r)];
    let (a, b, c) = (a.map(get), b.map(get), c.map(get));
    let d = if kind.acc == AccTy::S32 {
        int8::tile(level, int, halves, a, b, c)
    } else {
        let (rows, columns) = (float::rows_a(level, kind.a, halves, a), float::columns_b(level, kind.b, halves, b));
        let how = Summing { acc: kind.acc, k: usize::from(kind.k), types: [kind.a, kind.b], wgmma: false };
        sum::tile(level, how, &rows, &columns, c)
    };
    for (&register, value) in op.d.iter().zip(d) {
        registers[usize::from(register)] = value;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

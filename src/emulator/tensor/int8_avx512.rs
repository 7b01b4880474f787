//! The 16×8 integer tile with AVX-512 VNNI: four multiply-adds in each of 16 lanes per `vpdpbusd`.
//!
//! A 512-bit half `z` of a C register is rows `4z..4z+4` (one per 128 bits) of four columns. For word `j` of k, A is
//! the word `j` of its own row repeated over the 128 bits (`vpshufd`), B the word `j` of each of the four columns
//! repeated over the rows (`vpermi2d`, once per tile). `vpdpbusd` multiplies u8 by s8; where the operands' signs
//! are equal A is moved by 128 (`a ^ 0x80`) and `128·Σb` is taken back from the accumulator.

use std::arch::x86_64::*;

use crate::emulator::copy::Problem;
use crate::emulator::ir::{Reg, V32};

use super::descriptor::Descriptor;
use super::int8::{FragA, IntKind, Names};

/// The 8 accumulators of a tile: C register, half.
pub(super) type Acc = [[__m512i; 2]; 4];
/// An A fragment in host registers: A register, half.
pub(super) type A = [[__m512i; 2]; 4];

/// The two 512-bit halves of a register.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load(v: &V32) -> [__m512i; 2] {
    // SAFETY: `V32` is 128 bytes aligned to 64: two aligned 64-byte halves.
    unsafe { [_mm512_load_si512(v.0.as_ptr().cast()), _mm512_load_si512(v.0.as_ptr().add(16).cast())] }
}

/// Writes both halves of a register.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store(v: &mut V32, halves: [__m512i; 2]) {
    // SAFETY: as in `load`.
    unsafe {
        _mm512_store_si512(v.0.as_mut_ptr().cast(), halves[0]);
        _mm512_store_si512(v.0.as_mut_ptr().add(16).cast(), halves[1]);
    }
}

/// Loads an A fragment, moved by 128 if the signs ask for it.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load_a<const BIAS: bool>(a: FragA<'_>) -> A {
    let flip = if BIAS { _mm512_set1_epi8(i8::MIN) } else { _mm512_setzero_si512() };
    let moved = |v: &V32| {
        let [low, high] = load(v);
        [_mm512_xor_si512(low, flip), _mm512_xor_si512(high, flip)]
    };
    let [a0, a1, a2, a3] = a;
    [moved(a0), moved(a1), moved(a2), moved(a3)]
}

/// B is unsigned (`SWAP`): it takes the unsigned operand's place and A the signed one's.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn dot<const SWAP: bool>(acc: __m512i, a: __m512i, b: __m512i) -> __m512i {
    if SWAP { _mm512_dpbusd_epi32(acc, b, a) } else { _mm512_dpbusd_epi32(acc, a, b) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn step<const SWAP: bool, const BIAS: bool, const IMM: i32>(
    acc: &mut Acc,
    sums: &mut [__m512i; 2],
    a: &[[__m512i; 2]; 2],
    b: [__m512i; 2],
    even: __m512i,
) {
    let even = _mm512_add_epi32(even, _mm512_set1_epi32(IMM & 3));
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(4));
    let b = [_mm512_permutex2var_epi32(b[0], even, b[1]), _mm512_permutex2var_epi32(b[0], odd, b[1])];
    for (e, b) in b.into_iter().enumerate() {
        if BIAS {
            sums[e] = dot::<SWAP>(sums[e], _mm512_set1_epi8(1), b);
        }
    }
    for r in 0..2 {
        for z in 0..2 {
            let a = _mm512_shuffle_epi32::<IMM>(a[r][z]);
            acc[2 * r][z] = dot::<SWAP>(acc[2 * r][z], a, b[0]);
            acc[2 * r + 1][z] = dot::<SWAP>(acc[2 * r + 1][z], a, b[1]);
        }
    }
}

/// `acc += A·B`; `a` comes from `load_a` with the same `BIAS`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) fn multiply<const SWAP: bool, const BIAS: bool>(acc: &mut Acc, halves: usize, a: &A, b: &[[__m512i; 2]; 2]) {
    // Word index of column 2(l % 4): 8(l % 4).
    let even = _mm512_setr_epi32(0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24);
    let mut sums = [_mm512_setzero_si512(); 2];
    for h in 0..halves {
        let a = &[a[2 * h], a[2 * h + 1]];
        step::<SWAP, BIAS, 0x00>(acc, &mut sums, a, b[h], even);
        step::<SWAP, BIAS, 0x55>(acc, &mut sums, a, b[h], even);
        step::<SWAP, BIAS, 0xaa>(acc, &mut sums, a, b[h], even);
        step::<SWAP, BIAS, 0xff>(acc, &mut sums, a, b[h], even);
    }
    if BIAS {
        let sums = sums.map(|s| _mm512_slli_epi32::<7>(s));
        for (c, acc) in acc.iter_mut().enumerate() {
            for acc in acc {
                // Signed A was raised by 128, unsigned A lowered.
                *acc = if SWAP { _mm512_add_epi32(*acc, sums[c % 2]) } else { _mm512_sub_epi32(*acc, sums[c % 2]) };
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn mma_of<const SWAP: bool, const BIAS: bool>(registers: &mut [V32], halves: usize, names: &Names) {
    let get = |r: Reg| &registers[usize::from(r)];
    let a = load_a::<BIAS>(names.a.map(get));
    let b = [load(get(names.b[0])), load(get(names.b[1]))];
    let [c0, c1, c2, c3] = names.c.map(get);
    let mut acc = [load(c0), load(c1), load(c2), load(c3)];
    // The constant counts unroll the loop over halves.
    match halves {
        1 => multiply::<SWAP, BIAS>(&mut acc, 1, &a, &b),
        _ => multiply::<SWAP, BIAS>(&mut acc, 2, &a, &b),
    }
    for (acc, d) in acc.into_iter().zip(names.d) {
        store(&mut registers[usize::from(d)], acc);
    }
}

/// A wrapping integer `mma.sync`. D is written after everything is read, so registers may coincide.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn mma(kind: IntKind, registers: &mut [V32], halves: usize, names: &Names) {
    match (kind.a_signed, kind.b_signed) {
        (true, true) => mma_of::<false, true>(registers, halves, names),
        (false, true) => mma_of::<false, false>(registers, halves, names),
        (true, false) => mma_of::<true, false>(registers, halves, names),
        (false, false) => mma_of::<true, true>(registers, halves, names),
    }
}

/// Eight rows of two 16-byte chunks, laid out as a B fragment.
#[target_feature(enable = "avx512f")]
#[inline]
fn pack_b(chunks: [[__m128i; 8]; 2]) -> [[__m512i; 2]; 2] {
    let four = |rows: &[__m128i]| {
        let x = _mm512_castsi128_si512(rows[0]);
        let x = _mm512_inserti32x4::<1>(x, rows[1]);
        let x = _mm512_inserti32x4::<2>(x, rows[2]);
        _mm512_inserti32x4::<3>(x, rows[3])
    };
    let [c0, c1] = chunks;
    [[four(&c0[..4]), four(&c0[4..])], [four(&c1[..4]), four(&c1[4..])]]
}

/// A B fragment from shared memory, every chunk's place worked out and checked alone.
#[target_feature(enable = "avx512f")]
fn load_b(shared: &[u8], from: &Descriptor, first: u32) -> Result<[[__m512i; 2]; 2], Problem> {
    let mut chunks = [[_mm_setzero_si128(); 8]; 2];
    for (c, chunks) in chunks.iter_mut().enumerate() {
        for (row, chunk) in chunks.iter_mut().enumerate() {
            let bytes = from.load_chunk(shared, first + row as u32, c as u32)?;
            // SAFETY: `bytes` is 16 readable bytes; the load needs no alignment.
            *chunk = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        }
    }
    Ok(pack_b(chunks))
}

/// The same from places `offsets + skip`.
///
/// # Safety
/// 16 bytes at every place must be inside `shared`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_b_at(shared: &[u8], offsets: &[[u32; 8]; 2], skip: usize) -> [[__m512i; 2]; 2] {
    let load = |offset: u32| {
        // SAFETY: the caller says that the 16 bytes are inside; the load needs no alignment.
        unsafe { _mm_loadu_si128(shared.as_ptr().add(offset as usize + skip).cast()) }
    };
    let [c0, c1] = offsets;
    pack_b([
        [load(c0[0]), load(c0[1]), load(c0[2]), load(c0[3]), load(c0[4]), load(c0[5]), load(c0[6]), load(c0[7])],
        [load(c1[0]), load(c1[1]), load(c1[2]), load(c1[3]), load(c1[4]), load(c1[5]), load(c1[6]), load(c1[7])],
    ])
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn wgmma_of<const SWAP: bool, const BIAS: bool>(
    registers: &mut [V32],
    d: &[Reg],
    a: FragA<'_>,
    scale_d: bool,
    shared: &[u8],
    from: &Descriptor,
) -> Result<(), Problem> {
    let a = load_a::<BIAS>(a);
    let pattern = from.pattern(d.len() / 4, shared.len());
    for (i, d) in d.chunks_exact(4).enumerate() {
        let b = match &pattern {
            // SAFETY: `pattern` made sure that the chunks of all groups of 8 rows are inside `shared`.
            Some((offsets, stride)) => unsafe { load_b_at(shared, offsets, i * *stride as usize) },
            None => load_b(shared, from, 8 * i as u32)?,
        };
        let mut acc = [[_mm512_setzero_si512(); 2]; 4];
        if scale_d {
            for (acc, &d) in acc.iter_mut().zip(d) {
                *acc = load(&registers[usize::from(d)]);
            }
        }
        multiply::<SWAP, BIAS>(&mut acc, 2, &a, &b);
        for (acc, &d) in acc.into_iter().zip(d) {
            store(&mut registers[usize::from(d)], acc);
        }
    }
    Ok(())
}

/// A warp's 16 rows of a wrapping integer `wgmma`: `d` names four registers per 8 columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn wgmma(
    kind: IntKind,
    registers: &mut [V32],
    d: &[Reg],
    a: FragA<'_>,
    scale_d: bool,
    shared: &[u8],
    from: &Descriptor,
) -> Result<(), Problem> {
    match (kind.a_signed, kind.b_signed) {
        (true, true) => wgmma_of::<false, true>(registers, d, a, scale_d, shared, from),
        (false, true) => wgmma_of::<false, false>(registers, d, a, scale_d, shared, from),
        (true, false) => wgmma_of::<true, false>(registers, d, a, scale_d, shared, from),
        (false, false) => wgmma_of::<true, true>(registers, d, a, scale_d, shared, from),
    }
}

//! `mma.sync` against loops written from the fragment tables of PTX ISA §9.7.14.

use half::{bf16, f16};

use super::*;
use crate::emulator::simd::Simd;

/// Every level this computer has.
fn levels() -> Vec<Level> {
    let mut levels: Vec<Level> = [Simd::Portable, Simd::Avx2, Simd::Avx512].map(|simd| Level::new(Some(simd))).to_vec();
    levels.dedup();
    levels
}

struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 32) as u32
    }
}

fn op(kind: MmaKind, a: usize, b: usize, c: usize) -> MmaOp {
    // D lies over C, as kernels have it.
    let range = |from: usize, n: usize| (from..from + n).map(|r| r as u16).collect();
    MmaOp { kind, d: range(a + b, c), a: range(0, a), b: range(a, b), c: range(a + b, c) }
}

fn int_kind(k: u16, a: MmaTy, b: MmaTy, sat: bool) -> MmaKind {
    MmaKind { m: 16, n: 8, k, a, b, acc: AccTy::S32, sat }
}

/// Row, column of element `i` (counted over registers, low byte first) of A for 8-bit types: the table of
/// `.m16n8k16` (i < 8) and `.m16n8k32` (i < 16).
fn a8(k: u16, lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    if k == 16 {
        (if i < 4 { group } else { group + 8 }, thread * 4 + (i & 3))
    } else {
        let row = if i < 4 || (8..12).contains(&i) { group } else { group + 8 };
        (row, if i < 8 { thread * 4 + (i & 3) } else { thread * 4 + (i & 3) + 16 })
    }
}

fn b8(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 4 { thread * 4 + (i & 3) } else { thread * 4 + (i & 3) + 16 }, group)
}

fn c32(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
}

fn byte(registers: &[V32], first: usize, lane: usize, i: usize) -> u8 {
    registers[first + i / 4].0[lane].to_le_bytes()[i % 4]
}

fn value(ty: MmaTy, byte: u8) -> i64 {
    if ty == MmaTy::S8 { i64::from(byte as i8) } else { i64::from(byte) }
}

#[test]
fn integer_tiles() {
    let mut random = Random(1);
    let extreme = [0x8080_8080u32, 0x7f7f_7f7f, 0xffff_ffff, 0, 0x80ff_7f01];
    for round in 0..24 {
        for k in [16u16, 32] {
            for (a, b) in
                [(MmaTy::S8, MmaTy::S8), (MmaTy::U8, MmaTy::S8), (MmaTy::S8, MmaTy::U8), (MmaTy::U8, MmaTy::U8)]
            {
                for sat in [false, true] {
                    let halves = usize::from(k / 16);
                    let (na, nb) = (2 * halves, halves);
                    let mut registers = vec![V32([0; 32]); na + nb + 4];
                    for (index, register) in registers.iter_mut().enumerate() {
                        for word in &mut register.0 {
                            *word = match round {
                                // Whole operands of one extreme byte, and accumulators next to both overflows.
                                0..5 if index < na => extreme[round],
                                5..10 if index < na + nb => extreme[round - 5],
                                _ if index >= na + nb && round % 2 == 0 => {
                                    [i32::MAX as u32, i32::MIN as u32][random.word() as usize % 2]
                                }
                                _ => random.word(),
                            };
                        }
                    }
                    let mut left = [[0i64; 32]; 16];
                    let mut right = [[0i64; 8]; 32];
                    for lane in 0..32 {
                        for i in 0..4 * na {
                            let (row, column) = a8(k, lane, i);
                            left[row][column] = value(a, byte(&registers, 0, lane, i));
                        }
                        for i in 0..4 * nb {
                            let (row, column) = b8(lane, i);
                            right[row][column] = value(b, byte(&registers, na, lane, i));
                        }
                    }
                    for level in levels() {
                        let mut run = registers.clone();
                        mma(level, &mut run, &op(int_kind(k, a, b, sat), na, nb, 4)).unwrap();
                        for lane in 0..32 {
                            for i in 0..4 {
                                let (row, column) = c32(lane, i);
                                let sum: i64 = (0..usize::from(k)).map(|x| left[row][x] * right[x][column]).sum();
                                let sum = sum + i64::from(registers[na + nb + i].0[lane] as i32);
                                let expected = if sat {
                                    sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
                                } else {
                                    sum as i32
                                };
                                assert_eq!(
                                    run[na + nb + i].0[lane] as i32,
                                    expected,
                                    "k {k} {a:?}x{b:?} sat {sat} {:?} lane {lane} c{i} round {round}",
                                    level.simd()
                                );
                            }
                        }
                        assert_eq!(run[..na + nb], registers[..na + nb]);
                    }
                }
            }
        }
    }
}

/// Row, column of element `i` of A for 16-bit types: tables of `.m16n8k8` and `.m16n8k16`.
fn a16(k: u16, lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    if k == 8 {
        (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
    } else {
        let row = if i < 2 || (4..6).contains(&i) { group } else { group + 8 };
        (row, if i < 4 { thread * 2 + (i & 1) } else { thread * 2 + (i & 1) + 8 })
    }
}

fn b16(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 2 { thread * 2 + (i & 1) } else { thread * 2 + (i & 1) + 8 }, group)
}

/// Small multiples of 1/8: sums of 16 products and an accumulator are exact even in f16.
fn small(random: &mut Random) -> f32 {
    (random.word() % 17) as f32 / 8.0 - 1.0
}

fn bits16(ty: MmaTy, x: f32) -> u32 {
    u32::from(if ty == MmaTy::F16 { f16::from_f32(x).to_bits() } else { bf16::from_f32(x).to_bits() })
}

#[test]
fn half_tiles_of_exact_sums() {
    let mut random = Random(2);
    for (ty, acc, k) in [
        (MmaTy::F16, AccTy::F32, 16u16),
        (MmaTy::F16, AccTy::F16, 16),
        (MmaTy::BF16, AccTy::F32, 16),
        (MmaTy::F16, AccTy::F32, 8),
        (MmaTy::F16, AccTy::F16, 8),
        (MmaTy::BF16, AccTy::F32, 8),
    ] {
        let halves = usize::from(k / 8);
        let (na, nb, nc) = (2 * halves, halves, if acc == AccTy::F16 { 2 } else { 4 });
        let left: [[f32; 16]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| small(&mut random)));
        let right: [[f32; 8]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| small(&mut random)));
        let start: [[f32; 8]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| small(&mut random)));
        let mut registers = vec![V32([0; 32]); na + nb + nc];
        for lane in 0..32 {
            for i in 0..2 * na {
                let (row, column) = a16(k, lane, i);
                registers[i / 2].0[lane] |= bits16(ty, left[row][column]) << (16 * (i % 2));
            }
            for i in 0..2 * nb {
                let (row, column) = b16(lane, i);
                registers[na + i / 2].0[lane] |= bits16(ty, right[row][column]) << (16 * (i % 2));
            }
            for i in 0..4 {
                let (row, column) = c32(lane, i);
                if acc == AccTy::F16 {
                    registers[na + nb + i / 2].0[lane] |= bits16(ty, start[row][column]) << (16 * (i % 2));
                } else {
                    registers[na + nb + i].0[lane] = start[row][column].to_bits();
                }
            }
        }
        for level in levels() {
            let mut run = registers.clone();
            mma(level, &mut run, &op(MmaKind { m: 16, n: 8, k, a: ty, b: ty, acc, sat: false }, na, nb, nc)).unwrap();
            for lane in 0..32 {
                for i in 0..4 {
                    let (row, column) = c32(lane, i);
                    let sum =
                        start[row][column] + (0..usize::from(k)).map(|x| left[row][x] * right[x][column]).sum::<f32>();
                    let (got, expected) = if acc == AccTy::F16 {
                        (run[na + nb + i / 2].0[lane] >> (16 * (i % 2)) & 0xffff, bits16(ty, sum))
                    } else {
                        (run[na + nb + i].0[lane], sum.to_bits())
                    };
                    assert_eq!(got, expected, "{ty:?} {acc:?} k {k} {:?} lane {lane} c{i}", level.simd());
                }
            }
        }
    }
}

#[test]
fn tf32_tiles_ignore_the_low_bits() {
    let mut random = Random(3);
    for k in [4u16, 8] {
        let halves = usize::from(k / 4);
        let left: [[f32; 8]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| small(&mut random)));
        let right: [[f32; 8]; 8] = std::array::from_fn(|_| std::array::from_fn(|_| small(&mut random)));
        let mut registers = vec![V32([0; 32]); 3 * halves + 4];
        for lane in 0..32 {
            let (group, thread) = (lane >> 2, lane % 4);
            for i in 0..2 * halves {
                // a0: (group, thread), a1: (group + 8, thread), a2: (group, thread + 4), a3: (group + 8, thread + 4).
                let x = left[group + 8 * (i % 2)][thread + 4 * (i / 2)];
                registers[i].0[lane] = x.to_bits() | (random.word() & 0x1fff);
            }
            for i in 0..halves {
                registers[2 * halves + i].0[lane] = right[thread + 4 * i][group].to_bits();
            }
        }
        let kind = MmaKind { m: 16, n: 8, k, a: MmaTy::TF32, b: MmaTy::TF32, acc: AccTy::F32, sat: false };
        mma(Level::new(None), &mut registers, &op(kind, 2 * halves, halves, 4)).unwrap();
        for lane in 0..32 {
            for i in 0..4 {
                let (row, column) = c32(lane, i);
                let sum: f32 = (0..usize::from(k)).map(|x| left[row][x] * right[x][column]).sum();
                assert_eq!(f32::from_bits(registers[3 * halves + i].0[lane]), sum, "k {k} lane {lane} c{i}");
            }
        }
    }
}

/// All 256 codes of each fp8 type, each alone in its row against a column of ones.
#[test]
fn fp8_codes() {
    for (ty, one) in [(MmaTy::E4M3, 0x38u8), (MmaTy::E5M2, 0x3c)] {
        for first in (0..256).step_by(16) {
            let mut registers = vec![V32([0; 32]); 10];
            for lane in 0..32 {
                for i in 0..16 {
                    let (row, column) = a8(32, lane, i);
                    if column == row {
                        registers[i / 4].0[lane] |= ((first + row) as u32) << (8 * (i % 4));
                    }
                }
                for i in 0..8 {
                    registers[4 + i / 4].0[lane] |= u32::from(one) << (8 * (i % 4));
                }
            }
            let kind = MmaKind { m: 16, n: 8, k: 32, a: ty, b: ty, acc: AccTy::F32, sat: false };
            mma(Level::new(None), &mut registers, &op(kind, 4, 2, 4)).unwrap();
            for lane in 0..32 {
                for i in 0..4 {
                    let (row, _) = c32(lane, i);
                    let code = (first + row) as u8;
                    let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
                    let expected = if ty == MmaTy::E4M3 {
                        // 4 exponent bits (bias 7), 3 mantissa bits; only 0x7f is NaN.
                        match (code >> 3 & 15, code & 7) {
                            (15, 7) => f32::NAN,
                            (0, m) => f32::from(m) / 512.0,
                            (e, m) => (1.0 + f32::from(m) / 8.0) * 2f32.powi(i32::from(e) - 7),
                        }
                    } else {
                        // 5 exponent bits (bias 15), 2 mantissa bits, infinities.
                        match (code >> 2 & 31, code & 3) {
                            (31, 0) => f32::INFINITY,
                            (31, _) => f32::NAN,
                            (0, m) => f32::from(m) / 65536.0,
                            (e, m) => (1.0 + f32::from(m) / 4.0) * 2f32.powi(i32::from(e) - 15),
                        }
                    };
                    let got = f32::from_bits(registers[6 + i].0[lane]);
                    assert!(
                        got == sign * expected || (got.is_nan() && expected.is_nan()),
                        "{ty:?} {code:#04x}: {got} is not {}",
                        sign * expected
                    );
                }
            }
        }
    }
}

#[test]
fn one_rounding_and_canonical_nan() {
    // Row 0: 2^12·2^12 + 1·1 − 2^12·2^12 is 1; a running sum in f32 would lose it.
    let mut registers = vec![V32([0; 32]); 10];
    let pair = |x: f32, y: f32| bits16(MmaTy::F16, x) | bits16(MmaTy::F16, y) << 16;
    registers[0].0[0] = pair(4096.0, 1.0);
    registers[0].0[1] = pair(-4096.0, 0.0);
    registers[0].0[4] = pair(f32::INFINITY, f32::NEG_INFINITY);
    registers[4].0[0] = pair(4096.0, 1.0);
    registers[4].0[1] = pair(4096.0, 0.0);
    let kind = MmaKind { m: 16, n: 8, k: 16, a: MmaTy::F16, b: MmaTy::F16, acc: AccTy::F32, sat: false };
    mma(Level::new(None), &mut registers, &op(kind, 4, 2, 4)).unwrap();
    assert_eq!(f32::from_bits(registers[6].0[0]), 1.0);
    assert_eq!(registers[6].0[4], 0x7fff_ffff);
}

#[test]
fn unknown_forms_are_refused() {
    let mut registers = vec![V32([0; 32]); 10];
    let level = Level::new(None);
    assert!(mma(level, &mut registers, &op(int_kind(64, MmaTy::S8, MmaTy::S8, false), 4, 2, 4)).is_err());
    assert!(mma(level, &mut registers, &op(int_kind(32, MmaTy::S8, MmaTy::F16, false), 4, 2, 4)).is_err());
    assert!(mma(level, &mut registers, &op(int_kind(32, MmaTy::S8, MmaTy::S8, false), 2, 1, 4)).is_err());
    assert!(mma(level, &mut registers[..9], &op(int_kind(32, MmaTy::S8, MmaTy::S8, false), 4, 2, 4)).is_err());
}

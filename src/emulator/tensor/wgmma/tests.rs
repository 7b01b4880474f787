//! `wgmma` against loops over matrices that the tests lay out in shared memory themselves, from PTX ISA §9.7.15.

use half::f16;

use super::*;
use crate::emulator::ir::{MmaKind, PredSrc};
use crate::emulator::simd::Simd;

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

fn descriptor(start: u64, lbo: u64, sbo: u64, mode: u64) -> u64 {
    (start / 16) | ((lbo / 16) << 16) | ((sbo / 16) << 32) | (mode << 62)
}

/// The XOR pattern as the ISA draws it: 16-byte chunks of 128-byte line `l` change places by the low bits of `l`.
fn drawn(at: usize, mask: usize) -> usize {
    let (line, chunk) = (at / 128, at / 16 % 8);
    line * 128 + (chunk ^ (line & mask)) * 16 + at % 16
}

/// Bytes of a line and line bits of a swizzle mode.
fn pattern(mode: u64) -> (usize, usize) {
    match mode {
        1 => (128, 7),
        2 => (64, 3),
        _ => (32, 1),
    }
}

/// Byte address of byte `x` (0..32) of row `r` of a K-major operand; `lbo` counts without a swizzle.
fn k_major(start: usize, lbo: usize, sbo: usize, mode: u64, r: usize, x: usize) -> usize {
    let atom = start + (r / 8) * sbo;
    if mode == 0 {
        return atom + (r % 8) * 16 + (x / 16) * lbo + x % 16;
    }
    let (span, mask) = pattern(mode);
    drawn(atom + (r % 8) * span + x, mask)
}

/// Byte address of element `(m, k)` of an MN-major matrix of halves: atoms of 8 k-lines of `span` bytes along M or N.
fn mn_major(start: usize, lbo: usize, sbo: usize, mode: u64, m: usize, k: usize) -> usize {
    if mode == 0 {
        return start + (m / 8) * sbo + (k / 8) * lbo + (k % 8) * 16 + (m % 8) * 2;
    }
    let (span, mask) = pattern(mode);
    drawn(start + (m / (span / 2)) * lbo + (k / 8) * sbo + (k % 8) * span + (m % (span / 2)) * 2, mask)
}

/// (row in the warpgroup, column) of accumulator `i` of a lane: the table of D for m64nN.
fn d_place(warp: usize, lane: usize, i: usize) -> (usize, usize) {
    (16 * warp + lane / 4 + 8 * (i / 2 % 2), 8 * (i / 4) + 2 * (lane % 4) + i % 2)
}

fn op(n: u16, ty: MmaTy, acc: AccTy, a: WgmmaA) -> WgmmaOp {
    let k = 8 * float::per_word(ty) as u16;
    let registers = usize::from(n / 8) * results(acc);
    WgmmaOp {
        kind: MmaKind { m: 64, n, k, a: ty, b: ty, acc, sat: false },
        d: (0..registers as u16).collect(),
        a,
        b: 1,
        scale_d: PredSrc { pred: 0, negated: false },
        neg_a: false,
        neg_b: false,
        trans_a: false,
        trans_b: false,
    }
}

fn run(
    level: Level,
    op: &WgmmaOp,
    warp: u32,
    registers: &mut [V32],
    descriptors: [u64; 2],
    shared: &[u8],
    scale_d: bool,
) {
    let r64 = descriptors.map(|d| V64([d; 32]));
    let mut queue = WgmmaQueue::default();
    queue.issue(7, op, warp, registers, &r64, scale_d).unwrap();
    assert!(queue.due(0).is_none(), "not committed");
    queue.commit();
    assert!(queue.due(1).is_none() && !queue.pending.is_empty());
    let pending = queue.due(0).unwrap();
    assert_eq!(pending.inst, 7);
    pending.land(level, op, registers, shared).unwrap();
}

#[test]
fn int8_products_from_every_layout() {
    let mut random = Random(4);
    for n in [8u16, 24, 128, 256] {
        for (mode, lbo, sbo) in [(0u64, 0x2000, 128), (1, 16, 1024), (2, 16, 512), (3, 16, 256)] {
            // Inside a line the start moves along K by 32 bytes; the 128-byte span has room.
            let along = if mode == 1 { 64 } else { 0 };
            let (a_start, b_start) = (0x8000 + along, 0x1_0000 + along);
            let a: Vec<[i8; 32]> = (0..64).map(|_| std::array::from_fn(|_| random.word() as i8)).collect();
            let b: Vec<[i8; 32]> = (0..n)
                .map(|_| std::array::from_fn(|_| [random.word() as i8, i8::MIN][random.word() as usize % 2]))
                .collect();
            let mut shared = vec![0x55u8; 0x1_c000];
            for (matrix, start) in [(&a, a_start), (&b, b_start)] {
                for (r, row) in matrix.iter().enumerate() {
                    for (x, &value) in row.iter().enumerate() {
                        shared[k_major(start, lbo, sbo, mode, r, x)] = value as u8;
                    }
                }
            }
            let desc = |start: usize| descriptor(start as u64, lbo as u64, sbo as u64, mode);
            for level in levels() {
                for scale_d in [false, true] {
                    for warp in 0..4usize {
                        let op = op(n, MmaTy::S8, AccTy::S32, WgmmaA::Desc(0));
                        let start: Vec<V32> =
                            op.d.iter().map(|_| V32(std::array::from_fn(|_| random.word()))).collect();
                        let mut registers = start.clone();
                        run(
                            level,
                            &op,
                            4 + warp as u32,
                            &mut registers,
                            [desc(a_start), desc(b_start)],
                            &shared,
                            scale_d,
                        );
                        for lane in 0..32 {
                            for (i, register) in registers.iter().enumerate() {
                                let (row, column) = d_place(warp, lane, i);
                                let sum: i32 = (0..32).map(|k| i32::from(a[row][k]) * i32::from(b[column][k])).sum();
                                let expected = if scale_d { sum.wrapping_add(start[i].0[lane] as i32) } else { sum };
                                assert_eq!(
                                    register.0[lane] as i32,
                                    expected,
                                    "n {n} mode {mode} {:?} warp {warp} lane {lane} d{i}",
                                    level.simd()
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A from registers (the fragment of `mma.m16n8k32`), unsigned; wrapping and saturating.
#[test]
fn int8_from_registers() {
    let mut random = Random(5);
    let mut shared = vec![0u8; 0x800];
    shared.iter_mut().for_each(|b| *b = random.word() as u8);
    for sat in [false, true] {
        for level in levels() {
            let mut op = op(16, MmaTy::U8, AccTy::S32, WgmmaA::Regs([8, 9, 10, 11]));
            (op.kind.b, op.kind.sat) = (MmaTy::S8, sat);
            let start: Vec<V32> = (0..12)
                .map(|i| V32(std::array::from_fn(|_| if i < 8 { i32::MAX as u32 - 1000 } else { random.word() })))
                .collect();
            let mut registers = start.clone();
            run(level, &op, 2, &mut registers, [0, descriptor(0, 0, 1024, 1)], &shared, true);
            for lane in 0..32 {
                for i in 0..8 {
                    let (row, column) = d_place(0, lane, i);
                    let product = |k: usize| {
                        // Register of (row, k): +1 for rows 8 up, +2 for k 16 up; lane 4·(row % 8) + (k % 16) / 4.
                        let word = start[8 + row / 8 + 2 * (k / 16)].0[4 * (row % 8) + k % 16 / 4];
                        let b = shared[k_major(0, 0, 1024, 1, column, k)] as i8;
                        i64::from(word.to_le_bytes()[k % 4]) * i64::from(b)
                    };
                    let sum = (0..32).map(product).sum::<i64>() + i64::from(start[i].0[lane] as i32);
                    let expected = if sat { sum.min(i64::from(i32::MAX)) as i32 } else { sum as i32 };
                    assert_eq!(registers[i].0[lane] as i32, expected, "sat {sat} {:?} lane {lane} d{i}", level.simd());
                }
            }
        }
    }
}

#[test]
fn half_products_of_both_majors() {
    let mut random = Random(6);
    let n = 32usize;
    let mut small = || f16::from_f32((random.word() % 9) as f32 / 4.0 - 1.0);
    let a: Vec<[f16; 16]> = (0..64).map(|_| std::array::from_fn(|_| small())).collect();
    let b: Vec<[f16; 16]> = (0..n).map(|_| std::array::from_fn(|_| small())).collect();
    for mode in 0..4u64 {
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut shared = vec![0x55u8; 0x1_0000];
            // Strides large enough for either meaning of LBO and SBO.
            let (lbo, sbo) = (0x3000, 0x400);
            for (matrix, start, trans) in [(&a, 0, trans_a), (&b, 0x8000, trans_b)] {
                for (r, row) in matrix.iter().enumerate() {
                    for (k, value) in row.iter().enumerate() {
                        let at = if trans {
                            mn_major(start, if mode == 0 { lbo } else { 0x800 }, sbo, mode, r, k)
                        } else {
                            k_major(start, lbo, sbo, mode, r, 2 * k)
                        };
                        shared[at..at + 2].copy_from_slice(&value.to_bits().to_le_bytes());
                    }
                }
            }
            let desc = |start, trans: bool| {
                descriptor(start, if trans && mode != 0 { 0x800 } else { lbo as u64 }, sbo as u64, mode)
            };
            for (acc, neg) in [(AccTy::F32, false), (AccTy::F16, false), (AccTy::F32, true)] {
                let mut op = op(n as u16, MmaTy::F16, acc, WgmmaA::Desc(0));
                (op.trans_a, op.trans_b, op.neg_b) = (trans_a, trans_b, neg);
                for warp in 0..4usize {
                    let one = if acc == AccTy::F16 { 0x3c00_3c00 } else { 1f32.to_bits() };
                    let mut registers = vec![V32([one; 32]); op.d.len()];
                    run(
                        Level::new(None),
                        &op,
                        warp as u32,
                        &mut registers,
                        [desc(0, trans_a), desc(0x8000, trans_b)],
                        &shared,
                        true,
                    );
                    for lane in 0..32 {
                        for i in 0..n / 2 {
                            let (row, column) = d_place(warp, lane, i);
                            let sum: f32 = (0..16).map(|k| a[row][k].to_f32() * b[column][k].to_f32()).sum();
                            let expected = 1.0 + if neg { -sum } else { sum };
                            let got = if acc == AccTy::F16 {
                                f16::from_bits((registers[i / 2].0[lane] >> (16 * (i % 2))) as u16).to_f32()
                            } else {
                                f32::from_bits(registers[i].0[lane])
                            };
                            assert_eq!(
                                got, expected,
                                "mode {mode} trans {trans_a} {trans_b} {acc:?} warp {warp} lane {lane} d{i}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn operands_are_captured_and_memory_is_read_late() {
    let mut shared = vec![1u8; 0x1000];
    let op = op(8, MmaTy::S8, AccTy::S32, WgmmaA::Regs([4, 5, 6, 7]));
    let mut registers = vec![V32([0x0101_0101; 32]); 8];
    let r64 = [V64([0; 32]), V64([descriptor(0, 0, 1024, 1); 32])];
    let mut queue = WgmmaQueue::default();
    queue.issue(0, &op, 0, &registers, &r64, false).unwrap();
    queue.commit();
    registers[4..].fill(V32([0; 32]));
    shared.fill(2);
    let pending = queue.due(0).unwrap();
    pending.land(Level::new(None), &op, &mut registers, &shared).unwrap();
    assert_eq!(registers[0].0[0], 64, "32 · (1 from the registers at issue) · (2 from memory at the wait)");
}

#[test]
fn misuse_is_reported() {
    let good = op(8, MmaTy::S8, AccTy::S32, WgmmaA::Desc(0));
    let mut registers = vec![V32([0; 32]); 4];
    let mut queue = WgmmaQueue::default();
    let mut r64 = [V64([0; 32]), V64([descriptor(0x3f80, 0, 1024, 1); 32])];
    queue.issue(0, &good, 0, &registers, &r64, false).unwrap();
    for level in levels() {
        let problem = queue.pending[0].land(level, &good, &mut registers, &[0; 0x4000]).unwrap_err();
        assert_eq!((problem.address, problem.size), (0x4000, 16), "row 1 of B is past the end");
    }
    r64[0].0[5] = 64;
    let problem = queue.issue(0, &good, 0, &registers, &r64, false).unwrap_err();
    assert_eq!(problem.lane, Some(5));
    let mut transposed = good.clone();
    transposed.trans_b = true;
    assert!(queue.issue(0, &transposed, 0, &registers, &r64, false).is_err());
    assert!(
        queue.issue(0, &op(16, MmaTy::S8, AccTy::S32, WgmmaA::Desc(0)), 0, &registers, &r64, false).is_err(),
        "more accumulators than registers"
    );
    let mut odd = good;
    odd.kind.n = 12;
    assert!(queue.issue(0, &odd, 0, &registers, &r64, false).is_err());
}

//! `mma.sync`, `wgmma`, `stmatrix`: every type, against sums over matrices (PTX ISA §9.7.14, §9.7.15). Values are
//! chosen so that every sum is exact, whatever its order.

use half::{bf16, f16};

use super::words::{Block, Random, list, load, machines, store};

/// An operand type: its name, elements of a word, and the code of a small integer ÷ 2 (integers: the integer).
#[derive(Clone, Copy)]
struct Type {
    name: &'static str,
    per: usize,
    code: fn(i32) -> u32,
}

const S8: Type = Type { name: "s8", per: 4, code: |x| x as u32 & 0xff };
const U8: Type = Type { name: "u8", per: 4, code: |x| x as u32 & 0xff };
const F16: Type = Type { name: "f16", per: 2, code: |x| f16::from_f32(x as f32 / 2.0).to_bits().into() };
const BF16: Type = Type { name: "bf16", per: 2, code: |x| bf16::from_f32(x as f32 / 2.0).to_bits().into() };
const TF32: Type = Type { name: "tf32", per: 1, code: |x| (x as f32 / 2.0).to_bits() };
// 0, ±0.5, ±1, ±1.5, ±2: exponent bias 7 and 3 mantissa bits, bias 15 and 2.
const E4M3: Type = Type { name: "e4m3", per: 4, code: |x| fp8(x, [0, 0x30, 0x38, 0x3c, 0x40]) };
const E5M2: Type = Type { name: "e5m2", per: 4, code: |x| fp8(x, [0, 0x38, 0x3c, 0x3e, 0x40]) };

fn fp8(x: i32, codes: [u32; 5]) -> u32 {
    codes[x.unsigned_abs() as usize] | if x < 0 { 0x80 } else { 0 }
}

fn value(ty: Type, random: &mut Random) -> i32 {
    match ty.name {
        "s8" => random.word() as i8 as i32,
        "u8" => random.word() as u8 as i32,
        _ => random.word() as i32 % 5,
    }
}

fn matrix(ty: Type, rows: usize, k: usize, random: &mut Random) -> Vec<Vec<i32>> {
    (0..rows).map(|_| (0..k).map(|_| value(ty, random)).collect()).collect()
}

/// The accumulator of a sum in halves of halves (floats) or ones (integers).
fn accumulator(acc: &str, sum: i64) -> u32 {
    match acc {
        "s32" => sum as u32,
        "f32" => (sum as f32 / 4.0).to_bits(),
        _ => f16::from_f32(sum as f32 / 4.0).to_bits().into(),
    }
}

/// Registers of C and D for a tile of 8 columns: row and column of element `i` of a lane.
fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2)
}

/// Fragments of 16×8×k: A, B and C registers, lane by lane.
fn fragments(a: Type, b: Type, acc: &str, k: usize, m: [&[Vec<i32>]; 3]) -> Vec<u32> {
    let per = a.per;
    let blocks = k / (4 * per);
    let results = if acc == "f16" { 2 } else { 4 };
    let mut words = vec![0u32; 32 * (3 * blocks + results)];
    for (lane, i) in (0..32 * per).map(|x| (x / per, x % per)) {
        for block in 0..blocks {
            let (group, along) = (lane / 4, 4 * per * block + per * (lane % 4) + i);
            for half in 0..2 {
                words[32 * (2 * block + half) + lane] |= (a.code)(m[0][group + 8 * half][along]) << (32 / per * i);
            }
            words[32 * (2 * blocks + block) + lane] |= (b.code)(m[1][group][along]) << (32 / per * i);
        }
    }
    for (lane, i) in (0..128).map(|x| (x / 4, x % 4)) {
        let (row, column) = c_place(lane, i);
        let c = accumulator(acc, m[2][row][column].into());
        let (register, shift) = if acc == "f16" { (i / 2, 16 * (i % 2)) } else { (i, 0) };
        words[32 * (3 * blocks + register) + lane] |= c << shift;
    }
    words
}

#[test]
fn products_of_every_type() {
    let mut random = Random(11);
    let forms: [(Type, Type, &str, usize, &str); 22] = [
        (S8, S8, "s32", 32, ""),
        (S8, U8, "s32", 32, ""),
        (U8, S8, "s32", 32, ""),
        (U8, U8, "s32", 32, ""),
        (S8, S8, "s32", 32, ".satfinite"),
        (U8, U8, "s32", 32, ".satfinite"),
        (S8, S8, "s32", 16, ""),
        (U8, S8, "s32", 16, ""),
        (S8, U8, "s32", 16, ".satfinite"),
        (F16, F16, "f32", 16, ""),
        (F16, F16, "f16", 16, ""),
        (F16, F16, "f32", 8, ""),
        (F16, F16, "f16", 8, ""),
        (BF16, BF16, "f32", 16, ""),
        (BF16, BF16, "f32", 8, ""),
        (TF32, TF32, "f32", 8, ""),
        (TF32, TF32, "f32", 4, ""),
        (E4M3, E4M3, "f32", 32, ""),
        (E4M3, E5M2, "f32", 32, ""),
        (E5M2, E4M3, "f32", 32, ""),
        (E5M2, E5M2, "f32", 32, ""),
        (S8, S8, "s32", 32, ".satfinite"),
    ];
    for (a, b, acc, k, sat) in forms {
        let c_type = if acc == "s32" { U8 } else { F16 };
        let mut m = [matrix(a, 16, k, &mut random), matrix(b, 8, k, &mut random), matrix(c_type, 16, 8, &mut random)];
        if acc == "s32" {
            // Accumulators at both ends of the range: .satfinite shows, and so does wrapping.
            m[2].iter_mut().flatten().for_each(|c| *c = if *c % 2 == 0 { i32::MAX - *c } else { i32::MIN + *c });
        }
        let blocks = k / (4 * a.per);
        let c_registers = if acc == "f16" { 2 } else { 4 };
        let count = 3 * blocks + c_registers;
        let (at_b, at_c) = (2 * blocks, 3 * blocks);
        let body = format!(
            "{}mma.sync.aligned.m16n8k{k}.row.col{sat}.{acc}.{}.{}.{acc} {}, {}, {}, {};\n{}",
            load(0, count, 32, 0),
            a.name,
            b.name,
            list(count, c_registers),
            list(0, at_b),
            list(at_b, blocks),
            list(at_c, c_registers),
            store(count, c_registers, 32)
        );
        let input = fragments(a, b, acc, k, [&m[0], &m[1], &m[2]]);
        let mut want = vec![0u32; 32 * c_registers];
        for (lane, i) in (0..128).map(|x| (x / 4, x % 4)) {
            let (row, column) = c_place(lane, i);
            let product: i64 = (0..k).map(|k| i64::from(m[0][row][k]) * i64::from(m[1][column][k])).sum();
            let mut sum = product + i64::from(m[2][row][column]);
            if !sat.is_empty() {
                sum = sum.clamp(i32::MIN.into(), i32::MAX.into());
            }
            let (register, shift) = if acc == "f16" { (i / 2, 16 * (i % 2)) } else { (i, 0) };
            want[32 * register + lane] |= accumulator(acc, sum) << shift;
        }
        for machine in machines() {
            let block = Block { threads: 32, body: body.clone(), out_words: want.len() };
            let got = block.run(&machine, &input).unwrap();
            assert!(got == want, "m16n8k{k} {} {} {acc}{sat} ({})", a.name, b.name, machine.simd());
        }
    }
}

#[test]
fn stored_matrices_are_loaded_matrices() {
    // Rows of 16 bytes at 16·lane; x4 transposed in, plain out: each 8×8 matrix comes back transposed.
    let body = format!(
        "shl.b32 %r10, %t, 4; add.u32 %r10, %r10, %s;\n{}\
         stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%r10], {};\n\
         ldmatrix.sync.aligned.m8n8.x4.shared.b16 {}, [%r10];\n{}",
        load(0, 4, 32, 0),
        list(0, 4),
        list(4, 4),
        store(4, 4, 32)
    );
    let input: Vec<u32> = (0..128).map(|i| i << 17 | i << 1 | 1 << 16).collect();
    let element =
        |words: &[u32], m: usize, row: usize, c: usize| words[32 * m + 4 * row + c / 2] >> (16 * (c % 2)) & 0xffff;
    for machine in machines() {
        let out = Block { threads: 32, body: body.clone(), out_words: 128 }.run(&machine, &input).unwrap();
        for (m, row, c) in (0..256).map(|i| (i / 64, i / 8 % 8, i % 8)) {
            assert_eq!(element(&out, m, row, c), element(&input, m, c, row));
        }
    }
}

/// Element (row, column) of an 8×8 matrix is half `column % 2` of lane `4·row + column / 2`.
#[test]
fn a_matrix_is_transposed_in_registers() {
    let mut random = Random(3);
    let input: Vec<u32> = (0..64).map(|_| random.word()).collect();
    let element = |words: &[u32], row: usize, c: usize| words[4 * row + c / 2] >> (16 * (c % 2)) & 0xffff;
    // Into another register, into its own, and there and back.
    let body = format!(
        "{}movmatrix.sync.aligned.m8n8.trans.b16 %r4, %r0;\nmovmatrix.sync.aligned.m8n8.trans.b16 %r1, %r1;\n\
         mov.b32 %r5, %r1;\nmovmatrix.sync.aligned.m8n8.trans.b16 %r6, %r4;\n{}",
        load(0, 2, 32, 0),
        store(4, 3, 32)
    );
    for machine in machines() {
        let out = Block { threads: 32, body: body.clone(), out_words: 96 }.run(&machine, &input).unwrap();
        for (row, c) in (0..64).map(|i| (i / 8, i % 8)) {
            assert_eq!(element(&out, row, c), element(&input, c, row), "row {row}, column {c}");
            assert_eq!(element(&out[32..], row, c), element(&input[32..], c, row), "row {row}, column {c} in place");
        }
        assert_eq!(out[64..], input[..32]);
    }
    // Both sides of a branch meet at it.
    let body = format!(
        "{}setp.lt.u32 %p1, %t, 9; @%p1 bra A; mov.b32 %r1, 0;\nA: movmatrix.sync.aligned.m8n8.trans.b16 %r4, %r0;\n{}",
        load(0, 1, 32, 0),
        store(4, 1, 32)
    );
    let out = Block { threads: 32, body, out_words: 32 }.run(&machines()[0], &input[..32]).unwrap();
    (0..64).for_each(|i| assert_eq!(element(&out, i / 8, i % 8), element(&input, i % 8, i / 8)));
}

/// Where byte `x` of row `r` of a K-major operand lies: core matrices of 8 rows × 16 bytes, LBO 128, SBO 256; or rows
/// of 128 bytes in the 128-byte swizzle, SBO 1024.
fn k_major(swizzled: bool, r: usize, x: usize) -> usize {
    if swizzled {
        128 * r + ((x / 16) ^ (r % 8)) * 16 + x % 16
    } else {
        (r / 8) * 256 + (x / 16) * 128 + (r % 8) * 16 + x % 16
    }
}

/// The same for element `(m, k)` of an N-major operand of halves, 64 elements a line: line `k`, 128-byte swizzle.
fn n_major(m: usize, k: usize) -> usize {
    k * 128 + ((m / 8) ^ (k % 8)) * 16 + m % 8 * 2
}

#[test]
fn warpgroup_products() {
    let mut random = Random(12);
    let n = 16;
    // Types, accumulator, swizzled, A in registers, N-major B, scale-d, negated A.
    type Case = (Type, Type, &'static str, bool, bool, bool, bool, bool);
    let cases: [Case; 15] = [
        (S8, S8, "s32", false, false, false, true, false),
        (S8, U8, "s32", true, false, false, true, false),
        (U8, S8, "s32", true, true, false, false, false),
        (U8, U8, "s32", false, true, false, true, false),
        (F16, F16, "f32", true, false, false, true, false),
        (F16, F16, "f16", false, false, false, true, false),
        (F16, F16, "f32", true, true, true, true, false),
        (F16, F16, "f16", true, false, true, false, false),
        (BF16, BF16, "f32", true, false, true, true, true),
        (BF16, BF16, "f32", false, true, false, true, true),
        (TF32, TF32, "f32", true, false, false, true, false),
        (TF32, TF32, "f32", false, true, false, true, true),
        (E4M3, E4M3, "f32", true, false, false, true, false),
        (E5M2, E4M3, "f16", true, true, false, true, false),
        (E4M3, E5M2, "f16", false, false, false, true, true),
    ];
    for (a, b, acc, swizzled, in_registers, n_major_b, scale_d, negated) in cases {
        let k = 8 * a.per;
        let (ma, mb) = (matrix(a, 64, k, &mut random), matrix(b, n, k, &mut random));
        // Shared memory as the words of the input: A at 0, B at 8192.
        let mut bytes = vec![0x11u8; 16384];
        let size = 4 / a.per;
        let mut put = |at: usize, code: u32| bytes[at..at + size].copy_from_slice(&code.to_le_bytes()[..size]);
        for (r, x) in (0..64 * k).map(|i| (i / k, i % k)) {
            put(k_major(swizzled, r, x * size), (a.code)(ma[r][x]));
        }
        for (r, x) in (0..n * k).map(|i| (i / k, i % k)) {
            let at = if n_major_b { n_major(r, x) } else { k_major(swizzled, r, x * size) };
            put(8192 + at, (b.code)(mb[r][x]));
        }
        let mut input: Vec<u32> = bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
        // A's fragment, as for mma: four words a thread, after the shared memory.
        for register in 0..4 {
            for thread in 0..128 {
                let row = 16 * (thread / 32) + thread % 32 / 4 + 8 * (register % 2);
                let at = k_major(swizzled, row, 16 * (register / 2) + 4 * (thread % 4));
                input.push(input[at / 4]);
            }
        }
        let half_acc = acc == "f16";
        let results = if half_acc { n / 4 } else { n / 2 };
        let (mode, lbo, sbo) = if swizzled { (1u64, 1u64, 64u64) } else { (0, 8, 16) };
        let describe = |mode: u64, lbo: u64, sbo: u64| lbo << 16 | sbo << 32 | mode << 62;
        // N-major: 8 lines of K an atom of 1024 bytes, the next 8 lines after it.
        let b_bits = if n_major_b { describe(1, 64, 64) } else { describe(mode, lbo, sbo) };
        let mut tail = String::new();
        if acc != "s32" {
            tail += if negated { ", -1, 1" } else { ", 1, 1" };
            if a.per == 2 {
                tail += if in_registers { "" } else { ", 0" };
                tail += if n_major_b { ", 1" } else { ", 0" };
            }
        }
        let start = match acc {
            "s32" => 1000,
            "f32" => 5f32.to_bits(),
            _ => u32::from(f16::from_f32(5.0).to_bits()) * 0x1_0001,
        };
        let mut body = String::new();
        for i in 0..32 {
            body += &format!(
                "ld.global.b32 %r0, [%in+{}];\nshl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s;\nst.shared.b32 [%r1+{}], %r0;\n",
                512 * i,
                512 * i
            );
        }
        body += &load(100, 4, 128, 4096);
        (0..results).for_each(|i| body += &format!("mov.b32 %r{}, {start:#x};\n", 120 + i));
        body += &format!(
            "fence.proxy.async;\nbar.sync 0;\nshr.u32 %r2, %s, 4; cvt.u64.u32 %rd1, %r2;\n\
             add.u64 %rd2, %rd1, {:#x}; add.u64 %rd3, %rd1, {:#x};\nsetp.ne.b32 %p1, {}, 0;\n\
             wgmma.fence.sync.aligned;\n\
             wgmma.mma_async.sync.aligned.m64n{n}k{k}.{acc}.{}.{} {}, {}, %rd3, %p1{tail};\n\
             wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n{}",
            describe(mode, lbo, sbo),
            b_bits + 8192 / 16,
            u8::from(scale_d),
            a.name,
            b.name,
            list(120, results),
            if in_registers { list(100, 4) } else { "%rd2".into() },
            store(120, results, 128)
        );
        let mut want = vec![0u32; 128 * results];
        for (thread, i) in (0..128 * n / 2).map(|x| (x / (n / 2), x % (n / 2))) {
            let row = 16 * (thread / 32) + thread % 32 / 4 + 8 * (i / 2 % 2);
            let column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
            let mut sum: i64 = (0..k).map(|k| i64::from(ma[row][k]) * i64::from(mb[column][k])).sum();
            sum = if negated { -sum } else { sum };
            if scale_d {
                sum += if acc == "s32" { 1000 } else { 20 };
            }
            let (register, shift) = if half_acc { (i / 2, 16 * (i % 2)) } else { (i, 0) };
            want[128 * register + thread] |= accumulator(acc, sum) << shift;
        }
        for machine in machines() {
            let block = Block { threads: 128, body: body.clone(), out_words: want.len() };
            let got = block.run(&machine, &input).unwrap();
            let name = format!(
                "k{k} {} {} {acc}, swizzled {swizzled}, registers {in_registers}, N-major {n_major_b}",
                a.name, b.name
            );
            assert!(got == want, "{name} ({}, {:?})", machine.simd(), machine.options().async_order);
        }
    }
}

/// A missing wait shows: late landing leaves the accumulators as they were.
#[test]
fn products_land_at_their_wait() {
    let body = format!(
        "mov.b32 %r100, 0x01010101; mov.b32 %r10, 7; mov.b32 %r11, 7; mov.b32 %r12, 7; mov.b32 %r13, 7;\n\
         shl.b32 %r1, %t, 4; add.u32 %r1, %r1, %s; st.shared.v4.b32 [%r1], {{%r100, %r100, %r100, %r100}};\nbar.sync 0;\n\
         shr.u32 %r2, %s, 4; cvt.u64.u32 %rd1, %r2; add.u64 %rd1, %rd1, {:#x}; setp.eq.b32 %p1, 0, 0;\n\
         wgmma.fence.sync.aligned;\n\
         wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {}, %rd1, %rd1, %p1;\n\
         wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned WAIT;\nst.global.b32 [%out], %r10;",
        8u64 << 16 | 16 << 32,
        list(10, 4)
    );
    let machine = super::words::machine(halfbyte::emulator::Simd::best(), halfbyte::emulator::AsyncOrder::Late);
    let run = |wait: &str| {
        let block = Block { threads: 128, body: body.replace("WAIT", wait), out_words: 128 };
        block.run(&machine, &[0; 128]).unwrap()
    };
    assert_eq!(run("0"), [39; 128], "7 and 32 products of 1");
    assert_eq!(run("1"), [7; 128], "the group may still be under way");
}

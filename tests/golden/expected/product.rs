//! Tensor products (§9.7.14.5, §9.7.15), element by element.

use half::{bf16, f16};

use super::Words;

/// Row and column of C's element `i` in a lane (§9.7.14.5.8-10: the same for all m16n8 shapes).
pub fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (lane / 4 + if i < 2 { 0 } else { 8 }, lane % 4 * 2 + i % 2)
}

/// Signs of A and B, depth and saturation of each product, in the order of `kernels/probe/probe_mma.cuh`.
pub fn mma_int8(input: &[u32]) -> Vec<u32> {
    let signs = [(true, true), (true, false), (false, true), (false, false)];
    let all = |depth, sat| signs.map(|(a, b)| (a, b, depth, sat));
    let last = [(true, true, 16, true), (false, false, 16, true)];
    let forms = [&all(32, false)[..], &all(32, true), &all(16, false), &last].concat();
    forms.iter().flat_map(|form| input.chunks_exact(320).flat_map(|r| product(r, *form))).collect()
}

fn product(r: &[u32], (a_signed, b_signed, depth, saturates): (bool, bool, usize, bool)) -> Vec<u32> {
    let byte = |register: usize, lane: usize, i: usize, signed: bool| {
        let byte = r[32 * register + lane].to_le_bytes()[i];
        if signed { i64::from(byte as i8) } else { i64::from(byte) }
    };
    let (mut a, mut b) = ([[0; 32]; 16], [[0; 8]; 32]);
    for lane in 0..32 {
        let (group, thread) = (lane / 4, lane % 4);
        for i in 0..16 {
            let row = if i < 4 || (8..12).contains(&i) { group } else { group + 8 };
            a[row][thread * 4 + i % 4 + if i < 8 { 0 } else { 16 }] = byte(i / 4, lane, i % 4, a_signed);
        }
        for i in 0..8 {
            b[thread * 4 + i % 4 + if i < 4 { 0 } else { 16 }][group] = byte(4 + i / 4, lane, i % 4, b_signed);
        }
    }
    let mut d = vec![0; 128];
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = c_place(lane, i);
            let sum: i64 = (0..depth).map(|k| a[row][k] * b[k][column]).sum();
            d[32 * i + lane] = finish(sum, r[32 * (6 + i) + lane], saturates);
        }
    }
    d
}

fn finish(sum: i64, addend: u32, saturates: bool) -> u32 {
    let sum = sum + i64::from(addend as i32);
    (if saturates { sum.clamp(i32::MIN.into(), i32::MAX.into()) } else { sum }) as u32
}

/// A type of factors by its name: bytes of an element, and what it means.
pub fn factor(name: &str) -> (usize, fn(u32) -> f64) {
    match name {
        "f16" => (2, |bits| f16::from_bits(bits as u16).to_f64()),
        "bf16" => (2, |bits| bf16::from_bits(bits as u16).to_f64()),
        "tf32" => (4, |bits| f64::from(f32::from_bits(bits))),
        "e5m2" => (1, |bits| f16::from_bits((bits as u16) << 8).to_f64()),
        "e4m3" => (1, |bits| {
            let (exponent, digits) = (bits as i32 >> 3 & 15, f64::from(bits & 7));
            let size = if exponent == 0 { digits / 512.0 } else { (1.0 + digits / 8.0) * 2f64.powi(exponent - 7) };
            match bits & 0xff {
                0x7f | 0xff => f64::NAN,
                0..0x80 => size,
                _ => -size,
            }
        }),
        "s8" => (1, |bits| f64::from(bits as u8 as i8)),
        _ => (1, |bits| f64::from(bits as u8)),
    }
}

/// Element `k` of a line of words.
pub fn element(words: &[u32], k: usize, (size, value): (usize, fn(u32) -> f64)) -> f64 {
    let (word, at) = (words[k * size / 4], k * size % 4 * 8);
    value(word >> at & (u32::MAX >> (32 - 8 * size)))
}

/// Blocks whose sums are exact in any order.
const EXACT: usize = 8;

/// The exact blocks of `mma` with float factors.
pub fn mma_float(instructions: &[String], input: &[u32]) -> Words {
    let mut words = Vec::new();
    for opcode in instructions {
        let parts: Vec<&str> = opcode.split('.').collect();
        let depth: usize = parts[3].split('k').next_back().unwrap().parse().unwrap();
        let [d, a, b, _] = [6, 7, 8, 9].map(|at| parts[at]);
        let (a_type, b_type) = (factor(a), factor(b));
        for (block, r) in input.chunks_exact(320).enumerate() {
            if block >= EXACT {
                words.extend([None; 128]);
                continue;
            }
            // The words of a row of A: registers h = 0, 2 of lanes 4g..4g+4 for row g, 1, 3 for row g + 8.
            let row = |row: usize| -> Vec<u32> {
                (0..8).map(|t| r[32 * (2 * (t / 4) + row / 8) + 4 * (row % 8) + t % 4]).collect()
            };
            let column =
                |column: usize| -> Vec<u32> { (0..8).map(|t| r[32 * (4 + t / 4) + 4 * column + t % 4]).collect() };
            let sum = |m: usize, n: usize| -> f64 {
                let (a, b) = (row(m), column(n));
                (0..depth).map(|k| element(&a, k, a_type) * element(&b, k, b_type)).sum()
            };
            for (i, lane) in (0..128).map(|i| (i / 32, i % 32)) {
                let addend = |register: usize| r[32 * (6 + register) + lane];
                words.push(Some(if d == "f32" {
                    let (m, n) = c_place(lane, i);
                    ((f64::from(f32::from_bits(addend(i))) + sum(m, n)) as f32).to_bits()
                } else if i < 2 {
                    let (m, n) = c_place(lane, 2 * i);
                    pair(addend(i), [sum(m, n), sum(m, n + 1)])
                } else {
                    0
                }));
            }
        }
    }
    words
}

fn pair(addend: u32, sums: [f64; 2]) -> u32 {
    let half = |i: usize| {
        let sum = f16::from_bits((addend >> (16 * i)) as u16).to_f64() + sums[i];
        u32::from(f16::from_f64(sum).to_bits()) << (16 * i)
    };
    half(0) | half(1)
}

/// Products of `wgmma` in an input.
pub const CASES: usize = 12;

/// `wgmma` of 64 x 8 from operands along K: with integers all cases, with floats those whose sums are exact.
pub fn wgmma(instructions: &[String], input: &[u32]) -> Words {
    let (cases, image) = input.split_at(16 * CASES);
    let products = instructions.iter().filter(|opcode| opcode.starts_with("wgmma.mma_async"));
    // What the opcodes do not say: A from registers, a factor negated (`kernels/probe/probe_wgmma.cuh`).
    let mut words = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for opcode in products {
        let before = seen.iter().filter(|other| *other == opcode).count();
        seen.push(opcode);
        let parts: Vec<&str> = opcode.split('.').collect();
        let [d, a, b] = [5, 6, 7].map(|at| parts[at]);
        let saturates = parts.len() > 8;
        let (from_registers, sign) = match (d, a, before) {
            (_, _, 0) => (false, 1.0),
            ("s32", ..) => (true, 1.0),
            ("f32", "f16", 1 | 2) => (false, -1.0),
            ("f32", "f16", 3) => (true, 1.0),
            ("f32", "f16", _) => (true, -1.0),
            // Both factors change their signs.
            ("f16", "f16", _) => (false, 1.0),
            ("f32", "bf16" | "tf32", 1) => (false, -1.0),
            ("f32", "e4m3", 2) => (false, -1.0),
            _ => (true, 1.0),
        };
        let (a_type, b_type) = (factor(a), factor(b));
        let depth = 32 / a_type.0;
        for (i, case) in cases.chunks_exact(16).enumerate() {
            // A case of random integers is exact; of floats the layouts and the first packed set.
            if d != "s32" && i > 5 {
                words.extend([None; 512]);
                continue;
            }
            let line = |descriptor: &[u32], row: usize| -> Vec<u32> {
                (0..8).map(|word| image[k_major(descriptor, row, 4 * word) / 4]).collect()
            };
            let registers = |row: usize| -> Vec<u32> {
                // Row 16w + g of A: registers 0 and 2 of lanes 4g..4g+4 of warp w; row 16w + 8 + g: 1 and 3.
                let thread = |t: usize| row / 16 * 32 + row % 8 * 4 + t % 4;
                (0..8).map(|t| image[case[5] as usize + 4 * thread(t) + 2 * (t / 4) + row % 16 / 8]).collect()
            };
            let sum = |m: usize, n: usize| -> f64 {
                let a = if from_registers { registers(m) } else { line(&case[..2], m) };
                let b = line(&case[2..4], n);
                sign * (0..depth).map(|k| element(&a, k, a_type) * element(&b, k, b_type)).sum::<f64>()
            };
            for (register, thread) in (0..512).map(|i| (i / 128, i % 128)) {
                let addend = if case[4] == 0 { 0 } else { case[8 + register] };
                let place = |i: usize| {
                    let (row, column) = c_place(thread % 32, i);
                    (16 * (thread / 32) + row, column)
                };
                words.push(Some(match d {
                    "s32" => {
                        let (m, n) = place(register);
                        finish(sum(m, n) as i64, addend, saturates)
                    }
                    "f32" => {
                        let (m, n) = place(register);
                        ((f64::from(f32::from_bits(addend)) + sum(m, n)) as f32).to_bits()
                    }
                    _ if register < 2 => {
                        let (m, n) = place(2 * register);
                        pair(addend, [sum(m, n), sum(m, n + 1)])
                    }
                    _ => 0,
                }));
            }
        }
    }
    words
}

/// Where byte `byte` of row `row` of an operand along K lies: §9.7.15.5.1, with the swizzle on address bits.
pub fn k_major(descriptor: &[u32], row: usize, byte: usize) -> usize {
    let bits = u64::from(descriptor[0]) | u64::from(descriptor[1]) << 32;
    let field = |at: u32| (bits >> at & 0x3fff) as usize * 16;
    let (start, leading, stride) = (field(0), field(16), field(32));
    let (line, mask) = [(16, 0), (128, 7), (64, 3), (32, 1)][(bits >> 62) as usize];
    let along = if line == 16 { byte / 16 * leading + byte % 16 } else { byte };
    let at = start + row / 8 * stride + row % 8 * line + along;
    at ^ (at >> 7 & mask) << 4
}

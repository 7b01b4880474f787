//! What probes must give, worked out element by element from the tables of the PTX ISA.

/// The probes with an expectation.
pub const NAMES: [&str; 4] = ["mma_int8", "warp_atomic", "hopper_bulk", "integer_lop3"];

/// The words that the probe `name` must write for `input`, if they are worked out here.
pub fn expected(name: &str, input: &[u32]) -> Option<Vec<u32>> {
    Some(match name {
        "mma_int8" => mma_int8(input),
        "warp_atomic" => atomic(input),
        "hopper_bulk" => bulk(input),
        "integer_lop3" => lop3(input),
        _ => return None,
    })
}

/// Row and column of C's element `i` in a lane (§9.7.14.5.8-10: the same for all m16n8 shapes).
fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (lane / 4 + if i < 2 { 0 } else { 8 }, lane % 4 * 2 + i % 2)
}

/// Signs of A and B, depth and saturation of each product, in the order of `kernels/probe/probe_mma.cuh`.
fn mma_int8(input: &[u32]) -> Vec<u32> {
    let deep = [false, true].map(|sat| [(1, 1), (1, 0), (0, 1), (0, 0)].map(|(a, b)| (a == 1, b == 1, 32, sat)));
    let [wrapping, saturating] = deep;
    let half = [(1, 1), (1, 0), (0, 1), (0, 0)].map(|(a, b)| (a == 1, b == 1, 16, false));
    let last = [(true, true, 16, true), (false, false, 16, true)];
    let forms = [&wrapping[..], &saturating[..], &half[..], &last[..]].concat();
    let one =
        |form: &(bool, bool, usize, bool)| input.chunks_exact(320).flat_map(|r| product(r, *form)).collect::<Vec<_>>();
    forms.iter().flat_map(one).collect()
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
            let sum = sum + i64::from(r[32 * (6 + i) + lane] as i32);
            let clamped = sum.clamp(i32::MIN.into(), i32::MAX.into());
            d[32 * i + lane] = (if saturates { clamped } else { sum }) as u32;
        }
    }
    d
}

fn atomic(input: &[u32]) -> Vec<u32> {
    let (a, b) = (&input[..32], &input[32..64]);
    let mut d = vec![0; 66 * 32];
    for (&x, &y) in a.iter().zip(b) {
        d[0] = u32::wrapping_add(d[0], x);
        d[1] |= x & y;
        d[2] ^= x;
        d[3] = d[3].max(x);
        d[4] = (d[4] as i32).min(x as i32) as u32;
        d[6] |= x | y;
    }
    // 32 increments that wrap after 20.
    d[5] = 32 % 21;
    d[6] = a.iter().zip(b).fold(d[6], |all, (x, y)| all & (x | !y));
    d[7] = 0xabcd;
    d[8..40].fill(1);
    d[64] = 32;
    d[65] = 0x1234;
    d
}

fn bulk(input: &[u32]) -> Vec<u32> {
    let mut d = vec![u32::MAX; 256];
    d[8..].copy_from_slice(&input[4..252]);
    d.extend([1; 256]);
    d
}

/// Bit `4a + 2b + c` of the table.
fn lop3(input: &[u32]) -> Vec<u32> {
    let n = input.len() / 4;
    let mut d = Vec::with_capacity(256 * n);
    for (table, i) in (0..256u32).flat_map(|table| (0..n).map(move |i| (table, i))) {
        let bit = |word: u32, at: u32| word >> at & 1;
        d.push((0..32).fold(0, |word, at| {
            let index = bit(input[i], at) << 2 | bit(input[n + i], at) << 1 | bit(input[2 * n + i], at);
            word | bit(table, index) << at
        }));
    }
    d
}

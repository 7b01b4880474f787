//! What each probe must give, worked out element by element from the tables of the PTX ISA.

use half::{bf16, f16};

/// The words that the probe `name` must write for `input`.
pub fn expected(name: &str, input: &[u32]) -> Vec<u32> {
    match name {
        "mma_s8" => products(input, mma_s8),
        "mma_f16" => products(input, |r| mma_half(r, |bits| f16::from_bits(bits).to_f32())),
        "mma_bf16" => products(input, |r| mma_half(r, |bits| bf16::from_bits(bits).to_f32())),
        "shared_ldmatrix" => ldmatrix(input, false),
        "shared_ldmatrix_trans" => ldmatrix(input, true),
        "shared_cp_async" => cp_async(input),
        "scalar_prmt" => scalar(input, 1, |a, b, c| vec![prmt(a, b, c)]),
        "scalar_divide" => scalar(input, 1, |a, b, _| vec![canonical(f32::from_bits(a) / f32::from_bits(b))]),
        "scalar_convert" => scalar(input, 6, convert),
        "warp_shuffle" => shuffle(input),
        "warp_redux" => redux(input),
        "warp_atomic" => atomic(input),
        "hopper_mbarrier" => mbarrier(),
        "hopper_tma" => tma(input),
        "hopper_wgmma" => wgmma(input),
        _ => panic!("no expectation for the probe {name}"),
    }
}

fn products(input: &[u32], one: impl Fn(&[u32]) -> Vec<u32>) -> Vec<u32> {
    input.chunks_exact(320).flat_map(one).collect()
}

/// Row and column of C's element `i` in a lane (§9.7.14.5.8-10: the same for all m16n8 shapes).
fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (lane / 4 + if i < 2 { 0 } else { 8 }, lane % 4 * 2 + i % 2)
}

fn mma_s8(r: &[u32]) -> Vec<u32> {
    let byte = |register: usize, lane: usize, i: usize| i32::from(r[32 * register + lane].to_le_bytes()[i] as i8);
    let (mut a, mut b) = ([[0i32; 32]; 16], [[0i32; 8]; 32]);
    for lane in 0..32 {
        let (group, thread) = (lane / 4, lane % 4);
        for i in 0..16 {
            let row = if i < 4 || (8..12).contains(&i) { group } else { group + 8 };
            a[row][thread * 4 + i % 4 + if i < 8 { 0 } else { 16 }] = byte(i / 4, lane, i % 4);
        }
        for i in 0..8 {
            b[thread * 4 + i % 4 + if i < 4 { 0 } else { 16 }][group] = byte(4 + i / 4, lane, i % 4);
        }
    }
    let mut d = vec![0; 128];
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = c_place(lane, i);
            let sum: i32 = (0..32).map(|k| a[row][k] * b[k][column]).sum();
            d[32 * i + lane] = r[32 * (6 + i) + lane].wrapping_add(sum as u32);
        }
    }
    d
}

fn mma_half(r: &[u32], value: impl Fn(u16) -> f32) -> Vec<u32> {
    let half = |register: usize, lane: usize, i: usize| value((r[32 * register + lane] >> (16 * i)) as u16);
    let (mut a, mut b) = ([[0f32; 16]; 16], [[0f32; 8]; 16]);
    for lane in 0..32 {
        let (group, thread) = (lane / 4, lane % 4);
        for i in 0..8 {
            let row = if i < 2 || (4..6).contains(&i) { group } else { group + 8 };
            a[row][thread * 2 + i % 2 + if i < 4 { 0 } else { 8 }] = half(i / 2, lane, i % 2);
        }
        for i in 0..4 {
            b[thread * 2 + i % 2 + if i < 2 { 0 } else { 8 }][group] = half(4 + i / 2, lane, i % 2);
        }
    }
    let mut d = vec![0; 128];
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = c_place(lane, i);
            // Exact: multiples of 1/64 far below 2^24 of them.
            let sum: f32 = (0..16).map(|k| a[row][k] * b[k][column]).sum();
            d[32 * i + lane] = (f32::from_bits(r[32 * (6 + i) + lane]) + sum).to_bits();
        }
    }
    d
}

/// §9.7.14.5.15: lane 8i + r names row r of matrix i; register i of lane l holds elements 2(l % 4), +1 of row l / 4.
fn ldmatrix(input: &[u32], trans: bool) -> Vec<u32> {
    let element = |matrix: usize, row: usize, column: usize| {
        let word = input[4 * input[128 + 8 * matrix + row] as usize + column / 2];
        word >> (16 * (column % 2)) & 0xffff
    };
    let mut d = vec![0; 128];
    for (matrix, lane) in (0..128).map(|i| (i / 32, i % 32)) {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        d[32 * matrix + lane] = if trans {
            element(matrix, column, row) | element(matrix, column + 1, row) << 16
        } else {
            element(matrix, row, column) | element(matrix, row, column + 1) << 16
        };
    }
    d
}

/// The first bytes of each lane's 16, then zeros.
fn cp_async(input: &[u32]) -> Vec<u32> {
    let mut d = vec![0; 128];
    for lane in 0..32 {
        for byte in 0..input[128 + lane] as usize {
            let value = input[4 * lane + byte / 4] >> (8 * (byte % 4)) & 0xff;
            d[32 * (byte / 4) + lane] |= value << (8 * (byte % 4));
        }
    }
    d
}

fn scalar(input: &[u32], results: usize, f: impl Fn(u32, u32, u32) -> Vec<u32>) -> Vec<u32> {
    let n = input.len() / 3;
    let mut d = vec![0; results * n];
    for i in 0..n {
        for (r, value) in f(input[i], input[n + i], input[2 * n + i]).into_iter().enumerate() {
            d[r * n + i] = value;
        }
    }
    d
}

/// §9.7.9.22: a nibble of c picks one of the eight bytes {b, a}; its high bit replicates that byte's sign.
fn prmt(a: u32, b: u32, c: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let pick = |nibble: u32| {
        let byte = bytes[(nibble & 7) as usize];
        if nibble & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
    };
    u32::from_le_bytes([pick(c), pick(c >> 4), pick(c >> 8), pick(c >> 12)])
}

/// Bits of an f32 result; a NaN is the canonical one.
fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits() }
}

/// §9.7.9.21. Float to integer clamps to the destination's range and takes NaN to 0; the s8 result is sign-extended in
/// its register. Canonical NaNs are 0x7fff in both halves formats.
fn convert(a: u32, b: u32, c: u32) -> Vec<u32> {
    let x = f32::from_bits(a);
    let whole = x.round_ties_even();
    let half = if x.is_nan() { 0x7fff } else { f16::from_f32(x).to_bits() };
    let brain = if x.is_nan() { 0x7fff } else { bf16::from_f32(x).to_bits() };
    let wide = f16::from_bits(b as u16).to_f32();
    vec![
        whole as i32 as u32,
        i32::from(whole as i8) as u32,
        half.into(),
        brain.into(),
        canonical(wide),
        (c as i32 as f32).to_bits(),
    ]
}

fn shuffle(input: &[u32]) -> Vec<u32> {
    let (a, b) = input.split_at(32);
    let mut d = Vec::with_capacity(256);
    for width in [32usize, 8] {
        let flip = if width == 32 { 9 } else { 2 };
        let from = |f: &dyn Fn(usize, usize) -> Option<usize>| -> Vec<u32> {
            (0..32)
                .map(|lane| a[f(lane / width * width, lane % width).map_or(lane, |at| lane / width * width + at)])
                .collect()
        };
        d.extend(from(&|base, at| Some(b[base + at] as usize % width)));
        d.extend(from(&|_, at| at.checked_sub(3)));
        d.extend(from(&|_, at| Some(at + 5).filter(|&at| at < width)));
        d.extend(from(&|_, at| Some(at ^ flip)));
    }
    d
}

fn redux(input: &[u32]) -> Vec<u32> {
    let (a, b) = input.split_at(32);
    let signed = || a.iter().map(|&x| x as i32);
    let pairs = || a.iter().zip(b);
    let results = [
        a.iter().fold(0, |sum: u32, &x| sum.wrapping_add(x)),
        a.iter().copied().min().unwrap(),
        a.iter().copied().max().unwrap(),
        signed().min().unwrap() as u32,
        signed().max().unwrap() as u32,
        pairs().fold(u32::MAX, |all, (x, y)| all & (x | y)),
        pairs().fold(0, |all, (x, y)| all | (x & y)),
        a.iter().fold(0, |all, x| all ^ x),
    ];
    results.into_iter().flat_map(|result| [result; 32]).collect()
}

fn atomic(input: &[u32]) -> Vec<u32> {
    let (a, b) = input.split_at(32);
    let mut d = vec![0; 42];
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
    d[40] = 32;
    d[41] = 0x1234;
    d
}

/// Bit 0: the phase of parity 0 is over; bit 1: that of parity 1 (at first the one before phase 0).
fn mbarrier() -> Vec<u32> {
    [0b10, 0b10, 0b01, 0b01, 0b10, 1].into_iter().flat_map(|word| [word; 32]).collect()
}

/// The probe's 32-bit sequence (splitmix64, high bits mixed down), for the matrix behind the tensor map.
fn matrix() -> Vec<u8> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ x >> 31) as u8
    };
    (0..40 * 208).map(|_| next()).collect()
}

/// A box of 16 rows of 128 bytes in 1024-byte atoms: chunk c of row r lies at chunk c ^ (r % 8); zeros outside.
fn tma(input: &[u32]) -> Vec<u32> {
    let matrix = matrix();
    let mut words = Vec::new();
    for corner in input.chunks_exact(2) {
        let mut tile = [0u8; 2048];
        for (r, c) in (0..2048).map(|i| (i / 128, i % 128)) {
            let (column, row) = (i64::from(corner[0] as i32) + c as i64, i64::from(corner[1] as i32) + r as i64);
            if (0..200).contains(&column) && (0..40).contains(&row) {
                tile[128 * r + ((c / 16) ^ (r % 8)) * 16 + c % 16] = matrix[(208 * row + column) as usize];
            }
        }
        words.extend(tile.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    }
    words
}

/// §9.7.15.5.2: register 4j + i of lane l of warp w is row 16w + l / 4 + 8(i / 2), column 8j + 2(l % 4) + i % 2.
fn wgmma(input: &[u32]) -> Vec<u32> {
    let byte = |row: usize, k: usize| i32::from(input[32 * row + k / 4].to_le_bytes()[k % 4] as i8);
    let mut d = Vec::with_capacity(2 * 64 * 128);
    for k in [0..128, 32..64] {
        for (register, thread) in (0..64 * 128).map(|i| (i / 128, i % 128)) {
            let (warp, lane) = (thread / 32, thread % 32);
            let (j, i) = (register / 4, register % 4);
            let (row, column) = (16 * warp + lane / 4 + 8 * (i / 2), 8 * j + 2 * (lane % 4) + i % 2);
            let sum: i32 = k.clone().map(|k| byte(row, k) * byte(64 + column, k)).sum();
            d.push(sum as u32);
        }
    }
    d
}

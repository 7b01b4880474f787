//! Lanes of a warp (§9.7.9.6, §9.7.13).

/// Operand `which` (a, b, c, e) of every value, 32 a warp.
fn operand(input: &[u32], which: usize) -> Vec<&[u32]> {
    let n = input.len() / 4;
    input[which * n..][..n].chunks_exact(32).collect()
}

/// One result after the other, each warp by warp.
fn by_result(warps: usize, results: usize, one: impl Fn(usize, usize) -> [u32; 32]) -> Vec<u32> {
    (0..results).flat_map(|result| (0..warps).map(move |warp| (result, warp))).flat_map(|(r, w)| one(r, w)).collect()
}

/// Mode, distance (None: operand b), clamp operand, as `kernels/probe/probe_warp.cuh` has them.
const SHUFFLES: [(u8, Option<u32>, u32); 16] = [
    (b'i', None, 0x1f),
    (b'u', None, 0),
    (b'd', None, 0x1f),
    (b'b', None, 0x1f),
    (b'i', None, 0x181f),
    (b'u', None, 0x1800),
    (b'd', None, 0x181f),
    (b'b', None, 0x181f),
    (b'i', None, 0x100f),
    (b'u', Some(3), 0),
    (b'd', Some(5), 0x1f),
    (b'b', Some(9), 0x1f),
    (b'u', Some(3), 0x1800),
    (b'd', Some(5), 0x181f),
    (b'b', Some(2), 0x181f),
    (b'd', None, 0x1003),
];

/// The pseudo-code of §9.7.9.6.
pub fn shuffle(input: &[u32]) -> Vec<u32> {
    let (a, b) = (operand(input, 0), operand(input, 1));
    by_result(a.len(), 32, |result, warp| {
        let (mode, distance, c) = SHUFFLES[result / 2];
        std::array::from_fn(|lane| {
            let lane = lane as u32;
            let distance = distance.unwrap_or(b[warp][lane as usize]) & 31;
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let (most, least) = ((lane & segment) | (clamp & !segment), lane & segment);
            let (from, inside) = match mode {
                b'u' => (lane.wrapping_sub(distance), lane as i32 - distance as i32 >= most as i32),
                b'd' => (lane + distance, lane + distance <= most),
                b'b' => (lane ^ distance, lane ^ distance <= most),
                _ => (least | (distance & !segment), least | (distance & !segment) <= most),
            };
            let from = if inside { from } else { lane };
            if result % 2 == 0 { a[warp][from as usize] } else { u32::from(inside) }
        })
    })
}

pub fn vote(input: &[u32]) -> Vec<u32> {
    let c = operand(input, 2);
    by_result(c.len(), 13, |result, warp| {
        let ballot = |bits: u32, equal: bool| {
            (0..32).fold(0u32, |all, lane| all | u32::from((c[warp][lane] & bits == 0) == equal) << lane)
        };
        let (some, five) = (ballot(1, false), ballot(31, false));
        let uniform = |lanes: u32| u32::from(lanes == 0 || lanes == u32::MAX);
        let value = match result {
            0 => u32::from(some == u32::MAX),
            1 => u32::from(some != 0),
            2 => uniform(some),
            3 => u32::from(five == u32::MAX),
            4 => u32::from(five != u32::MAX),
            5 => uniform(five),
            6 | 8 => 1,
            7 => 0,
            9 => some,
            10 => !five,
            _ => u32::MAX,
        };
        [value; 32]
    })
}

pub fn matching(input: &[u32]) -> Vec<u32> {
    let (a, c) = (operand(input, 0), operand(input, 2));
    by_result(a.len(), 11, |result, warp| {
        let wide = |lane: usize| u64::from(c[warp][lane] & 5) << 32 | u64::from(c[warp][lane] & 3);
        let value = |lane: usize| match result {
            0 | 3 | 4 => u64::from(c[warp][lane] & 3),
            1 => u64::from(a[warp][lane]),
            2 | 7 | 8 => wide(lane),
            _ => 0,
        };
        std::array::from_fn(|lane| {
            let like = (0..32).fold(0u32, |all, other| all | u32::from(value(other) == value(lane)) << other);
            match result {
                0..3 => like,
                3 | 5 | 7 | 9 => {
                    if like == u32::MAX {
                        like
                    } else {
                        0
                    }
                }
                _ => u32::from(like == u32::MAX),
            }
        })
    })
}

pub fn redux(input: &[u32]) -> Vec<u32> {
    let (a, b, c) = (operand(input, 0), operand(input, 1), operand(input, 2));
    by_result(a.len(), 9, |result, warp| {
        let a = a[warp];
        let signed = || a.iter().map(|&x| x as i32);
        let triples = || a.iter().zip(b[warp]).zip(c[warp]).map(|((a, b), c)| (*a, *b, *c));
        let value = match result {
            0 | 3 => a.iter().fold(0, |sum: u32, &x| sum.wrapping_add(x)),
            1 => a.iter().copied().min().unwrap(),
            2 => a.iter().copied().max().unwrap(),
            4 => signed().min().unwrap() as u32,
            5 => signed().max().unwrap() as u32,
            6 => a.iter().fold(0, |all, x| all ^ x),
            7 => triples().fold(u32::MAX, |all, (a, b, c)| all & (a | b | c)),
            _ => triples().fold(0, |all, (a, b, c)| all | (a & b & c)),
        };
        [value; 32]
    })
}

/// Each half of a lane's word is element (row, column) = (lane / 4, 2(lane % 4) + half); it comes from (column, row).
pub fn movmatrix(input: &[u32]) -> Vec<u32> {
    let matrices = [operand(input, 0), operand(input, 1)];
    by_result(matrices[0].len(), 2, |result, warp| {
        let from =
            |row: usize, column: usize| matrices[result][warp][4 * column + row / 2] >> (16 * (row % 2)) & 0xffff;
        std::array::from_fn(|lane| {
            let (row, column) = (lane / 4, 2 * (lane % 4));
            from(row, column) | from(row, column + 1) << 16
        })
    })
}

/// One lane is elected; that it is the first is what the hardware does (the PTX ISA leaves it open).
pub fn elect(input: &[u32]) -> Vec<u32> {
    by_result(input.len() / 128, 2, |result, _| std::array::from_fn(|lane| u32::from(result == 1 && lane == 0)))
}

pub fn atomic(input: &[u32]) -> Vec<u32> {
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

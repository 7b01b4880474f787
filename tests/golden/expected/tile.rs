//! What came with Hopper: mbarriers, bulk copies, TMA (§9.7.13.15, §9.7.9.25.5).

use super::words;

/// Which parities are over after each step of `kernels/probe/probe_hopper.cuh`: the phase before the first has parity
/// 1.
pub fn mbarrier() -> Vec<u32> {
    let (first, second) = (0b10, 0b01);
    // Phase 0 is open, an arrival missing, over; phase 1 lacks 48 bytes, then 32, is over; so says try_wait.
    let mut steps = vec![first, first, second, second, second, first, 1];
    // Phase 2 lacks 8 bytes, is over; phase 3 has bytes too early, is over.
    steps.extend([first, second, second, first]);
    // Phase 4: 20 arrivals of one lane, then 12 others; asked by the state of the 20.
    steps.extend([first, 0, 1, 1, second]);
    // A new barrier of one arrival, after one and after two.
    steps.extend([first, second, first]);
    let lane_0_alone = [12, 13, 14];
    let of =
        |(i, step): (usize, u32)| (0..32).map(move |lane| if lane_0_alone.contains(&i) && lane > 0 { 0 } else { step });
    steps.into_iter().enumerate().flat_map(of).collect()
}

pub fn bulk(input: &[u32]) -> Vec<u32> {
    let mut d = vec![u32::MAX; 256];
    d[8..].copy_from_slice(&input[4..252]);
    d.extend([1; 256]);
    d
}

/// Element size, swizzle span, filling, bytes of a box's inner row, its other dimensions.
type Map = (usize, usize, u32, usize, [i64; 4]);

/// Which NaN the documentation does not say; this one an H100 gives.
const HALF_NAN: u32 = 0x7ff7;
const NAN: u32 = 0x7ff7_7ff7;

fn maps(rank: usize) -> Vec<Map> {
    match rank {
        1 => vec![(1, 0, 0, 64, [1; 4]), (2, 0, HALF_NAN, 64, [1; 4]), (4, 0, NAN, 32, [1; 4]), (4, 32, 0, 32, [1; 4])],
        2 => {
            let rows = |count| [count, 1, 1, 1];
            vec![
                (1, 128, 0, 128, rows(16)),
                (1, 64, 0, 64, rows(16)),
                (1, 32, 0, 32, rows(16)),
                (1, 0, 0, 128, rows(8)),
                (2, 128, HALF_NAN, 128, rows(8)),
                (4, 64, NAN, 64, rows(8)),
                (2, 0, HALF_NAN, 48, rows(8)),
                (4, 32, 0, 32, rows(8)),
            ]
        }
        3 => vec![(1, 32, 0, 32, [4, 4, 1, 1]), (2, 0, HALF_NAN, 64, [4, 4, 1, 1])],
        4 => vec![(4, 64, 0, 64, [3, 2, 2, 1]), (4, 0, NAN, 32, [3, 2, 2, 1])],
        _ => vec![(1, 32, 0, 32, [3, 2, 2, 2]), (2, 64, HALF_NAN, 64, [3, 2, 2, 2])],
    }
}

/// Boxes as they lie in shared memory: innermost dimension first, 16-byte chunk c of the 128-byte line l at chunk c ^
/// (l % 8) with a swizzle of 128 bytes; with 64 and 32 bytes two bits and one bit of l count (§5.5.6). Elements outside
/// the tensor are the filling.
pub fn tma(rank: usize, input: &[u32]) -> Vec<u32> {
    let bytes: Vec<u8> = words(17_280, u64::from(fnv("tma")) << 32).into_iter().map(|word| word as u8).collect();
    let (row_bytes, strides, dims): (i64, [i64; 5], [i64; 5]) = match rank {
        1 => (200, [0; 5], [0, 1, 1, 1, 1]),
        2 => (200, [0, 208, 0, 0, 0], [0, 40, 1, 1, 1]),
        _ => (80, [0, 96, 576, 2880, 8640], [0, 6, 5, 3, 2]),
    };
    let (mut rest, mut out) = (input, Vec::new());
    for (size, swizzle, fill, inner, outer) in maps(rank) {
        let (coordinates, tail) = rest[1..].split_at(40);
        for corner in coordinates.chunks_exact(5) {
            let total = inner * outer.iter().product::<i64>() as usize;
            let mut tile = vec![0u8; total];
            for at in 0..total {
                let mut index = (at / inner) as i64;
                let start = i64::from(corner[0] as i32) * size as i64 + (at % inner) as i64;
                let mut inside = (0..row_bytes).contains(&start);
                let mut from = start;
                for (d, length) in (1..rank).zip(outer) {
                    let place = i64::from(corner[d] as i32) + index % length;
                    index /= length;
                    inside &= (0..dims[d]).contains(&place);
                    from += place * strides[d];
                }
                let value = if inside { bytes[from as usize] } else { fill.to_le_bytes()[at % size] };
                let line = at / 128;
                let flip = match swizzle {
                    128 => line % 8,
                    64 => line % 4,
                    32 => line % 2,
                    _ => 0,
                };
                tile[at ^ flip << 4] = value;
            }
            out.extend(tile.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
        }
        rest = tail;
    }
    out
}

fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

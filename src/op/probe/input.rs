//! Fixed inputs: every edge against every edge, then numbers of moderate size, then any bits.

use crate::manifest::Entry;
use crate::plan::Geometry;

use super::product;

/// A fixed sequence of words (splitmix64).
pub(super) struct Words(pub u64);

impl Words {
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ x >> 31) as u32
    }
}

pub(super) fn words(count: usize, seed: u64) -> Vec<u32> {
    let mut words = Words(seed);
    (0..count).map(|_| words.next()).collect()
}

/// A number that stays the same when probes are added.
pub(super) fn seed(name: &str) -> u64 {
    u64::from(super::golden::checksum_text(name)) << 32
}

/// The input of a probe that is one launch.
pub(super) fn input(geometry: &Geometry) -> Vec<u32> {
    use Entry::*;
    let row = geometry.entry.row();
    let (blocks, seed) = (geometry.grid[0] as usize, seed(row.symbol));
    let values = blocks * row.threads as usize;
    match (row.source, row.entry) {
        ("probe/probe_mma", entry) => product::fragments(entry, blocks, seed),
        ("probe/probe_wgmma", entry) => product::image(entry, seed),
        ("probe/probe_shared", _) => rows(seed),
        (_, ProbeHopperMbarrier) => vec![0],
        (_, ProbeHopperBulk) => words(256, seed),
        (_, ProbeConvertHalf | ProbeConvertBf16 | ProbeConvertFp8 | ProbeConvertFp8Wide) => {
            // All values of 16 bits; in the upper half of a word their complement.
            let mut all: Vec<u32> = (0..values as u32).map(|i| i | !i << 16).collect();
            all.extend(words(3 * values, seed));
            all
        }
        (_, ProbeFloatDouble | ProbeConvertDouble) => doubles(values, seed),
        (_, ProbeConvertFromInteger) => edged(values, seed, &INTEGERS, |word, _| word),
        ("probe/probe_float" | "probe/probe_convert", _) => edged(values, seed, &floats(), moderate),
        (_, ProbeHalfBf16 | ProbeHalfBf16Sums | ProbeHalfApproximateBf16) => {
            edged(values, seed, &BRAINS, moderate_brains)
        }
        ("probe/probe_half", _) => edged(values, seed, &HALVES, moderate_halves),
        (_, ProbeWarpAtomicShared | ProbeWarpAtomicGlobal) => edged(values, seed, &floats()[..8], moderate),
        ("probe/probe_warp", _) => words(4 * values, seed),
        _ => edged(values, seed, &INTEGERS, shifts),
    }
}

/// Words a, b, c, e of `values` values: all pairs of edges as a and b, with edges as c and e; then numbers that
/// `shape` makes of random words; in the last quarter any bits.
fn edged(values: usize, seed: u64, edges: &[u32], shape: impl Fn(u32, usize) -> u32) -> Vec<u32> {
    let mut input = words(4 * values, seed);
    let count = edges.len();
    // At most half of the values.
    let pairs = (count * count).min(values / 2);
    for i in 0..pairs {
        let picked = [i % count, i / count % count, (i * 7 + i / count) % count, (i * 5 + 3) % count];
        (0..4).for_each(|operand| input[operand * values + i] = edges[picked[operand]]);
    }
    for (operand, i) in (0..4).flat_map(|operand| (pairs..values - values / 4).map(move |i| (operand, i))) {
        input[operand * values + i] = shape(input[operand * values + i], operand);
    }
    input
}

/// Where integer instructions turn.
const INTEGERS: [u32; 11] = [0, 1, 2, 31, 33, 127, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_ff80, 0xffff_ffff];

/// The third and fourth operand are small: distances of shifts, places and lengths of fields.
fn shifts(word: u32, operand: usize) -> u32 {
    if operand < 2 { word } else { word % 40 }
}

/// Where conversions and arithmetic turn: zeros, ones, ties, ends of ranges, subnormals, infinities, NaN.
#[rustfmt::skip]
fn floats() -> [u32; 16] {
    [
        0.0, -0.0, 1.0, -2.5, 0.5, 127.5, 2147483648.0, 65519.9, 2.98e-8, 1e-40, f32::MIN_POSITIVE, f32::MAX, 16777217.0,
        f32::INFINITY, f32::NEG_INFINITY, f32::NAN,
    ]
    .map(f32::to_bits)
}

/// Exponents within 8 of 1.
fn moderate(word: u32, _: usize) -> u32 {
    (word & 0x807f_ffff) | (120 + (word >> 24 & 15)) << 23
}

/// Pairs of halves: 0, 1, -1.5, the greatest, the least normal, a subnormal, infinity, NaN, against each other.
const HALVES: [u32; 12] = [
    0x3c00_0000,
    0xbe00_8000,
    0x7bff_3c00,
    0x0400_be00,
    0x0001_7bff,
    0x7c00_0400,
    0x7e01_03ff,
    0xfc00_7c00,
    0x0000_7e01,
    0x3800_8001,
    0x7800_7800,
    0xc000_fc00,
];
/// The same as bfloat16.
const BRAINS: [u32; 12] = [
    0x3f80_0000,
    0xbfc0_8000,
    0x7f7f_3f80,
    0x0080_bfc0,
    0x0001_7f7f,
    0x7f80_0080,
    0x7fc1_007f,
    0xff80_7f80,
    0x0000_7fc1,
    0x3f00_8001,
    0x7f00_7f00,
    0xc000_ff80,
];

fn moderate_halves(word: u32, _: usize) -> u32 {
    (word & 0x83ff_83ff) | (11 + (word >> 26 & 7)) << 26 | (11 + (word >> 10 & 7)) << 10
}

fn moderate_brains(word: u32, _: usize) -> u32 {
    (word & 0x807f_807f) | (123 + (word >> 23 & 7)) << 23 | (123 + (word >> 7 & 7)) << 7
}

/// f64 as (b, a) and (e, c).
fn doubles(values: usize, seed: u64) -> Vec<u32> {
    let edges = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        0.1,
        65520.0,
        2147483647.5,
        -2147483649.0,
        4294967296.0,
        9.3e18,
        1e-40,
        1e-310,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
        1.0 + 1.0 / 16_777_216.0,
    ];
    let mut input = words(4 * values, seed);
    for i in 0..values - values / 4 {
        let (x, y) = if i < values / 2 {
            (edges[i % 16].to_bits(), edges[i / 16 % 16].to_bits())
        } else {
            // Exponents within 32 of 1.
            let near = |high: u32, low: u32| {
                u64::from((high & 0x800f_ffff) | (991 + (high >> 24 & 63)) << 20) << 32 | u64::from(low)
            };
            (near(input[values + i], input[i]), near(input[3 * values + i], input[2 * values + i]))
        };
        for (operand, word) in [x, x >> 32, y, y >> 32].into_iter().enumerate() {
            input[operand * values + i] = word as u32;
        }
    }
    input
}

/// 32 rows of 4 words, a permutation of the rows, numbers up to 16.
fn rows(seed: u64) -> Vec<u32> {
    let mut input = words(192, seed);
    for i in 0..32u32 {
        input[128 + i as usize] = (i * 11 + 5) % 32;
        input[160 + i as usize] = i % 17;
    }
    input
}

//! Inputs: every value of sources of at most 16 bits; else all combinations of edge values and a million random rows.

/// A row: up to four sources.
pub type In = [u64; 4];

/// Rows a launch.
pub const CHUNK: usize = 1 << 16;
/// Random rows a form.
const RANDOM: usize = 1 << 20;

/// A small generator of good random bits (Steele's splitmix).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

const BITS16: [u64; 20] = [
    0, 1, 0xFFFF, 0x8000, 0x7FFF, 2, 0x8001, 0xFFFE, 0xFF, 0x100, 0x80, 0x7F, 3, 0x7FFE, 0xFF80, 0xFF7F, 0x5555,
    0xAAAA, 31, 0xFF00,
];
const BITS32: [u64; 24] = [
    0,
    1,
    0xFFFF_FFFF,
    0x8000_0000,
    0x7FFF_FFFF,
    2,
    0x8000_0001,
    0xFFFF_FFFE,
    0xFFFF,
    0x1_0000,
    0x00FF_FFFF,
    0x0100_0000,
    0x8080_8080,
    0x7F7F_7F7F,
    0x8000_7FFF,
    0x7FFF_8000,
    3,
    0x80,
    0x7F,
    0xFF,
    0x8000,
    0x7FFF,
    0x0080_0000,
    0xAAAA_5555,
];
const BITS64: [u64; 26] = [
    0,
    1,
    u64::MAX,
    1 << 63,
    (1 << 63) - 1,
    2,
    (1 << 63) + 1,
    u64::MAX - 1,
    0xFFFF_FFFF,
    1 << 32,
    0x8000_0000,
    0x7FFF_FFFF,
    0xFFFF_FFFF_8000_0000,
    0xFFFF_FFFF_7FFF_FFFF,
    0xFFFF_FFFF_0000_0000,
    3,
    127,
    128,
    255,
    256,
    0xFFFF_FFFF_FFFF_FF80,
    0xFFFF_FFFF_FFFF_FF7F,
    (1 << 53) - 1,
    (1 << 53) + 1,
    (1 << 62) + (1 << 38),
    0xAAAA_AAAA_5555_5555,
];
const DISTANCES: [u64; 16] = [0, 1, 31, 32, 33, 63, 64, 255, 5, 16, 8, 65, 256, 257, 0x8000_0000, 0xFFFF_FFFF];

/// Edge values of a float format: zeros, subnormals, ones and their neighbours, halves, ends of integer types, the
/// largest numbers, infinities, and NaN of both kinds and signs.
fn float_edges(mantissa: u32, exponent: u32) -> Vec<u64> {
    let sign = 1u64 << (mantissa + exponent);
    let bias = (1i64 << (exponent - 1)) - 1;
    let infinity = ((1u64 << exponent) - 1) << mantissa;
    let power = |n: i64| ((n + bias).clamp(1, 2 * bias) as u64) << mantissa;
    let mut edges = vec![0, 1, (1 << mantissa) - 1, 1 << mantissa, (1 << mantissa) + 1, 1 << (mantissa - 1)];
    edges.extend([power(0), power(0) + 1, power(0) - 1, power(0) + (1 << (mantissa - 1)), power(-1), power(1)]);
    edges.extend([power(1) + (1 << (mantissa - 1)), power(mantissa.into()), power(i64::from(mantissa) + 1) + 1]);
    edges.extend([power(-i64::from(mantissa) - 2), power(7), power(8) - 1, power(15), power(31), power(32), power(63)]);
    edges.extend([
        infinity - 1,
        infinity - (1 << mantissa),
        infinity,
        infinity + 1,
        infinity + (1 << (mantissa - 1)) + 3,
    ]);
    let negative =
        [0, 1, (1 << mantissa) - 1, 1 << mantissa, power(0), power(0) + 1, power(1), power(15), power(31), power(63)];
    edges.extend(negative.map(|x| x | sign));
    edges.extend([infinity - 1, infinity, infinity + 2, sign - 1].map(|x| x | sign));
    edges.dedup();
    edges
}

/// Mantissa and exponent bits of a float kind.
fn format(kind: u8) -> Option<(u32, u32)> {
    Some(match kind {
        b'e' | b'p' => (10, 5),
        b'b' | b'q' => (7, 8),
        b'f' => (23, 8),
        b'g' => (52, 11),
        _ => return None,
    })
}

fn edges(kind: u8) -> Vec<u64> {
    if let Some((mantissa, exponent)) = format(kind) {
        let one = float_edges(mantissa, exponent);
        if matches!(kind, b'p' | b'q') {
            // Every edge in each half, the other half being another edge.
            return one.iter().enumerate().map(|(i, x)| x << 16 | one[(i * 7 + 3) % one.len()]).collect();
        }
        return one;
    }
    match kind {
        b'h' => BITS16.to_vec(),
        b'r' => BITS32.to_vec(),
        b's' => DISTANCES.to_vec(),
        _ => BITS64.to_vec(),
    }
}

fn random_bits(random: &mut Random, bits: u32) -> u64 {
    let (way, x) = (random.next(), random.next());
    let mask = u64::MAX >> (64 - bits);
    mask & match way & 7 {
        0..=3 => x,
        4 => x & 15,
        5 => !(x & 15),
        6 => (1u64 << (x % u64::from(bits))).wrapping_add((x >> 32 & 3).wrapping_sub(1)),
        _ => (x & mask) >> ((way >> 8) % u64::from(bits)),
    }
}

fn random_float(random: &mut Random, mantissa: u32, exponent: u32) -> u64 {
    let (way, x) = (random.next(), random.next());
    let (bias, top) = ((1u64 << (exponent - 1)) - 1, (1u64 << exponent) - 1);
    let sign = (way >> 63) << (mantissa + exponent);
    let fraction = x & ((1 << mantissa) - 1);
    let near = |width: u64| bias - width.min(bias) + (way >> 8) % (2 * width.min(bias) + 1);
    let (field, fraction) = match way & 7 {
        0 | 1 => ((way >> 8) & top, fraction),
        2..=4 => (near(12), fraction),
        // Few bits at the top and at the foot: ties and near ties.
        5 => {
            (near(30), (fraction >> (mantissa - 3) << (mantissa - 3)) | (x >> 58 & 1) | (x >> 59 & 1) << (mantissa / 2))
        }
        6 => ((way >> 8) & 3, fraction),
        _ => (top - ((way >> 8) & 3), fraction),
    };
    sign | field << mantissa | fraction
}

fn random_one(random: &mut Random, kind: u8) -> u64 {
    match (kind, format(kind)) {
        (b'p' | b'q', Some((m, e))) => random_float(random, m, e) << 16 | random_float(random, m, e),
        (_, Some((m, e))) => random_float(random, m, e),
        (b'h', _) => random_bits(random, 16),
        (b'r', _) => random_bits(random, 32),
        (b's', _) if random.next() & 15 != 0 => random.next() % 70,
        (b's', _) => random_bits(random, 32),
        _ => random_bits(random, 64),
    }
}

/// -(a · b) in a format, to cancel in fused products.
fn opposite_product(kind: u8, a: u64, b: u64) -> u64 {
    match kind {
        b'f' => u64::from((-f32::from_bits(a as u32) * f32::from_bits(b as u32)).to_bits()),
        b'g' => (-f64::from_bits(a) * f64::from_bits(b)).to_bits(),
        b'e' => {
            let [x, y] = [a, b].map(|v| half::f16::from_bits(v as u16).to_f64());
            u64::from(half::f16::from_f64(-x * y).to_bits())
        }
        b'b' => {
            let [x, y] = [a, b].map(|v| half::bf16::from_bits(v as u16).to_f64());
            u64::from(half::bf16::from_f64(-x * y).to_bits())
        }
        _ => 0,
    }
}

fn random_row(random: &mut Random, kinds: &[u8]) -> In {
    let mut row = [0; 4];
    for (i, kind) in kinds.iter().enumerate() {
        row[i] = random_one(random, *kind);
        let (related, small) = (random.next(), random.next() % 5);
        if i == 0 || *kind != kinds[i - 1] || *kind == b's' {
            continue;
        }
        let top = match kind {
            b'h' | b'e' | b'b' => 15,
            b'd' | b'g' => 63,
            _ => 31,
        };
        // One in eight is near the source before it, or near its opposite; one in four of third floats cancels.
        if related & 7 == 0 {
            row[i] = row[i - 1] ^ (related >> 3 & 1) << top ^ (small >> 1);
        } else if i == 2 && related & 7 < 3 && matches!(kind, b'e' | b'b' | b'f' | b'g') {
            let near = opposite_product(*kind, row[0], row[1]);
            row[i] = near.wrapping_add(small.wrapping_sub(2)) & (u64::MAX >> (63 - top));
        }
    }
    row
}

/// All rows for sources of these kinds, in launches; those of wide sources are random ones too if asked for.
pub fn chunks(kinds: &str, random_too: bool) -> Vec<Vec<In>> {
    let kinds = kinds.as_bytes();
    let mut chunks = Vec::new();
    if let [b'h' | b'e' | b'b'] = kinds {
        return vec![(0..1 << 16).map(|x| [x, 0, 0, 0]).collect()];
    }
    if let [b'p' | b'q'] = kinds {
        // Every value in each half.
        chunks.push((0..1u64 << 16).map(|x| [((x * 0x6D2B + 0x1234) & 0xFFFF) << 16 | x, 0, 0, 0]).collect());
    }
    let tables: Vec<Vec<u64>> = kinds
        .iter()
        .map(|kind| {
            let mut table = edges(*kind);
            table.truncate(if kinds.len() == 4 { 16 } else { usize::MAX });
            table
        })
        .collect();
    let all: usize = tables.iter().map(Vec::len).product();
    let mut rows = Vec::with_capacity(all);
    for mut n in 0..all {
        let mut row = [0; 4];
        for (value, table) in row.iter_mut().zip(&tables) {
            *value = table[n % table.len()];
            n /= table.len();
        }
        rows.push(row);
    }
    chunks.extend(rows.chunks(CHUNK).map(<[In]>::to_vec));
    let mut random = Random(kinds.iter().fold(1, |seed, kind| seed * 257 + u64::from(*kind)));
    for _ in 0..if random_too { RANDOM / CHUNK } else { 0 } {
        chunks.push((0..CHUNK).map(|_| random_row(&mut random, kinds)).collect());
    }
    chunks
}

//! Inputs of the tensor products: fragments of `mma`, shared-memory images of `wgmma`.
//!
//! Matrices come in kinds: sums that are exact in any order; random numbers; any bits at all; and sums of a large term
//! and `n` small ones of 2^-e, which show how many bits below the largest a tensor core keeps, whether it rounds or
//! cuts off, and how many terms it adds at once.

use half::{bf16, f16};

use super::input::Words;
use crate::manifest::Entry;
use crate::plan::probe::WGMMA_CASES;

/// Type of the factors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    Int8,
    F16,
    Bf16,
    Tf32,
    E4m3,
    E5m2,
}

impl Factor {
    pub(super) fn of(entry: Entry) -> (Factor, bool) {
        use Entry::*;
        match entry {
            ProbeMmaF16 | ProbeWgmmaF16 | ProbeWgmmaF16Trans | ProbeWgmmaF16Wide | ProbeWgmmaF16TransWide => {
                (Factor::F16, false)
            }
            ProbeMmaF16Sums | ProbeWgmmaF16Sums => (Factor::F16, true),
            ProbeMmaBf16 | ProbeWgmmaBf16 | ProbeWgmmaBf16Trans => (Factor::Bf16, false),
            ProbeMmaTf32 | ProbeWgmmaTf32 => (Factor::Tf32, false),
            ProbeMmaE4m3 | ProbeWgmmaE4m3 => (Factor::E4m3, false),
            ProbeWgmmaE4m3Sums => (Factor::E4m3, true),
            ProbeMmaE5m2 | ProbeWgmmaE5m2 => (Factor::E5m2, false),
            ProbeWgmmaE5m2Sums => (Factor::E5m2, true),
            _ => (Factor::Int8, false),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Factor::Int8 | Factor::E4m3 | Factor::E5m2 => 1,
            Factor::F16 | Factor::Bf16 => 2,
            Factor::Tf32 => 4,
        }
    }

    /// Elements of a row that one instruction takes.
    fn depth(self) -> usize {
        32 / self.bytes()
    }

    fn fp8(self) -> bool {
        matches!(self, Factor::E4m3 | Factor::E5m2)
    }

    /// A number that has few enough bits, in the low bits of a word.
    fn bits(self, x: f64) -> u32 {
        match self {
            Factor::Int8 => u32::from(x as i8 as u8),
            Factor::F16 => f16::from_f64(x).to_bits().into(),
            Factor::Bf16 => bf16::from_f64(x).to_bits().into(),
            Factor::Tf32 => (x as f32).to_bits() & !0x1fff,
            Factor::E4m3 => e4m3(x),
            Factor::E5m2 => u32::from(f16::from_f64(x).to_bits() >> 8),
        }
    }
}

/// Cut off to four bits, at most 448.
fn e4m3(x: f64) -> u32 {
    let sign = if x.is_sign_negative() { 0x80 } else { 0 };
    let size = x.abs().min(448.0);
    let exponent = (-6..=8).rev().find(|&e| size >= 2f64.powi(e));
    sign | match exponent {
        None => (size * 512.0) as u32,
        Some(e) => ((e + 7) as u32) << 3 | ((size * 2f64.powi(-e) - 1.0) * 8.0) as u32,
    }
}

/// What a product is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Multiples of a small power of two: exact in any order.
    Exact,
    /// Random digits, exponents within a few of each other.
    Near,
    /// Random digits, exponents far apart.
    Far,
    /// Any bits: infinities, NaN, subnormals.
    Any,
    /// A large term and small ones: patterns 0 to 11.
    Small(usize),
}

/// One product `D = A B + C`: what an element's bits are.
struct Product {
    factor: Factor,
    half_sums: bool,
    kind: Kind,
    words: Words,
}

impl Product {
    fn random(&mut self, digits: u32) -> f64 {
        let word = self.words.next();
        let spread = if self.kind == Kind::Far { 14 } else { 4 };
        let exponent = (self.words.next() % spread) as i32 - spread as i32 / 2;
        let digits = 1.0 + f64::from(word % (1 << digits)) / f64::from(1u32 << digits);
        (if word >> 31 == 1 { -digits } else { digits }) * 2f64.powi(exponent)
    }

    /// A small whole number times 1/8, or for sums in half precision a whole number.
    fn exact(&mut self) -> f64 {
        let word = self.words.next();
        if self.half_sums {
            f64::from(word % 5) - 2.0
        } else if self.factor.fp8() {
            (f64::from(word % 15) - 7.0) / 8.0
        } else {
            f64::from(word % 65) / 8.0 - 4.0
        }
    }

    fn digits(&self) -> u32 {
        match self.factor {
            Factor::Int8 => 0,
            Factor::F16 | Factor::Tf32 => 10,
            Factor::Bf16 => 7,
            Factor::E4m3 => 3,
            Factor::E5m2 => 2,
        }
    }

    /// The place of the large term of a pattern, its size, and whether a second one cancels it.
    fn large(&self, pattern: usize) -> (Option<usize>, f64, bool) {
        let depth = self.factor.depth();
        match pattern {
            1 => (Some(0), -1.0, false),
            2 | 3 | 11 => (None, 0.0, false),
            4 => (Some(depth - 1), 1.0, false),
            5 => (Some(depth / 2), 1.0, false),
            6 => (Some(0), 1.0, true),
            8 => (Some(0), -1.0, false),
            10 => (Some(0), 1.5, false),
            _ => (Some(0), 1.0, false),
        }
    }

    fn a(&mut self, row: usize, k: usize) -> u32 {
        let x = match self.kind {
            Kind::Any => return self.words.next(),
            Kind::Exact => self.exact(),
            Kind::Near | Kind::Far => self.random(self.digits()),
            Kind::Small(pattern) => {
                let (place, size, cancelled) = self.large(pattern);
                let least = if self.factor.fp8() { -6 } else { 6 };
                let small = 2f64.powi(-(least + row as i32 % 16));
                if place == Some(k) {
                    size
                } else if cancelled && k == self.factor.depth() / 2 {
                    -size
                } else if pattern == 9 && k.is_multiple_of(2) {
                    -small
                } else if pattern == 10 {
                    1.5 * small
                } else {
                    small
                }
            }
        };
        self.factor.bits(x)
    }

    fn b(&mut self, k: usize, column: usize) -> u32 {
        let x = match self.kind {
            Kind::Any => return self.words.next(),
            Kind::Exact => self.exact(),
            Kind::Near | Kind::Far => self.random(self.digits()),
            Kind::Small(pattern) => {
                let (place, _, cancelled) = self.large(pattern);
                let depth = self.factor.depth();
                // Column c has 1 + c * depth / 8 small terms, nearest to the front (pattern 4: to the back).
                let count = 1 + column * depth / 8;
                let from = place.map_or(0, |place| usize::from(place == 0));
                if place == Some(k) || cancelled && k == depth / 2 {
                    1.0
                } else if (from..from + count).contains(&k) {
                    2f64.powi(-8)
                } else {
                    0.0
                }
            }
        };
        self.factor.bits(x)
    }

    fn c(&mut self, row: usize, column: usize) -> f64 {
        match self.kind {
            Kind::Any => f64::from(f32::from_bits(self.words.next())),
            Kind::Exact => self.exact(),
            Kind::Near | Kind::Far => self.random(if self.half_sums { 10 } else { 23 }),
            Kind::Small(2 | 8) => 1.0,
            Kind::Small(3) => -1.0,
            // The addend is the small one.
            Kind::Small(7) => 2f64.powi(-(row as i32 % 16) - if self.factor.fp8() { 2 } else { 14 }) * 1.5,
            Kind::Small(11) => 2f64.powi(column as i32 - 4),
            Kind::Small(_) => 0.0,
        }
    }
}

/// Fragments of `mma`: `blocks` products of 10 registers of 32 lanes.
pub(super) fn fragments(entry: Entry, blocks: usize, seed: u64) -> Vec<u32> {
    let (factor, half_sums) = Factor::of(entry);
    if factor == Factor::Int8 {
        return integers(blocks, seed);
    }
    let mut product = Product { factor, half_sums, kind: Kind::Exact, words: Words(seed) };
    let mut input = Vec::with_capacity(320 * blocks);
    for block in 0..blocks {
        product.kind = match block {
            0..8 => Kind::Exact,
            8..14 => Kind::Near,
            14..18 => Kind::Far,
            18..20 => Kind::Any,
            _ => Kind::Small((block - 20) % 12),
        };
        let (depth, each) = (factor.depth(), 4 / factor.bytes());
        let a: Vec<u32> = (0..16 * depth).map(|i| product.a(i / depth, i % depth)).collect();
        let b: Vec<u32> = (0..8 * depth).map(|i| product.b(i % depth, i / depth)).collect();
        // Rows of 16-byte halves: register 2h + r of lane 4g + t holds word t of half h of row g + 8r (§9.7.14.5).
        let word = |matrix: &[u32], row: usize, at: usize| {
            let size = 8 * factor.bytes() as u32;
            let mask = u32::MAX >> (32 - size);
            (0..each).fold(0, |word, i| word | (matrix[row * depth + at * each + i] & mask) << (size * i as u32))
        };
        for (register, lane) in (0..6 * 32).map(|i| (i / 32, i % 32)) {
            let (g, t) = (lane / 4, lane % 4);
            input.push(match register {
                0..4 => word(&a, g + 8 * (register % 2), 4 * (register / 2) + t),
                _ => word(&b, g, 4 * (register - 4) + t),
            });
        }
        for (register, lane) in (0..4 * 32).map(|i| (i / 32, i % 32)) {
            let mut element = |i: usize| product.c(lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2);
            input.push(if half_sums {
                let register = register % 2;
                pair(element(2 * register), element(2 * register + 1))
            } else {
                (element(register) as f32).to_bits()
            });
        }
    }
    input
}

fn pair(low: f64, high: f64) -> u32 {
    u32::from(f16::from_f64(low).to_bits()) | u32::from(f16::from_f64(high).to_bits()) << 16
}

/// Any bytes; the first blocks are the greatest products, with addends near both ends of their range.
fn integers(blocks: usize, seed: u64) -> Vec<u32> {
    let mut input = super::input::words(320 * blocks, seed);
    let pairs = [
        (0x8080_8080, 0x8080_8080),
        (0x8080_8080, 0x7f7f_7f7f),
        (0xffff_ffff, 0xffff_ffff),
        (0x7f7f_7f7f, 0x7f7f_7f7f),
    ];
    for (block, (a, b)) in input.chunks_exact_mut(320).zip(pairs) {
        block[..128].fill(a);
        block[128..192].fill(b);
    }
    for (i, word) in input.iter_mut().enumerate().filter(|(i, _)| i % 320 >= 192 && i / 320 < 8) {
        let near = *word % 700_000;
        *word = if i % 2 == 0 { i32::MAX as u32 - near } else { i32::MIN as u32 + near };
    }
    input
}

/// Words of a shared-memory image, as `kernels/probe/probe_wgmma.cuh` has it.
const IMAGE: usize = 6336;
/// Where the packed products start, and how many bytes one takes: A, then B, in 8 x 16 byte matrices one after another.
const PACKED: (usize, usize) = (9216, 2048 + 256);

/// A layout of one operand.
struct Layout {
    start: usize,
    /// Leading and stride byte offsets.
    lbo: usize,
    sbo: usize,
    /// 0 none, 1 128 bytes, 2 64, 3 32 (§9.7.15.5.1).
    swizzle: u64,
}

const fn layout(start: usize, lbo: usize, sbo: usize, swizzle: u64) -> Layout {
    Layout { start, lbo, sbo, swizzle }
}

impl Layout {
    fn descriptor(&self) -> [u32; 2] {
        let field = |bytes: usize| (bytes / 16) as u64;
        let bits = field(self.start) | field(self.lbo) << 16 | field(self.sbo) << 32 | self.swizzle << 62;
        [bits as u32, (bits >> 32) as u32]
    }
}

/// A and B along K, of every swizzle; steps within a line of it; other strides.
const ALONG_K: [(Layout, Layout); 5] = [
    (layout(0, 128, 256, 0), layout(2048, 128, 256, 0)),
    (layout(1024, 16, 256, 3), layout(4096, 16, 256, 3)),
    (layout(32, 16, 512, 2), layout(4096, 16, 512, 2)),
    (layout(64, 16, 1024, 1), layout(8192 + 96, 16, 1024, 1)),
    (layout(0, 4096, 128, 0), layout(1024, 256, 2048, 0)),
];

/// A and B along M and N.
const ALONG_M: [(Layout, Layout); 5] = [
    (layout(0, 128, 256, 0), layout(2048, 128, 256, 0)),
    (layout(0, 512, 256, 3), layout(2048, 512, 256, 3)),
    (layout(0, 1024, 512, 2), layout(4096, 1024, 512, 2)),
    (layout(0, 2048, 1024, 1), layout(4096, 2048, 1024, 1)),
    (layout(0, 1024, 128, 0), layout(512, 2048, 128, 0)),
];

/// Cases of `wgmma` and its image.
pub(super) fn image(entry: Entry, seed: u64) -> Vec<u32> {
    use Entry::*;
    let (factor, half_sums) = Factor::of(entry);
    let trans = matches!(entry, ProbeWgmmaF16Trans | ProbeWgmmaBf16Trans | ProbeWgmmaF16TransWide);
    let wide = matches!(entry, ProbeWgmmaInt8Wide | ProbeWgmmaF16Wide | ProbeWgmmaF16TransWide);
    let mut product = Product { factor, half_sums, kind: Kind::Exact, words: Words(seed) };
    let mut image = vec![0u8; 4 * IMAGE];
    for element in image.chunks_exact_mut(factor.bytes()) {
        let bits = if factor == Factor::Int8 { product.words.next() } else { product.a(0, 0) };
        element.copy_from_slice(&bits.to_le_bytes()[..factor.bytes()]);
    }
    let mut cases = Vec::new();
    for case in 0..WGMMA_CASES as usize {
        let layouts = if trans { &ALONG_M } else { &ALONG_K };
        let (mut c, mut scale, mut registers) = ([0.0; 4], 1, 0);
        let (a, b) = if case < layouts.len() || trans {
            let (a, b) = &layouts[case % layouts.len()];
            product.kind = Kind::Exact;
            c = std::array::from_fn(|_| product.c(0, 0));
            // Once the accumulators are not looked at.
            scale = u32::from(case != 1);
            (layout(a.start, a.lbo, a.sbo, a.swizzle), layout(b.start, b.lbo, b.sbo, b.swizzle))
        } else {
            let set = case - layouts.len();
            let at = PACKED.0 + set * PACKED.1;
            registers = at / 4;
            if factor != Factor::Int8 {
                let pattern = |row: usize| Kind::Small(4 * (set - 4).min(2) + row / 16);
                let kind = |row: usize| match set {
                    0 => Kind::Exact,
                    1 => Kind::Near,
                    2 => Kind::Far,
                    3 => Kind::Any,
                    _ => pattern(row),
                };
                packed(&mut product, &mut image[at..at + PACKED.1], kind);
                c = match set {
                    1..3 => std::array::from_fn(|_| product.c(0, 0)),
                    // An addend of one in the middle of the three sets of patterns.
                    5 => [1.0; 4],
                    _ => c,
                };
            }
            let b = if wide { at } else { at + 2048 };
            (layout(at, 128, 256, 0), layout(b, 128, 256, 0))
        };
        let b = if wide && case < layouts.len() { layout(a.start, a.lbo, a.sbo, a.swizzle) } else { b };
        cases.extend(a.descriptor());
        cases.extend(b.descriptor());
        cases.extend([scale, registers as u32, 0, 0]);
        cases.extend(match (factor, half_sums) {
            (Factor::Int8, _) => [0, 1, i32::MAX as u32 - 1000, i32::MIN as u32 + 1000],
            (_, true) => [pair(c[0], c[1]), pair(c[2], c[3]), 0, 0],
            _ => c.map(|c| (c as f32).to_bits()),
        });
        cases.extend([0; 4]);
    }
    cases.extend(image.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
    cases
}

/// Writes A (64 rows) and B (8) of 32 bytes a row: 8 rows of 16 bytes after one another, then the next 16 bytes of
/// those rows, then the next 8 rows.
fn packed(product: &mut Product, to: &mut [u8], kind: impl Fn(usize) -> Kind) {
    let (depth, size) = (product.factor.depth(), product.factor.bytes());
    for (row, k) in (0..72 * depth).map(|i| (i / depth, i % depth)) {
        let bits = if row < 64 {
            product.kind = kind(row);
            product.a(row, k)
        } else {
            // All rows of A meet this B: of the patterns' kinds the one of the second 16 rows.
            product.kind = kind(16);
            product.b(k, row - 64)
        };
        let at = row / 8 * 256 + (k * size / 16) * 128 + row % 8 * 16 + k * size % 16;
        to[at..at + size].copy_from_slice(&bits.to_le_bytes()[..size]);
    }
}

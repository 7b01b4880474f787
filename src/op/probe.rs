//! Runs the probes: what instructions do on a device, as bytes to keep and to compare.

use half::{bf16, f16};

use crate::Result;
use crate::device::{Device, Launch, Stream, Swizzle, TensorMapDesc};
use crate::manifest::Entry;
use crate::plan::Geometry;
use crate::plan::probe::{MMA_BLOCKS, SCALAR_BLOCKS, TMA_BLOCKS, plan};

/// What one probe gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOutput {
    /// Its name, for files and tables: `mma_s8`.
    pub name: &'static str,
    /// The words it was given.
    pub input: Vec<u32>,
    /// The words it wrote. `kernels/probe/` says what they are; all are exact, none depends on an order that the
    /// hardware leaves open.
    pub output: Vec<u32>,
}

impl ProbeOutput {
    /// The output as a golden file holds it: words in little-endian order.
    pub fn bytes(&self) -> Vec<u8> {
        self.output.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Runs every probe that the device can run, on fixed inputs.
///
/// # Errors
/// A kernel that cannot be loaded, or an error of the device.
pub fn run_probes(device: &Device) -> Result<Vec<ProbeOutput>> {
    let stream = device.stream()?;
    plan(device.facts()).map(|geometry| run(device, &stream, geometry)).collect()
}

fn run(device: &Device, stream: &Stream, geometry: Geometry) -> Result<ProbeOutput> {
    let entry = geometry.entry;
    let row = entry.row();
    device.load(entry)?;
    let input = input(entry);
    let on_device = stream.upload(&input)?;
    let mut output = stream.zeros::<u32>(output_words(entry))?;
    let mut launch = Launch::new(geometry);
    // The matrix of the tensor map: 40 rows of 200 bytes, 208 apart.
    let matrix = stream.upload(&bytes(40 * 208, 7))?;
    if row.source == "probe/probe_hopper" {
        let desc = TensorMapDesc { box_rows: 16, box_cols: 128, swizzle: Swizzle::B128 };
        launch.tensor_map(&matrix.view().matrix(40, 200, 208)?, desc);
    }
    launch.ptr(&on_device).ptr_mut(&mut output);
    if row.source == "probe/probe_scalar" {
        launch.u32(geometry.grid[0] * row.threads);
    }
    stream.launch(&launch.finish()?)?;
    let name = row.symbol.trim_start_matches("probe_");
    let output = stream.download(&output)?;
    Ok(ProbeOutput { name, input, output })
}

fn output_words(entry: Entry) -> usize {
    match entry {
        Entry::ProbeMmaS8 | Entry::ProbeMmaF16 | Entry::ProbeMmaBf16 => MMA_BLOCKS as usize * 128,
        Entry::ProbeScalarConvert => 6 * SCALAR_BLOCKS as usize * 256,
        Entry::ProbeScalarPrmt | Entry::ProbeScalarDivide => SCALAR_BLOCKS as usize * 256,
        Entry::ProbeWarpShuffle | Entry::ProbeWarpRedux => 8 * 32,
        Entry::ProbeWarpAtomic => 42,
        Entry::ProbeHopperMbarrier => 6 * 32,
        Entry::ProbeHopperTma => TMA_BLOCKS as usize * 512,
        Entry::ProbeHopperWgmma => 2 * 64 * 128,
        _ => 4 * 32,
    }
}

/// A fixed sequence of words (splitmix64).
struct Words(u64);

impl Words {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ x >> 31) as u32
    }
}

fn words(count: usize, seed: u64) -> Vec<u32> {
    let mut words = Words(seed);
    (0..count).map(|_| words.next()).collect()
}

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    words(count, seed).into_iter().map(|word| word as u8).collect()
}

/// Where conversions and divisions turn: zeros, ones, ties, ends of ranges, subnormals, infinities, NaN.
#[rustfmt::skip]
const EDGES: [f32; 32] = [
    0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 126.5, 127.5, -128.5, 1e10, -1e10, 2147483520.0, 2147483648.0,
    65504.0, 65519.9, 65520.0, 65536.0, 5.96e-8, 2.98e-8, 2.9e-8, 6.1e-5, 1e-40, -1e-45, f32::MIN_POSITIVE, f32::MAX,
    3.39e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0, -1.0,
];

fn input(entry: Entry) -> Vec<u32> {
    let seed = u64::from(entry as u16) << 32;
    let values = SCALAR_BLOCKS as usize * 256;
    match entry {
        Entry::ProbeMmaS8 => {
            let mut input = words(MMA_BLOCKS as usize * 320, seed);
            // The first blocks: all bytes -128, then -128 against 127.
            input[..192].fill(0x8080_8080);
            input[320..320 + 128].fill(0x8080_8080);
            input[320 + 128..320 + 192].fill(0x7f7f_7f7f);
            input
        }
        Entry::ProbeMmaF16 => float_products(seed, |x| f16::from_f32(x).to_bits()),
        Entry::ProbeMmaBf16 => float_products(seed, |x| bf16::from_f32(x).to_bits()),
        Entry::ProbeSharedLdmatrix | Entry::ProbeSharedLdmatrixTrans => {
            let mut input = words(160, seed);
            input[128..].iter_mut().for_each(|row| *row %= 32);
            input
        }
        Entry::ProbeSharedCpAsync => {
            let mut input = words(160, seed);
            (0..32).for_each(|lane| input[128 + lane] = lane as u32 % 17);
            input
        }
        Entry::ProbeScalarConvert | Entry::ProbeScalarDivide => {
            let mut input = words(3 * values, seed);
            // Every edge against every edge, then floats of moderate size, then any bits.
            for (i, (x, y)) in EDGES.iter().flat_map(|x| EDGES.map(|y| (*x, y))).enumerate() {
                (input[i], input[values + i]) = (x.to_bits(), y.to_bits());
            }
            for i in 1024..1536 {
                for at in [i, values + i] {
                    input[at] = (input[at] & 0x807f_ffff) | (120 + (input[at] >> 24 & 15)) << 23;
                }
            }
            input
        }
        Entry::ProbeScalarPrmt => words(3 * values, seed),
        Entry::ProbeHopperTma => {
            let corners = [(0, 0), (96, 32), (-16, -3), (128, 5), (72, 24), (200, 0), (-128, 40), (199, 39)];
            corners.iter().flat_map(|&(column, row): &(i32, i32)| [column as u32, row as u32]).collect()
        }
        Entry::ProbeHopperWgmma => words((64 + 128) * 32, seed),
        _ => words(64, seed),
    }
}

/// Fragments of small multiples of 1/8: all sums of products are exact, whatever their order.
fn float_products(seed: u64, bits: impl Fn(f32) -> u16) -> Vec<u32> {
    let mut words = Words(seed);
    let mut value = || (words.next() % 65) as f32 / 8.0 - 4.0;
    let mut input = Vec::with_capacity(MMA_BLOCKS as usize * 320);
    for i in 0..MMA_BLOCKS as usize * 320 {
        let operand = i % 320 < 192;
        let (low, high) = (value(), value());
        input.push(if operand { u32::from(bits(low)) | u32::from(bits(high)) << 16 } else { low.to_bits() });
    }
    input
}

//! Boxes of tensors by TMA: every number of dimensions, swizzle and filling, at every edge.

use half::{bf16, f16};

use crate::Result;
use crate::device::{Device, Element, Launch, Stream, Swizzle, TensorShape};
use crate::manifest::Entry;
use crate::plan::Geometry;

use super::input;

/// Bytes that tensors are cut from.
const BYTES: usize = 17_280;

/// The dimensions of a TMA probe.
pub(super) fn rank(entry: Entry) -> Option<usize> {
    match entry {
        Entry::ProbeHopperTma1d => Some(1),
        Entry::ProbeHopperTma2d => Some(2),
        Entry::ProbeHopperTma3d => Some(3),
        Entry::ProbeHopperTma4d => Some(4),
        Entry::ProbeHopperTma5d => Some(5),
        _ => None,
    }
}

/// A map for kernels that look at none.
pub(super) fn any() -> TensorShape {
    let (dims, tile) = ([16, 1, 1, 1, 1], [16, 1, 1, 1, 1]);
    TensorShape { rank: 1, dims, strides: [0; 5], tile, swizzle: Swizzle::None, nan: false }
}

/// Elements of a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    U8,
    F16,
    Bf16,
    F32,
    I32,
}

impl Type {
    fn bytes(self) -> usize {
        match self {
            Type::U8 => 1,
            Type::F16 | Type::Bf16 => 2,
            Type::F32 | Type::I32 => 4,
        }
    }
}

/// Type, swizzle, NaN outside, bytes of an inner row of the box, elements of it in the other dimensions.
type Map = (Type, Swizzle, bool, usize, [u32; 4]);

/// Bytes between neighbours of the other dimensions, and elements in them. An inner row has 200 bytes of 208 in two
/// dimensions, else 80 of 96.
fn tensor(rank: usize) -> (usize, [u64; 5], [u64; 5]) {
    match rank {
        1 => (200, [0; 5], [0, 1, 1, 1, 1]),
        2 => (200, [0, 208, 0, 0, 0], [0, 40, 1, 1, 1]),
        _ => (80, [0, 96, 576, 2880, 8640], [0, 6, 5, 3, 2]),
    }
}

fn maps(rank: usize) -> &'static [Map] {
    use Swizzle::{B32, B64, B128, None};
    match rank {
        1 => &[
            (Type::U8, None, false, 64, [1; 4]),
            (Type::F16, None, true, 64, [1; 4]),
            (Type::F32, None, true, 32, [1; 4]),
            (Type::I32, B32, false, 32, [1; 4]),
        ],
        2 => &[
            (Type::U8, B128, false, 128, [16, 1, 1, 1]),
            (Type::U8, B64, false, 64, [16, 1, 1, 1]),
            (Type::U8, B32, false, 32, [16, 1, 1, 1]),
            (Type::U8, None, false, 128, [8, 1, 1, 1]),
            (Type::F16, B128, true, 128, [8, 1, 1, 1]),
            (Type::F32, B64, true, 64, [8, 1, 1, 1]),
            (Type::Bf16, None, true, 48, [8, 1, 1, 1]),
            (Type::I32, B32, false, 32, [8, 1, 1, 1]),
        ],
        3 => &[(Type::U8, B32, false, 32, [4, 4, 1, 1]), (Type::F16, None, true, 64, [4, 4, 1, 1])],
        4 => &[(Type::I32, B64, false, 64, [3, 2, 2, 1]), (Type::F32, None, true, 32, [3, 2, 2, 1])],
        _ => &[(Type::U8, B32, false, 32, [3, 2, 2, 2]), (Type::Bf16, B64, true, 64, [3, 2, 2, 2])],
    }
}

/// Corners of boxes: the first coordinate in units of 16 bytes.
const CORNERS: [[i32; 5]; 8] = [
    [0, 0, 0, 0, 0],
    [2, 3, 1, 1, 1],
    [-1, -2, -1, -1, 0],
    [4, -1, 2, 0, -1],
    [5, 2, 3, 2, 1],
    [1, 33, -2, 1, 0],
    [0, 38, 4, 2, 1],
    [14, 1, 0, -2, 2],
];

/// Runs every map of a rank over every corner. The input is what the launches read after one another, the output what
/// they wrote.
pub(super) fn run(device: &Device, stream: &Stream, geometry: Geometry, rank: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let bytes: Vec<u8> = input::words(BYTES, input::seed("tma")).into_iter().map(|word| word as u8).collect();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let pairs = || bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
    let words = || bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    for map in maps(rank) {
        let job = Job { device, stream, geometry, rank, map };
        let (input, output) = match map.0 {
            Type::U8 => job.run(&bytes)?,
            Type::F16 => job.run(&pairs().map(f16::from_bits).collect::<Vec<_>>())?,
            Type::Bf16 => job.run(&pairs().map(bf16::from_bits).collect::<Vec<_>>())?,
            Type::F32 => job.run(&words().map(f32::from_bits).collect::<Vec<_>>())?,
            Type::I32 => job.run(&words().map(|word| word as i32).collect::<Vec<_>>())?,
        };
        inputs.extend(input);
        outputs.extend(output);
    }
    Ok((inputs, outputs))
}

/// One launch: one map.
struct Job<'a> {
    device: &'a Device,
    stream: &'a Stream,
    geometry: Geometry,
    rank: usize,
    map: &'a Map,
}

impl Job<'_> {
    fn run<T: Element>(&self, data: &[T]) -> Result<(Vec<u32>, Vec<u32>)> {
        let (kind, swizzle, nan, inner, outer) = *self.map;
        let (row_bytes, strides, mut dims) = tensor(self.rank);
        dims[0] = (row_bytes / kind.bytes()) as u64;
        let (unit, tile) = (16 / kind.bytes() as i32, (inner / kind.bytes()) as u32);
        let tile = [tile, outer[0], outer[1], outer[2], outer[3]];
        let shape = TensorShape { rank: self.rank, dims, strides, tile, swizzle, nan };
        let words = inner * outer.iter().product::<u32>() as usize / 4;
        let mut input = vec![words as u32];
        for corner in CORNERS {
            input.extend(corner.iter().enumerate().map(|(i, &c)| (if i == 0 { c * unit } else { c }) as u32));
        }
        let geometry = Geometry { grid: [CORNERS.len() as u32, 1, 1], ..self.geometry };
        self.device.load(geometry.entry)?;
        let tensor = self.stream.upload(data)?;
        let on_device = self.stream.upload(&input)?;
        let mut output = self.stream.zeros::<u32>(words * CORNERS.len())?;
        let mut launch = Launch::new(geometry);
        launch.tensor(&tensor, shape).ptr(&on_device).ptr_mut(&mut output).u32(CORNERS.len() as u32 * 32);
        self.stream.launch(&launch.finish()?)?;
        Ok((input, self.stream.download(&output)?))
    }
}

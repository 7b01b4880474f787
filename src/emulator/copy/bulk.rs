//! Bulk copies from global to shared memory that complete on an mbarrier: TMA tiles (`cp.async.bulk.tensor`) and
//! plain `cp.async.bulk` (PTX ISA §9.7.9.25.5).
//!
//! A tile is the map's box at the given coordinates, dense in shared memory with dimension 0 innermost, 16-byte
//! chunks exchanged by the map's swizzle on the shared address. Elements outside the tensor are filled and still
//! count: the mbarrier gets the bytes of the full box. Copies are checked at issue and queued per block; they
//! land when the interpreter says so, by default when no warp of the block can run.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::emulator::ir::Space;

use super::problem::{Problem, shared_range};
use super::swizzle::swizzled;
use super::tensor_map::{Fill, Swizzle, TensorMap};
use super::{GlobalMemory, mbarrier};

#[derive(Clone, Debug)]
enum Source {
    Tile { map: Arc<TensorMap>, coords: [i32; 5] },
    Plain { address: u64 },
}

/// One bulk copy between its issue and its landing.
#[derive(Clone, Debug)]
pub(crate) struct PendingBulk {
    /// Index of the instruction in the code, and the warp that issued it: for reports.
    pub inst: u32,
    /// Warp of the block that issued it.
    pub warp: u32,
    source: Source,
    dst: u32,
    bytes: u32,
    mbar: u32,
}

/// Copies pending at most, as for `cp.async`.
const MOST: usize = 4096;

/// The bulk copies that one block has under way, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct BulkQueue {
    pending: VecDeque<PendingBulk>,
    /// The map of the last tile: kernels use few maps, and decoding one is most of the issue's cost.
    last_map: Option<([u8; 128], Arc<TensorMap>)>,
}

/// Who issues a copy, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BulkTarget {
    /// Index of the instruction.
    pub inst: u32,
    /// Warp of the block.
    pub warp: u32,
    /// Shared-memory address of the data.
    pub dst: u32,
    /// Shared-memory address of the mbarrier.
    pub mbar: u32,
}

impl BulkQueue {
    /// Captures a tile copy: `map` are the 128 bytes at the map's address, `coords` the element coordinates of
    /// the box's corner (the first `dims` count).
    ///
    /// # Errors
    /// Bytes that are not a map; another rank; a first coordinate that is not a multiple of 16 bytes; a destination not
    /// a multiple of 128 or outside shared memory; a bad mbarrier address; a swizzled box narrower than its span (not
    /// modelled).
    pub(crate) fn issue_tile(
        &mut self,
        target: BulkTarget,
        map: &[u8; 128],
        dims: u8,
        coords: [i32; 5],
        shared_len: usize,
    ) -> Result<(), Problem> {
        let map = match &self.last_map {
            Some((bytes, decoded)) if bytes == map => Arc::clone(decoded),
            _ => {
                let decoded = Arc::new(TensorMap::from_bytes(map)?);
                self.last_map = Some((*map, Arc::clone(&decoded)));
                decoded
            }
        };
        if map.rank != u32::from(dims) {
            return Err(Problem::operand(format!("a {dims}-dimensional copy with a tensor map of rank {}", map.rank)));
        }
        let inner = u64::from(map.box_[0]) * map.dtype.size();
        if map.swizzle != Swizzle::None && inner != map.swizzle.span() {
            return Err(Problem::unsupported(format!(
                "a tile of {inner} bytes a line with a swizzle of {}",
                map.swizzle.span()
            )));
        }
        // An H100 stops with an illegal instruction, whatever the element, the swizzle and the width of the tensor.
        let column = i64::from(coords[0]) * map.dtype.size() as i64;
        if column % 16 != 0 {
            return Err(Problem::operand(format!(
                "a box that begins at element {}, byte {column} of its rows, which is not a multiple of 16",
                coords[0]
            )));
        }
        let bytes = map.box_bytes();
        shared_range(shared_len, u64::from(target.dst), bytes, 128, "bulk tensor copy destination")?;
        self.push(target, Source::Tile { map, coords }, bytes, shared_len)
    }

    /// Captures a plain copy of `bytes` bytes from `address`.
    ///
    /// # Errors
    /// Addresses or size not multiples of 16, or outside their memories; a bad mbarrier address.
    pub(crate) fn issue_plain(
        &mut self,
        target: BulkTarget,
        address: u64,
        bytes: u32,
        shared_len: usize,
        global: &impl GlobalMemory,
    ) -> Result<(), Problem> {
        if !bytes.is_multiple_of(16) {
            return Err(Problem::operand(format!("cp.async.bulk of {bytes} bytes, not a multiple of 16")));
        }
        if !address.is_multiple_of(16) {
            return Err(Problem::misaligned(Space::Global, address, 16, "bulk copy source"));
        }
        shared_range(shared_len, u64::from(target.dst), u64::from(bytes), 16, "bulk copy destination")?;
        global.check(address, u64::from(bytes))?;
        self.push(target, Source::Plain { address }, u64::from(bytes), shared_len)
    }

    fn push(&mut self, target: BulkTarget, source: Source, bytes: u64, shared_len: usize) -> Result<(), Problem> {
        shared_range(shared_len, u64::from(target.mbar), 8, 8, "bulk copy mbarrier")?;
        let BulkTarget { inst, warp, dst, mbar } = target;
        // Inside shared memory, so it fits.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.pending.push_back(PendingBulk { inst, warp, source, dst, bytes, mbar });
        Ok(())
    }

    /// Takes the copy at `index` in issue order, to land it.
    pub(crate) fn take(&mut self, index: usize) -> Option<PendingBulk> {
        self.pending.remove(index)
    }

    /// The copy issued last, if it is under way.
    pub(crate) fn last(&self) -> Option<&PendingBulk> {
        self.pending.back()
    }

    /// More copies under way than the queue is to hold: the oldest should land.
    pub(crate) fn full(&self) -> bool {
        self.pending.len() > MOST
    }

    /// Bytes of host memory that it has come to.
    pub(crate) fn bytes(&self) -> usize {
        self.pending.capacity() * size_of::<PendingBulk>()
    }

    /// Copies under way.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl PendingBulk {
    /// Moves the bytes and completes them on the mbarrier.
    ///
    /// # Errors
    /// Tensor elements outside their allocation, with the address; the mbarrier's own.
    pub(crate) fn land(&self, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        match &self.source {
            Source::Plain { address } => {
                let range = shared_range(
                    shared.len(),
                    u64::from(self.dst),
                    u64::from(self.bytes),
                    16,
                    "bulk copy destination",
                )?;
                if !range.is_empty() {
                    global.read(*address, &mut shared[range])?;
                }
            }
            Source::Tile { map, coords } => self.land_tile(map, coords, shared, global)?,
        }
        mbarrier::complete_tx(shared, u64::from(self.mbar), self.bytes)
    }

    /// First byte and bytes that it writes, and its mbarrier.
    pub(crate) fn destination(&self) -> (u32, u32, u32) {
        (self.dst, self.bytes, self.mbar)
    }

    /// 32-byte sectors of global memory that the copy reads, its bytes there, and its bytes in shared memory.
    pub(crate) fn traffic(&self) -> (u64, u64, u64) {
        let (mut sectors, mut read) = (0, 0);
        self.reads(|at, bytes| {
            sectors += at.wrapping_add(bytes - 1) / 32 - at / 32 + 1;
            read += bytes;
        });
        (sectors, read, u64::from(self.bytes))
    }

    /// Tells the runs of global memory that the copy reads: address and bytes, none of them empty.
    pub(crate) fn reads(&self, mut run: impl FnMut(u64, u64)) {
        match &self.source {
            Source::Plain { address } if self.bytes > 0 => run(*address, u64::from(self.bytes)),
            Source::Plain { .. } => {}
            Source::Tile { map, coords } => {
                let size = map.dtype.size();
                let (skip, count) = inner_range(map, coords[0]);
                if count == 0 {
                    return;
                }
                // Inside the tensor the coordinate is not negative.
                let start = map.address.wrapping_add_signed((i64::from(coords[0]) + skip) * size as i64);
                let lines = u64::from(self.bytes) / (u64::from(map.box_[0]) * size);
                let offsets = (0..lines).filter_map(|line| outer_offset(map, coords, line));
                offsets.for_each(|offset| run(start.wrapping_add(offset), count as u64 * size));
            }
        }
    }

    fn land_tile(
        &self,
        map: &TensorMap,
        coords: &[i32; 5],
        shared: &mut [u8],
        global: &impl GlobalMemory,
    ) -> Result<(), Problem> {
        let size = map.dtype.size();
        let inner = u64::from(map.box_[0]) * size;
        let lines = u64::from(self.bytes) / inner;
        let mut line = vec![0u8; inner as usize];
        let start = i64::from(coords[0]);
        let (skip, count) = inner_range(map, coords[0]);
        for index in 0..lines {
            fill(&mut line, map);
            if let Some(offset) = outer_offset(map, coords, index)
                && count > 0
            {
                let address = map.address + offset + (start + skip) as u64 * size;
                let at = (skip as u64 * size) as usize;
                global.read(address, &mut line[at..at + (count as u64 * size) as usize])?;
            }
            for (chunk, bytes) in line.chunks_exact(16).enumerate() {
                let to = swizzled(u64::from(self.dst) + index * inner + 16 * chunk as u64, map.swizzle.span());
                let range = shared_range(shared.len(), to, 16, 16, "bulk tensor copy destination")?;
                shared[range].copy_from_slice(bytes);
            }
        }
        Ok(())
    }
}

/// Elements of a line that are inside the tensor: the first one's place in the box, and how many.
fn inner_range(map: &TensorMap, start: i32) -> (i64, i64) {
    let (start, n) = (i64::from(start), i64::from(map.box_[0]));
    let skip = (-start).clamp(0, n);
    (skip, (map.dims[0] as i64 - start).clamp(skip, n) - skip)
}

/// Byte offset of line `index` of the box in dimensions 1 and up; `None` when it is outside the tensor.
fn outer_offset(map: &TensorMap, coords: &[i32; 5], mut index: u64) -> Option<u64> {
    let mut offset = 0u64;
    for (i, &corner) in coords.iter().enumerate().take(map.ranks()).skip(1) {
        let n = u64::from(map.box_[i]);
        let at = i64::from(corner) + (index % n) as i64;
        index /= n;
        let at = u64::try_from(at).ok().filter(|&at| at < map.dims[i])?;
        offset = offset.checked_add(at.checked_mul(map.strides[i])?)?;
    }
    Some(offset)
}

/// What elements outside the tensor read as. NaN is 0x7ff7 in every two bytes, whatever the type: as an H100 has it
/// (`tests/golden`; the documentation says only that it is NaN).
fn fill(line: &mut [u8], map: &TensorMap) {
    match map.fill {
        Fill::Nan => line.as_chunks_mut::<2>().0.fill([0xf7, 0x7f]),
        Fill::Zero => line.fill(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TestMemory;
    use super::super::tensor_map::{TensorMapDtype, example};
    use super::*;

    fn memory(len: usize) -> TestMemory {
        TestMemory { base: 0x1_0000, bytes: (0..len).map(|i| (i * 7 + i / 251) as u8).collect() }
    }

    fn target(dst: u32) -> BulkTarget {
        BulkTarget { inst: 3, warp: 1, dst, mbar: 0 }
    }

    /// Every byte of a 2-D box against the formula, at corners inside and outside, for every swizzle.
    #[test]
    fn tiles_with_edges_and_swizzles() {
        let memory = memory(10 * 208);
        for swizzle in [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128] {
            let mut map = example();
            map.swizzle = swizzle;
            let width = if swizzle == Swizzle::None { 48 } else { swizzle.span() as i64 };
            map.box_[0] = width as u32;
            for (x, y) in
                [(0, 0), (16, 3), (96, 7), (-16, -2), (176, 9), (-208, 0), (0, -8), (208, 0), (i32::MAX - 15, i32::MIN)]
            {
                let (mut shared, mut queue) = (vec![0xffu8; 4096], BulkQueue::default());
                mbarrier::init(&mut shared, 0, 1).unwrap();
                mbarrier::arrive(&mut shared, 0, 1, Some(8 * width as u32)).unwrap();
                queue.issue_tile(target(1024), &map.to_bytes().unwrap(), 2, [x, y, 0, 0, 0], 4096).unwrap();
                assert!(shared[1024..].iter().all(|&b| b == 0xff) && !mbarrier::test_parity(&shared, 0, 0).unwrap());
                queue.take(0).unwrap().land(&mut shared, &memory).unwrap();
                assert!(mbarrier::test_parity(&shared, 0, 0).unwrap(), "the full box completes, edges too");
                for r in 0..8i64 {
                    for c in 0..width {
                        let (gx, gy) = (i64::from(x) + c, i64::from(y) + r);
                        let inside = (0..200).contains(&gx) && (0..10).contains(&gy);
                        let expected = if inside { memory.bytes[(gy * 208 + gx) as usize] } else { 0 };
                        let at = 1024 + r * width + c;
                        // In 128-byte lines: chunk number XOR the low bits of the line number.
                        let (line, chunk) = (at / 128, at / 16 % 8);
                        let mask = match swizzle {
                            Swizzle::None => 0,
                            Swizzle::B32 => 1,
                            Swizzle::B64 => 3,
                            Swizzle::B128 => 7,
                        };
                        let at = line * 128 + (chunk ^ (line & mask)) * 16 + at % 16;
                        assert_eq!(shared[at as usize], expected, "{swizzle:?} ({x}, {y}) row {r} byte {c}");
                    }
                }
                assert!(shared[1024 + 8 * width as usize..].iter().all(|&b| b == 0xff));
            }
        }
    }

    #[test]
    fn three_dimensions_of_floats_with_nan_fill() {
        let memory = memory(4 * 160);
        // 5 × 2 × 4 f32, rows of 32 bytes, planes of 160.
        let map = TensorMap {
            dtype: TensorMapDtype::F32,
            rank: 3,
            address: 0x1_0000,
            dims: [5, 2, 4, 1, 1],
            strides: [0, 32, 160, 0, 0],
            box_: [4, 3, 2, 1, 1],
            element_strides: [1; 5],
            swizzle: Swizzle::None,
            fill: Fill::Nan,
        };
        let (mut shared, mut queue) = (vec![0u8; 1024], BulkQueue::default());
        mbarrier::init(&mut shared, 0, 1).unwrap();
        queue.issue_tile(target(128), &map.to_bytes().unwrap(), 3, [4, 0, 3, 0, 0], 1024).unwrap();
        // Two lines of 1 element are inside, 4 bytes from byte 16 of their 32-byte rows.
        assert_eq!(queue.last().unwrap().traffic(), (2, 2 * 4, 4 * 3 * 2 * 4));
        queue.take(0).unwrap().land(&mut shared, &memory).unwrap();
        for (z, y, x) in (0..24).map(|i| (i / 12, i / 4 % 3, i % 4)) {
            let at = 128 + 4 * (12 * z + 4 * y + x);
            let (gz, gy, gx) = (3 + z, y, 4 + x);
            let expected = if gz < 4 && gy < 2 && gx < 5 {
                let from = 160 * gz + 32 * gy + 4 * gx;
                [memory.bytes[from], memory.bytes[from + 1], memory.bytes[from + 2], memory.bytes[from + 3]]
            } else {
                0x7ff7_7ff7u32.to_le_bytes()
            };
            assert_eq!(shared[at..at + 4], expected, "{z} {y} {x}");
        }
    }

    #[test]
    fn plain_copies() {
        let (memory, mut shared, mut queue) = (memory(64), vec![0u8; 64], BulkQueue::default());
        mbarrier::init(&mut shared, 0, 1).unwrap();
        mbarrier::arrive(&mut shared, 0, 1, Some(32)).unwrap();
        queue.issue_plain(target(16), 0x1_0010, 32, 64, &memory).unwrap();
        queue.take(0).unwrap().land(&mut shared, &memory).unwrap();
        assert_eq!(shared[16..48], memory.bytes[16..48]);
        assert!(mbarrier::test_parity(&shared, 0, 0).unwrap());
        assert!(queue.issue_plain(target(16), 0x1_0010, 24, 64, &memory).is_err());
        assert!(queue.issue_plain(target(16), 0x1_0008, 16, 64, &memory).is_err());
        assert!(queue.issue_plain(target(48), 0x1_0000, 32, 64, &memory).is_err());
        assert!(queue.issue_plain(target(16), 0x1_0030, 32, 64, &memory).is_err());
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn bad_tiles_are_refused() {
        let mut queue = BulkQueue::default();
        let map = example();
        let bytes = map.to_bytes().unwrap();
        assert!(queue.issue_tile(target(64), &bytes, 2, [0; 5], 4096).is_err(), "misaligned destination");
        assert!(queue.issue_tile(target(3200), &bytes, 2, [0; 5], 4096).is_err(), "past the end");
        assert!(queue.issue_tile(target(1024), &bytes, 3, [0; 5], 4096).is_err(), "rank");
        for column in [1, 8, -4, 24, i32::MAX] {
            let refused = queue.issue_tile(target(1024), &bytes, 2, [column, 0, 0, 0, 0], 4096).unwrap_err();
            assert!(refused.what.contains(&format!("element {column}")), "{refused:?}");
        }
        assert!(queue.issue_tile(target(1024), &[7; 128], 2, [0; 5], 4096).is_err(), "not a map");
        assert!(queue.issue_tile(BulkTarget { mbar: 4, ..target(1024) }, &bytes, 2, [0; 5], 4096).is_err(), "mbarrier");
        // A tensor that is larger than its allocation shows when the copy lands.
        queue.issue_tile(target(1024), &bytes, 2, [0; 5], 4096).unwrap();
        let mut shared = vec![0; 4096];
        let problem = queue.take(0).unwrap().land(&mut shared, &memory(1000)).unwrap_err();
        assert_eq!(problem.space, Space::Global);
    }
}

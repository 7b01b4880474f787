//! One tile shape of a product: what fits, what it covers, what it costs.

use std::ops::Range;

use super::{DeviceFacts, GRID_X_MAX, Geometry, Model};
use crate::manifest::{Entry, Field, ROWS, Row};

/// Most slices that K is cut into.
pub const MAX_SPLIT: u32 = 32;

/// Alignment in bytes of the scratch buffer, and of the tickets inside it.
pub const SCRATCH_ALIGN: usize = 256;

/// Elements of the largest group of K.
const GROUP: u32 = 128;

/// Cycles that a split costs beside its traffic: clearing the tickets and waiting for the last slice.
const SPLIT_OVERHEAD: u64 = 4000;

/// What one multiprocessor does in a cycle.
#[derive(Clone, Copy)]
pub(in crate::plan) struct Rates {
    /// Multiply-accumulates of the element.
    pub macs: u32,
    /// Bytes of one element.
    pub element: u32,
    /// Bytes that come from L2, or go there.
    pub l2: u32,
}

/// What the cost of a plan depends on.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Work {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: usize,
    /// Bytes of the operands and the output, each counted once.
    pub bytes: u64,
    /// Bytes of one element of the output.
    pub out: u32,
}

/// A problem cut into tiles and slices of K.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::plan) struct Cut {
    pub geometry: Geometry,
    pub split_k: u32,
    /// Elements of K in a slice.
    pub k_slice: u32,
    /// Tiles, of all matrices of a batch.
    pub tiles: u64,
    /// Bytes of the sums of one tile.
    pub tile_bytes: u32,
}

impl Cut {
    /// Bytes of the scratch that hold the partial sums.
    pub const fn partials(&self) -> Range<usize> {
        if self.split_k < 2 {
            return 0..0;
        }
        0..self.tiles as usize * self.split_k as usize * self.tile_bytes as usize
    }

    /// Bytes of the scratch that hold one u32 ticket a tile.
    pub const fn tickets(&self) -> Range<usize> {
        if self.split_k < 2 {
            return 0..0;
        }
        let start = self.partials().end.next_multiple_of(SCRATCH_ALIGN);
        start..start + self.tiles as usize * 4
    }

    /// Bytes of both, which an address space may be too small for.
    fn scratch(&self) -> u128 {
        match self.split_k {
            0 | 1 => 0,
            split => scratch(u128::from(self.tiles) * u128::from(split), self.tiles.into(), self.tile_bytes),
        }
    }
}

/// Bytes of the sums of so many blocks, and of a ticket for each of their tiles behind them.
pub(in crate::plan) fn scratch(blocks: u128, tiles: u128, tile_bytes: u32) -> u128 {
    (blocks * u128::from(tile_bytes)).next_multiple_of(SCRATCH_ALIGN as u128) + 4 * tiles
}

/// The constants of a manifest row, and what follows from them and the rates of an architecture.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Tile {
    pub entry: Entry,
    row: &'static Row,
    m: u32,
    n: u32,
    k: u32,
    stages: u32,
    /// Steps along K that a slice is a multiple of.
    unit: u32,
    /// Operands come as tensor maps: K is not split, and not empty.
    tensor_maps: bool,
    /// Cycles of the multiplications of one step along K.
    math: u32,
    /// Cycles to bring the operands of one step from L2.
    load: u32,
    /// Cycles to move the s32 sums of the tile to or from L2.
    sums: u32,
}

impl Tile {
    /// Reads the row when the crate is compiled; a row without these constants does not compile.
    pub const fn new(entry: Entry, rates: Rates) -> Tile {
        let row = row(entry);
        let (m, n, k) = (constant(row, "TILE_M"), constant(row, "TILE_N"), constant(row, "TILE_K"));
        Tile {
            entry,
            row,
            m,
            n,
            k,
            stages: constant(row, "STAGES"),
            unit: 1,
            tensor_maps: uses_tensor_maps(row),
            math: m * n * k / rates.macs,
            load: (m + n) * k * rates.element / rates.l2,
            sums: m * n * 4 / rates.l2,
        }
    }

    /// The same of a kernel that sums by groups of K. Each group's sum is multiplied and added at 128 lanes a cycle,
    /// and a slice is whole groups.
    pub const fn grouped(entry: Entry, rates: Rates) -> Tile {
        let tile = Tile::new(entry, rates);
        Tile { unit: GROUP / tile.k, math: tile.math + 2 * tile.m * tile.n * tile.k / (128 * GROUP), ..tile }
    }

    /// Blocks that fit on one multiprocessor at once.
    pub fn resident(&self, facts: &DeviceFacts) -> u32 {
        facts.resident_blocks(self.row, self.row.shared_bytes)
    }

    /// Tiles that cover one output. M and N fit an i32.
    pub fn count(&self, m: usize, n: usize) -> u64 {
        u64::from((m as u32).div_ceil(self.m)) * u64::from((n as u32).div_ceil(self.n))
    }

    /// Elements of K in one step.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// Bytes of the sums of one tile.
    pub fn sum_bytes(&self) -> u32 {
        self.m * self.n * 4
    }

    /// Most slices that K may be cut into.
    pub fn max_split(&self, k: usize) -> u32 {
        if self.tensor_maps { 1 } else { (k as u32).div_ceil(self.k * self.unit).clamp(1, MAX_SPLIT) }
    }

    /// The problem with K in at most `split` slices of whole tiles, if that is legal.
    pub fn cut(&self, work: &Work, facts: &DeviceFacts, split: u32) -> Option<Cut> {
        let steps = (work.k as u32).div_ceil(self.k).max(1);
        self.cut_at(work, facts, steps.div_ceil(split))
    }

    /// The same with slices of at least so many whole tiles.
    pub fn cut_at(&self, work: &Work, facts: &DeviceFacts, steps_a_slice: u32) -> Option<Cut> {
        // A tensor map has no empty dimension (CUDA driver API, cuTensorMapEncodeTiled).
        if self.tensor_maps && work.k == 0 {
            return None;
        }
        let steps = (work.k as u32).div_ceil(self.k).max(1);
        let steps_a_slice = steps_a_slice.next_multiple_of(self.unit);
        let split_k = steps.div_ceil(steps_a_slice);
        let tiles = self.count(work.m, work.n).checked_mul(work.batch as u64)?;
        let blocks = tiles.checked_mul(split_k.into()).filter(|&b| b <= GRID_X_MAX)?;
        // A kernel fed by tensor maps walks the tiles with as many blocks as are resident at once.
        let resident = u64::from(facts.sm_count) * u64::from(self.resident(facts));
        let grid = if self.tensor_maps { blocks.min(resident.max(1)) } else { blocks };
        let cut = Cut {
            geometry: Geometry {
                entry: self.entry,
                grid: [grid as u32, 1, 1],
                cluster: [1; 3],
                shared_bytes: self.row.shared_bytes,
            },
            split_k,
            k_slice: steps_a_slice * self.k,
            tiles,
            tile_bytes: self.sum_bytes(),
        };
        // So that the sizes of the scratch cannot overflow.
        isize::try_from(cut.scratch()).ok()?;
        Some(cut)
    }

    /// Estimated cycles of a problem cut so: the slower of what the multiprocessors need and what the device
    /// memory needs, and what a split costs on top. Saturates: few multiprocessors may have 2^31 blocks of 2^25 steps.
    pub fn cost(&self, work: &Work, cut: &Cut, facts: &DeviceFacts, resident: u32, model: &Model) -> u64 {
        let split = cut.split_k;
        let sms = facts.sm_count.max(1);
        let rounds = (cut.tiles * u64::from(split)).div_ceil(u64::from(sms)) as u32;
        // A step waits for its bytes: at L2's rate, or for a full latency shared by all stages in flight.
        let in_flight = rounds.min(resident) * (self.stages - 1).max(1);
        let load = self.load.max(model.latency / in_flight.max(1));
        let steps = cut.k_slice / self.k;
        let store = self.sums * work.out / 4;
        let block = u64::from(steps) * u64::from(self.math.max(load)) + u64::from(store);
        let fill = u64::from(rounds.div_ceil(resident.max(1))) * u64::from(2 * model.latency);
        let compute = u64::from(rounds).saturating_mul(block).saturating_add(fill);

        let memory = work.bytes / (u64::from(model.dram_bytes_per_cycle) * u64::from(sms));

        // Every slice writes its partial sums; the last block of a tile reads all of them.
        let reduce = match split {
            1 => 0,
            _ => SPLIT_OVERHEAD + (u64::from(rounds) + u64::from(split)) * u64::from(self.sums),
        };
        // The slower of the two hides most of the other, not all of it.
        compute.max(memory).saturating_add(compute.min(memory) / 4).saturating_add(reduce)
    }
}

/// Blocks that K is cut for at most.
fn slots(facts: &DeviceFacts, resident: u32) -> u64 {
    u64::from(facts.sm_count) * u64::from(resident.max(2))
}

/// Of some tiles the one, and the cut, of least estimated cycles; None where no tile serves.
pub(in crate::plan) fn best(tiles: &[Tile], work: &Work, facts: &DeviceFacts, model: &Model) -> Option<(u64, Cut)> {
    let mut best: Option<(u64, Cut)> = None;
    for tile in tiles {
        let resident = tile.resident(facts);
        if resident == 0 {
            continue;
        }
        // Splitting K pays only while there are too few tiles to fill the device: into as many slices as put one
        // block, or as many as fit (or two by turns), on every multiprocessor.
        let count = tile.count(work.m, work.n).saturating_mul(work.batch as u64).max(1);
        let max = tile.max_split(work.k);
        let fill = |blocks: u64| if count >= blocks { 1 } else { (blocks / count).min(max.into()) as u32 };
        let one = fill(facts.sm_count.into());
        let all = fill(slots(facts, resident));
        let mut before = 0;
        for split in [1, one, all] {
            if split <= before {
                continue;
            }
            before = split;
            let Some(cut) = tile.cut(work, facts, split) else { continue };
            let cost = tile.cost(work, &cut, facts, resident, model);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, cut));
            }
        }
    }
    best
}

/// Scratch bytes that cover what [`best`] makes of every problem of at most these dimensions.
pub(in crate::plan) fn scratch_bound(tiles: &[Tile], max: &Work, facts: &DeviceFacts) -> u128 {
    let bound = tiles.iter().filter(|tile| tile.resident(facts) > 0).map(|tile| {
        // Only so many slices that split * tiles <= slots.
        let splits = u128::from(tile.max_split(max.k));
        let count = u128::from(tile.count(max.m, max.n)) * max.batch as u128;
        if splits < 2 || count == 0 {
            return 0;
        }
        let slots = u128::from(slots(facts, tile.resident(facts)));
        scratch((splits * count).min(slots), count.min(slots / 2), tile.sum_bytes())
    });
    bound.max().unwrap_or(0)
}

/// True when the kernel of this row takes its operands as tensor maps.
pub(in crate::plan) const fn uses_tensor_maps(row: &Row) -> bool {
    // Tensor maps stand first in a parameter block.
    matches!(row.params.fields, [(_, Field::TensorMap, _), ..])
}

const fn row(entry: Entry) -> &'static Row {
    let mut rows: &'static [Row] = ROWS;
    while let [row, rest @ ..] = rows {
        if row.entry as u32 == entry as u32 {
            return row;
        }
        rows = rest;
    }
    panic!("every entry has a row")
}

const fn constant(row: &Row, name: &str) -> u32 {
    let mut constants = row.constants;
    while let [(known, value), rest @ ..] = constants {
        if equal(known.as_bytes(), name.as_bytes()) {
            return *value;
        }
        constants = rest;
    }
    panic!("a row of a product names its tile")
}

const fn equal(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16x64x128 in 4 stages, at 2048 multiply-accumulates and 40 bytes of L2 a cycle: a step is 64 cycles of products
    /// and 256 of loads, 102 bring the sums to L2 or back. One row of 1024 columns is 16 tiles, a depth of 8192 is 64
    /// steps. 16 bytes of the device memory a cycle and multiprocessor.
    #[test]
    fn costs_worked_out_by_hand() {
        let tile = Tile::new(Entry::GemmS8Mma16x64x128, Rates { macs: 2048, element: 1, l2: 40 });
        let model = Model { gemm_s8: &[], gemm: &[], dram_bytes_per_cycle: 16, latency: 900 };
        let facts = DeviceFacts {
            capability: 80,
            sm_count: 40,
            shared_per_block: 163 << 10,
            shared_per_sm: 164 << 10,
            registers_per_sm: 65_536,
            threads_per_sm: 2048,
            l2_bytes: 40 << 20,
        };
        let bytes = (1 + 1024) * 8192 + 2 * 1024;
        let work = Work { m: 1, n: 1024, k: 8192, batch: 1, bytes, out: 2 };
        // (1 + 1024) * 8192 bytes read and 2 * 1024 written, by 40 multiprocessors: 8398848 / 640 = 13123 cycles.
        for (split, cost) in [
            // One round of 16 blocks. A load waits 900 / 3 = 300 cycles. 64 * 300 + 102 * 2 / 4 = 19251, and 1800 to
            // fill the pipeline: 21051, more than the memory's, of which a quarter is added.
            (1, 21_051 + 3280),
            // One round of 32. 32 * 300 + 51 + 1800 = 11451, less than the memory's 13123. The split: 4000 + (1 + 2) *
            // 102.
            (2, 13_123 + 2862 + 4306),
            // Two rounds of 64 in all, one behind the other's loads: 900 / 6 = 150 is less than the 256 of L2.
            // 2 * (16 * 256 + 51) + 1800 = 10094. The split: 4000 + (2 + 4) * 102.
            (4, 13_123 + 2523 + 4612),
            // Four rounds of 128 in all. 4 * (8 * 256 + 51) + 1800 = 10196. The split: 4000 + (4 + 8) * 102.
            (8, 13_123 + 2549 + 5224),
        ] {
            let cut = tile.cut(&work, &facts, split).unwrap();
            assert_eq!((cut.split_k, cut.tiles), (split, 16));
            assert_eq!(tile.cost(&work, &cut, &facts, 4, &model), cost, "{split} slices");
        }
    }

    #[test]
    fn names_are_equal_as_a_whole() {
        assert!(equal(b"TILE_M", b"TILE_M") && equal(b"", b""));
        for (a, b) in [("TILE_M", "TILE_N"), ("TILE", "TILE_M"), ("", "T"), ("xTILE", "TILE")] {
            assert!(!equal(a.as_bytes(), b.as_bytes()) && !equal(b.as_bytes(), a.as_bytes()), "{a} {b}");
        }
    }

    /// Sums of 16x64x4 = 4096 bytes. 164 KiB hold four blocks of 40 KiB and the driver's one, so four multiprocessors
    /// have 16 slots, which no more than 8 tiles that are split can share.
    #[test]
    fn scratch_worked_out_by_hand() {
        assert_eq!(scratch(3, 5, 4), 256 + 20, "tickets start at a multiple of 256");
        let tile = Tile::new(Entry::GemmS8Mma16x64x128, Rates { macs: 2048, element: 1, l2: 40 });
        let facts = DeviceFacts {
            capability: 80,
            sm_count: 4,
            shared_per_block: 163 << 10,
            shared_per_sm: 164 << 10,
            registers_per_sm: 65_536,
            threads_per_sm: 2048,
            l2_bytes: 40 << 20,
        };
        let work = |m, n, k, batch| Work { m, n, k, batch, bytes: 0, out: 2 };
        for (split, bytes) in [(1, 0), (2, 2 * 5 * 4096 + 20), (3, 3 * 5 * 4096 + 20)] {
            let cut = tile.cut(&work(1, 320, 384, 1), &facts, split).unwrap();
            assert_eq!((cut.scratch(), cut.tickets().end as u128), (bytes, bytes), "{split} slices");
        }
        for (max, bytes) in [
            (work(1, 320, 128, 1), 0),
            (work(1, 320, 256, 1), 10 * 4096 + 20),
            (work(16, 64, 256, 3), 6 * 4096 + 12),
            (work(17, 64, 256, 2), 8 * 4096 + 16),
            (work(1, 768, 256, 1), 16 * 4096 + 32),
            (work(0, 320, 256, 1), 0),
        ] {
            assert_eq!(scratch_bound(std::slice::from_ref(&tile), &max, &facts), bytes, "{} {}", max.m, max.n);
        }
        let small = DeviceFacts { shared_per_block: 40_959, ..facts };
        assert_eq!(scratch_bound(&[tile], &work(1, 320, 256, 1), &small), 0, "no block of this tile fits");
    }

    /// A step of 64x64x64 is 128 cycles of products at 2048 a cycle, half a group of 128. Two operations for each of
    /// the 4096 sums of a group are 64 cycles at 128 lanes, so 32 for a step.
    #[test]
    fn a_tile_of_groups_worked_out_by_hand() {
        let rates = Rates { macs: 2048, element: 1, l2: 40 };
        let plain = Tile::new(Entry::GemmS8MmaGroups64x64x64, rates);
        let grouped = Tile::grouped(Entry::GemmS8MmaGroups64x64x64, rates);
        assert_eq!((plain.unit, plain.math, grouped.unit, grouped.math), (1, 128, 2, 128 + 32));
        assert_eq!([128, 129, 1024, 1 << 20].map(|k| grouped.max_split(k)), [1, 2, 8, 32]);
        assert_eq!([64, 65, 1024].map(|k| plain.max_split(k)), [1, 2, 16]);
    }
}

//! One tile shape of the int8 product: what fits, what it covers, what it costs.

use super::{GemmS8Plan, GemmS8Problem, MAX_SPLIT, SCRATCH_ALIGN};
use crate::manifest::{Entry, Field, ROWS, Row};
use crate::plan::{DeviceFacts, GRID_X_MAX, Geometry, Model};

/// Cycles that a split costs beside its traffic: clearing the tickets and waiting for the last slice.
const SPLIT_OVERHEAD: u64 = 4000;

/// What one multiprocessor does in a cycle.
#[derive(Clone, Copy)]
pub(in crate::plan) struct Rates {
    /// Multiply-accumulates of int8.
    pub s8: u32,
    /// Bytes that come from L2, or go there.
    pub l2: u32,
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
            tensor_maps: uses_tensor_maps(row),
            math: m * n * k / rates.s8,
            load: (m + n) * k / rates.l2,
            sums: m * n * 4 / rates.l2,
        }
    }

    /// Blocks that fit on one multiprocessor at once.
    pub fn resident(&self, facts: &DeviceFacts) -> u32 {
        facts.resident_blocks(self.row, self.row.shared_bytes)
    }

    /// Tiles that cover the output. M and N fit an i32.
    pub fn count(&self, p: &GemmS8Problem) -> u64 {
        u64::from((p.m as u32).div_ceil(self.m)) * u64::from((p.n as u32).div_ceil(self.n))
    }

    /// Bytes of the s32 sums of one tile.
    pub fn sum_bytes(&self) -> u32 {
        self.m * self.n * 4
    }

    /// Most slices that K may be cut into.
    pub fn max_split(&self, k: usize) -> u32 {
        if self.tensor_maps { 1 } else { (k as u32).div_ceil(self.k).clamp(1, MAX_SPLIT) }
    }

    /// The plan with K in at most `split` slices of whole tiles, if it is legal.
    pub fn plan(&self, p: &GemmS8Problem, facts: &DeviceFacts, split: u32) -> Option<GemmS8Plan> {
        // A tensor map has no empty dimension (CUDA driver API, cuTensorMapEncodeTiled).
        if self.tensor_maps && p.k == 0 {
            return None;
        }
        let steps = (p.k as u32).div_ceil(self.k).max(1);
        let steps_a_slice = steps.div_ceil(split);
        let split_k = steps.div_ceil(steps_a_slice);
        let tiles = self.count(p);
        let blocks = tiles.checked_mul(split_k.into()).filter(|&b| b <= GRID_X_MAX)?;
        // A kernel fed by tensor maps walks the tiles with as many blocks as are resident at once.
        let resident = u64::from(facts.sm_count) * u64::from(self.resident(facts));
        let grid = if self.tensor_maps { blocks.min(resident.max(1)) } else { blocks };
        if split_k > 1 {
            // So that the sizes of the scratch cannot overflow.
            let partials = u128::from(blocks) * u128::from(self.sum_bytes());
            isize::try_from(partials + SCRATCH_ALIGN as u128 + 4 * u128::from(tiles)).ok()?;
        }
        Some(GemmS8Plan {
            problem: *p,
            facts: *facts,
            geometry: Some(Geometry {
                entry: self.entry,
                grid: [grid as u32, 1, 1],
                cluster: [1; 3],
                shared_bytes: self.row.shared_bytes,
            }),
            split_k,
            k_slice: steps_a_slice * self.k,
            tiles,
            tile_bytes: self.sum_bytes(),
        })
    }

    /// Estimated cycles of a plan of this tile: the slower of what the multiprocessors need and what the device
    /// memory needs, and what a split costs on top. A grid has at most 2^31 blocks and K at most 2^12 steps, so
    /// that nothing here overflows.
    pub fn cost(&self, plan: &GemmS8Plan, resident: u32, model: &Model) -> u64 {
        let (p, split) = (&plan.problem, plan.split_k);
        let sms = plan.facts.sm_count.max(1);
        let rounds = (plan.tiles * u64::from(split)).div_ceil(u64::from(sms)) as u32;
        // A step waits for its bytes: at L2's rate, or for a full latency shared by all stages in flight.
        let in_flight = rounds.min(resident) * (self.stages - 1).max(1);
        let load = self.load.max(model.latency / in_flight.max(1));
        let steps = plan.k_slice / self.k;
        let store = self.sums * p.out.size() as u32 / 4;
        let block = u64::from(steps) * u64::from(self.math.max(load)) + u64::from(store);
        let fill = u64::from(rounds.div_ceil(resident.max(1))) * u64::from(2 * model.latency);
        let compute = u64::from(rounds) * block + fill;

        let bytes = (p.m as u64 + p.n as u64) * p.k as u64 + p.m as u64 * p.n as u64 * p.out.size() as u64;
        let memory = bytes / (u64::from(model.dram_bytes_per_cycle) * u64::from(sms));

        // Every slice writes its partial sums; the last block of a tile reads all of them.
        let reduce = match split {
            1 => 0,
            _ => SPLIT_OVERHEAD + (u64::from(rounds) + u64::from(split)) * u64::from(self.sums),
        };
        // The slower of the two hides most of the other, not all of it.
        compute.max(memory) + compute.min(memory) / 4 + reduce
    }
}

/// True when the kernel of this row takes its operands as tensor maps.
pub(super) const fn uses_tensor_maps(row: &Row) -> bool {
    // Tensor maps stand first in a parameter block.
    matches!(row.params.fields, [(_, Field::TensorMap, _), ..])
}

const fn row(entry: Entry) -> &'static Row {
    let mut i = 0;
    while i < ROWS.len() {
        if ROWS[i].entry as u32 == entry as u32 {
            return &ROWS[i];
        }
        i += 1;
    }
    panic!("every entry has a row")
}

const fn constant(row: &Row, name: &str) -> u32 {
    let mut i = 0;
    while i < row.constants.len() {
        if equal(row.constants[i].0.as_bytes(), name.as_bytes()) {
            return row.constants[i].1;
        }
        i += 1;
    }
    panic!("a row of the int8 product names its tile")
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::gemm_s8::Output;

    /// 16x64x128 in 4 stages, at 2048 multiply-accumulates and 40 bytes of L2 a cycle: a step is 64 cycles of products
    /// and 256 of loads, 102 bring the sums to L2 or back. One row of 1024 columns is 16 tiles, a depth of 8192 is 64
    /// steps. 16 bytes of the device memory a cycle and multiprocessor.
    #[test]
    fn costs_worked_out_by_hand() {
        let tile = Tile::new(Entry::GemmS8Mma16x64x128, Rates { s8: 2048, l2: 40 });
        let model = Model { gemm_s8: &[], dram_bytes_per_cycle: 16, latency: 900 };
        let facts = DeviceFacts {
            capability: 80,
            sm_count: 40,
            shared_per_block: 163 << 10,
            shared_per_sm: 164 << 10,
            registers_per_sm: 65_536,
            threads_per_sm: 2048,
            l2_bytes: 40 << 20,
        };
        let problem = GemmS8Problem { m: 1, n: 1024, k: 8192, out: Output::F16 };
        // (1 + 1024) * 8192 bytes read and 2 * 1024 written, by 40 multiprocessors: 8398848 / 640 = 13123 cycles.
        for (split, cost) in [
            // One round of 16 blocks. A load waits 900 / 3 = 300 cycles. 64 * 300 + 102 * 2 / 4 = 19251, and 1800 to fill
            // the pipeline: 21051, more than the memory's, of which a quarter is added.
            (1, 21_051 + 3280),
            // One round of 32. 32 * 300 + 51 + 1800 = 11451, less than the memory's 13123. The split: 4000 + (1 + 2) * 102.
            (2, 13_123 + 2862 + 4306),
            // Two rounds of 64 in all, one behind the other's loads: 900 / 6 = 150 is less than the 256 of L2.
            // 2 * (16 * 256 + 51) + 1800 = 10094. The split: 4000 + (2 + 4) * 102.
            (4, 13_123 + 2523 + 4612),
            // Four rounds of 128 in all. 4 * (8 * 256 + 51) + 1800 = 10196. The split: 4000 + (4 + 8) * 102.
            (8, 13_123 + 2549 + 5224),
        ] {
            let plan = tile.plan(&problem, &facts, split).unwrap();
            assert_eq!((plan.split_k, plan.tiles), (split, 16));
            assert_eq!(tile.cost(&plan, 4, &model), cost, "{split} slices");
        }
    }
}

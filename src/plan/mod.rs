//! How much at a time: (problem, device facts) → tile, stages, split, grid, shared memory, scratch.
//!
//! Plans are pure values: no device, no memory, no symbols. They print, they compare, and equal inputs give
//! equal plans. Making one allocates nothing, so that a runtime may plan on every call.
//!
//! One file per architecture (`sm80`, `sm89`, `sm90`, `sm100`) holds what differs between machines: the kernels to
//! choose from and the rates of a simple cost model. One file per operation holds its problem, its plan
//! and the rules that every plan keeps.

pub mod attention;
pub mod attention_int8;
pub mod attention_quantize;
pub mod column_sums;
pub mod gemm;
pub mod gemm_s8;
pub mod linear;
pub mod merge;
mod mma;
pub mod probe;
pub mod quantize;
pub mod quantize_rows;
mod sm100;
mod sm80;
mod sm89;
mod sm90;
mod tile;
pub mod transpose_bytes;
pub mod tuning;

use crate::manifest::{Entry, Row};
use crate::{Error, Result};

/// What a plan may know of a device. Facts, never a GPU's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceFacts {
    /// Compute capability times ten: 80, 86, 89, 90, 100, 120.
    pub capability: u32,
    /// Multiprocessors.
    pub sm_count: u32,
    /// Most shared memory a block may ask for, in bytes (opt-in limit).
    pub shared_per_block: u32,
    /// Shared memory of a multiprocessor, in bytes.
    pub shared_per_sm: u32,
    /// 32-bit registers of a multiprocessor.
    pub registers_per_sm: u32,
    /// Most resident threads of a multiprocessor.
    pub threads_per_sm: u32,
    /// Bytes of L2 cache.
    pub l2_bytes: u32,
}

/// The geometry of one kernel launch: a launch without its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Which kernel.
    pub entry: Entry,
    /// Blocks.
    pub grid: [u32; 3],
    /// Blocks a cluster; 1 in each dimension when there are none.
    pub cluster: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub shared_bytes: u32,
}

/// Shared memory that the driver keeps for itself in every block (compute capability 8.0 and later), in bytes.
pub const SHARED_RESERVED_PER_BLOCK: u32 = 1024;

/// Most blocks along x (CUDA C++ Programming Guide, technical specifications).
pub const GRID_X_MAX: u64 = i32::MAX as u64;

/// What the cost model knows of an architecture: its kernels with their rates, and its memory. Rates are rough on
/// purpose; they rank plans and predict no times.
#[derive(Debug)]
struct Model {
    /// The tiles of the int8 product, in the order of preference between equals.
    gemm_s8: &'static [tile::Tile],
    /// The tiles of every pair of operands by `mma`, in the order of preference between equals.
    gemm: &'static [gemm::Tiles],
    /// Bytes that the device memory gives each multiprocessor in a cycle, all of them reading.
    dram_bytes_per_cycle: u32,
    /// Cycles from asking the device memory for a line to having it.
    latency: u32,
}

/// The model of a device, or an error that names the floor.
fn model(facts: &DeviceFacts) -> Result<&'static Model> {
    match facts.capability {
        0..80 => Err(Error::Unsupported(format!(
            "compute capability {}.{} is below 8.0, the least that a kernel of this crate is made for",
            facts.capability / 10,
            facts.capability % 10
        ))),
        89 | 120.. => Ok(&sm89::MODEL),
        90 => Ok(&sm90::MODEL),
        100..120 => Ok(&sm100::MODEL),
        _ => Ok(&sm80::MODEL),
    }
}

/// Rows and columns of a matrix are what kernels index.
fn dimensions(rows: usize, cols: usize) -> Result<()> {
    for (name, value) in [("rows", rows), ("columns", cols)] {
        if value > i32::MAX as usize {
            return Err(Error::Shape(format!(
                "{value} {name} exceed {}, the largest dimension that a kernel indexes",
                i32::MAX
            )));
        }
    }
    Ok(())
}

/// The launch of `blocks` blocks that take one piece of work after another, no more of them than the device holds at
/// once; `None` without work. `shared` is what they have statically.
fn all_resident(entry: Entry, blocks: u64, shared: u32, facts: &DeviceFacts) -> Result<Option<Geometry>> {
    model(facts)?;
    let resident = facts.resident_blocks(entry.row(), shared);
    if resident == 0 {
        return Err(Error::Unsupported(format!(
            "{} does not fit a device with {} registers and {} threads a multiprocessor",
            entry.row().symbol,
            facts.registers_per_sm,
            facts.threads_per_sm
        )));
    }
    let blocks = blocks.min(u64::from(facts.sm_count.max(1)) * u64::from(resident)).min(GRID_X_MAX);
    Ok((blocks > 0).then_some(Geometry { entry, grid: [blocks as u32, 1, 1], cluster: [1; 3], shared_bytes: 0 }))
}

impl DeviceFacts {
    /// Blocks of `row` that fit on one multiprocessor at once with `shared_bytes` of dynamic shared memory;
    /// 0 when the device cannot run a single one.
    pub fn resident_blocks(&self, row: &Row, shared_bytes: u32) -> u32 {
        if shared_bytes > self.shared_per_block {
            return 0;
        }
        // Registers are handed out in units of 256 a warp; every `max_registers` here is a multiple of 8,
        // so a warp takes exactly 32 times as many.
        let by_registers = self.registers_per_sm / (row.max_registers * row.threads).max(1);
        let by_threads = self.threads_per_sm / row.threads.max(1);
        let by_shared = self.shared_per_sm / shared_bytes.saturating_add(SHARED_RESERVED_PER_BLOCK);
        by_registers.min(by_threads).min(by_shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ROWS;

    #[test]
    fn resident_blocks_are_bounded_by_the_scarcest_resource() {
        let facts = DeviceFacts {
            capability: 80,
            sm_count: 108,
            shared_per_block: 166_912,
            shared_per_sm: 167_936,
            registers_per_sm: 65_536,
            threads_per_sm: 2048,
            l2_bytes: 40 << 20,
        };
        let row = Row { max_registers: 128, threads: 256, ..copy(&ROWS[0]) };
        assert_eq!(facts.resident_blocks(&row, 0), 2, "65536 / (128 * 256) registers");
        let row = Row { max_registers: 32, threads: 512, ..copy(&ROWS[0]) };
        assert_eq!(facts.resident_blocks(&row, 0), 4, "2048 / 512 threads");
        assert_eq!(facts.resident_blocks(&row, 81_920), 2, "167936 / (81920 + 1024) bytes");
        assert_eq!(facts.resident_blocks(&row, 82_944), 2, "exactly half");
        assert_eq!(facts.resident_blocks(&row, 82_945), 1);
        assert_eq!(facts.resident_blocks(&row, 166_912), 1);
        assert_eq!(facts.resident_blocks(&row, 166_913), 0, "beyond the opt-in limit");
    }

    fn copy(r: &Row) -> Row {
        Row { ..*r }
    }

    #[test]
    fn architectures_below_the_floor_are_named() {
        let facts = DeviceFacts {
            capability: 75,
            sm_count: 1,
            shared_per_block: 65_536,
            shared_per_sm: 65_536,
            registers_per_sm: 65_536,
            threads_per_sm: 1024,
            l2_bytes: 1 << 20,
        };
        let e = model(&facts).unwrap_err().to_string();
        assert!(e.contains("7.5") && e.contains("8.0"), "{e}");
    }
}

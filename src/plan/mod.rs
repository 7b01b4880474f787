//! How much at a time: (problem, device facts) → tile, stages, split, grid, shared memory, scratch.
//!
//! Plans are pure values: no device, no memory, no symbols. They print, they compare, and equal inputs give
//! equal plans.

use crate::manifest::Entry;

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

//! Ampere and everything that has no file of its own: warp-level `mma`, `cp.async`.

use super::Model;
use crate::manifest::Entry;

/// A100: 1024 dense int8 FMA a cycle and tensor core pair make 2048 a multiprocessor; 40 bytes a cycle
/// from L2; 1555 GB/s over 108 multiprocessors at 1.41 GHz is 10 bytes a cycle each.
pub const MODEL: Model = Model {
    gemm_s8: &[Entry::GemmS8Mma128x128x64, Entry::GemmS8Mma64x64x64, Entry::GemmS8Mma16x64x128],
    mma_s8_per_cycle: 2048,
    wgmma_s8_per_cycle: 0,
    l2_bytes_per_cycle: 40,
    dram_bytes_per_cycle: 10,
    latency: 800,
};

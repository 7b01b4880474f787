//! Hopper (compute capability exactly 9.0): `wgmma` fed by TMA, beside the `mma` kernels of sm_80.

use super::Model;
use crate::manifest::Entry;

/// H100: 4096 dense int8 FMA a cycle and multiprocessor through `wgmma`, of which `mma` reaches about
/// five eighths; 3350 GB/s over 132 multiprocessors at 1.75 GHz is 14 bytes a cycle each.
pub const MODEL: Model = Model {
    gemm_s8: &[
        Entry::GemmS8Wgmma128x128x128,
        Entry::GemmS8Mma128x128x64,
        Entry::GemmS8Mma64x64x64,
        Entry::GemmS8Mma16x64x128,
    ],
    mma_s8_per_cycle: 2560,
    wgmma_s8_per_cycle: 4096,
    l2_bytes_per_cycle: 48,
    dram_bytes_per_cycle: 14,
    latency: 900,
};

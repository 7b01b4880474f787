//! Hopper (compute capability exactly 9.0): `wgmma` fed by TMA, beside the `mma` kernels of sm_80.

use super::Model;
use super::gemm_s8::{Rates, Tile};
use crate::manifest::Entry;

/// H100: 4096 dense int8 multiply-accumulates a cycle; about 48 bytes a cycle from L2.
const WGMMA: Rates = Rates { s8: 4096, l2: 48 };

/// `mma` reaches about five eighths of that.
const MMA: Rates = Rates { s8: 2560, l2: 48 };

/// 3350 GB/s over 132 multiprocessors at 1.75 GHz is 14 bytes a cycle each.
pub(super) const MODEL: Model = Model {
    gemm_s8: &[
        Tile::new(Entry::GemmS8Wgmma128x128x128, WGMMA),
        Tile::new(Entry::GemmS8Mma128x128x64, MMA),
        Tile::new(Entry::GemmS8Mma64x64x64, MMA),
        Tile::new(Entry::GemmS8Mma16x64x128, MMA),
    ],
    dram_bytes_per_cycle: 14,
    latency: 900,
};

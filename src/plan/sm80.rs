//! Ampere and everything that has no file of its own: warp-level `mma`, `cp.async`.

use super::Model;
use super::gemm_s8::{Rates, Tile};
use crate::manifest::Entry;

/// A100: two dense int8 multiply-accumulates for each of bf16's 1024 a cycle; about 40 bytes a cycle from L2.
const MMA: Rates = Rates { s8: 2048, l2: 40 };

/// 1555 GB/s over 108 multiprocessors at 1.41 GHz is 10 bytes a cycle each.
pub(super) const MODEL: Model = Model {
    gemm_s8: &[
        Tile::new(Entry::GemmS8Mma128x128x64, MMA),
        Tile::new(Entry::GemmS8Mma64x64x64, MMA),
        Tile::new(Entry::GemmS8Mma16x64x128, MMA),
    ],
    dram_bytes_per_cycle: 10,
    latency: 800,
};

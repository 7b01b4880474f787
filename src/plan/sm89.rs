//! Ada, and the consumer cards after it: warp-level `mma`, of 8-bit floats too.

use super::Model;
use super::tile::{Rates, Tile};
use crate::manifest::Entry;

/// L40: 181 dense TFLOP/s of f16 with f32 sums over 142 multiprocessors at 2.49 GHz are 256 multiply-accumulates a cycle,
/// twice as many of 8-bit elements. What L2 gives is a guess.
const EIGHT: Rates = Rates { macs: 512, element: 1, l2: 32 };
const F16: Rates = Rates { macs: 256, element: 2, l2: 32 };

const S8_TILES: [Tile; 3] = [
    Tile::new(Entry::GemmS8Mma128x128x64, EIGHT),
    Tile::new(Entry::GemmS8Mma64x64x64, EIGHT),
    Tile::new(Entry::GemmS8Mma16x64x128, EIGHT),
];

/// 864 GB/s over 142 multiprocessors at 2.49 GHz are 2.4 bytes a cycle each.
pub(super) const MODEL: Model = Model {
    gemm_s8: &S8_TILES,
    gemm: &super::mma::pairs!(s8: EIGHT, f16: F16, fp8: EIGHT),
    dram_bytes_per_cycle: 2,
    latency: 800,
};

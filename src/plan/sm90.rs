//! Hopper (compute capability exactly 9.0): `wgmma` fed by TMA, beside the `mma` kernels of sm_80.

use super::Model;
use super::tile::{Rates, Tile};
use crate::manifest::Entry;

/// H100: 4096 dense int8 multiply-accumulates a cycle; about 48 bytes a cycle from L2.
const WGMMA: Rates = Rates { macs: 4096, element: 1, l2: 48 };

/// `mma` reaches about five eighths of that, and half as many of 16-bit floats. It makes 8-bit floats into those first.
const S8: Rates = Rates { macs: 2560, element: 1, l2: 48 };
const F16: Rates = Rates { macs: 1280, element: 2, l2: 48 };
const FP8: Rates = Rates { macs: 640, element: 1, l2: 48 };

/// 3350 GB/s over 132 multiprocessors at 1.75 GHz is 14 bytes a cycle each.
pub(super) const MODEL: Model = Model {
    gemm_s8: &[
        Tile::new(Entry::GemmS8Wgmma128x128x128, WGMMA),
        Tile::new(Entry::GemmS8Mma128x128x64, S8),
        Tile::new(Entry::GemmS8Mma64x64x64, S8),
        Tile::new(Entry::GemmS8Mma16x64x128, S8),
    ],
    gemm: &super::mma::pairs!(s8: S8, f16: F16, fp8: FP8),
    dram_bytes_per_cycle: 14,
    latency: 900,
};

//! Data-centre Blackwell (compute capability 10.x): warp-level `mma`, of 8-bit floats too.

use super::Model;
use super::gemm::Tiles;
use super::tile::Rates;

/// What `mma` reaches there, beside instructions of its own that no kernel here uses, is not known: Hopper's rates.
const S8: Rates = Rates { macs: 2560, element: 1, l2: 48 };
const F16: Rates = Rates { macs: 1280, element: 2, l2: 48 };
const FP8: Rates = Rates { macs: 2560, element: 1, l2: 48 };

/// int8 first.
const PAIRS: [Tiles; 18] = super::mma::pairs!(s8: S8, f16: F16, fp8: FP8);

/// B200: 8000 GB/s over 148 multiprocessors at 1.85 GHz are 29 bytes a cycle each.
pub(super) const MODEL: Model = Model { gemm_s8: PAIRS[0].tiles, gemm: &PAIRS, dram_bytes_per_cycle: 29, latency: 900 };

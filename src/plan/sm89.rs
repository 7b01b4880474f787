//! Ada, and the consumer cards after it: warp-level `mma`, of 8-bit floats too.

use super::Model;
use super::gemm::Tiles;
use super::tile::Rates;

/// L40: 181 dense TFLOP/s of f16 with f32 sums over 142 multiprocessors at 2.49 GHz are 256 multiply-accumulates a
/// cycle, twice as many of 8-bit elements. What L2 gives is a guess.
const EIGHT: Rates = Rates { macs: 512, element: 1, l2: 32 };
const F16: Rates = Rates { macs: 256, element: 2, l2: 32 };

/// int8 first.
const PAIRS: [Tiles; 18] = super::mma::pairs!(s8: EIGHT, f16: F16, fp8: EIGHT);

/// 864 GB/s over 142 multiprocessors at 2.49 GHz are 2.4 bytes a cycle each.
pub(super) const MODEL: Model = Model { gemm_s8: PAIRS[0].tiles, gemm: &PAIRS, dram_bytes_per_cycle: 2, latency: 800 };

//! Ampere and everything that has no file of its own: warp-level `mma`, `cp.async`.

use super::Model;
use super::gemm::Tiles;
use super::tile::Rates;

/// A100: 1024 dense multiply-accumulates of 16-bit floats a cycle, twice as many of int8; about 40 bytes a cycle from
/// L2.
const S8: Rates = Rates { macs: 2048, element: 1, l2: 40 };
const F16: Rates = Rates { macs: 1024, element: 2, l2: 40 };

/// int8 first.
const PAIRS: [Tiles; 10] = super::mma::pairs!(s8: S8, f16: F16);

/// 1555 GB/s over 108 multiprocessors at 1.41 GHz is 10 bytes a cycle each.
pub(super) const MODEL: Model = Model { gemm_s8: PAIRS[0].tiles, gemm: &PAIRS, dram_bytes_per_cycle: 10, latency: 800 };

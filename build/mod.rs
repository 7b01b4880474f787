//! How the PTX of the kernels gets into the crate. `build.rs` runs these; `tests/house/` tests them.
//!
//! Nothing but `std`, no network, no GPU. The parent module supplies `manifest` (`kernels/manifest.rs`).

use super::manifest;

pub mod choose;
pub mod compile;
pub mod embed;
pub mod fatbin;
pub mod hash;
pub mod normalize;
pub mod nvcc;
pub mod params;
pub mod prebuilt;
pub mod sources;
pub mod unit;

/// The command that rewrites `kernels/prebuilt/` and `kernels/params.cuh`; every error about them names it.
pub const REFRESH: &str = "HALFBYTE_KERNELS=source cargo run --release --example export_kernels";

/// The nvcc release whose PTX is tested. Others are used only with `HALFBYTE_ANY_NVCC=1`.
pub const PINNED: (u32, u32) = (13, 0);

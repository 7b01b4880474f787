//! halfbyte: CUDA kernels for quantized matrix products, and an emulator that runs the very same kernels anywhere.
//!
//! Five nouns, one road: [`mod@format`] ← [`layout`] ← [`plan`] ← [`device`] ← [`op`]; [`mod@reference`] sees only `format`.

#[forbid(unsafe_code)]
pub mod format;
#[forbid(unsafe_code)]
pub mod layout;
#[path = "../kernels/manifest.rs"]
#[forbid(unsafe_code)]
pub mod manifest;
#[forbid(unsafe_code)]
pub mod plan;
pub mod device;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
#[forbid(unsafe_code)]
pub mod kernels;
pub mod op;
#[forbid(unsafe_code)]
pub mod reference;

pub use error::{Error, Result};

#[cfg(feature = "cuda")]
pub use cudarc;

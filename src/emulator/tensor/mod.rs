//! Tensor-core instructions over whole-warp registers: `mma.sync`, `wgmma`, `ldmatrix`, `stmatrix` and `movmatrix`.
//!
//! Everything here works on plain data (registers, bytes of shared memory) and reports misuse as a
//! [`Problem`](super::copy::Problem); the interpreter adds the place in the program.

mod descriptor;
mod float;
mod int8;
#[cfg(target_arch = "x86_64")]
mod int8_avx2;
#[cfg(target_arch = "x86_64")]
mod int8_avx512;
mod ldmatrix;
mod mma;
mod sum;
mod wgmma;

pub(crate) use ldmatrix::{ldmatrix, stmatrix, transpose};
pub(crate) use mma::mma;
pub(crate) use wgmma::WgmmaQueue;

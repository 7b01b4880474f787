//! CUDA kernels for quantized matrix products, and an emulator that runs the very same kernels on any machine.
//!
//! A kernel is written once in CUDA C++ and compiled once, to PTX, which is embedded in this crate. A GPU runs machine
//! code made from that PTX; so does the [`emulator`], with every access checked against the exact size of its buffer.
//!
//! # A linear layer
#![cfg_attr(feature = "emulator", doc = "```")]
#![cfg_attr(not(feature = "emulator"), doc = "```ignore")]
//! use halfbyte::{device::Device, emulator::Arch, format::int8::Int8Matrix, op::Linear};
//!
//! # fn main() -> halfbyte::Result<()> {
//! let device = Device::emulator(Arch::Sm80);                  // or Device::cuda(0)?
//! let stream = device.stream()?;
//! let weights = Int8Matrix::quantize(&[1.0, -2.0, 0.5, 4.0, 0.0, 1.0], 2, 3)?; // [N, K] = [2, 3]
//! let linear = Linear::new(&stream, &weights, Some(&[10.0, 20.0]))?;
//! let y = linear.forward(&stream, &[1.0f32, 1.0, 1.0])?;      // [M, K] = [1, 3] to [M, N]
//! assert!((y[0] - 9.5).abs() < 0.05 && (y[1] - 25.0).abs() < 0.05);
//! # Ok(())
//! # }
//! ```
//!
//! [`op::Linear`] shows the other form too, for runtimes that plan ahead and bring their own memory.
//!
//! # Five nouns, one road
//!
//! [`mod@format`] ← [`layout`] ← [`plan`] ← [`device`] ← [`op`]; [`mod@reference`] sees only `format`.
//!
//! | room | knows |
//! |---|---|
//! | [`mod@format`] | what the bits mean: encode, decode, files |
//! | [`layout`] | where the bits go: padding, swizzles, (lane, register) → (row, column), proved |
//! | [`plan`] | how much at a time: (problem, device facts) → tile, split, grid, shared memory, scratch |
//! | [`device`] | buffers, streams, modules and checked launches, on CUDA or on the emulator |
//! | [`op`] | the public doors: check the arguments, plan, run |
//! | [`mod@reference`] | the truth, slow and plain, from the same packed bytes |
//!
//! [`manifest`] lists every kernel entry point; [`kernels`] holds their PTX.
//!
//! # Promises
//!
//! - int8 products are exact, so emulator, GPU and reference agree bit for bit, under every plan. (Sums by groups of K
//!   are f32 beyond a group: the same bits under plans that cut K alike.)
//! - A run on CUDA allocates nothing and waits for nothing (the emulator does the work there and then); errors name the
//!   values and the rule.
//! - No panic on any input through the safe API; without a driver there is an error, never a crash.

pub mod device;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
#[forbid(unsafe_code)]
pub mod format;
#[forbid(unsafe_code)]
pub mod kernels;
#[forbid(unsafe_code)]
pub mod layout;
#[path = "../kernels/manifest.rs"]
#[forbid(unsafe_code)]
pub mod manifest;
pub mod op;
#[forbid(unsafe_code)]
pub mod plan;
#[forbid(unsafe_code)]
pub mod reference;

pub use error::{Error, Result};

#[cfg(feature = "cuda")]
pub use cudarc;

/// The README's examples are compiled with the documentation's.
#[cfg(all(doctest, feature = "cuda", feature = "emulator"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! 8-bit codes with scales by tensor, row, group of columns or block: `value ≈ (code − zero) · scale`.
//!
//! | codes | scale | code |
//! |---|---|---|
//! | `i8` | `absmax / 127` | `clamp(rne(x / scale), ±127)` |
//! | [`F8E4M3`] | `absmax / 448` | the nearest of `x / scale`, ties to even |
//! | [`F8E5M2`] | `absmax / 57344` | the nearest of `x / scale`, ties to even |
//!
//! Every step is one f32 operation without flush to zero, as the kernels `quantize_rows` and `quantize_groups` do it. A
//! scale of 0 makes codes of 0. Codes that are imported may be anything, −128 too, and int8 ones may have zero points.
//!
//! [`smooth_factors`] balances channels between activations and weights, as SmoothQuant does (Xiao et al., 2022).

mod checkpoint;
mod matrix;
mod smooth;

pub use checkpoint::{ScaledWeight, load, names, save, to_bytes};
pub use matrix::{ScaledMatrix, Scaling};
pub use smooth::{channel_absmax, fold_into_weights, input_factors, smooth_factors};

use super::safetensors::Stored;
use super::{F8E4M3, F8E5M2, Float};

/// An 8-bit code: `i8`, [`F8E4M3`] or [`F8E5M2`].
pub trait Code: Stored + Copy {
    /// The code of the largest magnitude that shares a scale, as a number: 127, 448 or 57,344.
    const MOST: f32;
    /// The code of `value / scale`, for a scale above 0 and a finite value.
    fn encode(value: f32, scale: f32) -> Self;
    /// The number of the code itself, without its scale.
    fn number(self) -> f32;
}

impl Code for i8 {
    const MOST: f32 = 127.0;
    fn encode(value: f32, scale: f32) -> i8 {
        (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8
    }
    fn number(self) -> f32 {
        self.into()
    }
}

impl Code for F8E4M3 {
    const MOST: f32 = 448.0;
    fn encode(value: f32, scale: f32) -> F8E4M3 {
        Float::from_f32(value / scale)
    }
    fn number(self) -> f32 {
        Float::to_f32(self)
    }
}

impl Code for F8E5M2 {
    const MOST: f32 = 57344.0;
    fn encode(value: f32, scale: f32) -> F8E5M2 {
        Float::from_f32(value / scale)
    }
    fn number(self) -> f32 {
        Float::to_f32(self)
    }
}

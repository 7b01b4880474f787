//! Symmetric int8 with one f32 scale a row: `value ≈ code · scale`.
//!
//! The rule, in f32 with true division and no flush to zero:
//!
//! ```text
//! scale = absmax(row) / 127
//! code  = clamp(rne(x / scale), −127, 127)        rne: to the nearest integer, ties to even
//! ```
//!
//! - `scale = 0` (a row of zeros, or so small that `absmax / 127` rounds to 0) makes a row of zero codes.
//! - A row with a NaN or an infinity gets scale NaN and zero codes, so that everything made from it is NaN. For
//!   weights, [`Int8Matrix::quantize`] makes that an error instead.
//! - The quantizer never makes −128; imported codes may hold it.
//!
//! The kernel `quantize_rows` follows the same rule with the same roundings, and its codes and scales are these bit for
//! bit (of a NaN scale only that it is a NaN).

mod checkpoint;
mod matrix;

pub use checkpoint::{Int8Weight, load, names, save, to_bytes};
pub use matrix::{Codes, Int8Matrix, Int8View, ROW_ALIGN};
pub(super) use matrix::{element_count, host_vec};

use super::Float;
use crate::{Error, Result};

/// The greatest code that quantizing makes; the least is its negative.
pub const CODE_MAX: f32 = 127.0;

/// Quantizes one row: writes its codes and returns its scale.
///
/// `codes` may be longer than `x`, as a padded row is: what lies beyond `x.len()` is written as zero. A row with a NaN
/// or an infinity gives scale NaN and zero codes. The result is the same on every machine.
///
/// # Errors
/// [`Error::TooShort`] when `codes` is shorter than `x`.
pub fn quantize_row<T: Float>(x: &[T], codes: &mut [i8]) -> Result<f32> {
    if codes.len() < x.len() {
        return Err(Error::TooShort { what: "the row of codes", have: codes.len(), need: x.len(), unit: "elements" });
    }
    codes.fill(0);
    // As unsigned numbers, the bits of magnitudes are in the order of the magnitudes; infinity and then NaN come last.
    let magnitude = x.iter().fold(0, |largest, value| largest.max(value.to_f32().to_bits() & !(1 << 31)));
    let absmax = f32::from_bits(magnitude);
    if !absmax.is_finite() {
        return Ok(f32::NAN);
    }
    let scale = absmax / CODE_MAX;
    if scale == 0.0 {
        return Ok(0.0);
    }
    for (code, &value) in codes.iter_mut().zip(x) {
        // A subnormal scale may be rounded down so far that the quotient passes 127: the clamp is not idle.
        *code = round(value.to_f32() / scale).clamp(-CODE_MAX, CODE_MAX) as i8;
    }
    Ok(scale)
}

/// To the nearest integer, ties to even, for numbers below 2²²: there the spacing at 1.5 · 2²³ is 1, so the sum is
/// rounded to an integer. (Without SSE4.1, `round_ties_even` is a call for each number.)
fn round(x: f32) -> f32 {
    const INTEGERS: f32 = 1.5 * (1 << 23) as f32;
    (x + INTEGERS) - INTEGERS
}

/// The number that a code stands for: one f32 product, rounded once.
pub fn dequantize(code: i8, scale: f32) -> f32 {
    f32::from(code) * scale
}

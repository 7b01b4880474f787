//! SmoothQuant: channels that are large in the activations are made smaller there and larger in the weights.

use crate::format::Float;
use crate::{Error, Result};

/// The largest magnitude of each column of `values`, `[rows, cols]` contiguous; NaN where a column holds one.
///
/// # Errors
/// [`Error::Shape`] when the number of values is not `rows · cols`.
pub fn channel_absmax<T: Float>(values: &[T], rows: usize, cols: usize) -> Result<Vec<f32>> {
    check(values.len(), rows, cols)?;
    let mut most = vec![0f32; cols];
    for row in values.chunks_exact(cols.max(1)) {
        for (most, value) in most.iter_mut().zip(row) {
            let size = value.to_f32().abs();
            *most = if size.is_nan() || most.is_nan() { f32::NAN } else { most.max(size) };
        }
    }
    Ok(most)
}

/// What each channel k of a layer is divided by in its activations and multiplied by in its weights:
/// `s[k] = activation_absmax[k]^α / weight_absmax[k]^(1 − α)`, made in f64 and rounded to f32.
///
/// `α = 0.5` splits the difficulty evenly. A channel that is 0 in either, or whose quotient is no f32 above 0, has
/// `s = 1`.
///
/// # Errors
/// [`Error::Shape`] for channels of different numbers; [`Error::Value`] for α outside 0..=1 and for a largest magnitude
/// that is negative, NaN or infinite.
pub fn smooth_factors(activation_absmax: &[f32], weight_absmax: &[f32], alpha: f32) -> Result<Vec<f32>> {
    if activation_absmax.len() != weight_absmax.len() {
        return Err(Error::Shape(format!(
            "the activations have {} channels, but the weights have {}",
            activation_absmax.len(),
            weight_absmax.len()
        )));
    }
    if !(0.0..=1.0).contains(&alpha) {
        return Err(Error::Value(format!("α = {alpha} is not between 0 and 1")));
    }
    for (name, absmax) in [("activations", activation_absmax), ("weights", weight_absmax)] {
        if let Some(k) = absmax.iter().position(|a| !(a.is_finite() && *a >= 0.0)) {
            return Err(Error::Value(format!("the largest magnitude of channel {k} of the {name} is {}", absmax[k])));
        }
    }
    let alpha = f64::from(alpha);
    let factor = |(&a, &w): (&f32, &f32)| {
        if a == 0.0 || w == 0.0 {
            return 1.0;
        }
        let s = (f64::from(a).powf(alpha) / f64::from(w).powf(1.0 - alpha)) as f32;
        // Both are at least 2⁻¹⁴⁹ and so is s; beyond f32 it may be.
        if s.is_finite() { s } else { 1.0 }
    };
    Ok(activation_absmax.iter().zip(weight_absmax).map(factor).collect())
}

/// Weights `[rows, cols]` with each column times its factor, to be quantized.
///
/// # Errors
/// [`Error::Shape`] when the number of values is not `rows · cols`, or there is not a factor for each column.
pub fn fold_into_weights<T: Float>(values: &[T], rows: usize, cols: usize, factors: &[f32]) -> Result<Vec<f32>> {
    check(values.len(), rows, cols)?;
    if factors.len() != cols {
        return Err(Error::Shape(format!("{cols} columns need as many factors, but {} were given", factors.len())));
    }
    let rows = values.chunks_exact(cols.max(1));
    Ok(rows.flat_map(|row| row.iter().zip(factors).map(|(value, &s)| value.to_f32() * s)).collect())
}

/// `1 / s` of each factor: what [`op::Quantize`](crate::op::Quantize) multiplies activations by where the layer before
/// does not.
pub fn input_factors(factors: &[f32]) -> Vec<f32> {
    factors.iter().map(|s| 1.0 / s).collect()
}

fn check(have: usize, rows: usize, cols: usize) -> Result<()> {
    match rows.checked_mul(cols) {
        Some(need) if need == have => Ok(()),
        _ => Err(Error::Shape(format!("[{rows}, {cols}] does not have {have} values"))),
    }
}

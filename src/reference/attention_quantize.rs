//! The operands of attention in 8 bits, said again, of one head of one sequence.

use super::quantize::{Quantized, Scheme, quantize};
use crate::format::DType;
use crate::{Error, Result};

/// The keys of 16, in the order in which [`values`] lays them: those that one thread's sums of a product by K are of
/// stand together (PTX ISA, "Matrix Fragments for mma.m16n8k32").
pub const KEY_ORDER: [usize; 16] = [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];

/// The mean of `rows`, `[tokens, dim]`, by channel; 0 without tokens.
///
/// # Errors
/// [`Error::Shape`] when the rows are not whole.
pub fn mean(rows: &[f32], dim: usize) -> Result<Vec<f64>> {
    let tokens = whole(rows, dim)?;
    let sum = |c| rows.chunks(dim).map(|row| f64::from(row[c])).sum::<f64>();
    Ok((0..dim).map(|c| if tokens == 0 { 0.0 } else { sum(c) / tokens as f64 }).collect())
}

/// The codes and scales of `rows`, `[tokens, dim]`, less `mean` where there is one: signed bytes, a scale a row.
///
/// # Errors
/// [`Error::Shape`] when the rows are not whole, or the mean has not their length.
pub fn heads(rows: &[f32], dim: usize, mean: Option<&[f32]>) -> Result<Quantized> {
    let tokens = whole(rows, dim)?;
    if let Some(mean) = mean.filter(|mean| mean.len() != dim) {
        return Err(Error::Shape(format!("a mean of {} channels, but rows of {dim}", mean.len())));
    }
    // An f64 holds the difference rounded once more than an f32 does, or exactly: see `quantize`.
    let less = |(i, &x): (usize, &f32)| mean.map_or(x, |mean| (f64::from(x) - f64::from(mean[i % dim])) as f32);
    let rows: Vec<f32> = rows.iter().enumerate().map(less).collect();
    quantize(&rows, [tokens, dim], None, DType::I8, Scheme::Rows)
}

/// `Σ q · mean` for each row of `rows`, `[tokens, dim]`, and how far from it an f32 sum of as many terms may be.
///
/// # Errors
/// As [`heads`].
pub fn shift(rows: &[f32], dim: usize, mean: &[f32]) -> Result<Vec<(f64, f64)>> {
    whole(rows, dim)?;
    if mean.len() != dim {
        return Err(Error::Shape(format!("a mean of {} channels, but rows of {dim}", mean.len())));
    }
    let terms =
        |row: &[f32]| -> Vec<f64> { row.iter().zip(mean).map(|(&q, &m)| f64::from(q) * f64::from(m)).collect() };
    Ok(rows
        .chunks(dim)
        .map(terms)
        .map(|terms| {
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            (terms.iter().sum(), size * (dim as f64).log2().max(1.0) * 8.0 * 2f64.powi(-24) + 1e-37)
        })
        .collect())
}

/// The codes of `rows`, `[keys, dim]`, as `[dim, keys up to a multiple of 64]` in the order of [`KEY_ORDER`], and the
/// scale of each channel.
///
/// # Errors
/// As [`heads`].
pub fn values(rows: &[f32], dim: usize) -> Result<Quantized> {
    let keys = whole(rows, dim)?;
    let turned: Vec<f32> = (0..dim * keys).map(|i| rows[i % keys * dim + i / keys]).collect();
    let plain = quantize(&turned, [dim, keys], None, DType::E4m3, Scheme::Rows)?;
    let pitch = keys.next_multiple_of(64);
    let mut codes = vec![0; dim * pitch];
    for (i, code) in codes.iter_mut().enumerate() {
        let (channel, at) = (i / pitch, i % pitch);
        let key = at / 16 * 16 + KEY_ORDER[at % 16];
        if key < keys {
            *code = plain.codes[channel * keys + key];
        }
    }
    Ok(Quantized { codes, ..plain })
}

fn whole(rows: &[f32], dim: usize) -> Result<usize> {
    if dim == 0 || !rows.len().is_multiple_of(dim) {
        return Err(Error::Shape(format!("{} values are no rows of {dim}", rows.len())));
    }
    Ok(rows.len() / dim)
}

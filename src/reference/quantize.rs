//! Quantizing, said again: every operation in f64 and rounded once to f32, every 8-bit float found among all of them.
//!
//! An f64 has more than twice the bits of an f32 and two to spare, so that an f32 quotient, product or difference that
//! is rounded first to f64 and then to f32 is the one that is rounded at once.

use crate::format::{DType, F8E4M3, F8E5M2, Float};
use crate::{Error, Result};

/// Which numbers share a scale, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// One a row, from its largest magnitude.
    Rows,
    /// One scale and one zero point a row, from its least and its largest number.
    RowsWithZeros,
    /// One for so many columns, from their largest magnitude.
    Groups(usize),
    /// One for all.
    Given {
        /// The scale.
        scale: f32,
        /// The code of 0.
        zero: Option<i32>,
    },
}

/// A quantized matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The bits of every code, `[rows, cols]`.
    pub codes: Vec<u8>,
    /// `[rows]`, or `[rows, groups]`; none where the scale was given.
    pub scales: Vec<f32>,
    /// `[rows]` with zero points; else none.
    pub zeros: Vec<i32>,
    /// Whether a number was a NaN or an infinity.
    pub nonfinite: bool,
}

/// Quantizes `values`, `[rows, cols]`, each times the factor of its column if there are factors, to i8, e4m3 or e5m2 by
/// the rules of [`op::Quantize`](crate::op::Quantize).
///
/// # Errors
/// [`Error::Shape`] when a length is not what the shape says, or a group has no columns; [`Error::Unsupported`] for
/// another type, and for zero points of floats.
pub fn quantize(
    values: &[f32],
    [rows, cols]: [usize; 2],
    factors: Option<&[f32]>,
    dtype: DType,
    scheme: Scheme,
) -> Result<Quantized> {
    if Some(values.len()) != rows.checked_mul(cols) || factors.is_some_and(|f| f.len() != cols) {
        let factors = factors.map_or(cols, <[f32]>::len);
        let what = format!("[{rows}, {cols}] does not have {} values and {factors} factors", values.len());
        return Err(Error::Shape(what));
    }
    let zeros = matches!(scheme, Scheme::RowsWithZeros | Scheme::Given { zero: Some(_), .. });
    if !matches!(dtype, DType::I8 | DType::E4m3 | DType::E5m2) || (zeros && dtype != DType::I8) {
        let zeros = if zeros { " with zero points" } else { "" };
        return Err(Error::Unsupported(format!("codes of type {dtype}{zeros}")));
    }
    let group = match scheme {
        Scheme::Groups(0) => return Err(Error::Shape("groups of no columns".into())),
        Scheme::Groups(group) => group,
        _ => cols.max(1),
    };
    let table = Table::new(dtype);
    let count = rows.saturating_mul(cols.div_ceil(group).max(1));
    let mut scales: Vec<f32> = Vec::new();
    if scales.try_reserve_exact(count).is_err() {
        return Err(Error::OutOfMemory { bytes: count.saturating_mul(4), device: "the host".into() });
    }
    let mut out = Quantized { codes: Vec::with_capacity(values.len()), scales, zeros: vec![], nonfinite: false };
    for m in 0..rows {
        let row = &values[m * cols..][..cols];
        let row: Vec<f32> = match factors {
            None => row.to_vec(),
            Some(factors) => row.iter().zip(factors).map(|(&x, &f)| (f64::from(x) * f64::from(f)) as f32).collect(),
        };
        // A row without columns has a scale too; it has no groups.
        let none: [&[f32]; 1] = [&[]];
        let pieces: Vec<&[f32]> = match scheme {
            Scheme::Groups(_) => row.chunks(group).collect(),
            _ if cols == 0 => none.to_vec(),
            _ => vec![&row],
        };
        for piece in pieces {
            let finite = piece.iter().all(|v| v.is_finite());
            out.nonfinite |= !finite;
            let (scale, zero, least) = match scheme {
                Scheme::Given { scale, zero } => {
                    (scale, zero.unwrap_or(0).clamp(-128, 127), zero.map_or(-127, |_| -128))
                }
                _ if !finite => (f32::NAN, 0, 0),
                Scheme::RowsWithZeros => {
                    let (scale, zero) = with_zero(piece);
                    (scale, zero, -128)
                }
                _ => (quotient(piece.iter().fold(0.0, |most, v| v.abs().max(most)), table.most), 0, -127),
            };
            match scheme {
                Scheme::Given { .. } => {}
                Scheme::RowsWithZeros => {
                    out.scales.push(scale);
                    out.zeros.push(zero);
                }
                _ => out.scales.push(scale),
            }
            out.codes.extend(piece.iter().map(|&v| match scale > 0.0 {
                true => table.code(quotient(v, scale), zero, least),
                false => 0,
            }));
        }
    }
    Ok(out)
}

/// Rounded once.
fn quotient(x: f32, y: f32) -> f32 {
    (f64::from(x) / f64::from(y)) as f32
}

fn with_zero(row: &[f32]) -> (f32, i32) {
    let high = row.iter().fold(0f32, |high, &v| if v > high { v } else { high });
    let low = row.iter().fold(0f32, |low, &v| if v < low { v } else { low });
    let range = f64::from(high) - f64::from(low);
    let scale = match (range as f32).is_finite() {
        true => quotient(range as f32, 255.0),
        // As if f32 went further: the half has the same digits.
        false => quotient((range / 2.0) as f32, 127.5),
    };
    if scale == 0.0 {
        return (0.0, 0);
    }
    let zero = (-128.0 - f64::from(quotient(low, scale))) as f32;
    (scale, f64::from(zero).round_ties_even().clamp(-128.0, 127.0) as i32)
}

/// The codes of a type.
struct Table {
    /// The number that the largest magnitude becomes.
    most: f32,
    /// The 8-bit floats from 0 up, by code; none for integers.
    floats: Vec<f32>,
}

impl Table {
    fn new(dtype: DType) -> Table {
        let of = |value: fn(u8) -> f32| (0..0x80).map(value).take_while(|v| v.is_finite()).collect::<Vec<_>>();
        let floats = match dtype {
            DType::E4m3 => of(|code| Float::to_f32(F8E4M3::from_bits(code))),
            DType::E5m2 => of(|code| Float::to_f32(F8E5M2::from_bits(code))),
            _ => Vec::new(),
        };
        Table { most: floats.last().copied().unwrap_or(127.0), floats }
    }

    /// The bits of the code that is nearest.
    fn code(&self, q: f32, zero: i32, least: i32) -> u8 {
        if self.floats.is_empty() {
            // The conversion of a NaN to an integer is 0.
            let rounded = f64::from(q).round_ties_even() as i64;
            return (rounded.saturating_add(zero.into()).clamp(least.into(), 127) as i8) as u8;
        }
        if q.is_nan() {
            return 0x7f;
        }
        let sign = if q.is_sign_negative() { 0x80 } else { 0 };
        let size = f64::from(q.abs());
        let above = self.floats.partition_point(|&v| f64::from(v) < size);
        let Some(&high) = self.floats.get(above) else { return sign | (self.floats.len() - 1) as u8 };
        if above == 0 {
            return sign;
        }
        let (low, high) = (f64::from(self.floats[above - 1]), f64::from(high));
        let down = match (size - low).total_cmp(&(high - size)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => (above - 1).is_multiple_of(2),
            std::cmp::Ordering::Greater => false,
        };
        sign | if down { above - 1 } else { above } as u8
    }
}

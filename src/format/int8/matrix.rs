//! A matrix of int8 codes with a scale a row, owned and borrowed.

use std::fmt;

use super::{Float, dequantize, quantize_row};
use crate::{Error, Result};

/// Rows of codes start at multiples of this many bytes, so that a kernel copies 16 bytes at a time.
pub const ROW_ALIGN: usize = 16;

/// A borrowed matrix of codes `[rows, cols]`, row stride `ld`, without scales.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    codes: &'a [i8],
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<'a> Codes<'a> {
    /// Views `codes` as `[rows, cols]` with row stride `ld` (elements, of any alignment).
    ///
    /// # Errors
    /// [`Error::Shape`] when `ld < cols` or the size overflows; [`Error::TooShort`] when the last row does not end
    /// inside.
    pub fn new(codes: &'a [i8], rows: usize, cols: usize, ld: usize) -> Result<Self> {
        if ld < cols {
            return Err(Error::Shape(format!("leading dimension {ld} is less than the {cols} columns")));
        }
        let need = match rows.checked_sub(1) {
            None => 0,
            Some(last) => last
                .checked_mul(ld)
                .and_then(|start| start.checked_add(cols))
                .ok_or_else(|| Error::Shape(format!("{rows} rows of stride {ld} exceed the address space")))?,
        };
        if codes.len() < need {
            return Err(Error::TooShort { what: "the matrix of codes", have: codes.len(), need, unit: "elements" });
        }
        Ok(Codes { codes, rows, cols, ld })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row stride in elements.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The rows in order, each `cols` long.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [i8]> + use<'a> {
        let Codes { codes, cols, ld, rows } = *self;
        (0..rows).map(move |i| &codes[i * ld..][..cols])
    }

    /// Row `index`, `cols` long; `None` beyond the last.
    pub fn row(&self, index: usize) -> Option<&'a [i8]> {
        (index < self.rows).then(|| &self.codes[index * self.ld..][..self.cols])
    }

    /// The sum of each row: of weights `[N, K]` the column sums that correct a product for zero points of its other
    /// operand.
    ///
    /// # Errors
    /// [`Error::Value`] for a sum beyond an int32, which takes more than 16,777,215 columns.
    pub fn column_sums(&self) -> Result<Vec<i32>> {
        let sum = |(row, codes): (usize, &[i8])| {
            let sum: i64 = codes.iter().copied().map(i64::from).sum();
            i32::try_from(sum).map_err(|_| Error::Value(format!("the sum of row {row}, {sum}, does not fit an int32")))
        };
        self.iter().enumerate().map(sum).collect()
    }
}

impl fmt::Debug for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codes[{}, {}; ld {}]", self.rows, self.cols, self.ld)
    }
}

/// A borrowed int8 matrix: codes `[rows, cols]` and a scale a row. Scales may be anything, NaN too.
#[derive(Clone, Copy, Debug)]
pub struct Int8View<'a> {
    codes: Codes<'a>,
    scales: &'a [f32],
}

impl<'a> Int8View<'a> {
    /// Joins codes and scales, one scale a row.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of scales is not the number of rows.
    pub fn new(codes: Codes<'a>, scales: &'a [f32]) -> Result<Self> {
        check_scale_count(codes.rows, scales.len())?;
        Ok(Int8View { codes, scales })
    }

    /// The codes.
    pub fn codes(&self) -> Codes<'a> {
        self.codes
    }

    /// The scales, one a row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.codes.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.codes.cols
    }

    /// The numbers that the codes stand for, `[rows, cols]` without padding, each one f32 product.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.codes.rows * self.codes.cols);
        for (row, &scale) in self.codes.iter().zip(self.scales) {
            out.extend(row.iter().map(|&code| dequantize(code, scale)));
        }
        out
    }
}

/// An owned int8 matrix in canonical order: `[rows, cols]`, columns contiguous, rows padded with zeros to [`ROW_ALIGN`]
/// bytes, and one f32 scale a row.
///
/// Scales are finite and not negative, except that a matrix of activations holds NaN for each row with a non-finite
/// input.
#[derive(Clone, PartialEq)]
pub struct Int8Matrix {
    rows: usize,
    cols: usize,
    ld: usize,
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Int8Matrix {
    /// Quantizes weights: `values` is `[rows, cols]`, contiguous.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of values is not `rows · cols`; [`Error::Value`] naming the first value that is
    /// NaN or infinite.
    pub fn quantize<T: Float>(values: &[T], rows: usize, cols: usize) -> Result<Self> {
        let matrix = Self::quantize_activations(values, rows, cols)?;
        let Some(row) = matrix.scales.iter().position(|scale| scale.is_nan()) else {
            return Ok(matrix);
        };
        let not_finite =
            values[row * cols..].iter().map(|v| v.to_f32()).enumerate().find(|(_, value)| !value.is_finite());
        let (col, value) = not_finite.unwrap_or_default();
        Err(Error::Value(format!("the weight at row {row}, column {col} is {value}, which has no int8 code")))
    }

    /// Quantizes activations: as [`quantize`](Self::quantize), but a row with a NaN or an infinity gets scale NaN and
    /// zero codes, as the kernel does.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of values is not `rows · cols`.
    pub fn quantize_activations<T: Float>(values: &[T], rows: usize, cols: usize) -> Result<Self> {
        check_value_count(values.len(), rows, cols)?;
        let mut matrix = Self::zeros(rows, cols)?;
        for i in 0..rows {
            let codes = &mut matrix.codes[i * matrix.ld..][..cols];
            matrix.scales[i] = quantize_row(&values[i * cols..][..cols], codes)?;
        }
        Ok(matrix)
    }

    /// Takes codes and scales as they are: `codes` is `[rows, ld]` with zeros in the columns from `cols` on.
    ///
    /// Codes may be anything from −128 to 127.
    ///
    /// # Errors
    /// [`Error::Shape`] when `ld` is less than `cols` or no multiple of [`ROW_ALIGN`], or a length is not what the
    /// shape says; [`Error::Value`] for a scale that is NaN, infinite or negative, and for padding that is not zero.
    pub fn from_parts(rows: usize, cols: usize, ld: usize, codes: Vec<i8>, scales: Vec<f32>) -> Result<Self> {
        if ld < cols || !ld.is_multiple_of(ROW_ALIGN) {
            return Err(Error::Shape(format!(
                "leading dimension {ld} must be a multiple of {ROW_ALIGN} and at least the {cols} columns"
            )));
        }
        let need = element_count(rows, ld)?;
        if codes.len() != need {
            return Err(Error::Shape(format!(
                "{rows} rows of stride {ld} are {need} codes, but {} were given",
                codes.len()
            )));
        }
        check_scales(rows, &scales)?;
        for i in 0..rows {
            let padding = &codes[i * ld..][cols..ld];
            if let Some(at) = padding.iter().position(|&code| code != 0) {
                let (col, code) = (cols + at, padding[at]);
                return Err(Error::Value(format!(
                    "row {i} is padded with {code} at column {col}; padding must be zero"
                )));
            }
        }
        Ok(Int8Matrix { rows, cols, ld, codes, scales })
    }

    /// Copies contiguous codes `[rows, cols]`, as files hold them, into padded rows.
    ///
    /// # Errors
    /// [`Error::Shape`] when a length is not what the shape says; [`Error::Value`] for a scale that is NaN, infinite or
    /// negative.
    pub fn from_contiguous(rows: usize, cols: usize, codes: &[i8], scales: Vec<f32>) -> Result<Self> {
        check_value_count(codes.len(), rows, cols)?;
        check_scales(rows, &scales)?;
        let mut matrix = Self::zeros(rows, cols)?;
        for i in 0..rows {
            matrix.codes[i * matrix.ld..][..cols].copy_from_slice(&codes[i * cols..][..cols]);
        }
        matrix.scales = scales;
        Ok(matrix)
    }

    /// The same of codes that lie the other way round: `[cols, rows]`, such as `[K, N]`.
    ///
    /// # Errors
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_transposed(rows: usize, cols: usize, codes: &[i8], scales: Vec<f32>) -> Result<Self> {
        check_value_count(codes.len(), rows, cols)?;
        check_scales(rows, &scales)?;
        let mut matrix = Self::zeros(rows, cols)?;
        for (col, codes) in codes.chunks_exact(rows.max(1)).enumerate() {
            for (row, &code) in codes.iter().enumerate() {
                matrix.codes[row * matrix.ld + col] = code;
            }
        }
        matrix.scales = scales;
        Ok(matrix)
    }

    fn zeros(rows: usize, cols: usize) -> Result<Self> {
        let ld = cols
            .checked_next_multiple_of(ROW_ALIGN)
            .ok_or_else(|| Error::Shape(format!("{cols} columns exceed the address space")))?;
        Ok(Int8Matrix { rows, cols, ld, codes: host_vec(element_count(rows, ld)?, 0)?, scales: host_vec(rows, 0.0)? })
    }

    /// Rows: N of a weight, M of activations.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: K.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row stride in elements (bytes), a multiple of [`ROW_ALIGN`].
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// Every code with the padding, `[rows, ld]`.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The scales, one a row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The codes of row `index` without padding; `None` beyond the last row.
    pub fn row(&self, index: usize) -> Option<&[i8]> {
        self.view().codes().row(index)
    }

    /// The matrix, borrowed.
    pub fn view(&self) -> Int8View<'_> {
        let codes = Codes { codes: &self.codes, rows: self.rows, cols: self.cols, ld: self.ld };
        Int8View { codes, scales: &self.scales }
    }

    /// The codes `[rows, cols]` without padding.
    pub fn to_contiguous(&self) -> Vec<i8> {
        self.view().codes().iter().flatten().copied().collect()
    }

    /// The numbers that the codes stand for, `[rows, cols]` without padding, each one f32 product.
    pub fn dequantize(&self) -> Vec<f32> {
        self.view().dequantize()
    }
}

impl fmt::Debug for Int8Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Int8Matrix[{}, {}; ld {}]", self.rows, self.cols, self.ld)
    }
}

pub(in crate::format) fn element_count(rows: usize, ld: usize) -> Result<usize> {
    // A Vec holds at most isize::MAX bytes.
    rows.checked_mul(ld)
        .filter(|&n| n <= isize::MAX as usize)
        .ok_or_else(|| Error::Shape(format!("{rows} rows of {ld} columns exceed the address space")))
}

pub(in crate::format) fn host_vec<T: Copy>(len: usize, value: T) -> Result<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(len)
        .map_err(|_| Error::OutOfMemory { bytes: len.saturating_mul(size_of::<T>()), device: "the host".into() })?;
    out.resize(len, value);
    Ok(out)
}

fn check_value_count(have: usize, rows: usize, cols: usize) -> Result<()> {
    let need = element_count(rows, cols)?;
    if have != need {
        return Err(Error::Shape(format!("[{rows}, {cols}] is {need} values, but {have} were given")));
    }
    Ok(())
}

fn check_scale_count(rows: usize, have: usize) -> Result<()> {
    if have != rows {
        return Err(Error::Shape(format!("{rows} rows need as many scales, but {have} were given")));
    }
    Ok(())
}

fn check_scales(rows: usize, scales: &[f32]) -> Result<()> {
    check_scale_count(rows, scales.len())?;
    match scales.iter().position(|s| !(s.is_finite() && *s >= 0.0)) {
        Some(row) => {
            Err(Error::Value(format!("the scale of row {row} is {}; it must be finite and not negative", scales[row])))
        }
        None => Ok(()),
    }
}

//! A matrix of 8-bit codes with a grid of scales.

use std::fmt;
use std::ops::Range;

use super::Code;
use crate::format::Float;
use crate::format::int8::{Int8Matrix, ROW_ALIGN, element_count, host_vec};
use crate::{Error, Result};

/// Which codes share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scaling {
    /// All.
    Tensor,
    /// Those of a row: an output channel of a weight `[N, K]`.
    Rows,
    /// So many columns of a row. The last group of a row may be short.
    Groups(usize),
    /// So many rows by so many columns; those at the edges may be smaller. DeepSeek-V3 has blocks of 128 by 128.
    Blocks(usize, usize),
}

impl Scaling {
    /// Rows and columns that share a scale, at least 1 each.
    fn extent(self, rows: usize, cols: usize) -> Result<[usize; 2]> {
        let extent = match self {
            Scaling::Tensor => [rows.max(1), cols.max(1)],
            Scaling::Rows => [1, cols.max(1)],
            Scaling::Groups(group) => [1, group],
            Scaling::Blocks(tall, wide) => [tall, wide],
        };
        if extent.contains(&0) {
            return Err(Error::Shape(format!("{self} hold no element")));
        }
        Ok(extent)
    }

    /// Rows and columns of the grid of scales of a matrix `[rows, cols]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for groups or blocks of no elements.
    pub fn grid(self, rows: usize, cols: usize) -> Result<[usize; 2]> {
        let [tall, wide] = self.extent(rows, cols)?;
        // A row without columns has a scale all the same, unless it is of groups.
        Ok(match self {
            Scaling::Tensor => [1, 1],
            Scaling::Rows => [rows, 1],
            Scaling::Groups(_) | Scaling::Blocks(..) => [rows.div_ceil(tall), cols.div_ceil(wide)],
        })
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scaling::Tensor => f.write_str("one scale"),
            Scaling::Rows => f.write_str("scales of rows"),
            Scaling::Groups(group) => write!(f, "groups of {group} columns"),
            Scaling::Blocks(tall, wide) => write!(f, "blocks of {tall} by {wide}"),
        }
    }
}

/// An owned matrix of 8-bit codes in canonical order: `[rows, cols]`, columns contiguous, rows padded with zeros to
/// [`ROW_ALIGN`] bytes; and a row-major grid of f32 scales, finite and not negative.
#[derive(Clone, PartialEq)]
pub struct ScaledMatrix<C> {
    rows: usize,
    cols: usize,
    ld: usize,
    codes: Vec<C>,
    scaling: Scaling,
    scales: Vec<f32>,
    zeros: Option<Vec<i8>>,
}

impl<C: Code> ScaledMatrix<C> {
    /// Quantizes weights: `values` is `[rows, cols]`, contiguous.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of values is not `rows · cols`, or for groups of no elements; [`Error::Value`]
    /// naming the first value that is NaN or infinite.
    pub fn quantize<T: Float>(values: &[T], rows: usize, cols: usize, scaling: Scaling) -> Result<Self> {
        check_values(values.len(), rows, cols)?;
        Self::make(rows, cols, scaling, |row, col| values[row * cols + col].to_f32())
    }

    /// Quantizes weights that lie the other way round: `values` is `[cols, rows]`, such as `[K, N]`, contiguous.
    ///
    /// # Errors
    /// As [`quantize`](Self::quantize).
    pub fn quantize_transposed<T: Float>(values: &[T], rows: usize, cols: usize, scaling: Scaling) -> Result<Self> {
        check_values(values.len(), rows, cols)?;
        Self::make(rows, cols, scaling, |row, col| values[col * rows + row].to_f32())
    }

    fn make(rows: usize, cols: usize, scaling: Scaling, value: impl Fn(usize, usize) -> f32) -> Result<Self> {
        let mut matrix = Self::empty(rows, cols, scaling)?;
        let ([tall, wide], [_, across]) = (scaling.extent(rows, cols)?, scaling.grid(rows, cols)?);
        for row in filled(rows, cols) {
            for col in 0..cols {
                let value = value(row, col);
                if !value.is_finite() {
                    return Err(Error::Value(format!(
                        "the weight at row {row}, column {col} is {value}, which has no code"
                    )));
                }
                let scale = &mut matrix.scales[row / tall * across + col / wide];
                *scale = scale.max(value.abs());
            }
        }
        matrix.scales.iter_mut().for_each(|scale| *scale /= C::MOST);
        for row in filled(rows, cols) {
            for col in 0..cols {
                let scale = matrix.scales[row / tall * across + col / wide];
                if scale > 0.0 {
                    matrix.codes[row * matrix.ld + col] = C::encode(value(row, col), scale);
                }
            }
        }
        Ok(matrix)
    }

    /// Copies contiguous codes `[rows, cols]`, as files hold them, into padded rows. `zeros`, one a scale, are the
    /// codes of 0.
    ///
    /// # Errors
    /// [`Error::Shape`] when a length is not what the shape says; [`Error::Value`] for a scale that is NaN, infinite or
    /// negative.
    pub fn from_contiguous(
        [rows, cols]: [usize; 2],
        codes: &[C],
        scaling: Scaling,
        scales: Vec<f32>,
        zeros: Option<Vec<i8>>,
    ) -> Result<Self> {
        check_values(codes.len(), rows, cols)?;
        Self::take([rows, cols], scaling, scales, zeros, |row, col| codes[row * cols + col])
    }

    /// The same of codes that lie the other way round: `[cols, rows]`, such as `[K, N]`. Scales and zero points are
    /// those of the matrix as it will be.
    ///
    /// # Errors
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_transposed(
        [rows, cols]: [usize; 2],
        codes: &[C],
        scaling: Scaling,
        scales: Vec<f32>,
        zeros: Option<Vec<i8>>,
    ) -> Result<Self> {
        check_values(codes.len(), rows, cols)?;
        Self::take([rows, cols], scaling, scales, zeros, |row, col| codes[col * rows + row])
    }

    fn take(
        [rows, cols]: [usize; 2],
        scaling: Scaling,
        scales: Vec<f32>,
        zeros: Option<Vec<i8>>,
        code: impl Fn(usize, usize) -> C,
    ) -> Result<Self> {
        let [down, across] = scaling.grid(rows, cols)?;
        let need = element_count(down, across)?;
        let count = |what: &str, have: usize| {
            Err(Error::Shape(format!("{scaling} of [{rows}, {cols}] are {need} {what}, but {have} were given")))
        };
        if scales.len() != need {
            return count("scales", scales.len());
        }
        if let Some(zeros) = zeros.as_ref().filter(|zeros| zeros.len() != need) {
            return count("zero points", zeros.len());
        }
        if let Some(at) = scales.iter().position(|s| !(s.is_finite() && *s >= 0.0)) {
            let (row, col, scale) = (at / across, at % across, scales[at]);
            let what = format!("the scale [{row}, {col}] is {scale}; it must be finite and not negative");
            return Err(Error::Value(what));
        }
        let mut matrix = Self::empty(rows, cols, scaling)?;
        for row in filled(rows, cols) {
            for col in 0..cols {
                matrix.codes[row * matrix.ld + col] = code(row, col);
            }
        }
        Ok(ScaledMatrix { scales, zeros, ..matrix })
    }

    fn empty(rows: usize, cols: usize, scaling: Scaling) -> Result<Self> {
        let [down, across] = scaling.grid(rows, cols)?;
        let ld = cols
            .checked_next_multiple_of(ROW_ALIGN)
            .ok_or_else(|| Error::Shape(format!("{cols} columns exceed the address space")))?;
        let codes = host_vec(element_count(rows, ld)?, C::zeroed())?;
        let scales = host_vec(element_count(down, across)?, 0.0)?;
        Ok(ScaledMatrix { rows, cols, ld, codes, scaling, scales, zeros: None })
    }

    /// Rows: N of a weight.
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
    pub fn codes(&self) -> &[C] {
        &self.codes
    }

    /// The codes `[rows, cols]` without padding.
    pub fn to_contiguous(&self) -> Vec<C> {
        filled(self.rows, self.cols).flat_map(|row| &self.codes[row * self.ld..][..self.cols]).copied().collect()
    }

    /// Which codes share a scale.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// The scales, row-major, as [`Scaling::grid`] says.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The zero points, one a scale; `None` when all are 0.
    pub fn zeros(&self) -> Option<&[i8]> {
        self.zeros.as_deref()
    }

    /// The numbers that the codes stand for, `[rows, cols]` without padding, each one f32 product.
    pub fn dequantize(&self) -> Vec<f32> {
        let extents = (self.scaling.extent(self.rows, self.cols), self.scaling.grid(self.rows, self.cols));
        let (Ok([tall, wide]), Ok([_, across])) = extents else { return Vec::new() };
        let mut out = Vec::with_capacity(self.rows * self.cols);
        for row in filled(self.rows, self.cols) {
            for col in 0..self.cols {
                let at = row / tall * across + col / wide;
                let zero = self.zeros.as_ref().map_or(0.0, |zeros| f32::from(zeros[at]));
                out.push((self.codes[row * self.ld + col].number() - zero) * self.scales[at]);
            }
        }
        out
    }
}

impl From<Int8Matrix> for ScaledMatrix<i8> {
    fn from(matrix: Int8Matrix) -> Self {
        ScaledMatrix {
            rows: matrix.rows(),
            cols: matrix.cols(),
            ld: matrix.ld(),
            codes: matrix.codes().to_vec(),
            scaling: Scaling::Rows,
            scales: matrix.scales().to_vec(),
            zeros: None,
        }
    }
}

impl<C> fmt::Debug for ScaledMatrix<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScaledMatrix[{}, {}; ld {}; {}]", self.rows, self.cols, self.ld, self.scaling)
    }
}

/// The rows that hold anything: without columns there is nothing to walk, however many rows are claimed.
fn filled(rows: usize, cols: usize) -> Range<usize> {
    0..if cols == 0 { 0 } else { rows }
}

fn check_values(have: usize, rows: usize, cols: usize) -> Result<()> {
    let need = element_count(rows, cols)?;
    if have != need {
        return Err(Error::Shape(format!("[{rows}, {cols}] is {need} values, but {have} were given")));
    }
    Ok(())
}

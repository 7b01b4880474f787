//! Row-major matrices in device memory: a view, its rows and columns, and the distance between rows.

use std::fmt;
use std::ops::Range;

use super::memory::Operand;
use super::region::{Region, Span, sealed};
use super::view::{View, ViewMut, check_range};
use super::{Device, Element};
use crate::{Error, Result};

/// A row-major `rows × cols` matrix to read; row `i` starts at element `i * ld`.
pub struct Matrix<'a, T> {
    view: View<'a, T>,
    rows: usize,
    cols: usize,
    ld: usize,
}

/// A row-major `rows × cols` matrix to write; row `i` starts at element `i * ld`. The elements between the end
/// of one row and the start of the next are never written.
pub struct MatrixMut<'a, T> {
    view: ViewMut<'a, T>,
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<T> Clone for Matrix<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Matrix<'_, T> {}

/// Elements from the first to the last of a matrix.
fn extent(rows: usize, cols: usize, ld: usize) -> Result<usize> {
    if ld < cols {
        return Err(Error::Shape(format!("the leading dimension {ld} is less than the {cols} columns")));
    }
    if rows == 0 || cols == 0 {
        return Ok(0);
    }
    (rows - 1)
        .checked_mul(ld)
        .and_then(|last| last.checked_add(cols))
        .ok_or_else(|| Error::Shape(format!("{rows} rows with leading dimension {ld} leave the address space")))
}

/// The part of `view` that the matrix covers.
fn check(len: usize, rows: usize, cols: usize, ld: usize) -> Result<usize> {
    let need = extent(rows, cols, ld)?;
    if len < need {
        return Err(Error::TooShort { what: "the view", have: len, need, unit: "elements" });
    }
    Ok(need)
}

/// First element and size of a sub-matrix.
fn sub(rows: Range<usize>, cols: Range<usize>, of: (usize, usize, usize)) -> Result<(usize, usize, usize)> {
    let (row, height) = check_range(rows, of.0)?;
    let (col, width) = check_range(cols, of.1)?;
    let start = if height == 0 || width == 0 { 0 } else { row * of.2 + col };
    Ok((start, height, width))
}

impl<'a, T: Element> Matrix<'a, T> {
    pub(super) fn new(view: View<'a, T>, rows: usize, cols: usize, ld: usize) -> Result<Self> {
        let need = check(view.len(), rows, cols, ld)?;
        Ok(Matrix { view: view.slice(..need)?, rows, cols, ld })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from the start of one row to the start of the next.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The elements from the first to the last, those between the rows included.
    pub fn view(&self) -> View<'a, T> {
        self.view
    }

    /// The device it lies on, for as long as the view lives.
    pub fn device(&self) -> &'a Device {
        self.view.device
    }

    /// The matrix of some rows and columns.
    ///
    /// # Errors
    /// A range that is not within the matrix.
    pub fn sub(&self, rows: Range<usize>, cols: Range<usize>) -> Result<Matrix<'a, T>> {
        let (start, rows, cols) = sub(rows, cols, (self.rows, self.cols, self.ld))?;
        Matrix::new(self.view.slice(start..)?, rows, cols, self.ld)
    }

    pub(super) fn operand(&self) -> Operand<'a> {
        self.view.operand(false)
    }
}

impl<'a, T: Element> MatrixMut<'a, T> {
    pub(super) fn new(view: ViewMut<'a, T>, rows: usize, cols: usize, ld: usize) -> Result<Self> {
        let need = check(view.len(), rows, cols, ld)?;
        Ok(MatrixMut { view: view.slice(..need)?, rows, cols, ld })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from the start of one row to the start of the next.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The same matrix, to read.
    pub fn as_matrix(&self) -> Matrix<'_, T> {
        Matrix { view: self.view.as_view(), rows: self.rows, cols: self.cols, ld: self.ld }
    }

    /// The same matrix, to write, for a shorter time.
    pub fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { view: self.view.reborrow(), rows: self.rows, cols: self.cols, ld: self.ld }
    }

    /// The elements from the first to the last, those between the rows included.
    pub fn into_view(self) -> ViewMut<'a, T> {
        self.view
    }

    /// The device it lies on, for as long as the view lives.
    pub fn device(&self) -> &'a Device {
        self.view.view.device
    }

    /// The matrix of some rows and columns.
    ///
    /// # Errors
    /// A range that is not within the matrix.
    pub fn sub(self, rows: Range<usize>, cols: Range<usize>) -> Result<MatrixMut<'a, T>> {
        let (start, rows, cols) = sub(rows, cols, (self.rows, self.cols, self.ld))?;
        MatrixMut::new(self.view.slice(start..)?, rows, cols, self.ld)
    }
}

fn span<T>(address: u64, rows: usize, cols: usize, ld: usize) -> Span {
    let size = size_of::<T>() as u64;
    Span {
        address,
        row_bytes: (cols as u64).saturating_mul(size),
        row_stride: (ld as u64).saturating_mul(size),
        rows: rows as u64,
    }
}

impl<T> sealed::Sealed for Matrix<'_, T> {}
impl<T> sealed::Sealed for MatrixMut<'_, T> {}

impl<T: Element> Region for Matrix<'_, T> {
    fn device(&self) -> &Device {
        self.view.device
    }

    fn span(&self) -> Span {
        span::<T>(self.view.address, self.rows, self.cols, self.ld)
    }
}

impl<T: Element> Region for MatrixMut<'_, T> {
    fn device(&self) -> &Device {
        self.view.view.device
    }

    fn span(&self) -> Span {
        span::<T>(self.view.view.address, self.rows, self.cols, self.ld)
    }
}

impl<'a, T: Element> From<Matrix<'a, T>> for View<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        matrix.view
    }
}

impl<'a, T: Element> From<&Matrix<'a, T>> for View<'a, T> {
    fn from(matrix: &Matrix<'a, T>) -> Self {
        matrix.view
    }
}

impl<'a, T: Element> From<&'a mut MatrixMut<'_, T>> for ViewMut<'a, T> {
    fn from(matrix: &'a mut MatrixMut<'_, T>) -> Self {
        matrix.view.reborrow()
    }
}

impl<T: Element> fmt::Debug for Matrix<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} (ld {}) in {:?}", self.rows, self.cols, self.ld, self.view)
    }
}

impl<T: Element> fmt::Debug for MatrixMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} (ld {}) in {:?}", self.rows, self.cols, self.ld, self.view)
    }
}

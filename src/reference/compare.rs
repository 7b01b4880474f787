//! Results held against the truth, element by element.

use std::fmt;

use super::bound::Rounding;
use crate::format::DType;
use crate::{Error, Result};

/// What an oracle expects of an `[rows, cols]` output, and how far from it each element may be.
#[derive(Clone, Debug)]
pub struct Expected {
    cols: usize,
    rounding: Rounding,
    values: Vec<f64>,
    slack: Vec<f64>,
}

impl Expected {
    /// Joins the true `values` and the `slack` allowed before the last rounding to `output`, both `[rows, cols]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when a length is not rows · cols; [`Error::Unsupported`] when `output` is not a floating type.
    pub fn new(rows: usize, cols: usize, output: DType, values: Vec<f64>, slack: Vec<f64>) -> Result<Self> {
        check_shape(rows, cols, values.len())?;
        check_shape(rows, cols, slack.len())?;
        Ok(Expected { cols, rounding: Rounding::of(output)?, values, slack })
    }

    /// The true values, `[rows, cols]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How far element `index` may be from its true value, the rounding to the output type included.
    pub fn tolerance(&self, index: usize) -> Option<f64> {
        Some(self.rounding.tolerance(*self.values.get(index)?, *self.slack.get(index)?))
    }

    /// Holds `got`, `[rows, cols]`, against this.
    ///
    /// A finite element passes within its tolerance. An infinite one passes where the true value, moved by its slack,
    /// may round to that infinity; where it must, a finite one fails. NaN passes only where the truth is NaN.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ.
    pub fn compare(&self, got: &[f32]) -> Result<Comparison> {
        check_length(got.len(), self.values.len())?;
        let mut comparison = Comparison::default();
        for (at, ((&got, &want), &slack)) in got.iter().zip(&self.values).zip(&self.slack).enumerate() {
            let (ratio, tolerance) = self.ratio(f64::from(got), want, slack);
            comparison.add(ratio, got.is_finite(), || Mismatch::at(at, self.cols, got.into(), want, tolerance));
        }
        Ok(comparison)
    }

    /// (error ÷ tolerance, tolerance); more than 1, or NaN, is a failure.
    fn ratio(&self, got: f64, want: f64, slack: f64) -> (f64, f64) {
        let tolerance = self.rounding.tolerance(want, slack);
        let verdict = |pass: bool| if pass { 0.0 } else { f64::INFINITY };
        if want.is_nan() {
            return (verdict(got.is_nan()), tolerance);
        }
        let may_overflow = want.abs() + slack >= self.rounding.overflow;
        let must_overflow = want.abs() - slack >= self.rounding.overflow || want.is_infinite();
        let ratio = if got.is_infinite() {
            verdict(may_overflow && got.signum() == want.signum())
        } else if must_overflow {
            f64::INFINITY
        } else {
            error_ratio((got - want).abs(), tolerance)
        };
        (ratio, tolerance)
    }
}

fn error_ratio(error: f64, tolerance: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / tolerance }
}

/// One element that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mismatch {
    /// Its row.
    pub row: usize,
    /// Its column.
    pub col: usize,
    /// What was computed.
    pub got: f64,
    /// What is true.
    pub want: f64,
    /// How far apart they may be.
    pub tolerance: f64,
}

impl Mismatch {
    fn at(index: usize, cols: usize, got: f64, want: f64, tolerance: f64) -> Self {
        Mismatch { row: index / cols, col: index % cols, got, want, tolerance }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { row, col, got, want, tolerance } = self;
        write!(f, "row {row}, column {col}: {got:e} instead of {want:e} ± {tolerance:e}")
    }
}

/// The outcome of holding a result against the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Elements compared.
    pub elements: usize,
    /// Elements that failed.
    pub failures: usize,
    /// Elements of the result that are NaN or infinite, right or wrong.
    pub nonfinite: usize,
    /// The greatest error ÷ tolerance; infinite when a NaN or an infinity was wrong. A pass is at most 1.
    pub worst_ratio: f64,
    /// The first element that failed, in row order.
    pub first_failure: Option<Mismatch>,
    /// The element of that greatest error, where one has any.
    pub worst: Option<Mismatch>,
}

impl Comparison {
    /// True when every element passed. (An empty output passes.)
    pub fn passed(&self) -> bool {
        self.failures == 0
    }

    /// Holds floats against the very bits they should have; any NaN equals any NaN.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ, or are not a whole number of rows of `cols`.
    pub fn same_bits(got: &[f32], want: &[f32], cols: usize) -> Result<Self> {
        check_rows(got.len(), want.len(), cols)?;
        let mut comparison = Comparison::default();
        for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
            let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
            comparison.add_exact(same, got.is_finite(), || Mismatch::at(at, cols, got.into(), want.into(), 0.0));
        }
        Ok(comparison)
    }

    /// Holds integers against what they must equal.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ, or are not a whole number of rows of `cols`.
    pub fn same_integers(got: &[i32], want: &[i64], cols: usize) -> Result<Self> {
        check_rows(got.len(), want.len(), cols)?;
        let mut comparison = Comparison::default();
        for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
            comparison.add_exact(i64::from(got) == want, true, || Mismatch::at(at, cols, got.into(), want as f64, 0.0));
        }
        Ok(comparison)
    }

    /// Holds floats against true values, each within a tolerance of its own index. NaN passes only where the truth is
    /// NaN, an infinity only where the truth is that infinity.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths differ, or are not a whole number of rows of `cols`.
    pub fn within(got: &[f32], want: &[f64], cols: usize, tolerance: impl Fn(usize) -> f64) -> Result<Self> {
        check_rows(got.len(), want.len(), cols)?;
        let mut comparison = Comparison::default();
        for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
            let (value, tolerance) = (f64::from(got), tolerance(at));
            let ratio = if value == want || (value.is_nan() && want.is_nan()) {
                0.0
            } else if value.is_finite() && want.is_finite() {
                error_ratio((value - want).abs(), tolerance)
            } else {
                f64::INFINITY
            };
            comparison.add(ratio, got.is_finite(), || Mismatch::at(at, cols, value, want, tolerance));
        }
        Ok(comparison)
    }

    /// This and `other` together; the first failure is this one's, if it has one.
    pub fn and(mut self, other: Comparison) -> Self {
        self.elements += other.elements;
        self.failures += other.failures;
        self.nonfinite += other.nonfinite;
        if self.worst.is_none() || other.worst_ratio > self.worst_ratio {
            self.worst = other.worst;
        }
        self.worst_ratio = self.worst_ratio.max(other.worst_ratio);
        self.first_failure = self.first_failure.or(other.first_failure);
        self
    }

    fn add_exact(&mut self, same: bool, finite: bool, mismatch: impl FnOnce() -> Mismatch) {
        self.add(if same { 0.0 } else { f64::INFINITY }, finite, mismatch);
    }

    fn add(&mut self, ratio: f64, finite: bool, mismatch: impl FnOnce() -> Mismatch) {
        self.elements += 1;
        self.nonfinite += usize::from(!finite);
        // A NaN ratio passes no comparison, so it must not pass for a small one here either.
        let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
        let (worse, passed) = (ratio > self.worst_ratio, ratio <= 1.0);
        if !worse && passed {
            return;
        }
        let mismatch = mismatch();
        if worse {
            self.worst_ratio = ratio;
            self.worst = Some(mismatch);
        }
        if !passed {
            self.failures += 1;
            self.first_failure.get_or_insert(mismatch);
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements, worst error ÷ bound {:.3}", self.elements, self.worst_ratio)?;
        match &self.first_failure {
            Some(first) => write!(f, "; {} wrong, the first at {first}", self.failures),
            None => Ok(()),
        }
    }
}

fn check_shape(rows: usize, cols: usize, have: usize) -> Result<()> {
    if rows.checked_mul(cols) != Some(have) {
        return Err(Error::Shape(format!("[{rows}, {cols}] values expected, but there are {have}")));
    }
    Ok(())
}

fn check_length(got: usize, want: usize) -> Result<()> {
    if got != want {
        return Err(Error::Shape(format!("{got} results cannot be held against {want} expected values")));
    }
    Ok(())
}

fn check_rows(got: usize, want: usize, cols: usize) -> Result<()> {
    check_length(got, want)?;
    if want != 0 && (cols == 0 || !want.is_multiple_of(cols)) {
        return Err(Error::Shape(format!("{want} values are not whole rows of {cols}")));
    }
    Ok(())
}

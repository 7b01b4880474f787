//! The truth, slow and plain: what an operation must give, made from the very bytes that the kernel reads.
//!
//! - [`exact`]: the integer product, and [`exact::linear`], the kernels' documented epilogue rounding by rounding. int8
//!   products are exact, so a kernel must agree with these bit for bit; and with [`exact::gemm`], of floats whose sums
//!   are.
//! - [`Oracle`]: an independent way to the same numbers, with a bound for every element. [`F64`] is plain loops;
//!   `Candle` (feature `candle`) goes through candle's tensors.
//! - [`attention`]: one head by its definition, the algebra of partial results, and how far from both a kernel may be.
//! - [`Comparison`]: a result held against either, element by element, never by an average.
//! - [`quantize()`]: codes, scales and zero points, bit for bit.
//! - [`attention_quantize`]: the 8-bit operands of attention, the same.
//! - [`sample`]: the repeatable data that tests and the program run on.
//!
//! The error of *quantizing* is no kernel's error and is told apart: [`relative_rms`] against the unquantized
//! [`product`].

pub mod attention;
pub mod attention_quantize;
pub mod bound;
#[cfg(feature = "candle")]
mod candle;
mod compare;
pub mod exact;
mod f64;
mod gemm;
mod groups;
mod quantize;
pub mod sample;

#[cfg(feature = "candle")]
pub use candle::Candle;
pub use compare::{Comparison, Expected, Mismatch};
pub use f64::{F64, product};
pub use gemm::{Accumulation, FloatProblem, Terms};
pub use quantize::{Quantized, Scheme, quantize};

use crate::format::DType;
use crate::format::int8::{Codes, Int8View};
use crate::{Error, Result};

/// One quantized linear layer on given data:
/// `out[m, n] = scale_row[m] · scale_col[n] · Σₖ a[m, k] · w[n, k] + bias[n]`.
#[derive(Clone, Copy, Debug)]
pub struct LinearProblem<'a> {
    activations: Int8View<'a>,
    weights: Int8View<'a>,
    bias: Option<&'a [f32]>,
    output: DType,
}

impl<'a> LinearProblem<'a> {
    /// Activations `[M, K]`, weights `[N, K]`, an optional bias `[N]`, and the type the output is rounded to.
    ///
    /// # Errors
    /// [`Error::Shape`] when the K of both differ or the bias is not N long; [`Error::Unsupported`] when `output` is
    /// not a floating type.
    pub fn new(
        activations: Int8View<'a>,
        weights: Int8View<'a>,
        bias: Option<&'a [f32]>,
        output: DType,
    ) -> Result<Self> {
        check_k(activations.codes(), weights.codes())?;
        if let Some(bias) = bias.filter(|b| b.len() != weights.rows()) {
            return Err(Error::Shape(format!("the bias holds {} values, but N = {}", bias.len(), weights.rows())));
        }
        bound::Rounding::of(output)?;
        Ok(LinearProblem { activations, weights, bias, output })
    }

    /// Rows of the output: M.
    pub fn m(&self) -> usize {
        self.activations.rows()
    }

    /// Columns of the output: N.
    pub fn n(&self) -> usize {
        self.weights.rows()
    }

    /// Terms of each sum: K.
    pub fn k(&self) -> usize {
        self.weights.cols()
    }

    /// The activations `[M, K]`.
    pub fn activations(&self) -> Int8View<'a> {
        self.activations
    }

    /// The weights `[N, K]`.
    pub fn weights(&self) -> Int8View<'a> {
        self.weights
    }

    /// The bias `[N]`, if there is one.
    pub fn bias(&self) -> Option<&'a [f32]> {
        self.bias
    }

    /// The type of the output.
    pub fn output(&self) -> DType {
        self.output
    }
}

/// An independent source of truth.
pub trait Oracle {
    /// Its short name, for reports.
    fn name(&self) -> &'static str;

    /// The exact product `Σₖ a[m, k] · w[n, k]` as `[M, N]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the K of both differ.
    fn gemm_s8(&self, a: Codes<'_>, w: Codes<'_>) -> Result<Vec<i64>>;

    /// The linear layer, with how far from it a right kernel may be, as `[M, N]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the output exceeds the address space.
    fn linear(&self, problem: &LinearProblem<'_>) -> Result<Expected>;

    /// The product of floats, with how far from it a right kernel may be, as `[M, N]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the output exceeds the address space.
    fn gemm(&self, problem: &FloatProblem<'_>) -> Result<Expected>;
}

/// Every oracle of this build.
pub fn oracles() -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(F64),
        #[cfg(feature = "candle")]
        Box::new(Candle),
    ]
}

/// Root mean square of `approx − exact` over that of `exact`: how much quantizing lost. 0 for empty slices; infinite
/// when only `exact` is all zero.
///
/// # Errors
/// [`Error::Shape`] when the lengths differ.
pub fn relative_rms(approx: &[f64], exact: &[f64]) -> Result<f64> {
    if approx.len() != exact.len() {
        return Err(Error::Shape(format!("{} values cannot be held against {}", approx.len(), exact.len())));
    }
    let error: f64 = approx.iter().zip(exact).map(|(a, e)| (a - e).powi(2)).sum();
    let size: f64 = exact.iter().map(|e| e * e).sum();
    Ok(if error == 0.0 { 0.0 } else { (error / size).sqrt() })
}

fn check_k(a: Codes<'_>, w: Codes<'_>) -> Result<()> {
    if a.cols() != w.cols() {
        return Err(Error::Shape(format!(
            "K of the activations is {}, but K of the weights is {}",
            a.cols(),
            w.cols()
        )));
    }
    Ok(())
}

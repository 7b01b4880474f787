//! The oracle of candle: the same layer through candle's CPU tensors.

use candle_core::{Device, Tensor};

use super::bound::{self, Magnitudes, U_F32};
use super::exact::{fill, output};
use super::{Expected, FloatProblem, LinearProblem, Oracle, check_k};
use crate::format::int8::Codes;
use crate::{Error, Result};

/// candle's CPU tensors, from the packed bytes: integer products in f64, where they are exact, and the linear layer as
/// candle would run it, in f32 on dequantized operands.
///
/// (candle's own quantized product is no reference: it quantizes the activations once more.)
#[derive(Clone, Copy, Debug)]
pub struct Candle;

impl Oracle for Candle {
    fn name(&self) -> &'static str {
        "candle"
    }

    /// In f64, where every sum up to 2⁵³ is exact in any order.
    fn gemm_s8(&self, a: Codes<'_>, w: Codes<'_>) -> Result<Vec<i64>> {
        check_k(a, w)?;
        if a.rows() == 0 || w.rows() == 0 || w.cols() == 0 {
            return output(a.rows(), w.rows(), 0);
        }
        let wide = |codes: Codes<'_>| codes.iter().flatten().map(|&code| f64::from(code)).collect::<Vec<_>>();
        let product = product(wide(a), wide(w), (a.rows(), w.rows(), w.cols()))?;
        Ok(product.into_iter().map(|sum: f64| sum as i64).collect())
    }

    /// In f32, on dequantized operands.
    ///
    /// Both factors were rounded when they were dequantized and the sum was rounded in candle's order, so the slack is
    /// the bound of a floating product, plus candle's rounding of the bias, plus what the kernels' epilogue may round.
    fn linear(&self, problem: &LinearProblem<'_>) -> Result<Expected> {
        let (m, n, k) = (problem.m(), problem.n(), problem.k());
        let values = if m == 0 || n == 0 || k == 0 {
            output(m, n, 0f32)?
        } else {
            product(problem.activations().dequantize(), problem.weights().dequantize(), (m, n, k))?
        };
        let sums = magnitudes(problem)?;
        let mut out = output(m, n, 0f64)?;
        let mut slack = output(m, n, 0f64)?;
        for (at, (&value, &sums)) in values.iter().zip(&sums).enumerate() {
            let (value, bias) = (f64::from(value), problem.bias().map_or(0.0, |bias| f64::from(bias[at % n])));
            out[at] = value + bias;
            // 3 u of Σ|a·w| is at least what the epilogue rounds of the product; both factors round, hence 2 u.
            slack[at] =
                bound::float_product(k, sums, 2.0 * U_F32, U_F32) + 3.0 * U_F32 * sums.absolute + U_F32 * out[at].abs();
        }
        Expected::new(m, n, problem.output(), out, slack)
    }

    /// Sums in f32, in candle's order, and what f32 may lose by that on top of what the kernel may; the epilogue in
    /// f64.
    fn gemm(&self, problem: &FloatProblem<'_>) -> Result<Expected> {
        let (m, n, k) = (problem.m(), problem.n(), problem.k());
        let sums = if m == 0 || n == 0 || k == 0 {
            output(m, n, 0f64)?
        } else {
            let (a, b) = match problem.by_groups() {
                Some(groups) => (groups.scaled(problem.a(), false, k), groups.scaled(problem.b(), true, k)),
                None => (problem.a().to_vec(), problem.b().to_vec()),
            };
            let sums = product(a, b, (m, n, k))?;
            sums.into_iter().map(f64::from).collect()
        };
        let own = problem.slack_of_f32()?;
        problem.expected(&sums, |at| own[at])
    }
}

/// `a · wᵀ` by candle, for nonempty `(m, n, k)`.
fn product<T: candle_core::WithDType>(a: Vec<T>, w: Vec<T>, (m, n, k): (usize, usize, usize)) -> Result<Vec<T>> {
    let run = || {
        let a = Tensor::from_vec(a, (m, k), &Device::Cpu)?;
        let w = Tensor::from_vec(w, (n, k), &Device::Cpu)?;
        a.matmul(&w.t()?)?.flatten_all()?.to_vec1()
    };
    run().map_err(|e| Error::Unsupported(format!("candle could not multiply [{m}, {k}] by [{n}, {k}]: {e}")))
}

/// `Σ|a·w|` and `Σ(a·w)²` of every output, in f32 lanes: exact products, and sums more exact than a bound must be.
fn magnitudes(problem: &LinearProblem<'_>) -> Result<Vec<Magnitudes>> {
    let (a, w) = (problem.activations(), problem.weights());
    let mut out = output(problem.m(), problem.n(), Magnitudes::default())?;
    fill(&mut out, a.codes(), w.codes(), f32::from, |i, j, a_row, w_row| {
        let scale = (f64::from(a.scales()[i]) * f64::from(w.scales()[j])).abs();
        let sums = row_magnitudes(a_row, w_row);
        Magnitudes { absolute: scale * sums.absolute, squares: scale * scale * sums.squares }
    });
    Ok(out)
}

fn row_magnitudes(a: &[f32], w: &[f32]) -> Magnitudes {
    const LANES: usize = 16;
    let (mut absolute, mut squares) = ([0f32; LANES], [0f32; LANES]);
    for (a, w) in a.chunks(LANES).zip(w.chunks(LANES)) {
        for (((absolute, squares), &a), &w) in absolute.iter_mut().zip(&mut squares).zip(a).zip(w) {
            let term = (a * w).abs();
            *absolute += term;
            *squares += term * term;
        }
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
    Magnitudes { absolute: total(absolute), squares: total(squares) }
}

//! The oracle of plain loops: exact integers, then f64.

use super::bound;
use super::exact::{self, for_row_chunks, output};
use super::{Expected, FloatProblem, LinearProblem, Oracle};
use crate::format::int8::Codes;
use crate::{Error, Result};

/// Exact integer sums, scaled in f64; its bounds are the roundings of the kernels' epilogue and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct F64;

impl Oracle for F64 {
    fn name(&self) -> &'static str {
        "f64"
    }

    fn gemm_s8(&self, a: Codes<'_>, w: Codes<'_>) -> Result<Vec<i64>> {
        exact::gemm_s8(a, w)
    }

    fn linear(&self, problem: &LinearProblem<'_>) -> Result<Expected> {
        let acc = self.gemm_s8(problem.activations().codes(), problem.weights().codes())?;
        scale(problem, &acc)
    }

    /// Sums and epilogue in f64; the slack is what the kernel's instructions may lose of the sum, carried through the
    /// epilogue, and what the epilogue rounds in f32.
    fn gemm(&self, problem: &FloatProblem<'_>) -> Result<Expected> {
        problem.expected(&problem.sums()?, |_| 0.0)
    }
}

/// Scales exact sums `[M, N]` in f64.
///
/// Where the kernels leave the range of f32 on the way, so does this: a product of scales beyond f32 is infinite (and
/// NaN times a sum of 0), and a scaled sum beyond f32 is infinite before the bias is added.
pub(super) fn scale(problem: &LinearProblem<'_>, acc: &[i64]) -> Result<Expected> {
    let (m, n) = (problem.m(), problem.n());
    let mut values = output(m, n, 0f64)?;
    let mut slack = output(m, n, 0f64)?;
    for (at, &acc) in acc.iter().enumerate() {
        let t = through_f32_range(
            f64::from(problem.activations().scales()[at / n]) * f64::from(problem.weights().scales()[at % n]),
        );
        let product = acc as f64 * t;
        let (r, bias) = match problem.bias() {
            Some(bias) => (through_f32_range(product) + f64::from(bias[at % n]), true),
            None => (product, false),
        };
        values[at] = r;
        slack[at] = match bound::scaled_s8(acc, product, r, bias) {
            // The bias of a sum that may or may not have left the range of f32 says nothing.
            slack if bias && straddles_f32_range(product, slack) => f64::INFINITY,
            slack => slack,
        };
    }
    Expected::new(m, n, problem.output(), values, slack)
}

/// `value`, or infinity where rounding it to f32 gives that.
fn through_f32_range(value: f64) -> f64 {
    if (value as f32).is_infinite() { f64::INFINITY.copysign(value) } else { value }
}

fn straddles_f32_range(value: f64, slack: f64) -> bool {
    ((value.abs() + slack) as f32).is_infinite() && !((value.abs() - slack) as f32).is_infinite()
}

/// The product `Σₖ a[m, k] · w[n, k]` of unquantized numbers in f64, as `[M, N]`: what a quantized product stands for.
/// With
/// [`relative_rms`](super::relative_rms) it tells how much quantizing lost.
///
/// # Errors
/// [`Error::Shape`] when `a` is not `[m, k]` or `w` not `[n, k]`, or the output exceeds the memory of the host.
pub fn product(a: &[f32], w: &[f32], (m, n, k): (usize, usize, usize)) -> Result<Vec<f64>> {
    for (what, values, rows) in [("activations", a, m), ("weights", w, n)] {
        if rows.checked_mul(k) != Some(values.len()) {
            return Err(Error::Shape(format!("the {what} are [{rows}, {k}], but {} values were given", values.len())));
        }
    }
    let mut out = output(m, n, 0f64)?;
    if k == 0 {
        return Ok(out);
    }
    for_row_chunks(&mut out, m, n, k, |first, out| {
        for (block, w) in w.chunks(exact::ROW_BLOCK * k).enumerate() {
            for (out, a) in out.chunks_mut(n).zip(a.chunks_exact(k).skip(first)) {
                for (out, w) in out[block * exact::ROW_BLOCK..].iter_mut().zip(w.chunks_exact(k)) {
                    *out = dot(a, w);
                }
            }
        }
    });
    Ok(out)
}

/// In lanes of fixed number, so that the order of the sum, and with it the result, is the same on every machine.
pub(super) fn dot(a: &[f32], w: &[f32]) -> f64 {
    let mut lanes = [0f64; 8];
    for (a, w) in a.chunks(lanes.len()).zip(w.chunks(lanes.len())) {
        for ((lane, &a), &w) in lanes.iter_mut().zip(a).zip(w) {
            *lane += f64::from(a) * f64::from(w);
        }
    }
    lanes.iter().sum()
}

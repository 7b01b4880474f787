//! How far from the truth a right attention may be.

use super::{Attended, HeadProblem, state};
use crate::format::DType;
use crate::reference::bound::{Magnitudes, Rounding, U_F32, float_product};
use crate::reference::exact::{output, round_to};
use crate::{Error, Result};

/// Attention as a plain 16-bit program does it: the scale is put on the keys first, and every intermediate is rounded
/// to `dtype`: keys, scores, what the soft cap, slope and bias make of them, probabilities, and the output. Sums are
/// exact.
///
/// # Errors
/// As [`HeadProblem::check`]; [`Error::Unsupported`] when `dtype` is not f32, f16 or bf16.
pub fn twin(problem: &HeadProblem<'_>, dtype: DType) -> Result<Attended> {
    problem.check()?;
    Rounding::of(dtype)?;
    let round = |x: f64| f64::from(round_to(x as f32, dtype));
    let (sq, sk, d, dv) = problem.shape;
    let k: Vec<f32> = problem.k.iter().map(|&k| round_to(k * problem.scale, dtype)).collect();
    let mut twin = Attended { out: output(sq, dv, 0.0)?, lse: output(sq, 1, f64::NEG_INFINITY)? };
    for i in 0..sq {
        let q = &problem.q[i * d..(i + 1) * d];
        let mut scores: Vec<(usize, f64)> = Vec::new();
        for j in (0..sk).filter(|&j| problem.visible(i, j)) {
            let mut score = round(super::dot(q, &k[j * d..(j + 1) * d]));
            if let Some(cap) = problem.softcap.map(f64::from) {
                score = round(cap * round(round(score / cap).tanh()));
            }
            let (slope, bias) = problem.added(i, j);
            for (there, added) in [(problem.slope.is_some(), slope), (problem.bias.is_some(), bias)] {
                score = if there { round(score + round(added)) } else { score };
            }
            scores.push((j, score));
        }
        let sink = problem.sink.map_or(f64::NEG_INFINITY, |sink| round(sink.into()));
        let max = scores.iter().fold(sink, |max, &(_, score)| state::larger(max, score));
        if max == f64::NEG_INFINITY {
            continue;
        }
        let sum = (sink - max).exp() + scores.iter().map(|&(_, score)| (score - max).exp()).sum::<f64>();
        let out = &mut twin.out[i * dv..(i + 1) * dv];
        for &(j, score) in scores.iter().filter(|(_, score)| *score != f64::NEG_INFINITY) {
            let p = round((score - max).exp() / sum);
            for (out, &v) in out.iter_mut().zip(&problem.v[j * dv..(j + 1) * dv]) {
                *out += p * f64::from(v);
            }
        }
        out.iter_mut().for_each(|out| *out = round(*out));
        twin.lse[i] = max + sum.ln();
    }
    Ok(twin)
}

/// How far from `exact` an output of `dtype` may be, by the rule of the two references (FlashAttention,
/// tests/test_flash_attn.py): `r · max|twin − exact| + 2 · max|(exact + 0.3 − 0.3) − exact|`, the latter rounded to
/// `dtype` at every step. r is 2, and 3 with a soft cap. Both are what all heads of a case gave, one after the other.
///
/// # Errors
/// [`Error::Shape`] when the lengths differ; [`Error::Value`] for a number that is not finite, which would allow
/// anything; [`Error::Unsupported`] when `dtype` is not f32, f16 or bf16.
pub fn tolerance(exact: &[f64], twin: &[f64], dtype: DType, softcap: bool) -> Result<f64> {
    same_length(twin.len(), exact.len())?;
    Rounding::of(dtype)?;
    if let Some(at) = exact.iter().zip(twin).position(|(e, t)| !(e.is_finite() && t.is_finite())) {
        let (e, t) = (exact[at], twin[at]);
        return Err(Error::Value(format!("element {at} is {e} by the definition and {t} in {dtype}: no tolerance")));
    }
    let (mut twins, mut casts) = (0f64, 0f64);
    for (&exact, &twin) in exact.iter().zip(twin) {
        let cast = round_to(round_to(round_to(exact as f32, dtype) + 0.3, dtype) - 0.3, dtype);
        twins = twins.max((twin - exact).abs());
        casts = casts.max((f64::from(cast) - exact).abs());
    }
    let r = if softcap { 3.0 } else { 2.0 };
    Ok(r * twins + 2.0 * casts)
}

/// How far from `exact.lse` each row's log-sum-exp may be, `[sq]`.
///
/// `10⁻⁵ · max(1, |lse|)` covers the exponentials (`ex2.approx`: 2⁻²² of each), their sum and the logarithm. The scores
/// come on top: a log-sum-exp moves by no more than the score that moves most. With N = |qᵢ| · max |kⱼ| over the keys
/// that row i sees, which no `Σ|q·k|` exceeds, and u = 2⁻²⁴, a score's sum over d is off by `2·u·√d·N` in whatever
/// order ([`float_product`]), and scaling, the base of the exponential and each further step round it by 4·u of it in
/// all. A soft cap is `cap · (1 − 2 / (e^(2s / cap) + 1))` with an `ex2.approx` and an `rcp.approx`, which is off by
/// some 2⁻²² of the cap however small the score: 2⁻²⁰ of it. (`tanh.approx.f32`, off by 2⁻¹¹, is not good enough.)
///
/// # Errors
/// As [`HeadProblem::check`]; [`Error::Shape`] when `exact` is not of this problem.
pub fn lse_slack(problem: &HeadProblem<'_>, exact: &Attended) -> Result<Vec<f64>> {
    problem.check()?;
    let (sq, sk, d, _) = problem.shape;
    same_length(exact.lse.len(), sq)?;
    let norm = |row: &[f32]| super::dot(row, row).sqrt();
    let norms = |rows: &[f32], n: usize| (0..n).map(|i| norm(&rows[i * d..(i + 1) * d])).collect::<Vec<_>>();
    let (q, k) = (norms(problem.q, sq), norms(problem.k, sk));
    let slack = (0..sq).map(|i| {
        let (mut key, mut added) = (0f64, 0f64);
        for j in (0..sk).filter(|&j| problem.visible(i, j)) {
            let (slope, bias) = problem.added(i, j);
            key = key.max(k[j]);
            added = added.max(slope.abs() + if bias.is_finite() { bias.abs() } else { 0.0 });
        }
        let scale = f64::from(problem.scale);
        let size = q[i] * key;
        let sums = float_product(d, Magnitudes { absolute: size, squares: 0.0 }, 0.0, U_F32);
        let capped = problem.softcap.map_or(0.0, |cap| f64::from(cap) * 2f64.powi(-20));
        let scores = scale * sums + 4.0 * U_F32 * (scale * size + added) + capped;
        1e-5 * exact.lse[i].abs().clamp(1.0, f64::MAX) + scores
    });
    Ok(slack.collect())
}

/// How far an approximation is from the truth as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Σ a·e / (|a| |e|): 1 is best.
    pub cosine: f64,
    /// Σ|a − e| / Σ|e|
    pub relative_l1: f64,
    /// √(Σ(a − e)² / n)
    pub rmse: f64,
}

/// `approx` held against `exact` as a whole: a report, no test, for averages hide what a single element tells. Of two
/// arrays that are all zero or empty the cosine is 1 and the errors are 0.
///
/// # Errors
/// [`Error::Shape`] when the lengths differ.
pub fn accuracy<T: Copy + Into<f64>>(approx: &[T], exact: &[f64]) -> Result<Accuracy> {
    same_length(approx.len(), exact.len())?;
    let (mut ae, mut aa, mut ee, mut apart, mut size, mut squares) = (0f64, 0f64, 0f64, 0f64, 0f64, 0f64);
    for (&a, &e) in approx.iter().zip(exact) {
        let a: f64 = a.into();
        (ae, aa, ee) = (ae + a * e, aa + a * a, ee + e * e);
        (apart, size, squares) = (apart + (a - e).abs(), size + e.abs(), squares + (a - e).powi(2));
    }
    Ok(Accuracy {
        cosine: if aa == 0.0 && ee == 0.0 { 1.0 } else { ae / (aa.sqrt() * ee.sqrt()) },
        relative_l1: if apart == 0.0 { 0.0 } else { apart / size },
        rmse: (squares / exact.len().max(1) as f64).sqrt(),
    })
}

fn same_length(have: usize, want: usize) -> Result<()> {
    if have != want {
        return Err(Error::Shape(format!("{have} values cannot be held against {want}")));
    }
    Ok(())
}

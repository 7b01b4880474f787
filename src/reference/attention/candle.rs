//! Attention through candle's CPU tensors: an independent way to the same numbers.

use candle_core::{DType, Device, Result as Candle, Tensor};

use super::{Attended, HeadProblem};
use crate::{Error, Result};

/// Attention with scores and a softmax in f32, as candle's tensors do it; whatever the mask says becomes an additive
/// bias of −∞. So values of keys that are not seen take part with a weight of 0 and must be finite here.
///
/// # Errors
/// As [`HeadProblem::check`]; [`Error::Unsupported`] when candle cannot do it.
pub fn candle(problem: &HeadProblem<'_>) -> Result<Attended> {
    problem.check()?;
    let (sq, sk, d, dv) = problem.shape;
    if sq == 0 || sk == 0 || d == 0 || dv == 0 {
        return super::exact(problem);
    }
    let (out, lse) = tensors(problem)
        .map_err(|e| Error::Unsupported(format!("candle could not attend [{sq}, {sk}, {d}, {dv}]: {e}")))?;
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    Ok(Attended { out: wide(out), lse: wide(lse) })
}

fn tensors(problem: &HeadProblem<'_>) -> Candle<(Vec<f32>, Vec<f32>)> {
    let (sq, sk, d, dv) = problem.shape;
    let cpu = &Device::Cpu;
    let tensor = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, cpu);
    let (q, k, v) = (tensor(problem.q, (sq, d))?, tensor(problem.k, (sk, d))?, tensor(problem.v, (sk, dv))?);

    let mut scores = (q.matmul(&k.t()?)? * f64::from(problem.scale))?;
    if let Some(cap) = problem.softcap.map(f64::from) {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    let keys = Tensor::arange(0f32, sk as f32, cpu)?.reshape((1, sk))?;
    let positions = (Tensor::arange(0f32, sq as f32, cpu)?.reshape((sq, 1))? + (sk as f64 - sq as f64))?;
    let behind = positions.broadcast_sub(&keys)?;
    if let Some(slope) = problem.slope {
        scores = (scores - (behind.abs()? * f64::from(slope))?)?;
    }
    if let Some(bias) = problem.bias {
        scores = (scores + tensor(bias, (sq, sk))?)?;
    }

    let mut seen = Tensor::ones((sq, sk), DType::U8, cpu)?;
    if let Some(left) = problem.mask.left {
        let kept = keys.lt(problem.mask.keep_first as f32)?.broadcast_as((sq, sk))?;
        seen = (seen * behind.le(left as f32)?.maximum(&kept)?)?;
    }
    if let Some(right) = problem.mask.right {
        seen = (seen * behind.ge(-(right as f32))?)?;
    }
    if let Some(tree) = problem.mask.tree.filter(|tree| tree.keys > 0) {
        let bits = tree.words.iter().flat_map(|word| (0..32).map(move |bit| (word >> bit & 1) as u8));
        let bits = Tensor::from_vec(bits.collect::<Vec<_>>(), (sq, 32 * tree.words_per_row()), cpu)?;
        let before = Tensor::ones((sq, sk - tree.keys), DType::U8, cpu)?;
        seen = (seen * Tensor::cat(&[before, bits.narrow(1, 0, tree.keys)?], 1)?)?;
    }
    let zero = Tensor::zeros((sq, sk), DType::F32, cpu)?;
    scores = (scores + seen.where_cond(&zero, &Tensor::full(f32::NEG_INFINITY, (sq, sk), cpu)?)?)?;

    // The sink is one more key, whose value is 0.
    let (scores, v) = match problem.sink {
        None => (scores, v),
        Some(sink) => (
            Tensor::cat(&[scores, Tensor::full(sink, (sq, 1), cpu)?], 1)?,
            Tensor::cat(&[v, Tensor::zeros((1, dv), DType::F32, cpu)?], 0)?,
        ),
    };
    // Below every finite score, so that a row of −∞ gives weights of 0 and not of NaN.
    let max = scores.max_keepdim(1)?.maximum(f32::MIN)?;
    let weights = scores.broadcast_sub(&max)?.exp()?;
    let sum = weights.sum_keepdim(1)?;
    let out = weights.matmul(&v)?.broadcast_div(&sum.maximum(f32::MIN_POSITIVE)?)?;
    let lse = (sum.log()? + max)?;
    Ok((out.flatten_all()?.to_vec1()?, lse.flatten_all()?.to_vec1()?))
}

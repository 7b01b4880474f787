//! What attention in 8 bits should give, element by element: the definition in f64 on the numbers that codes and scales
//! stand for.

use halfbyte::format::{F8E4M3, Float};
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention::{HeadProblem, exact};
use halfbyte::reference::attention_quantize::{self as quantize, KEY_ORDER};

/// One head of one sequence, and how far a kernel may be from each of its numbers.
pub struct Dequantized {
    value_dim: usize,
    /// By row and channel.
    out: Vec<(f64, f64)>,
    /// By row.
    lse: Vec<(f64, f64)>,
}

impl Dequantized {
    /// Of the numbers before they are quantized, the mean that is taken from the keys, and the types of input and
    /// output; `values` for e4m3.
    pub fn new(problem: &HeadProblem<'_>, mean: Option<&[f32]>, values: bool, types: [Input; 2]) -> Dequantized {
        let (sq, sk, d, dv) = problem.shape;
        let rows = |x: &[f32], mean: Option<&[f32]>| -> Vec<f32> {
            let made = quantize::heads(x, d, mean).unwrap();
            made.codes.iter().enumerate().map(|(i, &code)| f32::from(code as i8) * made.scales[i / d]).collect()
        };
        let (q, k) = (rows(problem.q, None), rows(problem.k, mean));
        let v = if values { by_channel(problem.v, dv) } else { problem.v.to_vec() };
        let size = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let key_sizes: Vec<f64> = k.chunks(d).map(size).collect();

        // A score is `q · k` of the codes and `q · mean` of the query as it came; behind every value stands its
        // magnitude.
        let none = vec![0.0; d];
        let mean = mean.unwrap_or(&none);
        let beside = |a: &[f32], b: &dyn Fn(usize) -> Vec<f32>, n: usize| -> Vec<f32> {
            a.chunks(n).enumerate().flat_map(|(i, row)| [row.to_vec(), b(i)].concat()).collect()
        };
        let joined_q = beside(&q, &|i| problem.q[i * d..(i + 1) * d].to_vec(), d);
        let joined_k = beside(&k, &|_| mean.to_vec(), d);
        let joined_v = beside(&v, &|j| v[j * dv..(j + 1) * dv].iter().map(|v| v.abs()).collect(), dv);
        let shape = (sq, sk, 2 * d, 2 * dv);
        let want = exact(&HeadProblem { q: &joined_q, k: &joined_k, v: &joined_v, shape, ..*problem }).unwrap();

        // Half a step of P, or of its least numbers.
        let half_step = |of: Input| 2f64.powi(if of == Input::Bf16 { -8 } else { -11 });
        let (step, least) =
            if values { (2f64.powi(-4), 2f64.powi(-18)) } else { (half_step(types[0]), 2f64.powi(-25)) };
        let scale = f64::from(problem.scale);
        let cap = problem.softcap.map_or(0.0, f64::from);
        let (mut out, mut lse) = (Vec::new(), Vec::new());
        for (i, (shift, of_shift)) in quantize::shift(problem.q, d, mean).unwrap().into_iter().enumerate() {
            let seen: Vec<usize> = (0..sk).filter(|&j| problem.visible(i, j)).collect();
            let most = |of: &dyn Fn(usize) -> f64| seen.iter().map(|&j| of(j)).fold(0.0, f64::max);
            let distance = |j: usize| (i as f64 + sk as f64 - sq as f64 - j as f64).abs();
            let slope = problem.slope.map_or(0.0, |slope| f64::from(slope.abs()) * most(&distance));
            let bias = problem.bias.map_or(0.0, |bias| most(&|j| bias[i * sk + j].abs().into()));
            let product = size(&q[i * d..(i + 1) * d]) * most(&|j| key_sizes[j]) + shift.abs();
            // A dequantized number is rounded to f32 here, and a score some times there; then come exponentials.
            let scores = 2f64.powi(-20) * (4.0 + scale * product + slope + bias + cap) + scale * of_shift;
            lse.push((want.lse[i], scores + 1e-5));
            for c in 0..dv {
                let (number, magnitude) = (want.out[i * 2 * dv + c], want.out[i * 2 * dv + dv + c]);
                let lost = least * seen.len() as f64 * most(&|j| v[j * dv + c].abs().into());
                let rounded = half_step(types[1]) * number.abs() + 2f64.powi(-25);
                out.push((number, (step + scores) * magnitude + lost + rounded));
            }
        }
        Dequantized { value_dim: dv, out, lse }
    }

    /// Holds `[queries, value_dim]` and `[queries]` against it; a row that sees nothing is exactly 0 and −∞. The worst
    /// error by what is allowed.
    pub fn hold(&self, what: &str, out: &[f32], lse: &[f32]) -> f64 {
        assert_eq!((out.len(), lse.len()), (self.out.len(), self.lse.len()), "{what}");
        let mut worst = 0f64;
        for (i, (&got, &(want, slack))) in lse.iter().zip(&self.lse).enumerate() {
            let error = if f64::from(got) == want { 0.0 } else { (f64::from(got) - want).abs() };
            assert!(error <= slack, "{what}: lse of row {i} is {got}, not {want} within {slack}");
            worst = worst.max(error / slack);
        }
        for (at, (&got, &(want, slack))) in out.iter().zip(&self.out).enumerate() {
            let (i, c) = (at / self.value_dim, at % self.value_dim);
            let slack = if self.lse[i].0 == f64::NEG_INFINITY { 0.0 } else { slack };
            let error = (f64::from(got) - want).abs();
            assert!(error <= slack, "{what}: channel {c} of row {i} is {got}, not {want} within {slack}");
            worst = worst.max(if error == 0.0 { 0.0 } else { error / slack });
        }
        worst
    }
}

/// `[keys, dim]` as codes of e4m3 with a scale of each channel give it back.
fn by_channel(v: &[f32], dim: usize) -> Vec<f32> {
    let made = quantize::values(v, dim).unwrap();
    let (keys, pitch) = (v.len() / dim, made.codes.len() / dim);
    let mut back = vec![0.0; v.len()];
    for (i, &code) in made.codes.iter().enumerate() {
        let (channel, at) = (i / pitch, i % pitch);
        let key = at / 16 * 16 + KEY_ORDER[at % 16];
        if key < keys {
            back[key * dim + channel] = F8E4M3::from_bits(code).to_f32() * made.scales[channel];
        }
    }
    back
}

//! Attention of one sequence and head: its definition in f64, other ways to the same numbers, and how far a kernel may
//! be.
//!
//! - [`State`]: the algebra of partial results, (max, sum, output) with a neutral element and a merge.
//! - [`HeadProblem`]: what is asked; [`exact`] answers it by the definition, and `candle` (feature `candle`) through
//!   tensors with a softmax in f32.
//! - [`twin`]: the same in 16 bits, roundings and all; [`tolerance`] is the rule of the two references that is made of
//!   it, and [`lse_slack`] the bound of the log-sum-exp. [`Comparison::within`](super::Comparison::within) holds
//!   results against them.
//! - [`Accuracy`]: how far an approximation is as a whole, for what is quantized.
//!
//! ```text
//! s(i, j) = scale · Σ_d q[i, d] k[j, d]
//! softcap : s = cap · tanh(s / cap)
//! slope   : s -= slope · |p - j|,  p = i + sk - sq
//! bias    : s += bias[i, j]
//! out[i]  = Σ_visible exp(s) v[j] / D,   lse[i] = ln D,   D = Σ_visible exp(s) + exp(sink)
//! ```
//!
//! The last query stands at the last key. A row with nothing to attend to and no sink gives 0 and −∞.

#[cfg(feature = "candle")]
mod candle;
mod rule;
mod state;

#[cfg(feature = "candle")]
pub use candle::candle;
pub use rule::{Accuracy, accuracy, lse_slack, tolerance, twin};
pub use state::State;

use super::exact::output;
use super::f64::dot;
use crate::{Error, Result};

/// Which of the last keys each query sees: the tokens of a tree, each of which sees its ancestors and itself.
#[derive(Clone, Copy, Debug)]
pub struct TreeMask<'a> {
    /// How many of the last keys have a bit; all keys before them are seen.
    pub keys: usize,
    /// `[sq, ⌈keys / 32⌉]`: bit `c % 32` of word `c / 32` is key `sk - keys + c`.
    pub words: &'a [u32],
}

impl TreeMask<'_> {
    /// Words of a row.
    pub fn words_per_row(&self) -> usize {
        self.keys.div_ceil(32)
    }
}

/// Which keys a query sees. The default sees all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mask<'a> {
    /// Keys before the query's own position that it sees; `None` for all.
    pub left: Option<usize>,
    /// Keys after it; `Some(0)` is causal, `None` for all.
    pub right: Option<usize>,
    /// First keys that stay visible whatever `left` says (`right` holds for them too).
    pub keep_first: usize,
    /// Which of the last keys are seen, besides.
    pub tree: Option<TreeMask<'a>>,
}

impl Mask<'_> {
    /// Whether query `i` of `sq` sees key `j` of `sk`. A bit of a tree beyond its words counts as not set.
    pub fn visible(&self, (i, j): (usize, usize), (sq, sk): (usize, usize)) -> bool {
        if j >= sk {
            return false;
        }
        let distance = i as i128 + sk as i128 - sq as i128 - j as i128;
        let near = self.left.is_none_or(|left| distance <= left as i128) || j < self.keep_first;
        let early = self.right.is_none_or(|right| -distance <= right as i128);
        near && early && self.tree.is_none_or(|tree| in_tree(&tree, i, j, sk))
    }
}

fn in_tree(tree: &TreeMask<'_>, i: usize, j: usize, sk: usize) -> bool {
    let Some(bit) = (j + tree.keys).checked_sub(sk) else { return true };
    let word = i.checked_mul(tree.words_per_row()).and_then(|first| tree.words.get(first + bit / 32));
    word.is_some_and(|word| word >> (bit % 32) & 1 == 1)
}

/// Attention of one sequence and head, on the very values that the kernel's input holds.
#[derive(Clone, Copy, Debug)]
pub struct HeadProblem<'a> {
    /// Queries `[sq, d]`.
    pub q: &'a [f32],
    /// Keys `[sk, d]`.
    pub k: &'a [f32],
    /// Values `[sk, dv]`.
    pub v: &'a [f32],
    /// (sq, sk, d, dv).
    pub shape: (usize, usize, usize, usize),
    /// What a product of a query and a key is multiplied with: finite, not negative.
    pub scale: f32,
    /// Scores are bent to stay between −cap and cap: finite, above 0.
    pub softcap: Option<f32>,
    /// ALiBi: what a score loses for each key between the query's position and the key. Finite.
    pub slope: Option<f32>,
    /// What is added to the scores, `[sq, sk]`.
    pub bias: Option<&'a [f32]>,
    /// The score of one more key, which has no value. Not NaN, not +∞.
    pub sink: Option<f32>,
    /// Which keys each query sees.
    pub mask: Mask<'a>,
}

impl<'a> HeadProblem<'a> {
    /// Plain attention: every query sees every key, and scores are only scaled. Set the other fields as needed.
    pub fn new(
        q: &'a [f32],
        k: &'a [f32],
        v: &'a [f32],
        shape: (usize, usize, usize, usize),
        scale: f32,
    ) -> HeadProblem<'a> {
        HeadProblem { q, k, v, shape, scale, softcap: None, slope: None, bias: None, sink: None, mask: Mask::default() }
    }

    /// Whether query `i` sees key `j`.
    pub fn visible(&self, i: usize, j: usize) -> bool {
        self.mask.visible((i, j), (self.shape.0, self.shape.1))
    }

    /// Everything fits together.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array that is not as long as the shape says; [`Error::Value`] for a scale, cap, slope or
    /// sink that is no such thing.
    pub fn check(&self) -> Result<()> {
        let (sq, sk, d, dv) = self.shape;
        let matrices = [("queries", self.q, sq, d), ("keys", self.k, sk, d), ("values", self.v, sk, dv)];
        let bias = self.bias.map(|bias| ("bias", bias, sq, sk));
        for (what, values, rows, cols) in matrices.into_iter().chain(bias) {
            length(what, values.len(), rows, cols)?;
        }
        if let Some(tree) = self.mask.tree {
            if tree.keys > sk {
                return Err(Error::Shape(format!("the tree mask is of {} keys, but there are {sk}", tree.keys)));
            }
            length("words of the tree mask", tree.words.len(), sq, tree.words_per_row())?;
        }
        let right = |what: &str, value: f32, rule: &str, holds: bool| match holds {
            true => Ok(()),
            false => Err(Error::Value(format!("the {what} is {value}, but must be {rule}"))),
        };
        right("scale", self.scale, "finite and not negative", self.scale.is_finite() && self.scale >= 0.0)?;
        let (cap, slope, sink) = (self.softcap.unwrap_or(1.0), self.slope.unwrap_or(0.0), self.sink.unwrap_or(0.0));
        right("soft cap", cap, "finite and above 0", cap.is_finite() && cap > 0.0)?;
        right("slope", slope, "finite", slope.is_finite())?;
        right("sink", sink, "a number or -inf", sink < f32::INFINITY)
    }

    /// What is added to a product of query `i` and key `j` after the soft cap, as (distance term, bias).
    fn added(&self, i: usize, j: usize) -> (f64, f64) {
        let (sq, sk, ..) = self.shape;
        let distance = (i as i128 + sk as i128 - sq as i128 - j as i128).unsigned_abs() as f64;
        let slope = self.slope.map_or(0.0, |slope| -f64::from(slope) * distance);
        (slope, self.bias.map_or(0.0, |bias| bias[i * sk + j].into()))
    }

    /// The score of query `i` and key `j` in f64.
    fn score(&self, i: usize, j: usize) -> f64 {
        let d = self.shape.2;
        let scaled = f64::from(self.scale) * dot(&self.q[i * d..(i + 1) * d], &self.k[j * d..(j + 1) * d]);
        let capped = self.softcap.map_or(scaled, |cap| f64::from(cap) * (scaled / f64::from(cap)).tanh());
        let (slope, bias) = self.added(i, j);
        capped + slope + bias
    }
}

fn length(what: &str, have: usize, rows: usize, cols: usize) -> Result<()> {
    if rows.checked_mul(cols) != Some(have) {
        return Err(Error::Shape(format!("the {what} are [{rows}, {cols}], but {have} were given")));
    }
    Ok(())
}

/// What attention gives for one head.
#[derive(Clone, Debug, PartialEq)]
pub struct Attended {
    /// `[sq, dv]`
    pub out: Vec<f64>,
    /// `[sq]`: the logarithm of the sum of exponentials.
    pub lse: Vec<f64>,
}

/// Attention by its definition, in f64. A key that no query may see is not read, so it may hold anything.
///
/// # Errors
/// As [`HeadProblem::check`].
pub fn exact(problem: &HeadProblem<'_>) -> Result<Attended> {
    problem.check()?;
    let (sq, sk, _, dv) = problem.shape;
    let mut attended = Attended { out: output(sq, dv, 0.0)?, lse: output(sq, 1, f64::NEG_INFINITY)? };
    let mut scores: Vec<(usize, f64)> = Vec::with_capacity(sk);
    for i in 0..sq {
        scores.clear();
        scores.extend((0..sk).filter(|&j| problem.visible(i, j)).map(|j| (j, problem.score(i, j))));
        let sink = problem.sink.map_or(f64::NEG_INFINITY, f64::from);
        let max = scores.iter().fold(sink, |max, &(_, score)| state::larger(max, score));
        if max == f64::NEG_INFINITY {
            continue;
        }
        let out = &mut attended.out[i * dv..(i + 1) * dv];
        let mut sum = (sink - max).exp();
        for &(j, score) in &scores {
            let p = (score - max).exp();
            // A score of −∞ is a key that is not there, whatever its value holds.
            if p == 0.0 && score == f64::NEG_INFINITY {
                continue;
            }
            sum += p;
            for (out, &v) in out.iter_mut().zip(&problem.v[j * dv..(j + 1) * dv]) {
                *out += p * f64::from(v);
            }
        }
        out.iter_mut().for_each(|out| *out /= sum);
        attended.lse[i] = max + sum.ln();
    }
    Ok(attended)
}

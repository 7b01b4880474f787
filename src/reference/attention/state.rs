//! The algebra of partial attention.

/// What is known of a row of attention after some of its keys: with scores sⱼ and values vⱼ, `max` is their greatest
/// score, `sum` is `Σ exp(sⱼ - max)` and `output` is `Σ exp(sⱼ - max) vⱼ`.
///
/// [`merge`](Self::merge) joins what is known of two sets of keys. It is associative and commutative up to rounding,
/// and [`neutral`](Self::neutral) changes nothing, so keys may be taken in any order and in any parts.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The greatest score; −∞ of no key.
    pub max: f64,
    /// Σ exp(score − max)
    pub sum: f64,
    /// `[dv]`: Σ exp(score − max) · value
    pub output: Vec<f64>,
}

impl State {
    /// What is known of no key, with values of `dv` numbers.
    pub fn neutral(dv: usize) -> State {
        State { max: f64::NEG_INFINITY, sum: 0.0, output: vec![0.0; dv] }
    }

    /// Of one key. A score of −∞ is none.
    pub fn of(score: f64, value: &[f64]) -> State {
        State::finished(value, score)
    }

    /// Of a sink: a score without a value.
    pub fn sink(score: f64, dv: usize) -> State {
        State::of(score, &vec![0.0; dv])
    }

    /// Of keys of which only what [`finish`](Self::finish) gave is known. With an `lse` of −∞ the output is not looked
    /// at.
    pub fn finished(out: &[f64], lse: f64) -> State {
        match lse == f64::NEG_INFINITY {
            true => State::neutral(out.len()),
            false => State { max: lse, sum: 1.0, output: out.to_vec() },
        }
    }

    /// Of both sets of keys. Where the outputs differ in length, the shorter counts as zeros beyond its end.
    pub fn merge(&self, other: &State) -> State {
        let max = larger(self.max, other.max);
        let (a, b) = (weight(self.max, max), weight(other.max, max));
        let term = |output: &[f64], weight: f64, at: usize| match output.get(at) {
            // Zero times an infinite output would be NaN.
            Some(&value) if weight != 0.0 => weight * value,
            _ => 0.0,
        };
        let dv = self.output.len().max(other.output.len());
        let output = (0..dv).map(|at| term(&self.output, a, at) + term(&other.output, b, at)).collect();
        State { max, sum: a * self.sum + b * other.sum, output }
    }

    /// The row of the output `[dv]`, and the log-sum-exp: 0 and −∞ of no key.
    pub fn finish(&self) -> (Vec<f64>, f64) {
        if self.max == f64::NEG_INFINITY {
            return (vec![0.0; self.output.len()], f64::NEG_INFINITY);
        }
        (self.output.iter().map(|output| output / self.sum).collect(), self.max + self.sum.ln())
    }
}

/// exp(score − max), and 0 for −∞ of −∞.
fn weight(score: f64, max: f64) -> f64 {
    if score == f64::NEG_INFINITY { 0.0 } else { (score - max).exp() }
}

/// The larger of both; NaN when one is, unlike [`f64::max`].
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

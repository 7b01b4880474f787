//! Products of floats with all that goes with them, and how far from the truth a right kernel may be.

use super::bound::{self, Magnitudes, Near, Rounding, TINY_F32};
use super::exact::output;
use super::groups::Groups;
use super::{Expected, product};
use crate::format::DType;
use crate::{Error, Result};

/// How the instruction of a kernel adds up products, and what it loses by that.
///
/// The tensor cores of an H100 cut every term off at 2^(E − 25), E the greatest exponent among the terms of one
/// instruction and its addend, add the rest exactly, and cut the sum off after 24 bits. The emulator does the same, and
/// `tests/golden` holds it to that GPU, bit for bit. `wgmma` of 8-bit floats cuts at 2^(E − 13) and keeps 14 bits. What
/// other GPUs do has not been measured: should the 8-bit `mma` of an sm_89 GPU, which multiplies 8-bit floats itself,
/// keep as little as `wgmma` does, then [`wgmma`](Accumulation::wgmma) is what to hold it to.
///
/// An instruction of `d` terms whose magnitudes, with the addend's, are at most A loses less than `(d + 1) · 2⁻²⁵ · A`
/// by cutting terms, for 2^E ≤ A, and `2⁻²³ · A` by cutting the sum. E is counted from exponents, and that of a
/// subnormal factor is the least of its type: factors below the least normal number count as that in A. A partial sum
/// of another part of K is added in f32 and loses `2⁻²⁴ · A` at most; there are no more of them than instructions.
///
/// On everything recorded there, the H100 loses at most 0.42 of what is allowed here for one instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accumulation {
    /// Terms of one instruction.
    depth: usize,
    /// What an instruction and the addition of a partial sum may lose, at most, of `Σ|a·b|`.
    step: f64,
    /// What one conversion of a sum may lose, relative to the sum: twice the unit roundoff u_acc.
    loss: f64,
    /// Factors other than 0 that are smaller count as this.
    least: f64,
    /// Sums of integers are exact while `Σ|a·b|` is at most this.
    exact: f64,
}

impl Accumulation {
    /// `mma.sync` with factors of these types and f32 accumulators: f16 by f16, bf16 by bf16, 8-bit floats in any
    /// pairing.
    ///
    /// 16-bit factors: 16 terms and one conversion, `17 + 4` units of 2⁻²⁵, and 2 for a partial sum; u_acc is 2⁻²⁴.
    /// 8-bit factors, as an H100 does them: two sums of 16 terms, the second on top of the first, from zero, and one
    /// rounding when the addend is added: `16 + 4`, `17 + 4`, 2, and 2 for a partial sum; u_acc the same.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other pairs of types.
    pub fn mma(a: DType, b: DType) -> Result<Self> {
        let unit = power_of_two(-25);
        let (least, eight) = factors(a, b)?;
        let (depth, units) = if eight { (32, 45.0) } else { (16, 23.0) };
        Ok(Accumulation { depth, step: units * unit, loss: power_of_two(-23), least, exact: power_of_two(24) })
    }

    /// `wgmma` with factors of these types and f32 accumulators; the types are those of [`mma`](Self::mma).
    ///
    /// 16-bit factors as `mma`. 8-bit factors: 32 terms and an addend, cut at 2⁻¹³, and a sum that is cut there: 34
    /// units of 2⁻¹³, and a fraction for a partial sum; u_acc is 2⁻¹⁴.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other pairs of types.
    pub fn wgmma(a: DType, b: DType) -> Result<Self> {
        let (least, eight) = factors(a, b)?;
        if !eight {
            return Self::mma(a, b);
        }
        let (unit, exact) = (power_of_two(-13), power_of_two(14));
        Ok(Accumulation { depth: 32, step: 34.5 * unit, loss: unit, least, exact })
    }

    /// Integer products of bytes, exact in s32: what the sums of groups of K are made of.
    pub fn s8() -> Self {
        Accumulation { depth: 32, step: 0.0, loss: 0.0, least: 0.0, exact: power_of_two(31) - 1.0 }
    }

    /// `fma.rn.f32`, one term after the other or in several sums: one rounding a term, and one for a partial sum; u_acc
    /// is 2⁻²⁴.
    pub fn fma() -> Self {
        let unit = power_of_two(-24);
        Accumulation { depth: 1, step: 2.0 * unit, loss: 2.0 * unit, least: 0.0, exact: power_of_two(24) }
    }

    /// The greatest n, at most 4, such that sums of K products of integers from −n to n are exact in any order; 0 when
    /// K is too large even for 1. Such integers are numbers of every type.
    pub fn exact_integers(&self, k: usize) -> i32 {
        (1..=4).rev().find(|n| f64::from(n * n) * k as f64 <= self.exact).unwrap_or(0)
    }

    /// The greatest `Σ|a·b|`, as a multiple of what all terms are multiples of, at which a sum is exact in any order.
    pub(super) fn exact(&self) -> f64 {
        self.exact
    }

    /// What a sum of `k` terms may lose.
    fn slack(&self, terms: Terms, k: usize, absolute: f64) -> f64 {
        let steps = k.div_ceil(self.depth) as f64;
        let relative = match terms {
            Terms::ZeroMean => bound::float_product(k, Magnitudes { absolute, squares: 0.0 }, 0.0, self.loss / 2.0),
            Terms::Any => steps * self.step * absolute,
        };
        // Below the normal range, a conversion loses up to the least f32; there are at most four of them in a step. The
        // factor covers the f64 roundings of the sum itself and squares of units.
        1.001 * relative + 8.0 * steps * TINY_F32
    }
}

/// What is known of the terms of a sum, which decides how its losses add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terms {
    /// Independent, of mean zero: `2 · u_acc · √K · Σ|a·b|`. Not a worst case, but one that does not happen.
    #[default]
    ZeroMean,
    /// Anything, such as terms of one sign: what all instructions together lose at worst, in proportion to K.
    Any,
}

/// A product of floats on given data:
/// `d[m, n] = α · (Σₖ a[m, k] · b[n, k]) · scale_row[m] · scale_col[n] + β · c[m, n] + bias[n]`.
///
/// The operands are numbers already: an operand of 16 or 8 bits comes widened, which is exact.
#[derive(Clone, Copy, Debug)]
pub struct FloatProblem<'a> {
    shape: (usize, usize, usize),
    a: &'a [f32],
    b: &'a [f32],
    alpha: f32,
    c: Option<(f32, &'a [f32])>,
    scale_row: Option<&'a [f32]>,
    scale_col: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
    groups: Option<Groups<'a>>,
    output: DType,
    accumulation: Accumulation,
    terms: Terms,
}

impl<'a> FloatProblem<'a> {
    /// The plain product of `a` `[M, K]` and `b` `[N, K]`, both row-major and contiguous, for `shape` = (M, N, K),
    /// summed as `accumulation` says and rounded to `output`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the operands are not as long as the shape says; [`Error::Unsupported`] when `output` is
    /// not f32, f16 or bf16.
    pub fn new(
        shape: (usize, usize, usize),
        a: &'a [f32],
        b: &'a [f32],
        accumulation: Accumulation,
        output: DType,
    ) -> Result<Self> {
        let (m, n, k) = shape;
        check_matrix("a", a, (m, k))?;
        check_matrix("b", b, (n, k))?;
        Rounding::of(output)?;
        let (alpha, terms) = (1.0, Terms::ZeroMean);
        let (c, scale_row, scale_col, bias, groups) = (None, None, None, None, None);
        Ok(FloatProblem { shape, a, b, alpha, c, scale_row, scale_col, bias, groups, output, accumulation, terms })
    }

    /// The product times α.
    pub fn alpha(self, alpha: f32) -> Self {
        FloatProblem { alpha, ..self }
    }

    /// With β · `c` added, `c` `[M, N]`; it is added even where β is 0.
    ///
    /// # Errors
    /// [`Error::Shape`] when `c` is not `[M, N]`.
    pub fn plus(self, beta: f32, c: &'a [f32]) -> Result<Self> {
        check_matrix("c", c, (self.m(), self.n()))?;
        Ok(FloatProblem { c: Some((beta, c)), ..self })
    }

    /// With a scale for every row, `[M]`, or one for all, `[1]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for any other number of scales.
    pub fn scale_rows(self, scales: &'a [f32]) -> Result<Self> {
        check_scales("rows", scales, "M", self.m())?;
        Ok(FloatProblem { scale_row: Some(scales), ..self })
    }

    /// With a scale for every column, `[N]`, or one for all, `[1]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for any other number of scales.
    pub fn scale_cols(self, scales: &'a [f32]) -> Result<Self> {
        check_scales("columns", scales, "N", self.n())?;
        Ok(FloatProblem { scale_col: Some(scales), ..self })
    }

    /// With a bias `[N]` added.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is not N long.
    pub fn bias(self, bias: &'a [f32]) -> Result<Self> {
        if bias.len() != self.n() {
            return Err(Error::Shape(format!("the bias holds {} values, but N = {}", bias.len(), self.n())));
        }
        Ok(FloatProblem { bias: Some(bias), ..self })
    }

    /// Summed by groups of `len` terms of K, the last of which may have fewer:
    /// `Σ_g a_g[m] · b_g[n] · Σ_{k in g} a[m, k] · b[n, k]` takes the place of the sum. Scales of a are
    /// `[M, ⌈K / len⌉]`, of b `[N, ⌈K / len⌉]`; absent ones are 1.
    ///
    /// # Errors
    /// [`Error::Shape`] for groups of nothing, and for any other number of scales.
    pub fn groups(self, len: usize, a: Option<&'a [f32]>, b: Option<&'a [f32]>) -> Result<Self> {
        Ok(FloatProblem { groups: Some(Groups::new(len, a, b, self.shape)?), ..self })
    }

    /// With terms of which this is known; of mean zero unless said otherwise.
    pub fn terms(self, terms: Terms) -> Self {
        FloatProblem { terms, ..self }
    }

    /// Rows of the output: M.
    pub fn m(&self) -> usize {
        self.shape.0
    }

    /// Columns of the output: N.
    pub fn n(&self) -> usize {
        self.shape.1
    }

    /// Terms of each sum: K.
    pub fn k(&self) -> usize {
        self.shape.2
    }

    /// `a` `[M, K]`.
    pub fn a(&self) -> &'a [f32] {
        self.a
    }

    /// `b` `[N, K]`.
    pub fn b(&self) -> &'a [f32] {
        self.b
    }

    /// The type of the output.
    pub fn output(&self) -> DType {
        self.output
    }

    /// How its sums are made.
    pub fn accumulation(&self) -> Accumulation {
        self.accumulation
    }

    /// The true sums `[M, N]`, in f64.
    pub(super) fn sums(&self) -> Result<Vec<f64>> {
        match self.groups {
            Some(groups) => groups.sums(self.a, self.b, self.shape, |scale| scale),
            None => product(self.a, self.b, self.shape),
        }
    }

    /// The groups of K, if it is summed by such.
    pub(super) fn by_groups(&self) -> Option<Groups<'a>> {
        self.groups
    }

    /// `Σₖ |a · b|` `[M, N]`, with the factors as large as `accumulation` counts them.
    pub(super) fn absolute(&self, accumulation: Accumulation) -> Result<Vec<f64>> {
        let sizes = |values| sizes(values, accumulation);
        match self.groups {
            Some(groups) => groups.sums(&sizes(self.a), &sizes(self.b), self.shape, f64::abs),
            None => product(&sizes(self.a), &sizes(self.b), self.shape),
        }
    }

    /// `Σ|a · b|` `[M, N]` of each group of K, unscaled.
    pub(super) fn absolute_of_groups(&self) -> Result<Vec<Vec<f64>>> {
        let sizes = |values| sizes(values, self.accumulation);
        let mut all = Vec::new();
        if let Some(groups) = self.groups {
            groups.parts(&sizes(self.a), &sizes(self.b), self.shape, |_, part| {
                all.push(part);
                Ok(())
            })?;
        }
        Ok(all)
    }

    /// What the kernel may lose of a sum whose terms have these magnitudes in all. By groups, each loses its own, and
    /// the sum of the groups is rounded once for each, as is the product of two scales; a partial sum of another part
    /// of K once more.
    fn slack(&self, absolute: f64) -> f64 {
        let k = self.k();
        match self.groups {
            None => self.accumulation.slack(self.terms, k, absolute),
            Some(groups) => {
                let roundings = k.div_ceil(groups.len) as f64 + 3.0;
                self.accumulation.slack(self.terms, k.min(groups.len), absolute)
                    + 1.001 * roundings * bound::U_F32 * absolute
            }
        }
    }

    /// The epilogue of one element, by what kind of number it is done in: [`Near`] or f32.
    pub(super) fn epilogue<T>(&self, at: usize, sum: T, number: impl Fn(f32) -> T, ops: Ops<T>) -> T {
        let (i, j) = (at / self.n(), at % self.n());
        let scale = |scales: Option<&[f32]>, i: usize| {
            number(scales.map_or(1.0, |scales| if scales.len() == 1 { scales[0] } else { scales[i] }))
        };
        let t = (ops.times)(scale(self.scale_row, i), scale(self.scale_col, j));
        let mut v = (ops.times)(number(self.alpha), (ops.times)(sum, t));
        if let Some((beta, c)) = self.c {
            v = (ops.plus)(v, (ops.times)(number(beta), number(c[at])));
        }
        if let Some(bias) = self.bias {
            v = (ops.plus)(v, number(bias[j]));
        }
        v
    }

    /// What follows from sums that a kernel may be off from by its own losses, and by `more` of each element.
    pub(super) fn expected(&self, sums: &[f64], more: impl Fn(usize) -> f64) -> Result<Expected> {
        let (m, n, _) = self.shape;
        let absolute = self.absolute(self.accumulation)?;
        let mut values = output(m, n, 0f64)?;
        let mut slack = output(m, n, 0f64)?;
        for (at, (&sum, &absolute)) in sums.iter().zip(&absolute).enumerate() {
            let sum = Near::within(sum, self.slack(absolute) + more(at));
            let v = self.epilogue(at, sum, Near::exactly, Ops { times: Near::times, plus: Near::plus });
            (values[at], slack[at]) = (v.value, v.slack);
        }
        Expected::new(m, n, self.output, values, slack)
    }

    /// What candle's f32 product, itself a sum of roundings, may be off by, element by element.
    #[cfg(feature = "candle")]
    pub(super) fn slack_of_f32(&self) -> Result<Vec<f64>> {
        let how = Accumulation::fma();
        // Scaled operands were rounded.
        let rounded = if self.groups.is_some() { 2.0 * bound::U_F32 } else { 0.0 };
        let slack = |absolute| how.slack(self.terms, self.k(), absolute) + 1.001 * rounded * absolute;
        Ok(self.absolute(how)?.into_iter().map(slack).collect())
    }
}

/// The magnitudes of factors as large as `accumulation` counts them. (`max` takes the number of a number and a NaN;
/// only sums that are NaN themselves have one here.)
fn sizes(values: &[f32], accumulation: Accumulation) -> Vec<f32> {
    let least = accumulation.least as f32;
    values.iter().map(|x| if *x == 0.0 { 0.0 } else { x.abs().max(least) }).collect()
}

/// The two operations of an epilogue, each rounded once.
pub(super) struct Ops<T> {
    pub times: fn(T, T) -> T,
    pub plus: fn(T, T) -> T,
}

/// The least normal number of either factor's type, the larger of the two, and whether they are of 8 bits.
fn factors(a: DType, b: DType) -> Result<(f64, bool)> {
    match (a, b) {
        (DType::F16, DType::F16) => Ok((power_of_two(-14), false)),
        (DType::Bf16, DType::Bf16) => Ok((power_of_two(-126), false)),
        (DType::E5m2, DType::E5m2) => Ok((power_of_two(-14), true)),
        (DType::E4m3 | DType::E5m2, DType::E4m3 | DType::E5m2) => Ok((power_of_two(-6), true)),
        _ => Err(Error::Unsupported(format!("tensor cores do not multiply {a} by {b} into f32"))),
    }
}

fn power_of_two(exponent: i32) -> f64 {
    f64::powi(2.0, exponent)
}

fn check_matrix(what: &str, values: &[f32], (rows, cols): (usize, usize)) -> Result<()> {
    if rows.checked_mul(cols) != Some(values.len()) {
        return Err(Error::Shape(format!("{what} is [{rows}, {cols}], but {} values were given", values.len())));
    }
    Ok(())
}

fn check_scales(what: &str, scales: &[f32], size: &str, len: usize) -> Result<()> {
    if scales.len() != len && scales.len() != 1 {
        let have = scales.len();
        return Err(Error::Shape(format!("{have} scales of {what} were given; {size} = {len} or 1 are needed")));
    }
    Ok(())
}

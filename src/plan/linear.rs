//! Plans of a linear layer with int8 weights: quantize the rows of `x`, multiply, scale and add the bias.
//!
//! Two launches that meet in the scratch buffer: the codes and scales of `x`, then what the product itself
//! needs. One buffer of [`scratch_bound`] bytes serves every smaller problem.

use std::fmt;
use std::ops::Range;

use super::DeviceFacts;
use super::gemm_s8::{self, GemmS8Plan, GemmS8Problem, Output, SCRATCH_ALIGN};
use super::quantize_rows::{self, Input, QuantizeRowsPlan, QuantizeRowsProblem};
use crate::{Error, Result};

/// Rows of codes start at multiples of this many bytes: the kernels copy 16 at a time.
pub const CODES_ALIGN: usize = 16;

/// `out[m, n] = x[m, k] · w[n, k]ᵀ + bias[n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinearProblem {
    /// Rows of `x` and of the output.
    pub m: usize,
    /// Rows of the weight, columns of the output.
    pub n: usize,
    /// Columns of `x` and of the weight.
    pub k: usize,
    /// Type of `x`.
    pub input: Input,
    /// Type of the output, a floating one.
    pub out: Output,
}

impl LinearProblem {
    /// True when the output has no element, so that nothing is launched.
    pub const fn is_empty(&self) -> bool {
        self.m == 0 || self.n == 0
    }

    fn gemm(&self) -> GemmS8Problem {
        GemmS8Problem { m: self.m, n: self.n, k: self.k, out: self.out }
    }

    fn check(&self) -> Result<()> {
        if self.out.scaled() {
            return Ok(());
        }
        Err(Error::Unsupported(format!("a linear layer writes f32, f16 or bf16, not {}", self.out)))
    }

    /// Bytes of one row of codes. K is checked before this is called.
    const fn codes_ld(&self) -> usize {
        self.k.next_multiple_of(CODES_ALIGN)
    }
}

impl fmt::Display for LinearProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}] {} x [{}, {}]^T s8 -> {}", self.m, self.k, self.input, self.n, self.k, self.out)
    }
}

/// How one linear layer is computed. Private fields: only [`plan`] and [`join`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinearPlan {
    problem: LinearProblem,
    quantize: QuantizeRowsPlan,
    gemm: GemmS8Plan,
}

impl LinearPlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &LinearProblem {
        &self.problem
    }

    /// The first launch: `x` to codes and scales.
    pub const fn quantize(&self) -> &QuantizeRowsPlan {
        &self.quantize
    }

    /// The second launch: the product.
    pub const fn gemm(&self) -> &GemmS8Plan {
        &self.gemm
    }

    /// Bytes of one row of codes: K rounded up to [`CODES_ALIGN`].
    pub const fn codes_ld(&self) -> usize {
        self.problem.codes_ld()
    }

    /// Bytes of the scratch that hold the codes of `x`, `[m, codes_ld]`.
    pub const fn codes(&self) -> Range<usize> {
        if self.problem.is_empty() {
            return 0..0;
        }
        0..self.problem.m * self.codes_ld()
    }

    /// Bytes of the scratch that hold the scales of `x`, f32 `[m]`.
    pub const fn scales(&self) -> Range<usize> {
        if self.problem.is_empty() {
            return 0..0;
        }
        let start = self.codes().end.next_multiple_of(SCRATCH_ALIGN);
        start..start + 4 * self.problem.m
    }

    /// Bytes of the scratch that the product uses, laid out as [`GemmS8Plan`] says.
    pub const fn gemm_scratch(&self) -> Range<usize> {
        let start = self.scales().end.next_multiple_of(SCRATCH_ALIGN);
        start..start + self.gemm.scratch_bytes()
    }

    /// Bytes of scratch that a run needs, at an address aligned to [`SCRATCH_ALIGN`].
    pub const fn scratch_bytes(&self) -> usize {
        self.gemm_scratch().end
    }
}

impl fmt::Display for LinearPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; {} bytes scratch in all", self.quantize, self.gemm, self.scratch_bytes())
    }
}

/// The plan of least estimated time. Pure and free of allocation.
///
/// # Errors
/// As [`gemm_s8::plan`] and [`quantize_rows::plan`]; [`Error::Unsupported`] for an s32 output.
pub fn plan(problem: &LinearProblem, facts: &DeviceFacts) -> Result<LinearPlan> {
    problem.check()?;
    let gemm = gemm_s8::plan(&problem.gemm(), facts)?;
    let rows = if problem.is_empty() { 0 } else { problem.m };
    let quantize = quantize_rows::plan(&QuantizeRowsProblem { rows, cols: problem.k, input: problem.input }, facts)?;
    Ok(LinearPlan { problem: *problem, quantize, gemm })
}

/// The plan made of two given ones, as from [`gemm_s8::candidates`].
///
/// # Errors
/// [`Error::Shape`] when the plans do not solve one linear layer of one device.
pub fn join(quantize: &QuantizeRowsPlan, gemm: &GemmS8Plan) -> Result<LinearPlan> {
    let (q, g) = (quantize.problem(), gemm.problem());
    let rows = if g.is_empty() { 0 } else { g.m };
    if (q.rows, q.cols) != (rows, g.k) || quantize.facts() != gemm.facts() {
        return Err(Error::Shape(format!(
            "a plan for {q} and a plan for {g} do not make one linear layer of one device"
        )));
    }
    let problem = LinearProblem { m: g.m, n: g.n, k: g.k, input: q.input, out: g.out };
    problem.check()?;
    Ok(LinearPlan { problem, quantize: *quantize, gemm: *gemm })
}

/// Scratch bytes that cover [`plan`] of every problem whose M, N and K are at most those of `max`, of
/// whatever types, on this device.
///
/// # Errors
/// As [`plan`] of `max`.
pub fn scratch_bound(max: &LinearProblem, facts: &DeviceFacts) -> Result<usize> {
    max.check()?;
    let gemm = gemm_s8::scratch_bound(&max.gemm(), facts)?;
    if max.is_empty() {
        return Ok(0);
    }
    // K and M have been checked: each product below is under 2^49.
    let quantized =
        (max.m * max.codes_ld()).next_multiple_of(SCRATCH_ALIGN) + (4 * max.m).next_multiple_of(SCRATCH_ALIGN);
    quantized.checked_add(gemm).ok_or_else(|| Error::Shape(format!("the scratch of {max} exceeds the address space")))
}

//! Exact integer products, and the linear layer rounded just as the kernels round it.

use std::thread;

use half::{bf16, f16};

use super::gemm::Ops;
use super::{FloatProblem, LinearProblem, check_k};
use crate::format::DType;
use crate::format::int8::Codes;
use crate::{Error, Result};

/// K is summed in i32 in segments of this many terms: 2¹⁶ products of at most 2¹⁴ stay below 2³¹.
const SEGMENT: usize = 1 << 16;

/// Rows of weights that are widened together and stay in cache while every row of activations passes.
pub(super) const ROW_BLOCK: usize = 32;

/// Below this many multiply-adds another thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 22;

/// The exact product `Σₖ a[m, k] · w[n, k]` as `[M, N]`, for any K.
///
/// # Errors
/// [`Error::Shape`] when the K of both differ or M · N exceeds the address space.
pub fn gemm_s8(a: Codes<'_>, w: Codes<'_>) -> Result<Vec<i64>> {
    check_k(a, w)?;
    let mut out = output(a.rows(), w.rows(), 0i64)?;
    fill(&mut out, a, w, i16::from, |_, _, a, w| dot(a, w));
    Ok(out)
}

/// The exact product as the 32-bit accumulators hold it.
///
/// # Errors
/// As [`gemm_s8`]; [`Error::Value`] naming the first element that leaves 32 bits.
pub fn gemm_s8_i32(a: Codes<'_>, w: Codes<'_>) -> Result<Vec<i32>> {
    let wide = gemm_s8(a, w)?;
    let narrow = wide.iter().enumerate().map(|(at, &sum)| {
        i32::try_from(sum).map_err(|_| {
            let (row, col) = (at / w.rows(), at % w.rows());
            Error::Value(format!("the sum at row {row}, column {col} is {sum}, which 32 bits cannot hold"))
        })
    });
    narrow.collect()
}

/// The linear layer as the kernels make it, rounding by rounding, each value given as the f32 that equals it:
///
/// ```text
/// t = scale_row · scale_col          f32, rounded to nearest even
/// v = f32(acc) · t                   two roundings
/// v = v + bias                       one rounding, no fused multiply-add
/// out = v rounded to the output type, to nearest even; beyond its range, infinity
/// ```
///
/// # Errors
/// As [`gemm_s8_i32`].
pub fn linear(problem: &LinearProblem<'_>) -> Result<Vec<f32>> {
    let acc = gemm_s8_i32(problem.activations().codes(), problem.weights().codes())?;
    epilogue(problem, &acc)
}

/// The epilogue of [`linear`] on given accumulators `[M, N]`.
///
/// # Errors
/// [`Error::Shape`] when there are not M · N accumulators.
pub fn epilogue(problem: &LinearProblem<'_>, acc: &[i32]) -> Result<Vec<f32>> {
    let (m, n) = (problem.m(), problem.n());
    if Some(acc.len()) != m.checked_mul(n) {
        return Err(Error::Shape(format!("[{m}, {n}] outputs cannot be made of {} accumulators", acc.len())));
    }
    let mut out = output(m, n, 0f32)?;
    for (at, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        let t = problem.activations().scales()[at / n] * problem.weights().scales()[at % n];
        let mut v = acc as f32 * t;
        if let Some(bias) = problem.bias() {
            v += bias[at % n];
        }
        *out = round_to(v, problem.output());
    }
    Ok(out)
}

/// The product of floats as the kernels make it where its sums are exact in any order, each value given as the f32 that
/// equals it:
///
/// ```text
/// t = scale_row · scale_col          one rounding; an absent scale is 1
/// v = f32(sum) · t                   one rounding
/// v = α · v                          one rounding
/// v = v + β · c                      two roundings, no fused multiply-add
/// v = v + bias                       one rounding
/// out = v rounded to the output type, to nearest even; beyond its range, infinity
/// ```
///
/// # Errors
/// [`Error::Value`] naming the first sum that may not be exact: the terms of row m and column n are multiples of the
/// product of the last bits of that row of a and that row of b, and `Σ|a·b|` exceeds what the accumulator holds of
/// these (2²⁴, or 2¹⁴ of them with 8-bit floats and `wgmma`). [`Error::Shape`] when the output exceeds the memory of
/// the host.
pub fn gemm(problem: &FloatProblem<'_>) -> Result<Vec<f32>> {
    if problem.by_groups().is_some() {
        return gemm_by_groups(problem, problem.k().max(1));
    }
    let (sums, absolute) = (problem.sums()?, problem.absolute(problem.accumulation())?);
    all_exact(problem, &[absolute])?;
    gemm_epilogue(problem, &sums.iter().map(|&sum| sum as f32).collect::<Vec<_>>())
}

/// The same by groups of K, which the kernels add in their order, with K in slices of `k_slice` terms:
///
/// ```text
/// t = a_g · b_g                      one rounding; an absent scale is 1
/// s = fma(f32(sum of group g), t, s) one rounding, from the first group of a slice to its last
/// sum = sum of the slices' s         one rounding for each slice after the first
/// ```
///
/// # Errors
/// As [`gemm`], for the sum of each group; [`Error::Shape`] when the problem has no groups or `k_slice` cuts one.
pub fn gemm_by_groups(problem: &FloatProblem<'_>, k_slice: usize) -> Result<Vec<f32>> {
    let (m, n, k) = (problem.m(), problem.n(), problem.k());
    let Some(groups) = problem.by_groups() else {
        return Err(Error::Shape("the product is not summed by groups of K".into()));
    };
    if k_slice == 0 || (k_slice < k && !k_slice.is_multiple_of(groups.len)) {
        return Err(Error::Shape(format!("slices of {k_slice} cut groups of {} terms of K", groups.len)));
    }
    all_exact(problem, &problem.absolute_of_groups()?)?;
    let count = k.div_ceil(groups.len);
    let mut sums = output(m, n, 0f32)?;
    let mut slice = output(m, n, 0f32)?;
    groups.parts(problem.a(), problem.b(), (m, n, k), |group, parts| {
        let starts = group > 0 && (group * groups.len).is_multiple_of(k_slice);
        if starts {
            for (sum, slice) in sums.iter_mut().zip(&mut slice) {
                // The first slice is the sum so far.
                *sum = if group * groups.len == k_slice { *slice } else { *sum + *slice };
                *slice = 0.0;
            }
        }
        for (at, (slice, part)) in slice.iter_mut().zip(parts).enumerate() {
            let [x, y] = groups.scales((at / n, at % n), group, count);
            *slice = (part as f32).mul_add(x * y, *slice);
        }
        Ok(())
    })?;
    if k <= k_slice {
        sums = slice;
    } else {
        sums.iter_mut().zip(slice).for_each(|(sum, slice)| *sum += slice);
    }
    gemm_epilogue(problem, &sums)
}

/// Whether sums with these magnitudes, `[M, N]` of each group of K, are exact in any order, or the first that may not
/// be.
fn all_exact(problem: &FloatProblem<'_>, groups: &[Vec<f64>]) -> Result<()> {
    let (n, k) = (problem.n(), problem.k());
    let last_bits = |values: &[f32]| values.chunks_exact(k.max(1)).map(last_bit).collect::<Vec<f64>>();
    let (a, b) = (last_bits(problem.a()), last_bits(problem.b()));
    let sums = groups.iter().flat_map(|group| group.iter().enumerate());
    for (at, &absolute) in sums.filter(|_| k > 0) {
        let (row, col) = (at / n, at % n);
        let unit = a[row] * b[col];
        // The least f32 is 2⁻¹⁴⁹.
        let exact = absolute == 0.0 || (absolute <= problem.accumulation().exact() * unit && unit >= 2f64.powi(-149));
        if !exact {
            return Err(Error::Value(format!(
                "the sum at row {row}, column {col} may be inexact: Σ|a·b| = {absolute:e}, in multiples of {unit:e}"
            )));
        }
    }
    Ok(())
}

/// The epilogue of [`gemm`] on given sums `[M, N]`.
///
/// # Errors
/// [`Error::Shape`] when there are not M · N sums.
pub fn gemm_epilogue(problem: &FloatProblem<'_>, sums: &[f32]) -> Result<Vec<f32>> {
    let (m, n) = (problem.m(), problem.n());
    if Some(sums.len()) != m.checked_mul(n) {
        return Err(Error::Shape(format!("[{m}, {n}] outputs cannot be made of {} sums", sums.len())));
    }
    let mut out = output(m, n, 0f32)?;
    for (at, (out, &sum)) in out.iter_mut().zip(sums).enumerate() {
        let v = problem.epilogue(at, sum, |x| x, Ops { times: |x, y| x * y, plus: |x, y| x + y });
        *out = round_to(v, problem.output());
    }
    Ok(out)
}

/// The greatest power of two that all numbers of a row are multiples of; 1 for zeros, NaN when one is not finite.
fn last_bit(row: &[f32]) -> f64 {
    let one = |&x: &f32| {
        let (exponent, fraction) = ((x.to_bits() >> 23 & 0xff) as i32, x.to_bits() & 0x7f_ffff);
        match exponent {
            0xff => f64::NAN,
            0 => 2f64.powi(-149 + fraction.trailing_zeros() as i32),
            _ => 2f64.powi(exponent - 150 + (fraction | 1 << 23).trailing_zeros() as i32),
        }
    };
    let least = |least: f64, bit: f64| if bit.is_nan() || bit < least { bit } else { least };
    let bit = row.iter().filter(|x| **x != 0.0).map(one).fold(f64::INFINITY, least);
    if bit == f64::INFINITY { 1.0 } else { bit }
}

/// `value` rounded to nearest even in `dtype`, as an f32. Integer types leave it as it is.
pub fn round_to(value: f32, dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::from_f32(value).to_f32(),
        DType::Bf16 => bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

/// An `[m, n]` output filled with `value`, or the error that says why it cannot be had.
pub(super) fn output<T: Copy>(m: usize, n: usize, value: T) -> Result<Vec<T>> {
    let too_large = || Error::Shape(format!("[{m}, {n}] outputs exceed the memory of the host"));
    let len = m.checked_mul(n).ok_or_else(too_large)?;
    let mut out = Vec::new();
    out.try_reserve_exact(len).map_err(|_| too_large())?;
    out.resize(len, value);
    Ok(out)
}

/// Runs `work(first row, rows)` over disjoint row ranges of an `[m, n]` output, on all cores when that is worth it.
pub(super) fn for_row_chunks<T: Send>(
    out: &mut [T],
    m: usize,
    n: usize,
    k: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (out.len().saturating_mul(k) / WORTH_A_THREAD).clamp(1, cores);
    let rows = m.div_ceil(threads);
    thread::scope(|scope| {
        let mut chunks = out.chunks_mut(rows * n).enumerate();
        let here = chunks.next();
        for (index, chunk) in chunks {
            let work = &work;
            scope.spawn(move || work(index * rows, chunk));
        }
        if let Some((_, chunk)) = here {
            work(0, chunk);
        }
    });
}

/// Fills an `[M, N]` output with `cell(m, n, row m of a, row n of w)`; leaves it alone when K = 0. Codes are widened
/// once a block, so that the inner loop of `cell` is a multiply-add.
pub(super) fn fill<W: Copy + Default, T: Send>(
    out: &mut [T],
    a: Codes<'_>,
    w: Codes<'_>,
    widen: impl Fn(i8) -> W + Sync,
    cell: impl Fn(usize, usize, &[W], &[W]) -> T + Sync,
) {
    let (n, k) = (w.rows(), w.cols());
    if k == 0 {
        return;
    }
    let widen = |codes: &[i8], wide: &mut [W]| wide.iter_mut().zip(codes).for_each(|(wide, &code)| *wide = widen(code));
    for_row_chunks(out, a.rows(), n, k, |first, out| {
        let mut a_row = vec![W::default(); k];
        let mut w_rows = vec![W::default(); ROW_BLOCK.min(n) * k];
        for block in (0..n).step_by(ROW_BLOCK) {
            let width = ROW_BLOCK.min(n - block);
            for (wide, codes) in w_rows.chunks_exact_mut(k).zip(w.iter().skip(block).take(width)) {
                widen(codes, wide);
            }
            for (row, codes) in a.iter().enumerate().skip(first).take(out.len() / n) {
                widen(codes, &mut a_row);
                let out = &mut out[(row - first) * n + block..][..width];
                for (j, (out, w_row)) in out.iter_mut().zip(w_rows.chunks_exact(k)).enumerate() {
                    *out = cell(row, block + j, &a_row, w_row);
                }
            }
        }
    });
}

fn dot(a: &[i16], w: &[i16]) -> i64 {
    let segments = a.chunks(SEGMENT).zip(w.chunks(SEGMENT));
    segments.map(|(a, w)| i64::from(a.iter().zip(w).map(|(&a, &w)| i32::from(a) * i32::from(w)).sum::<i32>())).sum()
}

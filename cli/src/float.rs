//! Products of floats, alone or scaled and added to: exact where sums are exact, within every reference's bound
//! elsewhere.

use std::time::Duration;

use halfbyte::format::{DType, Float};
use halfbyte::op::{Addend, Gemm, GemmArgs, GemmElement, OutputElement, Strided};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates, plan};
use halfbyte::reference::sample::{Sample, widened};
use halfbyte::reference::{Accumulation, Comparison, FloatProblem, exact, oracles};
use halfbyte::{Error, Result};

use crate::ran::{Place, Ran, explain};
use crate::shapes::Shape;

const ALPHA: f32 = -0.75;
const BETA: f32 = 0.5;

/// The operands and what the product is to be, of one kind of data.
struct Data<A, B, O> {
    a: Vec<A>,
    b: Vec<B>,
    c: Vec<O>,
    scale_row: Vec<f32>,
    scale_col: Vec<f32>,
    bias: Vec<f32>,
}

/// Runs the product by the plan that is chosen, or by every kernel with K whole, in two slices and in as many as four,
/// in each direction of K that there is.
///
/// # Errors
/// An error of the device or of a reference, or a plan whose result is wrong.
pub fn gemm<A, B, O>(shape: Shape, seed: &str, place: &Place, every: bool) -> Result<Ran>
where
    A: GemmElement + Float,
    B: GemmElement + Float,
    O: OutputElement + Float,
{
    let Shape { m, n, k, .. } = shape;
    let (a_type, b_type) = (<A as Float>::DTYPE, <B as Float>::DTYPE);
    let accumulation = Accumulation::mma(a_type, b_type)?;
    let (mut exact_part, mut bounded) = (Comparison::default(), Vec::new());
    let (mut took, mut kernels, mut plans) = (Duration::ZERO, Vec::new(), 0);
    for integers in [true, false] {
        let mut sample = Sample::new(&format!("{seed} {integers}"));
        let most = accumulation.exact_integers(k.max(1));
        let data = Data::<A, B, O> {
            a: if integers { sample.integers(m * k, most) } else { sample.floats(m, k) },
            b: if integers { sample.integers(n * k, most) } else { sample.floats(n, k) },
            c: sample.floats(m, n),
            scale_row: sample.scales(m),
            scale_col: sample.scales(n),
            bias: sample.floats(1, n),
        };
        let (a, b, c) = (widened(&data.a), widened(&data.b), widened(&data.c));
        let truth = FloatProblem::new((m, n, k), &a, &b, accumulation, <O as Float>::DTYPE)?
            .alpha(ALPHA)
            .plus(BETA, &c)?
            .scale_rows(&data.scale_row)?
            .scale_cols(&data.scale_col)?
            .bias(&data.bias)?;
        let bits = if integers { exact::gemm(&truth)? } else { Vec::new() };
        let mut expected = Vec::new();
        for oracle in oracles().iter().filter(|_| !integers) {
            expected.push((oracle.name(), oracle.gemm(&truth)?));
        }
        let sixteen = matches!(a_type, DType::F16 | DType::Bf16);
        let ways: &[(bool, bool)] = match every && sixteen {
            true => &[(false, false), (true, false), (false, true), (true, true)],
            false => &[(false, false)],
        };
        for &(a_down, b_down) in ways {
            let operands = (Operand { dtype: a_type, k_down: a_down }, Operand { dtype: b_type, k_down: b_down });
            let problem = GemmProblem { a: operands.0, b: operands.1, ..GemmProblem::new(m, n, k, a_type, O::OUTPUT) };
            let facts = place.device.facts();
            let chosen: Vec<GemmPlan> = match every {
                true => candidates(&problem, facts).filter(|plan| matches!(plan.split_k(), 1 | 2 | 4)).collect(),
                false => vec![plan(&problem, facts)?],
            };
            for plan in chosen {
                let (got, time) = run(place, &plan, &data)?;
                took += time;
                plans += 1;
                let kernel = plan.geometry().map_or("", |g| g.entry.row().symbol);
                if !kernels.contains(&kernel) {
                    kernels.push(kernel);
                }
                if integers {
                    let comparison = Comparison::same_bits(&got, &bits, n)?;
                    if !comparison.passed() {
                        return Err(Error::Value(format!("{plan}: {}", explain("exact", &comparison))));
                    }
                    exact_part = exact_part.and(comparison);
                }
                for (name, expected) in &expected {
                    let comparison = expected.compare(&got)?;
                    if !comparison.passed() {
                        return Err(Error::Value(format!("{plan}: {}", explain(name, &comparison))));
                    }
                    match bounded.iter_mut().find(|(known, _): &&mut (&str, Comparison)| known == name) {
                        Some((_, all)) => *all = all.and(comparison),
                        None => bounded.push((*name, comparison)),
                    }
                }
            }
        }
    }
    let kernel = match kernels[..] {
        [one] if !every => one.to_string(),
        _ => format!("{plans} runs of {} kernels", kernels.len()),
    };
    Ok(Ran { kernel, took, exact: exact_part, bounded, quantization_error: None })
}

/// One run of a plan: the output, and how long it took.
fn run<A, B, O>(place: &Place, plan: &GemmPlan, data: &Data<A, B, O>) -> Result<(Vec<f32>, Duration)>
where
    A: GemmElement + Float,
    B: GemmElement + Float,
    O: OutputElement + Float,
{
    let GemmProblem { m, n, k, a, b, .. } = *plan.problem();
    let stream = &place.stream;
    let op = Gemm::new(&place.device, a, b)?;
    let (at_a, lda) = laid(&data.a, m, k, a.k_down);
    let (at_b, ldb) = laid(&data.b, n, k, b.k_down);
    let (at_a, at_b) = (stream.upload(&at_a)?, stream.upload(&at_b)?);
    let at_c = stream.upload(&data.c)?;
    let (rows, cols) = (stream.upload(&data.scale_row)?, stream.upload(&data.scale_col)?);
    let bias = stream.upload(&data.bias)?;
    let mut d = stream.upload(&vec![O::from_f32(f32::NAN); m * n])?;
    let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
    let took = stream.time(|stream| {
        let args = GemmArgs {
            alpha: ALPHA,
            beta: BETA,
            c: Addend::Matrix(Strided { view: at_c.view(), ld: n, stride: 0 }),
            scale_row: Some(rows.view()),
            scale_col: Some(cols.view()),
            bias: Some(bias.view()),
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(
                Strided { view: at_a.view(), ld: lda, stride: 0 },
                Strided { view: at_b.view(), ld: ldb, stride: 0 },
                d.view_mut().matrix(m, n, n)?,
            )
        };
        op.run(plan, stream, args)
    })?;
    Ok((stream.download(&d)?.into_iter().map(O::to_f32).collect(), took))
}

/// `[rows, k]` as the operand lies, and its leading dimension.
fn laid<T: Copy>(values: &[T], rows: usize, k: usize, down: bool) -> (Vec<T>, usize) {
    match down {
        false => (values.to_vec(), k),
        true => ((0..k).flat_map(|step| (0..rows).map(move |row| values[row * k + step])).collect(), rows),
    }
}

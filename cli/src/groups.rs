//! Products by groups of K: int8 with a scale for each row and group of both operands, and fp8 with scales by row and
//! group of the activations and by blocks of 128 x 128 of the weights. Exact where the sums of groups are, within every
//! bound.

use std::time::Duration;

use halfbyte::format::{DType, F8E4M3, Float};
use halfbyte::op::{Gemm, GemmArgs, GemmElement, GroupScales, OutputElement, SharedBy};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates, plan};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{Accumulation, Comparison, FloatProblem, exact, oracles};
use halfbyte::{Error, Result};

use crate::ran::{Place, Ran, explain};
use crate::shapes::Shape;

/// An operand's element: int8, or a float of 8 bits.
pub trait Eight: GemmElement {
    /// The element that equals a small integer.
    fn integer(value: i32) -> Self;
    /// The nearest element; of int8 what is left of a number between −1 and 1 in 127 steps.
    fn near(value: f32) -> Self;
    /// The number that it is.
    fn wide(self) -> f32;
    /// How its products are summed within a group, and the greatest integer that is tried.
    fn sums() -> Result<(Accumulation, i32)>;
}

impl Eight for i8 {
    fn integer(value: i32) -> i8 {
        value as i8
    }
    fn near(value: f32) -> i8 {
        (value.clamp(-1.0, 1.0) * 127.0) as i8
    }
    fn wide(self) -> f32 {
        self.into()
    }
    fn sums() -> Result<(Accumulation, i32)> {
        Ok((Accumulation::s8(), 127))
    }
}

impl Eight for F8E4M3 {
    fn integer(value: i32) -> F8E4M3 {
        Float::from_f32(value as f32)
    }
    fn near(value: f32) -> F8E4M3 {
        Float::from_f32(value)
    }
    fn wide(self) -> f32 {
        Float::to_f32(self)
    }
    fn sums() -> Result<(Accumulation, i32)> {
        Ok((Accumulation::mma(DType::E4m3, DType::E4m3)?, 4))
    }
}

/// Runs the product by the plan that is chosen, or by every kernel with K whole, in two slices and in as many as four.
///
/// # Errors
/// An error of the device or of a reference, or a plan whose result is wrong.
pub fn gemm<T: Eight, O: OutputElement + Float>(
    shape: Shape,
    group: usize,
    weights: SharedBy,
    seed: &str,
    place: &Place,
    every: bool,
) -> Result<Ran> {
    let Shape { m, n, k, .. } = shape;
    let (accumulation, most) = T::sums()?;
    let operand = Operand::new(T::DTYPE);
    let op = Gemm::grouped(&place.device, operand, operand)?;
    let problem = GemmProblem { k_group: Some(group), ..GemmProblem::new(m, n, k, T::DTYPE, O::OUTPUT) };
    let facts = place.device.facts();
    let chosen: Vec<GemmPlan> = match every {
        true => candidates(&problem, facts).filter(|plan| matches!(plan.split_k(), 1 | 2 | 4)).collect(),
        false => vec![plan(&problem, facts)?],
    };
    let (count, block) = (k.div_ceil(group), if weights == SharedBy::Block128 { 128 } else { 1 });
    let mut ran = Ran {
        kernel: String::new(),
        took: Duration::ZERO,
        exact: Comparison::default(),
        bounded: Vec::new(),
        quantization_error: None,
    };
    let mut kernels = Vec::new();
    for integers in [true, false] {
        let mut sample = Sample::new(&format!("{seed} {integers}"));
        let mut numbers = |rows: usize| -> Vec<T> {
            match integers {
                true => (0..rows * k).map(|_| T::integer(sample.integer(-most, most))).collect(),
                false => sample.matrix(rows, k).into_iter().map(T::near).collect(),
            }
        };
        let (a, b) = (numbers(m), numbers(n));
        let scales_a: Vec<f32> = sample.scales(m * count);
        let scales_b: Vec<f32> = sample.scales(n.div_ceil(block) * count);
        let each_b: Vec<f32> = (0..n * count).map(|at| scales_b[at / count / block * count + at % count]).collect();
        let [wide_a, wide_b] = [&a, &b].map(|values| values.iter().map(|x| x.wide()).collect::<Vec<f32>>());
        let truth = FloatProblem::new((m, n, k), &wide_a, &wide_b, accumulation, <O as Float>::DTYPE)?;
        let truth = truth.groups(group, Some(&scales_a), Some(&each_b))?;
        let mut expected = Vec::new();
        for oracle in oracles() {
            expected.push((oracle.name(), oracle.gemm(&truth)?));
        }
        let stream = &place.stream;
        let (at_a, at_b) = (stream.upload(&a)?, stream.upload(&b)?);
        let (at_scales_a, at_scales_b) = (stream.upload(&scales_a)?, stream.upload(&scales_b)?);
        for plan in &chosen {
            let mut d = stream.upload(&vec![O::from_f32(f32::NAN); m * n])?;
            let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
            ran.took += stream.time(|stream| {
                let lines = n.div_ceil(block);
                let args = GemmArgs {
                    groups_a: Some(GroupScales::new(at_scales_a.view().matrix(m, count, count)?, SharedBy::Row)),
                    groups_b: Some(GroupScales::new(at_scales_b.view().matrix(lines, count, count)?, weights)),
                    scratch: Some(scratch.view_mut()),
                    ..GemmArgs::new(
                        at_a.view().matrix(m, k, k)?,
                        at_b.view().matrix(n, k, k)?,
                        d.view_mut().matrix(m, n, n)?,
                    )
                };
                op.run(plan, stream, args)
            })?;
            let kernel = plan.geometry().map_or("", |g| g.entry.row().symbol);
            if !kernels.contains(&kernel) {
                kernels.push(kernel);
            }
            let got: Vec<f32> = stream.download(&d)?.into_iter().map(O::to_f32).collect();
            let wrong = |name: &str, c: &Comparison| Error::Value(format!("{plan}: {}", explain(name, c)));
            if integers {
                let bits = exact::gemm_by_groups(&truth, plan.k_slice().max(1) as usize)?;
                let comparison = Comparison::same_bits(&got, &bits, n)?;
                if !comparison.passed() {
                    return Err(wrong("exact", &comparison));
                }
                ran.exact = ran.exact.and(comparison);
            }
            for (name, expected) in &expected {
                let comparison = expected.compare(&got)?;
                if !comparison.passed() {
                    return Err(wrong(name, &comparison));
                }
                match ran.bounded.iter_mut().find(|(known, _): &&mut (&str, Comparison)| known == name) {
                    Some((_, all)) => *all = all.and(comparison),
                    None => ran.bounded.push((*name, comparison)),
                }
            }
        }
    }
    ran.kernel = match kernels[..] {
        [one] if !every => one.to_string(),
        _ => format!("{} runs of {} kernels", 2 * chosen.len(), kernels.len()),
    };
    Ok(ran)
}

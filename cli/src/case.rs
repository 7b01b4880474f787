//! One group of cases: the same numbers through each operation, with everything that the references expect of them.

use std::time::Duration;

use half::{bf16, f16};
use halfbyte::device::Status;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};
use halfbyte::op::{
    GemmS8, GemmS8Args, InputElement, Linear, LinearArgs, OutputElement, QuantizeRows, QuantizeRowsArgs, SharedBy,
};
use halfbyte::plan::gemm_s8::{self, GemmS8Plan, GemmS8Problem, Output};
use halfbyte::reference::{Comparison, Expected, LinearProblem, exact, oracles, product, relative_rms, sample::Sample};
use halfbyte::{Error, Result};

use crate::float;
use crate::groups;
use crate::model::Matrix;
use crate::operation::Operation;
use crate::quantize;
use crate::ran::{About, Place, Ran, explain};
use crate::report::CaseResult;
use crate::shapes::Shape;

/// Where weights come from.
pub enum Weights {
    /// Gaussian, every row of another size.
    Synthetic,
    /// Real ones, read when their turn comes.
    Real(Matrix),
}

/// The same numbers through several operations.
pub struct Group {
    /// The product's size.
    pub shape: Shape,
    /// Type of the input and of the output of the layer.
    pub dtype: DType,
    /// The weights.
    pub weights: Weights,
    /// What to run.
    pub operations: &'static [Operation],
}

impl Group {
    /// What a case is called: what `--only` looks at, and the seed of its data.
    pub fn label(&self, operation: Operation, place: &Place) -> String {
        self.about(operation).label(place)
    }

    fn about(&self, operation: Operation) -> About {
        About {
            op: operation.name(),
            format: self.format(operation),
            shape: self.sizes(operation),
            data: self.data().to_string(),
        }
    }

    fn format(&self, operation: Operation) -> String {
        let float = self.dtype;
        match operation {
            Operation::QuantizeRows | Operation::Quantize => format!("{float} -> s8"),
            Operation::QuantizeFp8 => format!("{float} -> e4m3"),
            Operation::GemmS8 | Operation::EveryKernel => "s8 x s8 -> s32".into(),
            Operation::Linear => format!("{float} x s8 -> {float}"),
            Operation::Gemm | Operation::GemmEveryKernel if float == DType::Bf16 => "bf16 x bf16 -> bf16".into(),
            Operation::Gemm | Operation::GemmEveryKernel => format!("f16 x f16 -> {float}"),
            Operation::GemmFp8 | Operation::GemmFp8EveryKernel => format!("e4m3 x e5m2 -> {float}"),
            Operation::Groups | Operation::GroupsEveryKernel => format!("s8 x s8 by {} -> {float}", self.group()),
            Operation::Blocks | Operation::BlocksEveryKernel => format!("e4m3 x e4m3 128x128 -> {float}"),
        }
    }

    /// Elements of a group of K: each shape has one of the two.
    fn group(&self) -> usize {
        if (self.shape.m + self.shape.n).is_multiple_of(2) { 64 } else { 128 }
    }

    fn sizes(&self, operation: Operation) -> String {
        let Shape { m, n, k, .. } = self.shape;
        match operation {
            Operation::QuantizeRows | Operation::Quantize | Operation::QuantizeFp8 => format!("M={m} K={k}"),
            _ => format!("M={m} N={n} K={k}"),
        }
    }

    fn data(&self) -> &str {
        match &self.weights {
            Weights::Synthetic => self.shape.name,
            Weights::Real(matrix) => matrix.name(),
        }
    }

    /// Makes the numbers and all that the references expect of them.
    ///
    /// # Errors
    /// Weights that cannot be quantized, or an error of a reference.
    pub fn prepare(self) -> Result<Prepared> {
        let Shape { m, n, k, .. } = self.shape;
        let seed = format!("{} {m} {n} {k} {}", self.data(), self.dtype);
        let mut x = Sample::new(&format!("x {seed}")).matrix(m, k);
        x.iter_mut().for_each(|x| *x = exact::round_to(*x, self.dtype));
        let (values, bias) = match &self.weights {
            Weights::Synthetic => {
                let values = Sample::new(&format!("w {seed}")).matrix(n, k);
                (values, Some(Sample::new(&format!("bias {seed}")).matrix(n, 1)))
            }
            Weights::Real(matrix) => (matrix.read()?, matrix.read_bias()?),
        };
        let weights = Int8Matrix::quantize(&values, n, k)?;
        let activations = Int8Matrix::quantize_activations(&x, m, k)?;
        let mut sums: Option<Vec<i64>> = None;
        let mut expected = Vec::new();
        let problem = LinearProblem::new(activations.view(), weights.view(), bias.as_deref(), self.dtype)?;
        for oracle in oracles() {
            if self.operations.iter().any(|&op| op == Operation::GemmS8 || op == Operation::EveryKernel) {
                let product = oracle.gemm_s8(activations.view().codes(), weights.view().codes())?;
                if sums.as_ref().is_some_and(|sums| *sums != product) {
                    return Err(Error::Value(format!("the references disagree on the exact product of {seed}")));
                }
                sums = Some(product);
            }
            if self.operations.contains(&Operation::Linear) {
                expected.push((oracle.name(), oracle.linear(&problem)?));
            }
        }
        let bits = exact::linear(&problem)?;
        let unquantized = match &self.weights {
            Weights::Synthetic => None,
            Weights::Real(_) => Some(unquantized(&x, &values, bias.as_deref(), [m, n, k])?),
        };
        let sums = sums.unwrap_or_default();
        Ok(Prepared { x, weights, activations, bias, sums, bits, expected, unquantized, group: self })
    }
}

/// A group with its numbers.
pub struct Prepared {
    group: Group,
    x: Vec<f32>,
    weights: Int8Matrix,
    activations: Int8Matrix,
    bias: Option<Vec<f32>>,
    sums: Vec<i64>,
    bits: Vec<f32>,
    expected: Vec<(&'static str, Expected)>,
    unquantized: Option<Vec<f64>>,
}

impl Prepared {
    /// Runs one operation on one device and compares. An error of the run is a failed case.
    pub fn run(&self, operation: Operation, place: &Place) -> CaseResult {
        let ran = match (operation, self.group.dtype) {
            (Operation::GemmS8, _) => self.gemm_s8(place),
            (Operation::EveryKernel, _) => self.every_kernel(place),
            (Operation::QuantizeRows, DType::F16) => self.quantize_rows::<f16>(place),
            (Operation::QuantizeRows, DType::Bf16) => self.quantize_rows::<bf16>(place),
            (Operation::QuantizeRows, _) => self.quantize_rows::<f32>(place),
            (Operation::Linear, DType::F16) => self.linear::<f16>(place),
            (Operation::Linear, DType::Bf16) => self.linear::<bf16>(place),
            (Operation::Linear, _) => self.linear::<f32>(place),
            (Operation::Gemm | Operation::GemmEveryKernel, _) => self.floats(operation, place),
            (Operation::GemmFp8 | Operation::GemmFp8EveryKernel, _) => self.floats(operation, place),
            (Operation::Quantize, DType::F16) => quantize::every_scheme::<f16, i8>(self.group.shape, &self.x, place),
            (Operation::Quantize, DType::Bf16) => quantize::every_scheme::<bf16, i8>(self.group.shape, &self.x, place),
            (Operation::Quantize, _) => quantize::every_scheme::<f32, i8>(self.group.shape, &self.x, place),
            (Operation::QuantizeFp8, DType::F16) => {
                quantize::every_scheme::<f16, F8E4M3>(self.group.shape, &self.x, place)
            }
            (Operation::QuantizeFp8, DType::Bf16) => {
                quantize::every_scheme::<bf16, F8E4M3>(self.group.shape, &self.x, place)
            }
            (Operation::QuantizeFp8, _) => quantize::every_scheme::<f32, F8E4M3>(self.group.shape, &self.x, place),
            (_, DType::F16) => self.groups::<f16>(operation, place),
            (_, DType::Bf16) => self.groups::<bf16>(operation, place),
            (_, _) => self.groups::<f32>(operation, place),
        };
        self.group.about(operation).result(place, ran)
    }

    fn quantize_rows<T: InputElement + OutputElement>(&self, place: &Place) -> Result<Ran> {
        let Shape { m, k, .. } = self.group.shape;
        let stream = &place.stream;
        let ld = self.activations.ld();
        let op = QuantizeRows::new(&place.device)?;
        let plan = op.plan::<T>(m, k)?;
        let x = stream.upload(&numbers::<T>(&self.x))?;
        // Poison: codes that no kernel writes, and scales that compare with nothing.
        let mut codes = stream.upload(&vec![-128i8; m * ld])?;
        let mut scales = stream.upload(&vec![f32::NAN; m])?;
        let mut status = Status::new(stream)?;
        let took = stream.time(|stream| {
            let args = QuantizeRowsArgs {
                x: x.view().matrix(m, k, k)?,
                codes: codes.view_mut().matrix(m, ld, ld)?,
                scales: scales.view_mut(),
                status: Some(&mut status),
            };
            op.run(&plan, stream, args)
        })?;
        let got: Vec<i32> = stream.download(&codes)?.into_iter().map(i32::from).collect();
        let want: Vec<i64> = self.activations.codes().iter().copied().map(i64::from).collect();
        let codes = Comparison::same_integers(&got, &want, ld)?;
        let scales = Comparison::same_bits(&stream.download(&scales)?, self.activations.scales(), 1)?;
        if !status.read_and_clear(stream)?.is_clear() {
            return Err(Error::Value("the status word tells of a non-finite input, but every input is finite".into()));
        }
        let kernel = plan.geometry().map_or("", |g| g.entry.row().symbol).to_string();
        Ok(Ran { kernel, took, exact: codes.and(scales), bounded: Vec::new(), quantization_error: None })
    }

    fn floats(&self, operation: Operation, place: &Place) -> Result<Ran> {
        let every = matches!(operation, Operation::GemmEveryKernel | Operation::GemmFp8EveryKernel);
        let eight = matches!(operation, Operation::GemmFp8 | Operation::GemmFp8EveryKernel);
        let (shape, seed) = (self.group.shape, self.group.label(operation, place));
        match (eight, self.group.dtype) {
            (true, DType::F16) => float::gemm::<F8E4M3, F8E5M2, f16>(shape, &seed, place, every),
            (true, DType::Bf16) => float::gemm::<F8E4M3, F8E5M2, bf16>(shape, &seed, place, every),
            (true, _) => float::gemm::<F8E4M3, F8E5M2, f32>(shape, &seed, place, every),
            (false, DType::F16) => float::gemm::<f16, f16, f16>(shape, &seed, place, every),
            (false, DType::Bf16) => float::gemm::<bf16, bf16, bf16>(shape, &seed, place, every),
            (false, _) => float::gemm::<f16, f16, f32>(shape, &seed, place, every),
        }
    }

    fn groups<O: OutputElement + Float>(&self, operation: Operation, place: &Place) -> Result<Ran> {
        let every = matches!(operation, Operation::GroupsEveryKernel | Operation::BlocksEveryKernel);
        let (shape, seed) = (self.group.shape, self.group.label(operation, place));
        match operation {
            Operation::Blocks | Operation::BlocksEveryKernel => {
                groups::gemm::<F8E4M3, O>(shape, 128, SharedBy::Block128, &seed, place, every)
            }
            _ => groups::gemm::<i8, O>(shape, self.group.group(), SharedBy::Row, &seed, place, every),
        }
    }

    fn gemm_s8(&self, place: &Place) -> Result<Ran> {
        let plan = gemm_s8::plan(&self.problem(), place.device.facts())?;
        let (exact, took) = self.product_by(place, &plan)?;
        Ok(Ran { kernel: kernel(&plan), took, exact, bounded: Vec::new(), quantization_error: None })
    }

    fn every_kernel(&self, place: &Place) -> Result<Ran> {
        let (mut kernels, mut plans) = (Vec::new(), 0);
        let (mut exact, mut took) = (Comparison::default(), Duration::ZERO);
        for plan in gemm_s8::candidates(&self.problem(), place.device.facts()) {
            // With K whole, in two slices, and in as many as four.
            if !matches!(plan.split_k(), 1 | 2 | 4) {
                continue;
            }
            let entry = plan.geometry().map(|g| g.entry);
            if !kernels.contains(&entry) {
                kernels.push(entry);
            }
            plans += 1;
            let (comparison, time) = self.product_by(place, &plan)?;
            if !comparison.passed() {
                return Err(Error::Value(format!("{plan}: {}", explain("exact", &comparison))));
            }
            exact = exact.and(comparison);
            took += time;
        }
        let kernel = format!("{plans} plans of {} kernels", kernels.len());
        Ok(Ran { kernel, took, exact, bounded: Vec::new(), quantization_error: None })
    }

    fn problem(&self) -> GemmS8Problem {
        let Shape { m, n, k, .. } = self.group.shape;
        GemmS8Problem { m, n, k, out: Output::I32 }
    }

    /// The raw product by one plan, held against the sums, and the time it took.
    fn product_by(&self, place: &Place, plan: &GemmS8Plan) -> Result<(Comparison, Duration)> {
        let Shape { m, n, k, .. } = self.group.shape;
        let stream = &place.stream;
        let op = GemmS8::new(&place.device)?;
        let a = stream.upload(self.activations.codes())?;
        let b = stream.upload(self.weights.codes())?;
        // No sum of at most 131,071 products is the least integer.
        let mut d = stream.upload(&vec![i32::MIN; m * n])?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let took = stream.time(|stream| {
            let args = GemmS8Args {
                a: a.view().matrix(m, k, self.activations.ld())?,
                b: b.view().matrix(n, k, self.weights.ld())?,
                scale_row: None,
                scale_col: None,
                bias: None,
                d: d.view_mut().matrix(m, n, n)?,
                scratch: Some(scratch.view_mut()),
            };
            op.run(plan, stream, args)
        })?;
        Ok((Comparison::same_integers(&stream.download(&d)?, &self.sums, n)?, took))
    }

    fn linear<T: InputElement + OutputElement>(&self, place: &Place) -> Result<Ran> {
        let Shape { m, n, k, .. } = self.group.shape;
        let stream = &place.stream;
        let linear = Linear::new(stream, &self.weights, self.bias.as_deref())?;
        let plan = linear.plan::<T, T>(m)?;
        let x = stream.upload(&numbers::<T>(&self.x))?;
        let mut out = stream.upload(&vec![T::from_f32(f32::NAN); m * n])?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let took = stream.time(|stream| {
            let args = LinearArgs {
                x: x.view().matrix(m, k, k)?,
                out: out.view_mut().matrix(m, n, n)?,
                scratch: scratch.view_mut(),
                status: None,
            };
            linear.run(&plan, stream, args)
        })?;
        let got: Vec<f32> = stream.download(&out)?.into_iter().map(T::to_f32).collect();
        let exact = Comparison::same_bits(&got, &self.bits, n)?;
        let compare = |(name, expected): &(&'static str, Expected)| Ok((*name, expected.compare(&got)?));
        let bounded = self.expected.iter().map(compare).collect::<Result<_>>()?;
        let quantization_error = match &self.unquantized {
            None => None,
            Some(exact) => Some(relative_rms(&got.iter().map(|&v| v.into()).collect::<Vec<_>>(), exact)?),
        };
        Ok(Ran { kernel: kernel(plan.gemm()), took, exact, bounded, quantization_error })
    }
}

fn kernel(plan: &GemmS8Plan) -> String {
    let symbol = plan.geometry().map_or("", |g| g.entry.row().symbol);
    match plan.split_k() {
        0 | 1 => symbol.to_string(),
        split => format!("{symbol} split {split}"),
    }
}

/// `x · wᵀ + bias` of the numbers before they were quantized, in f64.
fn unquantized(x: &[f32], w: &[f32], bias: Option<&[f32]>, [m, n, k]: [usize; 3]) -> Result<Vec<f64>> {
    let mut sums = product(x, w, (m, n, k))?;
    if let Some(bias) = bias {
        sums.chunks_mut(n.max(1)).flat_map(|row| row.iter_mut().zip(bias)).for_each(|(sum, &b)| *sum += f64::from(b));
    }
    Ok(sums)
}

fn numbers<T: InputElement + OutputElement>(values: &[f32]) -> Vec<T> {
    values.iter().map(|&value| T::from_f32(value)).collect()
}

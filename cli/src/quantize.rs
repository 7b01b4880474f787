//! Quantizers of every scheme on one matrix, each held against the reference bit for bit; and what is done to their
//! codes.

use std::time::Duration;

use halfbyte::device::Status;
use halfbyte::op::{CodeElement, ColumnSums, InputElement, Quantize, QuantizeArgs, Scaling, TransposeBytes};
use halfbyte::plan::quantize::{Code, QuantizeProblem, Scheme};
use halfbyte::reference::{self, Comparison, quantize, sample::Sample};
use halfbyte::{Error, Result};

use crate::ran::{Place, Ran, explain};
use crate::shapes::Shape;

/// A scale and a zero point that are given.
const GIVEN: (f32, i32) = (0.0371, -19);

/// What has run so far.
#[derive(Default)]
struct Runs {
    exact: Comparison,
    took: Duration,
    kernels: Vec<&'static str>,
    count: usize,
}

impl Runs {
    /// A result that is wrong is an error that names its plan.
    fn add(&mut self, what: &str, kernel: &'static str, comparison: Comparison, took: Duration) -> Result<()> {
        if !comparison.passed() {
            return Err(Error::Value(format!("{what}: {}", explain("exact", &comparison))));
        }
        self.exact = std::mem::take(&mut self.exact).and(comparison);
        self.took += took;
        self.count += 1;
        if !self.kernels.contains(&kernel) {
            self.kernels.push(kernel);
        }
        Ok(())
    }
}

/// Runs `x`, `[M, K]`, through every scheme that codes of `C` have, K along and down the rows, with factors and
/// without.
///
/// # Errors
/// An error of the device or of the reference, or a result that is wrong.
pub fn every_scheme<T: InputElement, C: CodeElement>(shape: Shape, x: &[f32], place: &Place) -> Result<Ran> {
    let Shape { m, k, .. } = shape;
    let mut runs = Runs::default();
    let factors = Sample::new("factors").scales(k);
    let bytes = C::CODE == Code::S8;
    for scheme in [Scheme::Rows, Scheme::RowsWithZeros, Scheme::Groups(64), Scheme::Groups(128), Scheme::Given] {
        for k_down in [false, true] {
            if scheme == Scheme::RowsWithZeros && (!bytes || k_down) {
                continue;
            }
            let problem = QuantizeProblem { k_down, ..QuantizeProblem::new(m, k, T::INPUT, C::CODE, scheme) };
            let factors = matches!(scheme, Scheme::RowsWithZeros | Scheme::Groups(128)).then_some(&factors[..]);
            one::<T, C>(&problem, x, factors, place, &mut runs)?;
        }
    }
    if bytes {
        codes([m, k], place, &mut runs)?;
    }
    let kernel = format!("{} runs of {} kernels", runs.count, runs.kernels.len());
    Ok(Ran { kernel, took: runs.took, exact: runs.exact, bounded: Vec::new(), quantization_error: None })
}

fn one<T: InputElement, C: CodeElement>(
    problem: &QuantizeProblem,
    x: &[f32],
    factors: Option<&[f32]>,
    place: &Place,
    runs: &mut Runs,
) -> Result<()> {
    let QuantizeProblem { rows, cols, k_down, code, scheme, .. } = *problem;
    let stream = &place.stream;
    let zero = (code == Code::S8).then_some(GIVEN.1);
    let rule = match scheme {
        Scheme::Rows => reference::Scheme::Rows,
        Scheme::RowsWithZeros => reference::Scheme::RowsWithZeros,
        Scheme::Groups(group) => reference::Scheme::Groups(group),
        Scheme::Given => reference::Scheme::Given { scale: GIVEN.0, zero },
    };
    let want = quantize(x, [rows, cols], factors, code.dtype(), rule)?;
    let op = Quantize::new(&place.device, code)?;
    let plan = op.plan(problem)?;
    let laid: Vec<T> =
        (0..rows * cols).map(|i| T::from_f32(if k_down { x[i % rows * cols + i / rows] } else { x[i] })).collect();
    let (tall, across) = if k_down { (cols, rows) } else { (rows, cols) };
    let at_x = stream.upload(&laid)?;
    let (ld, groups) = (cols.next_multiple_of(16), problem.groups());
    // Poison: bytes that are NaN as floats, and scales that compare with nothing.
    let mut codes = stream.upload(&vec![0xffu8; rows * ld])?;
    let mut scales = stream.upload(&vec![f32::NAN; rows * groups])?;
    let mut zeros = stream.upload(&vec![i32::MIN; rows])?;
    let (scale, given_zero) = (stream.upload(&[GIVEN.0])?, stream.upload(&[GIVEN.1])?);
    let at_factors = factors.map(|factors| stream.upload(factors)).transpose()?;
    let mut status = Status::new(stream)?;
    let took = stream.time(|stream| {
        let scaling = match scheme {
            Scheme::Rows => Scaling::Rows(scales.view_mut()),
            Scheme::RowsWithZeros => Scaling::RowsWithZeros { scales: scales.view_mut(), zeros: zeros.view_mut() },
            Scheme::Groups(_) => Scaling::Groups { scales: scales.view_mut(), row: groups, group: 1 },
            Scheme::Given => Scaling::Given { scale: scale.view(), zero: zero.map(|_| given_zero.view()) },
        };
        let args = QuantizeArgs {
            x: at_x.view().matrix(tall, across, across)?,
            codes: codes.view_mut().cast::<C>()?.matrix(rows, ld, ld)?,
            scaling,
            factors: at_factors.as_ref().map(|factors| factors.view()),
            status: Some(&mut status),
        };
        op.run(&plan, stream, args)
    })?;
    let got: Vec<i32> = stream.download(&codes)?.into_iter().map(i32::from).collect();
    let padded = (0..rows * ld).map(|i| if i % ld < cols { want.codes[i / ld * cols + i % ld].into() } else { 0 });
    let mut comparison = Comparison::same_integers(&got, &padded.collect::<Vec<i64>>(), ld)?;
    comparison = comparison.and(Comparison::same_bits(&stream.download(&scales)?, &want.scales, groups.max(1))?);
    if scheme == Scheme::RowsWithZeros {
        let want: Vec<i64> = want.zeros.iter().copied().map(i64::from).collect();
        comparison = comparison.and(Comparison::same_integers(&stream.download(&zeros)?, &want, 1)?);
    }
    if !status.read_and_clear(stream)?.is_clear() {
        return Err(Error::Value("the status word tells of a non-finite input, but every input is finite".into()));
    }
    runs.add(&plan.to_string(), plan.geometry().map_or("", |g| g.entry.row().symbol), comparison, took)
}

/// Random codes `[K, M]` turned, and the rows of what comes of it added up.
fn codes([m, k]: [usize; 2], place: &Place, runs: &mut Runs) -> Result<()> {
    let stream = &place.stream;
    let codes = Sample::new("codes").codes(k * m, -128, 127);
    let ld = k.next_multiple_of(16);
    let x = stream.upload(&codes)?;
    let mut turned = stream.upload(&vec![i8::MIN; m * ld])?;
    let op = TransposeBytes::new(&place.device)?;
    let plan = op.plan(k, m)?;
    let took =
        stream.time(|stream| op.run(&plan, stream, x.view().matrix(k, m, m)?, turned.view_mut().matrix(m, ld, ld)?))?;
    let got: Vec<i32> = stream.download(&turned)?.into_iter().map(i32::from).collect();
    let want = (0..m * ld).map(|i| if i % ld < k { codes[i % ld * m + i / ld].into() } else { 0 });
    let comparison = Comparison::same_integers(&got, &want.collect::<Vec<i64>>(), ld)?;
    runs.add(&plan.to_string(), "transpose_bytes", comparison, took)?;

    let mut sums = stream.upload(&vec![i32::MIN; m])?;
    let op = ColumnSums::new(&place.device)?;
    let plan = op.plan(m, k)?;
    let took = stream.time(|stream| op.run(&plan, stream, turned.view().matrix(m, k, ld)?, sums.view_mut()))?;
    let want = (0..m).map(|row| (0..k).map(|step| i64::from(codes[step * m + row])).sum());
    let comparison = Comparison::same_integers(&stream.download(&sums)?, &want.collect::<Vec<i64>>(), 1)?;
    runs.add(&plan.to_string(), "column_sums", comparison, took)
}

//! From floats to a product: what quantizers write, products take as it is, and the answer is that of the numbers that
//! the codes stand for.

use half::f16;
use halfbyte::device::{Buffer, Device, Stream};
use halfbyte::emulator::Arch;
use halfbyte::format::scaled::{
    Code as Scaled, ScaledMatrix, Scaling as Weights, channel_absmax, fold_into_weights, input_factors, smooth_factors,
};
use halfbyte::format::{DType, F8E4M3};
use halfbyte::op::{
    CodeElement, ColumnSums, Gemm, GemmArgs, GemmElement, GroupScales, Quantize, QuantizeArgs, Scaling, SharedBy,
    Strided,
};
use halfbyte::plan::gemm::{GemmProblem, Operand};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::plan::quantize::{Input, QuantizeProblem, Scheme};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{product, relative_rms};

const M: usize = 37;
const N: usize = 150;
const K: usize = 300;

fn sample(name: &str, rows: usize) -> Vec<f32> {
    Sample::new(name).matrix(rows, K).into_iter().map(|v| f16::from_f32(v).to_f32()).collect()
}

/// What a quantizer wrote: codes, scales by row and group, zero points.
struct Rows<C> {
    codes: Buffer<C>,
    scales: Buffer<f32>,
    zeros: Buffer<i32>,
}

fn quantized<C: CodeElement>(
    stream: &Stream,
    x: &[f32],
    scheme: Scheme,
    k_down: bool,
    factors: Option<&[f32]>,
) -> Rows<C> {
    let device = stream.device();
    let op = Quantize::new(device, C::CODE).unwrap();
    let problem = QuantizeProblem { k_down, ..QuantizeProblem::new(M, K, Input::F16, C::CODE, scheme) };
    let plan = op.plan(&problem).unwrap();
    let laid: Vec<f16> = (0..M * K).map(|i| f16::from_f32(if k_down { x[i % M * K + i / M] } else { x[i] })).collect();
    let (tall, across) = if k_down { (K, M) } else { (M, K) };
    let (x, groups, ld) = (stream.upload(&laid).unwrap(), problem.groups(), K.next_multiple_of(16));
    let mut rows = Rows {
        codes: stream.alloc(M * ld).unwrap(),
        scales: stream.alloc(M * groups).unwrap(),
        zeros: stream.alloc(M).unwrap(),
    };
    let factors = factors.map(|factors| stream.upload(factors).unwrap());
    let args = QuantizeArgs {
        x: x.view().matrix(tall, across, across).unwrap(),
        codes: rows.codes.view_mut().matrix(M, ld, ld).unwrap(),
        // Group by group, as a product reads them side by side for its rows.
        scaling: match scheme {
            Scheme::Groups(_) => Scaling::Groups { scales: rows.scales.view_mut(), row: 1, group: M },
            Scheme::RowsWithZeros => {
                Scaling::RowsWithZeros { scales: rows.scales.view_mut(), zeros: rows.zeros.view_mut() }
            }
            _ => Scaling::Rows(rows.scales.view_mut()),
        },
        factors: factors.as_ref().map(|factors| factors.view()),
        status: None,
    };
    op.run(&plan, stream, args).unwrap();
    rows
}

fn numbers<C: Scaled>(codes: &[C], of: impl Fn(usize, usize, f32) -> f32) -> Vec<f32> {
    let ld = K.next_multiple_of(16);
    (0..M * K).map(|i| of(i / K, i % K, codes[i / K * ld + i % K].number())).collect()
}

/// Every element within `bound` of the sum of magnitudes.
fn close(what: &str, got: &[f32], a: &[f32], w: &[f32], bound: f64) {
    let size = |values: &[f32]| values.iter().map(|v| v.abs()).collect::<Vec<f32>>();
    let want = product(a, w, (M, N, K)).unwrap();
    let most = product(&size(a), &size(w), (M, N, K)).unwrap();
    for (i, ((&got, want), most)) in got.iter().zip(want).zip(most).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(error <= bound * most + 1e-30, "{what}: [{}, {}] is {got}, not {want}", i / N, i % N);
    }
}

/// By groups of K on both sides, or blocks of the weights, K of the activations along or down.
fn by_groups<C>(device: &Device, dtype: DType, weights: Weights, shared_by: SharedBy, bound: f64)
where
    C: CodeElement + GemmElement + Scaled,
{
    let stream = device.stream().unwrap();
    let (x, w) = (sample("x", M), sample("w", N));
    let matrix = ScaledMatrix::<C>::quantize(&w, N, K, weights).unwrap();
    let gemm = Gemm::grouped(device, Operand::new(dtype), Operand::new(dtype)).unwrap();
    let problem = GemmProblem { k_group: Some(128), ..GemmProblem::new(M, N, K, dtype, Output::F32) };
    let plan = gemm.plan(&problem).unwrap();
    let (codes, scales) = (stream.upload(matrix.codes()).unwrap(), stream.upload(matrix.scales()).unwrap());
    let (groups, ld) = (K.div_ceil(128), K.next_multiple_of(16));
    let mut answers = Vec::new();
    for k_down in [false, true] {
        let rows = quantized::<C>(&stream, &x, Scheme::Groups(128), k_down, None);
        let mut d = stream.upload(&vec![f32::NAN; M * N]).unwrap();
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes()).unwrap();
        let args = GemmArgs {
            groups_a: Some(GroupScales {
                view: rows.scales.view(),
                shared_by: SharedBy::Row,
                ld: 1,
                step: M,
                stride: 0,
            }),
            groups_b: Some(GroupScales { view: scales.view(), shared_by, ld: groups, step: 1, stride: 0 }),
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(
                Strided { view: rows.codes.view(), ld, stride: 0 },
                Strided { view: codes.view(), ld: matrix.ld(), stride: 0 },
                d.view_mut().matrix(M, N, N).unwrap(),
            )
        };
        gemm.run(&plan, &stream, args).unwrap();
        let got = stream.download(&d).unwrap();
        let scales = stream.download(&rows.scales).unwrap();
        let a = numbers(&stream.download(&rows.codes).unwrap(), |m, k, code| code * scales[k / 128 * M + m]);
        close(&format!("{dtype} {weights}"), &got, &a, &matrix.dequantize(), bound);
        let loss =
            relative_rms(&got.iter().map(|&v| v.into()).collect::<Vec<_>>(), &product(&x, &w, (M, N, K)).unwrap());
        assert!((1e-5..0.06).contains(&loss.clone().unwrap()), "{dtype}: quantizing lost {loss:?}");
        answers.push(got);
    }
    assert!(answers[0] == answers[1], "{dtype}: K down the rows of x changes no bit");
}

#[test]
fn groups_and_blocks_go_into_the_product() {
    let device = Device::emulator(Arch::Sm89);
    by_groups::<i8>(&device, DType::I8, Weights::Groups(128), SharedBy::Row, 1e-6);
    by_groups::<F8E4M3>(&device, DType::E4m3, Weights::Blocks(128, 128), SharedBy::Block128, 1e-3);
    by_groups::<F8E4M3>(&device, DType::E4m3, Weights::Groups(128), SharedBy::Row, 1e-3);
}

/// Zero points of the activations, column sums of the weights, and a channel that is far too large, smoothed away.
#[test]
fn zero_points_and_smoothing_go_into_the_product() {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (mut x, w) = (sample("x", M), sample("w", N));
    for row in x.chunks_mut(K) {
        row[7] = f16::from_f32(row[7] * 100.0).to_f32();
        row.iter_mut().for_each(|v| *v = f16::from_f32(v.abs() + 0.25).to_f32());
    }
    let s = smooth_factors(&channel_absmax(&x, M, K).unwrap(), &channel_absmax(&w, N, K).unwrap(), 0.5).unwrap();
    let truth = product(&x, &w, (M, N, K)).unwrap();
    let mut losses = Vec::new();
    for smooth in [false, true] {
        let s = if smooth { s.clone() } else { vec![1.0; K] };
        let folded = fold_into_weights(&w, N, K, &s).unwrap();
        let matrix = ScaledMatrix::<i8>::quantize(&folded, N, K, Weights::Rows).unwrap();
        let factors = input_factors(&s);
        let rows = quantized::<i8>(&stream, &x, Scheme::RowsWithZeros, false, Some(&factors));
        let (codes, scales) = (stream.upload(matrix.codes()).unwrap(), stream.upload(matrix.scales()).unwrap());
        let ld = matrix.ld();
        let sums = ColumnSums::new(&device).unwrap();
        let mut column_sums = stream.alloc::<i32>(N).unwrap();
        let weights = codes.view().matrix(N, K, ld).unwrap();
        sums.run(&sums.plan(N, K).unwrap(), &stream, weights, column_sums.view_mut()).unwrap();

        let gemm = Gemm::new(&device, Operand::new(DType::I8), Operand::new(DType::I8)).unwrap();
        let plan = gemm.plan(&GemmProblem::new(M, N, K, DType::I8, Output::F32)).unwrap();
        let mut d = stream.upload(&vec![f32::NAN; M * N]).unwrap();
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes()).unwrap();
        let args = GemmArgs {
            scale_row: Some(rows.scales.view()),
            scale_col: Some(scales.view()),
            zero_row: Some(rows.zeros.view()),
            column_sums: Some(column_sums.view()),
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(rows.codes.view().matrix(M, K, ld).unwrap(), weights, d.view_mut().matrix(M, N, N).unwrap())
        };
        gemm.run(&plan, &stream, args).unwrap();
        let got = stream.download(&d).unwrap();
        let (scales, zeros) = (stream.download(&rows.scales).unwrap(), stream.download(&rows.zeros).unwrap());
        assert!(zeros.iter().all(|&zero| zero == -128), "nothing is below 0");
        let a = numbers(&stream.download(&rows.codes).unwrap(), |m, _, code| (code - zeros[m] as f32) * scales[m]);
        close("zero points", &got, &a, &matrix.dequantize(), 1e-6);
        losses.push(relative_rms(&got.iter().map(|&v| v.into()).collect::<Vec<_>>(), &truth).unwrap());
    }
    assert!(losses[1] < losses[0] / 2.0 && losses[1] < 0.05, "smoothing helps: {losses:?}");
}

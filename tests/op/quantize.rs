//! Quantizing through the general door: codes, scales, zero points and status of the reference, bit for bit.

use half::{bf16, f16};
use halfbyte::device::{Device, Status};
use halfbyte::emulator::Arch;
use halfbyte::format::{DType, F8E4M3, F8E5M2};
use halfbyte::op::{CodeElement, ColumnSums, InputElement, Quantize, QuantizeArgs, Scaling, TransposeBytes};
use halfbyte::plan::quantize::{Code, QuantizePlan, QuantizeProblem, Scheme, candidates};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{self, Quantized};

use super::Tally;
use super::case::{Place, guards_hold, poison};
use crate::support::devices;

/// One matrix of codes to be made.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: [usize; 2],
    scheme: Scheme,
    k_down: bool,
    factors: bool,
    zero: Option<i32>,
    /// A row and a column whose number is not finite.
    bad: Option<[usize; 2]>,
}

const SCALE: f32 = 0.031;

fn truth(case: &Case, dtype: DType, x: &[f32], factors: Option<&[f32]>) -> Quantized {
    let scheme = match case.scheme {
        Scheme::Rows => reference::Scheme::Rows,
        Scheme::RowsWithZeros => reference::Scheme::RowsWithZeros,
        Scheme::Groups(group) => reference::Scheme::Groups(group),
        Scheme::Given => reference::Scheme::Given { scale: SCALE, zero: case.zero },
    };
    reference::quantize(x, case.shape, factors, dtype, scheme).unwrap()
}

fn same(got: &[f32], want: &[f32]) -> bool {
    let equal = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    got.len() == want.len() && got.iter().zip(want).all(equal)
}

fn check<T: InputElement, C: CodeElement>(device: &Device, op: &Quantize, plan: &QuantizePlan, case: &Case) {
    let what = format!("{plan}, {case:?} on {device}");
    let [rows, cols] = case.shape;
    let stream = device.stream().unwrap();
    let mut sample = Sample::new(&format!("{case:?} {}", T::INPUT));
    let mut x: Vec<f32> = sample.matrix(rows, cols).into_iter().map(|v| T::from_f32(v).to_f32()).collect();
    if let Some([m, k]) = case.bad {
        x[m * cols + k] = f32::NEG_INFINITY;
    }
    let factors: Vec<f32> = (0..cols).map(|_| sample.gaussian().abs() + 0.1).collect();
    let want = truth(case, <C as halfbyte::device::Element>::DTYPE, &x, case.factors.then_some(&factors));

    let (tall, across) = if case.k_down { (cols, rows) } else { (rows, cols) };
    let laid: Vec<T> = (0..tall * across)
        .map(|i| T::from_f32(if case.k_down { x[i % across * cols + i / across] } else { x[i] }))
        .collect();
    let place = Place { before: 3, rows: tall, cols: across, ld: across + 5 };
    let mut guards = poison::<T>(place.len()).into_iter();
    let x_buffer = stream.upload(&place.put(&laid, || guards.next().unwrap())).unwrap();
    let ldc = cols.next_multiple_of(16) + 16;
    let codes_place = Place { before: 16, rows, cols: ldc, ld: ldc };
    let mut codes = stream.upload(&poison::<C>(codes_place.len())).unwrap();
    let groups = plan.problem().groups();
    // Groups come one after the other here, rows two apart.
    let scale_place = Place { before: 2, rows: groups, cols: rows, ld: rows + 1 };
    let mut scales = stream.upload(&poison::<f32>(scale_place.len())).unwrap();
    let mut zeros = stream.upload(&poison::<i32>(rows + 2)).unwrap();
    let factor_buffer = stream.upload(&factors).unwrap();
    let (scale, zero) = (stream.upload(&[SCALE]).unwrap(), stream.upload(&[case.zero.unwrap_or(0)]).unwrap());
    let mut status = Status::new(&stream).unwrap();
    let extent = scale_place.extent();
    let scaling = match case.scheme {
        Scheme::Rows => Scaling::Rows(scales.view_mut().slice(2..2 + rows).unwrap()),
        Scheme::RowsWithZeros => Scaling::RowsWithZeros {
            scales: scales.view_mut().slice(2..2 + rows).unwrap(),
            zeros: zeros.view_mut().slice(1..1 + rows).unwrap(),
        },
        Scheme::Groups(_) => {
            Scaling::Groups { scales: scales.view_mut().slice(2..2 + extent).unwrap(), row: 1, group: rows + 1 }
        }
        Scheme::Given => Scaling::Given { scale: scale.view(), zero: case.zero.map(|_| zero.view()) },
    };
    let args = QuantizeArgs {
        x: x_buffer.view().slice(3..).unwrap().matrix(tall, across, across + 5).unwrap(),
        codes: codes.view_mut().slice(16..).unwrap().matrix(rows, ldc, ldc).unwrap(),
        scaling,
        factors: case.factors.then(|| factor_buffer.view()),
        status: Some(&mut status),
    };
    op.run(plan, &stream, args).unwrap_or_else(|e| panic!("{what}: {e}"));

    let got = stream.download(&codes).unwrap();
    guards_hold(&what, &codes_place, &got);
    let got: Vec<u8> = bytemuck::cast_slice(&codes_place.take(&got)).to_vec();
    for (m, row) in got.chunks(ldc.max(1)).enumerate() {
        let wrong = (0..cols).find(|&k| row[k] != want.codes[m * cols + k]);
        assert_eq!(wrong.map(|k| (k, row[k], want.codes[m * cols + k])), None, "{what}: row {m}");
        assert!(row[cols..].iter().all(|&byte| byte == 0), "{what}: the padding of row {m}");
    }
    let got = stream.download(&scales).unwrap();
    guards_hold(&what, &scale_place, &got);
    if groups > 0 {
        let by_group = scale_place.take(&got);
        let got: Vec<f32> = (0..rows * groups).map(|i| by_group[i % groups * rows + i / groups]).collect();
        assert!(same(&got, &want.scales), "{what}: scales {got:?}, not {:?}", want.scales);
    }
    let got = stream.download(&zeros).unwrap();
    let want_zeros = if want.zeros.is_empty() { vec![-1; rows] } else { want.zeros };
    assert_eq!(got, [&[-1], &want_zeros[..], &[-1]].concat(), "{what}: zero points");
    assert_eq!(status.read_and_clear(&stream).unwrap().nonfinite_input, want.nonfinite, "{what}: status");
}

fn every_plan<T: InputElement, C: CodeElement>(device: &Device, case: &Case, tally: &mut Tally) {
    let [rows, cols] = case.shape;
    let op = Quantize::new(device, C::CODE).unwrap();
    let problem =
        QuantizeProblem { k_down: case.k_down, ..QuantizeProblem::new(rows, cols, T::INPUT, C::CODE, case.scheme) };
    let best = op.plan(&problem).unwrap();
    let all: Vec<QuantizePlan> = candidates(&problem, device.facts()).collect();
    assert_eq!(all[0], best);
    for plan in &all {
        check::<T, C>(device, &op, plan, case);
        tally.add("device", device);
        tally.add("code", C::CODE);
        tally.add("input", T::INPUT);
        tally.add("scheme", case.scheme);
        tally.add("k down", case.k_down);
    }
}

fn every_input<C: CodeElement>(device: &Device, case: &Case, tally: &mut Tally) {
    every_plan::<f32, C>(device, case, tally);
    every_plan::<f16, C>(device, case, tally);
    every_plan::<bf16, C>(device, case, tally);
}

#[test]
fn every_scheme_is_the_references() {
    let mut tally = Tally::default();
    for (d, device) in devices().iter().enumerate() {
        let fp8 = device.facts().capability >= 89;
        assert_eq!(Quantize::new(device, Code::E4m3).is_ok(), fp8);
        for (i, shape) in [[5, 300], [34, 77], [1, 129], [3, 0]].into_iter().enumerate() {
            for k_down in [false, true] {
                for (scheme, zero) in [
                    (Scheme::Rows, None),
                    (Scheme::RowsWithZeros, None),
                    (Scheme::Groups(64), None),
                    (Scheme::Groups(128), None),
                    (Scheme::Given, None),
                    (Scheme::Given, Some(31)),
                ] {
                    let bad = (i % 2 == d % 2 && shape[1] > 0).then_some([shape[0] - 1, shape[1] / 2]);
                    let case = Case { shape, scheme, k_down, factors: (i + d) % 2 == 0, zero, bad };
                    if !(k_down && scheme == Scheme::RowsWithZeros) {
                        every_input::<i8>(device, &case, &mut tally);
                    }
                    if fp8 && scheme != Scheme::RowsWithZeros && zero.is_none() {
                        every_input::<F8E4M3>(device, &case, &mut tally);
                        every_input::<F8E5M2>(device, &case, &mut tally);
                    }
                }
            }
        }
    }
    let least = [
        ("device emulator sm_80", 130),
        ("device emulator sm_89", 300),
        ("device emulator sm_90a", 300),
        ("code s8", 400),
        ("code e4m3", 150),
        ("code e5m2", 150),
        ("scheme a scale a row", 100),
        ("scheme a scale and a zero point a row", 50),
        ("scheme a scale for 64 of K", 100),
        ("scheme a given scale", 100),
        ("k down true", 300),
    ];
    tally.assert("quantized", &least);
}

#[test]
fn nothing_is_launched_without_rows() {
    let device = Device::emulator(Arch::Sm89);
    let case = Case { shape: [0, 40], scheme: Scheme::Groups(64), k_down: true, factors: true, zero: None, bad: None };
    every_input::<i8>(&device, &case, &mut Tally::default());
}

#[test]
fn codes_are_turned_and_added_up() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let (transpose, sums) = (TransposeBytes::new(&device).unwrap(), ColumnSums::new(&device).unwrap());
        for (k, n) in [(1, 1), (130, 70), (16, 300), (0, 3), (9, 0)] {
            let mut sample = Sample::new(&format!("{k} x {n}"));
            let x = sample.codes(k * n, -128, 127);
            let (at, ld) = (stream.upload(&x).unwrap(), k.next_multiple_of(16));
            let mut turned = stream.upload(&vec![99i8; n * ld]).unwrap();
            let plan = transpose.plan(k, n).unwrap();
            let out = turned.view_mut().matrix(n, ld, ld).unwrap();
            transpose.run(&plan, &stream, at.view().matrix(k, n, n).unwrap(), out).unwrap();
            let got = stream.download(&turned).unwrap();
            let want = |n_at: usize, k_at: usize| if k_at < k { x[k_at * n + n_at] } else { 0 };
            assert_eq!(got, (0..n * ld).map(|i| want(i / ld, i % ld)).collect::<Vec<i8>>(), "{plan}");

            let mut out = stream.upload(&vec![-7; n]).unwrap();
            let plan = sums.plan(n, k).unwrap();
            sums.run(&plan, &stream, turned.view().matrix(n, k, ld).unwrap(), out.view_mut()).unwrap();
            let want = |n_at: usize| (0..k).map(|k_at| i32::from(x[k_at * n + n_at])).sum::<i32>();
            assert_eq!(stream.download(&out).unwrap(), (0..n).map(want).collect::<Vec<i32>>(), "{plan}");
        }
    }
}

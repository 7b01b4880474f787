//! Arguments of quantizers, of transposed bytes and of sums that break a rule: refused with their values.

use halfbyte::device::{Device, Region, Status};
use halfbyte::emulator::Arch;
use halfbyte::format::{F8E4M3, F8E5M2};
use halfbyte::op::{ColumnSums, Quantize, QuantizeArgs, Scaling, TransposeBytes};
use halfbyte::plan::quantize::{Code, Input, QuantizeProblem, Scheme};

use super::raw;

const M: usize = 5;
const K: usize = 300;
const LD: usize = 304;

/// Runs every row: (what is wrong, the error, what its text must hold).
fn check(table: &[(&str, halfbyte::Result<()>, &[&str])]) {
    for (what, result, want) in table {
        let text = match result {
            Ok(()) => panic!("{what}: accepted"),
            Err(error) => error.to_string(),
        };
        for part in *want {
            assert!(text.contains(part), "{what}: {text:?} does not tell {part:?}");
        }
    }
}

#[test]
fn quantize() {
    let here: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let there: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let (stream, foreign) = (here.stream().unwrap(), there.stream().unwrap());
    let op = Quantize::new(here, Code::S8).unwrap();
    let new = |scheme| QuantizeProblem::new(M, K, Input::F32, Code::S8, scheme);
    let [rows, zeros, groups, given] =
        [Scheme::Rows, Scheme::RowsWithZeros, Scheme::Groups(128), Scheme::Given].map(|s| op.plan(&new(s)).unwrap());
    let x = stream.zeros::<f32>(M * LD).unwrap();
    let alien = Box::leak(Box::new(foreign.zeros::<f32>(M * LD).unwrap()));
    let mut codes = stream.zeros::<i8>(M * LD).unwrap();
    let mut floats = stream.zeros::<f32>(64).unwrap();
    let mut ints = stream.zeros::<i32>(M).unwrap();
    let factors = stream.zeros::<f32>(K).unwrap();
    let mut status = Status::new(&foreign).unwrap();
    let at = x.address();
    type Args<'a> = QuantizeArgs<'a, f32, i8>;
    let mut run = |plan, change: &dyn Fn(&mut Args<'_>)| {
        let mut args = QuantizeArgs {
            x: x.view().matrix(M, K, LD).unwrap(),
            codes: codes.view_mut().matrix(M, LD, LD).unwrap(),
            scaling: Scaling::Rows(floats.view_mut().slice(..M).unwrap()),
            factors: Some(factors.view()),
            status: None,
        };
        change(&mut args);
        op.run(plan, &stream, args)
    };
    run(&rows, &|_| {}).unwrap();
    let grid = |row, group, len| {
        move |a: &mut Args<'_>| {
            a.scaling = Scaling::Groups { scales: raw(here, 0x7000_0000, len), row, group };
        }
    };
    check(&[
        (
            "fewer rows",
            run(&rows, &|a| a.x = a.x.sub(0..4, 0..K).unwrap()),
            &["x is [4, 300]", "[rows, columns] = [5, 300]"],
        ),
        ("x elsewhere", run(&rows, &|a| a.x = alien.view().matrix(M, K, LD).unwrap()), &["x lives on"]),
        (
            "narrow codes",
            run(&rows, &|a| a.codes = raw(here, 0x1000, M * 288).matrix(M, 288, 288).unwrap()),
            &["[5, 288]"],
        ),
        ("misaligned", run(&rows, &|a| a.codes = raw(here, 0x1008, M * LD).matrix(M, LD, LD).unwrap()), &["0x1008"]),
        (
            "codes over x",
            run(&rows, &|a| a.codes = raw(here, at, M * LD).matrix(M, LD, LD).unwrap()),
            &["codes overlaps x"],
        ),
        (
            "codes over factors",
            run(&rows, &|a| {
                a.codes = raw(here, a.factors.unwrap().span().address & !15, M * LD).matrix(M, LD, LD).unwrap()
            }),
            &["codes overlaps the factors"],
        ),
        (
            "few scales",
            run(&rows, &|a| a.scaling = Scaling::Rows(raw(here, 0x1000, 4))),
            &["scales holds 4", "rows = 5"],
        ),
        ("scales over x", run(&rows, &|a| a.scaling = Scaling::Rows(raw(here, at, M))), &["scales overlaps x"]),
        (
            "scales over codes",
            run(&rows, &|a| a.scaling = Scaling::Rows(raw(here, a.codes.as_matrix().span().address, M))),
            &["the matrix of codes overlaps the array of scales"],
        ),
        (
            "few factors",
            run(&rows, &|a| a.factors = Some(a.factors.unwrap().slice(1..).unwrap())),
            &["factors holds 299", "K = 300"],
        ),
        ("other scales", run(&groups, &|_| {}), &["for a scale for 128 of K, but room for a scale a row was given"]),
        ("a scale for groups", run(&given, &|_| {}), &["for a given scale, but room"]),
        ("groups too few", run(&groups, &grid(3, 1, 14)), &["14", "15"]),
        ("groups that meet", run(&groups, &grid(2, 1, 64)), &["5 rows and 3 groups meet by strides of 2 and 1"]),
        ("groups in one", run(&groups, &grid(0, 1, 64)), &["strides of 0 and 1"]),
        ("columns that meet", run(&groups, &grid(1, 4, 64)), &["strides of 1 and 4"]),
        (
            "scales over zero points",
            run(&zeros, &|a| {
                let (scales, zeros) = (raw(here, 0x7000_0000, M), raw(here, 0x7000_0010, M));
                a.scaling = Scaling::RowsWithZeros { scales, zeros };
            }),
            &["the array of scales overlaps the array of zero points"],
        ),
        (
            "few zero points",
            run(&zeros, &|a| {
                let (scales, zeros) = (raw(here, 0x7000_0000, M), raw(here, 0x7100_0000, M - 1));
                a.scaling = Scaling::RowsWithZeros { scales, zeros };
            }),
            &["zero points holds 4"],
        ),
        (
            "two given scales",
            run(&given, &|a| a.scaling = Scaling::Given { scale: a.factors.unwrap().slice(..2).unwrap(), zero: None }),
            &["the scale holds 2 elements"],
        ),
    ]);
    let halves = op.plan(&QuantizeProblem { input: Input::F16, ..new(Scheme::Rows) }).unwrap();
    let mut foreign_status = |plan| {
        let args = QuantizeArgs {
            x: x.view().matrix(M, K, LD).unwrap(),
            codes: codes.view_mut().matrix(M, LD, LD).unwrap(),
            scaling: Scaling::RowsWithZeros { scales: floats.view_mut().slice(..M).unwrap(), zeros: ints.view_mut() },
            factors: None,
            status: Some(&mut status),
        };
        op.run(plan, &stream, args)
    };
    check(&[
        ("a status elsewhere", foreign_status(&zeros), &["the status lives on"]),
        ("a plan for f16", foreign_status(&halves), &["the plan is for f16, but x holds f32"]),
    ]);
}

#[test]
fn codes_of_another_kind() {
    let device = Device::emulator(Arch::Sm89);
    let stream = device.stream().unwrap();
    let op = Quantize::new(&device, Code::E4m3).unwrap();
    let e4m3 = QuantizeProblem::new(1, 16, Input::F32, Code::E4m3, Scheme::Given);
    let text = op.plan(&QuantizeProblem { code: Code::S8, ..e4m3 }).unwrap_err().to_string();
    assert!(text.contains("the problem asks for s8 codes, but the operation was made for e4m3"), "{text}");
    let plan = op.plan(&e4m3).unwrap();
    let (x, scale, zero) =
        (stream.zeros::<f32>(16).unwrap(), stream.zeros::<f32>(1).unwrap(), stream.zeros::<i32>(1).unwrap());
    let (mut right, mut wrong) = (stream.zeros::<F8E4M3>(16).unwrap(), stream.zeros::<F8E5M2>(16).unwrap());
    let x = x.view().matrix(1, 16, 16).unwrap();
    let given = |zero| Scaling::Given { scale: scale.view(), zero };
    let codes = wrong.view_mut().matrix(1, 16, 16).unwrap();
    let other = op.run(&plan, &stream, QuantizeArgs { x, codes, scaling: given(None), factors: None, status: None });
    let codes = right.view_mut().matrix(1, 16, 16).unwrap();
    let scaling = given(Some(zero.view()));
    let zeros = op.run(&plan, &stream, QuantizeArgs { x, codes, scaling, factors: None, status: None });
    let facts = Quantize::new(&Device::emulator(Arch::Sm80), Code::E5m2).map(|_| ());
    check(&[
        ("e5m2 codes", other, &["the plan makes e4m3 codes, but the output holds e5m2"]),
        ("a zero point of floats", zeros, &["a zero point of e4m3 codes; only s8 codes have one"]),
        ("8-bit floats on sm_80", facts, &["e5m2 codes", "8.9", "8.0"]),
    ]);
}

#[test]
fn bytes() {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (transpose, sums) = (TransposeBytes::new(&device).unwrap(), ColumnSums::new(&device).unwrap());
    let (turn, add) = (transpose.plan(20, 7).unwrap(), sums.plan(7, 20).unwrap());
    let x = stream.zeros::<i8>(256).unwrap();
    let mut out = stream.zeros::<i8>(256).unwrap();
    let mut ints = stream.zeros::<i32>(7).unwrap();
    let [k_by_n, n_by_k] = [(20, 7), (7, 20)].map(|(rows, cols)| x.view().matrix(rows, cols, cols).unwrap());
    let mut turned = |plan, x, ld: usize| transpose.run(plan, &stream, x, out.view_mut().matrix(7, ld, ld).unwrap());
    let narrow = turned(&turn, k_by_n, 16);
    let shape = turned(&turn, n_by_k, 32);
    let over = raw::<i8>(&device, x.address(), 224).matrix(7, 32, 32).unwrap();
    let over = transpose.run(&turn, &stream, k_by_n, over);
    let mut summed = |plan, codes, n: usize| sums.run(plan, &stream, codes, ints.view_mut().slice(..n).unwrap());
    check(&[
        ("narrow", narrow, &["[7, 16]", "7 rows of at least 20 bytes"]),
        ("another shape", shape, &["x is [7, 20], but [K, N] = [20, 7]"]),
        ("over x", over, &["the matrix of codes overlaps x"]),
        ("few sums", summed(&add, n_by_k, 6), &["sums holds 6 elements, but N = 7"]),
        ("codes of another shape", summed(&add, k_by_n, 7), &["[20, 7]", "[N, K] = [7, 20]"]),
    ]);
}

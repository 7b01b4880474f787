//! Arguments that break a rule: refused before anything is launched, with their values.

use halfbyte::device::{Buffer, Device, Region, Status, Stream};
use halfbyte::emulator::Arch;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{GemmS8, GemmS8Args, Linear, LinearArgs, QuantizeRows, QuantizeRowsArgs};
use halfbyte::plan::gemm_s8::{self, GemmS8Plan, GemmS8Problem, Output, candidates};

use super::{raw, raw_view};

const M: usize = 5;
const N: usize = 7;
const K: usize = 300;
const LD: usize = 304;

/// Everything that the good calls need, on one device.
struct Room {
    stream: Stream,
    codes: Buffer<i8>,
    floats: Buffer<f32>,
    out: Buffer<f32>,
    scratch: Buffer<u8>,
}

impl Room {
    fn new(device: &Device) -> Room {
        let stream = device.stream().unwrap();
        Room {
            codes: stream.zeros(16 * LD).unwrap(),
            floats: stream.zeros(16 * LD).unwrap(),
            out: stream.zeros(4096).unwrap(),
            scratch: stream.zeros(1 << 20).unwrap(),
            stream,
        }
    }
}

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

fn device() -> Device {
    Device::emulator(Arch::Sm80)
}

/// A device, and a room on another one; both outlive every argument.
fn stage() -> (&'static Device, &'static Room) {
    (Box::leak(Box::new(device())), Box::leak(Box::new(Room::new(&device()))))
}

#[test]
fn gemm_s8() {
    let (here, foreign) = stage();
    let mut room = Room::new(here);
    let op = GemmS8::new(here).unwrap();
    let problem = GemmS8Problem { m: M, n: N, k: K, out: Output::F32 };
    let split = candidates(&problem, here.facts()).find(|p| p.split_k() == 2).unwrap();
    let need = split.scratch_bytes();
    let Room { stream, codes, floats, out, scratch } = &mut room;
    let (out_at, scratch_at) = (out.address(), scratch.address());
    let mut run = |plan: &GemmS8Plan, change: &dyn Fn(&mut GemmS8Args<'_, f32>)| {
        let codes = codes.view();
        let mut args = GemmS8Args {
            a: codes.slice(..M * LD).unwrap().matrix(M, K, LD).unwrap(),
            b: codes.slice(..N * LD).unwrap().matrix(N, K, LD).unwrap(),
            scale_row: Some(floats.view().slice(..M).unwrap()),
            scale_col: Some(floats.view().slice(..N).unwrap()),
            bias: None,
            d: out.view_mut().matrix(M, N, N).unwrap(),
            scratch: Some(scratch.view_mut()),
        };
        change(&mut args);
        op.run(plan, stream, args)
    };
    run(&split, &|_| {}).unwrap();

    let smaller = candidates(&GemmS8Problem { k: K - 1, ..problem }, here.facts()).next().unwrap();
    let sums = candidates(&GemmS8Problem { out: Output::I32, ..problem }, here.facts()).next().unwrap();
    let hopper = gemm_s8::plan(&problem, Device::emulator(Arch::Sm90a).facts()).unwrap();
    check(&[
        ("a plan for another K", run(&smaller, &|_| {}), &["a is [5, 300]", "[M, K] = [5, 299]"]),
        ("a plan for another type", run(&sums, &|_| {}), &["for an output of s32, but d holds f32"]),
        ("a plan for another device", run(&hopper, &|_| {}), &["capability 9.0", "emulator sm_80 has", "8.0"]),
        ("fewer rows in a", run(&split, &|x| x.a = x.a.sub(0..4, 0..K).unwrap()), &["a is [4, 300]", "[5, 300]"]),
        ("another N", run(&split, &|x| x.b = x.b.sub(0..6, 0..K).unwrap()), &["b is [6, 300]", "[7, 300]"]),
        (
            "a stride of 301",
            run(&split, &|x| x.a = foreign.codes.view().matrix(M, K, 301).unwrap()),
            &["leading dimension 301 of a", "multiple of 16"],
        ),
        (
            "misaligned codes",
            run(&split, &|x| x.a = raw_view(here, 0x1008, M * LD).matrix(M, K, LD).unwrap()),
            &["a is at address 0x1008", "multiple of 16 bytes"],
        ),
        (
            "misaligned weights",
            run(&split, &|x| x.b = raw_view(here, 0x1001, N * LD).matrix(N, K, LD).unwrap()),
            &["b is at address 0x1001", "multiple of 16 bytes"],
        ),
        (
            "weights of another device",
            run(&split, &|x| x.b = foreign.codes.view().matrix(N, K, LD).unwrap()),
            &["b lives on emulator sm_80", "runs on"],
        ),
        (
            "scales of another device",
            run(&split, &|x| x.scale_row = Some(foreign.floats.view().slice(..M).unwrap())),
            &["scale_row lives on"],
        ),
        ("a missing scale", run(&split, &|x| x.scale_col = None), &["scale_col is missing", "f32"]),
        ("too many scales", run(&split, &|x| x.scale_row = x.scale_col), &["scale_row holds 7", "M = 5"]),
        ("a short bias", run(&split, &|x| x.bias = x.scale_row), &["bias holds 5", "N = 7"]),
        ("no scratch", run(&split, &|x| x.scratch = None), &["the scratch holds 0 bytes", &need.to_string()]),
        (
            "short scratch",
            run(&split, &|x| x.scratch = Some(raw(here, scratch_at, need - 1))),
            &[&format!("holds {} bytes, but {need}", need - 1)],
        ),
        (
            "misaligned scratch",
            run(&split, &|x| x.scratch = Some(raw(here, scratch_at + 16, need))),
            &["the scratch is at address", "256 bytes"],
        ),
        (
            "output over the codes",
            run(&split, &|x| x.d = raw(here, x.a.address() + 64, M * N).matrix(M, N, N).unwrap()),
            &["d overlaps a"],
        ),
        (
            "output over a scale",
            run(&split, &|x| x.d = raw(here, x.scale_col.unwrap().address(), M * N).matrix(M, N, N).unwrap()),
            &["d overlaps scale_row"],
        ),
        (
            "scratch over the output",
            run(&split, &|x| {
                x.scratch = Some(raw(here, out_at, 1 << 20));
                x.scale_row = Some(raw_view(here, out_at + (1 << 21), M));
                x.scale_col = Some(raw_view(here, out_at + (1 << 21), N));
                x.a = raw_view(here, out_at + (1 << 22), M * LD).matrix(M, K, LD).unwrap();
                x.b = raw_view(here, out_at + (1 << 22), N * LD).matrix(N, K, LD).unwrap();
            }),
            &["d overlaps the scratch"],
        ),
        (
            "scratch over the weights",
            run(&split, &|x| {
                let at = x.b.address() & !255;
                x.scratch = Some(raw(here, at, need));
            }),
            &["the scratch overlaps"],
        ),
    ]);
    // A stream of another device, and scales for raw sums.
    let wrong = op.run(
        &split,
        &foreign.stream,
        GemmS8Args {
            a: codes.view().slice(..M * LD).unwrap().matrix(M, K, LD).unwrap(),
            b: codes.view().slice(..N * LD).unwrap().matrix(N, K, LD).unwrap(),
            scale_row: None,
            scale_col: None,
            bias: None,
            d: out.view_mut().matrix(M, N, N).unwrap(),
            scratch: None,
        },
    );
    let mut sums_out = stream.zeros::<i32>(M * N).unwrap();
    let scaled = op.run(
        &sums,
        stream,
        GemmS8Args {
            a: codes.view().slice(..M * LD).unwrap().matrix(M, K, LD).unwrap(),
            b: codes.view().slice(..N * LD).unwrap().matrix(N, K, LD).unwrap(),
            scale_row: Some(floats.view().slice(..M).unwrap()),
            scale_col: None,
            bias: None,
            d: sums_out.view_mut().matrix(M, N, N).unwrap(),
            scratch: None,
        },
    );
    check(&[
        ("a stream of another device", wrong, &["the stream lives on"]),
        ("scales for raw sums", scaled, &["scale_row was given", "s32 output is not scaled"]),
    ]);
}

#[test]
fn quantize_rows() {
    let (here, foreign) = stage();
    let mut room = Room::new(here);
    let op = QuantizeRows::new(here).unwrap();
    let plan = op.plan::<f32>(M, K).unwrap();
    let halves = op.plan::<half::f16>(M, K).unwrap();
    let Room { stream, codes, floats, out, .. } = &mut room;
    let mut status = Status::new(&foreign.stream).unwrap();
    let mut run = |change: &dyn Fn(&mut QuantizeRowsArgs<'_, f32>)| {
        let mut args = QuantizeRowsArgs {
            x: floats.view().matrix(M, K, LD).unwrap(),
            codes: codes.view_mut().slice(..M * LD).unwrap().matrix(M, LD, LD).unwrap(),
            scales: out.view_mut().slice(..M).unwrap(),
            status: None,
        };
        change(&mut args);
        op.run(&plan, stream, args)
    };
    run(&|_| {}).unwrap();
    check(&[
        ("fewer rows", run(&|x| x.x = x.x.sub(0..4, 0..K).unwrap()), &["x is [4, 300]", "[5, 300]"]),
        ("x of another device", run(&|x| x.x = foreign.floats.view().matrix(M, K, LD).unwrap()), &["x lives on"]),
        (
            "a stride of 310",
            run(&|x| x.codes = raw(here, 0x1000, M * 310).matrix(M, 310, 310).unwrap()),
            &["leading dimension 310 of the codes", "multiple of 16"],
        ),
        (
            "codes too narrow",
            run(&|x| x.codes = raw(here, 0x1000, M * 288).matrix(M, 288, 288).unwrap()),
            &["[5, 288]", "at least 300"],
        ),
        (
            "padding that is not the codes' own",
            run(&|x| x.codes = raw(here, 0x1000, M * LD).matrix(M, K, LD).unwrap()),
            &["[5, 300] with leading dimension 304", "whole leading dimension"],
        ),
        (
            "misaligned codes",
            run(&|x| x.codes = raw(here, 0x1008, M * LD).matrix(M, LD, LD).unwrap()),
            &["the matrix of codes is at address 0x1008", "16 bytes"],
        ),
        (
            "a stride that the kernel cannot count",
            run(&|x| x.codes = raw(here, 0x1000, M << 32).matrix(M, 1 << 32, 1 << 32).unwrap()),
            &["leading dimension 4294967296 of the codes", "2147483647"],
        ),
        ("too few scales", run(&|x| x.scales = raw(here, 0x1000, 4)), &["scales holds 4", "number of rows = 5"]),
        (
            "codes over x",
            run(&|x| x.codes = raw(here, x.x.address(), M * LD).matrix(M, LD, LD).unwrap()),
            &["the matrix of codes overlaps x"],
        ),
        ("scales over x", run(&|x| x.scales = raw(here, x.x.address() + 8, M)), &["the array of scales overlaps x"]),
    ]);
    let args = QuantizeRowsArgs {
        x: floats.view().matrix(M, K, LD).unwrap(),
        codes: codes.view_mut().slice(..M * LD).unwrap().matrix(M, LD, LD).unwrap(),
        scales: out.view_mut().slice(..M).unwrap(),
        status: Some(&mut status),
    };
    let wrong_status = op.run(&plan, stream, args);
    let args = QuantizeRowsArgs {
        x: floats.view().matrix(M, K, LD).unwrap(),
        codes: codes.view_mut().slice(..M * LD).unwrap().matrix(M, LD, LD).unwrap(),
        scales: out.view_mut().slice(..M).unwrap(),
        status: None,
    };
    let wrong_type = op.run(&halves, stream, args);
    check(&[
        ("a status of another device", wrong_status, &["the status lives on"]),
        ("a plan for f16", wrong_type, &["the plan is for f16, but x holds f32"]),
    ]);
}

#[test]
fn linear() {
    let (here, foreign) = stage();
    let mut room = Room::new(here);
    let weights = Int8Matrix::quantize(&vec![0.5f32; N * K], N, K).unwrap();
    let linear = Linear::new(&room.stream, &weights, Some(&[1.0; N])).unwrap();
    let plan = linear.plan::<f32, f32>(M).unwrap();
    let need = plan.scratch_bytes();
    let Room { stream, floats, out, scratch, .. } = &mut room;
    let scratch_at = scratch.address();
    let mut run = |change: &dyn Fn(&mut LinearArgs<'_, f32, f32>)| {
        let mut args = LinearArgs {
            x: floats.view().matrix(M, K, K).unwrap(),
            out: out.view_mut().matrix(M, N, N).unwrap(),
            scratch: scratch.view_mut(),
            status: None,
        };
        change(&mut args);
        linear.run(&plan, stream, args)
    };
    run(&|_| {}).unwrap();
    check(&[
        (
            "more rows",
            run(&|x| x.x = raw_view(here, 0x1000, 6 * K).matrix(6, K, K).unwrap()),
            &["[5, 300]", "[6, 300]"],
        ),
        ("another K", run(&|x| x.x = x.x.sub(0..M, 0..299).unwrap()), &["x is [5, 299]", "[5, 300]"]),
        (
            "a narrow output",
            run(&|x| x.out = raw(here, 0x1000, M * 6).matrix(M, 6, 6).unwrap()),
            &["the output is [5, 6]", "[5, 7]"],
        ),
        ("x of another device", run(&|x| x.x = foreign.floats.view().matrix(M, K, K).unwrap()), &["x lives on"]),
        (
            "short scratch",
            run(&|x| x.scratch = raw(here, scratch_at, need - 1)),
            &[&format!("holds {} bytes, but {need}", need - 1)],
        ),
        (
            "misaligned scratch",
            run(&|x| x.scratch = raw(here, scratch_at + 128, need)),
            &["the scratch is at address", "256 bytes"],
        ),
        (
            "output over x",
            run(&|x| x.out = raw(here, x.x.address() + 4, M * N).matrix(M, N, N).unwrap()),
            &["the output overlaps x"],
        ),
        ("scratch over x", run(&|x| x.scratch = raw(here, x.x.address(), need)), &["the scratch overlaps x"]),
        (
            "output in the scratch",
            run(&|x| x.out = raw(here, x.scratch.address() + 512, M * N).matrix(M, N, N).unwrap()),
            &["the output overlaps the scratch"],
        ),
    ]);
}

#[test]
fn weights_that_cannot_be_a_layer() {
    let device = device();
    let stream = device.stream().unwrap();
    let other = Room::new(&self::device());
    let weights = Int8Matrix::quantize(&vec![0.5f32; N * K], N, K).unwrap();
    let long = Int8Matrix::quantize(&vec![0.5f32; 131_072], 1, 131_072).unwrap();
    let from = |len: usize, shape: [usize; 2], ld: usize, scales: usize, bias: Option<usize>| {
        let zeros = |len: usize| stream.zeros::<f32>(len).unwrap();
        Linear::from_buffers(stream.zeros(len).unwrap(), shape, ld, zeros(scales), bias.map(zeros)).map(|_| ())
    };
    let foreign = || other.stream.zeros::<f32>(N).unwrap();
    from(N * LD, [N, K], LD, N, Some(N)).unwrap();
    check(&[
        ("a short bias", Linear::new(&stream, &weights, Some(&[0.0; 6])).map(|_| ()), &["bias holds 6", "N = 7"]),
        (
            "a bias that is not finite",
            Linear::new(&stream, &weights, Some(&[0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0])).map(|_| ()),
            &["bias of column 1 is NaN"],
        ),
        ("K beyond the exact range", Linear::new(&stream, &long, None).map(|_| ()), &["K = 131072", "131071"]),
        ("too few codes", from(6 * LD, [N, K], LD, N, None), &["1824", "2124"]),
        ("a stride below K", from(N * LD, [N, K], 288, N, None), &["leading dimension 288", "300"]),
        ("a stride of 301", from(N * LD, [N, K], 301, N, None), &["leading dimension 301", "multiple of 16"]),
        ("too few scales", from(N * LD, [N, K], LD, 6, None), &["weight scales holds 6", "N = 7"]),
        ("too long a bias", from(N * LD, [N, K], LD, N, Some(8)), &["bias holds 8", "N = 7"]),
        (
            "scales of another device",
            Linear::from_buffers(stream.zeros(N * LD).unwrap(), [N, K], LD, foreign(), None).map(|_| ()),
            &["the weight scales lives on"],
        ),
        (
            "a bias of another device",
            Linear::from_buffers(stream.zeros(N * LD).unwrap(), [N, K], LD, stream.zeros(N).unwrap(), Some(foreign()))
                .map(|_| ()),
            &["the bias lives on"],
        ),
    ]);
}

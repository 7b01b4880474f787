//! Products that break a rule: refused before anything is launched, with their values.

use half::f16;
use halfbyte::device::{Device, Region, View, ViewMut};
use halfbyte::emulator::Arch;
use halfbyte::format::DType;
use halfbyte::op::{Addend, Copies, Gemm, GemmArgs, Strided, StridedMut};
use halfbyte::plan::gemm::{GemmProblem, MAX_K_WITH_ZEROS, Operand, candidates};
use halfbyte::plan::gemm_s8::Output;

fn strided_of<T>(view: View<'_, T>, ld: usize) -> Strided<'_, T> {
    Strided { view, ld, stride: 0 }
}

/// A call with one thing changed.
fn refused(change: impl for<'a> FnOnce(&mut GemmArgs<'a, f16, f16, f32>, View<'a, f32>), words: &[&str]) {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (m, n, k) = (4, 6, 10);
    let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
    let (a, b) = (stream.zeros::<f16>(m * k).unwrap(), stream.zeros::<f16>(n * k).unwrap());
    let (mut d, floats) = (stream.zeros::<f32>(m * n).unwrap(), stream.zeros::<f32>(64).unwrap());
    let ints = stream.zeros::<i32>(64).unwrap();
    let plan = gemm.plan(&GemmProblem::new(m, n, k, DType::F16, Output::F32)).unwrap();
    let view = |view: ViewMut<'_, f32>| -> (u64, usize) { (view.span().address, view.len()) };
    let (address, len) = view(d.view_mut());
    // SAFETY: the memory lives as long as `d`, which outlives the call, and nothing is launched.
    let again = unsafe { View::<f32>::from_raw(&device, address, len) }.unwrap();
    let mut args = GemmArgs::new(
        a.view().matrix(m, k, k).unwrap(),
        b.view().matrix(n, k, k).unwrap(),
        d.view_mut().matrix(m, n, n).unwrap(),
    );
    args.zero_row = words.contains(&"zero points").then(|| ints.view().slice(..4).unwrap());
    args.column_sums = words.contains(&"zero points").then(|| ints.view().slice(..6).unwrap());
    let floats = if words.contains(&"overlaps") { again } else { floats.view() };
    change(&mut args, floats);
    let error = gemm.launches(&plan, args, |_| panic!("launched")).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error:?} does not say {words:?}");
}

#[test]
fn broken_rules_are_refused_with_their_values() {
    refused(|args, _| args.beta = 0.5, &["beta = 0.5", "no c"]);
    refused(|args, f| args.scale_row = Some(f.slice(..3).unwrap()), &["scale_row holds 3", "M = 4"]);
    refused(|args, f| args.scale_col = Some(f.slice(..5).unwrap()), &["scale_col holds 5", "N = 6"]);
    refused(|args, f| args.bias = Some(f.slice(..1).unwrap()), &["bias holds 1", "N = 6"]);
    refused(|args, _| args.a.ld = 9, &["leading dimension 9 of a", "10"]);
    refused(|args, _| args.b.ld = 11, &["b", "60", "65"]);
    refused(|args, _| args.d.ld = 7, &["d", "24", "27"]);
    refused(|args, _| args.a.ld = usize::MAX / 2, &["leave the address space"]);
    refused(|_, _| (), &["zero points", "f16"]);
    refused(
        |args, f| {
            args.c = Addend::Matrix(strided_of(f, 6));
            args.beta = 1.0;
        },
        &["overlaps"],
    );
}

/// What each alignment of an operand leads to, and which part of its place is told to be in the way.
#[test]
fn arguments_say_by_which_copies_they_come() {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (a, b) = (stream.zeros::<f16>(4096).unwrap(), stream.zeros::<f16>(4096).unwrap());
    let mut d = stream.zeros::<f32>(64).unwrap();
    for (skip, ld, stride, copies, why) in [
        (0, 64, 512, Copies::Vectors, ""),
        (8, 72, 0, Copies::Vectors, ""),
        (0, 66, 512, Copies::Words, "(its rows are 132 bytes apart"),
        (4, 64, 512, Copies::Words, "(it starts at byte"),
        (0, 64, 514, Copies::Words, "(its matrices are 1028 bytes apart"),
        (0, 65, 512, Copies::Elements, "(its rows are 130 bytes apart"),
        (1, 66, 514, Copies::Elements, "(it starts at byte"),
        (2, 64, 513, Copies::Elements, "(its matrices are 1026 bytes apart"),
    ] {
        let odd = Strided { view: a.view().slice(skip..).unwrap(), ld, stride };
        let even = Strided { view: b.view(), ld: 64, stride: 0 };
        let path = GemmArgs::new(odd, even, StridedMut { view: d.view_mut(), ld: 8, stride: 0 }).path();
        assert_eq!((path.a, path.b), (copies, Copies::Vectors), "{path}");
        let text = path.to_string();
        assert!(text.contains(why) && text.contains("b by copies of 16 bytes: "), "{text}");
        assert_eq!(text.ends_with("the fast loop"), copies == Copies::Vectors, "{text}");
        let turned = GemmArgs::new(even, odd, StridedMut { view: d.view_mut(), ld: 8, stride: 0 }).path();
        assert_eq!((turned.a, turned.b), (Copies::Vectors, copies), "{turned}");
        assert!(turned.to_string().contains(why), "{turned}");
    }
}

#[test]
fn problems_that_no_kernel_serves_are_refused() {
    let old = Device::emulator(Arch::Sm80);
    let fp8 = Operand::new(DType::E4m3);
    let error = Gemm::new(&old, fp8, fp8).unwrap_err().to_string();
    assert!(error.contains("8.9") && error.contains("8.0") && error.contains("int8"), "{error}");
    let error = Gemm::new(&old, Operand::down(DType::I8), Operand::new(DType::I8)).unwrap_err().to_string();
    assert!(error.contains("along the rows"), "{error}");
    let error = Gemm::new(&old, Operand::new(DType::F16), Operand::new(DType::Bf16)).unwrap_err().to_string();
    assert!(error.contains("f16 by bf16"), "{error}");

    let gemm = Gemm::new(&old, Operand::new(DType::I8), Operand::new(DType::I8)).unwrap();
    let error = gemm.plan(&GemmProblem::new(1, 1, 1, DType::F16, Output::F32)).unwrap_err().to_string();
    assert!(error.contains("f16 by f16") && error.contains("i8 by i8"), "{error}");
    let error = gemm.plan(&GemmProblem::new(1, 1, 131_072, DType::I8, Output::F32)).unwrap_err().to_string();
    assert!(error.contains("131072") && error.contains("131071"), "{error}");

    // Zero points leave less room for K.
    let stream = old.stream().unwrap();
    let k = MAX_K_WITH_ZEROS + 1;
    let (codes, ints) = (stream.zeros::<i8>(k).unwrap(), stream.zeros::<i32>(1).unwrap());
    let mut d = stream.zeros::<f32>(1).unwrap();
    let plan = candidates(&GemmProblem::new(1, 1, k, DType::I8, Output::F32), old.facts()).next().unwrap();
    let args = GemmArgs {
        zero_row: Some(ints.view()),
        column_sums: Some(ints.view()),
        ..GemmArgs::new(
            strided_of(codes.view(), k),
            strided_of(codes.view(), k),
            StridedMut { view: d.view_mut(), ld: 1, stride: 0 },
        )
    };
    let error = gemm.launches(&plan, args, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("65794") && error.contains("65793"), "{error}");
    // The greatest that is served is exact: all 255 · 128.
    assert!(i64::from(i32::MAX) >= MAX_K_WITH_ZEROS as i64 * 255 * 128);
}

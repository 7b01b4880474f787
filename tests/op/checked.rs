//! The doors on checked devices: every plan, and what a finding looks like to their user.

use halfbyte::Error;
use halfbyte::device::Device;
use halfbyte::emulator::{Arch, AsyncOrder, Machine, MachineOptions, ReportKind};
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{Linear, QuantizeRows, QuantizeRowsArgs, run_probes};
use halfbyte::plan::gemm_s8::candidates;

use super::case::{GemmCase, Lie, gemm_on};

fn device(arch: Arch, async_order: AsyncOrder) -> Device {
    Device::emulator_with(Machine::with(MachineOptions { async_order, checked: true, ..MachineOptions::new(arch) }))
}

/// All plans of a ragged product deep enough for each to use its ring twice, on views inside larger matrices.
#[test]
fn every_plan_is_clean() {
    let mut cases = 0;
    for arch in [Arch::Sm80, Arch::Sm90a] {
        for (order, lie) in [(AsyncOrder::Late, Lie::Loose), (AsyncOrder::Random(5), Lie::Tight)] {
            let (gemm, stream) = gemm_on(&device(arch, order));
            let case = GemmCase::random([18, 70, 1100], lie, true);
            let expected = case.expected::<f32>();
            for plan in candidates(&case.problem::<f32>(), gemm.device().facts()) {
                case.check::<f32>(&gemm, &stream, &plan, &expected);
                cases += 1;
            }
        }
    }
    println!("{cases} plans on checked devices");
    assert!(cases >= 60, "only {cases} plans");
}

#[test]
fn layers_are_clean_through_the_simple_door() {
    for arch in [Arch::Sm80, Arch::Sm89, Arch::Sm90a] {
        let device = device(arch, AsyncOrder::Late);
        let stream = device.stream().unwrap();
        for (m, n, k) in [(1, 1, 1), (3, 70, 200), (2, 5, 0), (0, 4, 4)] {
            let values: Vec<f32> = (0..n * k).map(|i| (i % 13) as f32 - 6.0).collect();
            let linear = Linear::new(&stream, &Int8Matrix::quantize(&values, n, k).unwrap(), None).unwrap();
            linear.forward(&stream, &vec![0.5f32; m * k]).unwrap();
        }
        assert_eq!(device.take_reports(), []);
    }
}

#[test]
fn probes_are_clean() {
    for arch in [Arch::Sm80, Arch::Sm90a] {
        let outputs = run_probes(&device(arch, AsyncOrder::Late)).unwrap_or_else(|e| panic!("{e}"));
        assert!(outputs.len() >= 10, "{arch}: {}", outputs.len());
    }
}

/// Rows of which one element was never written: the results may be right, the run is not.
#[test]
fn a_finding_is_an_error_unless_it_is_kept() {
    let device = device(Arch::Sm80, AsyncOrder::Late);
    let stream = device.stream().unwrap();
    let op = QuantizeRows::new(&device).unwrap();
    let plan = op.plan::<f32>(2, 8).unwrap();
    let mut x = stream.alloc::<f32>(16).unwrap();
    stream.write(x.view_mut().slice(..11).unwrap(), &[1.0; 11]).unwrap();
    stream.write(x.view_mut().slice(12..).unwrap(), &[1.0; 4]).unwrap();
    let mut codes = stream.alloc::<i8>(32).unwrap();
    let mut scales = stream.alloc::<f32>(2).unwrap();
    let mut run = || {
        let args = QuantizeRowsArgs {
            x: x.view().matrix(2, 8, 8).unwrap(),
            codes: codes.view_mut().matrix(2, 16, 16).unwrap(),
            scales: scales.view_mut(),
            status: None,
        };
        op.run(&plan, &stream, args)
    };
    let Err(Error::Findings(text)) = run() else { panic!("no finding") };
    println!("{text}");
    for part in
        ["checked run of quantize_rows_f32: ", "byte 44 of `x` (64 bytes)", "never written", "kernels/quantize/"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let first = device.take_reports();
    assert!(!first.is_empty() && first.iter().all(|r| r.kind == ReportKind::Uninitialized), "{first:?}");
    assert_eq!(device.take_reports(), [], "they are taken once");
    device.keep_reports(true);
    run().unwrap();
    run().unwrap();
    let kept = device.take_reports();
    assert_eq!(kept.len(), first.len(), "the same places are reported once");
    assert!(kept.iter().zip(&first).all(|(kept, first)| kept.times == 2 * first.times));
}

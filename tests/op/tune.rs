//! Tuning on a device: what is measured runs, what was measured is taken.

use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::DType;
use halfbyte::op::Gemm;
use halfbyte::plan::gemm::{GemmProblem, Operand, candidates};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::plan::tuning::Tuning;

use crate::support::devices;

/// Every element that the device multiplies, K along and down, batches and groups: a measurement launches what a run
/// would.
#[test]
fn a_measured_problem_has_its_plan() {
    let mut tuned = 0;
    for device in devices() {
        let stream = device.stream().unwrap();
        let along = |dtype, out| GemmProblem::new(5, 72, 300, dtype, out);
        let mut problems = vec![
            along(DType::I8, Output::I32),
            GemmProblem { k_group: Some(64), ..along(DType::I8, Output::F16) },
            GemmProblem { batch: 3, b: Operand::down(DType::F16), ..along(DType::F16, Output::F32) },
            along(DType::Bf16, Output::Bf16),
        ];
        if device.facts().capability >= 89 {
            let (e4m3, e5m2) = (Operand::new(DType::E4m3), Operand::new(DType::E5m2));
            for (a, b) in [(e4m3, e4m3), (e4m3, e5m2), (e5m2, e4m3), (e5m2, e5m2)] {
                problems.push(GemmProblem { a, b, ..along(DType::E4m3, Output::F32) });
            }
        }
        for problem in problems {
            let gemm = match problem.k_group {
                Some(_) => Gemm::grouped(&device, problem.a, problem.b).unwrap(),
                None => Gemm::new(&device, problem.a, problem.b).unwrap(),
            };
            let mut tuning = Tuning::new(gemm.fingerprint().unwrap());
            assert_eq!(gemm.plan_tuned(&problem, &tuning).unwrap(), gemm.plan(&problem).unwrap());
            let plan = gemm.tune(&stream, &problem, &mut tuning).unwrap();
            assert!(candidates(&problem, device.facts()).any(|other| other == plan), "{plan}");
            assert_eq!(gemm.plan_tuned(&problem, &tuning).unwrap(), plan);
            // A second time nothing is measured.
            let before = tuning.clone();
            assert_eq!(gemm.tune(&stream, &problem, &mut tuning).unwrap(), plan);
            assert_eq!(tuning, before);
            tuned += 1;
        }
    }
    assert!(tuned >= 4 + 8, "{tuned}");
}

#[test]
fn a_fingerprint_names_the_device_and_the_kernels() {
    let print = |arch, dtype| {
        let device = Device::emulator(arch);
        Gemm::new(&device, Operand::new(dtype), Operand::new(dtype)).unwrap().fingerprint().unwrap()
    };
    let first = print(Arch::Sm80, DType::F16);
    assert!(first.starts_with("emulator sm_80, compute capability 80"), "{first}");
    assert_eq!(first, print(Arch::Sm80, DType::F16));
    assert_ne!(first, print(Arch::Sm89, DType::F16));
    // Other kernels have other keys.
    assert_ne!(first, print(Arch::Sm80, DType::Bf16));
    let grouped =
        Gemm::grouped(&Device::emulator(Arch::Sm80), Operand::new(DType::I8), Operand::new(DType::I8)).unwrap();
    assert_ne!(grouped.fingerprint().unwrap(), print(Arch::Sm80, DType::I8));
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let (here, there) = (Device::emulator(Arch::Sm80), Device::emulator(Arch::Sm80));
    let gemm = Gemm::new(&here, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
    let mut tuning = Tuning::new("");
    let problem = GemmProblem::new(1, 1, 1, DType::F16, Output::F32);
    let error = gemm.tune(&there.stream().unwrap(), &problem, &mut tuning).unwrap_err().to_string();
    assert!(error.contains("the stream"), "{error}");
    let stream = here.stream().unwrap();
    let empty = GemmProblem { n: 0, ..problem };
    let error = gemm.tune(&stream, &empty, &mut tuning).unwrap_err().to_string();
    assert!(error.contains("no plan to choose from"), "{error}");
    let other = GemmProblem::new(1, 1, 1, DType::Bf16, Output::F32);
    assert!(gemm.tune(&stream, &other, &mut tuning).is_err() && gemm.plan_tuned(&other, &tuning).is_err());
    assert!(tuning.is_empty());
}

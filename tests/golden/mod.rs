//! The probes of `kernels/probe/`: the emulator against values worked out from the PTX ISA, and against what GPUs gave
//! (`tests/golden/<gpu>/<probe>.bin`, written by `halfbyte probe --out`).

mod expected;

use std::path::Path;

use halfbyte::device::Device;
use halfbyte::emulator::{Arch, AsyncOrder, Machine, MachineOptions, Simd};
use halfbyte::op::{ProbeOutput, run_probes};

fn outputs(arch: Arch, simd: Simd, async_order: AsyncOrder) -> Vec<ProbeOutput> {
    let machine = Machine::with(MachineOptions { simd: Some(simd), async_order, ..MachineOptions::new(arch) });
    run_probes(&Device::emulator_with(machine)).unwrap()
}

fn compare(what: &str, got: &[u32], want: &[u32]) {
    assert_eq!(got.len(), want.len(), "{what}: words");
    let wrong: Vec<usize> = (0..got.len()).filter(|&i| got[i] != want[i]).collect();
    if let Some(&i) = wrong.first() {
        panic!(
            "{what}: {} of {} words differ, first word {i}: {:#010x}, not {:#010x}",
            wrong.len(),
            got.len(),
            got[i],
            want[i]
        );
    }
}

#[test]
fn emulator_gives_what_the_isa_says() {
    let mut seen = 0;
    for simd in [Simd::Portable, Simd::Avx2, Simd::Avx512] {
        for order in [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(1)] {
            for arch in [Arch::Sm80, Arch::Sm89, Arch::Sm90a] {
                for probe in outputs(arch, simd, order) {
                    let want = expected::expected(probe.name, &probe.input);
                    compare(&format!("{} on {arch}, {simd}, {order:?}", probe.name), &probe.output, &want);
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 9 * (12 + 12 + 15));
}

#[test]
fn emulator_gives_what_gpus_gave() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let mut files = 0;
    for gpu in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in gpu.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let probe = probes.iter().find(|probe| probe.name == name);
            let probe = probe.unwrap_or_else(|| panic!("{}: there is no such probe", path.display()));
            assert!(probe.bytes() == std::fs::read(&path).unwrap(), "{}: the emulator differs", path.display());
            files += 1;
        }
    }
    println!("{files} golden files");
}

#[test]
fn every_probe_has_its_line_in_the_table() {
    let table = include_str!("README.md");
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let lines = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(lines, probes.len());
    for probe in &probes {
        assert!(table.contains(&format!("| `{}` |", probe.name)), "{}", probe.name);
    }
}

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

/// The probe and the GPU of each golden file, with its bytes.
fn golden() -> Vec<(String, String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = |path: &Path| path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let gpus = entries(&folder).into_iter().filter(|path| path.is_dir());
    gpus.flat_map(|gpu| {
        entries(&gpu).into_iter().map(move |path| (stem(&path), name(&gpu), std::fs::read(&path).unwrap()))
    })
    .collect()
}

#[test]
fn emulator_gives_what_gpus_gave() {
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let files = golden();
    for (name, gpu, bytes) in &files {
        let probe = probes.iter().find(|probe| probe.name == name);
        let probe = probe.unwrap_or_else(|| panic!("{gpu}/{name}.bin: there is no such probe"));
        assert!(probe.bytes() == *bytes, "{gpu}/{name}.bin: the emulator differs");
    }
    println!("{} golden files", files.len());
}

/// The table says of each probe which GPUs it has run on.
#[test]
fn the_table_is_true() {
    let table = include_str!("README.md");
    let files = golden();
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    assert_eq!(table.lines().filter(|line| line.starts_with("| `")).count(), probes.len());
    for probe in probes {
        let row = table.lines().find(|line| line.starts_with(&format!("| `{}` |", probe.name)));
        let row = row.unwrap_or_else(|| panic!("no row for {}", probe.name));
        let gpus: Vec<&str> = files.iter().filter(|file| file.0 == probe.name).map(|file| file.1.as_str()).collect();
        assert_eq!(row.contains("not yet"), gpus.is_empty(), "{row}");
        gpus.iter().for_each(|gpu| assert!(row.contains(gpu), "{row} does not name {gpu}"));
    }
}

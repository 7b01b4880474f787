//! The probes of `kernels/probe/`: the emulator against values worked out from the PTX ISA, and against what GPUs gave
//! (`tests/golden/<gpu>/<probe>.bin`, written by `halfbyte probe --out`).

mod approximate;
mod bound;
mod expected;
mod kind;
mod table;

use std::path::Path;

use halfbyte::device::Device;
use halfbyte::emulator::{Arch, AsyncOrder, Machine, MachineOptions, Simd};
use halfbyte::kernels::instructions;
use halfbyte::op::{Golden, Probe, ProbeOutput, run_probes};

fn device(arch: Arch, simd: Simd, async_order: AsyncOrder) -> Device {
    let machine = Machine::with(MachineOptions { simd: Some(simd), async_order, ..MachineOptions::new(arch) });
    Device::emulator_with(machine)
}

fn outputs(arch: Arch, simd: Simd, async_order: AsyncOrder) -> Vec<ProbeOutput> {
    run_probes(&device(arch, simd, async_order)).unwrap()
}

/// Every probe, where all of them run.
fn all() -> Vec<Probe> {
    Probe::all(&Device::emulator(Arch::Sm90a))
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
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let (mut whole, mut known, mut all) = (Vec::new(), 0, 0);
    for probe in &probes {
        all += probe.output.len();
        let Some(want) = expected::expected(probe.name, &instructions(probe.entry), &probe.input) else { continue };
        assert_eq!(want.len(), probe.output.len(), "{}: words", probe.name);
        let differs = |i: &usize| want[*i].is_some_and(|want| want != probe.output[*i]);
        if let Some(i) = (0..want.len()).find(differs) {
            let wrong = (0..want.len()).filter(differs).count();
            let (got, want) = (probe.output[i], want[i].unwrap_or_default());
            panic!("{}: {wrong} words differ, first word {i}: {got:#010x}, not {want:#010x}", probe.name);
        }
        let count = want.iter().flatten().count();
        known += count;
        if count == want.len() {
            whole.push(probe.name);
        }
    }
    println!("{known} of {all} words are worked out, all of {whole:?}");
    expected::WHOLE.iter().for_each(|name| assert!(whole.contains(name), "not all of {name} is worked out"));
}

/// Whatever the host's instructions, the order of asynchronous work and the architecture, a probe gives the same.
#[test]
fn every_emulator_gives_the_same() {
    let first = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let mut runs = 0;
    for (arch, simd, order) in [
        (Arch::Sm80, Simd::best(), AsyncOrder::Late),
        (Arch::Sm89, Simd::Avx2, AsyncOrder::Random(1)),
        (Arch::Sm90a, Simd::Portable, AsyncOrder::Early),
        (Arch::Sm90a, Simd::Avx2, AsyncOrder::Random(2)),
    ] {
        for probe in outputs(arch, simd, order) {
            let same = first.iter().find(|other| other.name == probe.name).unwrap();
            compare(&format!("{} on {arch}, {simd}, {order:?}", probe.name), &probe.output, &same.output);
            runs += 1;
        }
    }
    assert!(runs > 3 * 30 && first.len() > 50);
}

#[test]
fn approximations_keep_their_bounds() {
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let approximate = probes.iter().filter(|probe| kind::Kind::of(probe.name) == kind::Kind::Approximate);
    let mut seen = 0;
    for probe in approximate {
        let result = approximate::check(&instructions(probe.entry), &probe.input, &probe.output, None);
        result.unwrap_or_else(|error| panic!("{}: {error}", probe.name));
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// The instructions of a probe are found in its PTX, and with plain probes there is one for each result.
#[test]
fn probes_are_about_instructions() {
    let mut plain = 0;
    for probe in all() {
        let (entry, instructions) = (probe.entry(), instructions(probe.entry()));
        assert!(!instructions.is_empty(), "{} is about nothing", probe.name());
        let row = entry.row();
        let scalar = ["float", "half", "integer", "convert"].iter().any(|stem| row.source.ends_with(stem));
        let pairs = |opcode: &String| opcode.contains("64") || opcode.contains("wide") || opcode.contains(".cc");
        if scalar && !instructions.iter().any(pairs) {
            assert_eq!(row.constant("RESULTS"), Some(instructions.len() as u32), "{}", probe.name());
            plain += 1;
        }
    }
    assert!(plain > 12, "{plain}");
}

/// The GPU of each golden file, and what it holds.
fn golden() -> Vec<(String, Golden)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = |path: &Path| path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut files = Vec::new();
    for gpu in entries(&folder).into_iter().filter(|path| path.is_dir()) {
        for path in entries(&gpu).into_iter().filter(|path| path.extension().is_some_and(|end| end == "bin")) {
            let file = Golden::from_bytes(&std::fs::read(&path).unwrap());
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(path.file_stem().unwrap().to_str(), Some(file.name.as_str()), "{}", path.display());
            files.push((gpu.file_name().unwrap().to_str().unwrap().to_owned(), file));
        }
    }
    files.sort_by(|a, b| (&a.0, &a.1.name).cmp(&(&b.0, &b.1.name)));
    files
}

#[test]
fn emulator_gives_what_gpus_gave() {
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let mut wrong = Vec::new();
    let files = golden();
    for (gpu, file) in &files {
        let Some(probe) = probes.iter().find(|probe| probe.name == file.name) else {
            wrong.push(format!("{gpu}/{}: there is no such probe", file.name));
            continue;
        };
        if let Err(error) = probe.check(&instructions(probe.entry), file) {
            wrong.push(format!("{gpu}: {error}"));
        } else if let Err(difference) = kind::compare(probe, &file.words) {
            wrong.push(format!("{gpu}/{}: {difference}", file.name));
        }
    }
    println!("{} golden files", files.len());
    // No file is forgotten, and none is said to be missing that is there.
    let mut gpus: Vec<&String> = files.iter().map(|(gpu, _)| gpu).collect();
    gpus.dedup();
    assert_eq!(gpus, kind::NOT_YET.map(|(gpu, _)| gpu), "GPUs with golden files, and those with a list of what lacks");
    for (gpu, not_yet) in kind::NOT_YET {
        let has = |name: &str| files.iter().any(|(other, file)| other == gpu && file.name == name);
        let lacks: Vec<&str> = probes.iter().map(|probe| probe.name).filter(|name| !has(name)).collect();
        assert_eq!(lacks, not_yet, "probes without a golden file of {gpu}");
    }
    assert!(wrong.is_empty(), "{} of {} golden files:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

/// The table says of each instruction by which probes it is seen, and on which GPUs.
#[test]
fn the_table_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, _) = text.split_once(table::BEGIN).expect("the table has a beginning");
    let made = format!("{head}{}{}", table::BEGIN, table::table(&all(), &golden()));
    if std::env::var_os("HALFBYTE_WRITE_TABLE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(text == made, "tests/golden/README.md is old: HALFBYTE_WRITE_TABLE=1 writes its table");
}

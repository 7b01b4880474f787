//! What each kernel may ask of a machine: `budgets.txt`, held number by number. A worse access pattern fails here, on a
//! machine with no GPU; a better one asks for the file to be written anew, so that it stays better.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use half::{bf16, f16};
use halfbyte::device::Device;
use halfbyte::emulator::{Arch, Count, Counters, MachineOptions, Module};
use halfbyte::kernels;
use halfbyte::manifest::{Entry, ROWS};
use halfbyte::op::{Linear, LinearArgs};

use super::gemm_s8::{Case, MMA, Out, WGMMA};
use super::{Bench, attention, prefill_case::Prefill, prefill_int8};
use super::{attention_quantize, bytes, merge, quantize_rows, quantized, sequences};
use super::{gemm_mma, mma_entries};

/// How to write the file.
const UPDATE: &str = "HALFBYTE_UPDATE_BUDGETS=1 cargo test --release --test halfbyte every_kernel_keeps_its_budget";
/// Instructions may change by as much, in percent, before the file must: any edit of a kernel changes some. All other
/// numbers are held exactly.
const LOOSE: [(&str, u64); 3] = [("executions", 2), ("lanes", 2), ("diverged", 5)];

/// Numbers by name, zeros left out.
type Numbers = BTreeMap<String, u64>;

/// The budget of one launch: in all, and by lines of source.
#[derive(Clone, Debug, Default, PartialEq)]
struct Budget {
    total: Numbers,
    lines: BTreeMap<String, Numbers>,
}

fn numbers(count: &Count) -> Numbers {
    let pairs = Count::NAMES.iter().zip(count.values());
    pairs.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_string(), n)).collect()
}

impl Budget {
    fn of(counters: &Counters) -> Budget {
        let mut total = numbers(&counters.total());
        total.insert("barriers".into(), counters.barriers);
        let mut lines: BTreeMap<String, Numbers> = BTreeMap::new();
        for (place, count) in counters.by_place() {
            // Lines that only calculate are not told: any edit would change them.
            let mut numbers = numbers(&count);
            numbers.retain(|name, _| LOOSE.iter().all(|(loose, _)| loose != name));
            if !numbers.is_empty() {
                lines.insert(place.to_string(), numbers);
            }
        }
        Budget { total, lines }
    }

    /// What of `now` is not as this budget says, with the lines that differ.
    fn differences(&self, now: &Budget) -> Vec<String> {
        let of = |numbers: &Numbers, name: &str| numbers.get(name).copied().unwrap_or(0);
        let mut found = Vec::new();
        for name in Count::NAMES.iter().copied().chain(["barriers"]) {
            let (old, new) = (of(&self.total, name), of(&now.total, name));
            let percent = LOOSE.iter().find(|(loose, _)| *loose == name).map_or(0, |(_, percent)| *percent);
            if 100 * old.abs_diff(new) <= percent * old {
                continue;
            }
            let how = if new > old { "went up" } else { "went down" };
            let mut text = format!("{name} {how}: {old} in the budget, {new} now");
            let none = Numbers::new();
            let lines = self.lines.keys().chain(now.lines.keys().filter(|line| !self.lines.contains_key(*line)));
            for line in lines {
                let at = |budget: &Budget| of(budget.lines.get(line).unwrap_or(&none), name);
                let (old, new) = (at(self), at(now));
                if old != new {
                    let _ = write!(text, "\n      {line}: {old} -> {new}");
                }
            }
            found.push(text);
        }
        found
    }
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "kernels", "budgets.txt"].iter().collect()
}

fn render(budgets: &BTreeMap<String, Budget>) -> String {
    let mut text = format!(
        "# What each kernel asks of a machine, by the emulator's counters: in all, and the lines of source that touch memory,\n\
         # multiply or part a warp (with the call that they are inlined for). Written by\n# {UPDATE}\n"
    );
    let row = |text: &mut String, head: &str, numbers: &Numbers| {
        let numbers: Vec<String> = numbers.iter().map(|(name, n)| format!("{name}={n}")).collect();
        let _ = writeln!(text, "  {head} | {}", numbers.join(" "));
    };
    for (case, budget) in budgets {
        let _ = writeln!(text, "\n{case}");
        row(&mut text, "in all", &budget.total);
        budget.lines.iter().for_each(|(line, numbers)| row(&mut text, line, numbers));
    }
    text
}

fn parse(text: &str) -> BTreeMap<String, Budget> {
    let mut budgets: BTreeMap<String, Budget> = BTreeMap::new();
    let mut case = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(row) = line.strip_prefix("  ") else {
            case = line.to_string();
            continue;
        };
        let (head, rest) = row.split_once(" | ").unwrap_or_else(|| panic!("no numbers: {line}"));
        let pair = |word: &str| -> (String, u64) {
            let (name, n) = word.split_once('=').unwrap_or_else(|| panic!("no number: {line}"));
            (name.to_string(), n.parse().unwrap_or_else(|e| panic!("{e}: {line}")))
        };
        let numbers: Numbers = rest.split(' ').map(pair).collect();
        let budget = budgets.entry(case.clone()).or_default();
        match head {
            "in all" => budget.total = numbers,
            _ => _ = budget.lines.insert(head.to_string(), numbers),
        }
    }
    budgets
}

/// The committed budgets; line ends are those of the machine that checked them out.
fn committed() -> BTreeMap<String, Budget> {
    let text =
        fs::read_to_string(file()).unwrap_or_else(|e| panic!("{}: {e}; write it with {UPDATE}", file().display()));
    parse(&text.replace("\r\n", "\n"))
}

/// Shapes of the products: whole tiles, and ragged ones with rows of d that are stored one element at a time.
fn products() -> Vec<(String, Arch, Case)> {
    let mut all = Vec::new();
    for entry in MMA.into_iter().chain([WGMMA]) {
        let arch = if entry == WGMMA { Arch::Sm90a } else { Arch::Sm80 };
        let whole = Case { out: Out::F16, bias: true, ..Case::new(entry, (256, 256, 1024)) };
        let ragged = Case { out: Out::F32, pad: 1, ..Case::new(entry, (37, 131, 700)) };
        let mut cases = vec![("f16 with a bias", whole), ("f32, odd rows", ragged)];
        if entry == WGMMA {
            cases.push(("f16 with a bias, 3 blocks", Case { blocks: 3, ..whole }));
        } else {
            cases.push(("s32, K in 3 slices", Case { split: 3, out: Out::S32, ..ragged }));
        }
        for (what, case) in cases {
            let Case { m, n, k, .. } = case;
            all.push((format!("{} on {arch}: M={m} N={n} K={k} {what}", entry.row().symbol), arch, case));
        }
    }
    all
}

/// Products of floats: every tile of f16, those with K down the rows, one of fp8, sums by groups, and operands that
/// only threads can copy. The other floats cost the same (`mma_traffic.rs`).
fn floats(all: &mut BTreeMap<String, Budget>) {
    let benches = [Arch::Sm80, Arch::Sm89].map(|arch| (arch, Bench::new(arch)));
    let mut add = |case: gemm_mma::Case, what: &str| {
        let row = case.entry.row();
        let (arch, bench) = benches.iter().find(|(arch, _)| *arch == mma_entries::floor(row)).unwrap();
        let (m, n, k) = case.shape;
        let budget = Budget::of(&case.check(bench, true));
        all.insert(format!("{} on {arch}: M={m} N={n} K={k} {what}", row.symbol), budget);
    };
    let of_f16 = ROWS.iter().filter(|row| row.symbol.starts_with("gemm_f16_mma")).map(|row| row.entry);
    let grouped = ROWS.iter().filter(|row| {
        row.symbol.starts_with("gemm_s8_mma_groups") || row.symbol.starts_with("gemm_e4m3_e4m3_mma_groups")
    });
    let grouped = grouped.map(|row| row.entry);
    for entry in of_f16.chain([Entry::GemmE4m3E4m3Mma64x64x64]).chain(grouped) {
        let whole = gemm_mma::Case::new(entry, (256, 256, 512));
        let each = [gemm_mma::Scale::Each; 2];
        add(gemm_mma::Case { out: 1, bias: true, scales: each, ..whole }, "f16 with a bias");
        add(gemm_mma::Case { pad: 1, scales: each, ..gemm_mma::Case::new(entry, (37, 131, 350)) }, "f32, odd rows");
    }
    let odd = gemm_mma::Case { units: [4, 1], ..gemm_mma::Case::new(Entry::GemmF16Mma64x64x32, (37, 131, 350)) };
    add(odd, "f32, a at a multiple of 4, b of 2");
}

/// Attention of f16, of which bf16 asks the same: a whole causal one, and one with everything that costs more.
fn attentions(bench: &Bench, all: &mut BTreeMap<String, Budget>) {
    use attention::case::{Bias, Case, Lengths};
    for row in attention::all().filter(|row| row.symbol.contains("_f16_")) {
        let causal =
            Case { right: Some(0), heads: (2, 1), ..Case::new(row.entry, (256, 320), attention::dims(row.entry)) };
        let rare = Case { softcap: 5.0, slopes: true, sinks: true, bias: Bias::F32, tree: 70, ..causal };
        let rare = Case { sizes: (70, 150), page: 16, lengths: Lengths::Given, batch: 2, pack: 2, wide: true, ..rare };
        for (what, case) in [("causal", causal), ("everything, in pages", rare)] {
            let (sq, sk) = case.sizes;
            let name = format!("{} on sm_80: {sq} queries, {sk} keys, {what}", row.symbol);
            all.insert(name, Budget::of(&attention::launch::check(bench, case, true)));
        }
    }
}

/// Rows of a type, kept on chip or read twice, side by side or an odd number of elements apart.
fn quantized<T: quantize_rows::Element>(bench: &Bench, all: &mut BTreeMap<String, Budget>) {
    for (cached, pad) in [(true, 0), (false, 0), (true, 3)] {
        let case = quantize_rows::Case { rows: 6, cols: 2504, pad, offset: 0, cached, grid: 4 };
        // Every row has all sizes, and none needs the slow way of a division.
        let counters = quantize_rows::counted::<T>(bench, case, true, |i, j| ((i * 31 + j * 7) % 255) as f32 - 127.0);
        let how = if cached { "kept on chip" } else { "read twice" };
        let rows = if pad == 0 { "side by side" } else { "3 elements apart" };
        let name = format!("{} on sm_80: M=6 K=2504 {how}, {rows}", T::ENTRY.row().symbol);
        all.insert(name, Budget::of(&counters));
    }
}

/// The other quantizers, of two types of x and two of codes: whole vectors, and rows that have none; codes that are
/// turned and added up.
fn quantized_otherwise(all: &mut BTreeMap<String, Budget>) {
    use quantized::{Case, Scheme};
    let bench = Bench::new(Arch::Sm89);
    let cases = [
        (Entry::QuantizeRowsZeroF32, Scheme::Zeros),
        (Entry::QuantizeRowsE4m3F16, Scheme::Rows),
        (Entry::QuantizeGroupsS8F32, Scheme::Groups(64)),
        (Entry::QuantizeGroupsE4m3F16, Scheme::Groups(128)),
        (Entry::QuantizeGroupsE5m2Bf16, Scheme::Given(0.5, None)),
        (Entry::QuantizeColumnsS8F32, Scheme::Groups(64)),
        (Entry::QuantizeColumnsS8F16, Scheme::Rows),
        (Entry::QuantizeColumnsE4m3Bf16, Scheme::Given(0.5, None)),
    ];
    for (entry, scheme) in cases {
        for (pad, factors) in [(0, false), (3, true)] {
            let columns = entry.row().source.ends_with("columns");
            let (rows, grid) = if columns { (72, 1) } else { (6, 4) };
            let case = Case { pad, factors, grid, cached: true, ..Case::new(entry, scheme, (rows, 2504)) };
            let counters = quantized::check(&bench, case, true, |i, j| ((i * 31 + j * 7) % 255) as f32 - 127.0);
            let how = if pad == 0 { "side by side" } else { "3 elements apart, with factors" };
            let name = format!("{} on sm_89: M={rows} K=2504 {scheme:?}, {how}", entry.row().symbol);
            all.insert(name, Budget::of(&counters));
        }
    }
    for pad in [0, 3] {
        let name = format!("transpose_bytes_b8 on sm_89: K=300 N=256, rows {pad} bytes apart");
        all.insert(name, Budget::of(&bytes::turned(&bench, (300, 256), pad, 0, 0, 3, true)));
        let name = format!("column_sums_s8 on sm_89: N=20 K=1600, rows {pad} bytes apart");
        all.insert(name, Budget::of(&bytes::summed(&bench, (20, 1600), pad, 0, 2, None, true)));
    }
}

/// Parts of attention, half of which hold nothing: rows of 16 bytes and rows that start anywhere.
fn merged(bench: &Bench, all: &mut BTreeMap<String, Budget>) {
    let of = |entry, dv| merge::Case { grid: 2, ..merge::Case::new(entry, 5, [13, 3, dv]) };
    let cases = [
        (of(Entry::MergeF16, 128), "in rows of 16 bytes"),
        (merge::Case { pad: 3, ..of(Entry::MergeF16, 128) }, "3 elements apart"),
        (merge::Case { by_head: true, ..of(Entry::MergeF32, 96) }, "by head"),
        (merge::Case { wide: true, ..of(Entry::MergeBf16, 64) }, "to f32"),
    ];
    for (case, how) in cases {
        let merge::Case { parts, tokens, heads, dv, .. } = case;
        let name = format!("{} on sm_80: {parts} parts of [{tokens}, {heads}, {dv}] {how}", case.entry.row().symbol);
        all.insert(name, Budget::of(&merge::check(bench, case, true).counters));
    }
}

/// The quantizers of attention: rows of 16 bytes, and an odd number of elements apart.
fn for_attention(all: &mut BTreeMap<String, Budget>) {
    let bench = Bench::new(Arch::Sm89);
    let number = |b: usize, j: usize, h: usize, c: usize| ((b * 31 + j * 17 + h * 5 + c * 7) % 255) as f32 - 127.0;
    for (pad, rows) in [(0, "side by side"), (3, "3 elements apart")] {
        let case = sequences::Case { pad, slices: 2, ..sequences::Case::new(&[[96, 256]], (4, 2), 128) };
        let mut add = |name: &str, counters: &Counters| {
            let name = format!("{name} on sm_89: 96 queries x 4, 256 keys x 2, 128 channels, rows {rows}");
            all.insert(name, Budget::of(counters));
        };
        let mean = attention_quantize::integers(&bench, &case, true);
        add("key_mean_f16", &mean[0]);
        add("key_mean_finish", &mean[1]);
        add("quantize_heads_f16", &attention_quantize::heads(&bench, &case, true, &number, &number, true));
        add("quantize_values_f16", &attention_quantize::values(&bench, &case, &[0.25; 256], &number, true));
    }
}

/// Attention on bytes: every width, causal, whole rows; and ragged ones that start anywhere.
fn attention_on_bytes(all: &mut BTreeMap<String, Budget>) {
    let bench = Bench::new(Arch::Sm89);
    let mut add = |case: &Prefill, what: &str| {
        let name = format!("{} on sm_89: {what}", case.entry().row().symbol);
        all.insert(name, Budget::of(&prefill_int8::random(&bench, case, true)));
    };
    for (width, e4m3) in prefill_int8::WIDTHS.into_iter().flat_map(|width| [(width, false), (width, true)]) {
        let case = Prefill { e4m3, ..Prefill::new(sequences::Case::new(&[[128, 192]], (2, 1), width)) };
        add(&case.causal(), "128 queries x 2, 192 keys, causal");
    }
    let of = sequences::Case { pad: 3, bf16: true, ..sequences::Case::new(&[[70, 150]], (2, 2), 64) };
    let case = Prefill { shift: true, softcap: 5.0, sinks: true, slopes: true, ..Prefill::new(of) };
    add(&case, "70 queries, 150 keys x 2, all options");
}

/// The layer as it is planned: a plan that takes another kernel shows too.
fn planned(arch: Arch, all: &mut BTreeMap<String, Budget>) {
    let device = Device::emulator(arch);
    let stream = device.stream().unwrap();
    for (m, n, k) in [(1, 512, 2048), (300, 384, 512)] {
        let codes: Vec<i8> = (0..n * k).map(|i| (i * 37 % 255) as u8 as i8).collect();
        let upload = |values: Vec<f32>| stream.upload(&values).unwrap();
        let (scales, bias) = (upload(vec![0.01; n]), upload(vec![0.5; n]));
        let linear = Linear::from_buffers(stream.upload(&codes).unwrap(), [n, k], k, scales, Some(bias)).unwrap();
        let plan = linear.plan::<f16, f16>(m).unwrap();
        let x: Vec<f16> = (0..m * k).map(|i| f16::from_f32((i * 13 % 255) as f32 - 127.0)).collect();
        let (x, mut out) = (stream.upload(&x).unwrap(), stream.alloc::<f16>(m * n).unwrap());
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes()).unwrap();
        let args = LinearArgs {
            x: x.view().matrix(m, k, k).unwrap(),
            out: out.view_mut().matrix(m, n, n).unwrap(),
            scratch: scratch.view_mut(),
            status: None,
        };
        device.count_launches(true);
        linear.run(&plan, &stream, args).unwrap();
        let launches = device.take_counters();
        device.count_launches(false);
        assert_eq!(launches.len(), 2);
        for (at, launch) in launches.iter().enumerate() {
            let budget = Budget::of(&launch.counters);
            all.insert(format!("linear on {arch}: M={m} N={n} K={k} f16, kernel {}", at + 1), budget);
        }
    }
}

fn measured() -> BTreeMap<String, Budget> {
    let mut all = BTreeMap::new();
    let benches = [Arch::Sm80, Arch::Sm90a].map(|arch| (arch, Bench::new(arch)));
    let on = |wanted: Arch| &benches.iter().find(|(arch, _)| *arch == wanted).unwrap().1;
    for (name, arch, case) in products() {
        let budget = Budget::of(&case.check(on(arch), true));
        // The PTX is the same on later devices, and so is what it asks for.
        if arch == Arch::Sm80 && case.m < 100 {
            assert_eq!(Budget::of(&case.check(on(Arch::Sm90a), true)), budget, "{name}");
        }
        all.insert(name, budget);
    }
    floats(&mut all);
    quantized::<f32>(on(Arch::Sm80), &mut all);
    quantized::<f16>(on(Arch::Sm80), &mut all);
    quantized::<bf16>(on(Arch::Sm80), &mut all);
    quantized_otherwise(&mut all);
    merged(on(Arch::Sm80), &mut all);
    for_attention(&mut all);
    attentions(on(Arch::Sm80), &mut all);
    attention_on_bytes(&mut all);
    planned(Arch::Sm80, &mut all);
    planned(Arch::Sm90a, &mut all);
    all
}

#[test]
fn every_kernel_keeps_its_budget() {
    let now = measured();
    let attentions = 4 + 4 * 2 + 11 * 2 + 5 * 2 + 1;
    assert_eq!(now.len(), 4 * 3 + (1 + 3 + 6 + 2 * 3) * 2 + 1 + 3 * 3 + 8 * 2 + 4 + attentions + 2 * 4);
    if std::env::var_os("HALFBYTE_UPDATE_BUDGETS").is_some() {
        fs::write(file(), render(&now)).unwrap();
    }
    let committed = committed();
    let names = |budgets: &BTreeMap<String, Budget>| budgets.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(&committed), "the cases; if that is meant: {UPDATE}");
    let mut wrong = Vec::new();
    for (case, budget) in &now {
        for text in committed[case].differences(budget) {
            wrong.push(format!("  {case}\n    {text}"));
        }
    }
    let count = wrong.len();
    let text = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "{count} numbers are not what the budget says.\n{text}\nWhat went up is worse, what went down is better (or work \
         that is missing). If it is meant: {UPDATE}"
    );
}

/// The same numbers in every run, and for any number of host threads.
#[test]
fn counters_are_repeatable() {
    let bench = |arch, threads| Bench::with(MachineOptions { threads: Some(threads), ..MachineOptions::new(arch) });
    let mma = Case { split: 3, out: Out::F16, pad: 1, ..Case::new(MMA[2], (37, 131, 700)) };
    let wgmma = Case { out: Out::F16, ..Case::new(WGMMA, (130, 264, 700)) };
    for (arch, case) in [(Arch::Sm80, mma), (Arch::Sm90a, wgmma)] {
        let first = case.check(&bench(arch, 1), true);
        assert!(!first.instructions.is_empty());
        let two = bench(arch, 2);
        for again in [case.check(&bench(arch, 1), true), case.check(&two, true), case.check(&two, true)] {
            assert_eq!(again.instructions, first.instructions, "{case:?}");
            let totals = |c: &Counters| (c.blocks, c.barriers, c.warp_instructions);
            assert_eq!(totals(&again), totals(&first), "{case:?}");
        }
    }
}

#[test]
fn the_file_reads_back_as_written() {
    let text = fs::read_to_string(file()).unwrap().replace("\r\n", "\n");
    assert!(render(&parse(&text)) == text, "not as it would be written: {UPDATE}");
}

#[test]
fn a_difference_names_its_number_and_its_line() {
    let budget = |sectors: u64, executions: u64| {
        let numbers = |n: u64| Numbers::from([("sectors_read".to_string(), n)]);
        let mut total = numbers(sectors + 5);
        total.insert("executions".into(), executions);
        let lines = [("a.cuh:3", sectors), ("b.cuh:4", 5)].map(|(line, n)| (line.to_string(), numbers(n)));
        Budget { total, lines: lines.into() }
    };
    let base = budget(100, 1000);
    assert!(base.differences(&base).is_empty() && base.differences(&budget(100, 1020)).is_empty());
    let worse = base.differences(&budget(101, 1000));
    assert_eq!(worse, ["sectors_read went up: 105 in the budget, 106 now\n      a.cuh:3: 100 -> 101"]);
    assert_eq!(base.differences(&budget(99, 1000))[0].split(':').next(), Some("sectors_read went down"));
    assert_eq!(base.differences(&budget(100, 1021)), ["executions went up: 1000 in the budget, 1021 now"]);
}

/// The kernel of 64×64 tiles with its text changed by `edit`, run on the shape of its budget: right results all the
/// same, and what is not as the budget says.
fn mutant(edit: impl Fn(&str) -> String) -> String {
    let (name, arch, case) = products().into_iter().find(|(_, _, case)| case.entry == MMA[1]).unwrap();
    let source = case.entry.row().source;
    let module = kernels::modules().iter().find(|m| m.source == source).unwrap();
    let start = module.ptx.find(&format!(".entry {}(", case.entry.row().symbol)).unwrap();
    let end = start + module.ptx[start..].find("\n}").unwrap();
    let text = [&module.ptx[..start], &edit(&module.ptx[start..end]), &module.ptx[end..]].concat();
    let mut bench = Bench::new(arch);
    let changed = Module::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    bench.modules.insert((source, module.target), changed);
    let now = Budget::of(&case.check(&bench, true));
    committed()[&name].differences(&now).join("\n")
}

/// The operands of each instruction that starts so: `and.b32 %r1, %r2, 3;` are `%r1`, `%r2`, `3`.
fn operands<'t>(text: &'t str, opcode: &str) -> Vec<(&'t str, Vec<&'t str>)> {
    let lines = text.lines().filter_map(|line| Some((line, line.trim().strip_prefix(opcode)?)));
    lines.map(|(line, rest)| (line, rest.trim().trim_end_matches(';').split(", ").collect())).collect()
}

const MOVED: &str = "nvcc writes the addresses of tiles in another way now: plant this fault anew";

#[test]
fn tiles_without_their_swizzle_are_over_budget() {
    let text = mutant(|entry| {
        // Chunk ^ (row / 2 % 4): the chunk alone, where the copies write and where ldmatrix reads.
        let masked: Vec<&str> =
            operands(entry, "and.b32").iter().filter(|(_, of)| of[2] == "3").map(|(_, of)| of[0]).collect();
        let (shifted, scaled) = (operands(entry, "shr.u32"), operands(entry, "shl.b32"));
        let (mut text, mut edits) = (entry.to_string(), 0);
        for (line, of) in operands(entry, "xor.b32") {
            let chunk = match of[..] {
                [_, row, chunk] if masked.contains(&row) => chunk,
                [_, row, tid] if shifted.iter().any(|(_, of)| of[..] == [row, tid, "3"]) => tid,
                // 16 * (row / 2 % 4) and 16 * chunk, of which the bits are taken afterwards.
                [_, row, lane] if scaled.iter().any(|(_, of)| of[0] == row && of[2] == "3") => lane,
                _ => continue,
            };
            text = text.replace(line, &format!("mov.b32 {}, {chunk};", of[0]));
            edits += 1;
        }
        // Two of ldmatrix, and one of the copies.
        assert_eq!(edits, 2 + 1, "{MOVED}");
        text
    });
    assert!(text.contains("wavefronts went up") && text.contains("ldmatrix.cuh"), "{text}");
    assert!(!text.contains("sectors") && !text.contains("wavefronts_ideal went"), "{text}");
}

#[test]
fn copies_across_rows_are_over_budget() {
    let text = mutant(|entry| {
        // Lanes of a warp take a chunk of 32 rows each, not the 4 chunks of 8 rows: thread t copies what (t % 32) * 4 +
        // t / 32 did.
        let tid = operands(entry, "mov.u32").into_iter().find(|(_, of)| of[1] == "%tid.x").expect(MOVED);
        let t = tid.1[0];
        let swap = format!(
            "{}\n.reg .b32 %other<4>;\nand.b32 %other0, {t}, 31;\nshl.b32 %other0, %other0, 2;\nshr.u32 %other1, {t}, 5;\nor.b32 %other2, %other0, %other1;\nshr.u32 %other3, %other2, 3;",
            tid.0
        );
        let mut text = entry.replacen(tid.0, &swap, 1);
        let mut edits = 0;
        let mut put = |line: &str, with: String| {
            edits += text.matches(line).count();
            text = text.replace(line, &with);
        };
        let row = operands(entry, "shr.u32").into_iter().find(|(_, of)| of[1..] == [t, "2"]).expect(MOVED);
        put(row.0, format!("shr.u32 {}, %other2, 2;", row.1[0]));
        let chunk = operands(entry, "shl.b32").into_iter().find(|(_, of)| of[1..] == [t, "4"]).expect(MOVED);
        put(chunk.0, format!("shl.b32 {}, %other2, 4;", chunk.1[0]));
        for place in operands(entry, "xor.b32").into_iter().filter(|(_, of)| of[2] == t) {
            put(place.0, format!("xor.b32 {}, %other3, %other2;", place.1[0]));
        }
        assert_eq!(edits, 2 + 1, "{MOVED}");
        text
    });
    assert!(text.contains("sectors_read went up") && text.contains("cp_async.cuh"), "{text}");
    assert!(!text.contains("bytes_read") && !text.contains("executions"), "{text}");
}

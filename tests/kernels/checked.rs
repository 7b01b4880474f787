//! Every kernel path in checked mode, at the smallest shapes with several ragged tiles that use each slot of their ring
//! again: right results, and nothing to report. [`Bench::launch`] fails with all reports.

use half::{bf16, f16};
use halfbyte::emulator::{Arch, AsyncOrder, MachineOptions};
use halfbyte::manifest::{Entry, ROWS, Row};

use super::Bench;
use super::gemm_s8::{Case, MMA, Out, WGMMA};
use super::{attention, attention_quantize, merge, prefill_int8};
use super::{bytes, quantize_columns, quantize_groups, quantize_rows, quantized};

const ORDERS: [AsyncOrder; 3] = [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(11)];

fn bench(arch: Arch, async_order: AsyncOrder) -> Bench {
    Bench::with(MachineOptions { async_order, checked: true, ..MachineOptions::new(arch) })
}

/// The cases of one tile in one order: all outputs over ragged edges and a wrapped ring, one row, no K.
fn tile(bench: &Bench, entry: Entry) -> usize {
    let of = |name| entry.row().constant(name).unwrap() as usize;
    let deep = (2 * of("STAGES") + 1) * of("TILE_K") - 3;
    let mut cases = 0;
    let mut check = |case: Case| {
        case.check(bench, false);
        cases += 1;
    };
    for (i, out) in Out::ALL.into_iter().enumerate() {
        let edges = Case::new(entry, (of("TILE_M") + 3, of("TILE_N") + 5, deep));
        check(Case { out, bias: i % 2 == 0, pad: i, offset: i % 2, ..edges });
        check(Case { out, bias: i % 2 == 1, ..Case::new(entry, (1, 8, of("TILE_K") + 1)) });
    }
    // A tensor map has at least one column; plans give wgmma no empty K.
    if entry != WGMMA {
        check(Case { bias: true, out: Out::F32, ..Case::new(entry, (2, 9, 0)) });
    }
    cases
}

#[test]
fn every_tile_of_mma_is_clean() {
    let mut cases = 0;
    for order in ORDERS {
        let bench = bench(Arch::Sm80, order);
        for entry in MMA {
            cases += tile(&bench, entry);
            // Slices of K: whole rings, and fewer steps than a ring has.
            let deep = 9 * entry.row().constant("TILE_K").unwrap() as usize - 1;
            for (split, out) in [(2, Out::F16), (3, Out::S32), (9, Out::F32)] {
                Case { split, out, bias: split == 2, pad: 1, ..Case::new(entry, (17, 70, deep)) }.check(&bench, false);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 3 * 3 * (9 + 3));
}

#[test]
fn wgmma_is_clean() {
    let mut cases = 0;
    for order in ORDERS {
        let bench = bench(Arch::Sm90a, order);
        cases += tile(&bench, WGMMA);
        // Six tiles by one block: what the last steps of a tile leave is used by the first of the next.
        Case { blocks: 1, out: Out::F16, ..Case::new(WGMMA, (131, 261, 5 * 128)) }.check(&bench, false);
        cases += 1;
    }
    assert_eq!(cases, 3 * (8 + 1));
}

#[test]
fn quantizing_rows_is_clean() {
    let bench = bench(Arch::Sm80, AsyncOrder::Late);
    let cases = [
        quantize_rows::shapes::<f32>(&bench),
        quantize_rows::shapes::<f16>(&bench),
        quantize_rows::shapes::<bf16>(&bench),
    ];
    assert_eq!(cases, [56; 3]);
}

#[test]
fn quantizing_otherwise_is_clean() {
    let bench = bench(Arch::Sm89, AsyncOrder::Late);
    let mut cases = 0;
    for entry in quantize_rows::others() {
        cases += quantize_rows::other_shapes(&bench, entry);
    }
    for entry in quantized::entries("quantize_groups", "") {
        cases += quantize_groups::shapes(&bench, entry);
    }
    for entry in quantized::entries("quantize_columns", "") {
        cases += quantize_columns::shapes(&bench, entry);
    }
    assert_eq!(cases, 9 * 18 + 3 * 24 + 6 * 18 + 3 * 25 + 6 * 20);
    assert_eq!((bytes::turned_shapes(&bench), bytes::summed_shapes(&bench)), (28, 28));
}

#[test]
fn quantizing_for_attention_is_clean() {
    assert_eq!(attention_quantize::cases(&bench(Arch::Sm89, AsyncOrder::Late)), 7);
}

#[test]
fn attention_on_bytes_is_clean() {
    let mut cases = 0;
    for order in ORDERS {
        let bench = bench(Arch::Sm89, order);
        for (i, width) in prefill_int8::WIDTHS.into_iter().enumerate() {
            for kind in 0..3 {
                let all = prefill_int8::cases(width, kind);
                prefill_int8::random(&bench, &all[(i + kind) % all.len()], false);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 3 * 5 * 3);
}

/// Ragged edges, every way in which operands come, slices that are fewer steps than the ring has, and a batch.
#[test]
fn every_product_by_mma_is_clean() {
    use super::gemm_mma::{Addend, Case, Scale};
    use super::mma_entries::{entries, floor, of_every_entry};
    let mut cases = 0;
    for order in ORDERS {
        let benches = [Arch::Sm80, Arch::Sm89].map(|arch| (arch, bench(arch, order)));
        for row in entries() {
            let (_, bench) = benches.iter().find(|(arch, _)| *arch == floor(row)).unwrap();
            let of = |name| row.constant(name).unwrap() as usize;
            let deep = (2 * of("STAGES") + 1) * of("TILE_K") - 3;
            let edges = Case::new(row.entry, (of("TILE_M") + 3, of("TILE_N") + 5, deep));
            let small = Case::new(row.entry, (17, 70, deep - 1));
            let all = [
                Case { scales: [Scale::Each, Scale::One], bias: true, addend: Addend::Output, out: 1, ..edges },
                Case { units: [4, 1], addend: Addend::Other, alpha: 0.5, pad: 1, ..small },
                Case { split: 3, batch: 2, scales: [Scale::One, Scale::Each], out: 2, ..small },
            ];
            for case in all {
                case.check(bench, false);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, of_every_entry(3 * 3));
}

/// Two tiles of rows and three of keys, so that both slots are used again; every feature of the least entry, some of
/// each other.
#[test]
fn attention_is_clean() {
    let mut cases = 0;
    for order in ORDERS {
        let bench = bench(Arch::Sm80, order);
        // All in one order; in the others the narrow ones, of each number of warps and rows, and of those that take a
        // row in two pieces some.
        let narrow = |row: &&Row| {
            let wide = row.constant("D") == Some(128) && row.symbol.contains("_f16_");
            order == AsyncOrder::Late || row.constant("D") <= Some(64) || wide
        };
        for (at, row) in attention::entries().filter(narrow).enumerate() {
            let step = match row.constant("D") {
                Some(32) if order == AsyncOrder::Late => 1,
                Some(..=128) => 9,
                _ => 18,
            };
            for case in attention::features(row.entry).into_iter().skip(at % 9).step_by(step) {
                attention::launch::check(&bench, case, false);
                cases += 1;
            }
        }
    }
    assert!(cases >= 2 * attention::entries().count(), "{cases}");
}

#[test]
fn merging_is_clean() {
    let bench = bench(Arch::Sm80, AsyncOrder::Late);
    assert_eq!(merge::ENTRIES.map(|entry| merge::shapes(&bench, entry)), [90; 3]);
}

#[test]
fn zero_points_are_clean() {
    use super::gemm_mma::{Case, Scale};
    let bench = bench(Arch::Sm80, AsyncOrder::Late);
    for entry in MMA {
        Case { zeros: Scale::Each, out: 3, ..Case::new(entry, (19, 75, 100)) }.check(&bench, false);
    }
}

/// A kernel that is added must be added here, or to the probes, which `tests/op/checked.rs` runs.
#[test]
fn every_entry_has_its_checked_run() {
    let mut entries: Vec<Entry> = [&MMA[..], &[WGMMA]].concat();
    entries.extend(super::mma_entries::entries().map(|row| row.entry));
    entries.extend([Entry::QuantizeRowsF32, Entry::QuantizeRowsF16, Entry::QuantizeRowsBf16]);
    entries.extend(quantize_rows::others());
    entries.extend(["quantize_groups", "quantize_columns"].iter().flat_map(|source| quantized::entries(source, "")));
    entries.extend([Entry::TransposeBytesB8, Entry::ColumnSumsS8]);
    entries.extend(merge::ENTRIES);
    let bytes = ["key_mean", "quantize_heads", "quantize_values", "prefill_int8"];
    entries.extend(bytes.iter().flat_map(|source| quantized::entries(source, "")));
    entries.extend(attention::all().map(|row| row.entry));
    for row in ROWS {
        assert!(row.source.starts_with("probe/") || entries.contains(&row.entry), "{} has none", row.symbol);
    }
}

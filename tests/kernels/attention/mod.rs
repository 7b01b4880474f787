//! Attention of many queries.

pub mod case;
pub mod launch;
mod rules;
mod traffic;

use halfbyte::emulator::Arch;
use halfbyte::manifest::{Entry, ROWS, Row};

use super::Bench;
use case::{Bias, Case, Lengths};
use launch::check;

/// Every entry.
pub fn all() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.source.starts_with("attention/attention_prefill_"))
}

/// Those to be tried.
pub fn entries() -> impl Iterator<Item = &'static Row> {
    all().filter(|row| super::tried(row))
}

/// Head sizes that an entry serves best: its own, and those that are padded to it.
pub fn dims(entry: Entry) -> (usize, usize) {
    let of = |name| entry.row().constant(name).unwrap() as usize;
    (of("D"), of("DV"))
}

/// The features of a case, by turns: every one alone, and some together.
pub fn features(entry: Entry) -> Vec<Case> {
    let (d, dv) = dims(entry);
    let plain = Case { heads: (2, 1), ..Case::new(entry, (67, 131), (d, dv)) };
    vec![
        plain,
        Case { right: Some(0), section: 1, ..plain },
        Case { right: Some(0), left: Some(70), keep: 3, batch: 2, sizes: (131, 201), ..plain },
        Case { left: Some(9), right: Some(20), sizes: (150, 140), ..plain },
        Case { softcap: 3.0, right: Some(0), ..plain },
        Case { slopes: true, pad: 8, ..plain },
        Case { sinks: true, heads: (3, 3), ..plain },
        Case { bias: Bias::F32, batch: 2, ..plain },
        Case { bias: Bias::Own, heads_first: true, softcap: 9.0, ..plain },
        Case { tree: 67, right: Some(0), sizes: (67, 170), ..plain },
        Case { tree: 200, sizes: (70, 131), batch: 2, ..plain },
        Case { lengths: Lengths::Given, batch: 4, heads_first: true, right: Some(0), ..plain },
        Case { lengths: Lengths::Packed, batch: 5, heads: (4, 2), right: Some(0), ..plain },
        Case { page: 16, lengths: Lengths::Given, batch: 3, right: Some(0), ..plain },
        Case { page: 5, heads_first: true, ..plain },
        Case { pack: 4, heads: (4, 1), sizes: (33, 131), right: Some(0), wide: true, ..plain },
        Case { pack: 3, heads: (6, 2), sizes: (50, 70), slopes: true, sinks: true, bias: Bias::F32, ..plain },
        Case { dims: (d - 8, dv - 8), wide: true, pad: 16, ..plain },
    ]
}

/// Of bf16, which differs from f16 by two instructions, a third by turns.
fn chosen(row: &'static Row) -> Vec<Case> {
    let all = features(row.entry);
    let bf16 = row.symbol.contains("bf16");
    let first = if bf16 { row.constant("D").unwrap() as usize / 16 % 3 } else { 0 };
    all.into_iter().skip(first).step_by(if bf16 { 3 } else { 1 }).collect()
}

#[test]
fn every_entry_and_every_feature() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for case in entries().flat_map(chosen) {
        check(&bench, case, false);
        cases += 1;
    }
    assert_eq!(cases, entries().map(|row| if row.symbol.contains("bf16") { 6 } else { 18 }).sum::<usize>());
}

/// Queries and keys about the edges of tiles, with masks that cut there; heads of every size that pads to an entry's.
#[test]
fn sizes_about_every_edge() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        let tile = row.constant("TILE_M").unwrap() as usize;
        for (i, sq) in [1, 2, 15, 16, 17, tile - 1, tile, tile + 1, 2 * tile + 3].into_iter().enumerate() {
            for (j, sk) in [1, 2, 63, 64, 65, 127, 128, 193].into_iter().enumerate() {
                let right = [None, Some(0), Some(5)][(i + j) % 3];
                let left = [None, Some(64), Some(1), Some(130)][(i + 2 * j) % 4];
                let keep = [0, 1, 64, 70][(i + j) % 4];
                let dims = (8 * (1 + (i + j) % 8), 8 * (1 + (3 * i + j) % 8));
                check(&bench, Case { right, left, keep, heads: (2, 2), ..Case::new(row.entry, (sq, sk), dims) }, false);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 72 * entries().filter(|row| row.constant("D") == Some(64)).count());
}

/// Pages of every size, from one key on.
#[test]
fn pages_of_any_size() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        for page in [1, 3, 16, 64, 100, 128, 256] {
            let plain =
                Case { page, heads: (2, 1), batch: 4, right: Some(0), ..Case::new(row.entry, (5, 150), (64, 64)) };
            check(&bench, Case { lengths: Lengths::Given, ..plain }, false);
            check(&bench, Case { heads_first: true, pad: 8, ..plain }, false);
            cases += 2;
        }
    }
    assert_eq!(cases, 14 * entries().filter(|row| row.constant("D") == Some(64)).count());
}

/// More sequences than a warp counts at a time, most of them empty or short.
#[test]
fn many_packed_sequences() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for row in entries().filter(|row| row.constant("D") == Some(32) || row.constant("TILE_M") == Some(128)) {
        for (batch, sizes) in [(33, (3, 9)), (70, (1, 5)), (65, (70, 20))] {
            let case =
                Case { lengths: Lengths::Packed, batch, right: Some(0), ..Case::new(row.entry, sizes, (32, 32)) };
            check(&bench, case, false);
            check(&bench, Case { heads: (6, 2), pack: 3, section: 1, ..case }, false);
            cases += 2;
        }
    }
    assert!(cases > 0);
}

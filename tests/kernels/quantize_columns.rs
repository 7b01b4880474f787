//! Quantizing with K down the rows of x.

use halfbyte::emulator::Arch;
use halfbyte::manifest::Entry;

use super::Bench;
use super::quantize_groups;
use super::quantized::{Case, Scheme, entries, random, special};

fn schemes(entry: Entry) -> impl Iterator<Item = Scheme> {
    quantize_groups::schemes(entry).chain([Scheme::Rows])
}

/// Strips and steps of K that are not full, rows that share a block and that do not, K in parts.
pub fn shapes(bench: &Bench, entry: Entry) -> usize {
    let mut cases = 0;
    for (i, (rows, cols)) in [(1, 1), (33, 130), (31, 128), (40, 300), (70, 17)].into_iter().enumerate() {
        for (j, scheme) in schemes(entry).enumerate() {
            let grid = if scheme == Scheme::Rows { 1 } else { [1, 2, 5][(i + j) % 3] };
            let (pad, offset, factors, by_group) = (i % 2 * j, j % 3, (i + j) % 2 == 0, (i + j) % 3 == 1);
            let wide = 16 * (j % 2) * (1 + 8 * (i % 2));
            let case = Case { pad, offset, grid, factors, by_group, wide, ..Case::new(entry, scheme, (rows, cols)) };
            random(bench, case);
            cases += 1;
        }
    }
    cases
}

#[test]
fn columns_of_every_type_and_stride() {
    let bench = Bench::new(Arch::Sm89);
    let cases: Vec<usize> = entries("quantize_columns", "").into_iter().map(|entry| shapes(&bench, entry)).collect();
    assert_eq!(cases, [25, 25, 25, 20, 20, 20, 20, 20, 20]);
}

#[test]
fn what_is_zero_tiny_huge_or_not_finite() {
    let bench = Bench::new(Arch::Sm89);
    for entry in entries("quantize_columns", "") {
        for scheme in schemes(entry) {
            special(&bench, Case::new(entry, scheme, (1, 200)));
        }
        random(&bench, Case::new(entry, Scheme::Given(0.0, None), (2, 70)));
    }
}

//! Quantizing by groups of K, and by a scale that is given.

use halfbyte::emulator::Arch;
use halfbyte::manifest::Entry;

use super::quantized::{Case, Scheme, entries, random, size, special};
use super::{Bench, Random, quantized};

/// What groups are of, and scales that are given.
pub const SCHEMES: [Scheme; 4] =
    [Scheme::Groups(64), Scheme::Groups(128), Scheme::Given(0.0371, None), Scheme::Given(0.25, Some(-77))];

/// The schemes of an entry: only signed bytes have a zero point.
pub fn schemes(entry: Entry) -> impl Iterator<Item = Scheme> {
    let bytes = entry.row().symbol.contains("s8");
    SCHEMES.into_iter().filter(move |scheme| bytes || !matches!(scheme, Scheme::Given(_, Some(_))))
}

/// Columns around vectors, groups and warps; strides that allow vectors and that do not; more blocks than strips, and
/// fewer.
pub fn shapes(bench: &Bench, entry: Entry) -> usize {
    let mut cases = 0;
    let vector = 16 / size(entry);
    for (i, (rows, cols)) in
        [(3usize, 1usize), (2, 63), (5, 128), (3, 200), (4, 257), (3, 1029)].into_iter().enumerate()
    {
        for (j, scheme) in schemes(entry).enumerate() {
            let aligned = (i + j) % 2 == 0;
            let pad = if aligned { cols.next_multiple_of(vector) - cols } else { j };
            let grid = [1, 2, 40][(i + j) % 3];
            let offset = if aligned { 0 } else { i % 3 };
            let (factors, by_group, wide) = (i % 2 == 0, (i + j) % 3 == 1, 16 * (j % 3) * (1 + 8 * (i % 2)));
            let case = Case { pad, offset, grid, factors, by_group, wide, ..Case::new(entry, scheme, (rows, cols)) };
            random(bench, case);
            cases += 1;
        }
    }
    cases
}

#[test]
fn groups_of_every_type_and_stride() {
    let bench = Bench::new(Arch::Sm89);
    let cases: Vec<usize> = entries("quantize_groups", "").into_iter().map(|entry| shapes(&bench, entry)).collect();
    assert_eq!(cases, [24, 24, 24, 18, 18, 18, 18, 18, 18]);
}

#[test]
fn what_is_zero_tiny_huge_or_not_finite() {
    let bench = Bench::new(Arch::Sm89);
    for entry in entries("quantize_groups", "") {
        for scheme in schemes(entry) {
            special(&bench, Case { grid: 3, ..Case::new(entry, scheme, (1, 200)) });
        }
        // Scales that make no codes, a zero point that is none, and quotients beyond an int.
        for scheme in [Scheme::Given(0.0, None), Scheme::Given(-1.0, None), Scheme::Given(f32::NAN, None)] {
            random(&bench, Case { grid: 2, ..Case::new(entry, scheme, (2, 70)) });
        }
        special(&bench, Case::new(entry, Scheme::Given(1e-38, None), (1, 72)));
    }
    for entry in entries("quantize_groups", "s8") {
        for zero in [-128, 127, -1000, i32::MIN, i32::MAX] {
            special(&bench, Case::new(entry, Scheme::Given(1e-30, Some(zero)), (1, 72)));
        }
    }
}

/// Every f16 as an 8-bit float, and all that lies between: the conversion rounds to the nearest.
#[test]
fn every_f16_as_it_is() {
    let bench = Bench::new(Arch::Sm89);
    for entry in entries("quantize_groups", "f16").into_iter().filter(|entry| !entry.row().symbol.ends_with("bf16")) {
        let case = Case { grid: 16, ..Case::new(entry, Scheme::Given(1.0, None), (64, 1024)) };
        quantized::check(&bench, case, false, |m, k| half::f16::from_bits((m << 10 | k) as u16).to_f32());
    }
}

/// The group of a warp's edge is the group of its row: every number its own size.
#[test]
fn scales_of_many_groups() {
    let bench = Bench::new(Arch::Sm89);
    for entry in entries("quantize_groups", "s8") {
        for group in [64, 128] {
            let mut random = Random::new(&format!("{entry:?} {group}"));
            let values: Vec<f32> = (0..7 * 1500).map(|_| random.float()).collect();
            for grid in [1, 3, 9] {
                let case = Case { grid, ..Case::new(entry, Scheme::Groups(group), (7, 1500)) };
                quantized::check(&bench, case, false, |m, k| values[m * 1500 + k] * (1 + m + 7 * (k / group)) as f32);
            }
        }
    }
}

/// Halfway between two codes, by a scale whose reciprocal is far from an f32: only a true division finds the tie.
#[test]
fn ties_by_a_scale_of_7() {
    let bench = Bench::new(Arch::Sm89);
    let all = [entries("quantize_groups", ""), entries("quantize_columns", "")].concat();
    for entry in all {
        // Of 2 and of 3 bits of fraction, and integers: 7 times as much is exact in most.
        let symbol = entry.row().symbol;
        let tie = |k: usize| match (symbol.contains("e4m3"), symbol.contains("e5m2")) {
            (true, _) => (1.0 + (2 * ((k + k / 8) % 8) + 1) as f32 / 16.0) * 2f32.powi((k / 8) as i32 % 6 - 2),
            (_, true) => (1.0 + (2 * ((k + k / 4) % 4) + 1) as f32 / 8.0) * 2f32.powi((k / 4) as i32 % 12 - 6),
            _ => (k % 40) as f32 + 0.5,
        };
        let case = Case { grid: 2, ..Case::new(entry, Scheme::Given(7.0, None), (2, 200)) };
        quantized::check(&bench, case, false, |m, k| 7.0 * tie(k) * if m == 0 { 1.0 } else { -1.0 });
    }
}

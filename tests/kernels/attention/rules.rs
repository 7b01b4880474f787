//! What must hold exactly: one key gives its value, a key that outweighs all gives its value wherever the mask ends, what lies
//! beyond an end or a mask is nowhere, lengths and pages that are wrong do no harm, and the same bits come from every order.

use halfbyte::emulator::Arch;
use halfbyte::manifest::Row;

use super::super::Bench;
use super::case::{Case, Data, Layout, Lengths};
use super::launch::{Outputs, Tampered, outputs, run};
use super::{dims, entries};

/// A launch, and where its output lies.
fn launched(bench: &Bench, case: Case, data: &Data, tampered: &Tampered) -> (Layout, Outputs) {
    let layout = Layout::new(&case);
    let outputs = outputs(bench, case, &layout, data, tampered, false);
    (layout, outputs)
}

/// With a single key the output is its value, bit for bit.
#[test]
fn one_key_gives_its_value() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries() {
        let case = Case { heads: (2, 2), spread: 9.0, ..Case::new(row.entry, (70, 1), dims(row.entry)) };
        let data = Data::random(&case);
        let (layout, found) = launched(&bench, case, &data, &Tampered::default());
        for (h, value) in data.v[0].iter().enumerate() {
            for i in 0..70 {
                for (e, &v) in value[0].iter().enumerate() {
                    assert_eq!(
                        case.number(&layout, &found.out, (0, i, h), e),
                        f64::from(v),
                        "{}: {h} {i} {e}",
                        row.symbol
                    );
                }
            }
        }
    }
}

/// The greatest score by far stands at the last key that a query sees, the first of its window, or its only kept one: the output
/// is that key's value. One more or one less, and it would be another's: the next key beyond holds 10,000, with a greater score.
#[test]
fn masks_end_where_they_say() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    let asked = || {
        let some = |row: &&Row| row.symbol.contains("_f16_") && matches!(row.constant("D"), Some(48 | 128 | 256));
        entries().filter(move |row| row.constant("D") == Some(64) || some(row))
    };
    for row in asked() {
        let (d, dv) = dims(row.entry);
        for (left, right, keep) in [
            (None, Some(0), 0),
            (Some(7), Some(0), 0),
            (Some(65), Some(3), 0),
            (Some(63), None, 0),
            (Some(4), Some(0), 2),
        ] {
            for last in [true, false] {
                let sizes = (75, 140);
                let case = Case { left, right, keep, ..Case::new(row.entry, sizes, (d, dv)) };
                // Query i is asked alone: its spike moves with it.
                for i in [0, 30, 63, 64] {
                    let p = i + sizes.1 - sizes.0;
                    let high = right.map_or(sizes.1 - 1, |right| p + right);
                    let low = left.map_or(0, |left| p - left.min(p));
                    let first = if keep > 0 { keep - 1 } else { low };
                    let spike = if last { high.min(sizes.1 - 1) } else { first };
                    let beyond = match (last, keep) {
                        (true, _) => high + 1,
                        (false, 0) => low.wrapping_sub(1),
                        (false, keep) => keep,
                    };
                    let mut data = Data::random(&case);
                    data.q[0][0][i] = vec![1.0; d];
                    for j in 0..sizes.1 {
                        data.k[0][0][j] = vec![0.0; d];
                        data.v[0][0][j] = (0..dv).map(|e| (j * 3 + e) as f32 / 8.0).collect();
                    }
                    data.k[0][0][spike] = vec![8.0; d];
                    if let Some(key) = data.k[0][0].get_mut(beyond) {
                        *key = vec![16.0; d];
                        data.v[0][0][beyond] = vec![10_000.0; dv];
                    }
                    let (layout, found) = launched(&bench, case, &data, &Tampered::default());
                    for e in 0..dv {
                        let want = case.rounded((spike * 3 + e) as f32 / 8.0);
                        assert_eq!(
                            case.number(&layout, &found.out, (0, i, 0), e),
                            f64::from(want),
                            "{case:?} last {last}: query {i}, element {e}"
                        );
                    }
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, asked().count() * 5 * 2 * 4);
}

/// Queries 0, keys 0, and scores that no f32 exponential could bear.
#[test]
fn nothing_and_far_too_much() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries() {
        let sizes = dims(row.entry);
        run(&bench, Case::new(row.entry, (70, 0), sizes), &Data::random(&Case::new(row.entry, (70, 0), sizes)), false);
        // More queries than keys: the first see nothing under a causal mask.
        let case = Case { right: Some(0), heads: (2, 2), ..Case::new(row.entry, (140, 66), sizes) };
        run(&bench, case, &Data::random(&case), false);
        run(&bench, Case { sinks: true, ..case }, &Data::random(&Case { sinks: true, ..case }), false);
        // Scores of thousands: exponentials of all but a few are 0, and nothing overflows.
        let steep = Case { spread: 3000.0, ..case };
        let data = Data::random(&steep);
        let (layout, found) = launched(&bench, steep, &data, &Tampered::default());
        for (h, i) in (0..2).flat_map(|h| (0..140).map(move |i| (h, i))) {
            for e in 0..sizes.1 {
                let x = steep.number(&layout, &found.out, (0, i, h), e);
                assert!(x.abs() <= 3.01 && (i >= 74 || x == 0.0), "{}: {h} {i} {e}: {x}", row.symbol);
            }
        }
    }
}

/// First tokens that fall or go past the end, lengths beyond the bound, pages that do not exist: nothing outside is touched (the
/// emulator would tell), the status word says it, and sequences that are right come out right.
#[test]
fn wrong_lengths_and_pages_do_no_harm() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        let plain = Case { batch: 3, heads: (2, 1), right: Some(0), ..Case::new(row.entry, (40, 90), (64, 64)) };
        let packed = Case { lengths: Lengths::Packed, ..plain };
        let given = Case { lengths: Lengths::Given, ..plain };
        let paged = Case { page: 16, ..given };
        let tampered: [(Case, Tampered, u32); 7] = [
            (packed, Tampered { cu_q: Some((2, 4_000_000_000)), ..Tampered::default() }, 2),
            (packed, Tampered { cu_q: Some((1, 60)), ..Tampered::default() }, 2),
            (packed, Tampered { cu_k: Some((2, 7)), ..Tampered::default() }, 2),
            (packed, Tampered { cu_k: Some((3, 100_000)), ..Tampered::default() }, 2),
            (given, Tampered { lens_k: Some((1, 91)), ..Tampered::default() }, 2),
            (given, Tampered { lens_q: Some((1, u32::MAX)), ..Tampered::default() }, 2),
            (paged, Tampered { page: Some(1), ..Tampered::default() }, 4),
        ];
        for (case, tampered, bit) in tampered {
            let (_, found) = launched(&bench, case, &Data::random(&case), &tampered);
            assert_eq!(found.status, bit, "{case:?} {tampered:?}");
        }
        for case in [packed, given, paged] {
            assert_eq!(launched(&bench, case, &Data::random(&case), &Tampered::default()).1.status, 0);
        }
    }
}

/// The order of blocks, and how many heads run together, change no bit; nor does another run.
#[test]
fn the_same_bits_in_every_order() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries() {
        let case = Case {
            batch: 3,
            heads: (4, 2),
            right: Some(0),
            sinks: true,
            ..Case::new(row.entry, (140, 150), dims(row.entry))
        };
        let data = Data::random(&case);
        let (_, first) = launched(&bench, case, &data, &Tampered::default());
        for section in [1000, 1, 5] {
            let (_, again) = launched(&bench, Case { section, ..case }, &data, &Tampered::default());
            assert!(first.out == again.out && first.lse == again.lse, "{case:?} section {section}");
        }
    }
}

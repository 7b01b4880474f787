//! What must hold exactly: one key gives its value, a key that outweighs all gives its value wherever the mask ends,
//! what lies beyond an end or a mask is nowhere, lengths and pages that are wrong do no harm, and the same bits come
//! from every order.

use halfbyte::emulator::Arch;
use halfbyte::manifest::{ROWS, Row};

use super::super::{Bench, UNTOUCHED};
use super::case::{Bias, Case, Data, Layout, Lengths};
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

/// The greatest score by far stands at the last key that a query sees, the first of its window, or its only kept one:
/// the output is that key's value. One more or one less, and it would be another's: the next key beyond holds 10,000,
/// with a greater score.
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
        // Scores of thousands: exponentials of all but a few are 0, and nothing overflows. What outweighs all else by
        // 50 is the output, but for the roundings of its probability and of itself.
        let steep = Case { spread: 3000.0, ..case };
        let data = Data::random(&steep);
        let (layout, found) = launched(&bench, steep, &data, &Tampered::default());
        let unit = if steep.is_bf16() { 2f64.powi(-8) } else { 2f64.powi(-11) };
        let mut clear = 0;
        for (h, i) in (0..2).flat_map(|h| (0..140).map(move |i| (h, i))) {
            let (q, keys) = (&data.q[0][h][i], (i + 1).saturating_sub(74));
            let score = |k: &Vec<f32>| q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>();
            let mut scores: Vec<(f64, usize)> =
                (0..keys).map(|j| (score(&data.k[0][h][j]) * f64::from(layout.scale), j)).collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            let best = scores.first().filter(|best| scores.get(1).is_none_or(|next| best.0 - next.0 > 50.0));
            clear += usize::from(best.is_some());
            for e in 0..sizes.1 {
                let x = steep.number(&layout, &found.out, (0, i, h), e);
                assert!(x.abs() <= 3.01 && (keys > 0 || x == 0.0), "{}: {h} {i} {e}: {x}", row.symbol);
                if let Some(&(_, j)) = best {
                    let want = f64::from(data.v[0][h][j][e]);
                    let near = (x - want).abs() <= 2.1 * unit * want.abs() + 2f64.powi(-24);
                    assert!(near, "{}: {h} {i} {e}: {x}, not {want}", row.symbol);
                }
            }
        }
        // Of 132 rows that see a key.
        assert!(clear >= 120, "{}: {clear}", row.symbol);
    }
}

/// Scores that a bias takes far below 0, where f32 has few places left: those that are equal weigh alike, and what is a
/// thousand lower still weighs nothing.
#[test]
fn scores_far_below_zero_weigh_alike() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries() {
        let case = Case { bias: Bias::F32, ..Case::new(row.entry, (70, 130), dims(row.entry)) };
        let mut data = Data::random(&case);
        data.q[0][0].iter_mut().flatten().for_each(|q| *q = 0.0);
        let mut layout = Layout::new(&case);
        let seen = |i: usize, j: usize| !(i + j).is_multiple_of(3);
        for (at, bias) in layout.biases.iter_mut().enumerate() {
            *bias = if seen(at / 133, at % 133) { -2.45e5 } else { -2.46e5 };
        }
        let found = outputs(&bench, case, &layout, &data, &Tampered::default(), false);
        let unit = if case.is_bf16() { 2f64.powi(-8) } else { 2f64.powi(-11) };
        for i in 0..70 {
            let keys: Vec<usize> = (0..130).filter(|&j| seen(i, j)).collect();
            for e in 0..case.dims.1 {
                let values = || keys.iter().map(|&j| f64::from(data.v[0][0][j][e]));
                let (want, size) = (values().sum::<f64>(), values().map(f64::abs).sum::<f64>());
                let (want, size) = (want / keys.len() as f64, size / keys.len() as f64);
                let x = case.number(&layout, &found.out, (0, i, 0), e);
                let slack = 1.01 * unit * want.abs() + 2f64.powi(-16) * size + 2f64.powi(-24);
                assert!((x - want).abs() <= slack, "{}: {i} {e}: {x}, not {want}", row.symbol);
            }
            let (lse, want) = (found.lse[layout.lse_at(&case, 0, i, 0)], -2.45e5 + (keys.len() as f64).ln());
            assert!((f64::from(lse) - want).abs() <= 0.07, "{}: {i}: {lse}, not {want}", row.symbol);
        }
    }
}

/// The bytes of some sequences' outputs, and the bits of their log-sum-exp, all of which were written.
fn bits_of(case: &Case, layout: &Layout, found: &Outputs, sequences: &[usize]) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut lse) = (Vec::new(), Vec::new());
    for (&b, h) in sequences.iter().flat_map(|b| (0..case.heads.0).map(move |h| (b, h))) {
        for i in 0..layout.lengths[b].0 {
            let at = 2 * layout.query_at(3, b, i, h);
            let row = &found.out[at..at + 2 * case.dims.1];
            assert!(row.iter().any(|&byte| byte != UNTOUCHED), "{case:?}: query {i} of {b} is not written");
            out.extend(row);
            lse.push(found.lse[layout.lse_at(case, b, i, h)].to_bits());
        }
    }
    (out, lse)
}

/// First tokens that fall or go past the end, lengths beyond the bound, pages that do not exist: nothing outside is
/// touched (the emulator would tell) and the status word says it. A sequence whose own first token, end and keys are
/// right gives the same bits as if nothing were wrong; keys of a page that does not exist are zeros.
#[test]
fn wrong_lengths_and_pages_do_no_harm() {
    let bench = Bench::new(Arch::Sm80);
    let none = Tampered::default();
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        // First queries 0, 40, 67, 88, 88, 128, 155; first keys 0, 90, 157, 157, 202, 292, 359.
        let plain = Case { batch: 6, heads: (2, 1), right: Some(0), ..Case::new(row.entry, (40, 90), (64, 64)) };
        let packed = Case { lengths: Lengths::Packed, ..plain };
        let given = Case { lengths: Lengths::Given, ..plain };
        let paged = Case { page: 16, ..given };
        let clean = [packed, given, paged].map(|case| launched(&bench, case, &Data::random(&case), &none));
        let tampered: [(Case, Tampered, &[usize]); 10] = [
            (packed, Tampered { cu_q: Some((2, 4_000_000_000)), ..none }, &[0, 3, 4, 5]),
            (packed, Tampered { cu_q: Some((1, 60)), ..none }, &[2, 3, 4, 5]),
            (packed, Tampered { cu_q: Some((0, u32::MAX)), ..none }, &[1, 2, 3, 4, 5]),
            (packed, Tampered { cu_q: Some((6, 100_000)), ..none }, &[0, 1, 2, 3, 4, 5]),
            (packed, Tampered { cu_k: Some((2, 7)), ..none }, &[0, 3, 4, 5]),
            (packed, Tampered { cu_k: Some((6, 100_000)), ..none }, &[0, 1, 2, 3, 4, 5]),
            (packed, Tampered { cu_k: Some((3, 100_000)), ..none }, &[0, 1, 4, 5]),
            (given, Tampered { lens_k: Some((1, 91)), ..none }, &[0, 2, 3, 4, 5]),
            (given, Tampered { lens_q: Some((1, u32::MAX)), ..none }, &[0, 2, 3, 4, 5]),
            (given, Tampered { lens_k: Some((0, u32::MAX)), ..none }, &[0, 1, 2, 3, 4, 5]),
        ];
        for (case, tampered, right) in tampered {
            let (layout, found) = launched(&bench, case, &Data::random(&case), &tampered);
            assert_eq!(found.status, 2, "{case:?} {tampered:?}");
            let (_, clean) = &clean[usize::from(case.lengths == Lengths::Given)];
            let same = bits_of(&case, &layout, &found, right) == bits_of(&case, &layout, clean, right);
            assert!(same, "{case:?} {tampered:?}: sequences that are right are others");
        }
        // The second page of the first sequence.
        let mut data = Data::random(&paged);
        let (_, found) = launched(&bench, paged, &data, &Tampered { page: Some(1), ..none });
        assert_eq!(found.status, 4, "{paged:?}");
        for tensor in [&mut data.k, &mut data.v] {
            tensor[0].iter_mut().flat_map(|head| &mut head[16..32]).for_each(|key| key.fill(0.0));
        }
        let (_, zeros) = launched(&bench, paged, &data, &none);
        assert!(
            found.out == zeros.out && found.lse.iter().map(|x| x.to_bits()).eq(zeros.lse.iter().map(|x| x.to_bits()))
        );
        assert!(zeros.out != clean[2].1.out);
        assert!(clean.iter().all(|(_, clean)| clean.status == 0));
    }
}

/// First tokens that fall are told where no sequence is left with a query, so that no block has anything to do, and
/// where they are those of sequences that a warp counts in its second round.
#[test]
fn wrong_first_tokens_are_told_wherever_they_stand() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        let one = Case {
            lengths: Lengths::Packed,
            right: Some(0),
            heads: (2, 1),
            ..Case::new(row.entry, (40, 90), (64, 64))
        };
        let untouched = |found: &Outputs| {
            found.out.iter().all(|&byte| byte == UNTOUCHED)
                && found.lse.iter().all(|x| x.to_le_bytes() == [UNTOUCHED; 4])
        };
        for first in [41, 4_000_000_000, u32::MAX] {
            let tampered = Tampered { cu_q: Some((0, first)), ..Tampered::default() };
            let (_, found) = launched(&bench, one, &Data::random(&one), &tampered);
            assert!(found.status == 2 && untouched(&found), "{one:?}: {first}: status {}", found.status);
        }
        // Nobody has a query but for the entry that is wrong.
        let many = Case { batch: 40, ..one };
        let data = Data::random(&many);
        for (wrong, status) in [(None, 0), (Some(3), 2), (Some(32), 2), (Some(38), 2)] {
            let mut layout = Layout::new(&many);
            layout.cu_q.fill(0);
            wrong.into_iter().for_each(|at| layout.cu_q[at] = 70);
            let found = outputs(&bench, many, &layout, &data, &Tampered::default(), false);
            assert!(found.status == status && untouched(&found), "{many:?}: {wrong:?}: status {}", found.status);
        }
        // Others have theirs. What comes before the wrong entry may run into what follows it, which has nothing then.
        let (layout, clean) = launched(&bench, many, &data, &Tampered::default());
        let tampered = Tampered { cu_q: Some((38, 4_000_000_000)), ..Tampered::default() };
        let (_, found) = launched(&bench, many, &data, &tampered);
        assert_eq!((clean.status, found.status), (0, 2), "{many:?}");
        let right: Vec<usize> = (0..40).filter(|b| !(37..39).contains(b)).collect();
        assert!(bits_of(&many, &layout, &found, &right) == bits_of(&many, &layout, &clean, &right), "{many:?}");
    }
}

/// A row's bits are the same in tiles of 64 and of 128 rows, whatever else the tile's rows see.
#[test]
fn the_same_bits_in_tiles_of_every_height() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries().filter(|row| row.constant("TILE_M") == Some(128)) {
        let symbol = row.symbol.replace("_128x", "_64x");
        let low = ROWS.iter().find(|row| row.symbol == symbol).unwrap().entry;
        let plain = Case { heads: (2, 1), ..Case::new(row.entry, (150, 200), dims(row.entry)) };
        for case in [
            plain,
            Case { right: Some(0), sinks: true, ..plain },
            Case { right: Some(0), left: Some(70), keep: 5, ..plain },
            Case { left: Some(9), right: Some(20), bias: Bias::F32, sinks: true, ..plain },
            Case { right: Some(0), bias: Bias::Own, slopes: true, softcap: 4.0, ..plain },
            Case { tree: 200, hole: true, ..plain },
            Case { lengths: Lengths::Packed, batch: 2, pack: 2, wide: true, sizes: (70, 150), ..plain },
        ] {
            let (data, layout) = (Data::random(&case), Layout::new(&case));
            let [tall, low] = [case.entry, low].map(|entry| {
                let found = outputs(&bench, Case { entry, ..case }, &layout, &data, &Tampered::default(), false);
                (found.out, found.lse.iter().map(|lse| lse.to_bits()).collect::<Vec<_>>())
            });
            assert!(tall == low, "{case:?}");
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

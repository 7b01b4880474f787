//! Attention with scores from signed bytes, on codes and scales of any making, against its definition in f64.

use halfbyte::emulator::{Arch, Counters};

use super::prefill_case::{Numbers, Prefill, run};
use super::sequences::{Case, Wrong, wrong};
use super::traffic::{requests, sum};
use super::{Bench, Random};

/// Runs a case and holds every number within its bound.
fn check(bench: &Bench, case: &Prefill, n: &Numbers<'_>, count: bool) -> Counters {
    let (rows, counters) = run(bench, case, n, count);
    for (i, row) in rows.iter().enumerate() {
        for (c, ((got, want), slack)) in row.got.iter().zip(&row.want).zip(&row.slack).enumerate() {
            assert!((got - want).abs() <= *slack, "{case:?}: row {i}, channel {c} is {got}, not {want} within {slack}");
        }
        let (got, want) = (row.lse, row.want_lse);
        let right = !case.lse || got == want || (got - want).abs() <= row.lse_slack;
        assert!(right, "{case:?}: log-sum-exp of row {i} is {got}, not {want}");
    }
    counters
}

/// Random codes, another scale for every token and head.
pub fn random(bench: &Bench, case: &Prefill, count: bool) -> Counters {
    let mut random = Random::new(&format!("{case:?}"));
    let codes: Vec<i8> = (0..4093).map(|_| random.code().max(-127)).collect();
    let values: Vec<f32> = (0..1021).map(|_| random.float()).collect();
    let code = |b: usize, i: usize, h: usize, c: usize| codes[(b * 1031 + i * 257 + h * 523 + c * 31) % 4093];
    check(
        bench,
        case,
        &Numbers {
            q: &code,
            k: &|b, j, h, c| code(b + 3, j, h, c),
            q_scale: &|_, i, h| 0.002 * (1 + (i * 7 + h) % 5) as f32,
            k_scale: &|_, j, h| 0.003 * (1 + (j * 5 + h) % 7) as f32,
            v: &|b, j, h, c| values[(b * 331 + j * 149 + h * 59 + c * 7) % 1021] * (1 + c % 3) as f32,
        },
        count,
    )
}

/// All scores 0: the mean of what is seen, each key with a number of its own. One key too many or too few shows.
fn uniform(bench: &Bench, case: &Prefill) {
    let case = Prefill { scale: 0.0, sinks: false, slopes: false, bias: false, softcap: 0.0, lse: true, ..*case };
    let (rows, _) = run(
        bench,
        &case,
        &Numbers {
            q: &|_, i, _, c| (i + c) as u8 as i8 >> 1,
            k: &|_, j, _, c| (j * 3 + c) as u8 as i8 >> 1,
            q_scale: &|_, _, _| 1.0,
            k_scale: &|_, _, _| 1.0,
            // Exact in every type, as are their sums; the first channels tell keys apart.
            v: &|_, j, _, c| if j % 16 == c { 16.0 } else { 0.0 },
        },
        false,
    );
    for (i, row) in rows.iter().enumerate() {
        let step = if case.out_bf16 { 2f64.powi(-8) } else { 2f64.powi(-10) };
        for (c, (got, want)) in row.got.iter().zip(&row.want).enumerate() {
            assert!((got - want).abs() <= step * want.abs(), "{case:?}: row {i}, channel {c} is {got}, not {want}");
        }
        let right = row.lse == row.want_lse || (row.lse - row.want_lse).abs() <= 2e-6 * (1.0 + row.want_lse.abs());
        assert!(right, "{case:?}: row {i} has {}, not {}", row.lse, row.want_lse);
    }
}

const SHORT: &[[usize; 2]] = &[[70, 130], [70, 130]];
const PACKED: &[[usize; 2]] = &[[65, 150], [0, 3], [1, 1], [40, 64], [5, 0]];

/// Every width; what is seen, how rows lie, and what is done to scores, in turn.
pub fn cases(dim: usize, kind: usize) -> Vec<Prefill> {
    let of = Case { bf16: kind == 1, value_dim: dim.min(192) - 8, ..Case::new(SHORT, (2, 1), dim) };
    let plain = Prefill { e4m3: kind == 2, out_bf16: kind != 0, ..Prefill::new(of) };
    let packed = Case { tokens: PACKED, packed: true, value_dim: dim / 2, heads: 4, kv_heads: 2, ..of };
    vec![
        Prefill { shift: true, ..plain }.causal(),
        Prefill { of: packed, left: Some(20), right: Some(3), keep_first: 5, ..plain },
        Prefill {
            of: Case { lens: true, head_first: true, ..packed },
            softcap: 3.0,
            shift: true,
            sinks: true,
            ..plain
        }
        .causal(),
        Prefill {
            of: Case { pad: 3, heads: 3, kv_heads: 3, ..of },
            slopes: true,
            sinks: true,
            shift: true,
            lse: false,
            ..plain
        },
        Prefill { of: Case { tokens: &[[130, 20]], pad: 8, value_dim: dim, ..of }, out_bf16: kind == 1, ..plain }
            .causal(),
        Prefill { tree: 75, bias: true, shift: true, ..plain },
        Prefill { of: packed, tree: 200, bias: true, slopes: true, softcap: 4.0, ..plain },
    ]
}

/// Bytes of a row of codes.
pub const WIDTHS: [usize; 5] = [64, 96, 128, 192, 256];

#[test]
fn every_width_and_type_of_values() {
    let bench = Bench::new(Arch::Sm89);
    let mut count = 0;
    for (i, dim) in WIDTHS.into_iter().enumerate() {
        for kind in 0..3 {
            // All of the narrowest; of the others two, by turns.
            for (j, case) in cases(dim, kind).into_iter().enumerate() {
                if i == 0 || (i + j + kind) % 7 < 3 {
                    random(&bench, &case, false);
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 3 * 7 + 4 * 3 * 3);
}

/// Edges of windows, of what is kept, of lengths and of tiles: exactly the keys that are seen.
#[test]
fn exactly_the_keys_that_are_seen() {
    let bench = Bench::new(Arch::Sm89);
    for kind in 0..3 {
        for tokens in [&[[1, 1]][..], &[[64, 64]], &[[65, 129]], &[[3, 200]], &[[130, 70]], &[[66, 1]]] {
            let of = Case {
                tokens: Box::leak(tokens.to_vec().into_boxed_slice()),
                bf16: kind == 1,
                value_dim: 16,
                ..Case::new(SHORT, (1, 1), 64)
            };
            let plain = Prefill { e4m3: kind == 2, ..Prefill::new(of) };
            uniform(&bench, &plain);
            for (left, right, keep_first) in [
                (None, Some(0), 0),
                (Some(0), Some(0), 0),
                (Some(63), Some(0), 0),
                (Some(64), Some(1), 1),
                (Some(5), None, 64),
                (Some(17), Some(63), 65),
                (None, Some(64), 0),
                (Some(1000), Some(1000), 1000),
                (Some(3), Some(0), 10),
            ] {
                uniform(&bench, &Prefill { left, right, keep_first, ..plain });
            }
        }
        for case in cases(64, kind) {
            uniform(&bench, &case);
        }
    }
}

/// One key whose score is far above all others: its value as it is, wherever it stands; beyond the edge it is not seen.
#[test]
fn a_spike_gives_its_value_bit_for_bit() {
    let bench = Bench::new(Arch::Sm89);
    for kind in 0..3 {
        let of = Case { bf16: kind == 1, value_dim: 64, ..Case::new(&[[70, 70]], (1, 1), 64) };
        let case = Prefill { e4m3: kind == 2, scale: 1.0, ..Prefill::new(of) }.causal();
        // Key j is the spike of query j alone, 1524 above the others; key j + 1, not seen, is ten times as high.
        let (rows, _) = run(
            &bench,
            &case,
            &Numbers {
                q: &|_, i, _, c| {
                    if c == i % 64 {
                        12
                    } else if c == i + 1 {
                        120
                    } else {
                        0
                    }
                },
                k: &|_, j, _, c| if c == j % 64 { 127 } else { 0 },
                q_scale: &|_, _, _| 1.0,
                k_scale: &|_, _, _| 1.0,
                v: &|_, j, _, c| ((j * 5 + c * 3) % 16) as f32 - 8.0,
            },
            false,
        );
        for (i, row) in rows.iter().enumerate().take(64) {
            let scale = |c: usize| if kind == 2 { 0.25 + (c % 9) as f64 / 8.0 } else { 1.0 };
            let want: Vec<f64> = (0..64).map(|c| (((i * 5 + c * 3) % 16) as f64 - 8.0) * scale(c)).collect();
            assert_eq!(row.got, want, "{case:?}: row {i}");
        }
    }
}

/// A scale that is NaN, as quantizers write for what is not finite, spoils its query or the queries that see its key.
#[test]
fn what_is_not_finite_stays_so() {
    let bench = Bench::new(Arch::Sm80);
    let case = Prefill::new(Case { value_dim: 8, ..Case::new(&[[20, 20]], (1, 1), 64) }).causal();
    for (query, key) in [(Some(7), None), (None, Some(12))] {
        let (rows, _) = run(
            &bench,
            &case,
            &Numbers {
                q: &|_, _, _, _| 1,
                k: &|_, _, _, _| 1,
                q_scale: &|_, i, _| if Some(i) == query { f32::NAN } else { 1.0 },
                k_scale: &|_, j, _| if Some(j) == key { f32::NAN } else { 1.0 },
                v: &|_, _, _, _| 1.0,
            },
            false,
        );
        for (i, row) in rows.iter().enumerate() {
            let bad = Some(i) == query || key.is_some_and(|key| i >= key);
            assert!(row.got.iter().all(|x| x.is_nan() == bad) && row.lse.is_nan() == bad, "{i}: {:?}", row.got);
        }
    }
}

/// Tiles that no query of a block sees cost nothing: neither copies nor products nor exponentials. Those that are seen
/// cost what they hold: keys, scales and values once, each score one exponential.
#[test]
fn tiles_that_nobody_sees_are_skipped() {
    let bench = Bench::new(Arch::Sm89);
    for (kind, value_dim) in [(0, 64), (1, 40), (2, 40)] {
        let of = Case { bf16: kind == 1, value_dim, ..Case::new(&[[64, 640]], (1, 1), 64) };
        let tiles = |case: Prefill| {
            let counters = random(&bench, &case, true);
            for i in &counters.instructions {
                assert_eq!(i.count.wavefronts, i.count.wavefronts_ideal, "{} at {:?}", i.instruction, i.source);
            }
            let macs = counters.instructions.iter().map(|i| i.count.tensor_macs).sum::<u64>();
            // Values are multiplied by 16 channels at a time.
            let of_a_tile = 64 * 64 * (64 + value_dim.next_multiple_of(16)) as u64;
            let tiles = macs / of_a_tile;
            assert_eq!(macs, tiles * of_a_tile, "{case:?}");
            // Rows of 16-bit values by pieces of 64 bytes; of e4m3 64 keys of each channel.
            let values = if kind == 2 { 2 * value_dim } else { requests(64, 8, 64, 2 * value_dim, 2 * value_dim) };
            let copied = (64 * 64 / 32 + 64 * 4 / 32 + values) as u64;
            assert_eq!(sum(&counters, "cp.async.cg")[1], tiles * copied, "{case:?}");
            // A lane an exponential: of each score, and in four lanes of each row for what was there.
            assert_eq!(sum(&counters, "ex2.approx")[0] * 32, tiles * 64 * (64 + 4), "{case:?}");
            tiles
        };
        let all = Prefill { e4m3: kind == 2, ..Prefill::new(of) };
        assert_eq!(tiles(all), 10);
        let window = |left| Prefill { left: Some(left), right: Some(0), ..all };
        assert_eq!(tiles(window(64)), 2, "positions 576 to 639 and 64 before");
        assert_eq!(tiles(window(65)), 3);
        assert_eq!(tiles(Prefill { keep_first: 4, ..window(10) }), 3);
        let masked = Prefill { tree: 640, ..all };
        assert_eq!((tiles(masked), tiles(Prefill { hole: true, ..masked })), (10, 9));
        let early = Case { tokens: &[[320, 320]], ..of };
        assert_eq!(tiles(Prefill { of: early, ..all }.causal()), 15, "1 + 2 + .. + 5");
    }
}

/// First tokens and lengths that are wrong on the device: nothing outside is touched (the emulator would tell), no row
/// is written that is nobody's, and sequences that are right come out right.
#[test]
fn wrong_lengths_do_no_harm() {
    let bench = Bench::new(Arch::Sm89);
    let mut count = 0;
    for (kind, dim) in [(0, 64), (1, 96), (2, 64), (2, 256)] {
        let mut cases = wrong(Case { bf16: kind == 1, value_dim: 40, ..Case::new(&[], (2, 1), dim) });
        // Keys may also be those of others.
        for at in [(2, 7), (3, 100_000)] {
            cases.push(Case { wrong: Wrong { cu: [None, Some(at)], lens: None }, ..cases[0] });
        }
        for of in cases {
            random(&bench, &Prefill { e4m3: kind == 2, shift: true, ..Prefill::new(of) }.causal(), false);
            count += 1;
        }
    }
    assert_eq!(count, 4 * 13);
}

/// The greatest sums there are, of both signs: 256 products of 127 and 127, or a little less. Of a single key the
/// log-sum-exp is the score, and one more or less in the sum would be three more or less in its last place.
#[test]
fn the_greatest_sums_are_exact() {
    let bench = Bench::new(Arch::Sm89);
    for kind in 0..3 {
        let of = Case { bf16: kind == 1, value_dim: 8, ..Case::new(&[[130, 130]], (1, 1), 256) };
        // A query sees its own key alone. The scale times log2 e is 1.
        let (left, right, scale) = (Some(0), Some(0), std::f32::consts::LN_2);
        let case = Prefill { e4m3: kind == 2, left, right, scale, ..Prefill::new(of) };
        let q = |i: usize, c: usize| if c == 99 { 127 - (i % 7) as i8 } else { 127 } * if i.is_multiple_of(2) { 1 } else { -1 };
        let k = |j: usize| if (j / 2).is_multiple_of(2) { 127 } else { -127 };
        let (rows, _) = run(
            &bench,
            &case,
            &Numbers {
                q: &|_, i, _, c| q(i, c),
                k: &|_, j, _, _| k(j),
                q_scale: &|_, _, _| 2f32.powi(-10),
                k_scale: &|_, _, _| 1.0,
                v: &|_, j, _, c| (1 + (j + c) % 16) as f32,
            },
            false,
        );
        let mut signs = [0; 2];
        for (i, row) in rows.iter().enumerate() {
            let sum: i64 = (0..256).map(|c| i64::from(q(i, c)) * i64::from(k(i))).sum();
            signs[usize::from(sum < 0)] += 1;
            assert_eq!(sum.abs(), 256 * 127 * 127 - 127 * (i as i64 % 7));
            let want = sum as f64 / 1024.0 * f64::from(scale);
            // 8 bits take the logarithm of 256 away again.
            let slack = if kind == 2 { 1.5 * 2f64.powi(-12) } else { 0.5 * 2f64.powi(-12) };
            assert!((row.lse - want).abs() <= slack, "{case:?}: query {i}: {}, not {want}", row.lse);
            assert_eq!(row.got, row.want, "{case:?}: query {i}");
        }
        assert_eq!(signs, [65, 65]);
    }
}

/// Scores so far down that a number added to them is rounded away, or to the double: the mean of the values all the
/// same.
#[test]
fn scores_far_below_zero_weigh_alike() {
    let bench = Bench::new(Arch::Sm89);
    for (kind, far) in (0..3).flat_map(|kind| (0..4).map(move |i| (kind, -1.2e8 - 8.0 * i as f32))) {
        let of = Case { bf16: kind == 1, value_dim: 16, ..Case::new(&[[70, 130]], (1, 1), 64) };
        let case = Prefill { e4m3: kind == 2, bias: true, bias_at: far, ..Prefill::new(of) };
        let (rows, _) = run(
            &bench,
            &case,
            &Numbers {
                q: &|_, _, _, _| 0,
                k: &|_, j, _, c| (j + c) as u8 as i8 >> 1,
                q_scale: &|_, _, _| 1.0,
                k_scale: &|_, _, _| 1.0,
                v: &|_, j, _, c| ((j * 5 + c * 3) % 13) as f32 + 1.0,
            },
            false,
        );
        for (i, row) in rows.iter().enumerate() {
            for (got, want) in row.got.iter().zip(&row.want) {
                assert!((got - want).abs() <= 2f64.powi(-4) * want, "{case:?}: row {i} has {got}, not {want}");
            }
            assert!((row.lse - f64::from(far)).abs() <= 32.0, "{case:?}: row {i} has {}", row.lse);
        }
    }
}

/// A query that sees no key, by where it stands or by its bits: 0 and -infinity, or its sink, whatever its shift.
#[test]
fn who_sees_nothing_lacks_nothing() {
    let bench = Bench::new(Arch::Sm89);
    for kind in 0..3 {
        let of = Case { bf16: kind == 1, value_dim: 24, ..Case::new(&[[130, 20]], (2, 1), 64) };
        let late = Prefill { e4m3: kind == 2, shift: true, lost: true, ..Prefill::new(of) }.causal();
        let masked = Prefill { of: Case { tokens: SHORT, ..of }, tree: 130, right: None, ..late };
        let sunk = |case: Prefill| Prefill { sinks: true, ..case };
        let cases = [
            (late, 2 * 110),
            (sunk(late), 2 * 110),
            (masked, 2 * 2 * 14),
            (sunk(masked), 2 * 2 * 14),
            (Prefill { softcap: 3.0, ..masked }, 2 * 2 * 14),
        ];
        for (case, nothing) in cases {
            let (rows, _) = run(
                &bench,
                &case,
                &Numbers {
                    q: &|_, i, _, c| (i * 3 + c) as u8 as i8 >> 1,
                    k: &|_, j, _, c| (j * 5 + c) as u8 as i8 >> 1,
                    q_scale: &|_, _, _| 0.001,
                    k_scale: &|_, _, _| 0.01,
                    v: &|_, j, _, _| 1.0 + (j % 3) as f32,
                },
                false,
            );
            let mut found = 0;
            // Every value is above 0.
            for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.want.iter().all(|&x| x == 0.0)) {
                assert!(row.got.iter().all(|&x| x == 0.0), "{case:?}: row {i}: {:?}", row.got);
                assert!(case.sinks || row.lse == f64::NEG_INFINITY, "{case:?}: row {i}: {}", row.lse);
                found += 1;
            }
            assert_eq!(found, nothing, "{case:?}");
            let near = |row: &super::prefill_case::Row| {
                row.lse == row.want_lse || (row.lse - row.want_lse).abs() <= row.lse_slack
            };
            assert!(rows.iter().all(near), "{case:?}");
        }
    }
}

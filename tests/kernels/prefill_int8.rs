//! Attention with scores from signed bytes, on codes and scales of any making, against its definition in f64.

use halfbyte::emulator::{Arch, Counters};

use super::prefill_case::{Numbers, Prefill, run};
use super::sequences::Case;
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
        // Key j is the spike of query j alone; key j + 1, not seen, is ten times as high.
        let (rows, _) = run(
            &bench,
            &case,
            &Numbers {
                q: &|_, i, _, c| {
                    if c == i % 64 {
                        127
                    } else if c == (i + 1) % 64 {
                        100
                    } else {
                        0
                    }
                },
                k: &|_, j, _, c| if c == j % 64 { 127 } else { 0 },
                q_scale: &|_, _, _| 1.0,
                k_scale: &|_, j, _| if j % 2 == 0 { 0.1 } else { 1.0 },
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

/// Tiles that no query of a block sees cost nothing: neither copies nor products.
#[test]
fn tiles_that_nobody_sees_are_skipped() {
    let bench = Bench::new(Arch::Sm80);
    let of = Case { value_dim: 64, ..Case::new(&[[64, 640]], (1, 1), 64) };
    let macs = |case: Prefill| {
        let counters = random(&bench, &case, true);
        for i in &counters.instructions {
            assert_eq!(i.count.wavefronts, i.count.wavefronts_ideal, "{} at {:?}", i.instruction, i.source);
        }
        counters.instructions.iter().map(|i| i.count.tensor_macs).sum::<u64>()
    };
    let tile = 64 * 64 * (64 + 64);
    let all = Prefill::new(of);
    assert_eq!(macs(all), 10 * tile);
    assert_eq!(macs(Prefill { left: Some(64), right: Some(0), ..all }), 2 * tile, "positions 576 to 639 and 64 before");
    assert_eq!(macs(Prefill { left: Some(65), right: Some(0), ..all }), 3 * tile);
    assert_eq!(macs(Prefill { left: Some(10), right: Some(0), keep_first: 4, ..all }), 3 * tile);
    let masked = Prefill { tree: 640, ..all };
    assert_eq!((macs(masked), macs(Prefill { hole: true, ..masked })), (10 * tile, 9 * tile));
    let early = Case { tokens: &[[640, 640]], ..of };
    assert_eq!(macs(Prefill::new(early).causal()), 55 * tile, "1 + 2 + .. + 10");
}

//! What attention asks of memory, of the tensor cores and of the exponential unit.

use halfbyte::emulator::{Arch, Counters};

use super::super::Bench;
use super::super::traffic::{no_conflict, requests, sum};
use super::case::{Bias, Case};
use super::launch::check;
use super::{dims, entries, features};

const KEYS: usize = 64;

/// Sectors of `rows` rows of `len` bytes, `ld` bytes apart, by requests of four rows and 128 bytes each.
fn sectors(rows: usize, len: usize, ld: usize) -> usize {
    requests(rows, 4, 128, len, ld)
}

fn exponentials(counters: &Counters) -> u64 {
    sum(counters, "ex2.approx")[0]
}

/// Every row of queries once, every row of keys and values once for each block that sees its tile, and not one more;
/// products and exponentials as many as visited tiles hold.
#[test]
fn every_tile_is_read_once_and_none_that_nobody_sees() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for row in entries() {
        let (d, dv) = dims(row.entry);
        let tile = row.constant("TILE_M").unwrap() as usize;
        let plain = Case { pad: 16, ..Case::new(row.entry, (256, 320), (d, dv)) };
        let causal = Case { right: Some(0), ..plain };
        let window = Case { left: Some(70), right: Some(0), ..plain };
        let kept = Case { keep: 5, ..window };
        for (case, visible) in [
            (plain, (0..256 / tile).map(|_| 5).sum::<usize>()),
            // The last query of tile t stands at key 64 + (t + 1) * tile - 1.
            (causal, (0..256 / tile).map(|t| (64 + (t + 1) * tile).div_ceil(KEYS)).sum()),
            (
                window,
                (0..256 / tile)
                    .map(|t| (64 + (t + 1) * tile).div_ceil(KEYS) - (t * tile).saturating_sub(6) / KEYS)
                    .sum(),
            ),
            (
                kept,
                (0..256 / tile)
                    .map(|t| {
                        let first = (t * tile).saturating_sub(6) / KEYS;
                        (64 + (t + 1) * tile).div_ceil(KEYS) - first + first.min(1)
                    })
                    .sum(),
            ),
        ] {
            let counters = check(&bench, case, true);
            no_conflict(&counters, &case);
            let need = sectors(256, d * 2, (d + 16) * 2)
                + visible * (sectors(KEYS, d * 2, (d + 16) * 2) + sectors(KEYS, dv * 2, (dv + 16) * 2));
            assert_eq!(sum(&counters, "cp.async.cg")[1], need as u64, "{case:?}");
            // Rows are whole sectors here: nothing beyond the tiling's need.
            assert_eq!(need, (256 * d + visible * KEYS * (d + dv)) / 16, "{case:?}");
            let macs: u64 = counters.instructions.iter().map(|i| i.count.tensor_macs).sum();
            assert_eq!(macs, (visible * tile * KEYS * (d + dv)) as u64, "{case:?}");
            // A lane an exponential: of each score, and in four lanes of each row and tile for what was there.
            assert_eq!(exponentials(&counters) * 32, (visible * tile * (KEYS + 4)) as u64, "{case:?}");
            assert_eq!(sum(&counters, "st.global.v4")[2], (256 * dv / 16) as u64, "{case:?}");
            cases += 1;
        }
    }
    assert_eq!(cases, 4 * entries().count());
}

/// Heads that are padded to an entry's size: rows of 80 and 144 bytes, which begin within sectors, cost the sectors
/// they lie in; the zeros beside them cost nothing.
#[test]
fn padded_heads_cost_their_own_sectors() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries() {
        let tile = row.constant("TILE_M").unwrap() as usize;
        let d = match row.constant("D") {
            Some(48) => 40,
            Some(80) => 72,
            _ => continue,
        };
        for pad in [0, 8] {
            let case = Case { pad, ..Case::new(row.entry, (2 * tile, 192), (d, d)) };
            let counters = check(&bench, case, true);
            no_conflict(&counters, &case);
            let of = |rows: usize| sectors(rows, d * 2, (d + pad) * 2);
            assert_eq!(sum(&counters, "cp.async.cg")[1], (of(2 * tile) + 2 * 2 * of(192)) as u64, "{case:?}");
            assert_eq!(sum(&counters, "st.global.v4")[2], of(2 * tile) as u64, "{case:?}");
            // Side by side, rows of 80 bytes are read as if they were one; of longer ones a few sectors twice.
            let least = 2 * tile * (d + pad) * 2 / 32;
            assert!(
                pad > 0 || (least..=if d == 40 { least } else { least * 11 / 9 }).contains(&of(2 * tile)),
                "{case:?}"
            );
        }
    }
}

/// Whatever is added, masked, packed or paged: no bank conflict, and nothing spilled.
#[test]
fn no_feature_meets_a_conflict() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for (at, row) in entries().filter(|row| !row.symbol.contains("bf16")).enumerate() {
        // All of one head size, a few of every other by turns.
        let step = if row.constant("D") == Some(64) { 1 } else { 5 };
        for case in features(row.entry).into_iter().skip(at % step).step_by(step) {
            let counters = check(&bench, case, true);
            no_conflict(&counters, &case);
            assert_eq!(counters.total().local_requests, 0, "{case:?}");
            cases += 1;
        }
    }
    assert!(cases >= 3 * entries().filter(|row| !row.symbol.contains("bf16")).count(), "{cases}");
}

/// Tiles of which a mask of bits sees nothing are not visited; pages cost a request of a warp and tile.
#[test]
fn empty_masks_and_pages() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        let tile = row.constant("TILE_M").unwrap() as usize;
        let plain = Case::new(row.entry, (tile, 320), (64, 64));
        let macs =
            |case: Case| -> u64 { check(&bench, case, true).instructions.iter().map(|i| i.count.tensor_macs).sum() };
        let whole = macs(plain);
        assert_eq!(macs(Case { tree: 1, ..plain }), whole);
        let masked = Case { tree: 320, ..plain };
        let hole = Case { hole: true, ..masked };
        assert_eq!((macs(masked), macs(hole) * 5), (whole, whole * 4));
        let copied = |case: Case| sum(&check(&bench, case, true), "cp.async.cg")[1];
        // 64 rows of keys and as many of values, of 4 sectors each.
        assert_eq!(copied(masked) - copied(hole), 2 * 64 * 4);
        let paged = check(&bench, Case { page: 16, ..plain }, true);
        let side_by_side = check(&bench, plain, true);
        assert_eq!(sum(&paged, "cp.async.cg")[1], sum(&side_by_side, "cp.async.cg")[1]);
        let reads = |counters: &Counters| -> u64 {
            let loads = counters.instructions.iter().filter(|i| i.instruction.contains("ld.global"));
            loads.map(|i| i.count.sectors_read).sum()
        };
        // A tile has 4 pages: each warp asks for those of its rows, which lie in one sector or two.
        let more = reads(&paged) - reads(&side_by_side);
        assert!((1..=5 * 2 * (u64::from(row.threads) / 32)).contains(&more), "{more}");
        assert!(more * 20 <= sum(&paged, "cp.async.cg")[1], "{more}");
    }
}

/// What a soft-cap costs: one exponential more a score. A bias is read once a score.
#[test]
fn changes_of_scores_cost_what_they_must() {
    let bench = Bench::new(Arch::Sm80);
    for row in entries().filter(|row| row.constant("D") == Some(64)) {
        let tile = row.constant("TILE_M").unwrap() as usize;
        let plain = Case::new(row.entry, (tile, 192), (64, 64));
        let of = |case: Case| exponentials(&check(&bench, case, true));
        let scores = (tile * 192 / 32) as u64;
        assert_eq!(of(Case { softcap: 5.0, ..plain }), of(plain) + scores);
        assert_eq!(of(Case { bias: Bias::F32, slopes: true, sinks: true, ..plain }), of(plain));
    }
}

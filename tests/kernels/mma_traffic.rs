//! What the products by `mma` ask of memory and of the tensor cores, for floats and for K down the rows: no bank
//! conflict, every tile of an operand once, no product more than the tiles hold. (Of bytes: `traffic.rs`.)

use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::{Entry, ROWS, Row};

use super::Bench;
use super::gemm_mma::{Addend, Case, Scale};
use super::mma_entries::{entries, floor, kind, of_every_entry};
use super::traffic::{no_conflict, sum};

fn benches() -> [(Arch, Bench); 2] {
    [Arch::Sm80, Arch::Sm89].map(|arch| (arch, Bench::new(arch)))
}

fn on<'b>(benches: &'b [(Arch, Bench)], row: &Row) -> &'b Bench {
    &benches.iter().find(|(arch, _)| *arch == floor(row)).unwrap().1
}

/// Sectors that hold `rows` rows of `len` bytes, `ld` apart from a sector's start on, fetched `piece` bytes at a time.
fn sectors(rows: usize, len: usize, ld: usize, piece: usize) -> usize {
    let of = |row: usize| -> usize {
        let pieces = (0..len).step_by(piece).map(|at| (row * ld + at, row * ld + (at + piece).min(len)));
        pieces.map(|(from, to)| to.div_ceil(32) - from / 32).sum()
    };
    (0..rows).map(of).sum()
}

/// Every row of a tile of a is fetched once for each column of tiles and every one of b once for each row of them, a
/// tile's K (or, down the rows, 128 bytes of a step) at a time. Rows here are an odd number of 16 bytes apart, or of
/// 32.
#[test]
fn every_tile_is_fetched_once_and_meets_no_conflict() {
    let benches = benches();
    let mut cases = 0;
    for row in entries() {
        let of = |name| row.constant(name).unwrap() as usize;
        let (elements, downs) = kind(row);
        let size = elements[0].size();
        // 16 bytes more than a multiple of 32 where the rows are long: the strides are then multiples of 32.
        let (k, more) = (512 / size, 16 / size);
        for (m, n, k) in [(128, 128, k), (256 + more, 128 + more, k + more)] {
            let whole = m == 128;
            let case = Case { out: 1, bias: true, scales: [Scale::Each; 2], ..Case::new(row.entry, (m, n, k)) };
            let counters = case.check(on(&benches, row), true);
            no_conflict(&counters, &case);
            let (tiles_m, tiles_n) = (m.div_ceil(of("TILE_M")), n.div_ceil(of("TILE_N")));
            let operand = |height: usize, down: bool| {
                let (rows, len, piece) = if down { (k, height, 128) } else { (height, k, of("TILE_K") * size) };
                let ld = (len * size).next_multiple_of(16) + 16;
                assert_eq!(ld % 32 == 0, !whole);
                (sectors(rows, len * size, ld, piece), rows * len * size / 32)
            };
            let ((a, least_a), (b, least_b)) = (operand(m, downs[0]), operand(n, downs[1]));
            let [_, read, ..] = sum(&counters, "cp.async.cg");
            assert_eq!(read, (tiles_n * a + tiles_m * b) as u64, "{case:?}");
            if !whole {
                // Whole sectors: nothing beyond what the tiling needs, but for the ragged ends.
                let least = tiles_n * least_a + tiles_m * least_b;
                assert!(read * 100 <= least as u64 * 105, "{case:?}: {read} sectors, {least} needed");
            }
            let macs: u64 = counters.instructions.iter().map(|i| i.count.tensor_macs).sum();
            let tiles_k = k.div_ceil(of("TILE_K"));
            let tiles = tiles_m * of("TILE_M") * tiles_n * of("TILE_N") * tiles_k * of("TILE_K");
            assert_eq!(macs, tiles as u64, "{case:?}");
            if whole {
                assert_eq!(macs, (m * n * k) as u64, "{case:?}");
                let [_, _, written, ..] = sum(&counters, "st.global");
                assert_eq!(written, (m * n * 2 / 32) as u64, "{case:?}");
            }
            cases += 1;
        }
    }
    assert_eq!(cases, of_every_entry(2));
}

/// Ragged edges, slices of K and what is added meet no conflict either.
#[test]
fn ragged_products_meet_no_conflict() {
    let benches = benches();
    let mut cases = 0;
    for row in entries() {
        for split in [1, 3] {
            let case = Case { split, out: 2, pad: 1, addend: Addend::Output, ..Case::new(row.entry, (37, 131, 350)) };
            no_conflict(&case.check(on(&benches, row), true), &case);
            cases += 1;
        }
    }
    assert_eq!(cases, of_every_entry(2));
}

/// Operands that cp.async takes by words, or threads by elements, meet none either: whole tiles, and ragged ones.
#[test]
fn operands_of_any_alignment_meet_no_conflict() {
    let benches = benches();
    let mut cases = 0;
    for row in entries() {
        for (units, shape) in [([4, 1], (128, 128, 256)), ([1, 4], (37, 131, 350))] {
            let case = Case { units, ..Case::new(row.entry, shape) };
            no_conflict(&case.check(on(&benches, row), true), &case);
            cases += 1;
        }
    }
    assert_eq!(cases, of_every_entry(2));
}

/// The entry of the same tile for other elements.
fn sibling(row: &Row, from: &str, to: &str) -> Option<Entry> {
    let symbol = row.symbol.replace(from, to);
    ROWS.iter().find(|other| other.symbol == symbol && symbol != row.symbol).map(|other| other.entry)
}

/// bf16 asks for what f16 does, and every pair of 8-bit floats for what e4m3 by e4m3 does, in every number.
#[test]
fn elements_of_one_size_cost_the_same() {
    let benches = benches();
    let mut compared = 0;
    for row in entries() {
        let others = [
            ("gemm_f16", "gemm_bf16"),
            ("e4m3_e4m3", "e4m3_e5m2"),
            ("e4m3_e4m3", "e5m2_e4m3"),
            ("e4m3_e4m3", "e5m2_e5m2"),
        ];
        for entry in others.iter().filter_map(|(from, to)| sibling(row, from, to)) {
            for (units, split) in [([16; 2], 2), ([4, 1], 1)] {
                let of = |entry: Entry| -> Counters {
                    let case = Case { units, split, scales: [Scale::Each; 2], ..Case::new(entry, (19, 70, 150)) };
                    case.check(on(&benches, row), true)
                };
                let (ours, theirs) = (of(row.entry), of(entry));
                assert_eq!(ours.total(), theirs.total(), "{} and {}", row.symbol, entry.row().symbol);
                assert_eq!(ours.barriers, theirs.barriers);
                compared += 1;
            }
        }
    }
    assert!(compared == (9 + 2 * 3 * 3) * 2 || of_every_entry(1) < 48, "{compared}");
}

//! What the kernels ask of memory, counted: no bank conflict, and no sector more than the tiling must read.

use std::collections::BTreeSet;

use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::Entry;

use super::Bench;
use super::gemm_s8::{Case, MMA, Out, WGMMA};

/// Sums over the instructions whose text holds `what`: executions, sectors read, sectors written, wavefronts, ideal.
pub fn sum(counters: &Counters, what: &str) -> [u64; 5] {
    let found: Vec<_> = counters.instructions.iter().filter(|i| i.instruction.contains(what)).collect();
    assert!(!found.is_empty(), "no {what}");
    found.iter().fold([0; 5], |t, i| {
        let c = &i.count;
        [c.executions, c.sectors_read, c.sectors_written, c.wavefronts, c.wavefronts_ideal]
            .iter()
            .zip(t)
            .map(|(x, y)| x + y)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    })
}

/// Sectors of `rows` rows of `len` bytes, `ld` bytes apart from a sector's start on, read or written by requests of
/// warps: of `tall` rows after each other, and `wide` bytes of each.
pub fn requests(rows: usize, tall: usize, wide: usize, len: usize, ld: usize) -> usize {
    let request = |first: usize, at: usize| {
        let pieces = (first..rows.min(first + tall)).map(|row| (row * ld + at, row * ld + (at + wide).min(len)));
        pieces.flat_map(|(from, to)| from / 32..to.div_ceil(32)).collect::<BTreeSet<_>>().len()
    };
    (0..rows)
        .step_by(tall)
        .flat_map(|first| (0..len).step_by(wide).map(move |at| (first, at)))
        .map(|(r, c)| request(r, c))
        .sum()
}

pub fn no_conflict(counters: &Counters, case: &impl std::fmt::Debug) {
    for i in &counters.instructions {
        assert_eq!(i.count.wavefronts, i.count.wavefronts_ideal, "{case:?}: {} at {:?}", i.instruction, i.source);
    }
}

#[test]
fn mma_reads_each_tile_once_and_meets_no_conflict() {
    let bench = Bench::new(Arch::Sm80);
    for entry in MMA {
        let row = entry.row();
        let tile = |name| u64::from(row.constant(name).unwrap());
        for out in [Out::F16, Out::F32] {
            let (m, n, k) = (256, 256, 1024);
            // Rows of a are 1024 + 16 bytes apart, so every second one starts in the middle of a sector.
            let case = Case { out, bias: true, ..Case::new(entry, (m, n, k)) };
            let counters = case.check(&bench, true);
            no_conflict(&counters, &case);
            let (m, n, k) = (m as u64, n as u64, k as u64);
            let (tiles_m, tiles_n) = (m / tile("TILE_M"), n / tile("TILE_N"));
            let [_, read, ..] = sum(&counters, "cp.async.cg");
            let exact = (tiles_n * m * k + tiles_m * n * k) / 32;
            // Those rows cost one sector more for each TILE_K bytes.
            let straddle = tiles_n * m / 2 * k / tile("TILE_K");
            assert_eq!(read, exact + straddle, "{case:?}");
            let [_, _, written, ..] = sum(&counters, "st.global");
            assert_eq!(written, m * n * if out == Out::F16 { 2 } else { 4 } / 32, "{case:?}");
            let macs: u64 = counters.instructions.iter().map(|i| i.count.tensor_macs).sum();
            assert_eq!(macs, m * n * k, "{case:?}");
        }
    }
}

/// Of a ragged tile only what exists is read: one row of a, 70 of b, and of the last bytes of K the sectors they lie
/// in.
#[test]
fn nothing_past_the_operands_is_read() {
    let bench = Bench::new(Arch::Sm80);
    for entry in MMA {
        let (n, k) = (70, 1000);
        let case = Case::new(entry, (1, n, k));
        let [_, read, ..] = sum(&case.check(&bench, true), "cp.async.cg");
        // Rows of b are 1008 bytes apart: 1000 bytes from a multiple of 16 on, by pieces of TILE_K.
        let tile_k = row_constant(entry, "TILE_K");
        let sectors = |first: usize| -> usize {
            let pieces = (0..k).step_by(tile_k).map(|at| (first + at, first + (at + tile_k).min(k)));
            pieces.map(|(from, to)| to.div_ceil(32) - from / 32).sum()
        };
        let tiles_n = n.div_ceil(row_constant(entry, "TILE_N"));
        let expected = tiles_n * sectors(0) + (0..n).map(|row| sectors(row * 1008)).sum::<usize>();
        assert_eq!(read, expected as u64, "{case:?}");
    }
}

fn row_constant(entry: Entry, name: &str) -> usize {
    entry.row().constant(name).unwrap() as usize
}

/// Stores of one element a lane, ragged edges and slices meet no conflict either.
#[test]
fn ragged_tiles_meet_no_conflict() {
    let bench = Bench::new(Arch::Sm80);
    for entry in MMA {
        for split in [1, 3] {
            let case = Case { split, out: Out::F16, pad: 1, ..Case::new(entry, (37, 131, 700)) };
            no_conflict(&case.check(&bench, true), &case);
        }
    }
}

#[test]
fn wgmma_reads_each_tile_once_and_meets_no_conflict() {
    let bench = Bench::new(Arch::Sm90a);
    let case = Case { out: Out::F16, bias: true, ..Case::new(WGMMA, (256, 128, 1280)) };
    let counters = case.check(&bench, true);
    no_conflict(&counters, &case);
    // Each tile once, 128 bytes of a row at a time: 4 sectors, or 5 where a row of a starts in the middle of one.
    let [_, read, ..] = sum(&counters, "cp.async.bulk.tensor");
    assert_eq!(read, (128 * 4 + 128 * 5) * 10 + 2 * 128 * 4 * 10);
    let macs: u64 = counters.instructions.iter().map(|i| i.count.tensor_macs).sum();
    assert_eq!(macs, 256 * 128 * 1280);
}

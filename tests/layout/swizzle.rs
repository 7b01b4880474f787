//! The swizzles of shared-memory tiles, and the accesses that the int8 kernels make through them.

use halfbyte::layout::banks::{Wavefronts, wavefronts};
use halfbyte::layout::fragment::{ldmatrix_a, ldmatrix_b};
use halfbyte::layout::swizzle::{CHUNK, Swizzle, tma_64, tma_128};
use halfbyte::manifest::{ROWS, Row};

const BOTH: [Swizzle; 2] = [Swizzle::ROWS_OF_64, Swizzle::ROWS_OF_128];

#[test]
fn rows_are_64_or_128_bytes() {
    assert_eq!(BOTH.map(Swizzle::row_bytes), [64, 128]);
    assert_eq!(BOTH.map(Swizzle::chunks), [4, 8]);
    assert_eq!([64, 128].map(Swizzle::for_row_bytes), BOTH.map(Some));
    assert_eq!([0, 16, 32, 96, 256, u32::MAX].map(Swizzle::for_row_bytes), [None; 6]);
}

/// Within a tile of 64 rows every byte has one offset, every offset one byte, rows stay whole and chunks stay whole.
#[test]
fn each_swizzle_is_a_bijection() {
    let mut cases = 0;
    for swizzle in BOTH {
        let row_bytes = swizzle.row_bytes();
        let mut seen = vec![false; 64 * row_bytes as usize];
        for row in 0..64 {
            for byte in 0..row_bytes {
                let offset = swizzle.offset(row, byte).expect("inside");
                assert!(!std::mem::replace(&mut seen[offset as usize], true));
                assert_eq!(swizzle.position(offset), Some((row, byte)));
                assert_eq!(offset / u64::from(row_bytes), u64::from(row));
                assert_eq!(offset % u64::from(CHUNK), u64::from(byte % CHUNK));
                cases += 1;
            }
            assert_eq!(swizzle.offset(row, row_bytes), None);
        }
        assert!(seen.iter().all(|&seen| seen));
    }
    println!("swizzled bytes: {cases}");
    assert_eq!(cases, 64 * (64 + 128));
    assert!(Swizzle::ROWS_OF_128.offset(u32::MAX, 127).is_some());
    assert_eq!(Swizzle::ROWS_OF_64.position(u64::MAX), None);
}

/// The places of 8 rows as the two definitions tell them, written out by hand.
#[test]
fn places_of_chunk_0_and_chunk_3() {
    let places =
        |swizzle: Swizzle, chunk| (0..8).map(|row| swizzle.place(row, chunk).expect("inside")).collect::<Vec<_>>();
    assert_eq!(places(Swizzle::ROWS_OF_64, 0), [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(places(Swizzle::ROWS_OF_64, 3), [3, 3, 2, 2, 1, 1, 0, 0]);
    assert_eq!(places(Swizzle::ROWS_OF_128, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(places(Swizzle::ROWS_OF_128, 3), [3, 2, 1, 0, 7, 6, 5, 4]);
}

/// The tile swizzles are TMA's address swizzles, wherever a tile is aligned as TMA wants it.
#[test]
fn tiles_are_swizzled_as_tma_does() {
    let mut cases = 0;
    for (swizzle, tma, align) in
        [(Swizzle::ROWS_OF_64, tma_64 as fn(u64) -> u64, 512), (Swizzle::ROWS_OF_128, tma_128, 1024)]
    {
        for base in [0, 3 * align, 7 * align] {
            for row in 0..32 {
                for byte in 0..swizzle.row_bytes() {
                    let straight = base + u64::from(row * swizzle.row_bytes() + byte);
                    assert_eq!(tma(straight), base + swizzle.offset(row, byte).expect("inside"));
                    assert_eq!(tma(tma(straight)), straight);
                    cases += 1;
                }
            }
        }
    }
    println!("TMA addresses: {cases}");
    assert_eq!(cases, 3 * 32 * (64 + 128));
}

/// The rows of the manifest whose tiles are copied with cp.async and read with ldmatrix.
fn mma_rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.source == "gemm/gemm_s8_mma")
}

fn constant(row: &Row, name: &str) -> u32 {
    row.constant(name).unwrap_or_else(|| panic!("{} has no {name}", row.symbol))
}

fn tile_swizzle(row: &Row) -> Swizzle {
    let bytes = constant(row, "TILE_K");
    Swizzle::for_row_bytes(bytes).unwrap_or_else(|| panic!("{}: no swizzle for rows of {bytes} bytes", row.symbol))
}

/// Every ldmatrix.x4 of every warp, for both operands and every step of K: four wavefronts, the ideal for 512 bytes.
#[test]
fn ldmatrix_meets_no_bank_conflict() {
    let (mut total, mut accesses) = (Wavefronts::default(), 0);
    for row in mma_rows() {
        let swizzle = tile_swizzle(row);
        for (tile_rows, address) in
            [(constant(row, "TILE_M"), ldmatrix_a as fn(u32) -> _), (constant(row, "TILE_N"), ldmatrix_b)]
        {
            for first_row in (0..tile_rows).step_by(16) {
                for first_chunk in (0..swizzle.chunks()).step_by(2) {
                    let lanes: Vec<_> = (0..32)
                        .map(|lane| {
                            let at = address(lane);
                            swizzle.offset(first_row + at.row, (first_chunk + at.chunk) * CHUNK)
                        })
                        .collect();
                    let got = wavefronts(&lanes, 16).expect("aligned");
                    assert_eq!(got, Wavefronts { actual: 4, ideal: 4 }, "{}: row {first_row}", row.symbol);
                    (total, accesses) = (total.and(got), accesses + 1);
                }
            }
        }
    }
    println!("ldmatrix.x4: {accesses} accesses, {total:?}");
    // Rows of a and b in sixteens, times K in steps of 32 bytes, tile by tile.
    assert_eq!(accesses, (8 + 8) * 2 + (4 + 4) * 2 + (1 + 4) * 4);
    assert_eq!(total, Wavefronts { actual: 4 * accesses, ideal: 4 * accesses });
}

/// Every cp.async of every warp: thread `t` copies chunk `t % CHUNKS` of row `t / CHUNKS`, then the next rows.
#[test]
fn copies_meet_no_bank_conflict() {
    let (mut accesses, mut chunks) = (0, 0);
    for row in mma_rows() {
        let swizzle = tile_swizzle(row);
        for tile_rows in [constant(row, "TILE_M"), constant(row, "TILE_N")] {
            let all = tile_rows * swizzle.chunks();
            for first in (0..all).step_by(32) {
                let lanes: Vec<_> = (first..all.min(first + 32))
                    .map(|at| swizzle.offset(at / swizzle.chunks(), at % swizzle.chunks() * CHUNK))
                    .collect();
                assert_eq!(lanes.len(), 32, "whole warps copy");
                assert_eq!(wavefronts(&lanes, 16), Some(Wavefronts { actual: 4, ideal: 4 }), "{}", row.symbol);
                (accesses, chunks) = (accesses + 1, chunks + lanes.len());
            }
        }
    }
    println!("cp.async: {accesses} accesses of {chunks} chunks");
    assert_eq!(chunks, (256 * 64 + 128 * 64 + 80 * 128) / 16);
}

/// Without the swizzle the model does see the conflicts: 4 lanes a place with 64-byte rows, 8 with 128-byte rows.
#[test]
fn straight_tiles_would_conflict() {
    for (row_bytes, actual) in [(64, 16), (128, 32)] {
        let lanes: Vec<_> = (0..32)
            .map(|lane| {
                let at = ldmatrix_a(lane);
                Some(u64::from(at.row * row_bytes + at.chunk * CHUNK))
            })
            .collect();
        assert_eq!(wavefronts(&lanes, 16), Some(Wavefronts { actual, ideal: 4 }));
    }
}

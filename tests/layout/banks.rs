//! The bank model itself, against cases worked out by hand.

use halfbyte::layout::banks::{Wavefronts, wavefronts};

fn strided(stride: u64, width: u64) -> Option<Wavefronts> {
    let addresses: Vec<_> = (0..32).map(|lane| Some(lane * stride)).collect();
    wavefronts(&addresses, width)
}

#[test]
fn known_accesses() {
    let known = |actual, ideal| Some(Wavefronts { actual, ideal });
    assert_eq!(strided(4, 4), known(1, 1), "side by side");
    assert_eq!(strided(0, 4), known(1, 1), "all the same word");
    assert_eq!(strided(8, 4), known(2, 1), "every other bank");
    assert_eq!(strided(128, 4), known(32, 1), "all in one bank");
    assert_eq!(strided(132, 4), known(1, 1), "a padded column");
    assert_eq!(strided(8, 8), known(2, 2), "8 bytes a lane: two half-warps");
    assert_eq!(strided(16, 8), known(4, 2));
    assert_eq!(strided(16, 16), known(4, 4), "16 bytes a lane: four quarter-warps");
    assert_eq!(strided(64, 16), known(16, 4), "a column of 64-byte rows: four lanes a place");
    assert_eq!(strided(128, 16), known(32, 4), "a column of 128-byte rows: eight lanes a place");
    // Each half of the warp wants half of the banks twice, and the halves do not help each other.
    let halves: Vec<_> = (0..32).map(|lane| Some(lane % 8 * 8 + lane / 8 % 2 * 128 + lane / 16 * 64)).collect();
    assert_eq!(wavefronts(&halves, 8), known(4, 2));
    // So with quarters: two lines each, and half of the banks.
    let quarters: Vec<_> = (0..32).map(|lane| Some(lane % 4 * 16 + lane / 4 % 2 * 128 + lane / 8 % 2 * 64)).collect();
    assert_eq!(wavefronts(&quarters, 16), known(8, 4));
    assert_eq!(wavefronts(&[None; 32], 4), known(0, 0), "nobody");
    assert_eq!(wavefronts(&[Some(0), None, Some(128)], 4), known(2, 1), "two of one bank");
}

#[test]
fn accesses_that_cannot_be() {
    assert_eq!(strided(2, 2), None);
    assert_eq!(strided(2, 4), None, "misaligned");
    assert_eq!(wavefronts(&[Some(0); 33], 4), None);
    assert_eq!(wavefronts(&[Some(u64::MAX - 3)], 4), None);
}

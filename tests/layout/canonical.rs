//! The canonical order.

use halfbyte::layout::canonical::{Canonical, padded};

#[test]
fn rows_start_at_multiples_of_16_bytes() {
    let mut cases = 0;
    for element_bytes in [1, 2, 4, 8, 16] {
        for cols in 0..200 {
            let ld = padded(cols, element_bytes).expect("small");
            assert!(ld >= cols && (ld * element_bytes).is_multiple_of(16) && (ld - cols) * element_bytes < 16);
            cases += 1;
        }
    }
    println!("row paddings: {cases}");
    assert_eq!(cases, 1000);
    for element_bytes in [0, 3, 32] {
        assert!(padded(5, element_bytes).is_err());
    }
    assert!(padded(usize::MAX, 1).is_err());
    assert!(Canonical::new(usize::MAX, 16, 1).is_err());
    assert!(Canonical::new(usize::MAX / 16, 16, 2).is_err());
}

/// Every index is one position or padding, and every position has one index.
#[test]
fn the_map_is_a_bijection_onto_what_is_not_padding() {
    let mut cases = 0;
    for (rows, cols) in [(0, 0), (0, 9), (9, 0), (1, 1), (3, 16), (5, 17), (4, 40)] {
        let map = Canonical::new(rows, cols, 1).expect("small");
        let mut inside = 0;
        for index in 0..map.padded_len() {
            let Some((row, col)) = map.position(index) else { continue };
            assert_eq!(map.index(row, col), Some(index));
            assert_eq!(index, row * map.ld() + col);
            inside += 1;
        }
        assert_eq!(inside, rows * cols);
        assert_eq!((map.index(rows, 0), map.index(0, cols), map.position(map.padded_len())), (None, None, None));
        cases += inside;
    }
    println!("canonical positions: {cases}");
    assert_eq!(cases, 1 + 48 + 85 + 160);
}

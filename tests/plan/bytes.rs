//! The plans of transposed bytes and of column sums.

use halfbyte::plan::DeviceFacts;
use halfbyte::plan::column_sums::{MAX_COLS, plan as sums};
use halfbyte::plan::transpose_bytes::plan as transpose;

use super::{SM80, SM90};

#[test]
fn bytes_are_turned_and_added_up_by_plan() {
    let p = transpose(300, 1000, &SM80).unwrap();
    assert_eq!(p.to_string(), "[300, 1000]^T of bytes: transpose_bytes_b8, 24 blocks of 256 threads");
    assert_eq!((p.rows(), p.cols()), (300, 1000));
    let p = transpose(8192, 8192, &SM80).unwrap();
    assert_eq!(p.geometry().unwrap().grid, [432, 1, 1], "4 blocks on each of 108");
    // A block has a tile of 128 x 128 bytes of static shared memory, and the driver's KiB.
    for (shared_per_sm, blocks) in [(2 * (16_384 + 1024), 2), (2 * (16_384 + 1024) - 1, 1)] {
        let facts = DeviceFacts { sm_count: 1, shared_per_sm, ..SM80 };
        assert_eq!(transpose(1000, 1000, &facts).unwrap().geometry().unwrap().grid, [blocks, 1, 1]);
    }
    assert_eq!(transpose(9, 0, &SM90).unwrap().geometry(), None);
    assert_eq!(transpose(0, 9, &SM90).unwrap().geometry().unwrap().grid, [1, 1, 1], "padding is written");
    let p = sums(1000, 300, &SM80).unwrap();
    assert_eq!(p.to_string(), "sums of 1000 rows of 300 s8: column_sums_s8, 125 blocks of 256 threads");
    assert!(sums(0, 5, &SM80).unwrap().to_string().ends_with("empty, nothing is launched"));
    sums(1, MAX_COLS, &SM80).unwrap();
    assert!(128 * MAX_COLS as i64 <= -i64::from(i32::MIN) && 128 * (MAX_COLS as i64 + 1) > i64::from(i32::MAX));
    let old = DeviceFacts { capability: 75, ..SM80 };
    let few = DeviceFacts { threads_per_sm: 128, ..SM80 };
    let refusals = [
        (sums(1, MAX_COLS + 1, &SM80).map(|_| ()), "K = 16777216 exceeds 16777215"),
        (sums(1 << 31, 1, &SM80).map(|_| ()), "2147483648 rows exceed 2147483647"),
        (transpose(usize::MAX, usize::MAX, &SM80).map(|_| ()), "18446744073709551615 rows exceed"),
        (transpose(1, 1 << 31, &SM80).map(|_| ()), "2147483648 columns exceed"),
        (transpose(1, 1, &old).map(|_| ()), "7.5 is below 8.0"),
        (sums(1, 1, &few).map(|_| ()), "column_sums_s8 does not fit a device with 65536 registers and 128 threads"),
    ];
    for (result, want) in refusals {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

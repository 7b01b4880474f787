//! The accumulators' way to rows through shared memory.

use halfbyte::layout::banks::{Wavefronts, wavefronts};
use halfbyte::layout::fragment::{Holder, MMA_M16N8_D};
use halfbyte::layout::stage::{ROWS, Stage};

const BOTH: [Stage; 2] = [Stage::COLUMNS_16, Stage::COLUMNS_32];

#[test]
fn each_stage_is_a_bijection_that_keeps_quads_whole() {
    let mut cases = 0;
    for stage in BOTH {
        let mut seen = vec![false; stage.bytes() as usize / 4];
        for row in 0..ROWS {
            for column in 0..stage.columns() {
                let offset = stage.offset(row, column).expect("inside");
                assert!(!std::mem::replace(&mut seen[offset as usize / 4], true));
                assert_eq!(offset / (stage.columns() * 4), row);
                assert_eq!(offset % 16, column % 4 * 4);
                cases += 1;
            }
        }
        assert!(seen.iter().all(|&seen| seen));
        assert_eq!((stage.offset(ROWS, 0), stage.offset(0, stage.columns())), (None, None));
        assert_eq!(stage.offset(u32::MAX, u32::MAX), None);
    }
    println!("staged elements: {cases}");
    assert_eq!(cases, 16 * (16 + 32));
}

#[test]
fn no_access_meets_a_bank_conflict() {
    let mut accesses = 0;
    let mut ideal = |stage: Stage, width, at: &dyn Fn(u32) -> (u32, u32)| {
        let lanes: Vec<_> = (0..32)
            .map(|lane| {
                let (row, column) = at(lane);
                stage.offset(row, column).map(u64::from)
            })
            .collect();
        let got = wavefronts(&lanes, width).expect("aligned");
        let want = (width * 32 / 128) as u32;
        assert_eq!(got, Wavefronts { actual: want, ideal: want }, "{stage:?}, {width} bytes a lane");
        accesses += 1;
    };
    for stage in BOTH {
        let columns = stage.columns();
        for fragment in 0..columns / 8 {
            for register in [0, 2] {
                // Registers 2j and 2j + 1 are neighbours: 8 bytes a lane.
                ideal(stage, 8, &|lane| {
                    let holder = Holder { lane, register, element: 0 };
                    let (row, column) = MMA_M16N8_D.position(holder).expect("a lane");
                    (row, fragment * 8 + column)
                });
            }
        }
        let quads = columns / 4;
        for first in (0..ROWS).step_by(32 / quads as usize) {
            ideal(stage, 16, &|lane| (first + lane / quads, lane % quads * 4));
        }
        for first in (0..ROWS).step_by(32 / columns as usize) {
            ideal(stage, 4, &|lane| (first + lane / columns, lane % columns));
        }
    }
    println!("staging accesses: {accesses}");
    assert_eq!(accesses, (4 + 2 + 8) + (8 + 4 + 16));
}

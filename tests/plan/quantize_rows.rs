//! The plans of row quantization.

use halfbyte::manifest::Entry;
use halfbyte::plan::DeviceFacts;
use halfbyte::plan::quantize_rows::{Input, QuantizeRowsPlan, QuantizeRowsProblem, REDUCTION_BYTES, candidates, plan};
use proptest::prelude::*;

use super::{ALL, SM80, SM89, SM90};

fn problem(rows: usize, cols: usize, input: Input) -> QuantizeRowsProblem {
    QuantizeRowsProblem { rows, cols, input }
}

fn check(p: &QuantizeRowsPlan) {
    let (facts, q) = (p.facts(), p.problem());
    let g = p.geometry().expect("rows launch");
    assert_eq!(g.entry, q.input.entry());
    assert!(g.shared_bytes + REDUCTION_BYTES <= facts.shared_per_block, "{p}");
    assert!(g.grid[0] >= 1 && g.grid[0] as usize <= q.rows && g.grid[1..] == [1, 1], "{p}");
    let resident = facts.resident_blocks(g.entry.row(), g.shared_bytes + REDUCTION_BYTES);
    assert!(g.grid[0] <= resident * facts.sm_count, "{p}: all blocks are resident");
    if p.cached() {
        assert!(g.shared_bytes as usize >= q.cols * q.input.size(), "{p}: the row fits");
    } else {
        assert_eq!(g.shared_bytes, 0, "{p}");
    }
}

#[test]
fn golden_decisions() {
    // (facts, input, longest row read once): what a block may take less 256 bytes, over the element size.
    let table = [
        (SM80, Input::F32, (163 * 1024 - 256) / 4),
        (SM80, Input::F16, (163 * 1024 - 256) / 2),
        (SM80, Input::Bf16, (163 * 1024 - 256) / 2),
        (SM89, Input::F32, (99 * 1024 - 256) / 4),
        (SM90, Input::F16, (227 * 1024 - 256) / 2),
    ];
    for (facts, input, longest) in table {
        let at = |cols| plan(&problem(4096, cols, input), &facts).unwrap();
        assert!(at(longest).cached(), "{}", at(longest));
        assert!(!at(longest + 1).cached(), "{}", at(longest + 1));
        check(&at(longest));
        check(&at(longest + 1));
    }
    // Ordinary widths leave at least two blocks to a multiprocessor.
    for facts in ALL {
        for (cols, input) in [(4096, Input::F32), (11_008, Input::F32), (20_000, Input::F16)] {
            let p = plan(&problem(4096, cols, input), &facts).unwrap();
            let g = p.geometry().unwrap();
            assert!(p.cached() && facts.resident_blocks(g.entry.row(), g.shared_bytes + REDUCTION_BYTES) >= 2, "{p}");
        }
    }
    let p = plan(&problem(77, 768, Input::F16), &SM80).unwrap();
    assert_eq!(
        p.to_string(),
        "[77, 768] f16 -> s8: quantize_rows_f16, rows read once, 77 blocks of 256 threads, 1536 bytes shared"
    );
    let p = plan(&problem(100_000, 768, Input::F32), &SM80).unwrap();
    assert_eq!(p.geometry().unwrap().grid, [432, 1, 1], "4 blocks of 64 registers x 256 threads on each of 108");
}

#[test]
fn empty_and_bad_problems() {
    let none = plan(&problem(0, 768, Input::F32), &SM80).unwrap();
    assert_eq!(none.geometry(), None);
    assert!(none.to_string().contains("nothing is launched"));
    let no_columns = plan(&problem(5, 0, Input::F32), &SM80).unwrap();
    check(&no_columns);
    assert_eq!(no_columns.geometry().unwrap().grid[0], 5, "rows without columns still get a scale");

    let most = plan(&problem(i32::MAX as usize, 1, Input::F32), &SM80).unwrap();
    assert!(most.geometry().is_some_and(|g| g.grid[0] >= 108), "{most}");

    for (p, want) in [
        (problem(1 << 31, 1, Input::F32), "2147483648 rows exceed 2147483647"),
        (problem(1, usize::MAX, Input::F16), "18446744073709551615 columns exceed 2147483647"),
    ] {
        let text = plan(&p, &SM80).unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
        assert_eq!(candidates(&p, &SM80).count(), 0);
    }
    let old = DeviceFacts { capability: 70, ..SM80 };
    assert!(plan(&problem(1, 1, Input::F32), &old).unwrap_err().to_string().contains("7.0 is below 8.0"));
    let none = DeviceFacts { threads_per_sm: 128, ..SM80 };
    assert!(plan(&problem(1, 1, Input::F32), &none).unwrap_err().to_string().contains("128 threads"));
    assert_eq!(Input::Bf16.entry(), Entry::QuantizeRowsBf16);
}

proptest! {
    #[test]
    fn every_plan_keeps_the_budgets(
        rows in 1usize..5_000_000,
        cols in prop_oneof![0usize..300, 0usize..300_000, 0usize..=i32::MAX as usize],
        input in prop::sample::select(vec![Input::F32, Input::F16, Input::Bf16]),
        facts in prop::sample::select(ALL.to_vec()),
    ) {
        let p = problem(rows, cols, input);
        let best = plan(&p, &facts).unwrap();
        check(&best);
        let all: Vec<_> = candidates(&p, &facts).collect();
        all.iter().for_each(check);
        prop_assert_eq!(all[0], best, "a cached plan comes first");
        prop_assert_eq!(all.len(), if best.cached() { 2 } else { 1 });
    }
}

//! The plans of quantizers.

use halfbyte::manifest::Entry;
use halfbyte::plan::DeviceFacts;
use halfbyte::plan::quantize::{Code, Input, QuantizePlan, QuantizeProblem, Scheme, candidates, entries, plan};
use halfbyte::plan::quantize_rows::REDUCTION_BYTES;
use proptest::prelude::*;

use super::{ALL, SM80, SM89, SM90};

const SCHEMES: [Scheme; 5] =
    [Scheme::Rows, Scheme::RowsWithZeros, Scheme::Groups(64), Scheme::Groups(128), Scheme::Given];

fn down(problem: QuantizeProblem) -> QuantizeProblem {
    QuantizeProblem { k_down: true, ..problem }
}

fn check(p: &QuantizePlan) {
    let (facts, q) = (p.facts(), p.problem());
    let g = p.geometry().expect("rows launch");
    let row = g.entry.row();
    assert_eq!(g.entry, q.entry().unwrap());
    assert!(row.symbol.ends_with(&format!("_{}", q.input)), "{p}");
    assert!(g.grid[0] >= 1 && g.grid[0] <= i32::MAX as u32 && g.grid[1..] == [1, 1], "{p}");
    let resident = facts.resident_blocks(row, g.shared_bytes + REDUCTION_BYTES) * facts.sm_count;
    if q.k_down {
        assert_eq!(row.source, "quantize/quantize_columns");
        let strips = q.rows.div_ceil(32) as u32;
        assert_eq!(g.grid[0], strips * p.splits(), "{p}");
        assert!(p.splits() == 1 || g.grid[0] <= resident, "{p}");
        assert!(p.splits() as usize <= q.cols.div_ceil(128).max(1), "{p}");
        assert!(q.scheme != Scheme::Rows || p.splits() == 1, "{p}: one block finds a scale");
    } else {
        assert!(g.grid[0] <= resident, "{p}: all blocks are resident");
        assert_eq!(p.splits(), 1);
    }
    let by_row = row.source == "quantize/quantize_rows";
    assert_eq!(by_row, !q.k_down && matches!(q.scheme, Scheme::Rows | Scheme::RowsWithZeros));
    assert!(by_row || (!p.cached() && g.shared_bytes == 0), "{p}");
    assert!(!p.cached() || g.shared_bytes as usize >= q.cols * q.input.size(), "{p}: the row fits");
}

#[test]
fn golden_decisions() {
    let new = QuantizeProblem::new;
    let table = [
        (
            new(77, 768, Input::F16, Code::S8, Scheme::RowsWithZeros),
            SM80,
            "[77, 768] f16 -> s8, a scale and a zero point a row: quantize_rows_zero_f16, rows read once, 77 blocks of 256 \
             threads, 1536 bytes shared",
        ),
        (
            new(3, 100_000, Input::F32, Code::E4m3, Scheme::Rows),
            SM89,
            "[3, 100000] f32 -> e4m3, a scale a row: quantize_rows_e4m3_f32, x read twice, 3 blocks of 256 threads, 0 bytes \
             shared",
        ),
        (
            new(4, 1000, Input::Bf16, Code::E5m2, Scheme::Groups(64)),
            SM90,
            "[4, 1000] bf16 -> e5m2, a scale for 64 of K: quantize_groups_e5m2_bf16, 2 blocks of 256 threads, 0 bytes shared",
        ),
        (
            new(4096, 8192, Input::F16, Code::S8, Scheme::Given),
            SM80,
            "[4096, 8192] f16 -> s8, a given scale: quantize_groups_s8_f16, 432 blocks of 256 threads, 0 bytes shared",
        ),
        (
            down(new(4096, 8192, Input::F16, Code::S8, Scheme::Rows)),
            SM80,
            "[8192, 4096]^T f16 -> s8, a scale a row: quantize_columns_s8_f16, x read twice, 128 blocks of 256 threads, \
             0 bytes shared",
        ),
        (
            down(new(1000, 8192, Input::F16, Code::S8, Scheme::Groups(128))),
            SM80,
            "[8192, 1000]^T f16 -> s8, a scale for 128 of K: quantize_columns_s8_f16, K in 10 parts, 320 blocks of 256 \
             threads, 0 bytes shared",
        ),
    ];
    for (problem, facts, want) in table {
        let p = plan(&problem, &facts).unwrap();
        check(&p);
        assert_eq!(p.to_string(), want);
        assert_eq!(p.cached(), want.contains("rows read once"), "{p}");
    }
    // A block of `quantize_columns` has 32 x 128 codes and 8 x 32 floats of static shared memory, and the driver's KiB.
    for (shared_per_sm, splits) in [(2 * (5120 + 1024), 2), (2 * (5120 + 1024) - 1, 1)] {
        let facts = DeviceFacts { sm_count: 1, shared_per_sm, ..SM80 };
        let p = plan(&down(new(32, 10_000, Input::F32, Code::S8, Scheme::Given)), &facts).unwrap();
        assert_eq!(p.splits(), splits, "{p}");
    }
    assert_eq!(new(5, 300, Input::F32, Code::S8, Scheme::Groups(128)).groups(), 3);
    assert_eq!(new(5, 300, Input::F32, Code::S8, Scheme::Given).groups(), 0);
    assert_eq!(new(5, 300, Input::F32, Code::S8, Scheme::Rows).groups(), 1);
    assert_eq!([Code::S8, Code::E4m3, Code::E5m2].map(|code| entries(code).count()), [12, 9, 9]);
    assert!(entries(Code::S8).any(|entry| entry == Entry::QuantizeRowsZeroBf16));
}

#[test]
fn empty_and_bad_problems() {
    let new = QuantizeProblem::new;
    let none = plan(&new(0, 768, Input::F32, Code::S8, Scheme::Groups(64)), &SM80).unwrap();
    assert_eq!(none.geometry(), None);
    assert!(none.to_string().ends_with("a scale for 64 of K: empty, nothing is launched"), "{none}");
    for scheme in SCHEMES {
        check(&plan(&new(5, 0, Input::F16, Code::S8, scheme), &SM80).unwrap());
    }
    let good = new(5, 300, Input::F32, Code::S8, Scheme::Rows);
    let old = DeviceFacts { capability: 70, ..SM80 };
    let few = DeviceFacts { threads_per_sm: 128, ..SM80 };
    for (problem, facts, want) in [
        (QuantizeProblem { rows: 1 << 31, ..good }, SM80, "2147483648 rows exceed 2147483647"),
        (QuantizeProblem { cols: usize::MAX, ..good }, SM80, "18446744073709551615 columns exceed 2147483647"),
        (
            QuantizeProblem { code: Code::E4m3, ..good },
            SM80,
            "e4m3 codes are made by an instruction of compute capability 8.9, and this device has 8.0",
        ),
        (
            QuantizeProblem { scheme: Scheme::Groups(32), ..good },
            SM80,
            "groups of 32 elements of K; 64 and 128 are served",
        ),
        (QuantizeProblem { scheme: Scheme::Groups(0), ..good }, SM80, "groups of 0 elements"),
        (QuantizeProblem { scheme: Scheme::RowsWithZeros, code: Code::E5m2, ..good }, SM89, "zero points of e5m2"),
        (down(QuantizeProblem { scheme: Scheme::RowsWithZeros, ..good }), SM89, "with K down the rows"),
        (good, old, "7.0 is below 8.0"),
        (good, few, "128 threads"),
        (QuantizeProblem { scheme: Scheme::Given, ..good }, few, "128 threads"),
        (down(good), few, "128 threads"),
    ] {
        let text = plan(&problem, &facts).unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
        assert_eq!(candidates(&problem, &facts).count(), 0, "{want}");
    }
}

proptest! {
    #[test]
    fn every_plan_keeps_the_budgets(
        rows in 1usize..5_000_000,
        cols in prop_oneof![0usize..300, 0usize..300_000, 0usize..=i32::MAX as usize],
        input in prop::sample::select(vec![Input::F32, Input::F16, Input::Bf16]),
        code in prop::sample::select(vec![Code::S8, Code::E4m3, Code::E5m2]),
        scheme in prop::sample::select(SCHEMES.to_vec()),
        k_down in any::<bool>(),
        facts in prop::sample::select(ALL.to_vec()),
    ) {
        let problem = QuantizeProblem { rows, cols, input, code, scheme, k_down };
        let Ok(best) = plan(&problem, &facts) else {
            let zeros = scheme == Scheme::RowsWithZeros && (k_down || code != Code::S8);
            prop_assert!(zeros || (code != Code::S8 && facts.capability < 89), "{problem} was refused");
            return Ok(());
        };
        check(&best);
        let all: Vec<_> = candidates(&problem, &facts).collect();
        all.iter().for_each(check);
        prop_assert_eq!(all[0], best);
        prop_assert!(all.len() <= 2 && (all.len() == 1 || all[0] != all[1]));
    }
}

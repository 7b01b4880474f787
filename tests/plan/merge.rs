//! Plans of merged partial results.

use halfbyte::format::DType;
use halfbyte::plan::DeviceFacts;
use halfbyte::plan::merge::{MergeProblem, plan};

use super::{ALL, SM80, SM90};

const PROBLEM: MergeProblem =
    MergeProblem { parts: 5, tokens: 100, heads: 8, value_dim: 128, dtype: DType::F16, out: DType::F16 };

#[test]
fn rows_are_shared_out_by_16_bytes_a_lane() {
    let p = plan(&PROBLEM, &SM80).unwrap();
    // 16 lanes a row, 8 rows a block: 100 blocks for 800 rows.
    assert_eq!(p.to_string(), "5 parts of [100, 8, 128] f16 -> f16: merge_f16, 100 blocks of 128 threads");
    assert_eq!((p.problem(), p.facts()), (&PROBLEM, &SM80));
    let blocks = |problem: MergeProblem| plan(&problem, &SM90).unwrap().geometry().unwrap().grid;
    let shared =
        [(8, 7), (16, 13), (24, 25), (40, 50), (64, 50), (72, 100), (128, 100), (136, 200), (256, 200), (2048, 200)];
    for (value_dim, grid) in shared {
        assert_eq!(blocks(MergeProblem { value_dim, ..PROBLEM }), [grid, 1, 1], "{value_dim}");
        let f32 = MergeProblem { value_dim: value_dim / 2, dtype: DType::F32, out: DType::F32, ..PROBLEM };
        assert_eq!(blocks(f32), [grid, 1, 1], "half as many f32");
    }
    // No more than are resident: 8 blocks of 128 threads with 64 registers on each of 132.
    assert_eq!(blocks(MergeProblem { tokens: 1 << 20, ..PROBLEM }), [1056, 1, 1]);
    for facts in ALL {
        for (dtype, out, symbol) in [
            (DType::F32, DType::F32, "merge_f32"),
            (DType::F16, DType::F32, "merge_f16"),
            (DType::Bf16, DType::Bf16, "merge_bf16"),
        ] {
            let p = plan(&MergeProblem { dtype, out, ..PROBLEM }, &facts).unwrap();
            assert_eq!(p.geometry().unwrap().entry.row().symbol, symbol);
        }
    }
}

#[test]
fn nothing_to_merge_launches_nothing() {
    for empty in [MergeProblem { tokens: 0, ..PROBLEM }, MergeProblem { heads: 0, tokens: usize::MAX, ..PROBLEM }] {
        let p = plan(&empty, &SM80).unwrap();
        assert_eq!(p.geometry(), None);
        assert!(p.to_string().ends_with("empty, nothing is launched"), "{p}");
    }
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let old = DeviceFacts { capability: 75, ..SM80 };
    let few = DeviceFacts { threads_per_sm: 64, ..SM80 };
    let most = u32::MAX as usize;
    let refusals = [
        (MergeProblem { parts: 0, ..PROBLEM }, SM80, "0 parts are not within 1"),
        (MergeProblem { parts: 1 << 31, ..PROBLEM }, SM80, "2147483648 parts"),
        (MergeProblem { value_dim: 0, ..PROBLEM }, SM80, "0 numbers of a row"),
        (MergeProblem { value_dim: usize::MAX, ..PROBLEM }, SM80, "18446744073709551615 numbers"),
        (MergeProblem { tokens: most, heads: 2, ..PROBLEM }, SM80, "4294967295 tokens of 2 heads exceed 4294967295"),
        (MergeProblem { tokens: usize::MAX, heads: 2, ..PROBLEM }, SM80, "tokens of 2 heads exceed"),
        (MergeProblem { dtype: DType::I8, ..PROBLEM }, SM80, "parts of i8 are not merged"),
        (MergeProblem { out: DType::Bf16, ..PROBLEM }, SM80, "parts of f16 are not merged to bf16"),
        (MergeProblem { dtype: DType::F32, ..PROBLEM }, SM80, "parts of f32 are not merged to f16"),
        (PROBLEM, old, "7.5 is below 8.0"),
        (PROBLEM, few, "merge_f16 does not fit a device"),
    ];
    for (problem, facts, want) in refusals {
        let text = plan(&problem, &facts).unwrap_err().to_string();
        assert!(text.contains(want), "{text:?} does not tell {want:?}");
    }
    plan(&MergeProblem { tokens: most, heads: 1, ..PROBLEM }, &SM80).unwrap();
}

//! The plans of attention in 8 bits.

use halfbyte::format::DType;
use halfbyte::plan::DeviceFacts;
use halfbyte::plan::attention::{AttentionProblem, Mask, candidates};
use halfbyte::plan::attention_int8::{AttentionInt8Problem, entries, plan};
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean, WIDTHS};
use halfbyte::plan::quantize_rows::Input;

use super::{ALL, SM80, SM89, SM90};

const OPERANDS: AttentionQuantizeProblem = AttentionQuantizeProblem {
    input: Input::F16,
    batch: 1,
    queries: 100,
    keys: 300,
    packed: None,
    heads: 8,
    kv_heads: 2,
    head_dim: 128,
    value_dim: 128,
    mean: KeyMean::Given,
    values: false,
};

/// As those of 16 bits in tiles of 64 rows.
#[test]
fn visits_are_those_of_the_mask() {
    let masks = [
        Mask::NONE,
        Mask::CAUSAL,
        Mask { left: Some(70), right: Some(3), keep_first: 5, ..Mask::NONE },
        Mask { left: Some(0), ..Mask::CAUSAL },
    ];
    for (mask, tokens) in masks.iter().flat_map(|mask| [[100, 300], [300, 100], [1, 64], [65, 0]].map(|t| (*mask, t))) {
        let operands = AttentionQuantizeProblem { queries: tokens[0], keys: tokens[1], batch: 3, ..OPERANDS };
        let ours = plan(&AttentionInt8Problem { mask, ..AttentionInt8Problem::new(operands) }, &SM80).unwrap().visits();
        let wide = AttentionProblem { batch: 3, mask, ..AttentionProblem::new(tokens, [8, 2], 128, DType::F16) };
        let theirs = candidates(&wide, &SM80).unwrap().find(|plan| plan.tile_rows() == 64 && plan.pack() == 1).unwrap();
        assert_eq!(ours, theirs.visits(), "{mask} {tokens:?}");
    }
}

#[test]
fn golden_decisions() {
    let problem = AttentionInt8Problem { mask: Mask::CAUSAL, ..AttentionInt8Problem::new(OPERANDS) };
    let p = plan(&problem, &SM80).unwrap();
    assert_eq!(
        p.to_string(),
        "1 x (100 queries x 8, 300 keys x 2) x 128 f16 -> s8, mean given: quantize_heads_f16, 52 blocks of 256 threads, \
         359424 bytes read, 189952 written; then to f16, causal: prefill_int8_f16_128, 16 blocks of 128 threads, 24832 bytes \
         shared, 343552 bytes read, 204800 written, at most 80 tiles of keys, 0 skipped"
    );
    assert_eq!(p.launches().count(), 2);
    assert_eq!(p.scratch_bytes(), p.quantize().layout().bytes());
    let wide = AttentionQuantizeProblem { head_dim: 200, values: true, mean: KeyMean::Computed, ..OPERANDS };
    let problem = AttentionInt8Problem {
        output: Input::Bf16,
        mask: Mask { left: Some(64), right: Some(2), keep_first: 4, ..Mask::NONE },
        ..AttentionInt8Problem::new(wide)
    };
    let p = plan(&problem, &SM90).unwrap();
    assert!(
        p.to_string().contains("; then to bf16, window 64 left, 2 right, 4 first kept: prefill_int8_e4m3_256, "),
        "{p}"
    );
    let p = plan(&AttentionInt8Problem::new(AttentionQuantizeProblem { queries: 0, ..OPERANDS }), &SM80).unwrap();
    assert!(p.prefill().is_none() && p.to_string().ends_with("no queries"), "{p}");
    for values in [false, true] {
        assert_eq!(entries(Input::Bf16, values).count(), 5);
    }
}

#[test]
fn every_width_has_its_kernel() {
    for facts in ALL {
        for head_dim in (8..=256).step_by(8) {
            for input in [Input::F16, Input::Bf16] {
                for values in [false, true] {
                    let operands = AttentionQuantizeProblem { input, head_dim, value_dim: 8, values, ..OPERANDS };
                    let Ok(p) = plan(&AttentionInt8Problem::new(operands), &facts) else {
                        assert!(values && facts.capability < 89, "{operands}");
                        continue;
                    };
                    let width = WIDTHS.into_iter().find(|&width| width >= head_dim).unwrap();
                    let kind = if values { "e4m3".to_string() } else { input.to_string() };
                    let row = p.prefill().unwrap().geometry.entry.row();
                    assert_eq!(row.symbol, format!("prefill_int8_{kind}_{width}"));
                    assert_eq!(p.prefill().unwrap().geometry.shared_bytes, row.shared_bytes);
                }
            }
        }
    }
}

#[test]
fn bad_problems() {
    let new = AttentionInt8Problem::new;
    let small = DeviceFacts { shared_per_block: 24_831, ..SM80 };
    for (problem, facts, want) in [
        (
            new(AttentionQuantizeProblem { value_dim: 136, ..OPERANDS }),
            SM89,
            "value_dim = 136 exceeds 128, the width of codes of head_dim = 128",
        ),
        (AttentionInt8Problem { output: Input::F32, ..new(OPERANDS) }, SM89, "an f32 output"),
        (
            AttentionInt8Problem { mask: Mask { right: Some(3), ..Mask::CAUSAL }, ..new(OPERANDS) },
            SM89,
            "the window asks for 3",
        ),
        (new(AttentionQuantizeProblem { head_dim: 4, ..OPERANDS }), SM89, "head_dim = 4"),
        (new(AttentionQuantizeProblem { values: true, ..OPERANDS }), SM80, "8.9"),
        (new(OPERANDS), small, "needs 24832 bytes of shared memory a block, the device has 24831"),
    ] {
        let text = plan(&problem, &facts).unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

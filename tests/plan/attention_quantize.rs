//! The plans of the quantizers of attention.

use halfbyte::plan::DeviceFacts;
use halfbyte::plan::attention_quantize::{
    AttentionQuantizePlan, AttentionQuantizeProblem, KeyMean, OPERAND_ALIGN, entries, operands_bound, plan,
};
use halfbyte::plan::quantize_rows::Input;
use proptest::prelude::*;

use super::{ALL, SM80, SM89, SM90};

const PROBLEM: AttentionQuantizeProblem = AttentionQuantizeProblem {
    input: Input::F16,
    batch: 1,
    queries: 1024,
    keys: 32_768,
    packed: None,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    value_dim: 128,
    mean: KeyMean::Computed,
    values: true,
};

fn check(plan: &AttentionQuantizePlan) {
    let (p, layout) = (plan.problem(), plan.layout());
    let [slices, slice] = plan.slices();
    assert!(slices >= 1 && slices * slice >= p.keys && (slices - 1) * slice < p.keys.max(1), "{plan}");
    let parts = [
        &layout.q_codes,
        &layout.k_codes,
        &layout.q_scales,
        &layout.k_scales,
        &layout.shift,
        &layout.v_codes,
        &layout.v_scales,
        &layout.partials,
    ];
    for pair in parts.windows(2) {
        assert!(pair[0].end <= pair[1].start && pair[1].start - pair[0].end < OPERAND_ALIGN, "{plan}: {layout:?}");
    }
    assert!(parts.iter().all(|part| part.start % OPERAND_ALIGN == 0), "{plan}");
    assert_eq!(layout.bytes(), layout.partials.end);
    let [q, k] = p.rows();
    let [q_pitch, k_pitch] = p.pitches();
    let sequences = if p.packed.is_some() { 1 } else { p.batch };
    assert_eq!(layout.q_codes.len(), q * p.heads * p.width());
    assert_eq!(layout.k_codes.len(), k * p.kv_heads * p.width());
    assert_eq!(layout.q_scales.len(), 4 * sequences * p.heads * q_pitch);
    assert_eq!(layout.k_scales.len(), 4 * sequences * p.kv_heads * k_pitch);
    assert_eq!(layout.shift.len(), if p.mean == KeyMean::Zero { 0 } else { layout.q_scales.len() });
    assert_eq!(layout.v_codes.len(), if p.values { sequences * p.kv_heads * p.value_dim * k_pitch } else { 0 });
    // Two sequences of a packed batch never meet, wherever the tokens are parted, and lie in their row.
    if p.packed.is_some() && p.batch >= 2 {
        for first in [0, 1, k / 3, k.saturating_sub(1), k] {
            let second = first / 64 * 64 + 64;
            assert!(
                first.next_multiple_of(64) <= second && second + (k - first).next_multiple_of(64) <= k_pitch,
                "{plan}"
            );
        }
    }
    let computed = p.mean == KeyMean::Computed;
    let known = p.batch > 0 && (computed || p.values);
    assert_eq!(plan.mean().is_some(), known, "{plan}");
    assert_eq!(plan.finish().is_some(), known && slices > 1, "{plan}");
    assert_eq!(plan.values().is_some(), p.values && p.batch > 0 && p.keys > 0, "{plan}");
    let facts = plan.facts();
    if let Some(mean) = plan.mean() {
        let tensors = usize::from(computed) + usize::from(p.values);
        assert_eq!(mean.geometry.grid[0] as usize, slices * p.batch * p.kv_heads * tensors);
        let resident = facts.resident_blocks(mean.geometry.entry.row(), 8192) * facts.sm_count;
        assert!(slices == 1 || mean.geometry.grid[0] <= resident, "{plan}: all slices at once");
    }
    for launch in plan.launches() {
        let row = launch.geometry.entry.row();
        assert!(row.symbol.ends_with(&format!("_{}", p.input)) || row.symbol == "key_mean_finish", "{plan}");
        assert!(plan.to_string().contains(row.symbol) && launch.geometry.shared_bytes == 0);
    }
}

#[test]
fn golden_decisions() {
    let table = [
        (
            PROBLEM,
            SM89,
            "1 x (1024 queries x 32, 32768 keys x 8) x 128 f16 -> s8, values of 128 -> e4m3: key_mean_f16, 512 blocks of 256 \
             threads, 134217728 bytes read, 262144 written, keys in 32 slices; key_mean_finish, 8 blocks of 256 threads, \
             262144 bytes read, 8192 written; quantize_heads_f16, 9216 blocks of 256 threads, 75501568 bytes read, \
             39059456 written; quantize_values_f16, 8192 blocks of 256 threads, 67112960 bytes read, 33554432 written",
        ),
        (
            AttentionQuantizeProblem {
                mean: KeyMean::Given,
                values: false,
                input: Input::Bf16,
                keys: 100,
                head_dim: 72,
                ..PROBLEM
            },
            SM80,
            "1 x (1024 queries x 32, 100 keys x 8) x 72 bf16 -> s8, mean given: quantize_heads_bf16, 1056 blocks of 256 threads, \
             4836096 bytes read, 3488768 written",
        ),
        (
            AttentionQuantizeProblem {
                packed: Some([7, 70]),
                batch: 2,
                queries: 5,
                keys: 60,
                values: false,
                ..PROBLEM
            },
            SM90,
            "2 x (5 queries x 32, 60 keys x 8) x 128 f16 -> s8, packed 7 and 70: key_mean_f16, 16 blocks of 256 threads, \
             143360 bytes read, 8192 written, keys in 1 slices; quantize_heads_f16, 96 blocks of 256 threads, 208896 bytes read, \
             139264 written",
        ),
        (
            AttentionQuantizeProblem { batch: 0, mean: KeyMean::Zero, ..PROBLEM },
            SM89,
            "0 x (1024 queries x 32, 32768 keys x 8) x 128 f16 -> s8, values of 128 -> e4m3, keys as they are: empty, nothing is \
             launched",
        ),
    ];
    for (problem, facts, want) in table {
        let p = plan(&problem, &facts).unwrap();
        check(&p);
        assert_eq!(p.to_string(), want);
        assert_eq!(p, plan(&problem, &facts).unwrap());
    }
    assert_eq!([false, true].map(|values| entries(Input::Bf16, values).count()), [3, 4]);
}

#[test]
fn bad_problems() {
    let old = DeviceFacts { capability: 75, ..SM80 };
    for (problem, facts, want) in [
        (AttentionQuantizeProblem { input: Input::F32, ..PROBLEM }, SM89, "attention of f32; f16 and bf16 are served"),
        (AttentionQuantizeProblem { head_dim: 0, ..PROBLEM }, SM89, "head_dim = 0; multiples of 8 from 8 to 256"),
        (AttentionQuantizeProblem { head_dim: 68, ..PROBLEM }, SM89, "head_dim = 68; multiples of 8"),
        (AttentionQuantizeProblem { value_dim: 264, ..PROBLEM }, SM89, "value_dim = 264; multiples of 8 from 8 to 256"),
        (
            AttentionQuantizeProblem { kv_heads: 5, ..PROBLEM },
            SM89,
            "32 heads of queries cannot share 5 heads of keys: served are multiples",
        ),
        (AttentionQuantizeProblem { kv_heads: 0, ..PROBLEM }, SM89, "share 0 heads"),
        (AttentionQuantizeProblem { heads: 0, ..PROBLEM }, SM89, "0 heads of queries"),
        (
            AttentionQuantizeProblem { batch: usize::MAX, ..PROBLEM },
            SM89,
            "batch * heads * channels = 18446744073709551615",
        ),
        (
            AttentionQuantizeProblem { keys: 1 << 30, ..PROBLEM },
            SM89,
            "keys of a sequence = 1073741824 exceed 1073741823",
        ),
        (AttentionQuantizeProblem { queries: 1 << 30, ..PROBLEM }, SM89, "queries of a sequence = 1073741824"),
        (AttentionQuantizeProblem { packed: Some([1 << 30, 1]), ..PROBLEM }, SM89, "packed queries = 1073741888"),
        (AttentionQuantizeProblem { packed: Some([1, usize::MAX]), ..PROBLEM }, SM89, "packed keys"),
        (
            AttentionQuantizeProblem { batch: 100_000, queries: 100_000, ..PROBLEM },
            SM89,
            "blocks of queries = 10000000000",
        ),
        (AttentionQuantizeProblem { batch: 100_000, queries: 1, ..PROBLEM }, SM89, "blocks of keys"),
        (PROBLEM, SM80, "values of e4m3 are made by an instruction of compute capability 8.9, and this device has 8.0"),
        (AttentionQuantizeProblem { values: false, ..PROBLEM }, old, "7.5 is below 8.0"),
    ] {
        let text = plan(&problem, &facts).unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

/// One sequence more, and the keys of none are cut any more: the smaller problem needs more.
#[test]
fn a_smaller_problem_may_need_more() {
    let of = |batch| AttentionQuantizeProblem {
        batch,
        queries: 1,
        keys: 256,
        heads: 1,
        kv_heads: 1,
        head_dim: 64,
        value_dim: 64,
        values: false,
        ..PROBLEM
    };
    let bytes = |batch| plan(&of(batch), &SM80).unwrap().layout().bytes();
    let turn = (1..2000).find(|&batch| bytes(batch) < bytes(batch - 1)).expect("somewhere slices end");
    assert!(operands_bound(&of(turn), &SM80).unwrap() >= bytes(turn - 1));
}

proptest! {
    #[test]
    fn operands_bound_covers_every_smaller_problem(
        max in (1usize..300, 0usize..3000, 0usize..100_000, 1usize..9, 1usize..9),
        dims in (1usize..33, 1usize..33),
        cut in prop::array::uniform6(0f64..=1.0),
        mean in prop::sample::select(vec![KeyMean::Computed, KeyMean::Given, KeyMean::Zero]),
        (packed, values) in any::<(bool, bool)>(),
        facts in prop::sample::select(ALL.to_vec()),
    ) {
        let of = |batch: usize, queries: usize, keys: usize, kv_heads: usize, dims: [usize; 2]| AttentionQuantizeProblem {
            input: Input::F16,
            batch,
            queries,
            keys,
            packed: packed.then_some([queries * batch / 2, keys * batch / 2]),
            heads: kv_heads * max.3,
            kv_heads,
            head_dim: 8 * dims[0],
            value_dim: 8 * dims[1],
            mean,
            values: values && facts.capability >= 89,
        };
        let part = |v: usize, f: f64| (v as f64 * f) as usize;
        let bound = operands_bound(&of(max.0, max.1, max.2, max.4, [dims.0, dims.1]), &facts).unwrap();
        let dims = [part(dims.0, cut[4]).max(1), part(dims.1, cut[5]).max(1)];
        let kv_heads = part(max.4, cut[3]).max(1);
        let smaller = of(part(max.0, cut[0]), part(max.1, cut[1]), part(max.2, cut[2]), kv_heads, dims);
        let plan = plan(&smaller, &facts).unwrap();
        prop_assert!(plan.layout().bytes() <= bound, "{plan} exceeds {bound}");
    }

    #[test]
    fn every_plan_keeps_its_word(
        batch in 0usize..40,
        tokens in (0usize..3000, 0usize..200_000),
        packed in any::<bool>(),
        heads in (1usize..9, 1usize..9),
        dims in (1usize..33, 1usize..33),
        mean in prop::sample::select(vec![KeyMean::Computed, KeyMean::Given, KeyMean::Zero]),
        values in any::<bool>(),
        facts in prop::sample::select(ALL.to_vec()),
    ) {
        let problem = AttentionQuantizeProblem {
            input: Input::Bf16,
            batch,
            queries: tokens.0,
            keys: tokens.1,
            packed: packed.then_some([tokens.0 * batch / 2, tokens.1 * batch / 2]),
            heads: heads.0 * heads.1,
            kv_heads: heads.1,
            head_dim: 8 * dims.0,
            value_dim: 8 * dims.1,
            mean,
            values,
        };
        match plan(&problem, &facts) {
            Ok(plan) => check(&plan),
            Err(e) => prop_assert!(values && facts.capability < 89, "{problem} was refused: {e}"),
        }
    }
}

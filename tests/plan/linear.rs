//! The plans of the linear layer: two plans and where they meet.

use halfbyte::plan::gemm_s8::{self, Output, SCRATCH_ALIGN};
use halfbyte::plan::linear::{LinearPlan, LinearProblem, join, plan, scratch_bound};
use halfbyte::plan::quantize_rows::{self, Input};
use proptest::prelude::*;

use super::{ALL, SM80, SM90};

const INPUTS: [Input; 3] = [Input::F32, Input::F16, Input::Bf16];
const OUTPUTS: [Output; 3] = [Output::F32, Output::F16, Output::Bf16];

fn problem(m: usize, n: usize, k: usize) -> LinearProblem {
    LinearProblem { m, n, k, input: Input::F16, out: Output::F16 }
}

/// The regions lie one after another, aligned, and hold what they must.
fn check(p: &LinearPlan) {
    let LinearProblem { m, k, .. } = *p.problem();
    if p.problem().is_empty() {
        assert_eq!((p.codes(), p.scales(), p.scratch_bytes()), (0..0, 0..0, 0), "{p}");
        assert_eq!((p.quantize().geometry(), p.gemm().geometry()), (None, None), "{p}");
        return;
    }
    assert!(p.codes_ld() >= k && p.codes_ld() < k + 16 && p.codes_ld().is_multiple_of(16), "{p}");
    assert_eq!(p.codes(), 0..m * p.codes_ld());
    assert!(p.scales().start >= p.codes().end && p.scales().len() == 4 * m, "{p}");
    assert!(p.gemm_scratch().start >= p.scales().end && p.gemm_scratch().len() == p.gemm().scratch_bytes(), "{p}");
    assert!(
        p.scales().start.is_multiple_of(SCRATCH_ALIGN) && p.gemm_scratch().start.is_multiple_of(SCRATCH_ALIGN),
        "{p}"
    );
    assert_eq!(p.scratch_bytes(), p.gemm_scratch().end);
}

#[test]
fn a_plan_explains_itself() {
    let p = plan(&problem(1, 1024, 8192), &SM80).unwrap();
    check(&p);
    assert_eq!(
        p.to_string(),
        "[1, 8192] f16 -> s8: quantize_rows_f16, rows read once, 1 blocks of 256 threads, 16384 bytes shared; \
         [1, 8192] x [1024, 8192]^T -> f16: gemm_s8_mma_16x64x128, 16 tiles, K in 6 slices of 1408, 96 blocks of 128 \
         threads, 40960 bytes shared, 393280 bytes scratch; 401728 bytes scratch in all"
    );
}

#[test]
fn empty_and_refused() {
    for (m, n) in [(0, 8), (8, 0), (0, 0)] {
        check(&plan(&problem(m, n, 64), &SM80).unwrap());
        assert_eq!(scratch_bound(&problem(m, n, 64), &SM80), Ok(0));
    }
    check(&plan(&problem(3, 5, 0), &SM90).unwrap());

    let raw = LinearProblem { out: Output::I32, ..problem(8, 8, 8) };
    for e in [plan(&raw, &SM80).map(|_| ()), scratch_bound(&raw, &SM80).map(|_| ())] {
        assert!(e.unwrap_err().to_string().contains("f32, f16 or bf16, not s32"));
    }
    let e = plan(&problem(1, 1, 140_000), &SM80).unwrap_err().to_string();
    assert!(e.contains("K = 140000") && e.contains("131071"), "{e}");

    // Plans of two problems, or of two devices, do not join.
    let gemm = *plan(&problem(8, 8, 64), &SM80).unwrap().gemm();
    let quantize = |m, k, facts| *plan(&problem(m, 8, k), facts).unwrap().quantize();
    assert!(join(&quantize(8, 64, &SM80), &gemm).is_ok());
    for other in [quantize(9, 64, &SM80), quantize(8, 63, &SM80), quantize(8, 64, &SM90)] {
        assert!(join(&other, &gemm).unwrap_err().to_string().contains("do not make one linear layer"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn scratch_bound_covers_every_smaller_problem(
        max in (0usize..5000, 0usize..5000, prop_oneof![0usize..300, 0usize..=gemm_s8::MAX_K]),
        cut in prop::array::uniform3(0f64..=1.0),
        facts in prop::sample::select(ALL.to_vec()),
        input in prop::sample::select(INPUTS.to_vec()),
        out in prop::sample::select(OUTPUTS.to_vec()),
    ) {
        let bound = scratch_bound(&problem(max.0, max.1, max.2), &facts).unwrap();
        let part = |v: usize, f: f64| (v as f64 * f) as usize;
        let p = LinearProblem { input, out, ..problem(part(max.0, cut[0]), part(max.1, cut[1]), part(max.2, cut[2])) };
        let p = plan(&p, &facts).unwrap();
        check(&p);
        prop_assert!(p.scratch_bytes() <= bound, "{p} exceeds {bound}");
    }

    #[test]
    fn every_pair_of_plans_joins(m in 1usize..200, n in 1usize..200, k in 0usize..2000, facts in prop::sample::select(ALL.to_vec())) {
        let whole = plan(&problem(m, n, k), &facts).unwrap();
        for q in quantize_rows::candidates(whole.quantize().problem(), &facts) {
            for g in gemm_s8::candidates(whole.gemm().problem(), &facts) {
                let p = join(&q, &g).unwrap();
                check(&p);
                prop_assert_eq!(p.problem(), whole.problem());
            }
        }
    }
}

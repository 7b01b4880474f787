//! The plans of the int8 product.

use std::collections::HashSet;
use std::time::Instant;

use halfbyte::manifest::{Entry, Target};
use halfbyte::plan::gemm_s8::{
    GemmS8Plan, GemmS8Problem, MAX_K, MAX_SPLIT, Output, SCRATCH_ALIGN, candidates, plan, scratch_bound,
};
use halfbyte::plan::{DeviceFacts, GRID_X_MAX};
use proptest::prelude::*;

use super::{ALL, SM80, SM86, SM89, SM90, SM100, SM120};

const OUTPUTS: [Output; 4] = [Output::F32, Output::F16, Output::Bf16, Output::I32];

fn problem(m: usize, n: usize, k: usize, out: Output) -> GemmS8Problem {
    GemmS8Problem { m, n, k, out }
}

/// What every plan must keep, whoever chose it.
fn check(p: &GemmS8Plan) {
    let facts = p.facts();
    let GemmS8Problem { m, n, k, .. } = *p.problem();
    let g = p.geometry().expect("a problem with output launches");
    let row = g.entry.row();
    let tile = |name| row.constant(name).unwrap() as usize;
    let (tm, tn, tk) = (tile("TILE_M"), tile("TILE_N"), tile("TILE_K"));

    assert!(g.shared_bytes <= facts.shared_per_block, "{p}");
    assert!(facts.resident_blocks(row, g.shared_bytes) >= 1, "{p}");
    assert!(
        row.targets
            .iter()
            .any(|t| t.capability() == facts.capability || (!t.arch_specific() && t.capability() <= facts.capability)),
        "{p}: no target serves {}",
        facts.capability
    );
    // One block for each tile of [M, N] and slice of K, or, where a block walks over tiles, as many as are resident.
    let (tiles_m, tiles_n, z) = (m.div_ceil(tm), n.div_ceil(tn), p.split_k() as usize);
    let blocks = tiles_m * tiles_n * z;
    let resident = (facts.sm_count * facts.resident_blocks(row, g.shared_bytes)) as usize;
    let grid = if p.uses_tensor_maps() { blocks.min(resident) } else { blocks };
    assert_eq!(g.grid, [grid as u32, 1, 1], "{p}");
    assert!(u64::from(g.grid[0]) <= GRID_X_MAX, "{p}");

    // The slices cover K once, in whole tiles, none empty.
    let slice = p.k_slice() as usize;
    assert!(slice > 0 && slice.is_multiple_of(tk), "{p}");
    assert!(z * slice >= k && (z - 1) * slice < k.max(1), "{p}");
    assert!(p.split_k() <= MAX_SPLIT);

    // The scratch holds what the kernel uses, apart and aligned.
    let (partials, tickets) = (p.partials(), p.tickets());
    if z == 1 {
        assert_eq!(p.scratch_bytes(), 0, "{p}");
    } else {
        assert_eq!(partials, 0..tiles_m * tiles_n * z * tm * tn * 4);
        assert!(tickets.start >= partials.end && tickets.start.is_multiple_of(SCRATCH_ALIGN));
        assert_eq!(tickets.len(), tiles_m * tiles_n * 4);
        assert_eq!(p.scratch_bytes(), tickets.end);
    }
}

/// Decisions worth knowing, one row each: facts, shape → entry, slices of K.
#[test]
fn golden_decisions() {
    use Entry::{
        GemmS8Mma16x64x128 as Small, GemmS8Mma64x64x64 as Medium, GemmS8Mma128x128x64 as Large,
        GemmS8Wgmma128x128x128 as Wgmma,
    };
    #[rustfmt::skip]
    let table: &[(&str, DeviceFacts, [usize; 3], Entry, u32)] = &[
        ("compute bound, square", SM80, [4096, 4096, 4096], Large, 1),
        ("compute bound, square", SM80, [8192, 8192, 8192], Large, 1),
        ("one row, memory bound", SM80, [1, 8192, 8192], Small, 1),
        ("sixteen rows fill the small tile", SM80, [16, 8192, 8192], Small, 1),
        ("sixty-four rows", SM80, [64, 8192, 8192], Medium, 1),
        ("a short K is not worth a split", SM80, [16, 768, 768], Small, 1),
        ("few tiles, long K: a block a multiprocessor", SM80, [1, 1024, 8192], Small, 6),
        ("few tiles, longest K: as many slices as allowed", SM80, [1, 128, 131_071], Small, 32),
        ("prefill of a 7B model", SM80, [77, 11_008, 4096], Large, 1),
        ("BERT-base at 77", SM80, [77, 3072, 768], Medium, 1),
        ("one element", SM80, [1, 1, 1], Small, 1),
        ("no K: only the bias is written", SM80, [64, 64, 0], Small, 1),
        ("compute bound, square", SM86, [4096, 4096, 4096], Large, 1),
        ("few tiles, long K", SM86, [1, 1024, 8192], Small, 5),
        ("compute bound, square", SM89, [4096, 4096, 4096], Large, 1),
        ("sixteen multiprocessors fill the narrow memory of Ada", SM89, [1, 1024, 8192], Small, 1),
        ("Hopper, compute bound", SM90, [4096, 4096, 4096], Wgmma, 1),
        ("Hopper, compute bound", SM90, [8192, 8192, 8192], Wgmma, 1),
        ("Hopper, one row", SM90, [1, 8192, 8192], Small, 1),
        ("Hopper, sixteen rows", SM90, [16, 8192, 8192], Small, 1),
        ("Hopper, few tiles, long K", SM90, [1, 1024, 8192], Small, 8),
        ("Hopper, prefill", SM90, [512, 4096, 4096], Wgmma, 1),
        ("Hopper has no tensor map of an empty K", SM90, [4096, 4096, 0], Large, 1),
        ("Blackwell runs the sm_80 kernels", SM100, [4096, 4096, 4096], Large, 1),
        ("few multiprocessors are full without a split", SM120, [1, 1024, 8192], Small, 1),
    ];
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|&(why, facts, [m, n, k], entry, split)| {
            let p = plan(&problem(m, n, k, Output::F16), &facts).unwrap();
            let got = (p.geometry().unwrap().entry, p.split_k());
            (got != (entry, split))
                .then(|| format!("{why}, sm_{}: {m}x{n}x{k} -> {got:?}, want {:?}", facts.capability, (entry, split)))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each term of the cost model decides somewhere. The costs are those of a second program that was written from the
/// model's description; it gave the runner-up and how much more it costs, too.
#[test]
fn every_term_of_the_cost_decides_somewhere() {
    use Entry::{GemmS8Mma16x64x128 as Small, GemmS8Mma64x64x64 as Medium, GemmS8Mma128x128x64 as Large};
    use Output::{F16, F32, I32};
    #[rustfmt::skip]
    type Decision = (&'static str, DeviceFacts, [usize; 3], Output, (Entry, u32));
    let table: &[Decision] = &[
        (
            "all stages of all blocks on a multiprocessor share a latency: 40654 cycles, 48806 by the medium tile",
            SM100,
            [512, 1024, 11_008],
            F32,
            (Large, 4),
        ),
        ("the same on Hopper: 28038, 28895 by the medium tile", SM90, [384, 1024, 8192], F16, (Large, 5)),
        (
            "to fill the pipeline costs two latencies a round: 3976, 7127 by the small tile",
            SM86,
            [24, 11_008, 64],
            F32,
            (Medium, 1),
        ),
        ("and not one: 3879, 4564 by the small tile", SM86, [2, 11_008, 128], F16, (Medium, 1)),
        (
            "rows that do not exist are stored all the same: 2438, 2948 by the medium tile",
            SM120,
            [2, 2048, 64],
            F32,
            (Small, 1),
        ),
        ("four bytes an element: 8269, 9423 by the medium tile", SM120, [4, 11_008, 128], I32, (Small, 1)),
        (
            "the output goes to the device memory: 25491, 27365 by three slices of the large tile",
            SM80,
            [4096, 128, 3072],
            F32,
            (Medium, 1),
        ),
        ("every element of it: 16504, 16973 by two slices of the medium tile", SM80, [64, 3072, 3072], F32, (Small, 1)),
        ("all its bytes: 16447, 16745 by two slices of the medium tile", SM80, [3072, 48, 3072], I32, (Small, 1)),
        (
            "each slice is written and read once: 55276, 73184 by the large tile",
            SM90,
            [128, 768, 65_536],
            F16,
            (Medium, 22),
        ),
        (
            "2971 by the small tile too, which stands after the medium one in the order of preference",
            SM90,
            [560, 901, 75],
            F16,
            (Medium, 1),
        ),
        ("14283 in nine slices too: fewer are preferred", SM90, [27, 1974, 5594], F32, (Small, 2)),
    ];
    for &(why, facts, [m, n, k], out, want) in table {
        let p = plan(&problem(m, n, k, out), &facts).unwrap();
        assert_eq!((p.geometry().unwrap().entry, p.split_k()), want, "sm_{}, {m}x{n}x{k}: {why}", facts.capability);
    }
}

/// Each entry is somebody's best plan: none is dead weight.
#[test]
fn every_entry_is_chosen_somewhere() {
    let mut chosen = HashSet::new();
    for facts in ALL {
        for m in [1, 16, 64, 256, 4096] {
            for n in [64, 1024, 8192] {
                chosen.insert(plan(&problem(m, n, 4096, Output::F32), &facts).unwrap().geometry().unwrap().entry);
            }
        }
    }
    let want = HashSet::from([
        Entry::GemmS8Mma16x64x128,
        Entry::GemmS8Mma64x64x64,
        Entry::GemmS8Mma128x128x64,
        Entry::GemmS8Wgmma128x128x128,
    ]);
    assert_eq!(chosen, want);
}

#[test]
fn every_plan_keeps_the_budgets_and_covers_the_problem_once() {
    let dims = [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000, 4096, 11_008, 100_003];
    let ks = [0, 1, 15, 16, 63, 64, 65, 127, 128, 129, 255, 4096, 11_008, MAX_K];
    let mut plans = 0usize;
    for facts in ALL {
        for m in dims {
            for n in dims {
                for k in ks {
                    let p = problem(m, n, k, Output::F16);
                    let best = plan(&p, &facts).unwrap();
                    check(&best);
                    let mut found = false;
                    for c in candidates(&p, &facts) {
                        check(&c);
                        found |= c == best;
                        plans += 1;
                    }
                    assert!(found, "the plan is one of the candidates: {best}");
                }
            }
        }
    }
    println!("{plans} plans checked");
    assert!(plans > 300_000, "{plans} plans");
}

#[test]
fn candidates_are_all_tiles_with_all_splits() {
    let seen = |facts: &DeviceFacts, k| -> Vec<(Entry, u32)> {
        candidates(&problem(32, 64, k, Output::F32), facts)
            .map(|p| (p.geometry().unwrap().entry, p.split_k()))
            .collect()
    };
    use Entry::{
        GemmS8Mma16x64x128 as Small, GemmS8Mma64x64x64 as Medium, GemmS8Mma128x128x64 as Large,
        GemmS8Wgmma128x128x128 as Wgmma,
    };
    assert_eq!(seen(&SM80, 64), [(Large, 1), (Medium, 1), (Small, 1)]);
    // 320 = 5 steps of 64, in slices of 5, 3, 2 and 1 steps (4 slices of 2 would leave one empty), and
    // 3 steps of 128, in slices of 3, 2 and 1.
    let mma = [
        (Large, 1),
        (Large, 2),
        (Large, 3),
        (Large, 5),
        (Medium, 1),
        (Medium, 2),
        (Medium, 3),
        (Medium, 5),
        (Small, 1),
        (Small, 2),
        (Small, 3),
    ];
    assert_eq!(seen(&SM80, 320), mma);
    assert_eq!(seen(&SM90, 320), [&[(Wgmma, 1)], &mma[..]].concat());
    assert_eq!(seen(&SM100, 320), mma, "wgmma runs on 9.0 only");
    // A device whose blocks get 44 KiB cannot hold the large tile.
    let small = DeviceFacts { shared_per_block: 44 << 10, ..SM80 };
    assert!(seen(&small, 320).iter().all(|(e, _)| *e != Large));
    // Nothing for an empty output or a K out of range.
    for p in [problem(0, 8, 8, Output::F32), problem(8, 0, 8, Output::F32), problem(8, 8, MAX_K + 1, Output::F32)] {
        assert_eq!(candidates(&p, &SM80).count(), 0);
    }
}

#[test]
fn an_empty_output_launches_nothing() {
    for p in [problem(0, 64, 64, Output::F16), problem(64, 0, 64, Output::I32), problem(0, 0, 0, Output::F32)] {
        let plan = plan(&p, &SM80).unwrap();
        assert_eq!((plan.geometry(), plan.scratch_bytes(), plan.tickets()), (None, 0, 0..0));
        assert!(plan.to_string().contains("nothing is launched"));
    }
}

#[test]
fn bad_problems_are_refused_with_their_values() {
    let max = i32::MAX as usize;
    let few = DeviceFacts { shared_per_block: 1024, ..SM80 };
    let old = DeviceFacts { capability: 75, ..SM80 };
    #[rustfmt::skip]
    let table: &[(GemmS8Problem, DeviceFacts, &[&str])] = &[
        (problem(1, 1, 131_072, Output::F32), SM80, &["K = 131072", "131071", "exact"]),
        (problem(0, 1, 140_000, Output::F32), SM80, &["K = 140000", "131071", "exact"]),
        (problem(1, 1, usize::MAX, Output::I32), SM80, &["K = 18446744073709551615"]),
        (problem(max + 1, 1, 1, Output::F32), SM80, &["M = 2147483648", "2147483647"]),
        (problem(1, usize::MAX, 1, Output::F32), SM80, &["N = 18446744073709551615", "2147483647"]),
        (problem(max, max, 1, Output::F32), SM80, &["2147483647 x 2147483647", "address space"]),
        (problem(max, 1 << 28, 1, Output::F32), SM80, &["[2147483647, 1] x [268435456, 1]^T", "2147483647 blocks"]),
        (problem(8, 8, 8, Output::F32), few, &["[8, 8] x [8, 8]^T", "1024 bytes of shared memory"]),
        (problem(8, 8, 8, Output::F32), old, &["7.5", "8.0"]),
    ];
    for (p, facts, want) in table {
        let text = plan(p, facts).unwrap_err().to_string();
        assert!(want.iter().all(|w| text.contains(w)), "{text:?} lacks one of {want:?}");
    }
    // The edges themselves are fine.
    check(&plan(&problem(1, 1, MAX_K, Output::F32), &SM80).unwrap());
    check(&plan(&problem(max, 1, 64, Output::F32), &SM90).unwrap());
    check(&plan(&problem(1, max, 64, Output::F32), &SM90).unwrap());
}

/// The greatest sum of K products of codes, −128 included, fits an i32 up to `MAX_K` and not beyond.
#[test]
fn the_exact_range_is_tight() {
    let sum = |k: usize| k as i64 * 128 * 128;
    assert!(sum(MAX_K) <= i64::from(i32::MAX));
    assert!(sum(MAX_K + 1) > i64::from(i32::MAX));
}

#[test]
fn scratch_bound_covers_every_smaller_problem() {
    let mut split = 0;
    for facts in [SM80, SM89, SM90, SM120] {
        for max in [[70, 70, 700], [1, 300, 4000], [130, 64, 2000]] {
            let [m, n, k] = max;
            let bound = scratch_bound(&problem(m, n, k, Output::F32), &facts).unwrap();
            // Every M and N, and each K at which a number of steps changes (steps of 64), with its neighbour.
            for k in (0..=k).filter(|k| k % 64 <= 1) {
                for m in 1..=m {
                    for n in 1..=n {
                        let p = plan(&problem(m, n, k, Output::F32), &facts).unwrap();
                        split += usize::from(p.split_k() > 1);
                        assert!(p.scratch_bytes() <= bound, "{p} exceeds the bound {bound} of {max:?}");
                    }
                }
            }
        }
    }
    println!("{split} split plans below their bounds");
    assert!(split > 10_000, "the test reaches splits: {split}");
    assert_eq!(scratch_bound(&problem(0, 64, 4096, Output::F32), &SM80), Ok(0));
    assert_eq!(scratch_bound(&problem(64, 64, 64, Output::F32), &SM80), Ok(0), "one step cannot be split");
}

fn any_facts() -> impl Strategy<Value = DeviceFacts> {
    (
        prop::sample::select(vec![80, 86, 87, 89, 90, 100, 103, 120, 121]),
        1u32..=200,
        prop::sample::select(vec![100u32, 132, 164, 228]),
        prop::sample::select(vec![1024u32, 1536, 2048]),
    )
        .prop_map(|(capability, sm_count, kib, threads)| super::facts(capability, sm_count, kib, threads, 40))
}

fn any_problem() -> impl Strategy<Value = GemmS8Problem> {
    let dim = || prop_oneof![1usize..300, 1usize..20_000, 1usize..3_000_000];
    let k = prop_oneof![0usize..300, 0usize..20_000, 0usize..=MAX_K];
    (dim(), dim(), k, prop::sample::select(OUTPUTS.to_vec())).prop_map(|(m, n, k, out)| problem(m, n, k, out))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_plan_is_legal_and_repeatable(p in any_problem(), facts in any_facts()) {
        let best = plan(&p, &facts).unwrap();
        check(&best);
        prop_assert_eq!(best, plan(&p, &facts).unwrap());
        let best_in = candidates(&p, &facts).inspect(check).filter(|c| *c == best).count();
        prop_assert_eq!(best_in, 1);
    }

    #[test]
    fn scratch_bound_is_a_bound(max in any_problem(), facts in any_facts(), f in prop::array::uniform3(0f64..=1.0), out in prop::sample::select(OUTPUTS.to_vec())) {
        let bound = scratch_bound(&max, &facts).unwrap();
        let cut = |v: usize, f: f64| (v as f64 * f) as usize;
        let p = problem(cut(max.m, f[0]), cut(max.n, f[1]), cut(max.k, f[2]), out);
        prop_assert!(plan(&p, &facts).unwrap().scratch_bytes() <= bound);
        prop_assert!(plan(&max, &facts).unwrap().scratch_bytes() <= bound);
        prop_assert!(bound <= 1 << 30, "a bound that a runtime can afford: {bound}");
    }
}

#[test]
fn a_plan_explains_itself() {
    let p = plan(&problem(1, 1024, 8192, Output::F16), &SM80).unwrap();
    assert_eq!(
        p.to_string(),
        "[1, 8192] x [1024, 8192]^T -> f16: gemm_s8_mma_16x64x128, 16 tiles, K in 6 slices of 1408, 96 blocks of 128 \
         threads, 40960 bytes shared, 393280 bytes scratch"
    );
}

/// A kernel fed by tensor maps has no more blocks than are resident: two a multiprocessor, were there room for two.
#[test]
fn blocks_that_walk_the_tiles_are_all_resident() {
    let twice = DeviceFacts { shared_per_sm: 456 << 10, registers_per_sm: 131_072, ..SM90 };
    for (facts, blocks) in [(SM90, 132), (twice, 264)] {
        let grids: Vec<_> = candidates(&problem(8192, 8192, 1024, Output::F16), &facts)
            .map(|plan| *plan.geometry().unwrap())
            .filter(|g| g.entry == Entry::GemmS8Wgmma128x128x128)
            .map(|g| g.grid)
            .collect();
        assert_eq!(grids, [[blocks, 1, 1]]);
    }
}

/// Planning is for every call of a runtime. The limit of plan and launch together is 2 µs (`benches/overhead.rs`
/// measures); this only catches a plan that has become ten times too slow, whatever else the machine does.
#[test]
fn planning_is_fast() {
    let problems: Vec<_> = (1..200).map(|m| problem(m, 4096, 4096, Output::F16)).collect();
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            for p in &problems {
                std::hint::black_box(plan(std::hint::black_box(p), &SM90).unwrap());
            }
            start.elapsed() / problems.len() as u32
        })
        .min()
        .unwrap();
    println!("{best:?} a plan");
    assert!(best.as_nanos() < 10_000, "{best:?} a plan");
}

/// A plan of nothing but the facts it was given: the arch-specific kernel never leaves its architecture.
#[test]
fn arch_specific_kernels_stay_home() {
    for facts in ALL {
        let wgmma = candidates(&problem(4096, 4096, 4096, Output::F16), &facts)
            .any(|p| p.geometry().unwrap().entry.row().targets == [Target::Sm90a]);
        assert_eq!(wgmma, facts.capability == 90);
    }
}

//! The plans of products of every element.

use std::collections::BTreeSet;

use halfbyte::format::DType;
use halfbyte::manifest::{Entry, ROWS};
use halfbyte::plan::gemm::{
    GemmPlan, GemmProblem, MAX_K_BYTES, MAX_SPLIT, Operand, SCRATCH_ALIGN, candidates, entries, plan, scratch_bound,
};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::plan::{DeviceFacts, GRID_X_MAX};
use proptest::prelude::*;

use super::{ALL, SM80, SM86, SM89, SM90, SM100, SM120};

/// Every pair of operands that some device multiplies, with the groups of K that they may have.
fn pairs() -> Vec<(Operand, Operand, Option<usize>)> {
    let mut pairs = Vec::new();
    for k_group in [None, Some(64), Some(128)] {
        pairs.push((Operand::new(DType::I8), Operand::new(DType::I8), k_group));
    }
    for dtype in [DType::F16, DType::Bf16] {
        for (a, b) in [(false, false), (true, false), (false, true), (true, true)] {
            pairs.push((Operand { dtype, k_down: a }, Operand { dtype, k_down: b }, None));
        }
    }
    for a in [DType::E4m3, DType::E5m2] {
        for b in [DType::E4m3, DType::E5m2] {
            for k_group in [None, Some(64), Some(128)] {
                pairs.push((Operand::new(a), Operand::new(b), k_group));
            }
        }
    }
    pairs
}

fn eight(p: &GemmProblem) -> bool {
    matches!(p.a.dtype, DType::E4m3 | DType::E5m2)
}

/// What every plan must keep, whoever chose it.
fn check(p: &GemmPlan) {
    let facts = p.facts();
    let GemmProblem { m, n, k, batch, a, .. } = *p.problem();
    let g = p.geometry().expect("a problem with output launches");
    let row = g.entry.row();
    let tile = |name| row.constant(name).unwrap() as usize;
    let (tm, tn, tk) = (tile("TILE_M"), tile("TILE_N"), tile("TILE_K"));
    assert!(g.shared_bytes <= facts.shared_per_block && facts.resident_blocks(row, g.shared_bytes) >= 1, "{p}");
    assert!(row.targets.iter().any(|t| t.capability() <= facts.capability), "{p}");
    // With groups, a scale of each row and column for every 64 bytes of K.
    let step = tk * a.dtype.size() + if p.problem().k_group.is_some() { tk / 64 * 4 } else { 0 };
    assert_eq!(row.shared_bytes as usize, tile("STAGES") * (tm + tn) * step, "{p}");

    let (tiles, z) = (m.div_ceil(tm) * n.div_ceil(tn) * batch, p.split_k() as usize);
    assert_eq!(g.grid, [(tiles * z) as u32, 1, 1], "{p}");
    assert!(u64::from(g.grid[0]) <= GRID_X_MAX, "{p}");
    let slice = p.k_slice() as usize;
    assert!(slice > 0 && slice.is_multiple_of(tk), "{p}");
    assert!(p.problem().k_group.is_none_or(|group| slice.is_multiple_of(group)), "{p}");
    assert!(z * slice >= k && (z - 1) * slice < k.max(1) && p.split_k() <= MAX_SPLIT, "{p}");
    let (partials, tickets) = (p.partials(), p.tickets());
    if z == 1 {
        assert_eq!(p.scratch_bytes(), 0, "{p}");
    } else {
        assert_eq!(partials, 0..tiles * z * tm * tn * 4);
        assert!(tickets.start >= partials.end && tickets.start.is_multiple_of(SCRATCH_ALIGN));
        assert_eq!(tickets.len(), tiles * 4);
    }
}

/// Decisions worth knowing: facts, problem → entry, slices of K.
#[test]
fn golden_decisions() {
    use Entry::{
        GemmE4m3E4m3Mma128x128x64 as Fp8, GemmF16Mma16x64x64 as Small, GemmF16Mma64x64x32 as Medium,
        GemmF16Mma128x128x32 as Large, GemmF16MmaBDown64x64x32 as Down,
    };
    let f16 = |m, n, k| GemmProblem::new(m, n, k, DType::F16, Output::F16);
    let down = |m, n, k| GemmProblem { b: Operand::down(DType::F16), ..f16(m, n, k) };
    let batch = |batch, m, n, k| GemmProblem { batch, ..f16(m, n, k) };
    let fp8 = |m, n, k| GemmProblem::new(m, n, k, DType::E4m3, Output::Bf16);
    #[rustfmt::skip]
    let table: &[(&str, DeviceFacts, GemmProblem, Entry, u32)] = &[
        ("compute bound", SM80, f16(4096, 4096, 4096), Large, 1),
        ("compute bound", SM90, f16(8192, 8192, 8192), Large, 1),
        ("one row of a 7B model", SM80, f16(1, 4096, 4096), Small, 1),
        ("sixteen rows", SM90, f16(16, 8192, 8192), Small, 1),
        ("sixty-four rows: four rounds of a third, not two of all", SM80, f16(64, 8192, 8192), Medium, 3),
        ("the longest K of PaLM, one row", SM80, f16(1, 18_432, 73_728), Small, 1),
        ("few tiles, long K", SM80, f16(1, 1024, 8192), Small, 6),
        ("a matrix of weights with K down", SM80, down(1, 4096, 4096), Down, 1),
        ("a batch fills the device without slices", SM80, batch(96, 16, 64, 4096), Small, 1),
        ("no K", SM80, f16(64, 64, 0), Small, 1),
        ("8-bit floats on Ada", SM89, fp8(4096, 4096, 4096), Fp8, 1),
        ("8-bit floats on Blackwell", SM100, fp8(4096, 4096, 4096), Fp8, 1),
        ("8-bit floats on Hopper", SM90, fp8(4096, 4096, 4096), Fp8, 1),
    ];
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|&(why, facts, problem, entry, split)| {
            let p = plan(&problem, &facts).unwrap();
            let got = (p.geometry().unwrap().entry, p.split_k());
            (got != (entry, split)).then(|| format!("{why}, sm_{}: {p} -> {got:?}", facts.capability))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each entry is somebody's best plan, and none is named by another pair.
#[test]
fn every_entry_is_chosen_somewhere() {
    let mut chosen = BTreeSet::new();
    for (a, b, k_group) in pairs() {
        for facts in ALL {
            for (m, n) in [(1, 4096), (64, 512), (512, 512), (4096, 4096)] {
                let problem = GemmProblem { a, b, k_group, ..GemmProblem::new(m, n, 4096, a.dtype, Output::F32) };
                if let Ok(plan) = plan(&problem, &facts) {
                    chosen.insert(plan.geometry().unwrap().entry);
                }
            }
        }
    }
    for row in ROWS.iter().filter(|row| row.params.name == "GemmMmaParams") {
        assert!(chosen.contains(&row.entry), "{} is nobody's plan", row.symbol);
    }
    assert_eq!(chosen.len(), 48);
}

/// From one M to the next the modelled time grows by no more than a row of tiles of the plan takes by itself: no
/// cliffs.
#[test]
fn no_step_of_m_costs_more_than_a_row_of_tiles() {
    let mut steps = 0;
    for facts in [SM80, SM86, SM89, SM90, SM100, SM120] {
        for (a, b, k_group) in pairs() {
            for (n, k) in [(768, 768), (4096, 4096), (11_008, 4096), (4096, 11_008), (49_152, 12_288), (18_432, 73_728)]
            {
                let problem = |m| GemmProblem { a, b, k_group, ..GemmProblem::new(m, n, k, a.dtype, Output::F16) };
                let Ok(mut before) = plan(&problem(1), &facts) else { continue };
                for m in 2..=300 {
                    let now = plan(&problem(m), &facts).unwrap();
                    // A row of whichever tile it was or is, K cut as it was or is: where one gives way to the other,
                    // the first would have cost more still.
                    let row = [&before, &now].map(|by| {
                        let entry = by.geometry().unwrap().entry;
                        let rows = entry.row().constant("TILE_M").unwrap() as usize;
                        let all = candidates(&problem(rows.min(m)), &facts);
                        let same = |p: &GemmPlan| p.geometry().unwrap().entry == entry && p.split_k() == by.split_k();
                        all.filter(same).map(|p| p.cycles()).min().unwrap()
                    });
                    let one = row[0].max(row[1]);
                    let (was, is) = (before.cycles(), now.cycles());
                    assert!(is <= was + one, "{now}: {is} after {was}, a row of tiles {one}");
                    before = now;
                    steps += 1;
                }
            }
        }
    }
    assert!(steps > 100_000, "{steps}");
}

/// Slices of a batch-invariant plan depend on N, K and the device alone.
#[test]
fn batch_invariant_slices_do_not_depend_on_m_or_the_batch() {
    for facts in ALL {
        let shapes = [(64, 100), (64, 50_000), (4096, 4096), (1000, 30_000)];
        let kinds = [(DType::Bf16, None), (DType::I8, Some(64)), (DType::I8, Some(128))];
        for ((n, k), (dtype, k_group)) in shapes.into_iter().flat_map(|shape| kinds.map(|kind| (shape, kind))) {
            let mut slices = BTreeSet::new();
            for (m, batch) in [(1, 1), (16, 1), (17, 1), (300, 1), (5000, 1), (1, 40), (64, 7)] {
                let problem = GemmProblem::new(m, n, k, dtype, Output::F32);
                let problem = GemmProblem { batch, k_group, batch_invariant: true, ..problem };
                for plan in candidates(&problem, &facts).chain([plan(&problem, &facts).unwrap()]) {
                    check(&plan);
                    slices.insert(plan.k_slice().min(k.next_multiple_of(128) as u32));
                    assert!(plan.scratch_bytes() <= scratch_bound(&problem, &facts).unwrap(), "{plan}");
                }
            }
            assert_eq!(slices.len(), 1, "N {n}, K {k}: {slices:?}");
        }
    }
}

/// As many tiles as a grid may have, of the longest K, by one multiprocessor: the estimate stays at its greatest value.
#[test]
fn the_largest_problems_are_planned() {
    let one = DeviceFacts { sm_count: 1, ..SM80 };
    let (rows, columns) = (1 << 15, (1 << 16) - 1);
    let (m, n) = (128 * rows, 128 * columns);
    for k in [MAX_K_BYTES / 2, 1 << 10] {
        let problem = GemmProblem::new(m, n, k, DType::F16, Output::F16);
        let plan = plan(&problem, &one).unwrap();
        assert_eq!(plan.geometry().unwrap().grid, [(rows * columns) as u32, 1, 1], "{plan}");
        assert_eq!(plan.cycles() == u64::MAX, k > 1 << 10, "{plan}");
    }
}

#[test]
fn a_plan_explains_itself() {
    let problem =
        GemmProblem { b: Operand::down(DType::F16), ..GemmProblem::new(5, 4096, 4096, DType::F16, Output::F32) };
    let text = plan(&problem, &SM80).unwrap().explain();
    assert!(
        text.starts_with("f16 [5, 4096] x f16 [4096, 4096] -> f32: gemm_f16_mma_b_down_64x64x32, 64 tiles"),
        "{text}"
    );
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert!(rows[0].contains("64x64x32") && rows[1].contains("128x128x32") && rows[1].ends_with("cycles"), "{text}");
}

#[test]
fn what_no_kernel_serves_is_refused_with_its_values() {
    let problem = GemmProblem::new(1, 1, 1, DType::E5m2, Output::F32);
    let refusal = |problem: &GemmProblem, facts: &DeviceFacts| plan(problem, facts).unwrap_err().to_string();
    for facts in [SM80, SM86] {
        let error = refusal(&problem, &facts);
        assert!(error.contains("e5m2") && error.contains("8.9") && error.contains("f16"), "{error}");
    }
    let s32 = GemmProblem::new(1, 1, 1, DType::F16, Output::I32);
    assert!(refusal(&s32, &SM80).contains("s32"));
    let down = GemmProblem { a: Operand::down(DType::E5m2), ..problem };
    assert!(refusal(&down, &SM89).contains("along the rows"));
    let long = GemmProblem::new(1, 1, 1 << 30, DType::F16, Output::F32);
    assert!(refusal(&long, &SM80).contains("1073741824"));
    let wide = GemmProblem::new(1 << 30, 1, 1, DType::F16, Output::F32);
    assert!(refusal(&wide, &SM80).contains("1073741824"));
    let grouped = |dtype, group, out| {
        let problem = GemmProblem { k_group: Some(group), ..GemmProblem::new(8, 8, 8, dtype, out) };
        refusal(&problem, &SM89)
    };
    assert!(grouped(DType::F16, 64, Output::F32).contains("f16 by groups"));
    assert!(grouped(DType::E4m3, 96, Output::F32).contains("groups of 96 elements of K: groups have 64 or 128"));
    assert!(grouped(DType::I8, 128, Output::I32).contains("s32 output of sums by groups"));
    let huge = GemmProblem { batch: usize::MAX / 2, ..GemmProblem::new(8, 8, 8, DType::F16, Output::F32) };
    assert!(refusal(&huge, &SM80).contains("address space"));
    assert!(candidates(&huge, &SM80).next().is_none() && candidates(&s32, &SM80).next().is_none());
}

#[test]
fn the_limits_are_taken_and_what_is_beyond_is_not() {
    let f16 = |m, n, k| GemmProblem::new(m, n, k, DType::F16, Output::F16);
    let i8 = |k| GemmProblem::new(1, 1, k, DType::I8, Output::F16);
    assert_eq!(MAX_K_BYTES, 2_147_483_391);
    for problem in [f16(1_073_741_823, 1, 1), f16(1, 1_073_741_823, 1), f16(1, 1, 1_073_741_695), i8(131_071)] {
        plan(&problem, &SM80).unwrap();
    }
    // 12 * (2^30 - 1)^2 bytes are more than 2^63, 8 * (2^30 - 1)^2 are less, and more than any grid covers.
    let all = f16(1_073_741_823, 1_073_741_823, 1);
    for (problem, why) in [
        (f16(1_073_741_824, 1, 1), "M = 1073741824 exceeds 1073741823"),
        (f16(1, 1_073_741_824, 1), "N = 1073741824 exceeds 1073741823"),
        (f16(1, 1, 1_073_741_696), "K = 1073741696 exceeds 1073741695"),
        (i8(131_072), "K = 131072 exceeds 131071"),
        (GemmProblem { batch: 3, ..all }, "exceeds the address space"),
        (GemmProblem { batch: 2, ..all }, "no tile serves"),
    ] {
        let error = plan(&problem, &SM80).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(candidates(&problem, &SM80).count(), 0, "{error}");
    }
    assert_eq!(candidates(&f16(0, 5, 5), &SM80).count(), 0);
}

#[test]
fn pairs_that_no_device_multiplies_are_called_so() {
    let (e4m3, f16) = (Operand::new(DType::E4m3), Operand::new(DType::F16));
    let (i8, down) = (Operand::new(DType::I8), Operand::down(DType::I8));
    for (a, b, k_group) in
        [(e4m3, f16, None), (f16, e4m3, None), (down, f16, None), (f16, down, None), (i8, f16, Some(128))]
    {
        let problem = GemmProblem { a, b, k_group, ..GemmProblem::new(1, 1, 1, DType::F16, Output::F32) };
        let error = plan(&problem, &SM80).unwrap_err().to_string();
        assert!(error.contains(&format!("no kernel multiplies {} by {}", a.dtype, b.dtype)), "{error}");
    }
}

/// 64 multiprocessors for 512 / 64 columns of tiles are 8 slices of 2 * 32768 / 8 = 8192 bytes, no matter which tile;
/// no slice has less than 4096.
#[test]
fn batch_invariant_slices_worked_out_by_hand() {
    let facts = DeviceFacts { sm_count: 64, ..SM80 };
    let problem = |n, k| GemmProblem { batch_invariant: true, ..GemmProblem::new(1, n, k, DType::F16, Output::F16) };
    for (n, k, slice) in [(512, 32_768, 4096), (512, 8192, 2048), (64, 1 << 20, 32_768), (8192, 8192, 8192)] {
        for plan in candidates(&problem(n, k), &facts).chain([plan(&problem(n, k), &facts).unwrap()]) {
            assert_eq!(plan.k_slice(), slice, "{plan}");
        }
    }

    // 16384 bytes of K are 4 slices at most. One row of 512 columns is 4 tiles of 128 x 128 sums of 4 bytes, or, where
    // only smaller tiles fit, 8 of 64 x 64.
    let bound = |k, facts| scratch_bound(&problem(512, k), &facts).unwrap();
    assert_eq!(bound(8192, facts), 4 * 4 * 65_536 + 4 * 4);
    assert_eq!(bound(8192, DeviceFacts { shared_per_block: 45 << 10, ..facts }), 8 * 4 * 16_384 + 8 * 4);
    assert_eq!(bound(2048, facts), 0);

    let none = DeviceFacts { shared_per_block: 1000, ..facts };
    assert!(plan(&problem(512, 8192), &none).unwrap_err().to_string().contains("1000 bytes of shared memory"));
    for invariant in [false, true] {
        let problem = GemmProblem { batch_invariant: invariant, ..problem(512, 8192) };
        assert_eq!(candidates(&problem, &none).count(), 0);
    }
    assert_eq!(entries(problem(1, 1).a, problem(1, 1).b, false, &none).unwrap().count(), 0);
    assert_eq!(entries(problem(1, 1).a, problem(1, 1).b, false, &facts).unwrap().count(), 3);
}

/// Every tile in every slice is a block, which one of seven multiprocessors runs.
#[test]
fn an_explanation_counts_the_blocks_of_a_multiprocessor() {
    let facts = DeviceFacts { sm_count: 7, ..SM80 };
    let text = plan(&GemmProblem::new(1, 192, 65_536, DType::F16, Output::F16), &facts).unwrap().explain();
    let mut split = 0;
    for line in text.lines().skip(1) {
        let (_, counts) = line.split_once(": ").unwrap();
        let numbers: Vec<usize> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers[2], (numbers[0] * numbers[1]).div_ceil(7), "{line}");
        split += usize::from(numbers[0] > 1 && numbers[1] > 2);
    }
    assert!(split > 0, "{text}");
}

fn any_problem() -> impl Strategy<Value = GemmProblem> {
    let size = || prop_oneof![0usize..=300, 0usize..=5000];
    let outs = prop::sample::select(vec![Output::F32, Output::F16, Output::Bf16]);
    (size(), size(), 0usize..=20_000, 0usize..=5, prop::sample::select(pairs()), outs, any::<bool>()).prop_map(
        |(m, n, k, batch, (a, b, k_group), out, batch_invariant)| GemmProblem {
            m,
            n,
            k,
            batch,
            a,
            b,
            out,
            batch_invariant,
            k_group,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_plan_is_legal_and_repeatable(p in any_problem(), facts in prop::sample::select(ALL.to_vec())) {
        match plan(&p, &facts) {
            Ok(chosen) if !p.is_empty() => {
                check(&chosen);
                prop_assert_eq!(chosen, plan(&p, &facts).unwrap());
                // None of the candidates is better by the model.
                for other in candidates(&p, &facts).take(40) {
                    check(&other);
                }
                prop_assert!(candidates(&p, &facts).any(|other| other == chosen), "{}", chosen);
            }
            Ok(chosen) => prop_assert!(chosen.geometry().is_none() && chosen.scratch_bytes() == 0),
            Err(error) => prop_assert!(eight(&p) && facts.capability < 89, "{}", error),
        }
    }

    #[test]
    fn scratch_bound_is_a_bound(max in any_problem(), facts in prop::sample::select(ALL.to_vec()), f in prop::array::uniform4(0f64..=1.0)) {
        if let Ok(bound) = scratch_bound(&max, &facts) {
            let part = |size: usize, f: f64| (size as f64 * f) as usize;
            let [m, n, k, batch] = [(max.m, f[0]), (max.n, f[1]), (max.k, f[2]), (max.batch, f[3])].map(|(s, f)| part(s, f));
            let smaller = plan(&GemmProblem { m, n, k, batch, ..max }, &facts).unwrap();
            prop_assert!(smaller.scratch_bytes() <= bound, "{} needs {} of {}", smaller, smaller.scratch_bytes(), bound);
        }
    }
}

//! Partial results of attention joined through the public door.

use half::{bf16, f16};
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::{DType, Float};
use halfbyte::op::{InputElement, LseMut, Merge, MergeArgs, Merged, OutputElement, PartLse, Parts, Step};
use halfbyte::plan::merge::MergeProblem;
use halfbyte::reference::Comparison;
use halfbyte::reference::attention::State;
use halfbyte::reference::exact::round_to;
use halfbyte::reference::sample::Sample;

use super::Tally;
use super::case::poison;
use super::{raw, raw_view};
use crate::support::{allocations, devices};

const NONE: f32 = f32::NEG_INFINITY;

/// Numbers `[parts, tokens, heads, dv]`, log-sum-exps `[parts, heads, tokens]`, and what they merge to.
struct Case<T> {
    problem: MergeProblem,
    numbers: Vec<T>,
    lse: Vec<f32>,
    want: Vec<f64>,
    want_lse: Vec<f64>,
}

impl<T: InputElement> Case<T> {
    /// Half of the log-sum-exps are none.
    fn random(parts: usize, [tokens, heads, value_dim]: [usize; 3], out: DType) -> Case<T> {
        let problem = MergeProblem { parts, tokens, heads, value_dim, dtype: <T as Float>::DTYPE, out };
        let mut sample = Sample::new(&problem.to_string());
        let rows = parts * tokens * heads;
        let numbers: Vec<T> = (0..rows * value_dim).map(|_| T::from_f32(sample.gaussian())).collect();
        let lse: Vec<f32> = (0..rows).map(|_| if sample.bits() & 1 == 0 { NONE } else { sample.gaussian() }).collect();
        let mut want = Vec::with_capacity(tokens * heads * value_dim);
        let mut want_lse = vec![0.0; tokens * heads];
        for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
            let part = |p: usize| {
                let row = &numbers[((p * tokens + t) * heads + h) * value_dim..][..value_dim];
                let row: Vec<f64> = row.iter().map(|x| f64::from(x.to_f32())).collect();
                State::finished(&row, lse[(p * heads + h) * tokens + t].into())
            };
            let (out, lse) = (0..parts).fold(State::neutral(value_dim), |all, p| all.merge(&part(p))).finish();
            want.extend(out);
            want_lse[h * tokens + t] = lse;
        }
        Case { problem, numbers, lse, want, want_lse }
    }

    /// Runs it with `gap` elements between rows, parts and heads, tokens or heads first; everything else is poison.
    /// Gives the worst error of the result ÷ twice that of rounding it to its type.
    fn check<O: OutputElement + Float>(&self, op: &Merge, gap: usize, by_head: bool, tally: &mut Tally) -> f64 {
        let MergeProblem { parts, tokens, heads, value_dim: dv, .. } = self.problem;
        let stream = op.device().stream().unwrap();
        let plan = op.plan(&self.problem).unwrap();
        let what = format!("{plan}, gap {gap}, by head {by_head}, {}", op.device());
        let row = dv + gap;
        let (token, head) = if by_head { (row, tokens * row + gap) } else { (heads * row + gap, row) };
        let part = tokens * heads * row + gap * tokens.max(heads) + gap;
        let mut memory = poison::<T>(gap + parts * part);
        let mut lse = poison::<f32>(gap + parts * heads * (tokens + gap));
        for p in 0..parts {
            for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
                let known = self.lse[(p * heads + h) * tokens + t];
                lse[gap + (p * heads + h) * (tokens + gap) + t] = known;
                if known != NONE {
                    let from = &self.numbers[((p * tokens + t) * heads + h) * dv..][..dv];
                    memory[gap + p * part + t * token + h * head..][..dv].copy_from_slice(from);
                }
            }
        }
        let (memory, lse) = (stream.upload(&memory).unwrap(), stream.upload(&lse).unwrap());
        let mut out = stream.upload(&poison::<O>(gap + part)).unwrap();
        let mut lse_out = stream.upload(&poison::<f32>(heads * (tokens + gap))).unwrap();
        let args = MergeArgs {
            parts: Parts { view: memory.view().slice(gap..).unwrap(), part, token, head },
            lse: PartLse { view: lse.view().slice(gap..).unwrap(), part: heads * (tokens + gap), head: tokens + gap },
            out: Merged { view: out.view_mut().slice(gap..).unwrap(), token, head },
            lse_out: Some(LseMut { view: lse_out.view_mut(), head: tokens + gap }),
        };
        op.run(&plan, &stream, args).unwrap_or_else(|e| panic!("{what}: {e}"));

        let (out, lse_out) = (stream.download(&out).unwrap(), stream.download(&lse_out).unwrap());
        let mut written = vec![false; out.len()];
        let mut got = Vec::with_capacity(self.want.len());
        for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
            let first = gap + t * token + h * head;
            written[first..first + dv].fill(true);
            got.extend(out[first..first + dv].iter().map(|x| x.to_f32()));
        }
        let untouched = |x: &O| bytemuck::bytes_of(x).iter().all(|&byte| byte == 0xff);
        assert!(out.iter().zip(&written).all(|(x, &written)| written || untouched(x)), "{what}: beside the rows");
        let got_lse: Vec<f32> = lse_out.chunks(tokens + gap).flat_map(|row| &row[..tokens]).copied().collect();
        let slack = |at: usize| 1e-5 * self.want_lse[at].abs().max(1.0);
        let comparison = Comparison::within(&got_lse, &self.want_lse, tokens, slack).unwrap();
        assert!(comparison.passed(), "{what}: lse: {comparison}");

        let cast = |&want: &f64| (f64::from(round_to(want as f32, <O as Float>::DTYPE)) - want).abs();
        // An f32 result is rounded more than once.
        let floor = if <O as Float>::DTYPE == DType::F32 { 2e-6 } else { 0.0 };
        let allowed = 2.0 * self.want.iter().map(cast).fold(0.0, f64::max) + floor;
        let comparison = Comparison::within(&got, &self.want, dv, |_| allowed).unwrap();
        assert!(comparison.passed(), "{what}: {comparison}");
        tally.add("device", op.device());
        tally.add("parts", parts);
        tally.add("dv", dv);
        tally.add("out", <O as Float>::DTYPE);
        comparison.worst_ratio
    }
}

/// FlashAttention's table of combined splits (its tests, test_flash_attn_combine), thinned out.
#[test]
fn the_table_of_splits() {
    let table = [
        (1, [113, 3, 128]),
        (2, [640, 1, 64]),
        (3, [108, 2, 96]),
        (5, [256, 1, 192]),
        (17, [64, 1, 256]),
        (32, [32, 2, 128]),
        (55, [3, 3, 64]),
        (97, [2, 2, 96]),
        (133, [1, 2, 192]),
        (2, [1024, 1, 64]),
        (3, [32, 4, 256]),
    ];
    let mut tally = Tally::default();
    let mut worst = 0f64;
    for device in devices() {
        let op = Merge::new(&device).unwrap();
        for (i, &(parts, shape)) in table.iter().enumerate() {
            // Every third case has rows that start anywhere.
            let (gap, by_head) = ([0, 8, 5][i % 3], i % 2 == 1);
            let ratio = match i % 5 {
                0 => Case::<f16>::random(parts, shape, DType::F16).check::<f16>(&op, gap, by_head, &mut tally),
                1 => Case::<bf16>::random(parts, shape, DType::Bf16).check::<bf16>(&op, gap, by_head, &mut tally),
                2 => Case::<f32>::random(parts, shape, DType::F32).check::<f32>(&op, gap, by_head, &mut tally),
                3 => Case::<f16>::random(parts, shape, DType::F32).check::<f32>(&op, gap, by_head, &mut tally),
                _ => Case::<bf16>::random(parts, shape, DType::F32).check::<f32>(&op, gap, by_head, &mut tally),
            };
            worst = worst.max(ratio);
        }
    }
    println!("worst error ÷ bound {worst:.3}");
    assert!(worst > 0.2, "bounds of {worst} are wishes");
    tally.assert(
        "merges",
        &[
            ("device emulator sm_80", 11),
            ("device emulator sm_89", 11),
            ("device emulator sm_90a", 11),
            ("parts 133", 3),
            ("dv 64", 9),
            ("dv 256", 6),
            ("out f16", 9),
            ("out bf16", 6),
            ("out f32", 18),
        ],
    );
}

/// `[batch, heads, tokens]` of two sequences, as one row of heads: strides reach where the data lies.
#[test]
fn a_batch_is_more_heads() {
    let device = Device::emulator(Arch::Sm80);
    let (op, stream) = (Merge::new(&device).unwrap(), device.stream().unwrap());
    let (batch, heads, tokens, dv) = (2, 3, 4, 8);
    let problem =
        MergeProblem { parts: 2, tokens, heads: batch * heads, value_dim: dv, dtype: DType::F32, out: DType::F32 };
    // [parts, batch, heads, tokens, dv] and [parts, batch, heads, tokens]: the same strides for every head of the
    // batch.
    let rows = batch * heads * tokens;
    let numbers: Vec<f32> = (0..2 * rows * dv).map(|i| (i / dv) as f32).collect();
    let (parts, lse) = (stream.upload(&numbers).unwrap(), stream.upload(&vec![0.5f32; 2 * rows]).unwrap());
    let mut out = stream.alloc::<f32>(rows * dv).unwrap();
    let args = MergeArgs {
        parts: Parts { view: parts.view(), part: rows * dv, token: dv, head: tokens * dv },
        lse: PartLse { view: lse.view(), part: rows, head: tokens },
        out: Merged { view: out.view_mut(), token: dv, head: tokens * dv },
        lse_out: None,
    };
    op.run(&op.plan(&problem).unwrap(), &stream, args).unwrap();
    let want: Vec<f32> = (0..rows * dv).map(|i| (i / dv) as f32 + rows as f32 / 2.0).collect();
    assert_eq!(stream.download(&out).unwrap(), want);
}

#[test]
fn nothing_is_launched_for_nothing_and_nothing_is_allocated() {
    let device = Device::emulator(Arch::Sm80);
    let (op, stream) = (Merge::new(&device).unwrap(), device.stream().unwrap());
    for (tokens, launches) in [(0, 0), (3, 1)] {
        let problem = MergeProblem { parts: 2, tokens, heads: 2, value_dim: 8, dtype: DType::F16, out: DType::F16 };
        let (parts, lse) = (stream.zeros::<f16>(96).unwrap(), stream.zeros::<f32>(12).unwrap());
        let mut out = stream.zeros::<f16>(48).unwrap();
        let before = allocations();
        let plan = op.plan(&problem).unwrap();
        let args = MergeArgs::new(&problem, parts.view(), lse.view(), out.view_mut());
        let mut seen = 0;
        let count = |step: Step<'_>| {
            seen += usize::from(matches!(step, Step::Launch(_)));
            Ok(())
        };
        op.launches(&plan, args, count).unwrap();
        assert_eq!((seen, allocations() - before), (launches, 0), "{plan}");
    }
}

#[test]
fn arguments_that_break_a_rule_are_refused() {
    const PROBLEM: MergeProblem =
        MergeProblem { parts: 3, tokens: 5, heads: 2, value_dim: 16, dtype: DType::F16, out: DType::F16 };
    let here: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm80)));
    let there: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm80)));
    let other: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm90a)));
    let op = Merge::new(here).unwrap();
    let (stream, foreign) = (here.stream().unwrap(), there.stream().unwrap());
    // Parts at 4096, lse at 16384, the result at 32768, its lse at 65536.
    let good = || MergeArgs::<'static, f16, f16> {
        parts: Parts { view: raw_view(here, 4096, 480), part: 160, token: 32, head: 16 },
        lse: PartLse { view: raw_view(here, 16_384, 30), part: 10, head: 5 },
        out: Merged { view: raw(here, 32_768, 160), token: 32, head: 16 },
        lse_out: Some(LseMut { view: raw(here, 65_536, 10), head: 5 }),
    };
    let plan = op.plan(&PROBLEM).unwrap();
    let refused = |change: &dyn Fn(&mut MergeArgs<'static, f16, f16>)| {
        let mut args = good();
        change(&mut args);
        op.launches(&plan, args, |_| Ok(()))
    };
    refused(&|_| ()).expect("the good call is good");
    // Rows of heads within tokens and of tokens within heads, and in one line with those of the parts.
    refused(&|a| (a.out.token, a.out.head) = (16, 80)).expect("by head");
    refused(&|a| a.out.view = raw(here, 4096 + 960, 160)).expect("side by side with the parts");
    let far = usize::MAX / 4;
    let table: Vec<(&str, halfbyte::Result<()>, &[&str])> = vec![
        ("parts", refused(&|a| a.parts.view = raw_view(here, 4096, 479)), &["the parts holds 479 elements, but 480"]),
        ("part stride", refused(&|a| a.parts.part = 161), &["the parts holds 480", "482 are needed"]),
        ("token stride", refused(&|a| a.parts.token = 33), &["the parts holds 480", "484 are needed"]),
        ("head stride", refused(&|a| a.parts.head = 17), &["481 are needed"]),
        (
            "far parts",
            refused(&|a| a.parts.part = far),
            &["the parts: 16 elements each, 3 parts", "leave the address space"],
        ),
        (
            "lse",
            refused(&|a| a.lse.view = raw_view(here, 16_384, 29)),
            &["the lse of the parts holds 29", "30 are needed"],
        ),
        ("lse head", refused(&|a| a.lse.head = 6), &["31 are needed"]),
        ("result", refused(&|a| a.out.view = raw(here, 32_768, 159)), &["the result holds 159", "160 are needed"]),
        ("rows in rows", refused(&|a| a.out.head = 15), &["rows of the result meet", "2 heads 15 apart"]),
        ("tokens in tokens", refused(&|a| a.out.token = 31), &["rows of the result meet", "5 tokens 31 apart"]),
        (
            "heads in tokens",
            refused(&|a| (a.out.token, a.out.head) = (16, 79)),
            &["rows of the result meet", "2 heads 79 apart"],
        ),
        ("far result", refused(&|a| a.out.token = far), &["the result: 16 elements each", "leave the address space"]),
        (
            "lse out",
            refused(&|a| a.lse_out = Some(LseMut { view: raw(here, 65_536, 9), head: 5 })),
            &["the lse of the result holds 9", "10 are needed"],
        ),
        (
            "lse out in lse out",
            refused(&|a| a.lse_out = Some(LseMut { view: raw(here, 65_536, 10), head: 4 })),
            &["rows of the lse of the result meet: 5 elements each", "2 heads 4 apart"],
        ),
        ("result on parts", refused(&|a| a.out.view = raw(here, 4096 + 958, 160)), &["the result overlaps the parts"]),
        ("result on lse", refused(&|a| a.out.view = raw(here, 16_384 + 118, 160)), &["overlaps the lse of the parts"]),
        (
            "lse out on lse",
            refused(&|a| a.lse_out = Some(LseMut { view: raw(here, 16_384 + 116, 10), head: 5 })),
            &["the lse of the result overlaps the lse of the parts"],
        ),
        (
            "lse out on result",
            refused(&|a| a.lse_out = Some(LseMut { view: raw(here, 32_768 + 316, 10), head: 5 })),
            &["the lse of the result overlaps the result"],
        ),
        ("foreign parts", refused(&|a| a.parts.view = raw_view(there, 4096, 480)), &["the parts lives on"]),
        ("foreign lse", refused(&|a| a.lse.view = raw_view(there, 16_384, 30)), &["the lse of the parts lives on"]),
        ("foreign result", refused(&|a| a.out.view = raw(there, 32_768, 160)), &["the result lives on"]),
        (
            "foreign lse out",
            refused(&|a| a.lse_out = Some(LseMut { view: raw(there, 65_536, 10), head: 5 })),
            &["the lse of the result lives on"],
        ),
        ("foreign stream", op.run(&plan, &foreign, good()), &["the stream lives on"]),
        (
            "foreign plan",
            Merge::new(other).unwrap().plan(&PROBLEM).and_then(|plan| op.run(&plan, &stream, good())),
            &["the plan was made for compute capability 9.0"],
        ),
        (
            "type of the parts",
            op.plan(&MergeProblem { dtype: DType::Bf16, out: DType::Bf16, ..PROBLEM })
                .and_then(|plan| op.run(&plan, &stream, good())),
            &["the plan is for parts of bf16, but f16 was given"],
        ),
        (
            "type of the result",
            op.plan(&MergeProblem { out: DType::F32, ..PROBLEM }).and_then(|plan| op.run(&plan, &stream, good())),
            &["the plan is for a result of f32, but f16 was given"],
        ),
    ];
    for (what, result, want) in table {
        let text = result.expect_err(what).to_string();
        want.iter().for_each(|part| assert!(text.contains(part), "{what}: {text:?} does not tell {part:?}"));
    }
}

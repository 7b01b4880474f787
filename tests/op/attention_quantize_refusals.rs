//! Arguments of the quantizers of attention that break a rule: refused with their values.

use half::{bf16, f16};
use halfbyte::device::{Device, Region, Status};
use halfbyte::emulator::Arch;
use halfbyte::op::{AttentionQuantize, AttentionQuantizeArgs, Heads, Mean};
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean};
use halfbyte::plan::quantize_rows::Input;

use super::{raw, raw_view};

const PROBLEM: AttentionQuantizeProblem = AttentionQuantizeProblem {
    input: Input::F16,
    batch: 2,
    queries: 3,
    keys: 5,
    packed: None,
    heads: 4,
    kv_heads: 2,
    head_dim: 40,
    value_dim: 24,
    mean: KeyMean::Computed,
    values: true,
};

#[test]
fn what_is_refused_and_why() {
    let here: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let there: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let (stream, foreign) = (here.stream().unwrap(), there.stream().unwrap());
    let op = AttentionQuantize::new(here, Input::F16, true).unwrap();
    let plan = op.plan(&PROBLEM).unwrap();
    let [given, zero, bare, packed] = [
        AttentionQuantizeProblem { mean: KeyMean::Given, ..PROBLEM },
        AttentionQuantizeProblem { mean: KeyMean::Zero, ..PROBLEM },
        AttentionQuantizeProblem { values: false, ..PROBLEM },
        AttentionQuantizeProblem { packed: Some([6, 10]), ..PROBLEM },
    ]
    .map(|p| op.plan(&p).unwrap());
    let x = stream.zeros::<f16>(2048).unwrap();
    let mut mean = stream.zeros::<f32>(2 * 2 * 40).unwrap();
    let mut operands = stream.zeros::<u8>(1 << 16).unwrap();
    let at = x.address();
    type Args<'a> = AttentionQuantizeArgs<'a, f16>;
    let mut run = |plan, change: &mut dyn FnMut(&mut Args<'static>)| {
        // Nothing here lives as long as it says, and nothing is used after the run.
        let rows = |heads: usize, dim: usize, tokens: usize| Heads {
            view: raw_view(here, at, 2048),
            batch: tokens * heads * dim,
            token: heads * dim,
            head: dim,
        };
        let mut args = Args {
            q: rows(4, 40, 3),
            k: rows(2, 40, 5),
            v: Some(rows(2, 24, 5)),
            mean: Mean::Computed(raw(here, mean.view_mut().span().address, 160)),
            cu_queries: None,
            cu_keys: None,
            key_lengths: None,
            operands: raw(here, operands.view_mut().span().address, 1 << 16),
            status: None,
        };
        change(&mut args);
        op.run(plan, &stream, args)
    };
    run(&plan, &mut |_| {}).unwrap();
    let mut status = Some(Box::leak(Box::new(Status::new(&foreign).unwrap())));
    let cu = || Some(raw_view::<u32>(here, 0x7000_0000, 3));
    let table: Vec<(&str, halfbyte::Result<()>, &[&str])> = vec![
        ("short q", run(&plan, &mut |a| a.q.view = a.q.view.slice(..959).unwrap()), &["q", "959", "960"]),
        ("far heads", run(&plan, &mut |a| a.k.head = 100_000), &["k", "2048"]),
        (
            "far tokens",
            run(&plan, &mut |a| a.k.token = usize::MAX),
            &["k: 40 elements each", "18446744073709551615 apart", "address space"],
        ),
        ("short v", run(&plan, &mut |a| a.v.as_mut().unwrap().batch = 2000), &["v", "2048"]),
        ("q elsewhere", run(&plan, &mut |a| a.q.view = raw_view(there, at, 2048)), &["q lives on"]),
        ("no v", run(&plan, &mut |a| a.v = None), &["quantizes v, but none was given"]),
        ("v for nothing", run(&bare, &mut |_| {}), &["does not quantize v, but one was given"]),
        ("no mean", run(&plan, &mut |a| a.mean = Mean::Zero), &["computes a mean, but none was given"]),
        ("no given mean", run(&given, &mut |_| {}), &["takes a mean, but room for one was given"]),
        (
            "a mean too many",
            run(&zero, &mut |a| a.mean = Mean::Given(raw_view(here, 0x7000_0000, 160))),
            &["has no mean, but one"],
        ),
        ("a short mean", run(&plan, &mut |a| a.mean = Mean::Computed(raw(here, 0x7000_0000, 159))), &["159", "160"]),
        ("a long mean", run(&given, &mut |a| a.mean = Mean::Given(raw_view(here, 0x7000_0000, 161))), &["161", "160"]),
        ("no cu", run(&packed, &mut |a| a.cu_keys = cu()), &["packed tokens, but there is no cu_queries"]),
        ("no cu of k", run(&packed, &mut |a| a.cu_queries = cu()), &["packed tokens, but there is no cu_keys"]),
        ("cu for nothing", run(&plan, &mut |a| a.cu_keys = cu()), &["not for packed tokens, but there is cu_keys"]),
        (
            "a short cu",
            run(&packed, &mut |a| {
                a.cu_queries = Some(raw_view(here, 0x7000_0000, 2));
                a.cu_keys = cu();
            }),
            &["cu_queries holds 2 elements", "batch + 1 = 3"],
        ),
        ("long lens", run(&plan, &mut |a| a.key_lengths = cu()), &["key_lengths holds 3 elements", "batch = 2"]),
        (
            "few operands",
            run(&plan, &mut |a| a.operands = raw(here, 0x7000_0000, plan.layout().bytes() - 1)),
            &["the buffer of operands"],
        ),
        ("misaligned", run(&plan, &mut |a| a.operands = raw(here, 0x7000_0040, 1 << 16)), &["0x70000040", "128"]),
        ("over q", run(&plan, &mut |a| a.operands = raw(here, at, 1 << 16)), &["the buffer of operands", "q"]),
        ("mean over k", run(&plan, &mut |a| a.mean = Mean::Computed(raw(here, at, 160))), &["the mean", "q"]),
        (
            "mean in the operands",
            run(&plan, &mut |a| {
                let operands = a.operands.span().address;
                a.mean = Mean::Computed(raw(here, operands, 160));
            }),
            &["the mean", "the buffer of operands"],
        ),
        ("status elsewhere", run(&plan, &mut |a| a.status = status.take()), &["the status word lives on"]),
        (
            "another type",
            op.run(
                &plan,
                &stream,
                AttentionQuantizeArgs::<bf16> {
                    q: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                    k: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                    v: None,
                    mean: Mean::Zero,
                    cu_queries: None,
                    cu_keys: None,
                    key_lengths: None,
                    operands: raw(here, 0x7000_0000, 1 << 16),
                    status: None,
                },
            ),
            &["the plan is for f16, but q holds bf16"],
        ),
        (
            "another stream",
            op.run(
                &plan,
                &foreign,
                AttentionQuantizeArgs::<f16> {
                    q: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                    k: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                    v: None,
                    mean: Mean::Zero,
                    cu_queries: None,
                    cu_keys: None,
                    key_lengths: None,
                    operands: raw(here, 0x7000_0000, 1 << 16),
                    status: None,
                },
            ),
            &["the stream lives on"],
        ),
        (
            "values from an operation without",
            AttentionQuantize::new(here, Input::F16, false).unwrap().plan(&PROBLEM).map(|_| ()),
            &["f16 with values", "f16 without values"],
        ),
        (
            "another input",
            AttentionQuantize::new(here, Input::Bf16, true).unwrap().plan(&PROBLEM).map(|_| ()),
            &["bf16 with values"],
        ),
        ("f32", AttentionQuantize::new(here, Input::F32, false).map(|_| ()), &["attention of f32"]),
        (
            "values below 8.9",
            AttentionQuantize::new(&Device::emulator(Arch::Sm80), Input::F16, true).map(|_| ()),
            &["8.9", "8.0"],
        ),
        (
            "another device's plan",
            AttentionQuantize::new(&Device::emulator(Arch::Sm90a), Input::F16, true).and_then(|op| {
                let other = op.device().stream()?;
                op.run(
                    &plan,
                    &other,
                    AttentionQuantizeArgs::<f16> {
                        q: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                        k: Heads { view: raw_view(here, at, 2048), batch: 0, token: 0, head: 0 },
                        v: None,
                        mean: Mean::Zero,
                        cu_queries: None,
                        cu_keys: None,
                        key_lengths: None,
                        operands: raw(here, 0x7000_0000, 1 << 16),
                        status: None,
                    },
                )
            }),
            &["compute capability 8.9", "9.0"],
        ),
    ];
    for (what, result, want) in table {
        let text = match result {
            Ok(()) => panic!("{what}: accepted"),
            Err(error) => error.to_string(),
        };
        for part in want {
            assert!(text.contains(part), "{what}: {text:?} does not tell {part:?}");
        }
    }
}

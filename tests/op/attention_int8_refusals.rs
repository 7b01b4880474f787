//! Arguments of attention in 8 bits that break a rule: refused with their values.

use half::f16;
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, LogSumExp, Mean};
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean};
use halfbyte::plan::quantize_rows::Input;

use super::{raw, raw_view};

const PROBLEM: AttentionInt8Problem = AttentionInt8Problem::new(AttentionQuantizeProblem {
    input: Input::F16,
    batch: 2,
    queries: 3,
    keys: 5,
    packed: None,
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    value_dim: 32,
    mean: KeyMean::Zero,
    values: false,
});

const Q: u64 = 0x1_0000;
const K: u64 = 0x2_0000;
const V: u64 = 0x3_0000;
const OUT: u64 = 0x4_0000;
const LSE: u64 = 0x5_0000;
const SCRATCH: u64 = 0x10_0000;

#[test]
fn what_is_refused_and_why() {
    let here: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let there: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm89)));
    let op = AttentionInt8::new(here, Input::F16, false).unwrap();
    let plan = op.plan(&PROBLEM).unwrap();
    type Args = AttentionInt8Args<'static, f16, f16>;
    let args = || {
        let rows = |at: u64, heads: usize, dim: usize, tokens: usize| {
            Heads::bshd(raw_view::<f16>(here, at, 2 * tokens * heads * dim), tokens, heads, dim)
        };
        let out = HeadsMut::bshd(raw::<f16>(here, OUT, 2 * 3 * 4 * 32), 3, 4, 32);
        let (q, k, v) = (rows(Q, 4, 64, 3), rows(K, 2, 64, 5), rows(V, 2, 32, 5));
        let lse = LogSumExp::new(raw(here, LSE, 2 * 4 * 3), 3, 4);
        let scratch = raw(here, SCRATCH, plan.scratch_bytes());
        Args { lse: Some(lse), ..Args::new(&PROBLEM, q, k, v, out, Mean::Zero, scratch) }
    };
    let run = |change: &dyn Fn(&mut Args)| {
        let mut args = args();
        change(&mut args);
        op.launches(&plan, args, |_| Ok(()))
    };
    run(&|_| {}).unwrap();
    let table: Vec<(&str, halfbyte::Result<()>, &[&str])> = vec![
        ("short q", run(&|a| a.q.view = raw_view(here, Q, 1535)), &["q", "1535", "1536"]),
        ("short v", run(&|a| a.v.view = raw_view(here, V, 639)), &["v", "639", "640"]),
        ("short out", run(&|a| a.out.view = raw(here, OUT, 767)), &["the output", "767", "768"]),
        ("out elsewhere", run(&|a| a.out.view = raw(there, OUT, 768)), &["the output lives on"]),
        ("rows of out meet", run(&|a| a.out.head = 31), &["rows of the output meet", "31 apart"]),
        ("sequences of out meet", run(&|a| a.out.batch = 0), &["rows of the output meet"]),
        ("out over q", run(&|a| a.out.view = raw(here, Q, 768)), &["the output", "q"]),
        ("out over v", run(&|a| a.out.view = raw(here, V, 768)), &["the output", "v"]),
        ("out in the scratch", run(&|a| a.out.view = raw(here, SCRATCH, 768)), &["the output", "the scratch"]),
        ("short lse", run(&|a| a.lse.as_mut().unwrap().view = raw(here, LSE, 23)), &["the log-sum-exps", "23", "24"]),
        (
            "heads of lse meet",
            run(&|a| a.lse.as_mut().unwrap().head = 2),
            &["rows of the log-sum-exps meet", "2 apart"],
        ),
        (
            "lse over out",
            run(&|a| a.lse.as_mut().unwrap().view = raw(here, OUT, 24)),
            &["the output", "the log-sum-exps"],
        ),
        ("few sinks", run(&|a| a.sinks = Some(raw_view(here, 0x9000, 3))), &["the sinks holds 3", "heads = 4"]),
        ("many slopes", run(&|a| a.slopes = Some(raw_view(here, 0x9000, 5))), &["the slopes holds 5", "heads = 4"]),
        ("a negative scale", run(&|a| a.scale = -0.5), &["the scale is -0.5"]),
        ("a scale of 0", run(&|a| a.scale = 0.0), &["the scale is 0"]),
        ("no scale", run(&|a| a.scale = f32::NAN), &["the scale is NaN"]),
        ("a cap of 0", run(&|a| a.softcap = Some(0.0)), &["the soft-cap is 0"]),
        ("an infinite cap", run(&|a| a.softcap = Some(f32::INFINITY)), &["the soft-cap is inf"]),
        (
            "a mean for nothing",
            run(&|a| a.mean = Mean::Given(raw_view(here, 0x9000, 256))),
            &["has no mean, but one was given"],
        ),
        ("short scratch", run(&|a| a.scratch = raw(here, SCRATCH, 128)), &["the scratch", "128"]),
        ("misaligned scratch", run(&|a| a.scratch = raw(here, SCRATCH + 64, 1 << 16)), &["0x100040"]),
        ("scratch over v", run(&|a| a.scratch = raw(here, V - 1024, 1 << 15)), &["the scratch", "v"]),
        ("out over lengths", run(&|a| a.key_lengths = Some(raw_view(here, OUT, 2))), &["the output", "key_lengths"]),
        (
            "values of an operation without",
            op.plan(&AttentionInt8Problem::new(AttentionQuantizeProblem { values: true, ..PROBLEM.operands }))
                .map(|_| ()),
            &["f16 with values", "f16 without values"],
        ),
        (
            "no values of an operation with",
            AttentionInt8::new(here, Input::F16, true).unwrap().plan(&PROBLEM).map(|_| ()),
            &["leaves values in 16 bits, but the operation was made for e4m3"],
        ),
        (
            "another output",
            op.plan(&AttentionInt8Problem { output: Input::Bf16, ..PROBLEM })
                .and_then(|plan| op.launches(&plan, args(), |_| Ok(()))),
            &["the plan is for bf16 out, but the output holds f16"],
        ),
        (
            "another device's plan",
            AttentionInt8::new(&Device::emulator(Arch::Sm90a), Input::F16, false)
                .and_then(|op| op.plan(&PROBLEM))
                .and_then(|plan| op.launches(&plan, args(), |_| Ok(()))),
            &["the plan was made for compute capability 9.0"],
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

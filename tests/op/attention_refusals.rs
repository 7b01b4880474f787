//! Arguments of attention that break a rule: refused with their values.

use half::f16;
use halfbyte::device::{Device, Status};
use halfbyte::emulator::Arch;
use halfbyte::format::DType;
use halfbyte::op::{Attention, AttentionArgs, BiasValues, Heads, HeadsMut, LogSumExp, PageTable, ScoreBias, TreeMask};
use halfbyte::plan::attention::AttentionProblem;

use super::{raw, raw_view};

const SQ: usize = 10;
const SK: usize = 20;
const H: usize = 4;
const KV: usize = 2;
const D: usize = 64;

type Args<'a> = AttentionArgs<'a, f16, f16>;

#[test]
fn what_breaks_a_rule_is_refused_with_its_values() {
    let here: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm80)));
    let there: &'static Device = Box::leak(Box::new(Device::emulator(Arch::Sm80)));
    let foreign = there.stream().unwrap();
    let op = Attention::new(here, DType::F16).unwrap();
    let plain = AttentionProblem { batch: 2, ..AttentionProblem::new([SQ, SK], [H, KV], D, DType::F16) };
    let packed = AttentionProblem { packed_queries: Some(15), packed_keys: Some(30), ..plain };
    let paged = AttentionProblem { page_size: Some(16), ..plain };

    // Addresses far apart; nothing is read, for nothing is launched.
    let base = 1u64 << 40;
    let at = |index: u64| base + (index << 24);
    let tensor = |index: u64, tokens: usize, heads: usize| {
        Heads::bshd(raw_view::<f16>(here, at(index), 2 * tokens * heads * D), tokens, heads, D)
    };
    let out = |address: u64| HeadsMut::bshd(raw::<f16>(here, address, 2 * SQ * H * D), SQ, H, D);
    let run = |problem: &AttentionProblem, change: &dyn Fn(&mut Args<'static>)| {
        let plan = op.plan(problem).unwrap();
        let mut args = AttentionArgs::new(problem, tensor(0, SQ, H), tensor(1, SK, KV), tensor(2, SK, KV), out(at(3)));
        if problem.packed_queries.is_some() {
            (args.cu_queries, args.cu_keys) = (Some(raw_view(here, at(10), 3)), Some(raw_view(here, at(11), 3)));
        }
        if problem.page_size.is_some() {
            args.pages = Some(PageTable { table: raw_view(here, at(12), 4), row: 2, pages: 2 });
        }
        change(&mut args);
        op.launches(&plan, args, |_| Ok(()))
    };
    for problem in [&plain, &packed, &paged] {
        run(problem, &|_| ()).unwrap();
    }
    let alien = Heads::bshd(raw_view::<f16>(there, at(0), 2 * SQ * H * D), SQ, H, D);
    let words = |len: usize| raw_view::<u32>(here, at(9), len);
    let floats = |len: usize| raw_view::<f32>(here, at(8), len);
    let tree = |words, columns, query| TreeMask { words, columns, batch: 0, query };
    let bias = |len: usize, query: usize| ScoreBias { values: BiasValues::F32(floats(len)), batch: 0, head: 0, query };
    let lse =
        |address: u64, len: usize, batch: usize, head: usize| LogSumExp { view: raw(here, address, len), batch, head };
    type Change<'c> = Box<dyn Fn(&mut Args<'static>) + 'c>;
    let table: Vec<(&str, &AttentionProblem, Change<'_>, &[&str])> = vec![
        ("another device", &plain, Box::new(|a| a.q = alien), &["q lives on"]),
        ("q too short", &plain, Box::new(|a| a.q.view = a.q.view.slice(1..).unwrap()), &["q holds 5119", "5120"]),
        ("k too short", &plain, Box::new(|a| a.k.view = a.k.view.slice(..5119).unwrap()), &["k holds 5119", "5120"]),
        (
            "v misaligned",
            &plain,
            Box::new(|a| a.v.view = raw_view(here, at(2) + 8, 5120)),
            &["v is at address", "16 bytes"],
        ),
        ("q by odd tokens", &plain, Box::new(|a| a.q.token = 252), &["q: 252 elements from a token", "16 bytes"]),
        ("k by odd heads", &plain, Box::new(|a| a.k.head = 63), &["k: 63 elements from a head"]),
        ("v by odd sequences", &plain, Box::new(|a| a.v.batch = 2556), &["v: 2556 elements from a sequence"]),
        (
            "strides past the address space",
            &plain,
            Box::new(|a| a.q.batch = 1 << 62),
            &["q: 64 elements each, 2 sequences 4611686018427387904 apart", "address space"],
        ),
        ("rows of out meet", &plain, Box::new(|a| a.out.head = 56), &["rows of out meet", "4 heads 56 apart"]),
        ("out for all sequences", &plain, Box::new(|a| a.out.batch = 0), &["rows of out meet", "2 sequences 0 apart"]),
        ("out over q", &plain, Box::new(|a| a.out = out(at(0) + 64)), &["out overlaps q"]),
        ("out over v", &plain, Box::new(|a| a.out = out(at(2))), &["out overlaps v"]),
        ("out over the table", &paged, Box::new(|a| a.out = out(at(12))), &["out overlaps the page table"]),
        ("out over first tokens", &packed, Box::new(|a| a.out = out(at(11))), &["out overlaps cu_keys"]),
        (
            "log-sum-exps over sinks",
            &plain,
            Box::new(|a| (a.sinks, a.lse) = (Some(floats(4)), Some(lse(at(8) + 12, 80, 40, 10)))),
            &["the log-sum-exps overlaps the sinks"],
        ),
        ("a scale of 0", &plain, Box::new(|a| a.scale = 0.0), &["the scale is 0"]),
        ("a scale below 0", &plain, Box::new(|a| a.scale = -0.125), &["the scale is -0.125"]),
        ("no scale", &plain, Box::new(|a| a.scale = f32::NAN), &["the scale is NaN"]),
        ("a scale without end", &plain, Box::new(|a| a.scale = f32::INFINITY), &["the scale is inf"]),
        ("a cap of 0", &plain, Box::new(|a| a.softcap = Some(0.0)), &["the soft-cap is 0"]),
        (
            "a slope for each head of keys",
            &plain,
            Box::new(|a| a.slopes = Some(floats(2))),
            &["the slopes holds 2", "heads = 4"],
        ),
        ("a sink too many", &plain, Box::new(|a| a.sinks = Some(floats(5))), &["the sinks holds 5", "heads = 4"]),
        ("a bias too short", &plain, Box::new(|a| a.bias = Some(bias(199, SK))), &["the bias holds 199", "200"]),
        (
            "a bias over the log-sum-exps",
            &plain,
            Box::new(|a| {
                a.bias = Some(bias(200, SK));
                a.lse = Some(lse(at(8), 80, 40, 10));
            }),
            &["the log-sum-exps overlaps the bias"],
        ),
        (
            "rows of bits too near",
            &plain,
            Box::new(|a| a.tree = Some(tree(words(100), 33, 1))),
            &["1 words apart", "33 columns take 2"],
        ),
        ("bits too few", &plain, Box::new(|a| a.tree = Some(tree(words(9), 20, 1))), &["the mask holds 9", "10"]),
        (
            "columns beyond all",
            &plain,
            Box::new(|a| a.tree = Some(tree(words(1 << 30), 1 << 34, 1 << 29))),
            &["a mask of 17179869184 columns"],
        ),
        (
            "log-sum-exps too few",
            &plain,
            Box::new(|a| a.lse = Some(lse(at(4), 79, 40, 10))),
            &["the log-sum-exps holds 79", "80"],
        ),
        (
            "log-sum-exps meet",
            &plain,
            Box::new(|a| a.lse = Some(lse(at(4), 80, 40, 9))),
            &["rows of the log-sum-exps meet", "10 elements each", "4 heads 9 apart"],
        ),
        (
            "log-sum-exps over out",
            &plain,
            Box::new(|a| a.lse = Some(lse(at(3), 80, 40, 10))),
            &["the log-sum-exps overlaps out"],
        ),
        (
            "first tokens without packing",
            &plain,
            Box::new(|a| a.cu_queries = Some(words(3))),
            &["cu_queries is given", "no packed queries"],
        ),
        (
            "packing without first tokens",
            &packed,
            Box::new(|a| a.cu_keys = None),
            &["packed keys", "cu_keys is missing"],
        ),
        (
            "first tokens of another batch",
            &packed,
            Box::new(|a| a.cu_queries = Some(words(4))),
            &["cu_queries holds 4", "batch + 1 = 3"],
        ),
        (
            "lengths of another batch",
            &plain,
            Box::new(|a| a.key_lengths = Some(words(3))),
            &["key_lengths holds 3", "batch = 2"],
        ),
        (
            "query lengths of another batch",
            &plain,
            Box::new(|a| a.query_lengths = Some(words(1))),
            &["query_lengths holds 1"],
        ),
        ("pages without a table", &paged, Box::new(|a| a.pages = None), &["pages of 16 keys", "missing"]),
        (
            "a table without pages",
            &plain,
            Box::new(|a| a.pages = Some(PageTable { table: words(4), row: 2, pages: 2 })),
            &["no pages"],
        ),
        (
            "a table too short",
            &paged,
            Box::new(|a| a.pages = Some(PageTable { table: words(3), row: 2, pages: 2 })),
            &["the page table holds 3", "4"],
        ),
        (
            "more pages than keys hold",
            &paged,
            Box::new(|a| a.pages = Some(PageTable { table: words(4), row: 2, pages: 4 })),
            &["k holds 5120"],
        ),
        (
            "packed queries past the end",
            &packed,
            Box::new(|a| a.q.view = a.q.view.slice(..15 * H * D - 1).unwrap()),
            &["q holds 3839", "3840"],
        ),
    ];
    let cases = table.len();
    for (what, problem, change, parts) in table {
        let text = match run(problem, &*change) {
            Ok(()) => panic!("{what}: accepted"),
            Err(error) => error.to_string(),
        };
        assert!(parts.iter().all(|part| text.contains(part)), "{what}: {text:?} does not tell {parts:?}");
    }
    assert_eq!(cases, 40);

    // A status word of another device, other types than the problem's, and another operation's or device's plan.
    let status: &'static mut Status = Box::leak(Box::new(Status::new(&foreign).unwrap()));
    let args = AttentionArgs {
        status: Some(status),
        ..AttentionArgs::new(&plain, tensor(0, SQ, H), tensor(1, SK, KV), tensor(2, SK, KV), out(at(3)))
    };
    let plan = op.plan(&plain).unwrap();
    assert!(op.launches(&plan, args, |_| Ok(())).unwrap_err().to_string().contains("the status word lives on"));
    let wide = AttentionProblem { wide_output: true, ..plain };
    let args = AttentionArgs::new(&wide, tensor(0, SQ, H), tensor(1, SK, KV), tensor(2, SK, KV), out(at(3)));
    let text = op.launches(&op.plan(&wide).unwrap(), args, |_| Ok(())).unwrap_err().to_string();
    assert!(text.contains("f16 and the output f16") && text.contains("f32"), "{text}");
    let text = op.plan(&AttentionProblem { dtype: DType::Bf16, ..plain }).unwrap_err().to_string();
    assert!(text.contains("one of bf16") && text.contains("made for f16"), "{text}");
    assert!(Attention::new(here, DType::F32).unwrap_err().to_string().contains("f16 and bf16"));
    let other = Attention::new(&Device::emulator(Arch::Sm90a), DType::F16).unwrap().plan(&plain).unwrap();
    let args = AttentionArgs::new(&plain, tensor(0, SQ, H), tensor(1, SK, KV), tensor(2, SK, KV), out(at(3)));
    assert!(op.launches(&other, args, |_| Ok(())).unwrap_err().to_string().contains("the plan was made for"));
}

//! Attention through its door, by the rule of the two references, under every legal plan.

use half::{bf16, f16};
use halfbyte::device::{Device, Status, StatusFlags};
use halfbyte::format::{DType, Float};
use halfbyte::op::{
    Attention, AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, OutputElement, PageTable,
    ScoreBias, TreeMask, alibi_slopes,
};
use halfbyte::plan::attention::{self as plan, AttentionPlan, AttentionProblem, Mask, Packing};
use halfbyte::reference::attention as reference;
use halfbyte::reference::attention::HeadProblem;
use halfbyte::reference::sample::Sample;

use super::Tally;
use crate::support::devices;

/// A case: the problem, what else there is, and its data.
struct Case {
    problem: AttentionProblem,
    softcap: Option<f32>,
    slopes: Option<Vec<f32>>,
    sinks: Option<Vec<f32>>,
    /// `[heads, queries, keys]`, the same for every sequence.
    bias: Option<Vec<f32>>,
    /// `[queries, words]` and columns.
    tree: Option<(Vec<u32>, usize)>,
    scale: f32,
    /// `[batch, tokens, heads, size]`
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Case {
    fn new(problem: AttentionProblem) -> Case {
        let mut sample = Sample::new(&format!("{problem}"));
        let mut tensor =
            |len: usize| -> Vec<f32> { (0..len).map(|_| round(problem.dtype, sample.gaussian())).collect() };
        let AttentionProblem { batch, heads, kv_heads, queries, keys, head_dim, value_dim, .. } = problem;
        let q = tensor(batch * queries * heads * head_dim);
        let k = tensor(batch * keys * kv_heads * head_dim);
        let v = tensor(batch * keys * kv_heads * value_dim);
        let scale = 1.0 / (head_dim as f32).sqrt();
        Case { problem, softcap: None, slopes: None, sinks: None, bias: None, tree: None, scale, q, k, v }
    }

    /// Runs it on a device under a plan: the output `[batch, queries, heads, value_dim]` and log-sum-exps `[batch, heads, queries]`.
    fn run<T: AttentionElement + OutputElement + Float>(
        &self,
        device: &Device,
        attention: &Attention,
        plan: &AttentionPlan,
    ) -> (Vec<f32>, Vec<f32>) {
        let p = &self.problem;
        let stream = device.stream().unwrap();
        let upload = |values: &[f32]| {
            let own: Vec<T> = values.iter().map(|&x| T::from_f32(x)).collect();
            stream.upload(&own).unwrap()
        };
        let floats = |values: &Option<Vec<f32>>| values.as_ref().map(|values| stream.upload(values).unwrap());
        let (q, k, v) = (upload(&self.q), upload(&self.k), upload(&self.v));
        let (slopes, sinks, bias) = (floats(&self.slopes), floats(&self.sinks), floats(&self.bias));
        let words = self.tree.as_ref().map(|(words, _)| stream.upload(words).unwrap());
        let mut out = stream.upload(&vec![T::from_f32(f32::NAN); p.batch * p.queries * p.heads * p.value_dim]).unwrap();
        let mut lse = stream.upload(&vec![f32::NAN; p.batch * p.heads * p.queries]).unwrap();
        let args = AttentionArgs {
            lse: Some(LogSumExp::new(&mut lse, p.queries, p.heads)),
            scale: self.scale,
            softcap: self.softcap,
            slopes: slopes.as_ref().map(|slopes| slopes.view()),
            sinks: sinks.as_ref().map(|sinks| sinks.view()),
            bias: bias.as_ref().map(|bias| ScoreBias {
                values: BiasValues::F32(bias.view()),
                batch: 0,
                head: p.queries * p.keys,
                query: p.keys,
            }),
            tree: self.tree.as_ref().zip(words.as_ref()).map(|((_, columns), words)| TreeMask {
                words: words.view(),
                columns: *columns,
                batch: 0,
                query: columns.div_ceil(32),
            }),
            ..AttentionArgs::new(
                p,
                Heads::bshd(&q, p.queries, p.heads, p.head_dim),
                Heads::bshd(&k, p.keys, p.kv_heads, p.head_dim),
                Heads::bshd(&v, p.keys, p.kv_heads, p.value_dim),
                HeadsMut::bshd(&mut out, p.queries, p.heads, p.value_dim),
            )
        };
        attention.run(plan, &stream, args).unwrap();
        let out = stream.download(&out).unwrap().into_iter().map(T::to_f32).collect();
        (out, stream.download(&lse).unwrap())
    }

    /// Rows of one head of one sequence.
    fn rows(values: &[f32], tokens: usize, heads: usize, size: usize, b: usize, h: usize) -> Vec<f32> {
        (0..tokens).flat_map(|t| values[((b * tokens + t) * heads + h) * size..][..size].to_vec()).collect()
    }

    /// Holds a result against the definition in f64, and candle's: worst error over tolerance.
    fn compare(&self, what: &str, (out, lse): &(Vec<f32>, Vec<f32>)) {
        let p = &self.problem;
        let (mut exact, mut twins, mut found) = (vec![], vec![], vec![]);
        // Empty where candle is not built in, as in builds with overflow checks.
        #[cfg_attr(not(feature = "candle"), allow(unused_mut))]
        let mut by_candle: Vec<f64> = vec![];
        for (b, h) in (0..p.batch).flat_map(|b| (0..p.heads).map(move |h| (b, h))) {
            let kv = h / p.group();
            let q = Case::rows(&self.q, p.queries, p.heads, p.head_dim, b, h);
            let k = Case::rows(&self.k, p.keys, p.kv_heads, p.head_dim, b, kv);
            let v = Case::rows(&self.v, p.keys, p.kv_heads, p.value_dim, b, kv);
            let tree = self.tree.as_ref().map(|(words, keys)| reference::TreeMask { keys: *keys, words });
            let of_head = p.queries * p.keys;
            let problem = HeadProblem {
                softcap: self.softcap,
                slope: self.slopes.as_ref().map(|slopes| slopes[h]),
                bias: self.bias.as_ref().map(|bias| &bias[h * of_head..(h + 1) * of_head]),
                sink: self.sinks.as_ref().map(|sinks| sinks[h]),
                mask: reference::Mask { left: p.mask.left, right: p.mask.right(), keep_first: p.mask.keep_first, tree },
                ..HeadProblem::new(&q, &k, &v, (p.queries, p.keys, p.head_dim, p.value_dim), self.scale)
            };
            let attended = reference::exact(&problem).unwrap();
            let slack = reference::lse_slack(&problem, &attended).unwrap();
            for i in 0..p.queries {
                let (have, want) = (f64::from(lse[(b * p.heads + h) * p.queries + i]), attended.lse[i]);
                assert!(
                    have == want || (have - want).abs() <= slack[i],
                    "{what}: lse {have} for {want} of {b} {h} {i}"
                );
            }
            twins.extend(reference::twin(&problem, p.dtype).unwrap().out);
            #[cfg(feature = "candle")]
            by_candle.extend(reference::candle(&problem).unwrap().out);
            exact.extend(attended.out);
            found.extend(Case::rows(out, p.queries, p.heads, p.value_dim, b, h));
        }
        let tolerance = reference::tolerance(&exact, &twins, p.dtype, self.softcap.is_some()).unwrap();
        for (name, truth, tolerance) in [("f64", exact, tolerance), ("candle", by_candle, tolerance * 1.01)] {
            for (at, (&found, &want)) in found.iter().zip(&truth).enumerate() {
                let error = (f64::from(found) - want).abs();
                assert!(
                    error <= tolerance,
                    "{what}: element {at} is {found} for {want} by {name}, tolerance {tolerance}"
                );
            }
        }
    }
}

fn round(dtype: DType, x: f32) -> f32 {
    if dtype == DType::F16 { f16::from_f32(x).to_f32() } else { bf16::from_f32(x).to_f32() }
}

/// Every legal plan of a case on every device that is given.
fn check<T: AttentionElement + OutputElement + Float>(devices: &[Device], case: &Case, tally: &mut Tally) {
    for device in devices {
        let attention = Attention::new(device, case.problem.dtype).unwrap();
        for plan in plan::candidates(&case.problem, device.facts()).unwrap() {
            let result = case.run::<T>(device, &attention, &plan);
            case.compare(&format!("{plan} on {device}"), &result);
            tally.add("type", case.problem.dtype);
            tally.add("pack", plan.pack());
            tally.add("rows", plan.tile_rows());
        }
    }
}

/// FlashAttention's pairs of lengths (tests/test_flash_attn.py), heads shared or not, masks and changes of scores by turns.
#[test]
fn flash_attentions_shapes() {
    let devices = &devices()[..1];
    let pairs = [
        (1, 1),
        (64, 128),
        (128, 192),
        (256, 256),
        (239, 1),
        (113, 203),
        (108, 256),
        (257, 130),
        (384, 100),
        (65, 513),
        (1, 1025),
        (16, 700),
        (255, 255),
        (0, 50),
        (50, 0),
    ];
    let mut tally = Tally::default();
    for (at, (queries, keys)) in pairs.into_iter().enumerate() {
        let head_dim = [32, 40, 64, 72, 80, 96, 128, 192, 256][at % 9];
        let heads = [[2, 2], [4, 1], [6, 3]][at % 3];
        let mask = [
            Mask::NONE,
            Mask::CAUSAL,
            Mask { left: Some(40), right: Some(10), ..Mask::NONE },
            Mask { left: Some(33), keep_first: 4, ..Mask::CAUSAL },
        ][at % 4];
        let dtype = if at % 2 == 0 { DType::F16 } else { DType::Bf16 };
        let value_dim = if head_dim == 192 { 128 } else { head_dim };
        let problem =
            AttentionProblem { mask, value_dim, ..AttentionProblem::new([queries, keys], heads, head_dim, dtype) };
        let case = Case {
            softcap: (at % 5 == 1).then_some(15.0),
            slopes: (at % 5 == 2).then(|| alibi_slopes(heads[0])),
            sinks: (at % 5 == 3).then(|| (0..heads[0]).map(|h| h as f32 - 1.5).collect()),
            bias: (at % 5 == 4).then(|| {
                let mut sample = Sample::new("bias");
                (0..heads[0] * queries * keys).map(|_| sample.gaussian()).collect()
            }),
            ..Case::new(problem)
        };
        if dtype == DType::F16 {
            check::<f16>(devices, &case, &mut tally)
        } else {
            check::<bf16>(devices, &case, &mut tally)
        }
    }
    tally.assert("attention", &[("type f16", 12), ("type bf16", 12), ("pack 1", 15), ("rows 128", 4), ("rows 64", 15)]);
}

/// Models' attention at small lengths: BERT, GPT-3, BLOOM, PaLM, Llama, Gemma 2, gpt-oss, DeepSeek's prefill, a vision tower's
/// cross-attention, a tree of guesses. Each on every device.
#[test]
fn models() {
    let devices = devices();
    let mut tally = Tally::default();
    let new = |lengths, heads, size, dtype, mask| AttentionProblem {
        mask,
        ..AttentionProblem::new(lengths, heads, size, dtype)
    };
    let f16s = [
        Case::new(AttentionProblem { batch: 2, ..new([70, 70], [12, 12], 32, DType::F16, Mask::NONE) }),
        Case { slopes: Some(alibi_slopes(14)), ..Case::new(new([40, 100], [14, 14], 128, DType::F16, Mask::CAUSAL)) },
        Case::new(new([21, 90], [3, 3], 72, DType::F16, Mask::NONE)),
        Case {
            tree: Some(((0..6).map(|i| [1, 0b11, 0b101, 0b1011, 0b10101, 0b100101][i]).collect(), 6)),
            ..Case::new(new([6, 150], [8, 2], 128, DType::F16, Mask::NONE))
        },
    ];
    let bf16s = [
        Case::new(new([66, 66], [12, 1], 256, DType::Bf16, Mask::CAUSAL)),
        Case {
            softcap: Some(50.0),
            ..Case::new(new([80, 80], [4, 2], 256, DType::Bf16, Mask { left: Some(30), ..Mask::CAUSAL }))
        },
        Case {
            sinks: Some(vec![0.5; 8]),
            ..Case::new(new([70, 130], [8, 1], 64, DType::Bf16, Mask { left: Some(63), ..Mask::CAUSAL }))
        },
        Case::new(AttentionProblem { value_dim: 128, ..new([65, 65], [2, 2], 192, DType::Bf16, Mask::CAUSAL) }),
    ];
    f16s.iter().for_each(|case| check::<f16>(&devices, case, &mut tally));
    bf16s.iter().for_each(|case| check::<bf16>(&devices, case, &mut tally));
    tally.assert("models", &[("type f16", 8), ("type bf16", 8), ("pack 12", 1), ("pack 4", 1), ("pack 8", 1)]);
}

/// Packed sequences, keys in pages and shorter lengths give, bit for bit, what each sequence gives alone; an output in f32 rounds to
/// that of 16 bits.
#[test]
fn packed_and_paged_sequences_are_those_alone() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let attention = Attention::new(&device, DType::F16).unwrap();
        let (heads, kv, size) = (4, 2, 64);
        let lengths = [(70usize, 90usize), (0, 10), (3, 0), (130, 200), (1, 65)];
        let cu = |of: fn(&(usize, usize)) -> usize| -> Vec<u32> {
            let mut sum = 0;
            let ends = lengths.iter().map(|n| {
                sum += of(n) as u32;
                sum
            });
            [0].into_iter().chain(ends).collect()
        };
        let (cu_q, cu_k) = (cu(|n| n.0), cu(|n| n.1));
        let (queries, keys) = (Packing::new(&cu_q, 204).unwrap(), Packing::new(&cu_k, 365).unwrap());
        let mut sample = Sample::new("packed");
        let mut tensor = |len: usize| -> Vec<f16> { (0..len).map(|_| f16::from_f32(sample.gaussian())).collect() };
        let (q, k, v) = (tensor(204 * heads * size), tensor(365 * kv * size), tensor(365 * kv * size));
        let base =
            AttentionProblem { mask: Mask::CAUSAL, ..AttentionProblem::new([130, 200], [heads, kv], size, DType::F16) };
        let packed = AttentionProblem {
            batch: queries.batch,
            queries: queries.longest,
            keys: keys.longest,
            packed_queries: Some(queries.total),
            packed_keys: Some(keys.total),
            ..base
        };
        let (dq, dk, dv) = (stream.upload(&q).unwrap(), stream.upload(&k).unwrap(), stream.upload(&v).unwrap());
        let (cu_q_dev, cu_k_dev) = (stream.upload(&cu_q).unwrap(), stream.upload(&cu_k).unwrap());
        let mut status = Status::new(&stream).unwrap();
        let mut together = stream.zeros::<f16>(204 * heads * size).unwrap();
        let args = AttentionArgs {
            cu_queries: Some(cu_q_dev.view()),
            cu_keys: Some(cu_k_dev.view()),
            status: Some(&mut status),
            ..AttentionArgs::new(
                &packed,
                Heads::bshd(&dq, 204, heads, size),
                Heads::bshd(&dk, 365, kv, size),
                Heads::bshd(&dv, 365, kv, size),
                HeadsMut::bshd(&mut together, 204, heads, size),
            )
        };
        let plan = attention.plan(&packed).unwrap();
        attention.run(&plan, &stream, args).unwrap();
        let together = stream.download(&together).unwrap();

        // Keys and values in pages of 16, from the last to the first, behind the packed queries.
        let pages: usize = lengths.iter().map(|n| n.1.div_ceil(16)).sum();
        let row = 200usize.div_ceil(16);
        let (mut table, mut next) = (vec![u32::MAX; lengths.len() * row], pages);
        let [mut paged_k, mut paged_v] = [0, 1].map(|_| vec![f16::NAN; pages * 16 * kv * size]);
        for (b, &(_, of_one)) in lengths.iter().enumerate() {
            for j in 0..of_one {
                if j % 16 == 0 {
                    next -= 1;
                    table[b * row + j / 16] = next as u32;
                }
                let (from, to) = ((cu_k[b] as usize + j) * kv * size, (next * 16 + j % 16) * kv * size);
                paged_k[to..to + kv * size].copy_from_slice(&k[from..from + kv * size]);
                paged_v[to..to + kv * size].copy_from_slice(&v[from..from + kv * size]);
            }
        }
        let key_lengths: Vec<u32> = lengths.iter().map(|n| n.1 as u32).collect();
        let paged = AttentionProblem { packed_keys: None, page_size: Some(16), ..packed };
        let (pk, pv) = (stream.upload(&paged_k).unwrap(), stream.upload(&paged_v).unwrap());
        let (table, key_lengths) = (stream.upload(&table).unwrap(), stream.upload(&key_lengths).unwrap());
        let mut by_pages = stream.zeros::<f16>(204 * heads * size).unwrap();
        let args = AttentionArgs {
            cu_queries: Some(cu_q_dev.view()),
            key_lengths: Some(key_lengths.view()),
            pages: Some(PageTable { table: table.view(), row, pages }),
            status: Some(&mut status),
            ..AttentionArgs::new(
                &paged,
                Heads::bshd(&dq, 204, heads, size),
                Heads::bshd(&pk, 16, kv, size),
                Heads::bshd(&pv, 16, kv, size),
                HeadsMut::bshd(&mut by_pages, 204, heads, size),
            )
        };
        attention.run(&attention.plan(&paged).unwrap(), &stream, args).unwrap();
        assert!(stream.download(&by_pages).unwrap() == together, "pages on {device}");
        assert_eq!(status.read_and_clear(&stream).unwrap(), StatusFlags::default());

        for (b, &(sq, sk)) in lengths.iter().enumerate() {
            let alone = AttentionProblem { queries: sq, keys: sk, wide_output: true, ..base };
            let (at_q, at_k) = (cu_q[b] as usize * heads * size, cu_k[b] as usize * kv * size);
            let mut out = stream.zeros::<f32>(sq * heads * size).unwrap();
            let args = AttentionArgs::new(
                &alone,
                Heads::bshd(dq.view().slice(at_q..).unwrap(), sq, heads, size),
                Heads::bshd(dk.view().slice(at_k..).unwrap(), sk, kv, size),
                Heads::bshd(dv.view().slice(at_k..).unwrap(), sk, kv, size),
                HeadsMut::bshd(&mut out, sq, heads, size),
            );
            // The same tile and packing as together.
            let like = plan::candidates(&alone, device.facts()).unwrap();
            let like = like.into_iter().find(|p| (p.tile_rows(), p.pack()) == (plan.tile_rows(), plan.pack())).unwrap();
            attention.run(&like, &stream, args).unwrap();
            let want: Vec<f16> = stream.download(&out).unwrap().into_iter().map(f16::from_f32).collect();
            assert!(together[at_q..at_q + want.len()] == want, "sequence {b} on {device}");
        }
    }
}

/// Planning and preparing a launch take no memory.
#[test]
fn a_run_takes_no_memory() {
    let device = &devices()[0];
    let stream = device.stream().unwrap();
    let attention = Attention::new(device, DType::F16).unwrap();
    let problem = AttentionProblem { mask: Mask::CAUSAL, ..AttentionProblem::new([30, 70], [4, 2], 64, DType::F16) };
    let (q, k) = (stream.zeros::<f16>(30 * 4 * 64).unwrap(), stream.zeros::<f16>(70 * 2 * 64).unwrap());
    let mut out = stream.zeros::<f16>(30 * 4 * 64).unwrap();
    let before = crate::support::allocations();
    let plan = attention.plan(&problem).unwrap();
    let key = || Heads::bshd(&k, 70, 2, 64);
    let args =
        AttentionArgs::new(&problem, Heads::bshd(&q, 30, 4, 64), key(), key(), HeadsMut::bshd(&mut out, 30, 4, 64));
    let mut launches = 0;
    attention
        .launches(&plan, args, |_| {
            launches += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!((crate::support::allocations() - before, launches), (0, 1));
}

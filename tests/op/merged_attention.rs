//! Attention in parts, merged: long contexts in bounded memory, prefixes that sequences share, and rings.

use half::f16;
use halfbyte::device::{Buffer, Device, Stream};
use halfbyte::emulator::Arch;
use halfbyte::format::{DType, Float};
use halfbyte::op::{
    Attention, AttentionArgs, Heads, HeadsMut, LogSumExp, LseMut, Merge, MergeArgs, Merged, PartLse, Parts,
};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::plan::merge::MergeProblem;
use halfbyte::reference::Comparison;
use halfbyte::reference::attention::{
    self as reference, Attended, HeadProblem, State, exact, lse_slack, tolerance, twin,
};
use halfbyte::reference::sample::{Sample, widened};

use crate::support::devices;

const CAUSAL: reference::Mask<'static> = reference::Mask { left: None, right: Some(0), keep_first: 0, tree: None };

/// `[tokens, heads, d]` of f16, near `mean`.
fn numbers(name: &str, len: usize, mean: f32) -> Vec<f16> {
    let mut sample = Sample::new(name);
    (0..len).map(|_| f16::from_f32(mean + sample.gaussian())).collect()
}

/// The rows of one head of `[tokens, heads, d]`, as f32.
fn head<T: Float>(values: &[T], heads: usize, d: usize, h: usize) -> Vec<f32> {
    values.chunks(heads * d).flat_map(|token| widened(&token[h * d..(h + 1) * d])).collect()
}

/// The truth of some queries `[queries, heads, d]` over all keys, causal, by head: (out, lse, the tolerance of each).
struct Truth {
    heads: Vec<(Attended, Vec<f64>)>,
    allowed: f64,
}

impl Truth {
    fn new(q: &[f16], k: &[f16], v: &[f16], [heads, kv_heads, d]: [usize; 3]) -> Truth {
        let mut all = (Vec::new(), Vec::new());
        let mut answers = Vec::new();
        for h in 0..heads {
            let kv = h / (heads / kv_heads);
            let (q, k, v) = (head(q, heads, d, h), head(k, kv_heads, d, kv), head(v, kv_heads, d, kv));
            let shape = (q.len() / d, k.len() / d, d, d);
            let plain = HeadProblem::new(&q, &k, &v, shape, 1.0 / (d as f32).sqrt());
            let problem = HeadProblem { mask: CAUSAL, ..plain };
            let (want, low) = (exact(&problem).unwrap(), twin(&problem, DType::F16).unwrap());
            let slack = lse_slack(&problem, &want).unwrap();
            all.0.extend_from_slice(&want.out);
            all.1.extend_from_slice(&low.out);
            answers.push((want, slack));
        }
        let allowed = tolerance(&all.0, &all.1, DType::F16, false).unwrap();
        Truth { heads: answers, allowed }
    }

    /// Holds `[queries, heads, d]` and `[heads, queries]` against it.
    fn check<T: Float>(&self, what: &str, out: &[T], lse: &[f32], d: usize) -> f64 {
        let (heads, queries) = (self.heads.len(), lse.len() / self.heads.len());
        let mut all = Comparison::default();
        for (h, (want, slack)) in self.heads.iter().enumerate() {
            let rows = Comparison::within(&head(out, heads, d, h), &want.out, d, |_| self.allowed).unwrap();
            assert!(rows.passed(), "{what}: head {h}: {rows}");
            let sums = Comparison::within(&lse[h * queries..(h + 1) * queries], &want.lse, 1, |i| slack[i]).unwrap();
            assert!(sums.passed(), "{what}: lse of head {h}: {sums}");
            all = all.and(rows).and(sums);
        }
        all.worst_ratio
    }
}

/// Attends `[queries, heads, d]` to `[keys, kv_heads, d]` into part `part` of `[parts, queries, heads, d]` and
/// `[parts, heads, queries]`.
struct Splitter<'a> {
    stream: &'a Stream,
    attention: Attention,
    shape: [usize; 3],
    queries: usize,
    parts: Buffer<f32>,
    lse: Buffer<f32>,
}

impl<'a> Splitter<'a> {
    fn new(stream: &'a Stream, shape: [usize; 3], queries: usize, parts: usize) -> Splitter<'a> {
        let attention = Attention::new(stream.device(), DType::F16).unwrap();
        let [heads, _, d] = shape;
        let len = parts * queries * heads;
        let (parts, lse) = (stream.alloc(len * d).unwrap(), stream.alloc(len).unwrap());
        Splitter { stream, attention, shape, queries, parts, lse }
    }

    fn part(&mut self, part: usize, mask: Mask, q: &Buffer<f16>, k: &Buffer<f16>, v: &Buffer<f16>) {
        let [heads, kv_heads, d] = self.shape;
        let (queries, rows) = (self.queries, self.queries * heads);
        let keys = k.len() / (kv_heads * d);
        let plain = AttentionProblem::new([queries, keys], [heads, kv_heads], d, DType::F16);
        let problem = AttentionProblem { wide_output: true, mask, ..plain };
        let plan = self.attention.plan(&problem).unwrap();
        let out = self.parts.view_mut().slice(part * rows * d..(part + 1) * rows * d).unwrap();
        let lse = self.lse.view_mut().slice(part * rows..(part + 1) * rows).unwrap();
        let args = AttentionArgs {
            lse: Some(LogSumExp::new(lse, queries, heads)),
            ..AttentionArgs::new(
                &problem,
                Heads::bshd(q, queries, heads, d),
                Heads::bshd(k, keys, kv_heads, d),
                Heads::bshd(v, keys, kv_heads, d),
                HeadsMut::bshd(out, queries, heads, d),
            )
        };
        self.attention.run(&plan, self.stream, args).unwrap();
    }

    /// All parts as one: `[queries, heads, d]` and `[heads, queries]`.
    fn merged(&self) -> (Vec<f32>, Vec<f32>) {
        let [heads, _, value_dim] = self.shape;
        let (rows, op) = (self.queries * heads, Merge::new(self.stream.device()).unwrap());
        let parts = self.lse.len() / rows;
        let problem =
            MergeProblem { parts, tokens: self.queries, heads, value_dim, dtype: DType::F32, out: DType::F32 };
        let mut out = self.stream.alloc::<f32>(rows * value_dim).unwrap();
        let mut lse = self.stream.alloc::<f32>(rows).unwrap();
        let args = MergeArgs {
            lse_out: Some(LseMut { view: lse.view_mut(), head: self.queries }),
            ..MergeArgs::new(&problem, self.parts.view(), self.lse.view(), out.view_mut())
        };
        op.run(&op.plan(&problem).unwrap(), self.stream, args).unwrap();
        (self.stream.download(&out).unwrap(), self.stream.download(&lse).unwrap())
    }
}

/// 131,072 tokens, of which the device holds 8,192 at a time: every part comes into the same two buffers. Every part
/// has values of another mean and keys of another size: one left out or weighed wrongly changes every number.
#[test]
fn a_context_of_131072_tokens_in_parts() {
    const TOKENS: usize = 131_072;
    const PART: usize = 8192;
    let (shape @ [heads, _, d], queries) = ([2, 1, 32], 3);
    let q = numbers("long q", queries * heads * d, 0.0);
    let (mut k, mut v) = (Vec::new(), Vec::new());
    for part in 0..TOKENS / PART {
        let size = 0.25 + (part * 7 % 16) as f32 / 16.0;
        k.extend(numbers(&format!("long k {part}"), PART * d, 0.0).iter().map(|k| f16::from_f32(size * k.to_f32())));
        v.extend(numbers(&format!("long v {part}"), PART * d, part as f32 / 4.0 - 2.0));
    }
    let truth = Truth::new(&q, &k, &v, shape);

    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let mut splitter = Splitter::new(&stream, shape, queries, TOKENS / PART);
    let q = stream.upload(&q).unwrap();
    let (mut k_part, mut v_part) = (stream.alloc::<f16>(PART * d).unwrap(), stream.alloc::<f16>(PART * d).unwrap());
    for (part, (k, v)) in k.chunks(PART * d).zip(v.chunks(PART * d)).enumerate() {
        stream.write(&mut k_part, k).unwrap();
        stream.write(&mut v_part, v).unwrap();
        // Only the last keys are later than a query.
        let mask = if part == TOKENS / PART - 1 { Mask::CAUSAL } else { Mask::NONE };
        splitter.part(part, mask, &q, &k_part, &v_part);
    }
    let (out, lse) = splitter.merged();
    let worst = truth.check("131072 tokens", &out, &lse, d);
    println!("{TOKENS} tokens: worst error ÷ bound {worst:.3}, within {:.2e}", truth.allowed);

    // Without any of its parts it would not pass.
    let (parts, lse) = (stream.download(&splitter.parts).unwrap(), stream.download(&splitter.lse).unwrap());
    for gone in 0..TOKENS / PART {
        let rest = (0..TOKENS / PART).filter(|&part| part != gone).fold(State::neutral(d), |all, part| {
            let row: Vec<f64> = parts[part * queries * heads * d..][..d].iter().map(|&x| x.into()).collect();
            all.merge(&State::finished(&row, lse[part * heads * queries].into()))
        });
        let (out, _) = rest.finish();
        let off = out.iter().zip(&truth.heads[0].0.out).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off > 2.0 * truth.allowed, "part {gone} changes {off}, but {} is allowed", truth.allowed);
    }
}

/// Three sequences begin with the same 200 tokens: their queries attend to these as one, to their own tokens each by
/// itself.
#[test]
fn a_prefix_that_sequences_share() {
    let ([heads, kv_heads, d], batch, queries, own, prefix) = ([4, 2, 64], 3, 5, 37, 200);
    let shape = [heads, kv_heads, d];
    let row = kv_heads * d;
    let q = numbers("prefix q", batch * queries * heads * d, 0.0);
    let (pk, pv) = (numbers("prefix k", prefix * row, 0.0), numbers("prefix v", prefix * row, 1.0));
    let (k, v) = (numbers("own k", batch * own * row, 0.0), numbers("own v", batch * own * row, -1.0));
    let truths: Vec<Truth> = (0..batch)
        .map(|b| {
            let of = |all: &[f16], each: usize| all[b * each..(b + 1) * each].to_vec();
            let (k, v) = ([&pk[..], &of(&k, own * row)].concat(), [&pv[..], &of(&v, own * row)].concat());
            Truth::new(&of(&q, queries * heads * d), &k, &v, shape)
        })
        .collect();
    for device in devices() {
        let stream = device.stream().unwrap();
        let tokens = batch * queries;
        let [q, pk, pv, k, v] = [&q, &pk, &pv, &k, &v].map(|values| stream.upload(values).unwrap());
        let mut splitter = Splitter::new(&stream, shape, tokens, 2);
        splitter.part(0, Mask::NONE, &q, &pk, &pv);

        let plain = AttentionProblem::new([queries, own], [heads, kv_heads], d, DType::F16);
        let problem = AttentionProblem { batch, wide_output: true, mask: Mask::CAUSAL, ..plain };
        let rows = tokens * heads;
        let args = AttentionArgs {
            // [heads, tokens of all sequences], as the merge takes them.
            lse: Some(LogSumExp { view: splitter.lse.view_mut().slice(rows..).unwrap(), batch: queries, head: tokens }),
            ..AttentionArgs::new(
                &problem,
                Heads::bshd(&q, queries, heads, d),
                Heads::bshd(&k, own, kv_heads, d),
                Heads::bshd(&v, own, kv_heads, d),
                HeadsMut::bshd(splitter.parts.view_mut().slice(rows * d..).unwrap(), queries, heads, d),
            )
        };
        splitter.attention.run(&splitter.attention.plan(&problem).unwrap(), &stream, args).unwrap();

        let (out, lse) = splitter.merged();
        for (b, truth) in truths.iter().enumerate() {
            let out = &out[b * queries * heads * d..][..queries * heads * d];
            let lse: Vec<f32> = lse.chunks(tokens).flat_map(|head| &head[b * queries..][..queries]).copied().collect();
            truth.check(&format!("sequence {b} on {device}"), out, &lse, d);
        }
    }
}

/// Keys that come by one after the other, as in a ring of devices: each step is merged with what is known so far.
#[test]
fn a_ring_step_by_step() {
    let (shape @ [heads, kv_heads, d], queries, keys) = ([2, 2, 32], 9, [70, 64, 1, 129]);
    let total: usize = keys.iter().sum();
    let q = numbers("ring q", queries * heads * d, 0.0);
    let (k, v) = (numbers("ring k", total * heads * d, 0.0), numbers("ring v", total * heads * d, 0.5));
    let truth = Truth::new(&q, &k, &v, shape);
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (rows, op) = (queries * heads, Merge::new(&device).unwrap());
    let problem = MergeProblem { parts: 2, tokens: queries, heads, value_dim: d, dtype: DType::F32, out: DType::F32 };
    let plan = op.plan(&problem).unwrap();
    let q = stream.upload(&q).unwrap();
    // Nothing is known at first: the numbers of a part of -inf may be anything.
    let mut known = (vec![f32::NAN; rows * d], vec![f32::NEG_INFINITY; rows]);
    // Last keys first: of the parts before, every key is seen.
    let mut end = total;
    for (step, &keys) in keys.iter().rev().enumerate() {
        let range = (end - keys) * kv_heads * d..end * kv_heads * d;
        end -= keys;
        let [k, v] = [&k, &v].map(|all| stream.upload(&all[range.clone()]).unwrap());
        let mut splitter = Splitter::new(&stream, shape, queries, 1);
        splitter.part(0, if step == 0 { Mask::CAUSAL } else { Mask::NONE }, &q, &k, &v);
        let parts = [known.0, stream.download(&splitter.parts).unwrap()].concat();
        let lse = [known.1, stream.download(&splitter.lse).unwrap()].concat();
        let [parts, lse] = [parts, lse].map(|values| stream.upload(&values).unwrap());
        let (mut out, mut sums) = (stream.alloc::<f32>(rows * d).unwrap(), stream.alloc::<f32>(rows).unwrap());
        let args = MergeArgs {
            parts: Parts { view: parts.view(), part: rows * d, token: heads * d, head: d },
            lse: PartLse { view: lse.view(), part: rows, head: queries },
            out: Merged { view: out.view_mut(), token: heads * d, head: d },
            lse_out: Some(LseMut { view: sums.view_mut(), head: queries }),
        };
        op.run(&plan, &stream, args).unwrap();
        known = (stream.download(&out).unwrap(), stream.download(&sums).unwrap());
    }
    assert_eq!(end, 0);
    truth.check("a ring", &known.0, &known.1, d);
}

/// FlashAttention's numbers of parts that come out of 131 keys: down to one key a part, and some without any. All give
/// the numbers of the definition, and those of one part within what that may be off.
#[test]
fn any_number_of_parts() {
    let (shape @ [heads, kv_heads, d], queries, keys) = ([4, 2, 64], 9, 131);
    let q = numbers("parts q", queries * heads * d, 0.0);
    let (k, v) = (numbers("parts k", keys * kv_heads * d, 0.0), numbers("parts v", keys * kv_heads * d, 0.5));
    let truth = Truth::new(&q, &k, &v, shape);
    let mut cases = 0;
    for device in devices() {
        let stream = device.stream().unwrap();
        let q = stream.upload(&q).unwrap();
        let mut whole: Option<(Vec<f32>, Vec<f32>)> = None;
        for parts in [1, 2, 3, 17, 133] {
            let mut splitter = Splitter::new(&stream, shape, queries, parts);
            for part in 0..parts {
                let [begin, end] = [part, part + 1].map(|part| part * keys / parts);
                let [k, v] = [&k, &v].map(|all| stream.upload(&all[begin * kv_heads * d..end * kv_heads * d]).unwrap());
                // The last query stands at the last key of all, so many after the last of the part.
                splitter.part(part, Mask { right: Some(keys - end), ..Mask::NONE }, &q, &k, &v);
            }
            let (out, lse) = splitter.merged();
            truth.check(&format!("{parts} parts on {device}"), &out, &lse, d);
            let (one, sums) = whole.get_or_insert_with(|| (out.clone(), lse.clone()));
            let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max);
            let (rows, logs) = (apart(one, &out), apart(sums, &lse));
            println!("{parts} parts: {rows:.2e} and {logs:.2e} from one");
            assert!(rows <= truth.allowed && logs <= 1e-5, "{parts} parts on {device}: {rows} and {logs} from one");
            cases += 1;
        }
    }
    assert!(cases >= 3 * 5, "{cases} cases");
}

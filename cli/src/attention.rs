//! Attention of many queries, held against the definition in f64 and candle by the rule of two references.

use half::{bf16, f16};
use halfbyte::Result;
use halfbyte::device::Element;
use halfbyte::format::{DType, Float};
use halfbyte::op::{
    Attention, AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, OutputElement, ScoreBias,
    TreeMask, alibi_slopes,
};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::reference::attention::{self as reference, Attended, HeadProblem, exact, lse_slack, tolerance, twin};
use halfbyte::reference::{Comparison, sample::Sample};

use crate::ran::{About, Place, Ran};
use crate::single::Single;

/// What is done to the scores beside scaling and masking them.
#[derive(Clone, Copy, Default)]
struct Scores {
    softcap: Option<f32>,
    alibi: bool,
    bias: bool,
    sinks: bool,
    /// A tree of guessed tokens: bits of the last keys, as many as queries.
    tree: bool,
}

/// One attention.
#[derive(Clone, Copy)]
struct Case {
    data: &'static str,
    problem: AttentionProblem,
    scores: Scores,
}

/// Heads of known models on few tokens, cut down in number, each with what is peculiar to it.
pub fn cases() -> Vec<Single> {
    let of = |data, tokens, heads, head_dim| {
        let problem = AttentionProblem::new(tokens, heads, head_dim, DType::F16);
        Case { data, problem, scores: Scores::default() }
    };
    let masked = |case: Case, mask| Case { problem: AttentionProblem { mask, ..case.problem }, ..case };
    let scored = |case: Case, scores| Case { scores, ..case };
    let causal = Mask::CAUSAL;
    let window = |left| Mask { left: Some(left), ..causal };
    let none = Scores::default();
    let bert = of("bert-base", [77, 77], [3, 3], 64);
    let cross = of("vision cross", [50, 130], [2, 2], 72);
    let latent = of("192 and 128", [40, 90], [2, 2], 192);
    let all = [
        Case { problem: AttentionProblem { batch: 2, ..bert.problem }, ..bert },
        of("minilm", [33, 33], [4, 4], 32),
        masked(of("gpt3-6.7b", [100, 100], [2, 2], 128), causal),
        scored(masked(of("bloom", [70, 70], [3, 3], 128), causal), Scores { alibi: true, ..none }),
        masked(of("palm", [20, 80], [4, 1], 256), causal),
        masked(of("llama chunk", [16, 300], [8, 2], 128), causal),
        scored(masked(of("gemma", [90, 90], [2, 1], 256), window(32)), Scores { softcap: Some(5.0), ..none }),
        masked(of("streaming", [60, 200], [2, 2], 64), Mask { keep_first: 4, ..window(50) }),
        scored(masked(of("gpt-oss", [65, 65], [4, 1], 64), window(40)), Scores { sinks: true, ..none }),
        scored(masked(of("tree", [9, 140], [4, 1], 128), causal), Scores { tree: true, ..none }),
        scored(of("t5", [30, 70], [2, 2], 80), Scores { bias: true, ..none }),
        cross,
        Case { problem: AttentionProblem { value_dim: 128, wide_output: true, ..latent.problem }, ..latent },
        masked(of("more queries", [90, 30], [1, 1], 40), causal),
        of("one key", [5, 1], [2, 1], 96),
    ];
    let both = |case: &Case| {
        [DType::F16, DType::Bf16].map(|dtype| Case { problem: AttentionProblem { dtype, ..case.problem }, ..*case })
    };
    all.iter().flat_map(both).map(|case| Single::new(case.about(), move |place| case.run(place))).collect()
}

impl Case {
    fn about(&self) -> About {
        let AttentionProblem { batch, heads, kv_heads, queries, keys, head_dim, value_dim, dtype, .. } = self.problem;
        let out = if self.problem.wide_output { DType::F32 } else { dtype };
        About {
            op: "attention",
            format: format!("{dtype} -> {out}"),
            shape: format!("B={batch} Q={queries} K={keys} H={heads}/{kv_heads} D={head_dim}/{value_dim}"),
            data: self.data.to_string(),
        }
    }

    fn run(&self, place: &Place) -> Result<Ran> {
        match (self.problem.dtype, self.problem.wide_output) {
            (DType::F16, false) => self.attend::<f16, f16>(place),
            (DType::F16, true) => self.attend::<f16, f32>(place),
            (_, false) => self.attend::<bf16, bf16>(place),
            (_, true) => self.attend::<bf16, f32>(place),
        }
    }

    fn attend<T: AttentionElement + Float, O: OutputElement + Float>(&self, place: &Place) -> Result<Ran> {
        let AttentionProblem { batch, heads, kv_heads, queries, keys, head_dim, value_dim, dtype, mask, .. } =
            self.problem;
        let stream = &place.stream;
        let mut sample = Sample::new(&format!("{} {}", self.data, self.problem));
        let mut numbers = |len: usize| (0..len).map(|_| T::from_f32(sample.gaussian())).collect::<Vec<T>>();
        let q = numbers(batch * queries * heads * head_dim);
        let k = numbers(batch * keys * kv_heads * head_dim);
        let v = numbers(batch * keys * kv_heads * value_dim);
        let bias = numbers(if self.scores.bias { heads * queries * keys } else { 0 });
        let sinks: Vec<f32> = (0..heads).map(|h| h as f32 / 2.0 - 1.0).collect();
        let slopes = alibi_slopes(heads);
        // Every token of a tree sees itself and every third before it.
        let words = queries.div_ceil(32);
        let mut tree = vec![0u32; queries * words];
        for (i, c) in (0..queries).flat_map(|i| (0..=i).map(move |c| (i, c))) {
            tree[i * words + c / 32] |= u32::from(c == i || c % 3 == 0) << (c % 32);
        }

        let op = Attention::new(&place.device, dtype)?;
        let plan = op.plan(&self.problem)?;
        let (on_q, on_k, on_v) = (stream.upload(&q)?, stream.upload(&k)?, stream.upload(&v)?);
        let (on_bias, on_tree) = (stream.upload(&bias)?, stream.upload(&tree)?);
        let (on_slopes, on_sinks) = (stream.upload(&slopes)?, stream.upload(&sinks)?);
        let mut out = stream.upload(&vec![O::from_f32(f32::NAN); batch * queries * heads * value_dim])?;
        let mut lse = stream.upload(&vec![f32::NAN; batch * heads * queries])?;
        let took = stream.time(|stream| {
            let args = AttentionArgs {
                lse: Some(LogSumExp::new(&mut lse, queries, heads)),
                softcap: self.scores.softcap,
                slopes: self.scores.alibi.then(|| on_slopes.view()),
                sinks: self.scores.sinks.then(|| on_sinks.view()),
                bias: self.scores.bias.then(|| ScoreBias {
                    values: BiasValues::Own(on_bias.view()),
                    batch: 0,
                    head: queries * keys,
                    query: keys,
                }),
                tree: self.scores.tree.then(|| TreeMask {
                    words: on_tree.view(),
                    columns: queries,
                    batch: 0,
                    query: words,
                }),
                ..AttentionArgs::new(
                    &self.problem,
                    Heads::bshd(&on_q, queries, heads, head_dim),
                    Heads::bshd(&on_k, keys, kv_heads, head_dim),
                    Heads::bshd(&on_v, keys, kv_heads, value_dim),
                    HeadsMut::bshd(&mut out, queries, heads, value_dim),
                )
            };
            op.run(&plan, stream, args)
        })?;
        let (out, lse) = (stream.download(&out)?, stream.download(&lse)?);

        let mut f64s = Answers::default();
        let mut candles = Answers::default();
        let mut twins = Answers::default();
        let mut slack = Vec::new();
        let mut got = Vec::new();
        for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
            let kv = h / (heads / kv_heads);
            let (q, k) = (rows(&q, [b, queries, heads, h, head_dim]), rows(&k, [b, keys, kv_heads, kv, head_dim]));
            let v = rows(&v, [b, keys, kv_heads, kv, value_dim]);
            let added: Vec<f32> =
                bias.iter().skip(h * queries * keys).take(queries * keys).map(|x| x.to_f32()).collect();
            let bits = reference::TreeMask { keys: queries, words: &tree };
            let problem = HeadProblem {
                softcap: self.scores.softcap,
                slope: self.scores.alibi.then(|| slopes[h]),
                bias: self.scores.bias.then_some(&added[..]),
                sink: self.scores.sinks.then(|| sinks[h]),
                mask: reference::Mask {
                    left: mask.left,
                    right: mask.right(),
                    keep_first: mask.keep_first,
                    tree: self.scores.tree.then_some(bits),
                },
                ..HeadProblem::new(&q, &k, &v, (queries, keys, head_dim, value_dim), 1.0 / (head_dim as f32).sqrt())
            };
            let want = exact(&problem)?;
            slack.extend(lse_slack(&problem, &want)?);
            f64s.add(want);
            twins.add(twin(&problem, dtype)?);
            candles.add(reference::candle(&problem)?);
            got.extend(rows(&out, [b, queries, heads, h, value_dim]));
        }
        let allowed = tolerance(&f64s.out, &twins.out, <O as Element>::DTYPE, self.scores.softcap.is_some())?;
        let held = |answers: &Answers| -> Result<Comparison> {
            let rows = Comparison::within(&got, &answers.out, value_dim, |_| allowed)?;
            Ok(rows.and(Comparison::within(&lse, &answers.lse, queries, |i| slack[i])?))
        };
        let kernel = plan.geometry().map_or("", |g| g.entry.row().symbol).to_string();
        let bounded = vec![("f64", held(&f64s)?), ("candle", held(&candles)?)];
        Ok(Ran { kernel, took, exact: Comparison::default(), bounded, quantization_error: None })
    }
}

/// What a reference says of all heads, one after the other.
#[derive(Default)]
struct Answers {
    out: Vec<f64>,
    lse: Vec<f64>,
}

impl Answers {
    fn add(&mut self, answer: Attended) {
        self.out.extend(answer.out);
        self.lse.extend(answer.lse);
    }
}

/// The rows of sequence b and head h out of `[batch, tokens, heads, d]`.
pub fn rows<T: Float>(values: &[T], [b, tokens, heads, h, d]: [usize; 5]) -> Vec<f32> {
    let sequence = &values[b * tokens * heads * d..(b + 1) * tokens * heads * d];
    sequence.chunks(heads * d).flat_map(|token| &token[h * d..(h + 1) * d]).map(|x| x.to_f32()).collect()
}

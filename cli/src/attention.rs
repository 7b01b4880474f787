//! Attention of many queries, held against the definition in f64 and candle by the rule of two references.

use half::{bf16, f16};
use halfbyte::device::{Element, Status};
use halfbyte::format::{DType, Float};
use halfbyte::op::{
    Attention, AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, OutputElement, PageTable,
    ScoreBias, TreeMask, alibi_slopes,
};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::reference::attention::{self as reference, Attended, HeadProblem, exact, lse_slack, tolerance, twin};
use halfbyte::reference::{Comparison, sample::Sample};
use halfbyte::{Error, Result};

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
    let packed = |case: Case| {
        let problem = AttentionProblem { batch: 3, packed_queries: Some(0), packed_keys: Some(0), ..case.problem };
        let [q, k] = [0, 1].map(|which| Some((0..3).map(|b| sequence(&problem, b)[which]).sum()));
        Case { problem: AttentionProblem { packed_queries: q, packed_keys: k, ..problem }, ..case }
    };
    let paged = of("paged", [5, 150], [8, 2], 128);
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
        masked(packed(of("packed", [66, 120], [4, 2], 64)), causal),
        masked(
            Case { problem: AttentionProblem { batch: 3, page_size: Some(16), ..paged.problem }, ..paged },
            window(70),
        ),
    ];
    let both = |case: &Case| {
        [DType::F16, DType::Bf16].map(|dtype| Case { problem: AttentionProblem { dtype, ..case.problem }, ..*case })
    };
    all.iter().flat_map(both).map(|case| Single::new(case.about(), move |place| case.run(place))).collect()
}

impl Case {
    fn about(&self) -> About {
        let AttentionProblem { batch, heads, kv_heads, queries, keys, head_dim, value_dim, dtype, .. } = self.problem;
        let pages = self.problem.page_size.map(|size| format!(" pages of {size}")).unwrap_or_default();
        let out = if self.problem.wide_output { DType::F32 } else { dtype };
        About {
            op: "attention",
            format: format!("{dtype} -> {out}"),
            shape: format!("B={batch} Q={queries} K={keys} H={heads}/{kv_heads} D={head_dim}/{value_dim}{pages}"),
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
        let places = Places::new(&self.problem);
        let q = numbers(places.queries * heads * head_dim);
        let k = numbers(places.keys * kv_heads * head_dim);
        let v = numbers(places.keys * kv_heads * value_dim);
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
        let [on_cu_q, on_cu_k, on_lengths, on_table] =
            [&places.cu_q, &places.cu_k, &places.lengths, &places.table].map(|numbers| stream.upload(numbers));
        let (on_cu_q, on_cu_k, on_lengths, on_table) = (on_cu_q?, on_cu_k?, on_lengths?, on_table?);
        let mut status = Status::new(stream)?;
        let mut out = stream.upload(&vec![O::from_f32(f32::NAN); places.queries * heads * value_dim])?;
        let mut lse = stream.upload(&vec![f32::NAN; places.queries * heads])?;
        let (packed, page_size) = (self.problem.packed_queries, self.problem.page_size);
        // Rows from a sequence, or a page, to the next.
        let [q_rows, k_rows] = [packed.unwrap_or(queries), page_size.unwrap_or(keys)];
        let took = stream.time(|stream| {
            let args = AttentionArgs {
                lse: Some(LogSumExp::new(&mut lse, q_rows, heads)),
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
                cu_queries: packed.map(|_| on_cu_q.view()),
                cu_keys: packed.map(|_| on_cu_k.view()),
                key_lengths: page_size.map(|_| on_lengths.view()),
                pages: page_size.map(|size| PageTable {
                    table: on_table.view(),
                    row: keys.div_ceil(size),
                    pages: batch * keys.div_ceil(size),
                }),
                status: Some(&mut status),
                ..AttentionArgs::new(
                    &self.problem,
                    Heads::bshd(&on_q, q_rows, heads, head_dim),
                    Heads::bshd(&on_k, k_rows, kv_heads, head_dim),
                    Heads::bshd(&on_v, k_rows, kv_heads, value_dim),
                    HeadsMut::bshd(&mut out, q_rows, heads, value_dim),
                )
            };
            op.run(&plan, stream, args)
        })?;
        let (out, lse) = (stream.download(&out)?, stream.download(&lse)?);
        if !status.read_and_clear(stream)?.is_clear() {
            return Err(Error::Value("the status word tells of a wrong length or page, but all are right".into()));
        }

        let mut f64s = Answers::default();
        let mut candles = Answers::default();
        let mut twins = Answers::default();
        let mut slack = Vec::new();
        let [mut got, mut lses] = [const { Vec::new() }; 2];
        for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
            let kv = h / (heads / kv_heads);
            let [queries, keys] = sequence(&self.problem, b);
            let asked = places.cu_q[b] as usize..places.cu_q[b] as usize + queries;
            let seen = || (0..keys).map(|j| places.key(&self.problem, b, j));
            let (q, k) = (rows(&q, asked.clone(), [heads, h, head_dim]), rows(&k, seen(), [kv_heads, kv, head_dim]));
            let v = rows(&v, seen(), [kv_heads, kv, value_dim]);
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
            got.extend(rows(&out, asked.clone(), [heads, h, value_dim]));
            let first = if packed.is_some() { h * q_rows + asked.start } else { (b * heads + h) * queries };
            lses.extend(&lse[first..first + queries]);
        }
        let allowed = tolerance(&f64s.out, &twins.out, <O as Element>::DTYPE, self.scores.softcap.is_some())?;
        let held = |answers: &Answers| -> Result<Comparison> {
            let rows = Comparison::within(&got, &answers.out, value_dim, |_| allowed)?;
            Ok(rows.and(Comparison::within(&lses, &answers.lse, queries, |i| slack[i])?))
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

/// Queries and keys of sequence b: packed, or in pages, each holds less than the one before.
fn sequence(problem: &AttentionProblem, b: usize) -> [usize; 2] {
    let AttentionProblem { batch, queries, keys, .. } = *problem;
    let less = |most: usize, falls: bool| if falls { most * (batch - b) / batch } else { most };
    let packed = problem.packed_queries.is_some();
    [less(queries, packed), less(keys, packed || problem.page_size.is_some())]
}

/// Where queries and keys lie: how many rows there are, and the first of every sequence.
struct Places {
    queries: usize,
    keys: usize,
    cu_q: Vec<u32>,
    cu_k: Vec<u32>,
    /// Keys of every sequence.
    lengths: Vec<u32>,
    /// Pages of every sequence, the last page first.
    table: Vec<u32>,
}

impl Places {
    fn new(problem: &AttentionProblem) -> Places {
        let AttentionProblem { batch, keys, page_size, .. } = *problem;
        let lengths: Vec<[usize; 2]> = (0..batch).map(|b| sequence(problem, b)).collect();
        let sums = |which: usize| {
            let ends = lengths.iter().scan(0, |end, length| {
                *end += length[which] as u32;
                Some(*end)
            });
            [0].into_iter().chain(ends).collect::<Vec<u32>>()
        };
        let (cu_q, cu_k) = (sums(0), sums(1));
        let pages = page_size.map_or(0, |size| batch * keys.div_ceil(size));
        Places {
            queries: cu_q[batch] as usize,
            keys: page_size.map_or(cu_k[batch] as usize, |size| pages * size),
            cu_q,
            cu_k,
            lengths: lengths.iter().map(|length| length[1] as u32).collect(),
            table: (0..pages as u32).rev().collect(),
        }
    }

    /// The row of key j of sequence b.
    fn key(&self, problem: &AttentionProblem, b: usize, j: usize) -> usize {
        match problem.page_size {
            Some(size) => self.table[b * problem.keys.div_ceil(size) + j / size] as usize * size + j % size,
            None => self.cu_k[b] as usize + j,
        }
    }
}

/// Some rows of head h out of `[rows, heads, d]`.
pub fn rows<T: Float>(values: &[T], which: impl Iterator<Item = usize>, [heads, h, d]: [usize; 3]) -> Vec<f32> {
    which.flat_map(|row| &values[(row * heads + h) * d..][..d]).map(|x| x.to_f32()).collect()
}

//! Attention through its door, by the rule of the two references, under every legal plan.

use half::{bf16, f16};
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::{DType, Float};
use halfbyte::op::{
    Attention, AttentionArgs, AttentionElement, BiasValues, Heads, HeadsMut, LogSumExp, OutputElement, ScoreBias,
    TreeMask, alibi_slopes,
};
use halfbyte::plan::attention::{self as plan, AttentionPlan, AttentionProblem, Mask, TILE_KEYS};
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

    /// Runs it on a device under a plan: the output `[batch, queries, heads, value_dim]` and log-sum-exps
    /// `[batch, heads, queries]`.
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

/// Every legal plan of a case on every device that is given. Plans that pack no heads give the same bits, whatever
/// their tiles.
fn check<T: AttentionElement + OutputElement + Float>(devices: &[Device], case: &Case, tally: &mut Tally) {
    for device in devices {
        let mut unpacked: Option<[Vec<u32>; 2]> = None;
        for plan in plan::candidates(&case.problem, device.facts()).unwrap() {
            let result = one_plan::<T>(device, case, &plan, tally);
            if plan.pack() == 1 {
                let bits = [result.0, result.1].map(|x| x.into_iter().map(f32::to_bits).collect());
                match &unpacked {
                    None => unpacked = Some(bits),
                    Some(other) => {
                        assert!(*other == bits, "{plan} on {device}: other bits than with other tiles");
                        tally.add("tiles", "alike");
                    }
                }
            }
        }
    }
}

fn one_plan<T: AttentionElement + OutputElement + Float>(
    device: &Device,
    case: &Case,
    plan: &AttentionPlan,
    tally: &mut Tally,
) -> (Vec<f32>, Vec<f32>) {
    let attention = Attention::new(device, case.problem.dtype).unwrap();
    let result = case.run::<T>(device, &attention, plan);
    case.compare(&format!("{plan} on {device}"), &result);
    tally.add("type", case.problem.dtype);
    tally.add("pack", plan.pack());
    tally.add("rows", plan.tile_rows());
    result
}

/// Pairs of lengths of FlashAttention's tests (FlashAttention-2's of causal and of split attention, FlashAttention-3's
/// of dense and of packed sequences, what FlashAttention-4 adds) and some of our own: heads shared or not, masks and
/// changes of scores by turns. Pairs of more than 40,000 scores have one head, and run under the one plan that is taken
/// for them. Left out are pairs with more than 1,024 queries or keys, and the causal ones the other way round, which
/// FlashAttention-2 runs too.
#[test]
fn flash_attentions_shapes() {
    let device = &devices()[0];
    #[rustfmt::skip]
    let pairs = [
        // FlashAttention-3.
        (1, 1), (64, 128), (128, 192), (256, 256), (239, 1), (799, 3), (113, 203), (113, 128), (128, 217), (113, 211),
        (108, 256), (256, 512), (384, 256), (640, 128), (512, 256), (1024, 1024), (1023, 1024), (1024, 1023),
        // Its packed sequences.
        (1, 3), (2, 1), (511, 1), (3, 513), (128, 128), (307, 256),
        // FlashAttention-2: causal, and split.
        (1, 239), (3, 799), (127, 512), (127, 513), (1, 147), (3, 1024), (1, 339), (64, 800),
        // FlashAttention-4.
        (3, 3), (64, 32), (64, 1), (255, 256),
        // Our own.
        (257, 130), (384, 100), (65, 513), (1, 1025), (16, 700), (255, 255), (0, 50), (50, 0),
    ];
    let mut tally = Tally::default();
    for (at, (queries, keys)) in pairs.into_iter().enumerate() {
        let large = queries * keys > 40_000;
        let head_dim = if large { [32, 64][at % 2] } else { [32, 40, 64, 72, 80, 96, 128, 192, 256][at % 9] };
        let heads = if large { [1, 1] } else { [[2, 2], [4, 1], [6, 3]][at % 3] };
        let mask = [
            Mask::NONE,
            Mask::CAUSAL,
            Mask { left: Some(40), right: Some(10), ..Mask::NONE },
            Mask { left: Some(33), keep_first: 4, ..Mask::CAUSAL },
        ][at % 4];
        let dtype = if at / 2 % 2 == 0 { DType::F16 } else { DType::Bf16 };
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
        match (large, dtype) {
            (true, _) => {
                let plan = plan::plan(&problem, device.facts()).unwrap();
                let run = if dtype == DType::F16 { one_plan::<f16> } else { one_plan::<bf16> };
                run(device, &case, &plan, &mut tally);
            }
            (false, DType::F16) => check::<f16>(std::slice::from_ref(device), &case, &mut tally),
            (false, _) => check::<bf16>(std::slice::from_ref(device), &case, &mut tally),
        }
        tally.add("pairs", if large { "large" } else { "small" });
    }
    let least = [("pairs large", 13), ("pairs small", 30), ("type f16", 35), ("type bf16", 35), ("rows 128", 12)];
    tally.assert("attention", &[&least[..], &[("pack 1", 50), ("rows 64", 60), ("tiles alike", 8)]].concat());
}

/// The two usual orders of tokens and heads, on either side: the same bits.
#[test]
fn heads_before_tokens() {
    // [batch, tokens, heads, size] as [batch, heads, tokens, size], or back where the counts are swapped.
    let swapped = |x: &[f16], [tokens, heads, size]: [usize; 3]| -> Vec<f16> {
        let of = |row: usize| (row / (heads * tokens), row / tokens % heads, row % tokens);
        let row = |(b, h, t): (usize, usize, usize)| ((b * tokens + t) * heads + h) * size;
        (0..x.len() / size).flat_map(|at| x[row(of(at))..][..size].to_vec()).collect()
    };
    let ([queries, keys], [heads, kv_heads], [size, value]) = ([70, 90], [4, 2], [72, 40]);
    let problem = AttentionProblem {
        batch: 2,
        mask: Mask::CAUSAL,
        value_dim: value,
        ..AttentionProblem::new([queries, keys], [heads, kv_heads], size, DType::F16)
    };
    let case = Case::new(problem);
    let [q, k, v] = [&case.q, &case.k, &case.v].map(|x| x.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>());
    let [q_shape, k_shape, v_shape] = [[queries, heads, size], [keys, kv_heads, size], [keys, kv_heads, value]];
    for device in devices() {
        let stream = device.stream().unwrap();
        let attention = Attention::new(&device, DType::F16).unwrap();
        for plan in plan::candidates(&problem, device.facts()).unwrap() {
            let (want, _) = case.run::<f16>(&device, &attention, &plan);
            for (inputs_swapped, output_swapped) in [(true, true), (true, false), (false, true)] {
                let [q, k, v] = [(&q, q_shape), (&k, k_shape), (&v, v_shape)].map(|(x, shape)| {
                    let x = if inputs_swapped { swapped(x, shape) } else { x.clone() };
                    stream.upload(&x).unwrap()
                });
                let mut out = stream.upload(&vec![f16::NAN; 2 * queries * heads * value]).unwrap();
                let read = if inputs_swapped { Heads::bhsd } else { Heads::bshd };
                let write = if output_swapped { HeadsMut::bhsd } else { HeadsMut::bshd };
                let args = AttentionArgs::new(
                    &problem,
                    read(q.view(), queries, heads, size),
                    read(k.view(), keys, kv_heads, size),
                    read(v.view(), keys, kv_heads, value),
                    write(out.view_mut(), queries, heads, value),
                );
                attention.run(&plan, &stream, args).unwrap();
                let out = stream.download(&out).unwrap();
                let out = if output_swapped { swapped(&out, [heads, queries, value]) } else { out };
                let out: Vec<u32> = out.iter().map(|x| x.to_f32().to_bits()).collect();
                let want: Vec<u32> = want.iter().map(|x| x.to_bits()).collect();
                assert!(out == want, "{plan} on {device}: in {inputs_swapped}, out {output_swapped}");
            }
        }
    }
}

/// What a plan says of its tiles is what the kernel multiplies: every tile visited is one of `rows · 64 · (D + DV)`,
/// and none else is.
#[test]
fn visits_are_what_is_multiplied() {
    // Counters are those of all launches of a device: one of its own.
    let device = Device::emulator(Arch::Sm80);
    let attention = Attention::new(&device, DType::F16).unwrap();
    let (mut cases, mut skipped) = (0, 0);
    let window = |left, right| Mask { left: Some(left), right: Some(right), ..Mask::NONE };
    for (lengths, mask) in [
        ([70, 150], Mask::NONE),
        ([130, 200], Mask::CAUSAL),
        // The first queries see nothing.
        ([300, 130], Mask::CAUSAL),
        ([150, 300], window(40, 10)),
        ([150, 300], window(0, 0)),
        // From the first key of a tile to the last, and one more on one side, one less on the other.
        ([150, 300], window(22, 42)),
        ([150, 300], window(23, 43)),
        ([64, 330], Mask { right: Some(1), ..Mask::NONE }),
        ([200, 200], Mask { left: Some(63), ..Mask::CAUSAL }),
        ([140, 400], Mask { left: Some(33), keep_first: 4, ..Mask::CAUSAL }),
        ([140, 400], Mask { left: Some(10), keep_first: 65, ..Mask::CAUSAL }),
        ([70, 130], Mask { left: Some(10), keep_first: 500, ..Mask::CAUSAL }),
        ([1, 1], Mask::CAUSAL),
        ([5, 0], Mask::NONE),
    ] {
        for head_dim in [64, 72] {
            let (batch, heads) = if lengths == [70, 150] { (2, 4) } else { (1, 2) };
            let new = AttentionProblem::new(lengths, [heads, heads / 2], head_dim, DType::F16);
            let problem = AttentionProblem { batch, value_dim: 64, mask, ..new };
            let case = Case::new(problem);
            for plan in plan::candidates(&problem, device.facts()).unwrap() {
                device.count_launches(true);
                case.run::<f16>(&device, &attention, &plan);
                let launches = device.take_counters();
                device.count_launches(false);
                let row = launches[0].entry.row();
                let [d, dv] = ["D", "DV"].map(|name| u64::from(row.constant(name).unwrap()));
                let tile = plan.tile_rows() as u64 * TILE_KEYS as u64 * (d + dv);
                let visits = plan.visits();
                let multiplied = launches[0].counters.total().tensor_macs;
                assert_eq!((launches.len(), multiplied), (1, visits.visited * tile), "{plan}");
                let all = lengths[1].div_ceil(TILE_KEYS) * (lengths[0] * plan.pack()).div_ceil(plan.tile_rows());
                assert_eq!(visits.visited + visits.skipped, (batch * heads / plan.pack() * all) as u64, "{plan}");
                cases += 1;
                skipped += u64::from(visits.skipped > 0);
            }
        }
    }
    assert!(cases >= 14 * 2 * 2 && skipped > 40, "{cases} cases, {skipped} with tiles left out");
}

/// Models' attention at small lengths: BERT, GPT-3, BLOOM, PaLM, Llama, Gemma 2, gpt-oss, DeepSeek's prefill, a vision
/// tower's cross-attention, a tree of guesses. Each on every device.
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

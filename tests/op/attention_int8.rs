//! Attention in 8 bits through its door: every number by the definition on what the codes stand for, under masks,
//! lengths and changes of scores; and how much is lost to the numbers as they came.

use std::path::Path;

use half::{bf16, f16};
use halfbyte::device::{Device, Status};
use halfbyte::emulator::Arch;
use halfbyte::op::{
    AttentionInt8, AttentionInt8Args, BiasValues, Heads, HeadsMut, InputElement, LogSumExp, Mean, ScoreBias, Step,
    TreeMask,
};
use halfbyte::plan::attention as plan;
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean};
use halfbyte::reference::attention as reference;
use halfbyte::reference::attention::{HeadProblem, Mask, accuracy, exact};
use halfbyte::reference::sample::Sample;

use super::Tally;
use super::case::poison;
use super::dequantized::Dequantized;
use crate::support::{allocations, devices};

#[path = "../../examples/int8_attention_accuracy.rs"]
mod report;

/// Sequences of so many queries and keys, what is seen, and what is done to scores.
#[derive(Clone, Copy, Debug)]
struct Case {
    tokens: &'static [[usize; 2]],
    packed: bool,
    lens: bool,
    /// The first length on the device is one too many.
    wrong: bool,
    mean: KeyMean,
    heads: usize,
    kv_heads: usize,
    dims: [usize; 2],
    left: Option<usize>,
    right: Option<usize>,
    keep_first: usize,
    softcap: Option<f32>,
    sinks: bool,
    slopes: bool,
    bias: bool,
    /// Columns of a mask of bits; 0: none.
    tree: usize,
}

const PLAIN: Case = Case {
    tokens: &[[70, 150], [70, 150]],
    packed: false,
    lens: false,
    wrong: false,
    mean: KeyMean::Computed,
    heads: 4,
    kv_heads: 2,
    dims: [64, 64],
    left: None,
    right: None,
    keep_first: 0,
    softcap: None,
    sinks: false,
    slopes: false,
    bias: false,
    tree: 0,
};

fn check<T: InputElement, O: InputElement>(device: &Device, case: &Case, values: bool) {
    let most = |of: usize| case.tokens.iter().map(|t| t[of]).max().unwrap_or(0);
    let begin = |of: usize, b: usize| -> usize { case.tokens[..b].iter().map(|t| t[of]).sum() };
    let batch = case.tokens.len();
    let [dim, dv] = case.dims;
    let totals = [begin(0, batch), begin(1, batch)];
    let problem = AttentionInt8Problem {
        output: O::INPUT,
        mask: plan::Mask { causal: false, left: case.left, right: case.right, keep_first: case.keep_first },
        ..AttentionInt8Problem::new(AttentionQuantizeProblem {
            input: T::INPUT,
            batch,
            queries: most(0),
            keys: most(1),
            packed: case.packed.then_some(totals),
            heads: case.heads,
            kv_heads: case.kv_heads,
            head_dim: dim,
            value_dim: dv,
            mean: case.mean,
            values,
        })
    };
    let stream = device.stream().unwrap();
    let op = AttentionInt8::new(device, T::INPUT, values).unwrap();
    let plan = op.plan(&problem).unwrap();
    let what = format!("{plan}, {case:?} on {device}");
    let mut sample = Sample::new(&format!("{case:?}"));
    let room = |of: usize| if case.packed { totals[of] } else { batch * most(of) };
    let mut numbers = |of: usize, heads: usize, dim: usize, offset: f32| -> Vec<T> {
        (0..room(of) * heads * dim)
            .map(|i| T::from_f32(sample.gaussian() + if i % dim % 8 == 3 { offset } else { 0.0 }))
            .collect()
    };
    // Keys of some channels share an offset: what it moves must be put back where it is seen.
    let q = numbers(0, case.heads, dim, 0.5);
    let k = numbers(1, case.kv_heads, dim, 6.0);
    let v = numbers(1, case.kv_heads, dv, 0.0);
    let [q_on, k_on, v_on] = [&q, &k, &v].map(|x| stream.upload(x).unwrap());
    let lens: Vec<u32> = (0..batch).map(|b| (case.tokens[b][1] - if case.lens { 9 * b } else { 0 }) as u32).collect();
    let told: Vec<u32> = lens.iter().enumerate().map(|(b, len)| len + u32::from(case.wrong && b == 0)).collect();
    let lens_on = stream.upload(&told).unwrap();
    let cu = |of: usize| stream.upload(&(0..=batch).map(|b| begin(of, b) as u32).collect::<Vec<_>>()).unwrap();
    let (q_cu, k_cu) = (cu(0), cu(1));
    let sinks: Vec<f32> = (0..case.heads).map(|h| h as f32 - 1.5).collect();
    let slopes: Vec<f32> = (0..case.heads).map(|h| 0.01 * (h + 1) as f32).collect();
    let (sinks_on, slopes_on) = (stream.upload(&sinks).unwrap(), stream.upload(&slopes).unwrap());
    // [heads, queries, keys] for every sequence, and rows of bits for every query.
    let added = |h: usize, i: usize, j: usize| ((h * 3 + i * 7 + j) % 11) as f32 * 0.3 - 1.5;
    let bias: Vec<f32> = (0..if case.bias { case.heads * most(0) * most(1) } else { 0 })
        .map(|at| added(at / most(1) / most(0), at / most(1) % most(0), at % most(1)))
        .collect();
    let words = case.tree.div_ceil(32);
    let bits_of: Vec<u32> = (0..most(0) * words)
        .map(|at| {
            (0..32)
                .filter(|c| !(at / words * 3 + (at % words * 32 + c) * 5).is_multiple_of(4))
                .fold(0, |word, c| word | 1 << c)
        })
        .collect();
    let (bias_on, bits_on) = (stream.upload(&bias).unwrap(), stream.upload(&bits_of).unwrap());
    let mut kept = stream.upload(&vec![0.7f32; batch * case.kv_heads * dim]).unwrap();
    let scale = (dim as f32).powf(-0.5);
    let rows = |heads: usize, dim: usize, of: usize| [most(of) * heads * dim, heads * dim, dim];
    let mut outputs: Vec<(Vec<O>, Vec<f32>)> = Vec::new();
    for _ in 0..2 {
        let mut out = stream.upload(&poison::<O>(room(0) * case.heads * dv)).unwrap();
        let mut lse = stream.upload(&poison::<f32>(room(0) * case.heads)).unwrap();
        let mut scratch = stream.upload(&poison::<u8>(plan.scratch_bytes())).unwrap();
        let mut status = Status::new(&stream).unwrap();
        let read = |view, [batch, token, head]: [usize; 3]| Heads { view, batch, token, head };
        let [o_batch, token, head] = rows(case.heads, dv, 0);
        let tokens = if case.packed { totals[0] } else { most(0) };
        let args = AttentionInt8Args {
            cu_queries: case.packed.then(|| q_cu.view()),
            cu_keys: case.packed.then(|| k_cu.view()),
            key_lengths: case.lens.then(|| lens_on.view()),
            lse: Some(LogSumExp { view: lse.view_mut(), batch: case.heads * tokens, head: tokens }),
            softcap: case.softcap,
            sinks: case.sinks.then(|| sinks_on.view()),
            slopes: case.slopes.then(|| slopes_on.view()),
            bias: case.bias.then(|| ScoreBias {
                values: BiasValues::F32(bias_on.view()),
                batch: 0,
                head: most(0) * most(1),
                query: most(1),
            }),
            tree: (case.tree > 0).then(|| TreeMask {
                words: bits_on.view(),
                columns: case.tree,
                batch: 0,
                query: words,
            }),
            status: Some(&mut status),
            scale,
            ..AttentionInt8Args::new(
                &problem,
                read(q_on.view(), rows(case.heads, dim, 0)),
                read(k_on.view(), rows(case.kv_heads, dim, 1)),
                read(v_on.view(), rows(case.kv_heads, dv, 1)),
                HeadsMut { view: out.view_mut(), batch: o_batch, token, head },
                match case.mean {
                    KeyMean::Computed => Mean::Computed(kept.view_mut()),
                    KeyMean::Given => Mean::Given(kept.view()),
                    KeyMean::Zero => Mean::Zero,
                },
                scratch.view_mut(),
            )
        };
        let (mut launches, mut before) = (0, allocations());
        op.launches(&plan, args, |step| {
            launches += usize::from(matches!(step, Step::Launch(_)));
            assert_eq!(allocations() - before, 0, "{what}: a launch took memory");
            let submitted = step.submit(&stream);
            before = allocations();
            submitted
        })
        .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(launches, plan.launches().count(), "{what}");
        let flags = status.read_and_clear(&stream).unwrap();
        assert_eq!((flags.bad_length, flags.nonfinite_input), (case.wrong, false), "{what}");

        outputs.push((stream.download(&out).unwrap(), stream.download(&lse).unwrap()));
    }
    let bits = |(out, lse): &(Vec<O>, Vec<f32>)| -> (Vec<u32>, Vec<u32>) {
        (out.iter().map(|x| x.to_f32().to_bits()).collect(), lse.iter().map(|x| x.to_bits()).collect())
    };
    assert!(bits(&outputs[0]) == bits(&outputs[1]), "{what}: other bits in a second run");

    let (got, got_lse) = &outputs[0];
    let known = stream.download(&kept).unwrap();
    let mut worst = 0f64;
    for (b, &len) in lens.iter().enumerate() {
        let [sq, sk] = [case.tokens[b][0], len as usize];
        let first = |of: usize| if case.packed { begin(of, b) } else { b * most(of) };
        for h in 0..case.heads {
            let of = |x: &[T], of: usize, heads: usize, h: usize, dim: usize, count: usize| -> Vec<f32> {
                let row = |t: usize| ((first(of) + t) * heads + h) * dim;
                (0..count).flat_map(|t| x[row(t)..row(t) + dim].iter().map(|x| x.to_f32())).collect()
            };
            let kv = h / (case.heads / case.kv_heads);
            let head = [
                of(&q, 0, case.heads, h, dim, sq),
                of(&k, 1, case.kv_heads, kv, dim, sk),
                of(&v, 1, case.kv_heads, kv, dv, sk),
            ];
            let of_head: Vec<f32> = (0..sq).flat_map(|i| (0..sk).map(move |j| added(h, i, j))).collect();
            let tree =
                (case.tree > 0).then_some(reference::TreeMask { keys: case.tree, words: &bits_of[..sq * words] });
            let problem = HeadProblem {
                bias: case.bias.then_some(&of_head),
                softcap: case.softcap,
                slope: case.slopes.then_some(slopes[h]),
                sink: case.sinks.then_some(sinks[h]),
                mask: Mask { left: case.left, right: case.right, keep_first: case.keep_first, tree },
                ..HeadProblem::new(&head[0], &head[1], &head[2], (sq, sk, dim, dv), scale)
            };
            let row = |i: usize| ((first(0) + i) * case.heads + h) * dv;
            let out: Vec<f32> = (0..sq).flat_map(|i| got[row(i)..row(i) + dv].iter().map(|x| x.to_f32())).collect();
            let tokens = if case.packed { totals[0] } else { most(0) };
            let at = if case.packed { h * tokens + begin(0, b) } else { (b * case.heads + h) * tokens };
            let lse = &got_lse[at..at + sq];

            let mean = &known[(b * case.kv_heads + kv) * dim..][..dim];
            let mean = (case.mean != KeyMean::Zero).then_some(mean);
            let want = Dequantized::new(&problem, mean, values, [T::INPUT, O::INPUT]);
            worst = worst.max(want.hold(&format!("{what}: head {h} of {b}"), &out, lse));

            // 8 bits of q and of k each move a score by about a hundredth.
            let want = exact(&problem).unwrap();
            let lost = accuracy(&out, &want.out).unwrap();
            let most = if values { 0.06 } else { 0.04 };
            assert!(lost.relative_l1 <= most && lost.cosine >= 0.998, "{what}: head {h} of {b}: {lost:?}");
            // What keys share is still in their codes where it was not taken off.
            let slack = if case.mean == KeyMean::Computed { 0.03 } else { 0.1 };
            let near = |(&got, &want): (&f32, &f64)| f64::from(got) == want || (f64::from(got) - want).abs() <= slack;
            assert!(lse.iter().zip(&want.lse).all(near), "{what}: lse of {b} {h}: {lse:?}, not {:?}", want.lse);
        }
    }
    println!("{what}: worst error by what is allowed {worst:.3}");
}

#[test]
fn the_definition_on_what_the_codes_stand_for() {
    let causal = Case { right: Some(0), ..PLAIN };
    let packed = Case { packed: true, tokens: &[[65, 130], [1, 1], [0, 4], [30, 70]], dims: [80, 40], ..causal };
    let cases = [
        PLAIN,
        Case { softcap: Some(5.0), sinks: true, slopes: true, ..causal },
        Case { sinks: true, mean: KeyMean::Given, ..packed },
        Case { left: Some(20), right: Some(5), keep_first: 3, lens: true, dims: [128, 128], kv_heads: 4, ..PLAIN },
        Case { tokens: &[[90, 40]], dims: [192, 128], slopes: true, kv_heads: 1, ..causal },
        Case { tokens: &[[20, 70]], dims: [256, 256], mean: KeyMean::Zero, kv_heads: 1, heads: 1, ..causal },
        Case { tokens: &[[7, 0]], dims: [40, 32], ..PLAIN },
        Case { lens: true, wrong: true, ..causal },
        Case { tokens: &[[70, 150], [20, 75]], lens: false, tree: 75, bias: true, ..packed },
    ];
    let mut tally = Tally::default();
    for device in devices() {
        for case in &cases {
            check::<f16, f16>(&device, case, false);
            check::<bf16, f16>(&device, case, false);
            if device.facts().capability >= 89 {
                check::<f16, bf16>(&device, case, true);
                tally.add("values", "e4m3");
            }
            tally.add("packed", case.packed);
            tally.add("device", &device);
        }
    }
    tally.assert("attention in 8 bits", &[("values e4m3", 18), ("packed true", 6)]);
}

/// What is lost on normal numbers, on outliers, on keys with offsets and on a real layer; the mean of the keys is what
/// makes the third bearable.
#[test]
fn what_8_bits_lose_and_what_the_mean_saves() {
    let device = Device::emulator(Arch::Sm89);
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/minilm-layer0.safetensors");
    let mut all = report::made();
    if weights.exists() {
        let model = std::env::var_os("HALFBYTE_TEST_MINILM");
        all.push(report::minilm(&weights, model.as_deref().map(Path::new)).unwrap());
    } else {
        println!("skipped: 1 case; the published package holds no model weights");
    }
    for data in &all {
        for (values, most) in [(false, 0.03), (true, 0.05)] {
            let [with, without] =
                [KeyMean::Computed, KeyMean::Zero].map(|mean| report::measure(&device, data, values, mean).unwrap());
            println!("{} {values}: {with:?}, {without:?} without the mean", data.name);
            assert!(with.relative_l1 <= most && with.cosine >= 0.999, "{} {values}: {with:?}", data.name);
            if data.name == "offsets in K" {
                assert!(without.relative_l1 > 2.0 * most, "the mean saves nothing: {without:?}");
            }
        }
    }
}

//! What attention in 8 bits makes of numbers that are none and of a mean that is kept, and how much it multiplies.

use half::f16;
use halfbyte::device::{Device, Status, StatusFlags};
use halfbyte::emulator::Arch;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, LogSumExp, Mean};
use halfbyte::plan::attention::{Mask, TILE_KEYS};
use halfbyte::plan::attention_int8::{self as plan, AttentionInt8Problem};
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean, OperandLayout};
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention as reference;
use halfbyte::reference::attention::HeadProblem;
use halfbyte::reference::sample::{Sample, widened};

use super::case::poison;
use super::dequantized::Dequantized;
use crate::support::devices;

/// `[batch, queries, heads, dim]`, `[batch, heads, queries]`, and what else a run left.
struct Ran {
    out: Vec<f16>,
    lse: Vec<f32>,
    flags: StatusFlags,
    operands: Vec<u8>,
    layout: OperandLayout,
}

impl Ran {
    fn floats(&self, range: std::ops::Range<usize>) -> Vec<f32> {
        self.operands[range].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

/// Runs `[batch, tokens, heads, dim]` of q, k and v. The mean is read or written as the problem says.
fn run(device: &Device, p: &AttentionInt8Problem, [q, k, v]: [&[f16]; 3], mean: &mut Vec<f32>) -> Ran {
    let of = p.operands;
    let stream = device.stream().unwrap();
    let op = AttentionInt8::new(device, Input::F16, of.values).unwrap();
    let plan = op.plan(p).unwrap();
    let [q, k, v] = [q, k, v].map(|x| stream.upload(x).unwrap());
    let rows = of.batch * of.queries * of.heads;
    let mut out = stream.upload(&poison::<f16>(rows * of.value_dim)).unwrap();
    let mut lse = stream.upload(&poison::<f32>(rows)).unwrap();
    let mut kept = stream.upload(mean).unwrap();
    let mut scratch = stream.upload(&poison::<u8>(plan.scratch_bytes())).unwrap();
    let mut status = Status::new(&stream).unwrap();
    let args = AttentionInt8Args {
        lse: Some(LogSumExp::new(&mut lse, of.queries, of.heads)),
        status: Some(&mut status),
        ..AttentionInt8Args::new(
            p,
            Heads::bshd(&q, of.queries, of.heads, of.head_dim),
            Heads::bshd(&k, of.keys, of.kv_heads, of.head_dim),
            Heads::bshd(&v, of.keys, of.kv_heads, of.value_dim),
            HeadsMut::bshd(&mut out, of.queries, of.heads, of.value_dim),
            match of.mean {
                KeyMean::Computed => Mean::Computed(kept.view_mut()),
                KeyMean::Given => Mean::Given(kept.view()),
                KeyMean::Zero => Mean::Zero,
            },
            scratch.view_mut(),
        )
    };
    op.run(&plan, &stream, args).unwrap();
    *mean = stream.download(&kept).unwrap();
    Ran {
        out: stream.download(&out).unwrap(),
        lse: stream.download(&lse).unwrap(),
        flags: status.read_and_clear(&stream).unwrap(),
        operands: stream.download(&scratch).unwrap(),
        layout: plan.quantize().layout().clone(),
    }
}

fn numbers(name: &str, len: usize) -> Vec<f16> {
    let mut sample = Sample::new(name);
    (0..len).map(|_| f16::from_f32(sample.gaussian())).collect()
}

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const DIM: usize = 64;
const TOKENS: usize = 150;

/// Whether a number of the output is spoilt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoilt {
    No,
    Maybe,
    Yes,
}

/// What is spoilt is no finite number; everything else has the bits that it had without. By sequence, query, head and
/// channel; log-sum-exps by the first three.
fn hold(what: &str, clean: &Ran, ran: &Ran, of: impl Fn([usize; 4]) -> Spoilt, of_lse: impl Fn([usize; 3]) -> Spoilt) {
    let right = |got: f32, was: f32, spoilt: Spoilt| match spoilt {
        Spoilt::Yes => !got.is_finite(),
        Spoilt::No => got.to_bits() == was.to_bits(),
        Spoilt::Maybe => !got.is_finite() || got.to_bits() == was.to_bits(),
    };
    for (at, (got, was)) in ran.out.iter().zip(&clean.out).enumerate() {
        let row = at / DIM;
        let place = [row / HEADS / TOKENS, row / HEADS % TOKENS, row % HEADS, at % DIM];
        let spoilt = of(place);
        assert!(right(got.to_f32(), was.to_f32(), spoilt), "{what}: {place:?} is {got}, was {was}: {spoilt:?}");
    }
    for (at, (&got, &was)) in ran.lse.iter().zip(&clean.lse).enumerate() {
        let place = [at / TOKENS / HEADS, at % TOKENS, at / TOKENS % HEADS];
        let spoilt = of_lse(place);
        assert!(right(got, was, spoilt), "{what}: lse {place:?} is {got}, was {was}: {spoilt:?}");
    }
}

/// Causal attention of two sequences of 150 tokens, of which one number of sequence 1 is no number: token 100, channel
/// 7, of query head 2 or of the keys and values of heads 2 and 3. Tile 1 holds keys 64 to 127, and only queries from 64
/// on go through it.
#[test]
fn numbers_that_are_none() {
    const B: usize = 1;
    const T: usize = 100;
    let spoils = |yes: bool| if yes { Spoilt::Yes } else { Spoilt::No };
    let q = numbers("finite q", 2 * TOKENS * HEADS * DIM);
    let [k, v] = ["finite k", "finite v"].map(|name| numbers(name, 2 * TOKENS * KV_HEADS * DIM));
    let with = |x: &[f16], heads: usize, h: usize, bad: f16| {
        let mut x = x.to_vec();
        x[((B * TOKENS + T) * heads + h) * DIM + 7] = bad;
        x
    };
    let told = |what: &str, flags: StatusFlags, nonfinite: bool| {
        let raised = [flags.nonfinite_input, flags.bad_length, flags.bad_page];
        assert_eq!(raised, [nonfinite, false, false], "{what}");
    };
    let room = || vec![0.3f32; 2 * KV_HEADS * DIM];
    let mut cases = 0;
    for (device, values) in devices().iter().flat_map(|d| [(d, false), (d, true)]) {
        if values && device.facts().capability < 89 {
            continue;
        }
        for mean in [KeyMean::Computed, KeyMean::Given] {
            let operands = AttentionQuantizeProblem::new([TOKENS; 2], [HEADS, KV_HEADS], DIM, Input::F16);
            let operands = AttentionQuantizeProblem { batch: 2, values, mean, ..operands };
            let p = AttentionInt8Problem { mask: Mask::CAUSAL, ..AttentionInt8Problem::new(operands) };
            let clean = run(device, &p, [&q, &k, &v], &mut room());
            assert!(clean.flags.is_clear() && clean.out.iter().all(|x| x.is_finite()), "{p} on {device}");
            assert!(clean.lse.iter().all(|x| x.is_finite()), "{p} on {device}");
            let bads = [f16::NAN, f16::INFINITY];
            for &bad in &bads[..if mean == KeyMean::Computed { 2 } else { 1 }] {
                let what = format!("{bad}, {p} on {device}");
                let ran = run(device, &p, [&with(&q, HEADS, 2, bad), &k, &v], &mut room());
                let row = |[b, i, h]: [usize; 3]| spoils([b, i, h] == [B, T, 2]);
                hold(&format!("q of {what}"), &clean, &ran, |[b, i, h, _]| row([b, i, h]), row);
                told(&what, ran.flags, true);

                // Through the mean all keys of a head; without it the one.
                let ran = run(device, &p, [&q, &with(&k, KV_HEADS, 1, bad), &v], &mut room());
                let all = mean == KeyMean::Computed;
                let row = |[b, i, h]: [usize; 3]| spoils(b == B && h / 2 == 1 && (all || i >= T));
                hold(&format!("k of {what}"), &clean, &ran, |[b, i, h, _]| row([b, i, h]), row);
                told(&what, ran.flags, true);

                let ran = run(device, &p, [&q, &k, &with(&v, KV_HEADS, 1, bad)], &mut room());
                let channel = |[b, i, h, c]: [usize; 4]| match (b == B && h / 2 == 1 && c == 7, i) {
                    (false, _) => Spoilt::No,
                    _ if values => Spoilt::Yes,
                    (_, T..) => Spoilt::Yes,
                    // 0 times it is no number either.
                    (_, 64..T) => Spoilt::Maybe,
                    _ => Spoilt::No,
                };
                hold(&format!("v of {what}"), &clean, &ran, channel, |_| Spoilt::No);
                told(&what, ran.flags, values);
                cases += 1;
            }
        }
    }
    assert!(cases >= (3 + 2) * (2 + 1), "{cases} cases");
}

/// A prompt whose mean is computed and kept, then more tokens with it given: the codes and scales of the prompt's keys
/// stay, bit for bit, and both results are those of the definition.
#[test]
fn a_mean_that_is_kept() {
    let (dim, [first, then], new) = (80, [70, 117], 47);
    let q = numbers("kept q", then * HEADS * dim);
    let mut k = numbers("kept k", then * KV_HEADS * dim);
    // Channels have offsets, and those of later keys are others: the mean of all would be another one.
    for (i, k) in k.iter_mut().enumerate() {
        let offset = [5.0, -3.0, 0.0][i % dim % 3] + if i / dim / KV_HEADS < first { 0.0 } else { 1.5 };
        *k = f16::from_f32(k.to_f32() + offset);
    }
    let v = numbers("kept v", then * KV_HEADS * dim);
    let head = |x: &[f16], heads: usize, h: usize| -> Vec<f32> {
        x.chunks(heads * dim).flat_map(|token| widened(&token[h * dim..(h + 1) * dim])).collect()
    };
    let mut cases = 0;
    for (device, values) in devices().iter().flat_map(|d| [(d, false), (d, true)]) {
        if values && device.facts().capability < 89 {
            continue;
        }
        let mut mean = vec![f32::NAN; KV_HEADS * dim];
        let mut runs: Vec<Ran> = Vec::new();
        for (begin, keys, of_keys) in [(0, first, KeyMean::Computed), (first, then, KeyMean::Given)] {
            let operands = AttentionQuantizeProblem::new([keys - begin, keys], [HEADS, KV_HEADS], dim, Input::F16);
            let operands = AttentionQuantizeProblem { values, mean: of_keys, ..operands };
            let p = AttentionInt8Problem { mask: Mask::CAUSAL, ..AttentionInt8Problem::new(operands) };
            let q = &q[begin * HEADS * dim..keys * HEADS * dim];
            let [k, v] = [&k, &v].map(|x| &x[..keys * KV_HEADS * dim]);
            let ran = run(device, &p, [q, k, v], &mut mean);
            assert!(ran.flags.is_clear(), "{p} on {device}");
            let queries = keys - begin;
            for h in 0..HEADS {
                let kv = h / (HEADS / KV_HEADS);
                let (q, k, v) = (head(q, HEADS, h), head(k, KV_HEADS, kv), head(v, KV_HEADS, kv));
                let plain = HeadProblem::new(&q, &k, &v, (queries, keys, dim, dim), (dim as f32).sqrt().recip());
                let mask = reference::Mask { right: Some(0), ..reference::Mask::default() };
                let mean = &mean[kv * dim..(kv + 1) * dim];
                let types = [Input::F16; 2];
                let want = Dequantized::new(&HeadProblem { mask, ..plain }, Some(mean), values, types);
                let lse = &ran.lse[h * queries..(h + 1) * queries];
                want.hold(&format!("{p} on {device}: head {h}"), &head(&ran.out, HEADS, h), lse);
            }
            runs.push(ran);
            cases += 1;
        }
        let (prompt, all) = (&runs[0], &runs[1]);
        let codes = |ran: &Ran, keys: usize| -> Vec<u8> {
            let range = ran.layout.k_codes.clone();
            ran.operands[range][..keys * KV_HEADS * 96].to_vec()
        };
        assert!(codes(prompt, first) == codes(all, first), "codes of the prompt's keys on {device}");
        for h in 0..KV_HEADS {
            let scales = |ran: &Ran, keys: usize| -> Vec<u32> {
                let all = ran.floats(ran.layout.k_scales.clone());
                all[h * keys.next_multiple_of(64)..][..first].iter().map(|scale| scale.to_bits()).collect()
            };
            assert_eq!(scales(prompt, first), scales(all, then), "scales of the prompt's keys on {device}");
        }
        // All keys have codes of their own: nothing above compares what was never written.
        let fresh = codes(all, then)[first * KV_HEADS * 96..].iter().filter(|&&code| code != 0xff).count();
        assert!(fresh > new * KV_HEADS * dim * 9 / 10, "{fresh} codes of new keys");
    }
    assert!(cases >= 2 * (3 + 2), "{cases} cases");
}

/// What a plan says of its tiles is what the kernel multiplies: every tile visited is one of 64 queries, 64 keys, the
/// width of the codes and the channels of V in sixteens.
#[test]
fn visits_are_what_is_multiplied() {
    let (mut cases, mut skipped) = (0, 0);
    for (arch, values) in [(Arch::Sm80, false), (Arch::Sm89, true)] {
        // Counters are those of all launches of a device: one of its own.
        let device = Device::emulator(arch);
        for (tokens, mask) in [
            ([70, 150], Mask::NONE),
            ([130, 200], Mask::CAUSAL),
            ([150, 70], Mask::CAUSAL),
            ([150, 300], Mask { left: Some(22), right: Some(42), ..Mask::NONE }),
            ([150, 300], Mask { left: Some(23), right: Some(43), ..Mask::NONE }),
            ([140, 400], Mask { left: Some(10), keep_first: 65, ..Mask::CAUSAL }),
        ] {
            for [dim, value_dim] in [[64, 64], [80, 40]] {
                let operands = AttentionQuantizeProblem::new(tokens, [2, 1], dim, Input::F16);
                let operands = AttentionQuantizeProblem { batch: 2, value_dim, values, ..operands };
                let p = AttentionInt8Problem { mask, ..AttentionInt8Problem::new(operands) };
                let of = |tokens: usize, size: usize| numbers("multiplied", 2 * tokens * size);
                let (q, k, v) = (of(tokens[0], 2 * dim), of(tokens[1], dim), of(tokens[1], value_dim));
                device.count_launches(true);
                run(&device, &p, [&q, &k, &v], &mut vec![f32::NAN; 2 * dim]);
                let macs: u64 = device.take_counters().iter().map(|l| l.counters.total().tensor_macs).sum();
                device.count_launches(false);
                let tile = 64 * TILE_KEYS * (operands.width() + value_dim.next_multiple_of(16));
                let visits = plan::plan(&p, device.facts()).unwrap().visits();
                assert_eq!(macs, visits.visited * tile as u64, "{p}");
                let all = tokens[0].div_ceil(64) * tokens[1].div_ceil(TILE_KEYS);
                assert_eq!(visits.visited + visits.skipped, (2 * 2 * all) as u64, "{p}");
                cases += 1;
                skipped += usize::from(visits.skipped > 0);
            }
        }
    }
    assert_eq!((cases, skipped), (24, 20));
}

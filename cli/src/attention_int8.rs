//! Attention with scores of signed bytes: its quantizers bit for bit against their rules, what it makes of their codes
//! against the definition in f64, and how far both together are from attention itself.

use std::ops::Range;

use half::f16;
use halfbyte::device::Status;
use halfbyte::format::F8E4M3;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, LogSumExp, Mean, alibi_slopes};
use halfbyte::plan::attention::Mask;
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::AttentionQuantizeProblem;
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention::{self as reference, HeadProblem, exact, lse_slack};
use halfbyte::reference::attention_quantize as quantized;
use halfbyte::reference::{Comparison, Quantized, relative_rms, sample::Sample};
use halfbyte::{Error, Result};

use crate::attention::rows;
use crate::ran::{About, Place, Ran};
use crate::single::Single;

/// One attention in f16: tokens, heads, head_dim, mask, ALiBi, and whether P·V is in e4m3.
#[derive(Clone, Copy)]
struct Case {
    data: &'static str,
    tokens: [usize; 2],
    heads: [usize; 2],
    head_dim: usize,
    mask: Mask,
    alibi: bool,
    values: bool,
}

/// Heads of known models on few tokens, with values in 16 bits and, where the device has them, in 8.
pub fn cases(values: bool) -> Vec<Single> {
    let of = |data, tokens, heads, head_dim, mask| Case { data, tokens, heads, head_dim, mask, alibi: false, values };
    let causal = Mask::CAUSAL;
    let all = [
        of("bert-base", [77, 77], [3, 3], 64, Mask::NONE),
        Case { alibi: true, ..of("bloom", [70, 70], [3, 3], 128, causal) },
        of("palm", [20, 80], [4, 1], 256, causal),
        of("llama chunk", [16, 300], [8, 2], 128, causal),
        of("streaming", [60, 200], [2, 2], 96, Mask { left: Some(50), keep_first: 4, ..causal }),
    ];
    all.into_iter().map(|case| Single::new(case.about(), move |place| case.run(place))).collect()
}

impl Case {
    fn about(&self) -> About {
        let ([queries, keys], [heads, kv_heads], head_dim) = (self.tokens, self.heads, self.head_dim);
        About {
            op: "attention_int8",
            format: format!("f16 -> s8 x {} -> f16", if self.values { "e4m3" } else { "f16" }),
            shape: format!("B=1 Q={queries} K={keys} H={heads}/{kv_heads} D={head_dim}/{head_dim}"),
            data: self.data.to_string(),
        }
    }

    fn run(&self, place: &Place) -> Result<Ran> {
        let ([queries, keys], [heads, kv_heads], dim) = (self.tokens, self.heads, self.head_dim);
        let stream = &place.stream;
        let mut sample = Sample::new(&format!("{} in 8 bits", self.data));
        // Every eighth channel of the keys has an offset, as those of models have: the mean takes it off.
        let mut numbers = |len: usize, offset: f32| -> Vec<f16> {
            let number = |at: usize, x: f32| f16::from_f32(x + if at % 8 == 3 { offset } else { 0.0 });
            (0..len).map(|at| number(at, sample.gaussian())).collect()
        };
        let q = numbers(queries * heads * dim, 0.0);
        let (k, v) = (numbers(keys * kv_heads * dim, 4.0), numbers(keys * kv_heads * dim, 0.0));
        let slopes = alibi_slopes(heads);
        let problem = AttentionInt8Problem {
            mask: self.mask,
            ..AttentionInt8Problem::new(AttentionQuantizeProblem {
                values: self.values,
                ..AttentionQuantizeProblem::new([queries, keys], [heads, kv_heads], dim, Input::F16)
            })
        };
        let op = AttentionInt8::new(&place.device, Input::F16, self.values)?;
        let plan = op.plan(&problem)?;
        let (on_q, on_k, on_v) = (stream.upload(&q)?, stream.upload(&k)?, stream.upload(&v)?);
        let on_slopes = stream.upload(&slopes)?;
        let mut mean = stream.zeros::<f32>(kv_heads * dim)?;
        let mut out = stream.upload(&vec![f16::NAN; queries * heads * dim])?;
        let mut lse = stream.upload(&vec![f32::NAN; heads * queries])?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let mut status = Status::new(stream)?;
        let scale = 1.0 / (dim as f32).sqrt();
        let took = stream.time(|stream| {
            let args = AttentionInt8Args {
                lse: Some(LogSumExp::new(&mut lse, queries, heads)),
                slopes: self.alibi.then(|| on_slopes.view()),
                status: Some(&mut status),
                ..AttentionInt8Args::new(
                    &problem,
                    Heads::bshd(&on_q, queries, heads, dim),
                    Heads::bshd(&on_k, keys, kv_heads, dim),
                    Heads::bshd(&on_v, keys, kv_heads, dim),
                    HeadsMut::bshd(&mut out, queries, heads, dim),
                    Mean::Computed(mean.view_mut()),
                    scratch.view_mut(),
                )
            };
            op.run(&plan, stream, args)
        })?;
        let (out, lse) = (stream.download(&out)?, stream.download(&lse)?);
        if !status.read_and_clear(stream)?.is_clear() {
            return Err(Error::Value("the status word tells of a non-finite input, but every input is finite".into()));
        }

        let (mean, scratch) = (stream.download(&mean)?, stream.download(&scratch)?);
        let layout = plan.quantize().layout();
        let bytes = |range: &Range<usize>| &scratch[range.clone()];
        let codes = |range: &Range<usize>| bytes(range).iter().map(|&code| i32::from(code as i8)).collect::<Vec<i32>>();
        let floats = |range: &Range<usize>| -> Vec<f32> {
            bytes(range).chunks_exact(4).map(|of| f32::from_le_bytes([of[0], of[1], of[2], of[3]])).collect()
        };
        let (q_codes, k_codes) = (codes(&layout.q_codes), codes(&layout.k_codes));
        let [q_scales, k_scales] = [&layout.q_scales, &layout.k_scales].map(floats);
        let width = problem.operands.width();
        let [q_pitch, k_pitch] = problem.operands.pitches();

        let (mut exactly, mut held) = (Comparison::default(), Comparison::default());
        let (mut got, mut unquantized) = (Vec::new(), Vec::new());
        let [mut want, mut lses, mut allowed, mut slack] = [const { Vec::new() }; 4];
        for (h, &slope) in slopes.iter().enumerate() {
            let kv = h / (heads / kv_heads);
            let (q, k) = (rows(&q, 0..queries, [heads, h, dim]), rows(&k, 0..keys, [kv_heads, kv, dim]));
            let v = rows(&v, 0..keys, [kv_heads, kv, dim]);
            let mean = &mean[kv * dim..(kv + 1) * dim];
            held = held.and(Comparison::within(mean, &quantized::mean(&k, dim)?, dim, |_| 1e-4)?);

            // What the quantizers left is bit for bit what the rules make, and what attention is held to.
            let (of_q, of_k) = (quantized::heads(&q, dim, None)?, quantized::heads(&k, dim, Some(mean))?);
            let sides = [
                (&of_q, &q_codes, &q_scales[h * q_pitch..][..queries], [heads, h], queries),
                (&of_k, &k_codes, &k_scales[kv * k_pitch..][..keys], [kv_heads, kv], keys),
            ];
            for (of, codes, scales, [all, one], tokens) in sides {
                let row = |t: usize| codes[(t * all + one) * width..][..dim].iter().copied();
                let found: Vec<i32> = (0..tokens).flat_map(row).collect();
                let made: Vec<i64> = of.codes.iter().map(|&code| i64::from(code as i8)).collect();
                exactly = exactly.and(Comparison::same_integers(&found, &made, dim)?);
                exactly = exactly.and(Comparison::same_bits(scales, &of.scales, 1)?);
            }
            let numbers = |of: &Quantized| -> Vec<f32> {
                of.codes.iter().enumerate().map(|(i, &code)| f32::from(code as i8) * of.scales[i / dim]).collect()
            };
            let (q_made, k_made) = (numbers(&of_q), numbers(&of_k));
            let v_made = if self.values {
                let of = quantized::values(&v, dim)?;
                let kept = &bytes(&layout.v_codes)[kv * dim * k_pitch..(kv + 1) * dim * k_pitch];
                let [found, made] =
                    [kept, &of.codes[..]].map(|of| of.iter().map(|&c| i64::from(c)).collect::<Vec<_>>());
                let found: Vec<i32> = found.into_iter().map(|code| code as i32).collect();
                exactly = exactly.and(Comparison::same_integers(&found, &made, k_pitch)?);
                let scales = &floats(&layout.v_scales)[kv * dim..(kv + 1) * dim];
                exactly = exactly.and(Comparison::same_bits(scales, &of.scales, 1)?);
                let place =
                    |j: usize| j / 16 * 16 + quantized::KEY_ORDER.iter().position(|&k| k == j % 16).unwrap_or(0);
                let number = |j: usize, c: usize| F8E4M3::from_bits(of.codes[c * k_pitch + place(j)]).to_f32();
                (0..keys * dim).map(|i| number(i / dim, i % dim) * of.scales[i % dim]).collect()
            } else {
                v.clone()
            };
            // What the mean moves is the same for all keys of a query.
            let shifts = quantized::shift(&q, dim, mean)?;
            let moved: Vec<f32> =
                shifts.iter().flat_map(|&(shift, _)| vec![(f64::from(scale) * shift) as f32; keys]).collect();

            let mask = reference::Mask {
                left: self.mask.left,
                right: self.mask.right(),
                keep_first: self.mask.keep_first,
                tree: None,
            };
            let shape = (queries, keys, dim, dim);
            let sloped = |problem| HeadProblem { slope: self.alibi.then_some(slope), mask, ..problem };
            unquantized.extend(exact(&sloped(HeadProblem::new(&q, &k, &v, shape, scale)))?.out);
            let sizes: Vec<f32> = v_made.iter().map(|x| x.abs()).collect();
            let of =
                |v| sloped(HeadProblem { bias: Some(&moved), ..HeadProblem::new(&q_made, &k_made, v, shape, scale) });
            let (answer, magnitudes) = (exact(&of(&v_made))?, exact(&of(&sizes))?.out);
            let scores = lse_slack(&of(&v_made), &answer)?;
            let sums: Vec<f64> =
                (0..dim).map(|c| sizes.iter().skip(c).step_by(dim).map(|&x| f64::from(x)).sum()).collect();
            // Half a step of P, or of its least numbers; the scores; half a step of the output.
            let (step, least) =
                if self.values { (2f64.powi(-4), 2f64.powi(-18)) } else { (2f64.powi(-11), 2f64.powi(-25)) };
            for (at, (&wanted, &magnitude)) in answer.out.iter().zip(&magnitudes).enumerate() {
                let of_scores = 2.0 * scores[at / dim];
                allowed.push(
                    (step + of_scores) * magnitude + least * sums[at % dim] + 2f64.powi(-11) * wanted.abs() + 1e-7,
                );
            }
            slack.extend(scores.iter().zip(&shifts).map(|(slack, (_, of_shift))| slack + f64::from(scale) * of_shift));
            want.extend(answer.out);
            lses.extend(answer.lse);
            got.extend(rows(&out, 0..queries, [heads, h, dim]));
        }
        let held = held.and(Comparison::within(&got, &want, dim, |at| allowed[at])?);
        let held = held.and(Comparison::within(&lse, &lses, queries, |at| slack[at])?);
        let wide: Vec<f64> = got.iter().map(|&x| x.into()).collect();
        let kernel = plan.prefill().map_or("", |launch| launch.geometry.entry.row().symbol).to_string();
        let quantization_error = Some(relative_rms(&wide, &unquantized)?);
        Ok(Ran { kernel, took, exact: exactly, bounded: vec![("f64", held)], quantization_error })
    }
}

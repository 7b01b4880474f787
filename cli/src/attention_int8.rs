//! Attention with scores of signed bytes, quantizers and all, held against the definition on the unquantized numbers: what 8 bits may
//! lose of each element.

use half::f16;
use halfbyte::device::Status;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, LogSumExp, Mean, alibi_slopes};
use halfbyte::plan::attention::Mask;
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::AttentionQuantizeProblem;
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention::{self as reference, HeadProblem, exact};
use halfbyte::reference::{Comparison, relative_rms, sample::Sample};
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

        let mut got: Vec<f32> = Vec::new();
        let [mut want, mut lses, mut allowed] = [const { Vec::new() }; 3];
        // Scores move by a few hundredths, and with them probabilities; e4m3 rounds these by a sixteenth at most.
        let part = if self.values { 0.16 } else { 0.1 };
        for (h, &slope) in slopes.iter().enumerate() {
            let kv = h / (heads / kv_heads);
            let (q, k) = (rows(&q, 0..queries, [heads, h, dim]), rows(&k, 0..keys, [kv_heads, kv, dim]));
            let v = rows(&v, 0..keys, [kv_heads, kv, dim]);
            let sizes: Vec<f32> = v.iter().map(|x| x.abs()).collect();
            let mask = reference::Mask {
                left: self.mask.left,
                right: self.mask.right(),
                keep_first: self.mask.keep_first,
                tree: None,
            };
            let of = |v: &[f32]| {
                let problem = HeadProblem::new(&q, &k, v, (queries, keys, dim, dim), scale);
                exact(&HeadProblem { slope: self.alibi.then_some(slope), mask, ..problem })
            };
            let answer = of(&v)?;
            allowed.extend(of(&sizes)?.out.iter().map(|size| part * size + 1e-3));
            want.extend(answer.out);
            lses.extend(answer.lse);
            got.extend(rows(&out, 0..queries, [heads, h, dim]));
        }
        let held = Comparison::within(&got, &want, dim, |at| allowed[at])?;
        let held = held.and(Comparison::within(&lse, &lses, queries, |_| 0.06)?);
        let wide: Vec<f64> = got.iter().map(|&x| x.into()).collect();
        let kernel = plan.prefill().map_or("", |launch| launch.geometry.entry.row().symbol).to_string();
        let quantization_error = Some(relative_rms(&wide, &want)?);
        Ok(Ran { kernel, took, exact: Comparison::default(), bounded: vec![("f64", held)], quantization_error })
    }
}

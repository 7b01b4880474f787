//! How much attention in 8 bits loses, held against the definition in f64: cosine, relative L1 and root mean square
//! error of the output, with P·V in f16 and in e4m3, with the keys less their mean and as they are.
//!
//! ```text
//! cargo run --release --example int8_attention_accuracy
//! ```
//!
//! On normal numbers, on numbers with outliers anywhere, on keys whose channels have offsets, and on Q, K and V of the
//! first layer of all-MiniLM-L6-v2: of its weights in `tests/data` and normal hidden states, or, with
//! `HALFBYTE_TEST_MINILM` naming its `model.safetensors`, of a text.

use std::path::Path;
use std::process::ExitCode;

use half::f16;
use halfbyte::Result;
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::safetensors::Archive;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, Mean};
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean};
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention::{Accuracy, HeadProblem, accuracy, exact};
use halfbyte::reference::sample::Sample;

/// Q, K and V of one sequence, `[tokens, heads, dim]` each.
pub struct Data {
    /// What they are.
    pub name: &'static str,
    tokens: usize,
    heads: usize,
    dim: usize,
    qkv: [Vec<f16>; 3],
}

fn data(name: &'static str, [tokens, heads, dim]: [usize; 3], mut number: impl FnMut(usize, usize) -> f32) -> Data {
    let mut of =
        |which: usize| (0..tokens * heads * dim).map(|i| f16::from_f32(number(which, i % (heads * dim)))).collect();
    Data { name, tokens, heads, dim, qkv: [of(0), of(1), of(2)] }
}

/// Everything that needs no model.
pub fn made() -> Vec<Data> {
    let shape = [256, 2, 64];
    let mut sample = Sample::new("normal");
    let normal = data("normal", shape, |_, _| sample.gaussian());
    // N(0, 1) + N(0, 100) · Bernoulli(0.001)
    let mut sample = Sample::new("outliers");
    let outliers = data("outliers", shape, |_, _| {
        let wild = if sample.integer(0, 999) == 0 { 10.0 * sample.gaussian() } else { 0.0 };
        sample.gaussian() + wild
    });
    let mut sample = Sample::new("channels");
    let channels = data("offsets in K", shape, |which, c| {
        let offset = if which == 1 && c % 16 == 5 { 60.0 - (c % 7) as f32 } else { 0.0 };
        offset + sample.gaussian()
    });
    vec![normal, outliers, channels]
}

const HIDDEN: usize = 384;
const HEADS: usize = 12;

/// "The quick brown fox jumps over the lazy dog." and "Pack my box with five dozen jugs of wine." as BERT's tokens.
const TEXT: [usize; 22] = [
    101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 5308, 2026, 3482, 2007, 2274, 6474, 26536, 2015,
    1997, 4511, 1012,
];

/// Q, K and V of the layer, of the hidden states `x`, `[tokens, HIDDEN]`.
fn layer(name: &'static str, weights: &Archive, x: &[f32]) -> Result<Data> {
    let tokens = x.len() / HIDDEN;
    let mut of = Vec::new();
    for matrix in ["query", "key", "value"] {
        let name = format!("encoder.layer.0.attention.self.{matrix}");
        let (w, bias) = (weights.read_f32(&format!("{name}.weight"))?, weights.read_f32(&format!("{name}.bias"))?);
        let dot = |t: usize, n: usize| -> f32 {
            x[t * HIDDEN..(t + 1) * HIDDEN].iter().zip(&w[n * HIDDEN..]).map(|(x, w)| x * w).sum()
        };
        of.push((0..tokens * HIDDEN).map(|i| f16::from_f32(dot(i / HIDDEN, i % HIDDEN) + bias[i % HIDDEN])).collect());
    }
    let [q, k, v] = [of.remove(0), of.remove(0), of.remove(0)];
    Ok(Data { name, tokens, heads: HEADS, dim: HIDDEN / HEADS, qkv: [q, k, v] })
}

/// A row less its mean, over its standard deviation, scaled and shifted by channel.
fn normalize(row: &mut [f32], scale: &[f32], shift: &[f32]) {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    let deviation = (row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n + 1e-12).sqrt();
    row.iter_mut().zip(scale).zip(shift).for_each(|((x, scale), shift)| *x = (*x - mean) / deviation * scale + shift);
}

/// The layer on a text, where there is the whole model; else its weights on normal numbers.
///
/// # Errors
/// A file that cannot be read, or lacks a tensor.
pub fn minilm(weights: &Path, model: Option<&Path>) -> Result<Data> {
    let tokens = 128;
    let Some(model) = model else {
        let mut sample = Sample::new("hidden states");
        let x: Vec<f32> = (0..tokens * HIDDEN).map(|_| sample.gaussian()).collect();
        return layer("MiniLM's weights", &Archive::open(weights)?, &x);
    };
    let model = Archive::open(model)?;
    let read = |name: &str| model.read_f32(&format!("embeddings.{name}"));
    let (words, positions) = (read("word_embeddings.weight")?, read("position_embeddings.weight")?);
    let (kinds, scale, shift) =
        (read("token_type_embeddings.weight")?, read("LayerNorm.weight")?, read("LayerNorm.bias")?);
    let mut x = Vec::new();
    for t in 0..tokens {
        let token = TEXT[t % TEXT.len()];
        let mut row: Vec<f32> =
            (0..HIDDEN).map(|c| words[token * HIDDEN + c] + positions[t * HIDDEN + c] + kinds[c]).collect();
        normalize(&mut row, &scale, &shift);
        x.extend(row);
    }
    layer("MiniLM", &model, &x)
}

/// Attention in 8 bits on a device, held against the definition.
///
/// # Errors
/// An error of the device.
pub fn measure(device: &Device, data: &Data, values: bool, mean: KeyMean) -> Result<Accuracy> {
    let Data { tokens, heads, dim, qkv, .. } = data;
    let (tokens, heads, dim) = (*tokens, *heads, *dim);
    let scale = (dim as f32).powf(-0.5);
    let operands = AttentionQuantizeProblem::new([tokens, tokens], [heads, heads], dim, Input::F16);
    let problem = AttentionInt8Problem::new(AttentionQuantizeProblem { mean, values, ..operands });
    let stream = device.stream()?;
    let op = AttentionInt8::new(device, Input::F16, values)?;
    let plan = op.plan(&problem)?;
    let [q, k, v] = [stream.upload(&qkv[0])?, stream.upload(&qkv[1])?, stream.upload(&qkv[2])?];
    let mut out = stream.alloc::<f16>(tokens * heads * dim)?;
    let mut kept = stream.alloc::<f32>(heads * dim)?;
    let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
    let [q, k, v] = [&q, &k, &v].map(|buffer| Heads::bshd(buffer, tokens, heads, dim));
    let mean = if mean == KeyMean::Computed { Mean::Computed(kept.view_mut()) } else { Mean::Zero };
    let rows = HeadsMut::bshd(&mut out, tokens, heads, dim);
    op.run(&plan, &stream, AttentionInt8Args::new(&problem, q, k, v, rows, mean, scratch.view_mut()))?;
    let out = stream.download(&out)?;

    let of = |values: &[f16], h: usize| -> Vec<f32> {
        values.chunks(dim).skip(h).step_by(heads).flatten().map(|x| x.to_f32()).collect()
    };
    let (mut got, mut want) = (Vec::new(), Vec::new());
    for h in 0..heads {
        let [q, k, v] = [0, 1, 2].map(|which| of(&qkv[which], h));
        want.extend(exact(&HeadProblem::new(&q, &k, &v, (tokens, tokens, dim, dim), scale))?.out);
        got.extend(of(&out, h));
    }
    accuracy(&got, &want)
}

fn run() -> Result<()> {
    let device = Device::emulator(Arch::Sm89);
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/minilm-layer0.safetensors");
    let model = std::env::var_os("HALFBYTE_TEST_MINILM");
    let mut all = made();
    all.push(minilm(&weights, model.as_deref().map(Path::new))?);
    println!("{:<18} {:<5} {:<14} {:>10} {:>12} {:>10}", "data", "P·V", "keys", "1 - cosine", "relative L1", "RMSE");
    for data in &all {
        for values in [false, true] {
            for (mean, keys) in [(KeyMean::Computed, "less the mean"), (KeyMean::Zero, "as they are")] {
                let Accuracy { cosine, relative_l1, rmse } = measure(&device, data, values, mean)?;
                let kind = if values { "e4m3" } else { "f16" };
                println!(
                    "{:<18} {kind:<5} {keys:<14} {:>10.2e} {relative_l1:>12.2e} {rmse:>10.2e}",
                    data.name,
                    1.0 - cosine
                );
            }
        }
    }
    Ok(())
}

#[allow(dead_code)] // A test includes this file for what it measures.
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

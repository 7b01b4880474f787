//! Attention of many queries, ours in 16 bits and in 8 (quantizers and all), and PyTorch's, by turns.
//!
//! The peer is a child process, `sdpa.py`: it holds operands of its own of the same shape and, asked for a back end,
//! times one pass over them with events and answers with microseconds. Ours and each of its back ends take turns in
//! every round.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use half::bf16;
use halfbyte::device::{Buffer, Stream};
use halfbyte::format::DType;
use halfbyte::op::{Attention, AttentionArgs, AttentionInt8, AttentionInt8Args, Heads, HeadsMut, Mean};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::AttentionQuantizeProblem;
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::sample::Sample;

use crate::product::{DRAWN, WARM_UP, median, sets_of};

/// What is timed: sequences, tokens of each (queries and keys), heads, heads of keys, head_dim, value_dim, causal.
pub type Shape = (usize, usize, usize, usize, usize, usize, bool);

/// The shapes that FlashAttention's and cuDNN's figures are of: 16k tokens with a hidden size of 2048, and grouped
/// heads; and one long context.
pub fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for causal in [false, true] {
        for (heads, size) in [(32, 64), (16, 128), (8, 256)] {
            all.extend(
                [1024, 2048, 4096, 16_384].map(|tokens| (16_384 / tokens, tokens, heads, heads, size, size, causal)),
            );
        }
        all.push((1, 8192, 64, 8, 128, 128, causal));
        all.push((1, 32_768, 16, 16, 128, 128, causal));
    }
    all.push((1, 8192, 32, 32, 192, 128, true));
    all
}

/// The child process, if Python and PyTorch are there.
pub struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Names of its back ends.
    pub backends: Vec<String>,
}

impl Peer {
    /// Starts `python3` (or `HALFBYTE_PYTHON`) with `sdpa.py`, which first says which back ends it has.
    pub fn new() -> Result<Peer, Box<dyn Error>> {
        let python = std::env::var_os("HALFBYTE_PYTHON").unwrap_or_else(|| "python3".into());
        let script =
            std::env::var_os("HALFBYTE_SDPA").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/sdpa.py").into());
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().ok_or("no way to ask")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no answers")?);
        let mut peer = Peer { child, ask, answers, backends: Vec::new() };
        peer.backends = peer.line()?.split_whitespace().map(str::to_owned).collect();
        Ok(peer)
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("PyTorch is not there".into());
        }
        Ok(line.trim().to_owned())
    }

    fn ask(&mut self, what: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.ask, "{what}")?;
        self.ask.flush()?;
        self.line()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input; a child that is gone is fine.
        let _ = writeln!(self.ask, "end");
        let _ = self.child.wait();
    }
}

/// Q, K, V and the output.
type Set = (Buffer<bf16>, Buffer<bf16>, Buffer<bf16>, Buffer<bf16>);
type Run<'r> = Box<dyn FnMut(&Stream, &mut Set) -> halfbyte::Result<()> + 'r>;

/// Times one shape in bf16; returns its row of the results.
pub fn measure(
    stream: &Stream,
    shape: Shape,
    samples: usize,
    peer: &mut Option<Peer>,
) -> Result<String, Box<dyn Error>> {
    let (batch, tokens, heads, kv_heads, size, value_size, causal) = shape;
    let problem = AttentionProblem {
        batch,
        value_dim: value_size,
        mask: if causal { Mask::CAUSAL } else { Mask::NONE },
        ..AttentionProblem::new([tokens, tokens], [heads, kv_heads], size, DType::Bf16)
    };
    let attention = Attention::new(stream.device(), DType::Bf16)?;
    let plan = attention.plan(&problem)?;
    let mut ours: Vec<(&str, Run<'_>)> = vec![(
        "halfbyte",
        Box::new(|stream: &Stream, (q, k, v, out): &mut Set| {
            let args = AttentionArgs::new(
                &problem,
                Heads::bshd(&*q, tokens, heads, size),
                Heads::bshd(&*k, tokens, kv_heads, size),
                Heads::bshd(&*v, tokens, kv_heads, value_size),
                HeadsMut::bshd(out, tokens, heads, value_size),
            );
            attention.run(&plan, stream, args)
        }),
    )];
    for (name, values) in [("halfbyte_int8", false), ("halfbyte_int8_e4m3", true)] {
        if values && stream.device().facts().capability < 89 {
            continue;
        }
        let operands = AttentionQuantizeProblem::new([tokens, tokens], [heads, kv_heads], size, Input::Bf16);
        let operands = AttentionQuantizeProblem { batch, value_dim: value_size, values, ..operands };
        let problem = AttentionInt8Problem { mask: problem.mask, ..AttentionInt8Problem::new(operands) };
        let attention = AttentionInt8::new(stream.device(), Input::Bf16, values)?;
        let plan = attention.plan(&problem)?;
        let mut mean = stream.alloc::<f32>(batch * kv_heads * size)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let run = move |stream: &Stream, (q, k, v, out): &mut Set| {
            let args = AttentionInt8Args::new(
                &problem,
                Heads::bshd(&*q, tokens, heads, size),
                Heads::bshd(&*k, tokens, kv_heads, size),
                Heads::bshd(&*v, tokens, kv_heads, value_size),
                HeadsMut::bshd(out, tokens, heads, value_size),
                Mean::Computed(mean.view_mut()),
                scratch.view_mut(),
            );
            attention.run(&plan, stream, args)
        };
        ours.push((name, Box::new(run)));
    }
    let mut sample = Sample::new("benchmark");
    let drawn: Vec<bf16> = (0..DRAWN).map(|_| bf16::from_f32(sample.gaussian())).collect();
    let tensor = |len: usize| drawn.iter().copied().cycle().take(len).collect::<Vec<bf16>>();
    let all = batch * tokens;
    let (q, k, v) = (tensor(all * heads * size), tensor(all * kv_heads * size), tensor(all * kv_heads * value_size));
    let bytes = 2 * all * (heads * (size + value_size) + kv_heads * (size + value_size));
    let count = sets_of(stream.device(), bytes);
    let mut sets = Vec::new();
    for _ in 0..count {
        let out = stream.zeros::<bf16>(all * heads * value_size)?;
        sets.push((stream.upload(&q)?, stream.upload(&k)?, stream.upload(&v)?, out));
    }
    if let Some(peer) = peer {
        let causal = u8::from(causal);
        peer.ask(&format!("shape {batch} {tokens} {heads} {kv_heads} {size} {value_size} {causal} {count}"))?;
    }
    let backends = peer.as_ref().map_or(Vec::new(), |peer| peer.backends.clone());
    let own = ours.len();
    let mut times = vec![Vec::new(); own + backends.len()];
    for round in 0..WARM_UP.min(samples) + samples {
        let counts = round >= WARM_UP.min(samples);
        for (at, (_, run)) in ours.iter_mut().enumerate() {
            let took = stream.time(|stream| sets.iter_mut().try_for_each(|set| run(stream, set)))?;
            if counts {
                times[at].push(took.as_secs_f64() * 1e6 / count as f64);
            }
        }
        for (at, backend) in backends.iter().enumerate() {
            let Some(peer) = peer else { break };
            // A back end that does not serve the shape says so, not a number.
            let answer = peer.ask(backend)?.parse::<f64>();
            times[own + at].extend(answer.ok().filter(|_| counts));
        }
    }
    let work =
        2.0 * all as f64 * tokens as f64 * heads as f64 * (size + value_size) as f64 * if causal { 0.5 } else { 1.0 };
    let kernel = plan.geometry().map_or("none", |g| g.entry.row().symbol);
    let mut row = format!(
        "{{\"what\": \"attention\", \"type\": \"bf16\", \"batch\": {batch}, \"tokens\": {tokens}, \"heads\": {heads}, \"kv_heads\": {kv_heads}, \
         \"head_dim\": {size}, \"value_dim\": {value_size}, \"causal\": {causal}, \"sets\": {count}, \"kernel\": \"{kernel}\""
    );
    let names: Vec<String> = ours.iter().map(|(name, _)| (*name).to_owned()).chain(backends).collect();
    for (name, times) in names.iter().zip(times).filter(|(_, times)| !times.is_empty()) {
        let time = median(times);
        write!(row, ", \"{name}_us\": {time:.2}, \"{name}_tflops\": {:.1}", work / time / 1e6)?;
    }
    Ok(row + "}")
}

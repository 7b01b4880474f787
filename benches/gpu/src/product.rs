//! One product, ours and the peer's by turns.

use std::error::Error;
use std::fmt::Write;

use half::f16;
use halfbyte::device::{Buffer, Device, Element, Stream};
use halfbyte::format::{F8E4M3, Float};
use halfbyte::op::{Gemm, GemmArgs, GemmElement, GemmS8, GemmS8Args, OutputElement};
use halfbyte::plan::Geometry;
use halfbyte::plan::gemm::{GemmProblem, Operand};
use halfbyte::plan::gemm_s8::GemmS8Problem;
use halfbyte::reference::sample::Sample;

use crate::cublaslt::{self, Types};

/// Rounds before those that count.
pub const WARM_UP: usize = 5;

/// Numbers that are drawn; a longer operand repeats them, so that its rows begin at different ones.
pub const DRAWN: usize = (1 << 20) + 7;

/// Bytes that all sets of operands may take.
const MOST_BYTES: usize = 24 << 30;

/// One product on our side: what runs, and how it is run.
pub struct Ours<T: Multiplied> {
    kernel: String,
    #[allow(clippy::type_complexity)] // operands and output
    run: Box<dyn FnMut(&Stream, [&Buffer<T>; 2], &mut Buffer<T::Out>) -> halfbyte::Result<()>>,
}

/// What a product multiplies and what it writes, here and there.
pub trait Multiplied: GemmElement {
    /// What is written: the sums of int8, f16 of floats.
    type Out: OutputElement;
    /// What the peer is told.
    const TYPES: Types;

    /// Random elements.
    fn drawn(sample: &mut Sample, len: usize) -> Vec<Self>;
    /// The product on our side.
    fn ours(stream: &Stream, shape: [usize; 3]) -> halfbyte::Result<Ours<Self>>;
    /// Whether two outputs are alike: equal sums, or floats that differ as much as their order and rounding explain.
    fn alike(ours: &[Self::Out], theirs: &[Self::Out]) -> bool;
}

fn kernel(geometry: Option<&Geometry>, split_k: u32) -> String {
    format!("{}, split {split_k}", geometry.map_or("none", |g| g.entry.row().symbol))
}

impl Multiplied for i8 {
    type Out = i32;
    const TYPES: Types = Types::S8;

    fn drawn(sample: &mut Sample, len: usize) -> Vec<i8> {
        sample.codes(len, -127, 127)
    }

    fn ours(stream: &Stream, [m, n, k]: [usize; 3]) -> halfbyte::Result<Ours<i8>> {
        let op = GemmS8::new(stream.device())?;
        let plan = op.plan(&GemmS8Problem { m, n, k, out: i32::OUTPUT })?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let kernel = kernel(plan.geometry(), plan.split_k());
        let run = move |stream: &Stream, [a, b]: [&Buffer<i8>; 2], d: &mut Buffer<i32>| {
            let args = GemmS8Args {
                a: a.view().matrix(m, k, k)?,
                b: b.view().matrix(n, k, k)?,
                scale_row: None,
                scale_col: None,
                bias: None,
                d: d.view_mut().matrix(m, n, n)?,
                scratch: Some(scratch.view_mut()),
            };
            op.run(&plan, stream, args)
        };
        Ok(Ours { kernel, run: Box::new(run) })
    }

    fn alike(ours: &[i32], theirs: &[i32]) -> bool {
        ours == theirs
    }
}

macro_rules! floats {
    ($($type:ident $types:ident),*) => {$(
        impl Multiplied for $type {
            type Out = f16;
            const TYPES: Types = Types::$types;

            fn drawn(sample: &mut Sample, len: usize) -> Vec<$type> {
                (0..len).map(|_| Float::from_f32(sample.gaussian())).collect()
            }

            fn ours(stream: &Stream, [m, n, k]: [usize; 3]) -> halfbyte::Result<Ours<$type>> {
                let dtype = <$type as Element>::DTYPE;
                let op = Gemm::new(stream.device(), Operand::new(dtype), Operand::new(dtype))?;
                let plan = op.plan(&GemmProblem::new(m, n, k, dtype, f16::OUTPUT))?;
                let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
                let kernel = kernel(plan.geometry(), plan.split_k());
                let run = move |stream: &Stream, [a, b]: [&Buffer<$type>; 2], d: &mut Buffer<f16>| {
                    let args = GemmArgs::new(
                        a.view().matrix(m, k, k)?,
                        b.view().matrix(n, k, k)?,
                        d.view_mut().matrix(m, n, n)?,
                    );
                    op.run(&plan, stream, GemmArgs { scratch: Some(scratch.view_mut()), ..args })
                };
                Ok(Ours { kernel, run: Box::new(run) })
            }

            fn alike(ours: &[f16], theirs: &[f16]) -> bool {
                let size = ours.iter().map(|x| x.to_f32().abs()).fold(0.0, f32::max);
                ours.iter().zip(theirs).all(|(x, y)| (x.to_f32() - y.to_f32()).abs() <= size / 256.0)
            }
        }
    )*};
}
floats!(f16 F16, F8E4M3 E4m3);

/// Sets of operands and outputs, together more than twice the L2 cache where memory allows.
pub fn sets_of(device: &Device, bytes: usize) -> usize {
    let wish = 2 * device.facts().l2_bytes as usize / bytes + 2;
    wish.min(64).min(MOST_BYTES / bytes).max(1)
}

/// Times one shape; returns its row of the results. A product that cuBLASLt does not do, or is not there to do, is
/// timed alone.
pub fn measure<T: Multiplied>(
    stream: &Stream,
    what: &str,
    shape: [usize; 3],
    samples: usize,
) -> Result<String, Box<dyn Error>> {
    let [m, n, k] = shape;
    let mut sample = Sample::new("benchmark");
    let drawn = T::drawn(&mut sample, DRAWN);
    let operand = |len: usize| drawn.iter().copied().cycle().take(len).collect::<Vec<T>>();
    let (a, b) = (operand(m * k), operand(n * k));
    let bytes = (m + n) * k * size_of::<T>() + 2 * m * n * size_of::<T::Out>();
    let count = sets_of(stream.device(), bytes);
    let mut sets = Vec::new();
    for _ in 0..count {
        let outputs = [stream.zeros::<T::Out>(m * n)?, stream.zeros::<T::Out>(m * n)?];
        sets.push((stream.upload(&a)?, stream.upload(&b)?, outputs));
    }
    let mut ours = T::ours(stream, shape)?;
    let peer = if cublaslt::is_present() {
        cublaslt::Product::new(stream, T::TYPES, shape)
    } else {
        Err("no cuBLASLt".into())
    };

    let [mut our_times, mut their_times] = [const { Vec::new() }; 2];
    for round in 0..WARM_UP.min(samples) + samples {
        let our_time =
            stream.time(|stream| sets.iter_mut().try_for_each(|(a, b, [d, _])| (ours.run)(stream, [&*a, &*b], d)))?;
        let mut failed = None;
        let their_time = stream.time(|stream| {
            let Ok(peer) = &peer else { return Ok(()) };
            for (a, b, [_, d]) in &mut sets {
                let (a, b) = (a.view().matrix(m, k, k)?, b.view().matrix(n, k, k)?);
                let d = d.view_mut().matrix(m, n, n)?;
                failed = failed.take().or(peer.run(stream, a, b, &d).err());
            }
            Ok(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if round == 0 && peer.is_ok() {
            let [ours, theirs] = &sets[0].2;
            if !T::alike(&stream.download(ours)?, &stream.download(theirs)?) {
                return Err(format!("{m}x{n}x{k} of {}: the outputs differ from cuBLASLt's", T::DTYPE).into());
            }
        }
        if round >= WARM_UP.min(samples) {
            our_times.push(our_time.as_secs_f64() / count as f64);
            their_times.push(their_time.as_secs_f64() / count as f64);
        }
    }

    let work = 2.0 * m as f64 * n as f64 * k as f64;
    let mut row = format!(
        "{{\"what\": \"{what}\", \"type\": \"{}\", \"m\": {m}, \"n\": {n}, \"k\": {k}, \"sets\": {count}, \"kernel\": \"{}\"",
        T::DTYPE,
        ours.kernel
    );
    let mut told = |name: &str, times: Vec<f64>| {
        let time = median(times);
        write!(row, ", \"{name}_us\": {:.2}, \"{name}_tops\": {:.1}", time * 1e6, work / time / 1e12)
    };
    told("halfbyte", our_times)?;
    match peer {
        Ok(_) => told("cublaslt", their_times)?,
        Err(why) => write!(row, ", \"cublaslt\": \"{}\"", why.to_string().replace(['"', '\\'], "'"))?,
    }
    Ok(row + "}")
}

/// The median.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

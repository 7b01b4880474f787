//! `halfbyte profile`: what the kernels of an operation ask of a machine, counted on the emulator, against what the
//! problem needs, and the least time in which a GPU could do it.

mod attention;
mod attention_int8;
mod gemm;
mod gpu;
mod merge;
mod problem;
mod quantize;
mod table;

use std::collections::BTreeMap;

use halfbyte::device::Device;
use halfbyte::emulator::{Arch, Count, Counters, Kind, Place};
use halfbyte::{Error, Result};
use serde::Serialize;

use crate::args::{ProfileArgs, Where};
use crate::report::{json_line, say};
use gpu::{Gpu, Roofline};
use problem::{Ideal, Problem, Profiled};

/// What `--json` prints: one object on one line. Sizes are in bytes, times in seconds.
#[derive(Serialize)]
struct Report {
    op: &'static str,
    /// By dimension: `{"M": 512, ...}`.
    shape: BTreeMap<&'static str, usize>,
    types: String,
    /// The emulated device that the plan was made for.
    device: String,
    /// What the estimates are for.
    gpu: &'static Gpu,
    /// In the order in which they run.
    kernels: Vec<Kernel>,
    /// The sum of the kernels' estimates.
    estimate_s: f64,
}

#[derive(Serialize)]
struct Kernel {
    kernel: &'static str,
    plan: String,
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    blocks: u64,
    /// Times that a block's threads met at a barrier.
    barriers: u64,
    /// What the problem cannot do without.
    ideal: Ideal,
    /// Sums over the whole kernel, by the names of `halfbyte::emulator::Count`.
    total: Count,
    /// Warp instructions by kind.
    mix: Vec<(Kind, u64)>,
    roofline: Roofline,
    /// Every line that ran, the one that ran most first.
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    place: Place,
    count: Count,
}

/// Runs it.
///
/// # Errors
/// Bad input, or a kernel that fails.
pub fn run(args: &ProfileArgs) -> Result<bool> {
    let problem = Problem::new(args)?;
    let (arch, gpu) = target(args)?;
    let device = Device::emulator(arch);
    let kernels: Vec<Kernel> = problem.run(&device)?.into_iter().map(|kernel| Kernel::new(kernel, gpu)).collect();
    let report = Report {
        op: problem.operation.name,
        shape: problem.operation.dims.iter().copied().zip(problem.sizes.iter().copied()).collect(),
        types: problem.types(),
        device: format!("emulator:{arch}"),
        gpu,
        estimate_s: kernels.iter().map(|kernel| kernel.roofline.estimate_s).sum(),
        kernels,
    };
    if args.json {
        say(&json_line(&report));
    } else {
        say(table::report(&report, &problem.shape(), args.lines).trim_end());
    }
    Ok(true)
}

/// The architecture to emulate and the GPU to estimate for.
fn target(args: &ProfileArgs) -> Result<(Arch, &'static Gpu)> {
    let named = args.gpu.as_ref().map(|name| gpu::find(name).map_err(Error::Value)).transpose()?;
    let arch = match (args.arch, args.device) {
        (Some(Where::EmulatorAs(arch)), _) | (_, Some(Where::EmulatorAs(arch))) => arch,
        (_, Some(Where::Cuda(_))) => {
            return Err(Error::Unsupported("profile counts on the emulator; --device is emulator:ARCH".into()));
        }
        _ => named.map_or(Arch::Sm80, |gpu| gpu.arch),
    };
    let gpu = named.unwrap_or_else(|| gpu::of(arch));
    if arch.number() > gpu.arch.number() {
        let (name, own) = (gpu.name, gpu.arch);
        return Err(Error::Unsupported(format!("{name} is {own} and cannot run what is planned for {arch}")));
    }
    Ok((arch, gpu))
}

impl Kernel {
    fn new(profiled: Profiled, gpu: &Gpu) -> Kernel {
        let Profiled { plan, ideal, launch } = profiled;
        let row = launch.entry.row();
        let counters = launch.counters;
        let total = counters.total();
        let mut lines: Vec<Line> =
            counters.by_place().into_iter().map(|(place, count)| Line { place, count }).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.count.executions));
        let mut mix: Vec<(Kind, u64)> = counters.by_kind().into_iter().map(|(k, c)| (k, c.executions)).collect();
        mix.sort_by_key(|(_, executions)| std::cmp::Reverse(*executions));
        let bytes = ideal.bytes_read + ideal.bytes_written;
        Kernel {
            kernel: row.symbol,
            plan,
            grid: launch.grid,
            threads: row.threads,
            shared_bytes: launch.shared_bytes,
            blocks: counters.blocks,
            barriers: counters.barriers,
            ideal,
            total,
            mix,
            roofline: gpu.roofline(bytes, macs(&counters), total.wavefronts, counters.blocks),
            lines,
        }
    }
}

/// Multiply-accumulates of elements of 8 bits, and of 16.
fn macs(counters: &Counters) -> [u64; 2] {
    let mut of = [0; 2];
    for counted in &counters.instructions {
        let narrow = [".s8", ".u8", ".e4m3", ".e5m2"].iter().any(|ty| counted.instruction.contains(ty));
        of[usize::from(!narrow)] += counted.count.tensor_macs;
    }
    of
}

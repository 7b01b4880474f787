//! `halfbyte devices`: what kernels can run on here.

use halfbyte::Result;
use halfbyte::device::{Device, cuda_devices};
use halfbyte::emulator::Arch;
use halfbyte::plan::DeviceFacts;
use serde::Serialize;

use crate::args::ListArgs;
use crate::report::{json_line, say};

#[derive(Serialize)]
struct Line {
    /// As `--device` takes it.
    device: String,
    name: String,
    capability: u32,
    multiprocessors: u32,
    shared_bytes_per_block: u32,
    l2_bytes: u32,
    memory_bytes: Option<u64>,
}

/// Prints the list. Always succeeds: no GPU is a line, not an error.
///
/// # Errors
/// None today.
pub fn run(args: &ListArgs) -> Result<bool> {
    let cuda = cuda_devices();
    let mut lines: Vec<Line> = Vec::new();
    for gpu in cuda.as_deref().unwrap_or_default() {
        lines.push(line(format!("cuda:{}", gpu.ordinal), &gpu.name, &gpu.facts, Some(gpu.memory_bytes)));
    }
    for arch in [Arch::Sm80, Arch::Sm89, Arch::Sm90a] {
        let device = Device::emulator(arch);
        lines.push(line(format!("emulator:{arch}"), device.name(), device.facts(), None));
    }
    for line in &lines {
        if args.json {
            say(&json_line(line));
            continue;
        }
        let memory = line.memory_bytes.map_or("host memory".into(), |bytes| format!("{} GiB", bytes >> 30));
        say(&format!(
            "{:<18} {:<28} compute {}.{}  {:>3} SMs  {:>6} B shared a block  {:>3} MB L2  {memory}",
            line.device,
            line.name,
            line.capability / 10,
            line.capability % 10,
            line.multiprocessors,
            line.shared_bytes_per_block,
            line.l2_bytes >> 20,
        ));
    }
    match cuda {
        Err(why) if !args.json => say(&format!("no GPU: {why}")),
        Ok(gpus) if gpus.is_empty() && !args.json => say("no GPU: the CUDA driver knows none"),
        _ => {}
    }
    Ok(true)
}

fn line(device: String, name: &str, facts: &DeviceFacts, memory_bytes: Option<u64>) -> Line {
    Line {
        device,
        name: name.to_string(),
        capability: facts.capability,
        multiprocessors: facts.sm_count,
        shared_bytes_per_block: facts.shared_per_block,
        l2_bytes: facts.l2_bytes,
        memory_bytes,
    }
}

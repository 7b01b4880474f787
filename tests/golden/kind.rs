//! How near the emulator must be to a GPU, probe by probe.

use halfbyte::kernels::instructions;
use halfbyte::op::ProbeOutput;

use super::approximate;

/// What equality means for a probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every bit.
    Bits,
    /// Every bit where sums are exact; elsewhere not compared yet.
    ExactSums,
    /// Both within the bounds of the PTX ISA.
    Approximate,
}

impl Kind {
    /// The kind of a probe.
    pub fn of(probe: &str) -> Kind {
        if probe.ends_with("_approximate") || probe.ends_with("_approximate_bf16") {
            Kind::Approximate
        } else if (probe.starts_with("mma_") || probe.starts_with("wgmma_")) && !probe.contains("int8") {
            Kind::ExactSums
        } else {
            Kind::Bits
        }
    }

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bits => "every bit",
            Kind::ExactSums => "every bit of exact sums",
            Kind::Approximate => "within the bound of the PTX ISA",
        }
    }
}

/// Compares what the emulator gave with what a GPU gave.
pub fn compare(probe: &ProbeOutput, gpu: &[u32]) -> Result<(), String> {
    let ours = probe.recorded();
    if Kind::of(probe.name) == Kind::Approximate {
        let report = approximate::check(&instructions(probe.entry), &probe.input, &ours, Some(gpu))?;
        println!("{}:{report}", probe.name);
        return Ok(());
    }
    let counts = |i: usize| match Kind::of(probe.name) {
        Kind::Bits => true,
        // The first 8 of 32 blocks, of 128 words each.
        Kind::ExactSums if probe.name.starts_with("mma_") => i / 128 % 32 < 8,
        Kind::ExactSums | Kind::Approximate => false,
    };
    let wrong: Vec<usize> = (0..gpu.len()).filter(|&i| counts(i) && ours[i] != gpu[i]).collect();
    let Some(&first) = wrong.first() else { return Ok(()) };
    let shown: Vec<String> =
        wrong.iter().take(6).map(|&i| format!("word {i}: {:#010x}, the GPU {:#010x}", ours[i], gpu[i])).collect();
    Err(format!("{} of {} words differ, from word {first} on: {}", wrong.len(), gpu.len(), shown.join("; ")))
}

//! How near the emulator must be to a GPU, probe by probe.

use halfbyte::kernels::instructions;
use halfbyte::op::ProbeOutput;

use super::approximate;

/// What equality means for a probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every bit.
    Bits,
    /// Both within the bounds of the PTX ISA.
    Approximate,
}

impl Kind {
    /// The kind of a probe.
    pub fn of(probe: &str) -> Kind {
        if probe.ends_with("_approximate") || probe.ends_with("_approximate_bf16") {
            Kind::Approximate
        } else {
            Kind::Bits
        }
    }

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bits => "every bit",
            Kind::Approximate => "within the bound of the PTX ISA",
        }
    }
}

/// Instructions where machine code departs from the PTX ISA, which the emulator follows; with what it does.
pub const DEPARTURES: [(&str, &str); 1] = [("mad.hi.sat.s32", "ptxas 13.0 leaves `.sat` out")];

/// Probes that came after the last run on a GPU, and have no file in its folder yet.
pub const NOT_YET: [(&str, &[&str]); 1] = [("nvidia-h100-80gb-hbm3", &["warp_movmatrix"])];

/// Compares what the emulator gave with what a GPU gave.
pub fn compare(probe: &ProbeOutput, gpu: &[u32]) -> Result<(), String> {
    let ours = probe.recorded();
    if Kind::of(probe.name) == Kind::Approximate {
        let report = approximate::check(&instructions(probe.entry), &probe.input, &ours, Some(gpu))?;
        println!("{}:{report}", probe.name);
        return Ok(());
    }
    let n = probe.input.len() / 4;
    let opcodes = opcodes(probe, ours.len());
    let departs = |i: usize| {
        opcodes.as_ref().is_some_and(|opcodes| DEPARTURES.iter().any(|(opcode, _)| *opcode == opcodes[i / n]))
    };
    let wrong: Vec<usize> = (0..gpu.len()).filter(|&i| ours[i] != gpu[i] && !departs(i)).collect();
    let Some(&first) = wrong.first() else { return Ok(()) };
    let differ = format!("{} of {} words differ, from word {first} on", wrong.len(), gpu.len());
    let at = |i: usize| format!("{:#010x}, the GPU {:#010x}", ours[i], gpu[i]);
    let Some(opcodes) = opcodes else {
        let shown: Vec<String> = wrong.iter().take(6).map(|&i| format!("word {i}: {}", at(i))).collect();
        return Err(format!("{differ}: {}", shown.join("; ")));
    };
    // By instruction, with operands.
    let mut text = differ;
    for (result, opcode) in opcodes.iter().enumerate() {
        let of: Vec<usize> = wrong.iter().copied().filter(|i| i / n == result).collect();
        if !of.is_empty() {
            text += &format!("\n  {opcode}: {} of {n}", of.len());
        }
        for &i in of.iter().take(8) {
            let [a, b, c, e] = [0, 1, 2, 3].map(|operand| probe.input[operand * n + i % n]);
            text += &format!("\n    {a:#010x} {b:#010x} {c:#010x} {e:#010x}: {}", at(i));
        }
    }
    Err(text)
}

/// The instruction of each result, where a result is a word of every thread: of 64 bits the low word, then the high
/// one.
fn opcodes(probe: &ProbeOutput, words: usize) -> Option<Vec<String>> {
    let n = probe.input.len() / 4;
    let plain =
        |opcode: &String| ["st.", "ld.", "mov.", "selp.", "setp.", "and."].iter().all(|p| !opcode.starts_with(p));
    let mut results = Vec::new();
    for opcode in instructions(probe.entry).into_iter().filter(plain) {
        let to = if opcode.contains(".wide.") && opcode.ends_with("32") { 64 } else { width(&opcode) };
        let count = usize::from(to == 64) + 1;
        let count = if opcode.starts_with("atom.") { 2 * count } else { count };
        (0..count).for_each(|i| results.push(if count == 1 { opcode.clone() } else { format!("{opcode}[{i}]") }));
    }
    (results.len() * n == words).then_some(results)
}

/// Bits of an instruction's result.
fn width(opcode: &str) -> u32 {
    let types: Vec<&str> = opcode.split('.').filter(|part| part.ends_with("64")).collect();
    let counts = ["popc", "clz", "bfind"].iter().any(|stem| opcode.starts_with(stem));
    let first = match opcode.strip_prefix("cvt") {
        Some(rest) => rest.split('.').rev().nth(1).is_some_and(|part| part.ends_with("64")),
        None => !types.is_empty() && !counts,
    };
    if first { 64 } else { 32 }
}

//! What a launch counted.

use std::collections::BTreeMap;
use std::fmt;

use super::super::ir::Code;
use super::super::report::Report;

/// What one instruction, or one source line, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Warp instructions executed.
    pub executions: u64,
    /// 32-byte sectors of global memory read.
    pub sectors_read: u64,
    /// 32-byte sectors of global memory written.
    pub sectors_written: u64,
    /// Passes that its shared-memory accesses took: 32 banks of 4 bytes, one word a bank and pass.
    pub wavefronts: u64,
    /// Passes that they would take without bank conflicts.
    pub wavefronts_ideal: u64,
    /// Multiply-accumulates on tensor cores.
    pub tensor_macs: u64,
}

impl Count {
    fn add(&mut self, other: &Count) {
        self.executions += other.executions;
        self.sectors_read += other.sectors_read;
        self.sectors_written += other.sectors_written;
        self.wavefronts += other.wavefronts;
        self.wavefronts_ideal += other.wavefronts_ideal;
        self.tensor_macs += other.tensor_macs;
    }
}

/// One PTX instruction's count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructionCount {
    /// Its text.
    pub instruction: String,
    /// 1-based line of the PTX text.
    pub ptx_line: u32,
    /// Kernel source file and 1-based line, if the PTX tells.
    pub source: Option<(String, u32)>,
    /// What it did.
    pub count: Count,
}

/// What a launch counted. Totals are always there; `instructions` only when the launch asked for them. The numbers are
/// exact for the accesses that the PTX makes, and the same in every run of a race-free kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks run.
    pub blocks: u64,
    /// Warp instructions executed, in all.
    pub warp_instructions: u64,
    /// Times that a block's threads met at a barrier.
    pub barriers: u64,
    /// Bytes of host memory that one block's state took at most: registers, shared and local memory, queues.
    pub block_bytes: u64,
    /// Per instruction that ran, in the order of the PTX text.
    pub instructions: Vec<InstructionCount>,
    /// What a checked launch found, one report a pair of instructions.
    pub reports: Vec<Report>,
    /// Findings between further pairs of instructions, beyond the most that are kept.
    pub reports_dropped: u64,
}

impl Counters {
    /// The sum over all instructions.
    pub fn total(&self) -> Count {
        let mut sum = Count::default();
        self.instructions.iter().for_each(|i| sum.add(&i.count));
        sum
    }

    /// Sums per line of kernel source (or of the PTX text, where the source is not known), in order.
    pub fn by_line(&self) -> BTreeMap<(String, u32), Count> {
        let mut lines = BTreeMap::new();
        for i in &self.instructions {
            let key = i.source.clone().unwrap_or_else(|| ("PTX".into(), i.ptx_line));
            lines.entry(key).or_insert_with(Count::default).add(&i.count);
        }
        lines
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} blocks, {} warp instructions, {} barriers",
            self.blocks, self.warp_instructions, self.barriers
        )?;
        if self.instructions.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "{:>12} {:>12} {:>12} {:>12} {:>12} {:>14}  line",
            "executions", "sectors in", "sectors out", "wavefronts", "ideal", "tensor MACs"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, c: &Count| {
            let Count { executions, sectors_read, sectors_written, wavefronts, wavefronts_ideal, tensor_macs } = c;
            write!(
                f,
                "{executions:>12} {sectors_read:>12} {sectors_written:>12} {wavefronts:>12} {wavefronts_ideal:>12} {tensor_macs:>14}"
            )
        };
        for ((file, line), count) in self.by_line() {
            row(f, &count)?;
            writeln!(f, "  {file}:{line}")?;
        }
        row(f, &self.total())?;
        writeln!(f, "  in all")
    }
}

/// Counts of one worker, by [`crate::emulator::ir::Inst::at`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Empty when nobody asked.
    pub counts: Vec<Count>,
    /// Blocks run to their end.
    pub blocks: u64,
    /// Warp instructions.
    pub warp_instructions: u64,
    /// Barriers completed.
    pub barriers: u64,
    /// The largest state of a block that ended, in bytes.
    pub block_bytes: u64,
}

impl Tally {
    /// A tally for this code.
    pub fn new(code: &Code, count: bool) -> Tally {
        Tally { counts: vec![Count::default(); if count { code.lines.len() } else { 0 }], ..Tally::default() }
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Tally) {
        self.blocks += other.blocks;
        self.warp_instructions += other.warp_instructions;
        self.barriers += other.barriers;
        self.block_bytes = self.block_bytes.max(other.block_bytes);
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| a.add(b));
    }

    /// The public form.
    pub fn finish(self, code: &Code) -> Counters {
        let ran = self.counts.into_iter().zip(&code.lines).filter(|(count, _)| count.executions > 0);
        let instructions = ran.map(|(count, at)| InstructionCount {
            instruction: at.text.clone(),
            ptx_line: at.ptx_line,
            source: at.file.and_then(|file| Some((code.files.get(file as usize)?.clone(), at.line))),
            count,
        });
        Counters {
            blocks: self.blocks,
            warp_instructions: self.warp_instructions,
            barriers: self.barriers,
            block_bytes: self.block_bytes,
            instructions: instructions.collect(),
            reports: Vec::new(),
            reports_dropped: 0,
        }
    }
}

/// Distinct 32-byte sectors that the active lanes touch.
pub(crate) fn sectors(addresses: &[u64; 32], active: u32, bytes: u64) -> u64 {
    let mut seen = Vec::with_capacity(64);
    for lane in (0..32).filter(|lane| active >> lane & 1 == 1) {
        let first = addresses[lane] / 32;
        let last = addresses[lane].saturating_add(bytes - 1) / 32;
        seen.extend(first..=last);
    }
    seen.sort_unstable();
    seen.dedup();
    seen.len() as u64
}

/// Passes over the banks that an access takes, and the least that it could take. 8-byte accesses go half a warp at a
/// time, 16-byte ones a quarter; lanes that want the same word share it.
pub(crate) fn wavefronts(addresses: &[u64; 32], active: u32, bytes: u64) -> (u64, u64) {
    let lanes_a_pass = match bytes {
        0..=4 => 32,
        5..=8 => 16,
        _ => 8,
    };
    let (mut passes, mut ideal) = (0, 0);
    for first in (0..32).step_by(lanes_a_pass) {
        let mut words: Vec<u64> = Vec::with_capacity(32);
        for lane in (first..first + lanes_a_pass).filter(|lane| active >> lane & 1 == 1) {
            words.extend(addresses[lane] / 4..=addresses[lane].saturating_add(bytes - 1) / 4);
        }
        if words.is_empty() {
            continue;
        }
        words.sort_unstable();
        words.dedup();
        let mut banks = [0u64; 32];
        words.iter().for_each(|w| banks[(w % 32) as usize] += 1);
        passes += banks.iter().max().copied().unwrap_or(0);
        ideal += 1;
    }
    (passes, ideal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stride(step: u64) -> [u64; 32] {
        std::array::from_fn(|i| i as u64 * step)
    }

    #[test]
    fn sectors_are_counted_once() {
        assert_eq!(sectors(&stride(4), u32::MAX, 4), 4);
        assert_eq!(sectors(&stride(0), u32::MAX, 4), 1);
        assert_eq!(sectors(&stride(32), u32::MAX, 4), 32);
        assert_eq!(sectors(&stride(16), u32::MAX, 16), 16);
        assert_eq!(sectors(&stride(4), 1, 4), 1);
        assert_eq!(sectors(&[30; 32], 1, 4), 2);
    }

    #[test]
    fn wavefronts_follow_the_banks() {
        assert_eq!(wavefronts(&stride(4), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(8), u32::MAX, 4), (2, 1));
        assert_eq!(wavefronts(&stride(128), u32::MAX, 4), (32, 1));
        assert_eq!(wavefronts(&stride(0), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(132), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(8), u32::MAX, 8), (2, 2));
        assert_eq!(wavefronts(&stride(16), u32::MAX, 16), (4, 4));
        assert_eq!(wavefronts(&stride(128), u32::MAX, 16), (32, 4));
        assert_eq!(wavefronts(&stride(16), 0xFF, 16), (1, 1));
        assert_eq!(wavefronts(&stride(1), u32::MAX, 1), (1, 1));
    }
}

//! What a launch counted.

mod count;
mod kind;
mod tally;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::super::report::Report;
pub use count::Count;
pub use kind::Kind;
pub(crate) use tally::Tally;
pub(crate) use traffic::wavefronts;

/// One PTX instruction's count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstructionCount {
    /// Its text.
    pub instruction: String,
    /// What it is for.
    pub kind: Kind,
    /// 1-based line of the PTX text.
    pub ptx_line: u32,
    /// Kernel source file and 1-based line, if the PTX tells.
    pub source: Option<(String, u32)>,
    /// File and line of the call that was inlined there, if it is part of one.
    pub caller: Option<(String, u32)>,
    /// What it did.
    pub count: Count,
}

/// A line of kernel source as one of its callers uses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// File and 1-based line; "PTX" and the line of the PTX text where the source is not known.
    pub source: (String, u32),
    /// File and line of the call that was inlined there, if it is part of one.
    pub caller: Option<(String, u32)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = &self.source;
        write!(f, "{file}:{line}")?;
        match &self.caller {
            // Names in angle brackets are no files: generated code.
            Some((caller, line)) if !caller.starts_with('<') => write!(f, " from {caller}:{line}"),
            _ => Ok(()),
        }
    }
}

/// What a launch counted. Totals are always there; `instructions` only when the launch asked for them.
///
/// The numbers are exact for what the PTX asks for, and the same in every run and for any number of host threads, for
/// every kernel without races that does not poll for what other blocks do. They are a property of the PTX and its
/// arguments, not of a GPU. Not modelled are:
///
/// - caches: a sector counts each time that it is touched, wherever a GPU would find it;
/// - machine code: the assembler may merge, split, move or drop instructions, and it spills registers that PTX has;
/// - shared memory behind the back of the warps: what TMA writes and what `wgmma` reads, and accesses of mbarriers;
/// - what goes on inside an access: 8- and 16-bit accesses of shared memory are counted by their 4-byte words, and an
///   atomic of shared memory takes a pass for each lane of a bank;
/// - time: latencies, issue slots, queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Blocks run.
    pub blocks: u64,
    /// Steps of the emulator: warp instructions, and a few more where it takes several for one instruction of PTX.
    pub warp_instructions: u64,
    /// Times that a block's threads met at a barrier.
    pub barriers: u64,
    /// Bytes of host memory that one block's state took at most: registers, shared and local memory, queues.
    pub block_bytes: u64,
    /// Per instruction that ran, in the order of the PTX text.
    pub instructions: Vec<InstructionCount>,
    /// What a checked launch found, one report a pair of instructions.
    #[serde(skip)]
    pub reports: Vec<Report>,
    /// Findings between further pairs of instructions, beyond the most that are kept.
    #[serde(skip)]
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
        self.sums(|i| i.source.clone().unwrap_or_else(|| ("PTX".into(), i.ptx_line)))
    }

    /// Sums per line of kernel source and the call that it was inlined for, in order.
    pub fn by_place(&self) -> BTreeMap<Place, Count> {
        self.sums(|i| {
            let source = i.source.clone().unwrap_or_else(|| ("PTX".into(), i.ptx_line));
            Place { source, caller: i.caller.clone() }
        })
    }

    /// Sums per kind of instruction, of those kinds that ran.
    pub fn by_kind(&self) -> BTreeMap<Kind, Count> {
        self.sums(|i| i.kind)
    }

    fn sums<K: Ord>(&self, key: impl Fn(&InstructionCount) -> K) -> BTreeMap<K, Count> {
        let mut sums = BTreeMap::new();
        for i in &self.instructions {
            sums.entry(key(i)).or_insert_with(Count::default).add(&i.count);
        }
        sums
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { blocks, warp_instructions, barriers, .. } = self;
        writeln!(f, "{blocks} blocks, {warp_instructions} warp instructions, {barriers} barriers")?;
        if self.instructions.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "{:>12} {:>5} {:>11} {:>11} {:>11} {:>11} {:>14}  line",
            "executions", "lanes", "sectors in", "sectors out", "wavefronts", "ideal", "tensor MACs"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, c: &Count| {
            write!(
                f,
                "{:>12} {:>5.1} {:>11} {:>11} {:>11} {:>11} {:>14}",
                c.executions,
                c.lanes_active(),
                c.sectors_read,
                c.sectors_written,
                c.wavefronts,
                c.wavefronts_ideal,
                c.tensor_macs
            )
        };
        for (place, count) in self.by_place() {
            row(f, &count)?;
            writeln!(f, "  {place}")?;
        }
        row(f, &self.total())?;
        writeln!(f, "  in all")
    }
}

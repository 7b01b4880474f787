//! Counting while a kernel runs. None of it runs unless the launch asked for it.

use super::super::super::ir::Code;
use super::super::run::Run;
use super::traffic::{footprint, ranges, wavefronts_atomic};
use super::{Count, Counters, InstructionCount, Kind, wavefronts};

/// Counts of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Per operation of [`Code::insts`]; empty when nobody asked.
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
        Tally { counts: vec![Count::default(); if count { code.insts.len() } else { 0 }], ..Tally::default() }
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
        // Operations of one instruction stand together. It ran as often as its last one, which has its guard.
        let mut of_lines = vec![Count::default(); code.lines.len()];
        for (inst, count) in code.insts.iter().zip(self.counts) {
            let Some(line) = of_lines.get_mut(inst.at as usize) else { continue };
            line.add(&count);
            (line.executions, line.lanes, line.diverged) = (count.executions, count.lanes, count.diverged);
        }
        let ran = of_lines.into_iter().zip(&code.lines).filter(|(count, _)| count.executions > 0);
        let place = |file: u32, line: u32| Some((code.files.get(file as usize)?.clone(), line));
        let instructions = ran.map(|(count, at)| InstructionCount {
            instruction: at.text.clone(),
            kind: Kind::of(&at.text),
            ptx_line: at.ptx_line,
            source: at.file.and_then(|file| place(file, at.line)),
            caller: at.caller.and_then(|(file, line)| place(file, line)),
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

impl Run<'_> {
    /// The count of the current operation, if somebody asked.
    #[inline(always)]
    pub fn count(&mut self) -> Option<&mut Count> {
        // There are none when nobody asked.
        self.tally.counts.get_mut(self.pc as usize)
    }

    /// Did somebody ask for counts?
    #[inline(always)]
    pub fn counting(&self) -> bool {
        !self.tally.counts.is_empty()
    }

    /// Counts an execution by these lanes.
    #[inline(never)]
    pub(in super::super) fn count_execution(&mut self, active: u32) {
        let diverged = self.mask != self.warp.live;
        if let Some(count) = self.count() {
            count.executions += 1;
            count.lanes += u64::from(active.count_ones());
            count.diverged += u64::from(diverged);
        }
    }

    /// Takes back an execution that is tried again later.
    #[inline(never)]
    pub(in super::super) fn discount_execution(&mut self, active: u32) {
        let diverged = self.mask != self.warp.live;
        if let Some(count) = self.count() {
            count.executions -= 1;
            count.lanes -= u64::from(active.count_ones());
            count.diverged -= u64::from(diverged);
        }
    }

    /// Counts a load or store of global memory.
    #[inline(never)]
    pub(in super::super) fn count_global(&mut self, at: &[u64; 32], active: u32, bytes: u64, store: bool) {
        let (sectors, bytes) = footprint(ranges(at, active, bytes));
        let Some(count) = self.count() else { return };
        if store {
            count.requests_written += 1;
            count.sectors_written += sectors;
            count.bytes_written += bytes;
        } else {
            count.requests_read += 1;
            count.sectors_read += sectors;
            count.bytes_read += bytes;
        }
    }

    /// Counts an access of shared memory.
    #[inline(never)]
    pub(in super::super) fn count_shared(&mut self, at: &[u64; 32], active: u32, bytes: u64) {
        let (passes, ideal) = wavefronts(at, active, bytes);
        if let Some(count) = self.count() {
            count.wavefronts += passes;
            count.wavefronts_ideal += ideal;
        }
    }

    /// Counts an atomic operation: of global memory as a write, and as a read too if it returns what was there.
    #[inline(never)]
    pub(in super::super) fn count_atomic(
        &mut self,
        at: &[u64; 32],
        active: u32,
        bytes: u64,
        shared: bool,
        returns: bool,
    ) {
        if shared {
            let (passes, ideal) = wavefronts_atomic(at, active, bytes);
            if let Some(count) = self.count() {
                count.wavefronts += passes;
                count.wavefronts_ideal += ideal;
            }
            return;
        }
        self.count_global(at, active, bytes, true);
        if returns {
            self.count_global(at, active, bytes, false);
        }
    }

    /// Counts `cp.async`: a read of so many bytes a lane, and a write of shared memory of `size` bytes a lane.
    #[inline(never)]
    pub(in super::super) fn count_cp_async(
        &mut self,
        from: &[u64; 32],
        to: &[u64; 32],
        active: u32,
        size: u64,
        taken: &[u8; 32],
    ) {
        self.count_shared(to, active, size);
        let lanes = (0..32).filter(|lane| active >> lane & 1 == 1);
        let (sectors, bytes) = footprint(lanes.map(|lane| (from[lane], u64::from(taken[lane]).min(size))));
        let Some(count) = self.count() else { return };
        count.requests_read += u64::from(sectors > 0);
        count.sectors_read += sectors;
        count.bytes_read += bytes;
        count.async_bytes += size * u64::from(active.count_ones());
    }

    /// Counts a bulk copy of so many bytes that reads these sectors.
    pub(in super::super) fn count_bulk(&mut self, sectors: u64, read: u64, bytes: u64) {
        let Some(count) = self.count() else { return };
        count.requests_read += u64::from(sectors > 0);
        count.sectors_read += sectors;
        count.bytes_read += read;
        count.async_bytes += bytes;
    }
}

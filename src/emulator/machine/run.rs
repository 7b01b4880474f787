//! What an instruction sees while it runs, and the report when it fails.

use super::super::arch::Arch;
use super::super::check::GlobalShadow;
use super::super::fault::{Fault, FaultKind, Site};
use super::super::ir::{Code, PredSrc, Reg, V32, V64};
use super::super::report::Reports;
use super::super::simd::Level;
use super::counters::Tally;
use super::cta::Cta;
use super::memory::Snapshot;
use super::print::Output;
use super::tensor::AsyncOrder;
use super::warp::Warp;
use super::words::Bytes;

/// What all blocks of a launch share.
pub(crate) struct Launch<'a> {
    /// The kernel.
    pub code: &'a Code,
    /// Grid in blocks.
    pub grid: [u32; 3],
    /// Block in threads.
    pub block: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub dynamic_shared: u32,
    /// All shared memory of a block in bytes.
    pub total_shared: u32,
    /// Local memory of a thread in bytes, the stack included.
    pub local_bytes: u32,
    /// The parameter block.
    pub params: Bytes,
    /// Global memory.
    pub memory: Snapshot,
    /// Registers of the 64-bit file that hold addresses of module variables.
    pub addresses: Vec<(Reg, u64)>,
    /// Device address of the module's constant bank.
    pub const_base: u64,
    /// Vector instructions to use.
    pub level: Level,
    /// The modelled device.
    pub arch: Arch,
    /// When asynchronous operations take effect.
    pub async_order: AsyncOrder,
    /// What blocks print.
    pub output: Output,
    /// Where findings go, in checked mode.
    pub reports: Option<Reports>,
    /// Who touched global memory, in checked mode.
    pub shadow: Option<GlobalShadow>,
}

impl Launch<'_> {
    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Bytes of registers, shared and local memory of a block.
    pub fn state_bytes(&self) -> u64 {
        state_bytes(self.code, self.threads(), self.total_shared, self.local_bytes)
    }

    /// The index in the grid of a block by its number.
    pub fn block_place(&self) -> impl Fn(u32) -> [u32; 3] + use<> {
        let [x, y, _] = self.grid.map(|n| n.max(1));
        move |number| [number % x, number / x % y, number / x / y]
    }

    /// Blocks of the grid.
    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|n| u64::from(*n)).product()
    }
}

/// One warp while it runs.
pub(crate) struct Run<'a> {
    /// The launch.
    pub launch: &'a Launch<'a>,
    /// Its block.
    pub cta: &'a mut Cta,
    /// The warp.
    pub warp: &'a mut Warp,
    /// Counters.
    pub tally: &'a mut Tally,
    /// The instruction that runs.
    pub pc: u32,
    /// Lanes of the fragment that runs.
    pub mask: u32,
}

impl Run<'_> {
    /// Lanes where a predicate operand holds.
    #[inline(always)]
    pub fn lanes_of(&self, p: PredSrc) -> u32 {
        let lanes = self.warp.regs.pred[usize::from(p.pred)];
        if p.negated { !lanes } else { lanes }
    }

    /// A 32-bit register of one lane.
    #[inline(always)]
    pub fn lane32(&self, r: Reg, lane: usize) -> u32 {
        self.warp.regs.r32[usize::from(r)].0[lane & 31]
    }

    /// A 32-bit register that must hold the same in all active lanes.
    pub fn uniform32(&self, r: Reg, active: u32, what: &str) -> Result<u32, Fault> {
        let values = &self.warp.regs.r32[usize::from(r)].0;
        let first = values[active.trailing_zeros() as usize & 31];
        match (0..32).find(|i| active >> i & 1 == 1 && values[*i] != first) {
            None => Ok(first),
            Some(lane) => {
                let text = format!("{what} differs between lanes: {first} and, in lane {lane}, {}", values[lane]);
                Err(self.fault(FaultKind::Divergence, text, active))
            }
        }
    }

    /// A report about these lanes at the current instruction.
    #[cold]
    pub fn fault(&self, kind: FaultKind, message: String, lanes: u32) -> Fault {
        let mut fault = Fault::new(kind, message);
        let mut site = site(self.launch.code, self.pc, self.cta.index, self.warp.index, lanes);
        if lanes != 0 {
            site.callers.extend(self.callers(lanes.trailing_zeros() as usize));
        }
        fault.site = Some(Box::new(site));
        fault
    }

    /// The report of an instruction that the interpreter has no routine for.
    #[cold]
    pub fn unknown(&self) -> Fault {
        self.fault(FaultKind::Unsupported, "this form of the instruction is not supported".into(), 0)
    }
}

/// Bytes of registers, shared and local memory of a block of so many threads.
pub(super) fn state_bytes(code: &Code, threads: u32, shared: u32, local_bytes: u32) -> u64 {
    let Code { num_r32, num_r64, num_pred, .. } = code;
    let warp = num_r32 * size_of::<V32>() + num_r64 * size_of::<V64>() + num_pred * size_of::<u32>();
    let threads = u64::from(threads.next_multiple_of(32));
    threads / 32 * warp as u64 + threads * u64::from(local_bytes.next_multiple_of(16)) + u64::from(shared)
}

/// Where a warp stands.
pub(crate) fn site(code: &Code, pc: u32, block: [u32; 3], warp: u32, lanes: u32) -> Site {
    let at = code.insts.get(pc as usize).and_then(|inst| code.lines.get(inst.at as usize));
    // Functions stand one after the other, and the entry behind them.
    let inside = code.functions.iter().rfind(|function| function.start <= pc && pc < code.start);
    let inlined =
        at.and_then(|at| at.caller).and_then(|(file, line)| Some((code.files.get(file as usize)?.clone(), line)));
    Site {
        kernel: code.name.clone(),
        instruction: at.map_or(String::new(), |at| at.text.clone()),
        ptx_line: at.map_or(0, |at| at.ptx_line),
        source: at.and_then(|at| Some((code.files.get(at.file? as usize)?.clone(), at.line))),
        block,
        warp,
        lanes,
        function: inside.map(|function| function.name.clone()),
        callers: inlined.into_iter().collect(),
    }
}

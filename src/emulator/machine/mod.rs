//! The modelled device: memory, launches, and the machinery that runs a kernel.

mod access;
mod alu;
mod atomic;
mod balance;
mod block;
mod call;
mod checked;
mod collective;
mod counters;
mod cta;
mod fenced;
mod format;
mod global;
mod grid;
mod interpret;
mod load;
mod mbarrier;
mod memory;
mod operand;
mod print;
mod rare;
mod run;
mod stuck;
mod tensor;
mod warp;
mod words;
mod written;

use std::sync::{Mutex, OnceLock, PoisonError};

pub use counters::{Count, Counters, InstructionCount, Kind, Place};
pub use operand::Operand;
pub(crate) use run::site;
pub use tensor::AsyncOrder;

use super::arch::Arch;
use super::check::GlobalShadow;
use super::code::Module;
use super::fault::{Fault, FaultKind};
use super::ir::Code;
use super::simd::{Level, Simd};
use memory::GlobalMemory;
use operand::Operands;
use run::Launch;
use words::Bytes;

/// Warp instructions after which a launch is taken for endless, unless the options say otherwise: minutes of running.
const STEP_LIMIT: u64 = 20_000_000_000;
/// Stack of a thread for functions that call themselves, unless the options say otherwise, and at most.
const STACK_BYTES: u32 = 16 << 10;
const MAX_STACK: u32 = 512 << 10;
/// Host threads at most.
const MAX_WORKERS: usize = 256;

/// How a [`Machine`] runs kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineOptions {
    /// The modelled device.
    pub arch: Arch,
    /// Host threads that run blocks; `None` for one a core.
    pub threads: Option<usize>,
    /// Vector instructions of the host, where it has them; `None` for the best. Results do not depend on it.
    pub simd: Option<Simd>,
    /// When asynchronous copies and products take effect.
    pub async_order: AsyncOrder,
    /// Steps after which a launch is ended with a fault: one for each warp instruction, and some for each block that
    /// starts and for each turn of one that waits, so that neither a huge grid nor a wait without end goes on for ever.
    pub step_limit: u64,
    /// Look for races, reads of bytes never written and the other findings of [`ReportKind`](super::ReportKind), and
    /// list them in [`Counters::reports`]. Several times slower.
    pub checked: bool,
    /// Bytes of local memory that each thread has more for calls of functions that call themselves: what
    /// `cudaLimitStackSize` sets on a device. Kernels without recursion need none of it.
    pub stack_bytes: u32,
}

impl MachineOptions {
    /// The defaults for an architecture.
    pub fn new(arch: Arch) -> MachineOptions {
        MachineOptions {
            arch,
            threads: None,
            simd: None,
            async_order: AsyncOrder::Late,
            step_limit: STEP_LIMIT,
            checked: false,
            stack_bytes: STACK_BYTES,
        }
    }
}

/// Grid, block and shared memory of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchConfig {
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y and z.
    pub block: [u32; 3],
    /// Blocks of a cluster in x, y and z; only clusters of one block are modelled.
    pub cluster: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub shared_bytes: u32,
    /// Gather counters per instruction (slower).
    pub count: bool,
}

impl LaunchConfig {
    /// A one-dimensional launch without dynamic shared memory.
    pub fn linear(blocks: u32, threads: u32) -> LaunchConfig {
        LaunchConfig { grid: [blocks, 1, 1], block: [threads, 1, 1], cluster: [1; 3], shared_bytes: 0, count: false }
    }
}

/// One modelled device: its global memory and the threads that run blocks. Addresses of one machine mean nothing to
/// another.
pub struct Machine {
    options: MachineOptions,
    level: Level,
    memory: GlobalMemory,
    modules: load::Modules,
    output: Mutex<Vec<u8>>,
    pool: OnceLock<Option<rayon::ThreadPool>>,
}

impl Machine {
    /// A device of this architecture with default options.
    pub fn new(arch: Arch) -> Machine {
        Machine::with(MachineOptions::new(arch))
    }

    /// A device with these options.
    pub fn with(options: MachineOptions) -> Machine {
        Machine {
            options,
            level: Level::new(options.simd),
            memory: GlobalMemory::new(options.checked),
            modules: Default::default(),
            output: Mutex::default(),
            pool: OnceLock::new(),
        }
    }

    /// The options it was made with.
    pub fn options(&self) -> &MachineOptions {
        &self.options
    }

    /// The modelled architecture.
    pub fn arch(&self) -> Arch {
        self.options.arch
    }

    /// The vector instructions in use.
    pub fn simd(&self) -> Simd {
        self.level.simd()
    }

    /// Allocates global memory and returns its device address, a multiple of 256. Bytes are `0xFF` until written.
    /// Allocations are apart, so that an access past the end of one is never inside another.
    ///
    /// # Errors
    /// [`FaultKind::OutOfMemory`].
    pub fn alloc(&self, bytes: usize, name: &str) -> Result<u64, Fault> {
        self.memory.alloc(bytes, name)
    }

    /// Frees an allocation by its address. The address is never used again.
    ///
    /// # Errors
    /// An address that no allocation starts at.
    pub fn free(&self, address: u64) -> Result<(), Fault> {
        self.memory.free(address)
    }

    /// Copies bytes from global memory to the host.
    ///
    /// # Errors
    /// A range that is not inside one allocation.
    pub fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Fault> {
        let (allocation, offset) = self.memory.find(address, out.len(), "host read")?;
        allocation.copy_out(offset, out);
        Ok(())
    }

    /// Copies bytes from the host to global memory.
    ///
    /// # Errors
    /// A range that is not inside one allocation.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), Fault> {
        let (allocation, offset) = self.memory.find(address, data.len(), "host write")?;
        allocation.copy_in(offset, data);
        Ok(())
    }

    /// Sets bytes of global memory.
    ///
    /// # Errors
    /// A range that is not inside one allocation.
    pub fn fill(&self, address: u64, byte: u8, len: usize) -> Result<(), Fault> {
        let (allocation, offset) = self.memory.find(address, len, "host fill")?;
        let chunk = [byte; 4096];
        let mut done = 0;
        while done < len {
            let n = chunk.len().min(len - done);
            allocation.copy_in(offset + done, &chunk[..n]);
            done += n;
        }
        Ok(())
    }

    /// The first bytes in a row, as offsets into a range, that neither the host nor a kernel has written since they
    /// were allocated. `None` if all were, and always on a machine that is not checked.
    ///
    /// # Errors
    /// A range that is not inside one allocation.
    pub fn unwritten(&self, address: u64, len: usize) -> Result<Option<std::ops::Range<usize>>, Fault> {
        let (allocation, offset) = self.memory.find(address, len, "question about a range")?;
        let gap = allocation.written.as_ref().and_then(|written| written.gap(offset..offset + len));
        Ok(gap.map(|gap| gap.start - offset..gap.end - offset))
    }

    /// Runs the entry of a module to its end. `params` is the parameter block, laid out as the entry declares it.
    /// Variables of the module are allocated and initialized at its first launch and live as long as the machine.
    ///
    /// # Errors
    /// An entry that is not there, a launch that does not fit it or the device, or whatever stops the kernel.
    pub fn launch(
        &self,
        module: &Module,
        entry: &str,
        config: &LaunchConfig,
        params: &[u8],
    ) -> Result<Counters, Fault> {
        self.launch_with(module, entry, config, params, &[])
    }

    /// As [`launch`](Self::launch), told what the parameters mean: faults and reports call memory by the names of the
    /// `operands`. A checked launch also reports every write to one that is not to be written
    /// ([`WriteToInput`](super::ReportKind::WriteToInput)) and, in an allocation of which some operand is a part, every
    /// access outside all of them ([`OutsideOperand`](super::ReportKind::OutsideOperand)); so name every part of such
    /// an allocation that the kernel may touch. Allocations that no operand lies in are not restricted. Operands may
    /// overlap; a byte may be written if one of those that hold it says so.
    ///
    /// # Errors
    /// As [`launch`](Self::launch).
    pub fn launch_with(
        &self,
        module: &Module,
        entry: &str,
        config: &LaunchConfig,
        params: &[u8],
        operands: &[Operand<'_>],
    ) -> Result<Counters, Fault> {
        let code = find(module, entry)?;
        let total_shared = self.check(code, config, params.len())?;
        let loaded = self.modules.load(module, &self.memory)?;
        let mut block = Bytes::new(code.param_bytes as usize, 0);
        block.as_mut_slice().copy_from_slice(params);
        let mut memory = self.memory.snapshot();
        memory.operands = Operands::new(operands);
        let launch = Launch {
            code,
            grid: config.grid,
            block: config.block,
            dynamic_shared: config.shared_bytes,
            total_shared,
            local_bytes: self.local_bytes(code),
            params: block,
            memory,
            addresses: loaded.registers(code),
            const_base: loaded.const_base,
            level: self.level,
            arch: self.options.arch,
            async_order: self.options.async_order,
            output: Default::default(),
            reports: self.options.checked.then(Default::default),
            shadow: self.options.checked.then(GlobalShadow::new),
        };
        let resident = self.options.arch.resident_blocks(launch.threads(), total_shared);
        let workers = self.workers();
        let pool =
            if workers > 1 && launch.blocks() > 1 { self.pool.get_or_init(|| pool(workers)).as_ref() } else { None };
        let ran = grid::run(&launch, resident, self.options.step_limit, pool, workers, config.count);
        launch.output.append_to(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner));
        let tally = ran?;
        let mut counters = tally.finish(code);
        if let Some(reports) = &launch.reports {
            (counters.reports, counters.reports_dropped) = reports.take();
        }
        Ok(counters)
    }

    /// Bytes of host memory that one block of such a launch takes while it runs: registers, shared and local memory.
    /// [`Counters::block_bytes`] has what copies under way took too.
    ///
    /// # Errors
    /// An entry that is not there, or a launch that does not fit it or the device.
    pub fn block_bytes(&self, module: &Module, entry: &str, config: &LaunchConfig) -> Result<u64, Fault> {
        let code = find(module, entry)?;
        let shared = self.check(code, config, code.param_bytes as usize)?;
        Ok(run::state_bytes(code, config.block.iter().product(), shared, self.local_bytes(code)))
    }

    /// What kernels printed (by `printf`, which nvcc makes `vprintf` of) since this was last asked: launch after
    /// launch, in a launch block after block, in a block in the order in which its threads printed. So a kernel without
    /// races prints the same each time. A launch keeps 16 MiB and says so where it drops the rest. What a kernel
    /// printed before a fault is there too. Bytes that are no UTF-8 are replaced.
    pub fn take_output(&self) -> String {
        let bytes = std::mem::take(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where a `.global` or `.const` variable of a module is, and its size in bytes: what `cuModuleGetGlobal` tells.
    /// Read and write it as other global memory. Loads the module if it is not loaded yet; the variable lives as long
    /// as the machine.
    ///
    /// # Errors
    /// A name that no such variable has, or [`FaultKind::OutOfMemory`].
    pub fn symbol(&self, module: &Module, name: &str) -> Result<(u64, usize), Fault> {
        let Some(index) = module.variables().iter().position(|variable| variable.name == name) else {
            let known: Vec<&str> = module.variables().iter().map(|variable| variable.name.as_str()).collect();
            let text = format!("no variable `{name}` in the module; it has {known:?}");
            return Err(Fault::new(FaultKind::Launch, text));
        };
        let loaded = self.modules.load(module, &self.memory)?;
        let bytes = module.variables().get(index).map_or(0, |variable| variable.bytes as usize);
        Ok((loaded.address(index), bytes))
    }

    /// Local memory of a thread: its variables, and a stack if functions may call themselves.
    fn local_bytes(&self, code: &Code) -> u32 {
        match code.functions.iter().any(|function| function.frame.is_some()) {
            true => code.local_bytes.next_multiple_of(16) + self.options.stack_bytes.min(MAX_STACK),
            false => code.local_bytes,
        }
    }

    fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.options.threads.unwrap_or_else(cores).clamp(1, MAX_WORKERS)
    }

    /// Checks a launch and returns its shared memory a block, static and dynamic.
    fn check(&self, code: &Code, config: &LaunchConfig, params: usize) -> Result<u32, Fault> {
        let refuse = |text: String| Err(Fault::new(FaultKind::Launch, format!("kernel `{}`: {text}", code.name)));
        let LaunchConfig { grid, block, cluster, shared_bytes, .. } = *config;
        let threads = volume(block);
        if block[2] > 64 || threads == 0 || threads > 1024 {
            return refuse(format!("a block of {block:?} threads; allowed are 1 to 1024, at most 64 in z"));
        }
        if grid.contains(&0) || grid[0] > i32::MAX as u32 || grid[1] > 65535 || grid[2] > 65535 {
            return refuse(format!("a grid of {grid:?} blocks; allowed are 1 to [2147483647, 65535, 65535]"));
        }
        if let Some(max) = code.max_threads {
            let most = volume(max);
            if threads > most {
                return refuse(format!("{threads} threads a block; it was compiled for at most {most}"));
            }
        }
        if let Some(required) = code.required_threads
            && required != block
        {
            return refuse(format!("a block of {block:?} threads; it was compiled for {required:?}"));
        }
        if cluster.iter().any(|n| *n > 1) || code.required_cluster.is_some_and(|c| c.iter().any(|n| *n > 1)) {
            let wanted =
                if cluster.iter().any(|n| *n > 1) { cluster } else { code.required_cluster.unwrap_or(cluster) };
            let text =
                format!("kernel `{}`: clusters of {wanted:?} blocks are not supported yet, only [1, 1, 1]", code.name);
            return Err(Fault::new(FaultKind::Unsupported, text));
        }
        let limit = self.options.arch.shared_per_block();
        let start = code.shared_dynamic_at.max(code.shared_static);
        let total = if shared_bytes == 0 { Some(code.shared_static) } else { start.checked_add(shared_bytes) };
        match total {
            Some(total) if total <= limit => {}
            _ => {
                let own = code.shared_static;
                return refuse(format!(
                    "{own} static and {shared_bytes} dynamic bytes of shared memory; {} has {limit} a block",
                    self.options.arch
                ));
            }
        }
        if params != code.param_bytes as usize {
            return refuse(format!("{params} bytes of parameters; it takes {}", code.param_bytes));
        }
        Ok(total.unwrap_or(0))
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("options", &self.options).field("simd", &self.simd()).finish_non_exhaustive()
    }
}

fn find<'m>(module: &'m Module, entry: &str) -> Result<&'m Code, Fault> {
    module.entry(entry).ok_or_else(|| {
        let known: Vec<&str> = module.entries().map(|code| code.name.as_str()).collect();
        Fault::new(FaultKind::Launch, format!("no entry `{entry}` in the module; it has {known:?}"))
    })
}

/// How many there are in three dimensions; more than fit 64 bits are as good as the most that do.
fn volume(dims: [u32; 3]) -> u64 {
    dims.iter().fold(1, |all: u64, n| all.saturating_mul(u64::from(*n)))
}

/// Worker threads; None when the host gives none, and the calling thread then works alone.
fn pool(workers: usize) -> Option<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(workers).thread_name(|i| format!("emulator-{i}")).build().ok()
}

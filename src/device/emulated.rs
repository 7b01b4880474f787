//! The device that runs PTX on the host.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backend::{Allocation, Backend, Call, Queue, Replay, Timer, retain};
use super::counted::{Counted, LaunchCounters};
use super::findings::Findings;
use super::kernels::Kernels;
use super::memory::{Memory, Operand};
use super::tensor_map::{Swizzle, TensorMap};
use super::{Device, select};
use crate::emulator::{self, Arch, Fault, FaultKind, LaunchConfig, Machine, Module, TensorMapDtype};
use crate::format::DType;
use crate::kernels::modules;
use crate::manifest::{Entry, Target};
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// Parsed modules, shared by all emulators of this process: parsing is their main cost, and they hold no state.
static PARSED: LazyLock<Mutex<Parsed>> = LazyLock::new(Mutex::default);

/// Modules by source and target.
type Parsed = HashMap<(&'static str, Target), Arc<Module>>;

/// An emulated device.
pub(crate) struct Emulated {
    name: String,
    facts: DeviceFacts,
    shared: Arc<Shared>,
    default: Arc<EmulatedQueue>,
}

/// What its streams use.
struct Shared {
    name: String,
    machine: Machine,
    kernels: Kernels<Arc<Module>>,
    findings: Mutex<Findings>,
    counted: Counted,
}

/// A stream: everything is done at once, in the order of the calls.
struct EmulatedQueue {
    shared: Arc<Shared>,
    recording: Mutex<Option<Recording>>,
}

struct EmulatedAllocation {
    shared: Arc<Shared>,
    address: u64,
}

/// Work that was recorded, and the memory that it uses.
#[derive(Default)]
struct Recording {
    steps: Vec<Step>,
    memory: Vec<(Arc<Memory>, bool)>,
}

enum Step {
    Fill { address: u64, bytes: usize },
    Launch { entry: Entry, config: LaunchConfig, params: Vec<u8>, operands: Vec<emulator::Operand<'static>> },
}

struct EmulatedReplay {
    shared: Arc<Shared>,
    recording: Recording,
}

struct EmulatedTimer(Instant);

/// The facts of a modelled device (CUDA programming guide, "Technical Specifications per Compute Capability"; L2
/// sizes from the A100, L40S and H100 data sheets).
fn facts(arch: Arch) -> DeviceFacts {
    DeviceFacts {
        capability: arch.number(),
        sm_count: arch.multiprocessors(),
        shared_per_block: arch.shared_per_block(),
        shared_per_sm: arch.shared_per_multiprocessor(),
        registers_per_sm: 65536,
        threads_per_sm: arch.threads_per_multiprocessor(),
        l2_bytes: match arch {
            Arch::Sm80 => 40 << 20,
            Arch::Sm89 => 96 << 20,
            Arch::Sm90a => 50 << 20,
        },
    }
}

impl Device {
    /// A new emulated device of this architecture, with memory of its own and a worker on every core.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn emulator(arch: Arch) -> Device {
        Device::emulator_with(Machine::new(arch))
    }

    /// A device that runs on this machine, a checked one for instance:
    ///
    /// ```
    /// use halfbyte::device::Device;
    /// use halfbyte::emulator::{Arch, Machine, MachineOptions};
    ///
    /// let options = MachineOptions { checked: true, ..MachineOptions::new(Arch::Sm80) };
    /// let device = Device::emulator_with(Machine::with(options));
    /// // From here on a launch that does something wrong is an error that says what, even if its results are right.
    /// # assert!(device.take_reports().is_empty());
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn emulator_with(machine: Machine) -> Device {
        let arch = machine.arch();
        let name = format!("emulator {arch}");
        let shared = Arc::new(Shared {
            name: name.clone(),
            machine,
            kernels: Kernels::new(),
            findings: Mutex::default(),
            counted: Counted::default(),
        });
        let default = Arc::new(EmulatedQueue::new(&shared));
        Device { backend: Arc::new(Emulated { name, facts: facts(arch), shared, default }) }
    }

    /// The machine behind an emulated device; `None` for a GPU.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn machine(&self) -> Option<&Machine> {
        self.backend.as_emulator().map(|emulated| &emulated.shared.machine)
    }

    /// What a checked emulator does with the findings of a launch: an [`Error::Findings`] of the call that launched it
    /// (at first), or, with `true`, only keep them for [`take_reports`](Self::take_reports). Nothing on other devices.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn keep_reports(&self, keep: bool) {
        if let Some(emulated) = self.backend.as_emulator() {
            emulated.shared.findings().keep = keep;
        }
    }

    /// What checked launches on this device found since the last call, each finding once, at most a few hundred. Empty
    /// for every other device.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn take_reports(&self) -> Vec<emulator::Report> {
        self.backend.as_emulator().map_or_else(Vec::new, |emulated| emulated.shared.findings().take())
    }

    /// Makes an emulator count what every launch does, for [`take_counters`](Self::take_counters), or stop counting and
    /// forget. Launches take about twice as long meanwhile. Nothing on other devices.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn count_launches(&self, on: bool) {
        if let Some(emulated) = self.backend.as_emulator() {
            emulated.shared.counted.set(on);
        }
    }

    /// What the launches counted since [`count_launches`](Self::count_launches) or the last call, in their order. Empty
    /// for every other device.
    #[cfg_attr(docsrs, doc(cfg(feature = "emulator")))]
    pub fn take_counters(&self) -> Vec<LaunchCounters> {
        self.backend.as_emulator().map_or_else(Vec::new, |emulated| emulated.shared.counted.take())
    }
}

impl Shared {
    fn error(&self, fault: Fault, bytes: usize) -> Error {
        match fault.kind {
            FaultKind::OutOfMemory => Error::OutOfMemory { bytes, device: self.name.clone() },
            _ => Error::Emulator(fault.to_string()),
        }
    }

    fn fill_zero(&self, address: u64, bytes: usize) -> Result<()> {
        self.machine.fill(address, 0, bytes).map_err(|fault| self.error(fault, bytes))
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(
        &self,
        entry: Entry,
        config: &LaunchConfig,
        params: &[u8],
        operands: &[emulator::Operand<'_>],
    ) -> Result<()> {
        let module = self.kernels.get(entry)?;
        let config = &LaunchConfig { count: self.counted.on(), ..*config };
        let symbol = entry.row().symbol;
        let launched = self.machine.launch_with(module, symbol, config, params, operands);
        let counters = launched.map_err(|fault| self.error(fault, 0))?;
        self.counted.add(entry, config, &counters);
        if counters.reports.is_empty() {
            return Ok(());
        }
        self.findings().add(symbol, counters.reports, counters.reports_dropped)
    }
}

/// What a call's memory is to the emulator.
fn operands(call: &Call<'_>) -> Vec<emulator::Operand<'static>> {
    let operand =
        |o: &Operand<'_>| emulator::Operand { name: o.name, address: o.address, bytes: o.bytes as u64, write: o.write };
    call.operands.iter().map(operand).collect()
}

impl Backend for Emulated {
    fn name(&self) -> &str {
        &self.name
    }

    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn is_emulator(&self) -> bool {
        true
    }

    fn default_queue(&self) -> Result<Arc<dyn Queue>> {
        Ok(Arc::clone(&self.default) as Arc<dyn Queue>)
    }

    fn new_queue(&self) -> Result<Arc<dyn Queue>> {
        Ok(Arc::new(EmulatedQueue::new(&self.shared)))
    }

    fn load(&self, entry: Entry) -> Result<()> {
        if self.shared.kernels.find(entry).is_some() {
            return Ok(());
        }
        let row = entry.row();
        let source = select::module(row, self.facts.capability, modules())?;
        let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
        let module = match parsed.get(&(source.source, source.target)) {
            Some(module) => Arc::clone(module),
            None => {
                let module = Arc::new(Module::parse(source.ptx).map_err(|fault| self.shared.error(fault, 0))?);
                parsed.insert((source.source, source.target), Arc::clone(&module));
                module
            }
        };
        if module.entry(row.symbol).is_none() {
            return Err(Error::Unsupported(format!("the PTX of {} has no entry {}", row.source, row.symbol)));
        }
        self.shared.kernels.insert(entry, module);
        Ok(())
    }

    fn tensor_map(&self, map: &TensorMap) -> Result<[u8; 128]> {
        let dtype = match map.dtype {
            // Bytes are bytes: what they mean plays no part in copying.
            DType::I8 | DType::U8 | DType::E4m3 | DType::E5m2 => TensorMapDtype::U8,
            DType::I32 => TensorMapDtype::I32,
            DType::U32 => TensorMapDtype::U32,
            DType::F16 => TensorMapDtype::F16,
            DType::Bf16 => TensorMapDtype::Bf16,
            DType::F32 => TensorMapDtype::F32,
        };
        let swizzle = match map.shape.swizzle {
            Swizzle::None => emulator::Swizzle::None,
            Swizzle::B32 => emulator::Swizzle::B32,
            Swizzle::B64 => emulator::Swizzle::B64,
            Swizzle::B128 => emulator::Swizzle::B128,
        };
        let modelled = emulator::TensorMap {
            dtype,
            rank: map.shape.rank as u32,
            address: map.address,
            dims: map.shape.dims,
            strides: map.shape.strides,
            box_: map.shape.tile,
            element_strides: [1; 5],
            swizzle,
            fill: if map.shape.nan { emulator::Fill::Nan } else { emulator::Fill::Zero },
        };
        modelled.to_bytes().map_err(|problem| Error::Emulator(problem.to_string()))
    }

    fn as_emulator(&self) -> Option<&Emulated> {
        Some(self)
    }
}

impl EmulatedQueue {
    fn new(shared: &Arc<Shared>) -> EmulatedQueue {
        EmulatedQueue { shared: Arc::clone(shared), recording: Mutex::new(None) }
    }

    /// Records `step` and returns true if the stream is being captured.
    fn record(&self, operands: &[Operand<'_>], step: impl FnOnce() -> Step) -> Result<bool> {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(recording) = recording.as_mut() else { return Ok(false) };
        retain(&mut recording.memory, operands)?;
        recording.steps.push(step());
        Ok(true)
    }

    /// An error if the stream is being captured.
    fn refuse_capture(&self, what: &str) -> Result<()> {
        match *self.recording.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Err(not_captured(what)),
            None => Ok(()),
        }
    }
}

fn not_captured(what: &str) -> Error {
    Error::Unsupported(format!("{what} is not possible while the stream is being captured"))
}

impl Queue for EmulatedQueue {
    fn alloc(&self, dtype: DType, len: usize) -> Result<Box<dyn Allocation>> {
        self.refuse_capture("an allocation")?;
        let bytes = len.saturating_mul(dtype.size());
        let shared = &self.shared;
        let address = shared.machine.alloc(bytes, "buffer").map_err(|fault| shared.error(fault, bytes))?;
        Ok(Box::new(EmulatedAllocation { shared: Arc::clone(shared), address }))
    }

    fn write(&self, target: &Operand<'_>, data: &[u8]) -> Result<()> {
        self.refuse_capture("a copy from the host")?;
        self.shared.machine.write(target.address, data).map_err(|fault| self.shared.error(fault, 0))
    }

    fn read(&self, source: &Operand<'_>, out: &mut [u8]) -> Result<()> {
        self.refuse_capture("a copy to the host")?;
        self.shared.machine.read(source.address, out).map_err(|fault| self.shared.error(fault, 0))
    }

    fn fill_zero(&self, target: &Operand<'_>) -> Result<()> {
        let step = || Step::Fill { address: target.address, bytes: target.bytes };
        if self.record(std::slice::from_ref(target), step)? {
            return Ok(());
        }
        self.shared.fill_zero(target.address, target.bytes)
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        self.shared.kernels.get(call.entry)?;
        let config = LaunchConfig {
            grid: call.grid,
            block: [call.entry.row().threads, 1, 1],
            cluster: call.cluster,
            shared_bytes: call.shared_bytes,
            count: false,
        };
        let operands = operands(call);
        let step =
            || Step::Launch { entry: call.entry, config, params: call.params.to_vec(), operands: operands.clone() };
        if self.record(call.operands, step)? {
            return Ok(());
        }
        self.shared.launch(call.entry, &config, call.params, &operands)
    }

    fn synchronize(&self) -> Result<()> {
        self.refuse_capture("waiting")
    }

    fn begin_capture(&self) -> Result<()> {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        match *recording {
            Some(_) => Err(not_captured("another capture")),
            None => {
                *recording = Some(Recording::default());
                Ok(())
            }
        }
    }

    fn end_capture(&self) -> Result<Box<dyn Replay>> {
        let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner).take();
        let recording = recording.ok_or_else(|| Error::Unsupported("the stream is not being captured".into()))?;
        Ok(Box::new(EmulatedReplay { shared: Arc::clone(&self.shared), recording }))
    }

    fn start_timer(&self) -> Result<Box<dyn Timer>> {
        self.refuse_capture("timing")?;
        Ok(Box::new(EmulatedTimer(Instant::now())))
    }
}

impl Allocation for EmulatedAllocation {
    fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for EmulatedAllocation {
    fn drop(&mut self) {
        // The address came from this machine and is freed once, so there is no error to tell anybody about.
        let _ = self.shared.machine.free(self.address);
    }
}

impl Replay for EmulatedReplay {
    fn replay(&mut self) -> Result<()> {
        for step in &self.recording.steps {
            match step {
                Step::Fill { address, bytes } => self.shared.fill_zero(*address, *bytes)?,
                Step::Launch { entry, config, params, operands } => {
                    self.shared.launch(*entry, config, params, operands)?;
                }
            }
        }
        Ok(())
    }
}

impl Timer for EmulatedTimer {
    fn stop(self: Box<Self>) -> Result<Duration> {
        Ok(self.0.elapsed())
    }
}

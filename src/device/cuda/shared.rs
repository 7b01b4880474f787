//! What a CUDA device and its streams have in common.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::CUstreamCaptureStatus;
use cudarc::driver::{CudaContext, CudaStream, DriverError};

use super::codes;
use super::driver::{Driver, check};
use super::memory::Released;
use super::module::{CudaKernel, CudaModule};
use crate::device::kernels::Kernels;
use crate::device::select;
use crate::kernels::{Module, modules};
use crate::manifest::{Entry, Row, Target};
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// Greatest handle of the legacy default stream (`NULL` and `CU_STREAM_LEGACY`).
const LEGACY: usize = 1;

/// Handle of the per-thread default stream (`CU_STREAM_PER_THREAD`).
const PER_THREAD: usize = 2;

/// No stream was seen yet.
const NONE_YET: usize = usize::MAX;

/// True when the handle stands for another stream in each thread.
pub(super) fn is_per_thread(stream: &CudaStream) -> bool {
    stream.cu_stream() as usize == PER_THREAD
}

/// True when the stream itself is in capture mode, whoever began that.
pub(super) fn is_capturing(stream: &CudaStream) -> Result<bool, DriverError> {
    // The legacy default stream cannot be captured.
    if stream.cu_stream() as usize <= LEGACY {
        return Ok(false);
    }
    Ok(stream.capture_status()? != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
}

/// Does what cannot return an error. One that waits in the context stays there: it belongs to somebody else, and would
/// make the first call in `work` fail.
pub(super) fn quietly<R>(context: &CudaContext, work: impl FnOnce() -> R) -> R {
    let earlier = context.check_err();
    let result = work();
    context.record_err(earlier);
    result
}

/// Makes the context current where no error can be returned.
pub(super) fn bind_quietly(context: &CudaContext) {
    quietly(context, || context.record_err(context.bind_to_thread()));
}

type Modules = HashMap<(&'static str, Target), Arc<CudaModule>>;

/// A context with its kernels.
pub(super) struct Shared {
    pub name: String,
    pub facts: DeviceFacts,
    pub driver: &'static Driver,
    pub context: Arc<CudaContext>,
    pub kernels: Kernels<CudaKernel>,
    modules: Mutex<Modules>,
    /// Held while work is queued, so that its waits, the work and its marks are one step to other threads.
    order: Mutex<()>,
    /// Memory that could not be freed when it was dropped, because a stream was being captured.
    held: Mutex<Vec<Released>>,
    first_stream: AtomicUsize,
    many_streams: AtomicBool,
}

impl Shared {
    pub fn new(name: String, facts: DeviceFacts, driver: &'static Driver, context: Arc<CudaContext>) -> Arc<Shared> {
        Arc::new(Shared {
            name,
            facts,
            driver,
            context,
            kernels: Kernels::new(),
            modules: Mutex::default(),
            order: Mutex::default(),
            held: Mutex::default(),
            first_stream: AtomicUsize::new(NONE_YET),
            many_streams: AtomicBool::new(false),
        })
    }

    /// Notes that work may come from this stream.
    pub fn saw(&self, stream: &CudaStream) {
        let handle = stream.cu_stream() as usize;
        let first = match self.first_stream.compare_exchange(NONE_YET, handle, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => handle,
            Err(first) => first,
        };
        if first != handle || is_per_thread(stream) {
            self.many_streams.store(true, Ordering::Release);
        }
    }

    /// True when uses of memory are marked with events: with one stream there is nothing to wait for, and the
    /// owner of a context may have taken the order upon himself (`CudaContext::disable_event_tracking`).
    pub fn tracks(&self) -> bool {
        self.many_streams.load(Ordering::Acquire) && self.context.is_event_tracking()
    }

    /// Held while work is queued.
    pub fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees memory that nobody refers to any more, in the order of the streams that use it; if one of them is being
    /// captured, later.
    pub fn release(&self, memory: Released) {
        let _order = self.order();
        if memory.is_held() { self.held().push(memory) } else { memory.free(self.tracks()) }
    }

    /// Frees memory that captures held back, as far as they have ended.
    pub fn release_held(&self) {
        let _order = self.order();
        let mut held = self.held();
        for memory in held.extract_if(.., |memory| !memory.is_held()) {
            memory.free(self.tracks());
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<Released>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a stream has work that has not ended.
    pub fn is_busy(&self, stream: &CudaStream) -> Result<bool> {
        // SAFETY: the handle is a live stream of a live context; the driver is initialized.
        match unsafe { (self.driver.functions.stream_query)(stream.cu_stream().cast()) } {
            codes::NOT_READY => Ok(true),
            code => check("cuStreamQuery", code).map(|()| false),
        }
    }

    /// Makes a kernel ready; does nothing the second time.
    pub fn load(&self, entry: Entry) -> Result<()> {
        self.load_from(entry, modules())
    }

    /// Makes a kernel of one of `modules` ready.
    pub fn load_from(&self, entry: Entry, modules: &'static [Module]) -> Result<()> {
        if self.kernels.find(entry).is_some() {
            return Ok(());
        }
        let row: &Row = entry.row();
        let source = select::module(row, self.facts.capability, modules)?;
        let mut loaded = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.source, source.target);
        let module = match loaded.get(&key) {
            Some(module) => Arc::clone(module),
            None => {
                let module = CudaModule::load(&self.context, self.driver, source)?;
                loaded.insert(key, Arc::clone(&module));
                module
            }
        };
        self.kernels.insert(entry, module.kernel(row, self.facts.shared_per_block)?);
        Ok(())
    }

    /// The error for memory that could not be had, or another one.
    pub fn alloc_error(&self, error: Error, bytes: usize) -> Error {
        match error {
            Error::Driver { code: codes::OUT_OF_MEMORY, .. } => Error::OutOfMemory { bytes, device: self.name.clone() },
            other => other,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.release_held();
        // What a capture still holds cannot be freed in its stream, and nobody is left who could do it later.
        self.held().drain(..).for_each(Released::leak);
    }
}

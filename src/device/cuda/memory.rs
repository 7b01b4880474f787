//! CUDA memory that knows its last uses, so that work on it keeps its order across streams.
//!
//! The events are kept here and not in cudarc's slice: a slice has one event for all its readers, so that a
//! second reading stream would make it forget the first. A slice that comes in or goes out takes its pending
//! work along (see `convert`).

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr, DeviceRepr, DriverError};

use super::driver::failed;
use super::shared::{self, Shared};
use crate::device::backend::Allocation;
use crate::{Error, Result};

/// The last use of a memory on one stream.
struct Use {
    stream: Arc<CudaStream>,
    /// Recorded after the use, if uses were tracked then.
    event: Option<CudaEvent>,
    recorded: bool,
}

/// Uses that later work may have to wait for.
#[derive(Default)]
struct Uses {
    writer: Option<Use>,
    /// Reads since the last write, one a stream.
    readers: Vec<Use>,
}

/// Memory of a CUDA context, owned through a slice of cudarc.
pub(crate) struct CudaAllocation {
    address: u64,
    /// The stream that it is freed in.
    home: Arc<CudaStream>,
    shared: Arc<Shared>,
    uses: Mutex<Uses>,
    /// A `CudaSlice` of some element type; taken out by what ends the allocation.
    slice: Option<Box<dyn Any + Send + Sync>>,
}

/// Memory that nobody refers to any more, with the uses that must end before it is freed.
pub(super) struct Released {
    home: Arc<CudaStream>,
    uses: Uses,
    slice: Box<dyn Any + Send + Sync>,
}

/// True when work of the two keeps its order by itself. The per-thread stream is a different one in each thread.
fn same(a: &CudaStream, b: &CudaStream) -> bool {
    a == b && !shared::is_per_thread(a)
}

impl Use {
    fn new(stream: &Arc<CudaStream>) -> Use {
        Use { stream: Arc::clone(stream), event: None, recorded: false }
    }

    /// Marks the end of what its stream has been given so far.
    fn record(&mut self) -> Result<(), DriverError> {
        let event = match self.event.take() {
            Some(event) => event,
            None => self.stream.context().new_event(None)?,
        };
        let result = event.record(&self.stream);
        self.event = Some(event);
        self.recorded = result.is_ok();
        result
    }

    /// Makes `stream` wait for the use.
    fn wait(&mut self, stream: &CudaStream) -> Result<(), DriverError> {
        if same(&self.stream, stream) {
            return Ok(());
        }
        if !self.recorded {
            // Recorded now, the mark would become part of the capture, and `stream` with it.
            if shared::is_capturing(&self.stream)? {
                return Err(DriverError(CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION));
            }
            self.record()?;
        }
        match &self.event {
            Some(event) => stream.wait(event),
            None => Ok(()),
        }
    }

    /// True when the use may not have ended, as seen from another stream.
    fn pending(&self, stream: &CudaStream, shared: &Shared) -> Result<bool> {
        if same(&self.stream, stream) {
            return Ok(false);
        }
        match &self.event {
            Some(event) if self.recorded => Ok(!event.try_is_complete().map_err(failed("cuEventQuery"))?),
            _ => shared.is_busy(&self.stream),
        }
    }
}

impl CudaAllocation {
    /// Takes over a slice whose pending work, if any, has been queued in its own stream.
    pub(super) fn new<T: DeviceRepr + Send + Sync + 'static>(
        shared: &Arc<Shared>,
        slice: CudaSlice<T>,
    ) -> Result<CudaAllocation, DriverError> {
        let home = Arc::clone(slice.stream());
        shared.saw(&home);
        let (address, mark) = slice.device_ptr(&home);
        // Asking for the address is no read that cudarc would have to know of.
        std::mem::forget(mark);
        let mut made = Use::new(&home);
        if shared::is_per_thread(&home) {
            // Another thread could not mark this thread's stream when it comes to need it.
            made.record()?;
        }
        let uses = Uses { writer: Some(made), readers: Vec::with_capacity(2) };
        Ok(CudaAllocation {
            address,
            home,
            shared: Arc::clone(shared),
            uses: Mutex::new(uses),
            slice: Some(Box::new(slice)),
        })
    }

    /// The stream that it is freed in.
    pub(super) fn home(&self) -> &Arc<CudaStream> {
        &self.home
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `stream` wait for the uses that a read, or a write, must come after.
    pub(super) fn before(&self, stream: &CudaStream, write: bool) -> Result<()> {
        let mut uses = self.uses();
        let Uses { writer, readers } = &mut *uses;
        if let Some(writer) = writer {
            writer.wait(stream).map_err(failed("cuStreamWaitEvent"))?;
        }
        if write {
            for reader in readers {
                reader.wait(stream).map_err(failed("cuStreamWaitEvent"))?;
            }
        }
        Ok(())
    }

    /// Notes a use that `stream` has just been given.
    pub(super) fn after(&self, stream: &Arc<CudaStream>, write: bool) -> Result<()> {
        let mut uses = self.uses();
        let Uses { writer, readers } = &mut *uses;
        let last = if write {
            // The write waited for every reader, so whoever waits for it has waited for them.
            readers.clear();
            let writer = writer.get_or_insert_with(|| Use::new(stream));
            if !Arc::ptr_eq(&writer.stream, stream) {
                writer.stream = Arc::clone(stream);
            }
            writer
        } else {
            let known = readers.iter().position(|reader| reader.stream == *stream);
            let at = known.unwrap_or_else(|| {
                readers.push(Use::new(stream));
                readers.len() - 1
            });
            let reader = &mut readers[at];
            if known.is_some() {
                // Does nothing, except where one handle stands for a stream in each thread: then the mark below
                // must cover the other threads' reads too.
                reader.wait(stream).map_err(failed("cuStreamWaitEvent"))?;
            }
            reader
        };
        last.recorded = false;
        if self.shared.tracks() {
            last.record().map_err(failed("cuEventRecord"))?;
        }
        Ok(())
    }

    /// An error if another stream may still be at work on it: a recording cannot wait for that.
    pub(super) fn refuse_pending(&self, stream: &CudaStream, write: bool) -> Result<()> {
        let uses = self.uses();
        let readers = if write { uses.readers.as_slice() } else { &[] };
        for earlier in uses.writer.iter().chain(readers) {
            if earlier.pending(stream, &self.shared)? {
                return Err(Error::Unsupported(format!(
                    "the operand at {:#x} is pending on another stream, which a capture cannot wait for: \
                     synchronize before the capture",
                    self.address
                )));
            }
        }
        Ok(())
    }

    /// Gives the slice back if it holds elements of `T`, with its pending work queued in its own stream.
    ///
    /// # Errors
    /// An error of the driver.
    pub(super) fn into_slice<T: 'static>(mut self) -> Result<Option<CudaSlice<T>>> {
        if self.shared.tracks() {
            self.uses().settle(&self.home).map_err(failed("cuStreamWaitEvent"))?;
        }
        let Some(slice) = self.slice.take() else { return Ok(None) };
        match slice.downcast::<CudaSlice<T>>() {
            Ok(slice) => Ok(Some(*slice)),
            Err(slice) => {
                self.slice = Some(slice);
                Ok(None)
            }
        }
    }
}

impl Drop for CudaAllocation {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            let uses = std::mem::take(&mut *self.uses());
            self.shared.release(Released { home: Arc::clone(&self.home), uses, slice });
        }
    }
}

impl Uses {
    /// Makes `stream` wait for every use.
    fn settle(&mut self, stream: &CudaStream) -> Result<(), DriverError> {
        self.writer.iter_mut().chain(&mut self.readers).try_for_each(|earlier| earlier.wait(stream))
    }
}

impl Released {
    /// True when it can be neither freed nor waited for now: CUDA takes a free in a stream that is being captured for
    /// a part of the capture, and so it does with a mark.
    pub(super) fn is_held(&self) -> bool {
        let unmarked = self.uses.writer.iter().chain(&self.uses.readers).filter(|earlier| !earlier.recorded);
        let mut streams = unmarked.map(|earlier| &earlier.stream).chain([&self.home]);
        shared::quietly(self.home.context(), || {
            streams.any(|stream| shared::is_capturing(stream).is_ok_and(|capturing| capturing))
        })
    }

    /// Frees it in its home stream, after all uses if they are marked (`tracks`). As cudarc does, an error waits in
    /// the context for the next call that can return one.
    pub(super) fn free(mut self, tracks: bool) {
        let context = Arc::clone(self.home.context());
        shared::quietly(&context, || {
            let bound = context.bind_to_thread();
            match bound.and_then(|()| if tracks { self.uses.settle(&self.home) } else { Ok(()) }) {
                Ok(()) => drop(self.slice),
                Err(error) => {
                    // Freed without its waits, it could be given to somebody else while work still uses it.
                    self.leak();
                    context.record_err::<()>(Err(error));
                }
            }
        });
    }

    /// Gives it up without freeing it.
    pub(super) fn leak(self) {
        std::mem::forget(self.slice);
    }
}

impl Allocation for CudaAllocation {
    fn address(&self) -> u64 {
        self.address
    }

    fn as_cuda(&self) -> Option<&CudaAllocation> {
        Some(self)
    }

    fn into_cuda(self: Box<Self>) -> Option<Box<CudaAllocation>> {
        Some(self)
    }
}

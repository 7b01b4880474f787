//! Streams and slices of cudarc in and out. These follow cudarc's versions.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DevicePtrMut, DeviceRepr};

use super::driver::failed;
use super::memory::CudaAllocation;
use super::queue::CudaQueue;
use super::shared::{Shared, is_capturing};
use crate::device::memory::Memory;
use crate::device::{Buffer, Device, Element, Stream};
use crate::{Error, Result};

/// The CUDA side of `device`, if it wraps exactly the context that `theirs` was made in.
fn shared<'d>(device: &'d Device, what: &'static str, theirs: &CudaStream) -> Result<&'d Arc<Shared>> {
    let wrong = |have: String| Error::WrongDevice { what, have, want: device.to_string() };
    let cuda = device.backend.as_cuda().ok_or_else(|| wrong(format!("CUDA device {}", theirs.context().ordinal())))?;
    if !Arc::ptr_eq(&cuda.shared.context, theirs.context()) {
        return Err(wrong(format!("another context of CUDA device {}", theirs.context().ordinal())));
    }
    Ok(&cuda.shared)
}

impl Stream {
    /// A stream that was made with cudarc in the context of `device`.
    ///
    /// # Errors
    /// A stream of another context. Two `CudaContext` objects are two contexts, even on one GPU: each tracks only
    /// its own streams.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn from_cudarc(device: &Device, stream: Arc<CudaStream>) -> Result<Stream> {
        let queue = CudaQueue::new(shared(device, "the stream", &stream)?, stream, false);
        Ok(Stream { device: device.clone(), queue: Arc::new(queue) })
    }

    /// cudarc's stream; `None` for the emulator.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn cudarc(&self) -> Option<&Arc<CudaStream>> {
        self.queue.as_cuda().map(CudaQueue::stream)
    }

    /// The same stream, for work while somebody else captures it into a CUDA graph (a runtime that records whole
    /// steps). Without this such work is refused, as nothing would keep its operands alive. Work outside of a
    /// capture is not affected.
    ///
    /// # Errors
    /// The emulator, where nobody else can capture.
    ///
    /// # Safety
    /// For every capture that this stream's work goes into, and as long as its graph is replayed:
    /// - the buffers used stay alive, and are read or written by nothing that is not ordered with the replay;
    /// - raw views stay valid as they promised;
    /// - a clone of the device stays alive: the kernels are unloaded with the last one.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub unsafe fn captured_elsewhere(&self) -> Result<Stream> {
        let no_cuda = || Error::Unsupported("an emulated stream is captured with Graph::capture only".into());
        let stream = self.cudarc().ok_or_else(no_cuda)?;
        let queue = CudaQueue::new(shared(&self.device, "the stream", stream)?, Arc::clone(stream), true);
        Ok(Stream { device: self.device.clone(), queue: Arc::new(queue) })
    }
}

impl<T: Element + DeviceRepr> Buffer<T> {
    /// Takes over a slice that was made with cudarc in the context of `device`, with its contents and its pending
    /// work.
    ///
    /// # Errors
    /// A slice of another context (as [`Stream::from_cudarc`]), or an error of the driver.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn from_cudarc(device: &Device, mut slice: CudaSlice<T>) -> Result<Buffer<T>> {
        let stream = Arc::clone(slice.stream());
        let shared = shared(device, "the slice", &stream)?;
        refuse_capture("taking over a slice", &stream)?;
        device_wait(&stream, &mut slice)?;
        let len = slice.len();
        let allocation = CudaAllocation::new(shared, slice).map_err(failed("cuEventRecord"))?;
        Ok(Buffer::new(Memory::new(device, Box::new(allocation)), len))
    }

    /// Gives the memory to cudarc, with its contents and its pending work.
    ///
    /// # Errors
    /// A buffer of the emulator; one that a [`Graph`](crate::device::Graph) still works on; an empty one, which
    /// cudarc has no slice for; one whose stream is being captured; an error of the driver. The buffer is dropped then.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn into_cudarc(self) -> Result<CudaSlice<T>> {
        if self.is_empty() {
            return Err(Error::Unsupported("an empty buffer has no slice".into()));
        }
        if let Some(cuda) = self.memory.allocation.as_cuda() {
            refuse_capture("giving a buffer away", cuda.home())?;
        }
        let memory = Arc::try_unwrap(self.memory)
            .map_err(|_| Error::Unsupported("the buffer belongs to a graph, which must be dropped first".into()))?;
        let (device, allocation) = (memory.device, memory.allocation);
        let not_cuda = || Error::Unsupported(format!("a buffer on {device} has no CUDA memory"));
        let cuda = allocation.into_cuda().ok_or_else(not_cuda)?;
        let mut slice = cuda.into_slice::<T>()?.ok_or_else(not_cuda)?;
        let stream = Arc::clone(slice.stream());
        device_wait(&stream, &mut slice)?;
        Ok(slice)
    }
}

/// An error if `stream` is being captured: nothing in it can be waited for then.
fn refuse_capture(what: &str, stream: &CudaStream) -> Result<()> {
    match is_capturing(stream).map_err(failed("cuStreamIsCapturing"))? {
        true => Err(Error::Unsupported(format!("{what} is not possible while its stream is being captured"))),
        false => Ok(()),
    }
}

/// Makes the slice's own stream wait for what cudarc knows to be pending on it, and tells cudarc that this stream
/// writes it: work on any other stream then comes after both.
fn device_wait<T>(stream: &Arc<CudaStream>, slice: &mut CudaSlice<T>) -> Result<()> {
    stream.context().bind_to_thread().map_err(failed("cuCtxSetCurrent"))?;
    drop(slice.device_ptr_mut(stream));
    stream.context().check_err().map_err(failed("cuStreamWaitEvent"))
}

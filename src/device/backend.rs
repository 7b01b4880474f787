//! What a kind of device must do: the sealed traits behind [`Device`](super::Device).
//!
//! Everything here takes arguments that the safe types around it have checked: addresses lie in live
//! memory of this device, byte counts fit, launches match their kernels.

use std::sync::Arc;
use std::time::Duration;

use super::memory::{Memory, Operand};
use super::tensor_map::TensorMap;
use crate::format::DType;
use crate::manifest::Entry;
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// A device: memory, kernels, streams.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Its name, for people.
    fn name(&self) -> &str;

    /// What plans may know of it.
    fn facts(&self) -> &DeviceFacts;

    /// True for the emulator.
    fn is_emulator(&self) -> bool;

    /// The default stream.
    fn default_queue(&self) -> Result<Arc<dyn Queue>>;

    /// One more stream.
    fn new_queue(&self) -> Result<Arc<dyn Queue>>;

    /// Makes `entry` ready to be launched; does nothing the second time.
    fn load(&self, entry: Entry) -> Result<()>;

    /// The 128 bytes by which a kernel knows this tensor map.
    fn tensor_map(&self, map: &TensorMap) -> Result<[u8; 128]>;

    /// Itself as a CUDA device, if it is one.
    #[cfg(feature = "cuda")]
    fn as_cuda(&self) -> Option<&super::cuda::Cuda> {
        None
    }

    /// Itself as an emulator, if it is one.
    #[cfg(feature = "emulator")]
    fn as_emulator(&self) -> Option<&super::emulated::Emulated> {
        None
    }
}

/// One launch as a queue gets it: everything checked, the parameter block encoded.
pub(crate) struct Call<'a> {
    /// Which kernel.
    pub entry: Entry,
    /// Blocks.
    pub grid: [u32; 3],
    /// Blocks a cluster.
    pub cluster: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub shared_bytes: u32,
    /// The parameter block, aligned to 64 bytes.
    pub params: &'a [u8],
    /// The memory that the kernel may touch.
    pub operands: &'a [Operand<'a>],
}

/// A stream of one device: work in order.
pub(crate) trait Queue: Send + Sync + 'static {
    /// Memory of `len > 0` elements, aligned to 256 bytes.
    fn alloc(&self, dtype: DType, len: usize) -> Result<Box<dyn Allocation>>;

    /// Copies from the host; `data` may be reused when this returns.
    fn write(&self, target: &Operand<'_>, data: &[u8]) -> Result<()>;

    /// Copies to the host and waits for the copy.
    fn read(&self, source: &Operand<'_>, out: &mut [u8]) -> Result<()>;

    /// Sets every byte to zero.
    fn fill_zero(&self, target: &Operand<'_>) -> Result<()>;

    /// Launches a kernel.
    fn launch(&self, call: &Call<'_>) -> Result<()>;

    /// Waits for all work of this stream.
    fn synchronize(&self) -> Result<()>;

    /// Starts to record work instead of doing it.
    fn begin_capture(&self) -> Result<()>;

    /// Ends the recording. Also called to throw it away after a failure.
    fn end_capture(&self) -> Result<Box<dyn Replay>>;

    /// Starts to take the time of what comes next in this stream.
    fn start_timer(&self) -> Result<Box<dyn Timer>>;

    /// Itself as a CUDA stream, if it is one.
    #[cfg(feature = "cuda")]
    fn as_cuda(&self) -> Option<&super::cuda::CudaQueue> {
        None
    }
}

/// Memory of a device; freed on drop, after the work that uses it.
pub(crate) trait Allocation: Send + Sync + 'static {
    /// Its device address.
    fn address(&self) -> u64;

    /// Itself as CUDA memory, if it is.
    #[cfg(feature = "cuda")]
    fn as_cuda(&self) -> Option<&super::cuda::CudaAllocation> {
        None
    }

    /// Itself as CUDA memory, by value.
    #[cfg(feature = "cuda")]
    fn into_cuda(self: Box<Self>) -> Option<Box<super::cuda::CudaAllocation>> {
        None
    }
}

/// Recorded work. Keeps the memory that it uses alive.
pub(crate) trait Replay: Send {
    /// Does the work once more, in the stream that recorded it.
    fn replay(&mut self) -> Result<()>;
}

/// A running clock of one stream.
pub(crate) trait Timer {
    /// The device's time from the start to the end of the work queued since; waits for it.
    fn stop(self: Box<Self>) -> Result<Duration>;
}

/// The memories of some operands, each once, with whether they are written; what a recording must retain.
pub(crate) fn retain(list: &mut Vec<(Arc<Memory>, bool)>, operands: &[Operand<'_>]) -> Result<()> {
    for operand in operands {
        let Some(memory) = operand.memory else {
            return Err(Error::Unsupported(format!(
                "address {:#x} was given as a raw pointer: a graph cannot keep it alive, capture only owned buffers",
                operand.address
            )));
        };
        match list.iter_mut().find(|(known, _)| Arc::ptr_eq(known, memory)) {
            Some((_, write)) => *write |= operand.write,
            None => list.push((Arc::clone(memory), operand.write)),
        }
    }
    Ok(())
}

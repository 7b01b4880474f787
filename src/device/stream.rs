//! Work in order: allocation, copies, launches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Call, Queue};
use super::memory::Memory;
use super::view::{View, ViewMut};
use super::{Buffer, Device, Element, Launch};
use crate::{Error, Result};

/// Most bytes of a parameter block (CUDA programming guide: 4 KB before compute capability 7.0 with CUDA 12.1).
const MAX_PARAMS: usize = 4096;

/// A parameter block on the stack. Tensor maps ask for the alignment.
#[repr(C, align(64))]
struct Block([u8; MAX_PARAMS]);

/// A stream of one device: its work is done in the order in which it was given.
///
/// Work of different streams may overlap; buffers know their last uses, so that work on the same buffer keeps
/// its order across streams, whichever threads queue it. On the emulator every piece of work is done before its
/// method returns.
#[derive(Clone)]
pub struct Stream {
    pub(super) device: Device,
    pub(super) queue: Arc<dyn Queue>,
}

impl Stream {
    /// The device that it works on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A buffer of `len` elements with unspecified contents.
    ///
    /// # Errors
    /// More bytes than an address can count, or than the device has; a stream that is being captured.
    pub fn alloc<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        if len > isize::MAX as usize / size_of::<T>() {
            return Err(Error::Shape(format!("{len} elements of {} are more than can be addressed", T::DTYPE)));
        }
        // No allocator gives an empty range an address of its own.
        let allocation = self.queue.alloc(T::DTYPE, len.max(1))?;
        Ok(Buffer::new(Memory::new(&self.device, allocation), len))
    }

    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// As [`Stream::alloc`].
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.alloc(len)?;
        self.fill_zero(&mut buffer)?;
        Ok(buffer)
    }

    /// A buffer with a copy of `data`.
    ///
    /// # Errors
    /// As [`Stream::alloc`] and [`Stream::write`].
    pub fn upload<T: Element>(&self, data: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.alloc(data.len())?;
        self.write(&mut buffer, data)?;
        Ok(buffer)
    }

    /// Copies `data` to the device; waits until the copy is done.
    ///
    /// # Errors
    /// `data` and the target differ in length; a target of another device; a stream that is being captured; an
    /// error of earlier work.
    pub fn write<'a, T: Element>(&self, target: impl Into<ViewMut<'a, T>>, data: &[T]) -> Result<()> {
        let target = target.into();
        self.check_device("the target of a copy", target.device())?;
        if data.len() != target.len() {
            return Err(Error::Shape(format!("{} elements cannot be copied to {}", data.len(), target.len())));
        }
        if data.is_empty() {
            return Ok(());
        }
        self.queue.write(&target.view.operand(true), bytemuck::cast_slice(data))
    }

    /// Copies elements back to the host; waits until the work before it and the copy are done.
    ///
    /// # Errors
    /// A source of another device; a stream that is being captured; an error of earlier work.
    pub fn download<'a, T: Element>(&self, source: impl Into<View<'a, T>>) -> Result<Vec<T>> {
        let source = source.into();
        self.check_device("the source of a copy", source.device())?;
        let mut out = vec![T::zeroed(); source.len()];
        if !out.is_empty() {
            self.queue.read(&source.operand(false), bytemuck::cast_slice_mut(&mut out))?;
        }
        Ok(out)
    }

    /// Sets elements to zero, in the order of the stream.
    ///
    /// # Errors
    /// A target of another device, or an error of the device.
    pub fn fill_zero<'a, T: Element>(&self, target: impl Into<ViewMut<'a, T>>) -> Result<()> {
        let target = target.into();
        self.check_device("the memory to clear", target.device())?;
        if target.is_empty() {
            return Ok(());
        }
        self.queue.fill_zero(&target.view.operand(true))
    }

    /// Launches a kernel. Returns before it has run and allocates nothing, except on the emulator.
    ///
    /// # Errors
    /// Operands of another device, more shared memory or clusters than the device has, a kernel that was not
    /// loaded, an operand that is pending on another stream during capture, or an error of the device. The
    /// emulator reports what stopped the kernel.
    pub fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        if let Some(device) = launch.device() {
            self.check_device("a launch", device)?;
        }
        let facts = self.device.facts();
        let symbol = launch.entry().row().symbol;
        if launch.shared_bytes() > facts.shared_per_block {
            return Err(Error::Unsupported(format!(
                "{symbol} asks for {} bytes of shared memory, but a block of {} has at most {}",
                launch.shared_bytes(),
                self.device,
                facts.shared_per_block
            )));
        }
        if launch.cluster() != [1; 3] && facts.capability < 90 {
            return Err(Error::Unsupported(format!("{symbol} runs in clusters, which {} does not have", self.device)));
        }
        let mut block = Block([0; MAX_PARAMS]);
        let params = launch.encode(&mut block.0, |map| self.device.backend.tensor_map(map))?;
        self.queue.launch(&Call {
            entry: launch.entry(),
            grid: launch.grid(),
            cluster: launch.cluster(),
            shared_bytes: launch.shared_bytes(),
            params,
            operands: launch.operands(),
        })
    }

    /// Waits for all work of this stream.
    ///
    /// # Errors
    /// A stream that is being captured, or an error of earlier work.
    pub fn synchronize(&self) -> Result<()> {
        self.queue.synchronize()
    }

    /// The time that the device takes for the work that `work` gives to this stream: by events on CUDA, by the
    /// host's clock on the emulator. Waits for the work.
    ///
    /// # Errors
    /// Those of `work`, and an error of the device.
    pub fn time(&self, work: impl FnOnce(&Stream) -> Result<()>) -> Result<Duration> {
        let timer = self.queue.start_timer()?;
        work(self)?;
        timer.stop()
    }

    fn check_device(&self, what: &'static str, device: &Device) -> Result<()> {
        if *device == self.device {
            return Ok(());
        }
        Err(Error::WrongDevice { what, have: device.to_string(), want: self.device.to_string() })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream of {}", self.device)
    }
}

//! Where kernels run: devices, buffers, streams and checked launches.
//!
//! A [`Device`] is a CUDA GPU or an emulated one; everything else is made from it and works the same on both.
//! All `unsafe` that touches a GPU is in this room. The conversions to and from `cudarc` follow cudarc's versions; the
//! rest of this module follows this crate's.
//!
//! Nothing here falls back silently: a program that wants "a GPU if there is one" asks `cuda_devices` and chooses.

#![cfg_attr(
    not(any(feature = "cuda", feature = "emulator")),
    allow(dead_code, reason = "without a kind of device nothing reads what is given to one")
)]

mod backend;
mod buffer;
mod element;
mod graph;
mod kernels;
mod launch;
mod matrix;
mod memory;
mod region;
mod select;
mod status;
mod stream;
mod tensor_map;
mod view;

#[cfg(feature = "emulator")]
mod counted;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "emulator")]
mod emulated;
#[cfg(feature = "emulator")]
mod findings;

use std::fmt;
use std::sync::Arc;

pub use buffer::Buffer;
#[cfg(feature = "emulator")]
pub use counted::LaunchCounters;
#[cfg(feature = "cuda")]
pub use cuda::{CudaInfo, cuda_devices};
pub use element::Element;
pub use graph::Graph;
pub use launch::Launch;
pub(crate) use launch::LaunchBuilder;
pub use matrix::{Matrix, MatrixMut};
pub use region::{Region, Span};
pub use status::{Status, StatusFlags};
pub use stream::Stream;
pub(crate) use tensor_map::TensorShape;
pub use tensor_map::{Swizzle, TensorMapDesc};
pub use view::{View, ViewMut};

use crate::Result;
use crate::manifest::Entry;
use crate::plan::DeviceFacts;

/// A device that kernels run on. Cheap to clone; clones are the same device.
///
/// Two devices are equal when memory of one can be used on the other: clones, and handles to one CUDA context.
/// Two emulators are never equal.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn backend::Backend>,
}

impl Device {
    /// Its name: the GPU's, or "emulator sm_80".
    pub fn name(&self) -> &str {
        self.backend.name()
    }

    /// What plans may know of it.
    pub fn facts(&self) -> &DeviceFacts {
        self.backend.facts()
    }

    /// True for the emulator.
    pub fn is_emulator(&self) -> bool {
        self.backend.is_emulator()
    }

    /// Its default stream. On CUDA: one stream of its own for a device made by `Device::cuda`, the context's legacy
    /// default stream for one made by `Device::from_cudarc`.
    ///
    /// # Errors
    /// An error of the CUDA driver.
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream { device: self.clone(), queue: self.backend.default_queue()? })
    }

    /// A new stream, whose work may overlap with that of others.
    ///
    /// # Errors
    /// A device made by `Device::from_cudarc` (make the stream with cudarc and wrap it: this crate creates no
    /// streams in a context that it did not create), or an error of the CUDA driver.
    pub fn new_stream(&self) -> Result<Stream> {
        Ok(Stream { device: self.clone(), queue: self.backend.new_queue()? })
    }

    /// Makes a kernel ready, with the others of its source file; does nothing the second time.
    ///
    /// # Errors
    /// No kernel for this architecture, or a driver too old for it.
    pub(crate) fn load(&self, entry: Entry) -> Result<()> {
        self.backend.load(entry)
    }

    /// Hash of what the kernels of a source file were made from, as they run here.
    ///
    /// # Errors
    /// No kernel for this architecture.
    pub(crate) fn kernel_key(&self, entry: Entry) -> Result<&'static str> {
        let module = select::module(entry.row(), self.facts().capability, crate::kernels::modules())?;
        Ok(module.key)
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }
}

impl Eq for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name()).field("facts", self.facts()).finish()
    }
}

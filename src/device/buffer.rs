//! Owned arrays in device memory.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::memory::Memory;
use super::region::{Region, Span, sealed};
use super::view::{View, ViewMut};
use super::{Device, Element};

/// An array of elements in the memory of one device.
///
/// Made by [`Stream::alloc`](super::Stream::alloc) and its kin. Freed on drop, in the order of the streams that
/// use it; dropping does not wait, except on a GPU without memory pools, where CUDA frees only what is not in use.
/// Dropped while one of these streams is being captured, it is freed after the capture; dropped while a
/// [`Graph`](super::Graph) works on it, with the graph.
pub struct Buffer<T> {
    pub(super) memory: Arc<Memory>,
    pub(super) len: usize,
    pub(super) marker: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    pub(super) fn new(memory: Arc<Memory>, len: usize) -> Buffer<T> {
        Buffer { memory, len, marker: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The device it lies on.
    pub fn device(&self) -> &Device {
        &self.memory.device
    }

    /// All elements, to read.
    pub fn view(&self) -> View<'_, T> {
        View {
            device: &self.memory.device,
            memory: Some(&self.memory),
            address: self.memory.address,
            len: self.len,
            marker: PhantomData,
        }
    }

    /// All elements, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut { view: self.view(), marker: PhantomData }
    }
}

impl<T> sealed::Sealed for Buffer<T> {}

impl<T: Element> Region for Buffer<T> {
    fn device(&self) -> &Device {
        &self.memory.device
    }

    fn span(&self) -> Span {
        Span::contiguous(self.memory.address, self.len * size_of::<T>())
    }
}

impl<T: Element> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer of {:?}", self.view())
    }
}

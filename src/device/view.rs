//! Checked ranges of device memory: [`View`] to read, [`ViewMut`] to write.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::matrix::{Matrix, MatrixMut};
use super::memory::{Memory, Operand};
use super::region::{Region, Span, sealed};
use super::{Buffer, Device, Element};
use crate::{Error, Result};

/// A contiguous range of elements that work on the device may read.
pub struct View<'a, T> {
    pub(super) device: &'a Device,
    pub(super) memory: Option<&'a Arc<Memory>>,
    pub(super) address: u64,
    pub(super) len: usize,
    pub(super) marker: PhantomData<&'a [T]>,
}

/// A contiguous range of elements that work on the device may write. Nothing else can view them meanwhile.
pub struct ViewMut<'a, T> {
    pub(super) view: View<'a, T>,
    pub(super) marker: PhantomData<&'a mut [T]>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

/// `range` within `0..len`, as (start, length).
pub(super) fn check_range(range: impl RangeBounds<usize>, len: usize) -> Result<(usize, usize)> {
    let start = match range.start_bound() {
        Bound::Included(&n) => Some(n),
        Bound::Excluded(&n) => n.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(&n) => n.checked_add(1),
        Bound::Excluded(&n) => Some(n),
        Bound::Unbounded => Some(len),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= len => Ok((start, end - start)),
        _ => Err(Error::Shape(format!(
            "the range {:?}..{:?} does not lie in 0..{len}",
            range.start_bound(),
            range.end_bound()
        ))),
    }
}

impl<'a, T: Element> View<'a, T> {
    /// `len` elements at a device address that something else owns.
    ///
    /// # Errors
    /// The address is not a multiple of the element size, or the range leaves the address space.
    ///
    /// # Safety
    /// For all of `'a`, and until the work that was given this view has ended on the device:
    /// - `address .. address + len * size_of::<T>()` is memory of `device`, readable by its kernels;
    /// - nothing writes it, unless ordered before or after that work by the caller (no event guards raw memory:
    ///   streams and events are the caller's).
    pub unsafe fn from_raw(device: &'a Device, address: u64, len: usize) -> Result<View<'a, T>> {
        let size = size_of::<T>() as u64;
        if !address.is_multiple_of(size) {
            return Err(Error::Misaligned { what: "a raw view", address, align: size });
        }
        let bytes = (len as u64).checked_mul(size).and_then(|bytes| address.checked_add(bytes));
        if bytes.is_none() || len > isize::MAX as usize / size_of::<T>() {
            return Err(Error::Shape(format!(
                "{len} elements of {} at {address:#x} leave the address space",
                T::DTYPE.name()
            )));
        }
        Ok(View { device, memory: None, address, len, marker: PhantomData })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in `range`.
    ///
    /// # Errors
    /// The range is not within `0..len`.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<View<'a, T>> {
        let (start, len) = check_range(range, self.len)?;
        Ok(View { address: self.address + (start * size_of::<T>()) as u64, len, ..*self })
    }

    /// The same bytes as elements of another type.
    ///
    /// # Errors
    /// The address or the length in bytes is not a multiple of the new element size.
    pub fn cast<U: Element>(&self) -> Result<View<'a, U>> {
        let (bytes, size) = (self.len * size_of::<T>(), size_of::<U>());
        if !self.address.is_multiple_of(size as u64) {
            return Err(Error::Misaligned { what: "a view", address: self.address, align: size as u64 });
        }
        if !bytes.is_multiple_of(size) {
            return Err(Error::Shape(format!("{bytes} bytes are not a whole number of {}", U::DTYPE.name())));
        }
        Ok(View {
            device: self.device,
            memory: self.memory,
            address: self.address,
            len: bytes / size,
            marker: PhantomData,
        })
    }

    /// `rows × cols` elements, row `i` starting at element `i * ld`.
    ///
    /// # Errors
    /// `ld < cols`, or fewer than `(rows - 1) * ld + cols` elements.
    pub fn matrix(self, rows: usize, cols: usize, ld: usize) -> Result<Matrix<'a, T>> {
        Matrix::new(self, rows, cols, ld)
    }

    /// The device it lies on, for as long as the view lives.
    pub fn device(&self) -> &'a Device {
        self.device
    }

    pub(super) fn operand(&self, write: bool) -> Operand<'a> {
        Operand { memory: self.memory, address: self.address, bytes: self.len * size_of::<T>(), write, name: "" }
    }
}

impl<'a, T: Element> ViewMut<'a, T> {
    /// `len` elements at a device address that something else owns.
    ///
    /// # Errors
    /// The address is not a multiple of the element size, or the range leaves the address space.
    ///
    /// # Safety
    /// For all of `'a`, and until the work that was given this view has ended on the device:
    /// - `address .. address + len * size_of::<T>()` is memory of `device`, readable and writable by its kernels;
    /// - nothing else reads or writes it, unless ordered before or after that work by the caller (no event
    ///   guards raw memory: streams and events are the caller's).
    pub unsafe fn from_raw(device: &'a Device, address: u64, len: usize) -> Result<ViewMut<'a, T>> {
        // SAFETY: the caller's obligations include those of a view that reads.
        let view = unsafe { View::from_raw(device, address, len) }?;
        Ok(ViewMut { view, marker: PhantomData })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.view.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.view.len == 0
    }

    /// The same elements, to read.
    pub fn as_view(&self) -> View<'_, T> {
        self.view
    }

    /// The same elements, to write, for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut { view: self.view, marker: PhantomData }
    }

    /// The elements in `range`.
    ///
    /// # Errors
    /// The range is not within `0..len`.
    pub fn slice(self, range: impl RangeBounds<usize>) -> Result<ViewMut<'a, T>> {
        Ok(ViewMut { view: self.view.slice(range)?, marker: PhantomData })
    }

    /// The elements before `mid`, and those from `mid` on.
    ///
    /// # Errors
    /// `mid > len`.
    pub fn split_at(self, mid: usize) -> Result<(ViewMut<'a, T>, ViewMut<'a, T>)> {
        let (head, tail) = (self.view.slice(..mid)?, self.view.slice(mid..)?);
        Ok((ViewMut { view: head, marker: PhantomData }, ViewMut { view: tail, marker: PhantomData }))
    }

    /// The same bytes as elements of another type.
    ///
    /// # Errors
    /// The address or the length in bytes is not a multiple of the new element size.
    pub fn cast<U: Element>(self) -> Result<ViewMut<'a, U>> {
        Ok(ViewMut { view: self.view.cast()?, marker: PhantomData })
    }

    /// `rows × cols` elements, row `i` starting at element `i * ld`.
    ///
    /// # Errors
    /// `ld < cols`, or fewer than `(rows - 1) * ld + cols` elements.
    pub fn matrix(self, rows: usize, cols: usize, ld: usize) -> Result<MatrixMut<'a, T>> {
        MatrixMut::new(self, rows, cols, ld)
    }

    /// The device it lies on, for as long as the view lives.
    pub fn device(&self) -> &'a Device {
        self.view.device
    }
}

impl<T> sealed::Sealed for View<'_, T> {}
impl<T> sealed::Sealed for ViewMut<'_, T> {}

impl<T: Element> Region for View<'_, T> {
    fn device(&self) -> &Device {
        self.device
    }

    fn span(&self) -> Span {
        Span::contiguous(self.address, self.len * size_of::<T>())
    }
}

impl<T: Element> Region for ViewMut<'_, T> {
    fn device(&self) -> &Device {
        self.view.device
    }

    fn span(&self) -> Span {
        self.view.span()
    }
}

impl<T: Element> fmt::Debug for View<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {:#x} on {}", self.len, T::DTYPE.name(), self.address, self.device)
    }
}

impl<T: Element> fmt::Debug for ViewMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mutable {:?}", self.view)
    }
}

impl<'a, T: Element> From<&View<'a, T>> for View<'a, T> {
    fn from(view: &View<'a, T>) -> Self {
        *view
    }
}

impl<'a, T: Element> From<&'a ViewMut<'_, T>> for View<'a, T> {
    fn from(view: &'a ViewMut<'_, T>) -> Self {
        view.as_view()
    }
}

impl<'a, T: Element> From<&'a Buffer<T>> for View<'a, T> {
    fn from(buffer: &'a Buffer<T>) -> Self {
        buffer.view()
    }
}

impl<'a, T: Element> From<&'a mut ViewMut<'_, T>> for ViewMut<'a, T> {
    fn from(view: &'a mut ViewMut<'_, T>) -> Self {
        view.reborrow()
    }
}

impl<'a, T: Element> From<&'a mut Buffer<T>> for ViewMut<'a, T> {
    fn from(buffer: &'a mut Buffer<T>) -> Self {
        buffer.view_mut()
    }
}

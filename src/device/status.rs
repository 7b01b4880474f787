//! What only the device can see: flags that kernels raise while they run.

use super::view::{View, ViewMut};
use super::{Buffer, Device, Stream};
use crate::Result;

/// Bit of the status word: an input held a NaN or an infinity.
const NONFINITE_INPUT: u32 = 1;
/// Bit of the status word: a length or a first token on the device was not what it may be.
const BAD_LENGTH: u32 = 2;
/// Bit of the status word: a page on the device does not exist.
const BAD_PAGE: u32 = 4;

/// A status word on the device, owned by the caller. Kernels OR flags into it; nothing else clears it.
#[derive(Debug)]
pub struct Status {
    word: Buffer<u32>,
}

/// The flags of a [`Status`], as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusFlags {
    /// An input held a NaN or an infinity.
    pub nonfinite_input: bool,
    /// A length of a sequence was greater than the problem's, or first tokens fell or went past the end. The kernel
    /// went on with less, so that nothing outside its operands was touched.
    pub bad_length: bool,
    /// A table named a page that does not exist. The kernel went on with zeros for its keys and values.
    pub bad_page: bool,
    /// The raw word.
    pub bits: u32,
}

impl StatusFlags {
    /// True when no flag is up.
    pub fn is_clear(&self) -> bool {
        self.bits == 0
    }
}

impl Status {
    /// A status word with no flag up.
    ///
    /// # Errors
    /// No memory, or a stream that is being captured.
    pub fn new(stream: &Stream) -> Result<Status> {
        Ok(Status { word: stream.zeros(1)? })
    }

    /// The device it lies on.
    pub fn device(&self) -> &Device {
        self.word.device()
    }

    /// The word, for a launch that may raise flags.
    pub fn word_mut(&mut self) -> ViewMut<'_, u32> {
        self.word.view_mut()
    }

    /// The word, to read on the device.
    pub fn word(&self) -> View<'_, u32> {
        self.word.view()
    }

    /// The flags raised by the work before this in `stream`; takes all of them down. Waits for that work.
    ///
    /// # Errors
    /// A stream of another device or one that is being captured, or an error of earlier work.
    pub fn read_and_clear(&mut self, stream: &Stream) -> Result<StatusFlags> {
        let bits = stream.download(&self.word)?.first().copied().unwrap_or(0);
        stream.fill_zero(&mut self.word)?;
        Ok(StatusFlags {
            nonfinite_input: bits & NONFINITE_INPUT != 0,
            bad_length: bits & BAD_LENGTH != 0,
            bad_page: bits & BAD_PAGE != 0,
            bits,
        })
    }
}

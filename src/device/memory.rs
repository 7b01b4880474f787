//! Owned device memory, and how a piece of work refers to it.

use std::fmt;
use std::sync::Arc;

use super::Device;
use super::backend::Allocation;

/// Memory of one device. Buffers, and graphs that were captured with them, share it.
pub(crate) struct Memory {
    /// Where it lies.
    pub device: Device,
    /// Its device address.
    pub address: u64,
    /// What frees it.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "only CUDA memory is taken apart; all is freed"))]
    pub allocation: Box<dyn Allocation>,
}

impl Memory {
    /// Takes over an allocation of `device`.
    pub fn new(device: &Device, allocation: Box<dyn Allocation>) -> Arc<Memory> {
        Arc::new(Memory { device: device.clone(), address: allocation.address(), allocation })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} on {}", self.address, self.device)
    }
}

/// A range of device memory that a piece of work reads or writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Operand<'a> {
    /// Its owner; `None` for memory that was given as a raw address.
    pub memory: Option<&'a Arc<Memory>>,
    /// Where it starts.
    pub address: u64,
    /// How long it is.
    pub bytes: usize,
    /// Whether the work writes it.
    pub write: bool,
    /// The kernel's name for it; empty where there is no kernel.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code, reason = "only the emulator's reports name operands"))]
    pub name: &'static str,
}

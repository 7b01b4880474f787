//! The kernels that a device has loaded: a table that a launch only reads.

use std::sync::OnceLock;

use crate::manifest::{Entry, ROWS};
use crate::{Error, Result};

/// One more than the greatest key.
const KEYS: usize = {
    let mut most = 0;
    let mut i = 0;
    while i < ROWS.len() {
        if ROWS[i].entry as usize >= most {
            most = ROWS[i].entry as usize + 1;
        }
        i += 1;
    }
    most
};

/// What a device made of each entry. Looking one up costs an index and neither locks nor allocates.
pub(super) struct Kernels<K> {
    slots: [OnceLock<K>; KEYS],
}

impl<K> Kernels<K> {
    /// With nothing loaded.
    pub fn new() -> Kernels<K> {
        Kernels { slots: [const { OnceLock::new() }; KEYS] }
    }

    /// The kernel of `entry`, if it is loaded.
    pub fn find(&self, entry: Entry) -> Option<&K> {
        self.slots.get(entry as usize)?.get()
    }

    /// The kernel of `entry`, for a launch.
    ///
    /// # Errors
    /// It was not loaded.
    pub fn get(&self, entry: Entry) -> Result<&K> {
        self.find(entry)
            .ok_or_else(|| Error::Unsupported(format!("{} was not loaded on this device", entry.row().symbol)))
    }

    /// Keeps the kernel of `entry`; the first one stays.
    pub fn insert(&self, entry: Entry, kernel: K) {
        if let Some(slot) = self.slots.get(entry as usize) {
            let _ = slot.set(kernel);
        }
    }
}

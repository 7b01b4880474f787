//! What the launches of an emulated device counted.

use std::sync::{Mutex, PoisonError};

use crate::emulator::{Counters, LaunchConfig};
use crate::manifest::Entry;

/// What one launch on an emulated device counted ([`Device::take_counters`](super::Device::take_counters)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LaunchCounters {
    /// Which kernel.
    pub entry: Entry,
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Dynamic shared memory a block, in bytes.
    pub shared_bytes: u32,
    /// What it counted.
    pub counters: Counters,
}

/// The counters since somebody asked for them; nothing while nobody does.
#[derive(Default)]
pub(super) struct Counted(Mutex<Option<Vec<LaunchCounters>>>);

impl Counted {
    /// Starts to count, or stops.
    pub fn set(&self, on: bool) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *list = if on { list.take().or_else(|| Some(Vec::new())) } else { None };
    }

    /// Is somebody asking?
    pub fn on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes what one launch counted.
    pub fn add(&self, entry: Entry, config: &LaunchConfig, counters: &Counters) {
        if let Some(list) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let LaunchConfig { grid, shared_bytes, .. } = *config;
            list.push(LaunchCounters { entry, grid, shared_bytes, counters: counters.clone() });
        }
    }

    /// The counters so far, which are then forgotten.
    pub fn take(&self) -> Vec<LaunchCounters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map_or_else(Vec::new, std::mem::take)
    }
}

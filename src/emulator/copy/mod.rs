//! Asynchronous copies and the barriers that count them: `cp.async`, `cp.async.bulk`, TMA and mbarriers.
//!
//! Copies are captured when they are issued and their bytes move when they land, which the interpreter decides: by
//! default as late as is legal, so that a missing wait shows in the result. Shared memory is a byte slice indexed by
//! shared-window address; global memory is whatever implements [`GlobalMemory`].

mod bulk;
mod cp_async;
pub(crate) mod mbarrier;
mod problem;
mod swizzle;
mod tensor_map;

pub(crate) use bulk::{BulkQueue, BulkTarget};
pub(crate) use cp_async::{CpAsync, CpAsyncQueue};
pub(crate) use problem::shared_range;
pub use problem::{Problem, ProblemKind};
pub use tensor_map::{Fill, Swizzle, TensorMap, TensorMapDtype};

/// Global memory as the copies see it.
pub(crate) trait GlobalMemory {
    /// Whether `size` bytes at `address` lie in one allocation.
    ///
    /// # Errors
    /// A [`Problem`] with the address.
    fn check(&self, address: u64, size: u64) -> Result<(), Problem>;

    /// Reads bytes.
    ///
    /// # Errors
    /// As [`GlobalMemory::check`].
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Problem>;

    /// A hint that these bytes, from the least to the greatest address of a warp, are read later.
    fn soon(&self, _from: &[u64; 32], _least: u64) {}

    /// Reads, for each lane of `lanes`, `bytes[lane]` bytes at `from[lane]` to `to[lane]` of `out`, which has room.
    ///
    /// # Errors
    /// As [`GlobalMemory::check`], with the lane.
    fn gather(
        &self,
        lanes: u32,
        from: &[u64; 32],
        bytes: &[u8; 32],
        out: &mut [u8],
        to: &[u32; 32],
    ) -> Result<(), Problem> {
        for lane in (0..32).filter(|lane| lanes >> lane & 1 == 1) {
            let (start, count) = (to[lane] as usize, usize::from(bytes[lane]));
            if let Some(out) = out.get_mut(start..start + count).filter(|out| !out.is_empty()) {
                self.read(from[lane], out).map_err(|p| p.at_lane(lane))?;
            }
        }
        Ok(())
    }
}

/// Global memory of the unit tests: one allocation.
#[cfg(test)]
pub(crate) struct TestMemory {
    pub base: u64,
    pub bytes: Vec<u8>,
}

#[cfg(test)]
impl GlobalMemory for TestMemory {
    fn check(&self, address: u64, size: u64) -> Result<(), Problem> {
        let inside = address >= self.base
            && address.checked_add(size).is_some_and(|end| end <= self.base + self.bytes.len() as u64);
        let problem = || {
            Problem::out_of_bounds(crate::emulator::ir::Space::Global, address, size, self.bytes.len() as u64, "test")
        };
        inside.then_some(()).ok_or_else(problem)
    }

    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Problem> {
        self.check(address, out.len() as u64)?;
        let at = (address - self.base) as usize;
        out.copy_from_slice(&self.bytes[at..at + out.len()]);
        Ok(())
    }
}

//! The numbers that one instruction, one line or one kernel comes to.

use serde::Serialize;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What one instruction, one source line or a whole launch did. All are exact counts of what the PTX asks for.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Count {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Count {
            /// Names of the fields, in order, as JSON has them.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// The values of the fields, in the order of [`Count::NAMES`].
            pub fn values(&self) -> [u64; Count::NAMES.len()] {
                [$(self.$name,)+]
            }

            /// Adds another's numbers.
            pub fn add(&mut self, other: &Count) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counts! {
    /// Warp instructions executed. One that waits is counted once, when it goes on.
    executions,
    /// Lanes that took part, guard included: at most 32 an execution.
    lanes,
    /// Executions while the warp had diverged: fewer than all its lanes that had not exited stood here.
    diverged,
    /// Branches that parted the lanes of a warp.
    splits,
    /// Warp instructions that read global memory, and bulk copies.
    requests_read,
    /// Warp instructions that wrote global memory.
    requests_written,
    /// Bytes of global memory that those reads asked for; bytes that several lanes of one want count once.
    bytes_read,
    /// Bytes of global memory that those writes wrote.
    bytes_written,
    /// 32-byte sectors of global memory that those reads touched. `cp.async`, bulk copies and `atom` are included.
    sectors_read,
    /// 32-byte sectors of global memory that those writes touched. `atom` and `red` are included.
    sectors_written,
    /// Passes that accesses to shared memory took: 32 banks of 4 bytes, one word a bank and pass.
    wavefronts,
    /// Passes that they would take without bank conflicts.
    wavefronts_ideal,
    /// Warp instructions that touched local memory: spilled registers and arrays that are indexed.
    local_requests,
    /// Bytes that asynchronous copies brought to shared memory, zero fill included.
    async_bytes,
    /// Multiply-accumulates on tensor cores.
    tensor_macs,
}

impl Count {
    /// Lanes an execution, on the average; 0 when nothing was executed.
    pub fn lanes_active(&self) -> f64 {
        ratio(self.lanes, self.executions)
    }

    /// Sectors that a request for global memory touched on the average: a warp that reads 4 bytes a lane, side by side,
    /// touches 4. 0 when there were no requests.
    pub fn sectors_a_request(&self) -> f64 {
        ratio(self.sectors_read + self.sectors_written, self.requests_read + self.requests_written)
    }

    /// The part of the bytes in all touched sectors that was asked for: 1 is perfectly coalesced. 1 without requests.
    pub fn coalescing(&self) -> f64 {
        match 32 * (self.sectors_read + self.sectors_written) {
            0 => 1.0,
            moved => ratio(self.bytes_read + self.bytes_written, moved),
        }
    }

    /// Passes over the banks beyond the ideal.
    pub fn conflicts(&self) -> u64 {
        self.wavefronts.saturating_sub(self.wavefronts_ideal)
    }
}

/// `a / b`, or 0 where `b` is.
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

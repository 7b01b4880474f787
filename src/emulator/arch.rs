//! The devices that the emulator models.

use std::fmt;

/// One modelled device per architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// Ampere, as an A100: compute capability 8.0.
    Sm80,
    /// Ada, as an L40S: compute capability 8.9.
    Sm89,
    /// Hopper, as an H100 SXM: compute capability 9.0, with its architecture-specific instructions.
    Sm90a,
}

impl Arch {
    /// Compute capability times ten.
    pub fn number(self) -> u32 {
        match self {
            Arch::Sm80 => 80,
            Arch::Sm89 => 89,
            Arch::Sm90a => 90,
        }
    }

    /// Streaming multiprocessors.
    pub fn multiprocessors(self) -> u32 {
        match self {
            Arch::Sm80 => 108,
            Arch::Sm89 => 142,
            Arch::Sm90a => 132,
        }
    }

    /// Most shared memory of one block, in bytes (CUDA programming guide, "Technical Specifications per Compute
    /// Capability").
    pub fn shared_per_block(self) -> u32 {
        match self {
            Arch::Sm80 => 163 * 1024,
            Arch::Sm89 => 99 * 1024,
            Arch::Sm90a => 227 * 1024,
        }
    }

    /// Shared memory of one multiprocessor, in bytes; every resident block takes 1 KiB more than it asks for.
    pub fn shared_per_multiprocessor(self) -> u32 {
        match self {
            Arch::Sm80 => 164 * 1024,
            Arch::Sm89 => 100 * 1024,
            Arch::Sm90a => 228 * 1024,
        }
    }

    /// Most threads resident on one multiprocessor.
    pub fn threads_per_multiprocessor(self) -> u32 {
        match self {
            Arch::Sm80 | Arch::Sm90a => 2048,
            Arch::Sm89 => 1536,
        }
    }

    /// Most blocks resident on one multiprocessor.
    pub fn blocks_per_multiprocessor(self) -> u32 {
        match self {
            Arch::Sm80 | Arch::Sm90a => 32,
            Arch::Sm89 => 24,
        }
    }

    /// Blocks of this size resident on the whole device at once: what threads and shared memory allow
    /// (registers are not modelled).
    pub fn resident_blocks(self, threads: u32, shared_bytes: u32) -> u32 {
        let threads = threads.max(1).next_multiple_of(32);
        let by_threads = self.threads_per_multiprocessor() / threads;
        let by_shared = self.shared_per_multiprocessor() / (shared_bytes.saturating_add(1024));
        by_threads.min(by_shared).clamp(1, self.blocks_per_multiprocessor()) * self.multiprocessors()
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::Sm80 => "sm_80",
            Arch::Sm89 => "sm_89",
            Arch::Sm90a => "sm_90a",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupancy_follows_threads_and_shared_memory() {
        assert_eq!(Arch::Sm80.resident_blocks(256, 0), 8 * 108);
        assert_eq!(Arch::Sm80.resident_blocks(256, 81 * 1024), 2 * 108);
        assert_eq!(Arch::Sm90a.resident_blocks(384, 200 * 1024), 132);
        assert_eq!(Arch::Sm89.resident_blocks(32, 0), 24 * 142);
        assert_eq!(Arch::Sm80.to_string(), "sm_80");
    }
}

//! Launches of the probes: tiny kernels around one instruction each, whose output is compared between machines.

use super::{DeviceFacts, Geometry};
use crate::manifest::{Entry, ROWS, Target};

/// Blocks of every `ProbeMma…`: as many independent products.
pub const MMA_BLOCKS: u32 = 16;
/// Blocks of every `ProbeScalar…`, of 256 values each.
pub const SCALAR_BLOCKS: u32 = 8;
/// Blocks of `ProbeHopperTma`: as many boxes.
pub const TMA_BLOCKS: u32 = 8;

/// The launches of all probes that run on a device.
pub fn plan(facts: &DeviceFacts) -> impl Iterator<Item = Geometry> + use<> {
    let capability = facts.capability;
    let runs = move |target: &Target| match target.arch_specific() {
        true => target.capability() == capability,
        false => target.capability() <= capability,
    };
    let probes = ROWS.iter().filter(|row| row.source.starts_with("probe/"));
    probes.filter(move |row| row.targets.iter().any(runs)).map(|row| {
        let blocks = match row.entry {
            Entry::ProbeMmaS8 | Entry::ProbeMmaF16 | Entry::ProbeMmaBf16 => MMA_BLOCKS,
            Entry::ProbeScalarPrmt | Entry::ProbeScalarConvert | Entry::ProbeScalarDivide => SCALAR_BLOCKS,
            Entry::ProbeHopperTma => TMA_BLOCKS,
            _ => 1,
        };
        Geometry { entry: row.entry, grid: [blocks, 1, 1], cluster: [1; 3], shared_bytes: row.shared_bytes }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_is_planned_where_it_runs() {
        let facts = |capability| DeviceFacts {
            capability,
            sm_count: 1,
            shared_per_block: 1 << 16,
            shared_per_sm: 1 << 16,
            registers_per_sm: 1 << 16,
            threads_per_sm: 1 << 11,
            l2_bytes: 0,
        };
        let rows = ROWS.iter().filter(|row| row.source.starts_with("probe/")).count();
        assert_eq!(plan(&facts(90)).count(), rows);
        assert_eq!(plan(&facts(80)).count(), rows - 3);
        assert_eq!(plan(&facts(120)).count(), rows - 3, "sm_90a runs on 9.0 alone");
        assert_eq!(plan(&facts(75)).count(), 0);
    }
}

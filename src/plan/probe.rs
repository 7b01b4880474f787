//! Launches of the probes: tiny kernels around single instructions, whose output is compared between machines.

use super::{DeviceFacts, Geometry};
use crate::manifest::{Entry, ROWS, Row, Target};

/// Whether an entry is a probe.
fn is_probe(row: &Row) -> bool {
    row.source.starts_with("probe/")
}

/// Blocks of a probe: as many independent cases of a tensor product, 32 or 256 values of the others.
fn blocks(row: &Row) -> u32 {
    match (row.source, row.entry) {
        (_, Entry::ProbeMmaInt8) => 16,
        ("probe/probe_mma", _) => 32,
        ("probe/probe_wgmma", _) => WGMMA_CASES,
        (_, Entry::ProbeWarpAtomic) => 1,
        ("probe/probe_warp", _) => 4,
        (
            _,
            Entry::ProbeConvertHalf | Entry::ProbeConvertBf16 | Entry::ProbeConvertFp8 | Entry::ProbeConvertFp8Wide,
        ) => 256,
        (_, Entry::ProbeHalfApproximate | Entry::ProbeHalfApproximateBf16) => 16,
        (_, Entry::ProbeFloatApproximate) => 4,
        ("probe/probe_float" | "probe/probe_half" | "probe/probe_convert", _) => 2,
        _ => 1,
    }
}

/// Cases of every `ProbeWgmma…`.
pub const WGMMA_CASES: u32 = 12;

/// The launches of all probes that run on a device. Those of tensor maps have a block for each box: one here.
pub fn plan(facts: &DeviceFacts) -> impl Iterator<Item = Geometry> + use<> {
    let capability = facts.capability;
    let runs = move |target: &Target| match target.arch_specific() {
        true => target.capability() == capability,
        false => target.capability() <= capability,
    };
    ROWS.iter().filter(|row| is_probe(row)).filter(move |row| row.targets.iter().any(runs)).map(|row| Geometry {
        entry: row.entry,
        grid: [blocks(row), 1, 1],
        cluster: [1; 3],
        shared_bytes: row.shared_bytes,
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
        let rows = |targets: &[Target]| {
            ROWS.iter().filter(|row| is_probe(row) && row.targets.iter().all(|target| targets.contains(target))).count()
        };
        let (ampere, ada) = (rows(&[Target::Sm80]), rows(&[Target::Sm80, Target::Sm89]));
        assert_eq!(plan(&facts(90)).count(), rows(&[Target::Sm80, Target::Sm89, Target::Sm90a]));
        assert_eq!(plan(&facts(89)).count(), ada);
        assert_eq!(plan(&facts(80)).count(), ampere);
        assert_eq!(plan(&facts(120)).count(), ada, "sm_90a runs on 9.0 alone");
        assert_eq!(plan(&facts(75)).count(), 0);
        assert!(ampere > 30 && ada > ampere);
    }
}

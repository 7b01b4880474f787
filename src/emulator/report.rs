//! What checked mode found: wrong, but not a reason to stop. Collected from all workers, one report for each pair of
//! instructions, capped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::fault::Site;

/// Distinct reports that a launch keeps; more are only counted.
const CAP: usize = 64;

/// What a [`Report`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ReportKind {
    /// Two accesses to the same bytes, one of them a write, that nothing orders.
    Race,
    /// A read of bytes that nothing ever wrote.
    Uninitialized,
    /// A write to a buffer that the launch was told only to read.
    WriteToInput,
    /// An access inside an allocation, but outside the parts of it that the launch was given.
    OutsideOperand,
    /// Generic writes that the asynchronous proxy reads with no proxy fence between, or the other way round.
    ProxyFence,
    /// Asynchronous copies or products that nobody has waited for when the thread or the block exits.
    AsyncGroup,
    /// Wrong use of an mbarrier or a warp's collective that has no other effect here.
    Barrier,
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReportKind::Race => "race",
            ReportKind::Uninitialized => "uninitialized",
            ReportKind::WriteToInput => "write to an input",
            ReportKind::OutsideOperand => "outside the operands",
            ReportKind::ProxyFence => "missing proxy fence",
            ReportKind::AsyncGroup => "asynchronous group",
            ReportKind::Barrier => "barrier",
        })
    }
}

/// One finding of a checked launch. `Display` is the whole report:
///
/// ```text
/// uninitialized: read of 4 bytes at 0x7000010b0: byte 176 of `x` (256 bytes) and 3 after it were never written
///   in kernel `scale`, instruction `ld.global.f32 %f1, [%rd4];` (PTX line 31)
///   at scale.cu:12
///   block (0, 0, 0), warp 1, lane 12
///   20 times in all
/// ```
///
/// Where two instructions have to do with each other the second stands below, as "the other side" of a race or what
/// came "before that". [`Counters::reports`](super::Counters::reports) has those of a launch; the section "Checked
/// mode" of
/// [this module](super) has a program that gets one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub kind: ReportKind,
    /// What is wrong, with the values: space, address, buffer.
    pub message: String,
    /// Where it was seen.
    pub site: Site,
    /// The other side of a race, or where what is missing should have been.
    pub other: Option<Site>,
    /// Times that it was seen between the same two instructions; the rest of the report is about the first.
    pub times: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.kind, self.message, self.site)?;
        if let Some(other) = &self.other {
            let what = match self.kind {
                ReportKind::AsyncGroup | ReportKind::Barrier => "before that",
                _ => "the other side",
            };
            write!(f, "\n  {what}:{other}")?;
        }
        if self.times > 1 {
            write!(f, "\n  {} times in all", self.times)?;
        }
        Ok(())
    }
}

/// Kind, PTX line, PTX line of the other side.
type Key = (ReportKind, u32, u32);

/// Reports of one launch, from all its workers.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    found: Mutex<(BTreeMap<Key, Report>, u64)>,
}

impl Reports {
    /// Adds a finding. `make` writes the report if there is none yet between these PTX lines.
    #[cold]
    pub fn add(&self, kind: ReportKind, ptx_line: u32, other_line: u32, make: impl FnOnce() -> Report) {
        let mut guard = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, dropped) = &mut *guard;
        let full = found.len() >= CAP;
        match found.get_mut(&(kind, ptx_line, other_line)) {
            Some(report) => report.times += 1,
            None if full => *dropped += 1,
            None => drop(found.insert((kind, ptx_line, other_line), make())),
        }
    }

    /// The reports, and how many more there were.
    pub fn take(&self) -> (Vec<Report>, u64) {
        let mut guard = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, dropped) = std::mem::take(&mut *guard);
        (found.into_values().collect(), dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(line: u32) -> Site {
        let source = Some(("k.cu".into(), line));
        let (kernel, instruction) = ("k".into(), "st.shared.u32 [%r1], %r2;".into());
        Site {
            kernel,
            instruction,
            ptx_line: 10 * line,
            source,
            block: [1, 0, 0],
            warp: 2,
            lanes: 0b110,
            ..Site::default()
        }
    }

    fn report(kind: ReportKind, line: u32, other: Option<u32>) -> Report {
        Report { kind, message: "something".into(), site: site(line), other: other.map(site), times: 1 }
    }

    #[test]
    fn a_report_says_kind_message_both_sides_and_times() {
        let alone = "race: something\n  in kernel `k`, instruction `st.shared.u32 [%r1], %r2;` (PTX line 30)\n  at k.cu:3\n  block (1, 0, 0), warp 2, lanes 1-2";
        assert_eq!(report(ReportKind::Race, 3, None).to_string(), alone);
        let both = Report { times: 5, ..report(ReportKind::Race, 3, Some(4)) };
        let other = alone.replacen("race: something\n", "", 1).replace("30)", "40)").replace(":3", ":4");
        assert_eq!(both.to_string(), format!("{alone}\n  the other side:\n{other}\n  5 times in all"));
        assert!(report(ReportKind::AsyncGroup, 3, Some(4)).to_string().contains("\n  before that:\n  in kernel `k`"));
    }

    #[test]
    fn reports_are_one_a_pair_of_lines_and_at_most_so_many() {
        let reports = Reports::default();
        let add = |kind, line, other: Option<u32>| {
            reports.add(kind, line, other.unwrap_or(0), || report(kind, line, other));
        };
        (0..3).for_each(|_| add(ReportKind::Race, 7, Some(8)));
        add(ReportKind::Race, 7, Some(9));
        add(ReportKind::Uninitialized, 7, Some(8));
        let (found, dropped) = reports.take();
        assert_eq!((found.len(), dropped), (3, 0));
        assert_eq!(found.iter().map(|r| r.times).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!(reports.take(), (vec![], 0), "they are taken once");
        // Known ones are counted on even when there is no room for others.
        (0..2 * CAP as u32).for_each(|line| add(ReportKind::Barrier, line, None));
        add(ReportKind::Barrier, 0, None);
        let (found, dropped) = reports.take();
        assert_eq!((found.len(), dropped, found[0].times), (CAP, CAP as u64, 2));
    }
}

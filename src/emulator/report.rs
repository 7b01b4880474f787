//! What checked mode found: wrong, but not a reason to stop. Collected from all workers, one report a place, capped.

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
    /// Wrong use of asynchronous groups: copies or products that nobody waits for, waits for groups never made.
    AsyncGroup,
    /// Wrong use of a barrier, an mbarrier or a warp's collective that has no other effect here.
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

/// One finding of a checked launch. `Display` is the whole report.
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

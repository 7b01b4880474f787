//! What checked launches on one device found.

use std::fmt::Write;

use crate::emulator::Report;
use crate::{Error, Result};

/// Findings that an error has in full.
const FULL: usize = 16;
/// Findings kept between two times that somebody asks.
const CAP: usize = 256;

/// The findings of a device, and what to do with more.
#[derive(Default)]
pub(super) struct Findings {
    /// Keep them without a word.
    pub keep: bool,
    reports: Vec<Report>,
}

impl Findings {
    /// Takes the reports of one launch.
    ///
    /// # Errors
    /// All of them, unless they are to be kept in silence.
    pub fn add(&mut self, kernel: &str, reports: Vec<Report>, dropped: u64) -> Result<()> {
        let text = (!self.keep).then(|| text(kernel, &reports, dropped));
        for report in reports {
            let full = self.reports.len() >= CAP;
            let same = |known: &&mut Report| {
                let other = |r: &Report| r.other.as_ref().map(|site| site.ptx_line);
                let key = |r: &Report| (r.kind, r.site.ptx_line, other(r));
                known.site.kernel == report.site.kernel && key(known) == key(&report)
            };
            match self.reports.iter_mut().find(same) {
                Some(known) => known.times = known.times.saturating_add(report.times),
                None if full => {}
                None => self.reports.push(report),
            }
        }
        text.map_or(Ok(()), |text| Err(Error::Findings(text)))
    }

    /// The reports so far.
    pub fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }
}

fn text(kernel: &str, reports: &[Report], dropped: u64) -> String {
    let count = reports.len() as u64 + dropped;
    let plural = if count == 1 { "finding" } else { "findings" };
    let mut text = format!("checked run of {kernel}: {count} {plural}");
    for report in reports.iter().take(FULL) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{report}");
    }
    let more = count - reports.len().min(FULL) as u64;
    if more > 0 {
        let _ = write!(text, "\n(and {more} more)");
    }
    text
}

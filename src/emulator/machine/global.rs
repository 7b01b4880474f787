//! What checked mode asks of an access to global memory: were the bytes ever written, and may the kernel touch them?

use std::ops::Range;

use super::super::copy::CpAsync;
use super::super::fault::Site;
use super::super::report::{Report, ReportKind};
use super::access::Lanes;
use super::memory::Allocation;
use super::run::{Run, site};

/// The longest range that is looked at as a whole before its lanes are looked at one by one.
const LONG: usize = 4096;

impl Run<'_> {
    /// Adds a finding about some lanes at the current instruction.
    #[cold]
    pub(super) fn report(&self, kind: ReportKind, lanes: u32, message: impl FnOnce() -> String) {
        self.report_with(kind, lanes, None, message);
    }

    /// The same, with another place that has to do with it.
    #[cold]
    pub(super) fn report_with(
        &self,
        kind: ReportKind,
        lanes: u32,
        other: Option<Site>,
        message: impl FnOnce() -> String,
    ) {
        let Some(reports) = &self.launch.reports else { return };
        let code = self.launch.code;
        let at = code.insts.get(self.pc as usize).and_then(|inst| code.lines.get(inst.at as usize));
        let other_line = other.as_ref().map_or(0, |other| other.ptx_line);
        reports.add(kind, at.map_or(0, |at| at.ptx_line), other_line, || Report {
            kind,
            message: message(),
            site: site(code, self.pc, self.cta.index, self.warp.index, lanes),
            other,
            times: 1,
        });
    }

    /// Looks at the bytes that some lanes are about to read, write, or (an atomic) both, all inside one allocation.
    #[cold]
    #[inline(never)]
    pub(super) fn check_global(
        &self,
        a: &Allocation,
        lanes: &Lanes,
        active: u32,
        size: usize,
        load: bool,
        store: bool,
    ) {
        let all = lanes.low..lanes.high + size as u64;
        let long = all.end - all.start > LONG as u64;
        let given = &self.launch.memory.operands;
        let free = given.allow(&all, store) || !given.speak_of(a);
        let known = match &a.written {
            Some(written) => !long && written.gap(offsets(a, &all)).is_none(),
            None => true,
        };
        if free && known {
            return;
        }
        for lane in (0..32).filter(|lane| active >> lane & 1 == 1) {
            let range = lanes.at[lane]..lanes.at[lane] + size as u64;
            if !free {
                self.check_operand(a, range.clone(), 1 << lane, store);
            }
            if load {
                self.check_written(a, range.clone(), 1 << lane, "");
            }
            if store && let Some(written) = &a.written {
                written.mark(offsets(a, &range));
            }
        }
    }

    /// Looks at the global memory that a `cp.async` reads. A copy is blamed where it is issued: bytes that somebody
    /// writes only between its issue and its wait would be read in a race.
    #[cold]
    #[inline(never)]
    pub(super) fn check_sources(&mut self, copy: &CpAsync, active: u32) {
        for lane in (0..32).filter(|lane| active >> lane & 1 == 1) {
            self.check_source(copy.src[lane], u64::from(copy.src_size[lane]), 1 << lane);
        }
        self.check_copy_races(active, |lane| (copy.src[lane], u64::from(copy.src_size[lane])));
    }

    /// Looks at the global memory that the bulk copy just issued reads.
    #[cold]
    #[inline(never)]
    pub(super) fn check_bulk_source(&mut self, lane: usize) {
        let mut ranges = Vec::new();
        if let Some(copy) = self.cta.bulk.last() {
            copy.reads(|address, bytes| ranges.push((address, bytes)));
        }
        for range in ranges {
            self.check_source(range.0, range.1, self.mask);
            self.check_copy_races(1 << lane, |_| range);
        }
    }

    fn check_source(&self, address: u64, bytes: u64, lanes: u32) {
        // What is outside is a fault, which the copy itself gives.
        let Some((a, _)) = self.launch.memory.find(address, bytes as usize).filter(|_| bytes > 0) else { return };
        let range = address..address + bytes;
        let given = &self.launch.memory.operands;
        if !given.allow(&range, false) && given.speak_of(a) {
            self.check_operand(a, range.clone(), lanes, false);
        }
        self.check_written(a, range, lanes, "by an asynchronous copy ");
    }

    fn check_operand(&self, a: &Allocation, range: Range<u64>, lanes: u32, store: bool) {
        let given = &self.launch.memory.operands;
        let bytes = range.end - range.start;
        let Some((at, input)) = given.forbidden(range.clone(), store) else { return };
        if store && input {
            self.report(ReportKind::WriteToInput, lanes, || {
                format!("write of {bytes} bytes to {}, which the launch may only read", given.place(a, at))
            });
        } else {
            let what = if store { "write" } else { "read" };
            self.report(ReportKind::OutsideOperand, lanes, || {
                let (at, label) = (at - a.base, given.label(a));
                format!("{what} of {bytes} bytes reaches byte {at} of {label} ({} bytes), which is not part of what the launch was given of it", a.len)
            });
        }
    }

    fn check_written(&self, a: &Allocation, range: Range<u64>, lanes: u32, how: &str) {
        let Some(gap) = a.written.as_ref().and_then(|written| written.gap(offsets(a, &range))) else { return };
        self.report(ReportKind::Uninitialized, lanes, || {
            let (bytes, count) = (range.end - range.start, gap.len());
            let place = self.launch.memory.operands.place(a, a.base + gap.start as u64);
            let never = if count == 1 {
                "was never written".into()
            } else {
                format!("and {} after it were never written", count - 1)
            };
            format!("read of {bytes} bytes {how}at {:#x}: {place} {never}", range.start)
        });
    }
}

/// A range of addresses inside an allocation as offsets.
fn offsets(a: &Allocation, range: &Range<u64>) -> Range<usize> {
    (range.start - a.base) as usize..(range.end - a.base) as usize
}

//! Findings in words.

use super::super::machine::site;
use super::super::report::{Report, ReportKind};
use super::{BlockCheck, Conflict, Context, Wrong};

impl BlockCheck {
    /// Reports what the instruction has found, one report for each instruction on the other side.
    #[inline(always)]
    pub(super) fn report(&mut self, context: &Context<'_>) {
        if !self.found.is_empty() {
            self.report_all(context);
        }
    }

    #[cold]
    #[inline(never)]
    fn report_all(&mut self, context: &Context<'_>) {
        while let Some(first) = self.found.first().copied() {
            let (mut lanes, mut others) = (0, 0);
            self.found.retain(|c| {
                let alike = (c.wrong, c.inst) == (first.wrong, first.inst);
                if alike {
                    lanes |= c.lanes;
                    others |= if c.warp == first.warp { c.others } else { 0 };
                }
                !alike
            });
            self.add(context, &first, lanes, others);
        }
    }

    fn add(&self, context: &Context<'_>, found: &Conflict, lanes: u32, others: u32) {
        let line = |inst: u32| context.line(inst);
        let kind = match found.wrong {
            Wrong::Never => ReportKind::Uninitialized,
            Wrong::WriteRead | Wrong::WriteWrite | Wrong::ReadWrite => ReportKind::Race,
            Wrong::Proxy | Wrong::Init => ReportKind::ProxyFence,
        };
        let other = found.wrong != Wrong::Never;
        let other_line = if other { line(found.inst) } else { 0 };
        context.reports.add(kind, line(context.pc), other_line, || {
            let place = |pc, warp, lanes| site(context.code, pc, context.block, warp, lanes);
            Report {
                kind,
                message: self.message(found),
                site: place(context.pc, context.warp, lanes),
                other: other.then(|| place(found.inst, u32::from(found.warp), others)),
                times: 1,
            }
        });
    }

    fn message(&self, found: &Conflict) -> String {
        let Conflict { at, bytes, .. } = *found;
        let place = format!("shared memory at {at:#x} ({bytes} byte{})", if bytes == 1 { "" } else { "s" });
        let warps = self.warps.len();
        let asynchronous = match usize::from(found.column) / warps.max(1) {
            0 => "",
            1 => ", a copy that is waited for with cp.async.wait_group or an mbarrier",
            2 => ", a product that is waited for with wgmma.wait_group",
            _ => ", a bulk copy that is waited for at its mbarrier",
        };
        match found.wrong {
            Wrong::Never => format!("read of {place}, which nothing has written"),
            Wrong::WriteRead => {
                format!("race on {place}: nothing orders this read behind a write (the other side{asynchronous})")
            }
            Wrong::WriteWrite => {
                format!("race on {place}: nothing orders this write behind another (the other side{asynchronous})")
            }
            Wrong::ReadWrite => {
                format!("race on {place}: nothing orders this write behind a read (the other side{asynchronous})")
            }
            Wrong::Proxy => format!(
                "{place} was written by an ordinary store or copy (the other side); no fence.proxy.async comes between it and \
                 this access of the asynchronous proxy"
            ),
            Wrong::Init => format!(
                "the mbarrier in {place} was initialized (the other side) with no fence.mbarrier_init or fence.proxy.async \
                 before this copy that signals it"
            ),
        }
    }
}

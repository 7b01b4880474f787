//! Global memory: accesses, and what atomics, fences and ordered accesses pass on through memory of any kind.

use super::global::{GlobalShadow, Meeting, Way};
use super::{BlockCheck, Context};
use crate::emulator::fault::Site;
use crate::emulator::machine::site;
use crate::emulator::report::{Report, ReportKind};

/// An access to global memory.
#[derive(Clone, Copy)]
pub(crate) struct GlobalAccess {
    /// A store or an atomic.
    pub write: bool,
    /// Does not race with its like: volatile, relaxed and stronger, atomic.
    pub strong: bool,
    /// An atomic.
    pub atomic: bool,
}

impl BlockCheck {
    /// An access of each of `lanes` to the address and bytes that `at` gives. `same` says of an address, a lane, and
    /// the lane that stored by the same instruction just before (or `None`) whether the value stays the same; `name`
    /// says where an address is; `place` is a block's index from its number.
    #[allow(clippy::too_many_arguments)]
    pub fn global(
        &mut self,
        context: &Context<'_>,
        shadow: &GlobalShadow,
        access: GlobalAccess,
        lanes: u32,
        at: impl Fn(usize) -> (u64, u64),
        same: impl Fn(u64, usize, Option<usize>) -> bool,
        name: impl Fn(u64) -> String,
        place: impl Fn(u32) -> [u32; 3],
    ) {
        let Some(warp) = self.warps.get(context.warp as usize) else { return };
        let GlobalAccess { write, strong, atomic } = access;
        let way = Way { block: warp.block, inst: context.pc, write, strong, atomic };
        shadow.access(way, warp, lanes, at, &mut self.met);
        if self.met.is_empty() {
            return;
        }
        if write && !atomic {
            // Stores of one value, of this instruction among themselves or after another, are no finding.
            let (block, index, now) = (warp.block, warp.index, warp.now);
            self.met.retain(|m| {
                let just = (m.other.block, m.other.thread / 32, m.other.clock) == (block, index, now)
                    && m.other.instruction() == context.pc;
                let other = just.then(|| usize::from(m.other.thread % 32));
                let bytes = m.at..m.at + u64::from(m.bytes);
                !(m.other.wrote() && bytes.into_iter().all(|byte| same(byte, usize::from(m.lane), other)))
            });
        }
        while let Some(first) = self.met.first().copied() {
            let alike = |m: &Meeting| {
                (m.other.instruction(), m.other.block) == (first.other.instruction(), first.other.block)
                    && (m.other.wrote(), m.other.thread / 32) == (first.other.wrote(), first.other.thread / 32)
            };
            let (mut lanes, mut others) = (0, 0);
            for m in self.met.iter().filter(|m| alike(m)) {
                lanes |= 1 << m.lane;
                others |= 1 << (m.other.thread & 31);
            }
            self.met.retain(|m| !alike(m));
            let inst = first.other.instruction();
            let other =
                || site(context.code, inst, place(first.other.block), u32::from(first.other.thread / 32), others);
            met(context, &first, write, lanes, inst, other, || name(first.at));
        }
    }

    /// Lanes are about to write or change memory in order (`all` they know is released), or atomically.
    pub fn release(&mut self, warp: u32, lane: usize, at: u64, all: bool, shadow: Option<&GlobalShadow>) {
        let BlockCheck { warps, released, .. } = self;
        let Some(warp) = warps.get_mut(warp as usize) else { return };
        match shadow {
            Some(shadow) => shadow.released(at, |to| warp.pass_on(lane, all, to)),
            None => warp.pass_on(lane, all, released.entry(at).or_default()),
        }
    }

    /// Lanes have read memory in order (and know `at_once` what was released there), or atomically.
    pub fn acquire(&mut self, warp: u32, lane: usize, at: u64, at_once: bool, shadow: Option<&GlobalShadow>) {
        let BlockCheck { warps, released, .. } = self;
        let Some(warp) = warps.get_mut(warp as usize) else { return };
        let news = match shadow {
            Some(shadow) => shadow.released(at, |from| from.clone()),
            None => released.get(&at).cloned().unwrap_or_default(),
        };
        warp.take_over(lane, at_once, &news);
    }

    /// A fence of the memory model.
    pub fn fence(&mut self, warp: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.fence(lanes);
        }
    }
}

#[cold]
fn met(
    context: &Context<'_>,
    first: &Meeting,
    write: bool,
    lanes: u32,
    inst: u32,
    other: impl FnOnce() -> Site,
    name: impl FnOnce() -> String,
) {
    let line = |inst: u32| context.line(inst);
    context.reports.add(ReportKind::Race, line(context.pc), line(inst), || {
        let (this, that) = match (write, first.other.wrote()) {
            (false, _) => ("this read", "a write"),
            (true, true) => ("this write", "another"),
            (true, false) => ("this write", "a read"),
        };
        let (bytes, plural) = (first.bytes, if first.bytes == 1 { "" } else { "s" });
        Report {
            kind: ReportKind::Race,
            message: format!(
                "race on {bytes} byte{plural} of global memory at {:#x}, {}: nothing orders {this} behind {that} (the other \
                 side)",
                first.at,
                name()
            ),
            site: site(context.code, context.pc, context.block, context.warp, lanes),
            other: Some(other()),
            times: 1,
        }
    });
}

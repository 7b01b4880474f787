//! Checked mode: what a thread or a block began and must end. Copies and products that nobody waits for, mbarriers that
//! are initialized twice, overwritten, or left with bytes that do not add up.
//!
//! Kept apart from the queues of what is really under way, so that the findings do not depend on when copies land.

use super::super::copy::mbarrier;
use super::super::fault::Site;
use super::super::ir::{Addr, Op};
use super::super::report::{Report, ReportKind};
use super::block::Block;
use super::fenced::Fenced;
use super::run::{Launch, Run, site};

/// The groups of one warp: `cp.async` by lane, `wgmma` by warp.
#[derive(Default)]
pub(crate) struct Groups {
    copies: [Group; 32],
    products: Group,
    pub(super) fenced: Fenced,
}

/// Asynchronous work of one kind by one issuer.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Work since the last commit.
    loose: bool,
    /// Groups committed.
    committed: u32,
    /// The last group that has work and was not waited for.
    open: Option<u32>,
    /// The last instruction that gave work.
    pc: u32,
}

impl Group {
    fn work(&mut self, pc: u32) {
        (self.loose, self.pc) = (true, pc);
    }

    fn commit(&mut self) {
        if std::mem::take(&mut self.loose) {
            self.open = Some(self.committed);
        }
        self.committed = self.committed.wrapping_add(1);
    }

    fn wait(&mut self, pending: u32) {
        if self.open.is_some_and(|open| self.committed.wrapping_sub(open) > pending) {
            self.open = None;
        }
    }

    fn wait_all(&mut self) {
        (self.loose, self.open) = (false, None);
    }

    /// What is wrong if its issuer exits now.
    fn left(&self) -> Option<&'static str> {
        match (self.loose, self.open) {
            (true, _) => Some("never committed to a group, nor waited for"),
            (_, Some(_)) => Some("committed, but never waited for"),
            _ => None,
        }
    }
}

/// An mbarrier that the block has initialized.
struct Known {
    at: u32,
    init: Site,
    /// Phases that ended, as far as somebody looked. Looking before each operation is enough: a phase needs an arrival.
    phase: u32,
    parity: u32,
    /// Phases whose end somebody waited for.
    observed: u32,
    /// Where the last bulk copy was issued, and into which phase.
    copy: Option<(Site, u32)>,
    /// Arrivals of `cp.async` end its phases unseen.
    unseen: bool,
}

/// The mbarriers of one block.
#[derive(Default)]
pub(crate) struct Mbarriers(Vec<Known>);

impl Mbarriers {
    /// The mbarrier at an address, its phase as of now.
    fn at(&mut self, at: u64, shared: &[u8]) -> Option<&mut Known> {
        let known = self.0.iter_mut().find(|known| u64::from(known.at) == at)?;
        if mbarrier::test_parity(shared, at, known.parity) == Ok(true) {
            known.parity ^= 1;
            known.phase += 1;
        }
        Some(known)
    }
}

/// The lanes of a mask.
fn each(mask: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |lane| mask >> lane & 1 == 1)
}

impl Run<'_> {
    fn here(&self, lanes: u32) -> Site {
        site(self.launch.code, self.pc, self.cta.index, self.warp.index, lanes)
    }

    /// Takes note of an instruction about to run, whose lanes stand together if they have to.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&mut self, op: &Op, active: u32) {
        let pc = self.pc;
        match *op {
            Op::CpAsync { .. } => self.copies(active, |group| group.work(pc)),
            Op::CpAsyncCommit => self.copies(active, Group::commit),
            Op::CpAsyncWait { pending } => self.copies(active, |group| group.wait(pending)),
            Op::CpAsyncWaitAll => self.copies(active, Group::wait_all),
            Op::CpAsyncMbarrierArrive { addr, .. } => {
                // From here on the mbarrier knows of them.
                self.copies(active, Group::wait_all);
                self.known(addr, active, |known, _, _| known.unseen = true);
            }
            Op::WgmmaFence => self.note_fence(),
            Op::Wgmma(ref op) if active == self.warp.live => {
                self.note_product(op, active);
                self.groups().products.work(pc);
            }
            Op::WgmmaCommit => self.groups().products.commit(),
            Op::WgmmaWait { pending } => self.groups().products.wait(pending),
            Op::TmaLoad { mbar, .. } | Op::BulkLoad { mbar, .. } => {
                let here = self.here(active);
                self.known(mbar, active, |known, _, _| known.copy = Some((here.clone(), known.phase)));
            }
            Op::MbarrierInit { addr, .. } => self.note_init(addr, active),
            Op::MbarrierInval { addr } => {
                let at = self.shared_lanes(addr, active);
                each(active).for_each(|lane| self.cta.mbarriers.0.retain(|known| u64::from(known.at) != at[lane]));
            }
            Op::MbarrierArrive { addr, .. }
            | Op::MbarrierExpectTx { addr, .. }
            | Op::MbarrierCompleteTx { addr, .. } => {
                self.known(addr, active, |_, _, _| ());
            }
            Op::MbarrierWaitParity { addr, parity, .. } => {
                let parity = self.warp.regs.r32[usize::from(parity)].0;
                self.known(addr, active, |known, shared, lane| {
                    if mbarrier::test_parity(shared, u64::from(known.at), parity[lane]) == Ok(true) {
                        known.observed = known.phase;
                    }
                });
            }
            Op::MbarrierWaitState { addr, state, .. } => {
                let state = self.warp.regs.r64[usize::from(state)].0;
                self.known(addr, active, |known, shared, lane| {
                    if mbarrier::test_state(shared, u64::from(known.at), state[lane]) == Ok(true) {
                        known.observed = known.phase;
                    }
                });
            }
            _ => {}
        }
    }

    pub(super) fn groups(&mut self) -> &mut Groups {
        self.warp.groups.get_or_insert_default()
    }

    fn copies(&mut self, lanes: u32, f: impl Fn(&mut Group)) {
        let groups = self.groups();
        each(lanes).for_each(|lane| f(&mut groups.copies[lane]));
    }

    fn known(&mut self, addr: Addr, active: u32, f: impl Fn(&mut Known, &[u8], usize)) {
        let at = self.shared_lanes(addr, active);
        let (mbarriers, shared) = (&mut self.cta.mbarriers, self.cta.shared.as_slice());
        for lane in each(active) {
            if let Some(known) = mbarriers.at(at[lane], shared) {
                f(known, shared, lane);
            }
        }
    }

    fn note_init(&mut self, addr: Addr, active: u32) {
        let at = self.shared_lanes(addr, active);
        for lane in each(active) {
            // Others are faults of the instruction itself.
            let Ok(address) = u32::try_from(at[lane]) else { continue };
            let list = &mut self.cta.mbarriers.0;
            let before = list.iter().position(|known| known.at == address).map(|place| list.swap_remove(place));
            // A word that something else destroyed is no mbarrier any more.
            let valid = mbarrier::test_parity(self.cta.shared.as_slice(), at[lane], 0).is_ok();
            if let Some(before) = before.filter(|_| valid) {
                let text = || {
                    format!(
                        "the mbarrier at {address:#x} is initialized again; it must be invalidated (mbarrier.inval) first"
                    )
                };
                self.report_with(ReportKind::Barrier, 1 << lane, Some(before.init), text);
            }
            let init = self.here(1 << lane);
            let known = Known { at: address, init, phase: 0, parity: 0, observed: 0, copy: None, unseen: false };
            self.cta.mbarriers.0.push(known);
        }
    }

    /// A store to shared memory, byte 0 of which is at `window`: does it hit an mbarrier?
    #[cold]
    #[inline(never)]
    pub(super) fn note_store(&mut self, at: &[u64; 32], window: u64, active: u32, size: usize) {
        for lane in each(active) {
            let at = at[lane].wrapping_sub(window);
            let hit =
                |known: &Known| at < u64::from(known.at) + 8 && u64::from(known.at) < at.saturating_add(size as u64);
            let Some(place) = self.cta.mbarriers.0.iter().position(hit) else { continue };
            let known = self.cta.mbarriers.0.swap_remove(place);
            self.report_with(ReportKind::Barrier, 1 << lane, Some(known.init), || {
                format!("write of {size} bytes at {at:#x} of shared memory overwrites the mbarrier at {:#x}", known.at)
            });
        }
    }

    /// Lanes exit: what they began must be over.
    #[cold]
    #[inline(never)]
    pub(super) fn note_exit(&mut self, lanes: u32) {
        let Some(groups) = self.warp.groups.take() else { return };
        let earlier =
            |group: &Group, lanes| Some(site(self.launch.code, group.pc, self.cta.index, self.warp.index, lanes));
        for lane in each(lanes) {
            let group = &groups.copies[lane];
            if let Some(what) = group.left() {
                let lane = 1 << lane;
                self.report_with(ReportKind::AsyncGroup, lane, earlier(group, lane), || {
                    format!("the thread exits with cp.async copies that were {what}")
                });
            }
        }
        if let Some(what) = groups.products.left() {
            self.report_with(ReportKind::AsyncGroup, lanes, earlier(&groups.products, lanes), || {
                format!("the warp exits with wgmma products that were {what}")
            });
        }
        self.warp.groups = Some(groups);
    }
}

impl Block {
    /// The block is over: are its mbarriers as they should be left?
    #[cold]
    pub(super) fn note_end(&mut self, launch: &Launch<'_>) {
        let Some(reports) = &launch.reports else { return };
        let shared = self.cta.shared.as_slice();
        for mut known in std::mem::take(&mut self.cta.mbarriers.0) {
            let at = u64::from(known.at);
            if known.unseen {
                continue;
            }
            let line = known.init.ptx_line;
            match known.copy.take() {
                Some((site, phase)) if phase >= known.observed => {
                    let message = format!(
                        "the block exits while a bulk copy may be under way: nobody waited for phase {phase} of the mbarrier at {at:#x}"
                    );
                    let kind = ReportKind::AsyncGroup;
                    let (ptx_line, other) = (site.ptx_line, Some(known.init));
                    reports.add(kind, ptx_line, line, || Report { kind, message, site, other, times: 1 });
                }
                _ => {
                    let bytes = mbarrier::awaited(shared, at);
                    if bytes == 0 {
                        continue;
                    }
                    let what = if bytes > 0 {
                        "more were announced than copies brought"
                    } else {
                        "copies brought more than was announced"
                    };
                    let message =
                        format!("the block leaves the mbarrier at {at:#x} with {bytes} bytes pending: {what}");
                    let (kind, site) = (ReportKind::Barrier, known.init);
                    reports.add(kind, line, 0, || Report { kind, message, site, other: None, times: 1 });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_left_until_a_wait_covers_it() {
        let mut group = Group::default();
        group.commit();
        group.wait(0);
        assert_eq!(group.left(), None, "empty groups are nobody's concern");
        group.work(7);
        assert!(group.left().unwrap().starts_with("never committed"));
        group.wait(0);
        assert!(group.left().is_some(), "a wait is for committed groups");
        group.commit();
        assert!(group.left().unwrap().starts_with("committed"));
        group.commit();
        group.wait(2);
        assert!(group.left().is_some(), "of two groups two may be pending");
        group.wait(1);
        assert_eq!(group.left(), None, "the younger one is empty");
        group.work(8);
        group.wait_all();
        assert_eq!((group.left(), group.pc), (None, 8));
    }
}

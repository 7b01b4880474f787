//! mbarriers, bulk copies and `wgmma`: what goes through the asynchronous proxy, and what waits for it.

use super::access::{Conflict, Wrong};
use super::clock::each;
use super::{BlockCheck, Context, by_lane};

impl BlockCheck {
    /// `mbarrier.init` of one lane, or `mbarrier.inval`: a write of the word.
    pub fn mbarrier_set(&mut self, context: &Context<'_>, lane: usize, at: u64, init: bool) {
        let BlockCheck { warps, shadow, found, mbarriers, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        let (Some(clock), Ok(place)) = (warp.of(lane), u32::try_from(at)) else { return };
        shadow.write(&by_lane(warp, clock, lane, context.pc, false), place as usize, 8, found);
        if init {
            mbarriers.init(place, context.pc, (warp.index, lane as u8, warp.now));
        }
        self.report(context);
    }

    /// Before another operation of these lanes on mbarriers: it reads their words. Phases that have ended are seen.
    pub fn mbarrier_use(&mut self, context: &Context<'_>, lanes: u32, at: &[u64; 32], shared: &[u8]) {
        let BlockCheck { warps, shadow, found, mbarriers, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        for (members, clock) in &warp.groups {
            for lane in each(members & lanes) {
                let Ok(place) = u32::try_from(at[lane]) else { continue };
                mbarriers.at(place).settle(shared);
                shadow.read(&by_lane(warp, clock, lane, context.pc, true), place as usize, 8, found);
            }
        }
        self.report(context);
    }

    /// Lanes arrive at mbarriers: before the arrival. With `copies`, when their `cp.async` so far have landed.
    pub fn mbarrier_arrive(&mut self, warp: u32, lanes: u32, at: &[u64; 32], copies: bool) {
        let BlockCheck { warps, mbarriers, .. } = self;
        let Some(warp) = warps.get_mut(warp as usize) else { return };
        let mut rest = lanes;
        while let Some(first) = each(rest).next() {
            let alike = each(rest).filter(|lane| at[*lane] == at[first]).fold(0, |m, lane| m | 1 << lane);
            rest &= !alike;
            let Ok(place) = u32::try_from(at[first]) else { continue };
            let gathered = std::sync::Arc::make_mut(&mut mbarriers.at(place).gathered);
            if copies {
                warp.release_copies(alike, gathered);
            } else {
                warp.release(alike, gathered);
            }
        }
        warp.tick();
    }

    /// After an operation on mbarriers: sees phases that it has ended.
    pub fn mbarrier_settle(&mut self, lanes: u32, at: &[u64; 32], shared: &[u8]) {
        for lane in each(lanes) {
            if let Ok(place) = u32::try_from(at[lane]) {
                self.mbarriers.at(place).settle(shared);
            }
        }
    }

    /// A copy has landed: sees the phase that it may have ended.
    pub fn landed(&mut self, shared: &[u8]) {
        self.mbarriers.all().iter_mut().for_each(|m| m.settle(shared));
    }

    /// Lanes have seen that a phase of their mbarriers is over.
    pub fn mbarrier_pass(&mut self, warp: u32, lanes: u32, at: &[u64; 32]) {
        let BlockCheck { warps, mbarriers, .. } = self;
        let Some(warp) = warps.get_mut(warp as usize) else { return };
        let mut rest = lanes;
        while let Some(first) = each(rest).next() {
            let alike = each(rest).filter(|lane| at[*lane] == at[first]).fold(0, |m, lane| m | 1 << lane);
            rest &= !alike;
            if let Ok(place) = u32::try_from(at[first]) {
                warp.acquire(alike, &mbarriers.at(place).complete);
            }
        }
    }

    /// `fence.mbarrier_init` of these lanes.
    pub fn mbarrier_init_fence(&mut self, warp: u32, lanes: u32) {
        for m in self.mbarriers.all() {
            m.fenced |= m.init.is_some_and(|(_, (by, lane, _))| u32::from(by) == warp && lanes >> (lane & 31) & 1 == 1);
        }
    }

    /// A bulk copy that one lane issues: it writes until the mbarrier's phase ends.
    pub fn bulk(&mut self, context: &Context<'_>, lane: usize, to: u32, bytes: u32, mbarrier: u32, shared: &[u8]) {
        let BlockCheck { warps, shadow, found, mbarriers, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        let Some(clock) = warp.of(lane) else { return };
        let mbar = mbarriers.at(mbarrier);
        mbar.settle(shared);
        let mut access = by_lane(warp, clock, lane, context.pc, true);
        shadow.read(&access, mbarrier as usize, 8, found);
        if let Some((inst, (column, by, then))) = mbar.init
            && !mbar.fenced
            && !clock.proxied.covers(column, by, then)
        {
            found.push(Conflict {
                wrong: Wrong::Init,
                at: mbarrier as usize,
                bytes: 8,
                lanes: 1 << lane,
                inst,
                column,
                warp: column,
                others: 1 << by,
                clock: then,
            });
        }
        (access.column, access.now, access.strong, access.proxy) = (mbar.column, mbar.phase + 1, false, true);
        shadow.write(&access, to as usize, bytes as usize, found);
        self.report(context);
    }

    /// A `wgmma` of a warp: reads of shared memory, in pieces of 16 bytes, until its group is waited for.
    pub fn product(&mut self, context: &Context<'_>, pieces: impl FnOnce(&mut dyn FnMut(u32))) {
        let BlockCheck { warps, shadow, found, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        let clock = warp.together(warp.lanes);
        let mut access = by_lane(warp, &clock, 0, context.pc, false);
        (access.own, access.lanes, access.proxy) = (0, warp.lanes, true);
        (access.column, access.now) = (warp.product_column(), warp.products + 1);
        pieces(&mut |at| shadow.read(&access, at as usize, 16, found));
        self.report(context);
    }

    /// `wgmma.commit_group`.
    pub fn commit_products(&mut self, warp: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.products += 1;
        }
    }

    /// `wgmma.wait_group`.
    pub fn wait_products(&mut self, warp: u32, pending: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            let (column, done) = (warp.product_column(), warp.products.saturating_sub(pending));
            warp.change(warp.lanes, |clock| clock.known.raise(column, done));
        }
    }
}

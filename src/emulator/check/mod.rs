//! Checked mode: races by happens-before, reads of what was never written, missing proxy fences.
//!
//! # What orders what
//!
//! Two accesses of the same bytes, one of them a write, race unless the threads' synchronization orders them, whatever
//! order they happened to run in here. The parties are threads, not warps: since Volta the lanes of a warp need not run
//! in step, so a store of one lane and a load of another need something between them (PTX ISA §8). That is:
//!
//! - **Barriers** (`bar`, `barrier`, `barrier.cluster`, `.red` too): all who arrive before all who wait. A thread that
//!   exits counts as having arrived at every barrier for the whole block.
//! - **`bar.warp.sync`** (`__syncwarp`): the lanes of its mask. No other warp-wide instruction orders memory: not
//!   `shfl`, `vote`, `match`, `redux` or `elect`, which the ISA gives no such meaning, and not the convergence that
//!   `.aligned` asks for. `ldmatrix` reads for the warp as a whole: what any of its lanes does later is behind those
//!   reads, but what another lane wrote needs `bar.warp.sync` before it.
//! - **mbarriers**: arrivals of a phase before the waits that see its end. `mbarrier.init` is a write of its word and
//!   the other operations read it, so that a use needs to be ordered behind the initialization.
//! - **Asynchronous copies**: `cp.async` writes for its thread, from its issue to the thread's `wait_group`, or to the
//!   end of the mbarrier's phase that it arrives at. Bulk and tensor copies write until the end of the phase that
//!   counts their bytes. `wgmma` reads shared memory until its `wait_group`. Whoever touches the bytes before is in a
//!   race, the issuing thread too.
//! - **Proxy fences**: what ordinary stores or `cp.async` wrote needs `fence.proxy.async`, somewhere on the way that
//!   orders it, before `wgmma` reads it or a bulk copy overwrites it. What was only read needs none, as no published
//!   kernel has one there; what a bulk copy wrote needs none. An mbarrier needs `fence.mbarrier_init` or
//!   `fence.proxy.async` before a copy signals it.
//! - **Memory**: a release (`st.release`, `atom` with `.release` or `.acq_rel`, or a fence and then a volatile or
//!   relaxed store or an atomic) before the acquire that finds the same address after it (`ld.acquire`, `.acquire`, or
//!   a volatile or relaxed load or an atomic and then a fence). The fence may be another thread's, if a barrier lies
//!   between, as programs have it that let all threads fence and one take a ticket. Without a fence on both sides
//!   nothing is ordered. Scopes are not told apart.
//! - Atomics, volatile and relaxed accesses do not race with each other. Stores of one value by several threads at once
//!   are not reported.
//!
//! # What it costs
//!
//! Per word of shared memory 24 bytes, and 12 for every warp that reads shared memory and again for every warp whose
//! `wgmma` does; four more of each for words that are accessed in parts. A block of 8 warps with 48 KiB takes 1.5 MB.
//!
//! Of global memory 24 bytes for every 16 that a launch touches, and 16 more for every further thread that touches
//! them, up to 256 MiB; what is beyond is not looked at.
//!
//! What it cannot see: of one word and warp only the last reading time is kept; of
//! global memory the last two readers.

mod access;
mod clock;
mod findings;
mod foreign;
mod global;
mod mbarrier;
mod memory;
mod proxy;
mod shadow;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ir::Code;
use super::report::Reports;
use access::{Access, Conflict, Wrong};
use clock::{Clock, WarpClock, each};
use foreign::Foreign;
pub(crate) use global::GlobalShadow;
use global::Meeting;
use mbarrier::Mbarriers;
pub(crate) use memory::GlobalAccess;
use shadow::Shadow;

/// The instruction that is checked, and where its findings go.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The kernel.
    pub code: &'a Code,
    /// Where findings go.
    pub reports: &'a Reports,
    /// Index of the block.
    pub block: [u32; 3],
    /// The instruction.
    pub pc: u32,
    /// The warp.
    pub warp: u32,
}

impl Context<'_> {
    /// The PTX line of an instruction.
    fn line(&self, inst: u32) -> u32 {
        let inst = self.code.insts.get(inst as usize);
        inst.and_then(|inst| self.code.lines.get(inst.at as usize)).map_or(0, |at| at.ptx_line)
    }
}

/// The checked state of one block.
#[derive(Debug, Default)]
pub(crate) struct BlockCheck {
    warps: Vec<WarpClock>,
    shadow: Shadow,
    /// What arrivals have given to barriers 0 to 15.
    barriers: [Clock; 16],
    /// What exited threads gave.
    gone: Clock,
    cluster: (Clock, Arc<Clock>),
    mbarriers: Mbarriers,
    /// What was released at addresses of shared memory.
    released: BTreeMap<u64, Foreign>,
    found: Vec<Conflict>,
    met: Vec<Meeting>,
}

impl BlockCheck {
    /// Makes it that of a block about to run.
    pub fn start(&mut self, block: u32, threads: u32, shared: usize) {
        let warps = threads.div_ceil(32) as u16;
        let nothing = Arc::default();
        self.warps.resize_with(usize::from(warps), WarpClock::default);
        for (i, warp) in self.warps.iter_mut().enumerate() {
            let lanes = (threads - 32 * i as u32).min(32);
            warp.start(block, i as u16, warps, u32::MAX >> (32 - lanes), &nothing);
        }
        self.shadow.start(shared, warps);
        self.barriers = Default::default();
        (self.gone, self.cluster) = Default::default();
        self.mbarriers.start(3 * warps);
        self.released.clear();
    }

    /// Bytes of host memory that it takes.
    pub fn bytes(&self) -> usize {
        self.shadow.bytes() + size_of::<BlockCheck>() + self.warps.len() * size_of::<WarpClock>()
    }

    /// Lanes of a warp exit.
    pub fn exit(&mut self, warp: u32, lanes: u32) {
        let Some(warp) = self.warps.get_mut(warp as usize) else { return };
        warp.release(lanes, &mut self.gone);
        warp.tick();
        warp.exit(lanes);
    }

    /// Lanes of a warp arrive at a barrier.
    pub fn arrive(&mut self, id: u8, warp: u32, lanes: u32) {
        let (Some(warp), Some(gathered)) = (self.warps.get_mut(warp as usize), self.barriers.get_mut(usize::from(id)))
        else {
            return;
        };
        warp.release(lanes, gathered);
        warp.tick();
    }

    /// A barrier is complete: what those who waited know now.
    pub fn complete(&mut self, id: usize, whole_block: bool) -> Arc<Clock> {
        let mut clock = self.barriers.get_mut(id).map(std::mem::take).unwrap_or_default();
        if whole_block {
            clock.join(&self.gone);
        }
        Arc::new(clock)
    }

    /// Lanes of a warp have waited at a barrier, where they arrived too.
    pub fn pass(&mut self, warp: u32, lanes: u32, clock: &Arc<Clock>) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.assign(lanes, clock);
        }
    }

    /// `bar.warp.sync`.
    pub fn warp_sync(&mut self, warp: u32, mask: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.arrive_sync(mask, lanes);
        }
    }

    /// Lanes of a warp arrive at the cluster barrier.
    pub fn cluster_arrive(&mut self, warp: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.release(lanes, &mut self.cluster.0);
            warp.tick();
        }
    }

    /// The cluster barrier is complete.
    pub fn cluster_complete(&mut self) {
        let mut clock = std::mem::take(&mut self.cluster.0);
        clock.join(&self.gone);
        self.cluster.1 = Arc::new(clock);
    }

    /// Lanes of a warp have waited at the cluster barrier.
    pub fn cluster_pass(&mut self, warp: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.acquire(lanes, &self.cluster.1);
        }
    }

    /// `fence.proxy.async`.
    pub fn proxy_fence(&mut self, warp: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.proxy_fence(lanes);
        }
    }

    /// An ordinary access by each of `lanes`, to `bytes` bytes at its place in shared memory. `same` says of a lane, a
    /// byte and the lane that wrote it by the same instruction just before (or `None`) whether the value is the same.
    #[allow(clippy::too_many_arguments)]
    pub fn access(
        &mut self,
        context: &Context<'_>,
        lanes: u32,
        at: impl Fn(usize) -> usize,
        bytes: usize,
        write: bool,
        strong: bool,
        same: impl Fn(usize, usize, Option<usize>) -> bool,
    ) {
        let BlockCheck { warps, shadow, found, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        for (members, clock) in &warp.groups {
            for lane in each(members & lanes) {
                let access = by_lane(warp, clock, lane, context.pc, strong);
                if write && strong {
                    shadow.modify(&access, at(lane), bytes, found);
                } else if write {
                    shadow.write(&access, at(lane), bytes, found);
                } else {
                    shadow.read(&access, at(lane), bytes, found);
                }
            }
        }
        if !found.is_empty() {
            let (index, now) = (warp.index, warp.now);
            found.retain(|c| {
                // Only ordinary stores are compared: by the same instruction with their own value, else with memory.
                let ordinary = c.wrong == Wrong::WriteWrite && c.column < warp.warps;
                let just = (c.inst, c.column, c.clock) == (context.pc, index, now);
                let other = just.then(|| c.others.trailing_zeros() as usize);
                let lane = c.lanes.trailing_zeros() as usize;
                !(ordinary && (c.at..c.at + c.bytes).all(|byte| same(lane, byte, other)))
            });
            self.report(context);
        }
    }

    /// `ldmatrix`: rows of 16 bytes, read by the warp together.
    pub fn load_rows(&mut self, context: &Context<'_>, rows: impl Iterator<Item = usize>) {
        let BlockCheck { warps, shadow, found, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        let clock = warp.together(warp.lanes);
        let mut access = by_lane(warp, &clock, 0, context.pc, false);
        (access.own, access.lanes, access.collective) = (0, warp.lanes, true);
        for row in rows {
            shadow.read(&access, row, 16, found);
        }
        self.report(context);
    }

    /// `stmatrix`: words of 4 bytes, each written by a lane.
    pub fn store_rows(&mut self, context: &Context<'_>, words: impl Iterator<Item = (usize, usize)>) {
        let BlockCheck { warps, shadow, found, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        let clock = warp.together(warp.lanes);
        for (lane, at) in words {
            shadow.write(&by_lane(warp, &clock, lane, context.pc, false), at, 4, found);
        }
        self.report(context);
    }

    /// `cp.async` of `bytes` bytes by each of `lanes`.
    pub fn copy(&mut self, context: &Context<'_>, lanes: u32, at: impl Fn(usize) -> usize, bytes: usize) {
        let BlockCheck { warps, shadow, found, .. } = self;
        let Some(warp) = warps.get(context.warp as usize) else { return };
        for (members, clock) in &warp.groups {
            for lane in each(members & lanes) {
                let mut access = by_lane(warp, clock, lane, context.pc, false);
                (access.column, access.now) = (warp.copies(), warp.committed[lane] + 1);
                shadow.write(&access, at(lane), bytes, found);
            }
        }
        self.report(context);
    }

    /// `cp.async.commit_group`.
    pub fn commit_copies(&mut self, warp: u32, lanes: u32) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            warp.commit_copies(lanes);
        }
    }

    /// `cp.async.wait_group`, or `wait_all` where no number is given.
    pub fn wait_copies(&mut self, warp: u32, lanes: u32, pending: Option<u32>) {
        if let Some(warp) = self.warps.get_mut(warp as usize) {
            if pending.is_none() {
                warp.commit_copies(lanes);
            }
            warp.wait_copies(lanes, pending.unwrap_or(0));
        }
    }
}

/// An ordinary access of one lane.
fn by_lane<'a>(warp: &'a WarpClock, clock: &'a Clock, lane: usize, inst: u32, strong: bool) -> Access<'a> {
    Access {
        clock,
        waited: &warp.waited,
        warp: warp.index,
        warps: warp.warps,
        own: 1 << lane,
        lanes: 1 << lane,
        column: warp.index,
        now: warp.now,
        thread: 32 * warp.index + lane as u16,
        inst,
        strong,
        collective: false,
        proxy: false,
    }
}

//! A block: takes turns among its warps, releases barriers, and lands copies when no warp can go on.

use super::super::fault::Fault;
use super::counters::Tally;
use super::cta::Cta;
use super::interpret::{SLICE, Stop};
use super::run::{Launch, Run};
use super::tensor::report;
use super::warp::{State, Warp};
use super::words::Bytes;

/// Rounds over the warps that a block runs before other blocks get a turn, even if it does not poll.
const ROUNDS: u32 = 256;
/// Rounds in a row without a step by anybody after which mbarriers that warps test are taken for never to complete.
const IDLE: u32 = 4096;

/// How a block's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The block is done.
    Finished,
    /// It polls for what other blocks must do, or has run long.
    Unfinished,
}

/// A block that runs, is between two turns, or waits to be used again.
#[derive(Default)]
pub(crate) struct Block {
    pub(super) warps: Vec<Warp>,
    pub(super) cta: Cta,
    /// Rounds in a row in which warps did nothing but test mbarriers whose phases went on.
    idle: u32,
}

impl Block {
    /// Makes the block ready to run at this index of the grid.
    pub fn start(&mut self, launch: &Launch<'_>, index: u64) {
        let threads = launch.threads();
        let [x, y, _] = launch.grid.map(|n| u64::from(n.max(1)));
        let cta = &mut self.cta;
        cta.index = [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32];
        if cta.shared.len() == launch.total_shared as usize {
            cta.shared.fill(0xFF);
        } else {
            cta.shared = Bytes::new(launch.total_shared as usize, 0xFF);
        }
        let local = launch.local_bytes.next_multiple_of(16) as usize * threads.next_multiple_of(32) as usize;
        if cta.local.len() == local {
            cta.local.fill(0xFF);
        } else {
            cta.local = Bytes::new(local, 0xFF);
        }
        cta.barriers = Default::default();
        (cta.barrier_moved, cta.live, cta.asynchronous) = (false, threads, 0);
        cta.bulk = Default::default();
        cta.mbarriers = Default::default();
        self.idle = 0;
        if launch.reports.is_some() {
            cta.check.get_or_insert_default().start(index as u32, threads, launch.total_shared as usize);
        }
        self.warps.resize_with(threads.div_ceil(32) as usize, Warp::default);
        for (i, warp) in self.warps.iter_mut().enumerate() {
            let lanes = (threads - 32 * i as u32).min(32);
            warp.start(launch.code, &launch.addresses, i as u32, u32::MAX >> (32 - lanes));
        }
    }

    /// Runs the block until it is done, others should have a turn, or it has run `allowance` instructions.
    pub fn turn(&mut self, launch: &Launch<'_>, tally: &mut Tally, allowance: u64) -> Result<Turn, Fault> {
        let end = tally.warp_instructions.saturating_add(allowance);
        for _ in 0..ROUNDS {
            let (mut alive, mut moved, mut spinning, mut outside) = (false, false, false, false);
            for i in 0..self.warps.len() {
                let warp = &mut self.warps[i];
                if warp.live == 0 {
                    continue;
                }
                alive = true;
                warp.retry(|state| matches!(state, State::Mbarrier { .. }));
                let before = warp.steps;
                (warp.outside, warp.tested) = (false, None);
                let mut run = Run { launch, cta: &mut self.cta, warp, tally, pc: 0, mask: 0 };
                let left = end.saturating_sub(run.tally.warp_instructions);
                if left == 0 {
                    return Ok(Turn::Unfinished);
                }
                match run.warp(SLICE.min(left))? {
                    Stop::Spinning => {
                        spinning = true;
                        outside |= run.warp.outside || run.warp.tested.is_none();
                    }
                    Stop::Done | Stop::Blocked | Stop::Slice => moved |= warp.steps != before,
                }
                if self.cta.barrier_moved {
                    self.cta.barrier_moved = false;
                    moved |= self.release(tally);
                }
            }
            if !alive {
                if launch.reports.is_some() {
                    self.note_end(launch);
                }
                tally.blocks += 1;
                tally.block_bytes = tally.block_bytes.max(self.bytes());
                return Ok(Turn::Finished);
            }
            if moved || self.land(launch)? {
                self.idle = 0;
                continue;
            }
            self.idle = if outside { 0 } else { self.idle + 1 };
            let for_ever = !spinning || self.idle > IDLE;
            return if for_ever { Err(self.deadlock(launch)) } else { Ok(Turn::Unfinished) };
        }
        Ok(Turn::Unfinished)
    }

    /// Lets go on who waits at a barrier that is complete.
    fn release(&mut self, tally: &mut Tally) -> bool {
        let mut any = false;
        for id in 0..self.cta.barriers.len() {
            let barrier = self.cta.barriers[id];
            let wanted = if barrier.count == 0 { self.cta.live } else { barrier.count };
            if barrier.arrived == 0 || barrier.arrived < wanted {
                continue;
            }
            any = true;
            tally.barriers += 1;
            self.pass_check(id, barrier.count == 0);
            for warp in &mut self.warps {
                let Warp { fragments, regs, .. } = &mut *warp;
                for fragment in fragments.iter_mut() {
                    let State::Barrier { id: at, red } = fragment.state else { continue };
                    if usize::from(at) != id {
                        continue;
                    }
                    fragment.state = State::Ready;
                    if let Some((op, d32, dp)) = red {
                        let value = barrier.reduction(op);
                        if let Some(d) = d32 {
                            regs.put32(d, &[value; 32], fragment.mask);
                        }
                        if let Some(d) = dp {
                            regs.put_pred(d, if value != 0 { u32::MAX } else { 0 }, fragment.mask);
                        }
                    }
                }
                warp.rejoin();
            }
            self.cta.barriers[id] = Default::default();
        }
        let arrived = |warp: &Warp| warp.cluster_arrived == warp.live;
        if self.warps.iter().any(|warp| warp.cluster_arrived != 0) && self.warps.iter().all(arrived) {
            any = true;
            tally.barriers += 1;
            self.pass_cluster_check();
            for warp in &mut self.warps {
                warp.cluster_arrived = 0;
                warp.retry(|state| state == State::Cluster);
                warp.rejoin();
            }
        }
        any
    }

    /// Lands one copy that somebody may wait for; false when there is none.
    fn land(&mut self, launch: &Launch<'_>) -> Result<bool, Fault> {
        if let Some(copy) = self.cta.bulk.take(0) {
            let landed = copy.land(self.cta.shared.as_mut_slice(), &launch.memory);
            landed.map_err(|p| report(launch, &p, copy.inst, self.cta.index, copy.warp, 0))?;
            self.landed_check();
            return Ok(true);
        }
        for warp in &mut self.warps {
            let landed = warp.copies.land_arrivals(self.cta.shared.as_mut_slice(), &launch.memory);
            let at = warp.fragments.first().map_or(0, |f| f.pc);
            if landed.map_err(|p| report(launch, &p, at, self.cta.index, warp.index, 0))? {
                self.landed_check();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes of host memory that the block's state takes: registers, shared and local memory, and the queues at the
    /// longest that they have been.
    fn bytes(&self) -> u64 {
        let warps: usize = self.warps.iter().map(Warp::bytes).sum();
        (size_of::<Block>() + warps + self.cta.bytes()) as u64
    }
}

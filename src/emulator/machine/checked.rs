//! What the interpreter tells checked mode, where a launch has it.

use super::super::check::{Context, GlobalAccess};
use super::super::ir::{Op, Order, Space, WgmmaOp};
use super::access::{Lanes, Shape, bytes_of};
use super::block::Block;
use super::memory::{Allocation, SHARED_WINDOW, WINDOW};
use super::run::Run;
use super::warp::State;

/// The checked state of the block and the instruction that runs, if the launch is checked.
macro_rules! checked {
    ($run:ident) => {
        match (&mut $run.cta.check, &$run.launch.reports) {
            (Some(check), Some(reports)) => {
                let (code, block) = ($run.launch.code, $run.cta.index);
                Some((check, Context { code, reports, block, pc: $run.pc, warp: $run.warp.index }))
            }
            _ => None,
        }
    };
}

/// An address as its memory counts it, and whether that is shared memory.
fn memory_of(space: Space, at: u64) -> (u64, bool) {
    let offset = at.wrapping_sub(SHARED_WINDOW);
    match space {
        Space::Shared => (at, true),
        Space::Generic if offset < WINDOW => (offset, true),
        _ => (at, false),
    }
}

impl Run<'_> {
    /// A load or store in shared memory. What is out of bounds is left to its fault.
    #[inline(never)]
    pub(super) fn check_shared<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        window: u64,
        active: u32,
        size: usize,
    ) {
        let shared = self.cta.shared.as_slice();
        let offset = |lane: usize| lanes.at[lane].wrapping_sub(window);
        let inside = |lane: usize| offset(lane).checked_add(size as u64).is_some_and(|end| end <= shared.len() as u64);
        if !(0..32).all(|lane| active >> lane & 1 == 0 || inside(lane)) {
            return;
        }
        let (element, regs) = (bytes_of(shape.ty), &self.warp.regs);
        let value = |lane: usize, byte: usize| {
            let reg = usize::from(shape.regs[(byte / element) & 3]);
            let value = if shape.wide { regs.r64[reg].0[lane] } else { u64::from(regs.r32[reg].0[lane]) };
            (value >> (8 * (byte % element))) as u8
        };
        let same = |lane: usize, byte: usize, other: Option<usize>| {
            let at = |lane: usize| byte.wrapping_sub(offset(lane) as usize);
            let now = match other {
                Some(other) => value(other, at(other)),
                None => shared[byte],
            };
            now == value(lane, at(lane))
        };
        if let Some((check, context)) = checked!(self) {
            let at = |lane: usize| offset(lane) as usize;
            check.access(&context, active, at, size, STORE, shape.strong, same);
        }
    }

    /// A load or store in one allocation of global memory.
    #[inline(never)]
    pub(super) fn check_races<const STORE: bool>(
        &mut self,
        a: &Allocation,
        shape: Shape,
        at: &[u64; 32],
        active: u32,
        size: usize,
    ) {
        let (element, regs) = (bytes_of(shape.ty), &self.warp.regs);
        let value = |lane: usize, byte: u64| {
            let byte = byte.wrapping_sub(at[lane]) as usize;
            let reg = usize::from(shape.regs[(byte / element) & 3]);
            let value = if shape.wide { regs.r64[reg].0[lane] } else { u64::from(regs.r32[reg].0[lane]) };
            (value >> (8 * (byte % element))) as u8
        };
        let same = |byte: u64, lane: usize, other: Option<usize>| {
            let now = other.map(|other| value(other, byte));
            let mut stored = [0];
            a.copy_out((byte - a.base) as usize, &mut stored);
            now.unwrap_or(stored[0]) == value(lane, byte)
        };
        let access = GlobalAccess { write: STORE, strong: shape.strong, atomic: false };
        let place = self.launch.block_place();
        if let (Some((check, context)), Some(shadow)) = (checked!(self), &self.launch.shadow) {
            let name = |address| self.launch.memory.operands.place(a, address);
            check.global(&context, shadow, access, active, |lane| (at[lane], size as u64), same, name, place);
        }
    }

    /// An atomic of one lane in global memory.
    #[inline(never)]
    pub(super) fn check_atomic_races(&mut self, a: &Allocation, lane: usize, at: u64, size: usize) {
        let access = GlobalAccess { write: true, strong: true, atomic: true };
        let place = self.launch.block_place();
        if let (Some((check, context)), Some(shadow)) = (checked!(self), &self.launch.shadow) {
            let name = |address| self.launch.memory.operands.place(a, address);
            check.global(&context, shadow, access, 1 << lane, |_| (at, size as u64), |_, _, _| false, name, place);
        }
    }

    /// What asynchronous copies read, all inside allocations, taken as read when they are issued.
    #[inline(never)]
    pub(super) fn check_copy_races(&mut self, active: u32, at: impl Fn(usize) -> (u64, u64)) {
        let access = GlobalAccess { write: false, strong: false, atomic: false };
        let (place, memory) = (self.launch.block_place(), &self.launch.memory);
        if let (Some((check, context)), Some(shadow)) = (checked!(self), &self.launch.shadow) {
            let name = |address| match memory.holding(address) {
                Some(a) => memory.operands.place(a, address),
                None => String::from("freed memory"),
            };
            check.global(&context, shadow, access, active, at, |_, _, _| false, name, place);
        }
    }

    /// Before a store or an atomic that others may look for.
    #[cold]
    #[inline(never)]
    pub(super) fn check_release(&mut self, space: Space, at: &[u64; 32], order: Order, active: u32) {
        let all = matches!(order, Order::Release | Order::AcqRel);
        for lane in (0..32).filter(|lane| active >> lane & 1 == 1) {
            let (at, shared) = memory_of(space, at[lane]);
            let shadow = self.launch.shadow.as_ref().filter(|_| !shared);
            if let Some((check, context)) = checked!(self) {
                check.release(context.warp, lane, at, all, shadow);
            }
        }
    }

    /// After a load or an atomic that may have found what others passed on.
    #[cold]
    #[inline(never)]
    pub(super) fn check_acquire(&mut self, space: Space, at: &[u64; 32], order: Order, active: u32) {
        let at_once = matches!(order, Order::Acquire | Order::AcqRel);
        for lane in (0..32).filter(|lane| active >> lane & 1 == 1) {
            let (at, shared) = memory_of(space, at[lane]);
            let shadow = self.launch.shadow.as_ref().filter(|_| !shared);
            if let Some((check, context)) = checked!(self) {
                check.acquire(context.warp, lane, at, at_once, shadow);
            }
        }
    }

    /// An atomic of one lane in shared memory.
    #[inline(never)]
    pub(super) fn check_atomic(&mut self, lane: usize, at: usize, size: usize) {
        if let Some((check, context)) = checked!(self) {
            check.access(&context, 1 << lane, |_| at, size, true, true, |_, _, _| false);
        }
    }

    /// The rows of an `ldmatrix`, all inside shared memory or refused afterwards.
    #[inline(never)]
    pub(super) fn check_rows(&mut self, rows: &[u32; 32], num: u8) {
        let len = self.cta.shared.len();
        if let Some((check, context)) = checked!(self) {
            let rows = rows.iter().take(8 * usize::from(num)).map(|row| *row as usize);
            check.load_rows(&context, rows.filter(|row| row + 16 <= len));
        }
    }

    /// The rows of an `stmatrix`: word `t` of row `r` of a matrix comes from lane `4r + t`; with `.trans` its halves
    /// come from two lanes, of which the first stands for both.
    #[inline(never)]
    pub(super) fn check_store_rows(&mut self, rows: &[u32; 32], num: u8, trans: bool) {
        let len = self.cta.shared.len();
        if let Some((check, context)) = checked!(self) {
            let rows = rows.iter().take(8 * usize::from(num)).enumerate();
            let words = rows.filter(|(_, row)| **row as usize + 16 <= len).flat_map(|(i, row)| {
                let lane = move |t: usize| if trans { 8 * t + i % 8 / 2 } else { 4 * (i % 8) + t };
                (0..4).map(move |t| (lane(t), *row as usize + 4 * t))
            });
            check.store_rows(&context, words);
        }
    }

    /// A `cp.async`, whose destinations are inside shared memory.
    #[inline(never)]
    pub(super) fn check_copy(&mut self, dst: &[u64; 32], size: u8, active: u32) {
        if let Some((check, context)) = checked!(self) {
            check.copy(&context, active, |lane| dst[lane] as usize, usize::from(size));
        }
    }

    /// Operations on mbarriers other than their initialization and end, before they are done.
    #[inline(never)]
    pub(super) fn check_mbarriers(&mut self, at: &[u64; 32], active: u32) {
        let lanes = self.inside(at, active);
        if let Some((check, context)) = checked!(self) {
            check.mbarrier_use(&context, lanes, at, self.cta.shared.as_slice());
        }
    }

    /// Arrivals at mbarriers, before they are done: of the threads, or of their copies.
    #[inline(never)]
    pub(super) fn check_arrivals(&mut self, at: &[u64; 32], active: u32, copies: bool) {
        let lanes = self.inside(at, active);
        if let Some((check, context)) = checked!(self) {
            check.mbarrier_arrive(context.warp, lanes, at, copies);
        }
    }

    /// An operation on mbarriers that is not a wait, before it is done.
    #[inline(never)]
    pub(super) fn check_mbarrier(&mut self, at: &[u64; 32], active: u32) {
        let op = self.launch.code.insts.get(self.pc as usize).map(|inst| &inst.op);
        match op {
            Some(Op::MbarrierInit { .. } | Op::MbarrierInval { .. }) => {
                let (init, lanes) = (matches!(op, Some(Op::MbarrierInit { .. })), self.inside(at, active));
                if let Some((check, context)) = checked!(self) {
                    for lane in (0..32).filter(|lane| lanes >> lane & 1 == 1) {
                        check.mbarrier_set(&context, lane, at[lane], init);
                    }
                }
            }
            _ => {
                self.check_mbarriers(at, active);
                if matches!(op, Some(Op::MbarrierArrive { .. })) {
                    self.check_arrivals(at, active, false);
                }
            }
        }
    }

    /// Lanes whose mbarrier lies in shared memory; the others are about to fault.
    fn inside(&self, at: &[u64; 32], active: u32) -> u32 {
        let last = self.cta.shared.len() as u64;
        let inside = |lane: &u32| at[*lane as usize & 31].checked_add(8).is_some_and(|end| end <= last);
        (0..32).filter(|lane| active >> lane & 1 == 1 && inside(lane)).fold(0, |m, lane| m | 1 << lane)
    }

    /// The bulk copy that a lane has just issued.
    #[inline(never)]
    pub(super) fn check_bulk(&mut self, lane: usize) {
        let Some(copy) = self.cta.bulk.last() else { return };
        let (to, bytes, mbarrier) = copy.destination();
        if let Some((check, context)) = checked!(self) {
            check.bulk(&context, lane, to, bytes, mbarrier, self.cta.shared.as_slice());
        }
    }

    /// The `wgmma` that the warp has just issued.
    #[inline(never)]
    pub(super) fn check_product(&mut self, op: &WgmmaOp) {
        let len = self.cta.shared.len();
        let Some(product) = self.warp.products.newest() else { return };
        if let Some((check, context)) = checked!(self) {
            check.product(&context, |piece| {
                product.pieces(op, |at| {
                    if at as usize + 16 <= len {
                        piece(at);
                    }
                });
            });
        }
    }

    /// Fences.
    #[inline(never)]
    pub(super) fn check_fence(&mut self, op: &Op, active: u32) {
        if let Some((check, context)) = checked!(self) {
            match op {
                Op::FenceProxyAsync => check.proxy_fence(context.warp, active),
                Op::FenceMbarrierInit => check.mbarrier_init_fence(context.warp, active),
                _ => check.fence(context.warp, active),
            }
        }
    }

    /// `barrier.cluster`.
    #[inline(never)]
    pub(super) fn check_cluster(&mut self, arrive: bool, active: u32) {
        if let Some((check, _)) = checked!(self) {
            if arrive {
                check.cluster_arrive(self.warp.index, active);
            } else {
                // For those whose barrier is complete already; others get what they wait for when it is.
                check.cluster_pass(self.warp.index, active);
            }
        }
    }
}

impl Block {
    /// A copy has landed.
    pub(super) fn landed_check(&mut self) {
        if let Some(check) = &mut self.cta.check {
            check.landed(self.cta.shared.as_slice());
        }
    }

    /// A barrier is complete.
    pub(super) fn pass_check(&mut self, id: usize, whole_block: bool) {
        let Some(check) = &mut self.cta.check else { return };
        let clock = check.complete(id, whole_block);
        for warp in &self.warps {
            for fragment in &warp.fragments {
                if matches!(fragment.state, State::Barrier { id: at, .. } if usize::from(at) == id) {
                    check.pass(warp.index, fragment.mask, &clock);
                }
            }
        }
    }

    /// The cluster barrier is complete.
    pub(super) fn pass_cluster_check(&mut self) {
        let Some(check) = &mut self.cta.check else { return };
        check.cluster_complete();
        for warp in &self.warps {
            for fragment in warp.fragments.iter().filter(|f| f.state == State::Cluster) {
                check.cluster_pass(warp.index, fragment.mask);
            }
        }
    }
}

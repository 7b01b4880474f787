//! Loads and stores: addresses are checked once for the whole warp where one allocation holds them all.

use std::sync::atomic::{Ordering, fence};

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{Addr, Order, Reg, Space, Ty};
use super::alu::{Registers, addresses};
use super::memory::{Allocation, LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW};
use super::run::Run;
use super::words::Words;

/// Bytes of one element in memory.
pub(crate) fn bytes_of(ty: Ty) -> usize {
    match ty {
        Ty::U8 | Ty::S8 | Ty::B8 => 1,
        Ty::U16 | Ty::S16 | Ty::B16 | Ty::F16 | Ty::BF16 | Ty::E4M3x2 | Ty::E5M2x2 => 2,
        Ty::U32 | Ty::S32 | Ty::B32 | Ty::F16x2 | Ty::BF16x2 | Ty::F32 | Ty::TF32 | Ty::U16x2 | Ty::S16x2 => 4,
        Ty::U64 | Ty::S64 | Ty::B64 | Ty::F64 => 8,
    }
}

/// Addresses of a warp's access: per lane, and over the active lanes the least, the greatest and all bits together.
pub(crate) struct Lanes {
    /// Per lane.
    pub at: [u64; 32],
    /// Least of the active.
    pub low: u64,
    /// Greatest of the active.
    pub high: u64,
    /// Union of the bits of the active.
    pub bits: u64,
}

/// One allocation that holds all of an access.
enum Place<'r> {
    Global(&'r Allocation),
    Shared,
    Param,
    Local,
}

/// What a load or a store moves.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub ty: Ty,
    pub vec: usize,
    pub wide: bool,
    pub regs: [Reg; 4],
    /// Ordered in some way: no race with another such access.
    pub strong: bool,
}

impl Run<'_> {
    /// The addresses of an operand.
    #[inline(always)]
    pub fn lanes(&self, addr: Addr, active: u32) -> Lanes {
        let mut at = [0; 32];
        let [low, high, bits] = match addr.base {
            Some(base) => addresses(self.launch.level, &self.warp.regs, base, addr.wide, addr.offset, active, &mut at),
            None => {
                at = [addr.offset as u64; 32];
                [addr.offset as u64; 3]
            }
        };
        Lanes { at, low, high, bits }
    }

    /// `ld`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub fn load(
        &mut self,
        space: Space,
        ty: Ty,
        order: Order,
        vec: u8,
        wide: bool,
        d: [Reg; 4],
        addr: Addr,
        active: u32,
    ) -> Result<(), Fault> {
        let shape = Shape { ty, vec: usize::from(vec), wide, regs: d, strong: order != Order::Weak };
        let lanes = self.lanes(addr, active);
        self.access::<false>(space, shape, &lanes, active)?;
        if order != Order::Weak {
            self.warp.polls += 1;
            self.warp.outside = true;
            fence(Ordering::Acquire);
            if self.cta.check.is_some() {
                self.check_acquire(space, &lanes.at, order, active);
            }
        }
        Ok(())
    }

    /// `st`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub fn store(
        &mut self,
        space: Space,
        ty: Ty,
        order: Order,
        vec: u8,
        wide: bool,
        s: [Reg; 4],
        addr: Addr,
        active: u32,
    ) -> Result<(), Fault> {
        let shape = Shape { ty, vec: usize::from(vec), wide, regs: s, strong: order != Order::Weak };
        let lanes = self.lanes(addr, active);
        if order != Order::Weak {
            if self.cta.check.is_some() {
                self.check_release(space, &lanes.at, order, active);
            }
            fence(Ordering::Release);
        }
        self.access::<true>(space, shape, &lanes, active)
    }

    fn access<const STORE: bool>(
        &mut self,
        space: Space,
        shape: Shape,
        lanes: &Lanes,
        active: u32,
    ) -> Result<(), Fault> {
        let size = bytes_of(shape.ty) * shape.vec;
        if lanes.bits & (size as u64 - 1) != 0 {
            return Err(self.misaligned(space, lanes, active, size, STORE));
        }
        match space {
            Space::Global => self.counted_global::<STORE>(shape, lanes, active, size),
            Space::Const => {
                let base = self.launch.const_base;
                let moved = Lanes {
                    at: lanes.at.map(|at| at.wrapping_add(base)),
                    low: lanes.low.wrapping_add(base),
                    high: lanes.high.wrapping_add(base),
                    bits: lanes.bits,
                };
                self.global::<STORE>(shape, &moved, active, size)
            }
            Space::Shared => self.shared::<STORE>(shape, lanes, 0, active, size),
            Space::Param => self.window::<STORE>(Place::Param, shape, lanes, 0, active, size),
            Space::Local => self.window::<STORE>(Place::Local, shape, lanes, 0, active, size),
            Space::Generic if lanes.high < SHARED_WINDOW => self.counted_global::<STORE>(shape, lanes, active, size),
            Space::Generic => self.generic::<STORE>(shape, lanes, active, size),
        }
    }

    /// Generic addresses that are not all global: window by window.
    #[inline(never)]
    fn generic<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        let inside = |base: u64| {
            let hit = |i: &usize| active >> i & 1 == 1 && lanes.at[*i].wrapping_sub(base) < WINDOW;
            (0..32).filter(hit).fold(0u32, |m, i| m | 1 << i)
        };
        let (shared, local, param) = (inside(SHARED_WINDOW), inside(LOCAL_WINDOW), inside(PARAM_WINDOW));
        if shared != 0 {
            self.shared::<STORE>(shape, lanes, SHARED_WINDOW, shared, size)?;
        }
        if local != 0 {
            self.window::<STORE>(Place::Local, shape, lanes, LOCAL_WINDOW, local, size)?;
        }
        if param != 0 {
            self.window::<STORE>(Place::Param, shape, lanes, PARAM_WINDOW, param, size)?;
        }
        let rest = active & !(shared | local | param);
        if rest == 0 {
            return Ok(());
        }
        if self.counting() {
            self.count_global(&lanes.at, rest, size as u64, STORE);
        }
        self.lane_by_lane::<STORE>(shape, lanes, rest, size)
    }

    #[inline(always)]
    fn counted_global<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        if self.counting() {
            self.count_global(&lanes.at, active, size as u64, STORE);
        }
        self.global::<STORE>(shape, lanes, active, size)
    }

    fn global<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        let launch = self.launch;
        let holds = |a: &Allocation| a.offset(lanes.low, size).is_some() && a.offset(lanes.high, size).is_some();
        let allocation = match launch.memory.allocations.get(self.warp.last_allocation) {
            Some(a) if holds(a) => a,
            _ => match launch.memory.index_of(lanes.low) {
                Some(index) if holds(&launch.memory.allocations[index]) => {
                    self.warp.last_allocation = index;
                    &launch.memory.allocations[index]
                }
                _ => return self.lane_by_lane::<STORE>(shape, lanes, active, size),
            },
        };
        if launch.reports.is_some() {
            self.check_global(allocation, lanes, active, size, !STORE, STORE);
            self.check_races::<STORE>(allocation, shape, &lanes.at, active, size);
        }
        self.transfer::<STORE>(Place::Global(allocation), shape, &lanes.at, allocation.base, active)
    }

    /// An access whose lanes are in several allocations, or in none.
    #[inline(never)]
    fn lane_by_lane<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        let launch = self.launch;
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            let at = lanes.at[lane];
            let found = launch.memory.index_of(at).map(|i| &launch.memory.allocations[i]);
            let Some(allocation) = found.filter(|a| a.offset(at, size).is_some()) else {
                let what = if STORE { "write" } else { "read" };
                let text =
                    format!("{what} of {size} bytes at global address {at:#x}: {}", launch.memory.describe(at, size));
                return Err(self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at));
            };
            if launch.reports.is_some() {
                let one = Lanes { at: lanes.at, low: at, high: at, bits: at };
                self.check_global(allocation, &one, 1 << lane, size, !STORE, STORE);
                self.check_races::<STORE>(allocation, shape, &lanes.at, 1 << lane, size);
            }
            self.transfer::<STORE>(Place::Global(allocation), shape, &lanes.at, allocation.base, 1 << lane)?;
        }
        Ok(())
    }

    fn shared<const STORE: bool>(
        &mut self,
        shape: Shape,
        lanes: &Lanes,
        window: u64,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        if self.counting() {
            self.count_shared(&lanes.at, active, size as u64);
        }
        if STORE && self.launch.reports.is_some() {
            self.note_store(&lanes.at, window, active, size);
        }
        if self.cta.check.is_some() {
            self.check_shared::<STORE>(shape, lanes, window, active, size);
        }
        self.window::<STORE>(Place::Shared, shape, lanes, window, active, size)
    }

    /// Shared, local or parameter memory, whose byte 0 is at `window`.
    fn window<const STORE: bool>(
        &mut self,
        place: Place<'_>,
        shape: Shape,
        lanes: &Lanes,
        window: u64,
        active: u32,
        size: usize,
    ) -> Result<(), Fault> {
        let (len, name) = match place {
            Place::Local => (self.launch.local_bytes as usize, "local memory of the thread"),
            Place::Param => (self.launch.params.len(), "the parameter block"),
            _ => (self.cta.shared.len(), "shared memory of the block"),
        };
        let outside = |at: u64| at.wrapping_sub(window).checked_add(size as u64).is_none_or(|end| end > len as u64);
        if outside(lanes.low) || outside(lanes.high) {
            // The extremes are over all active lanes of the instruction; ask those of this window.
            if let Some(lane) = (0..32).find(|i| active >> i & 1 == 1 && outside(lanes.at[*i])) {
                let at = lanes.at[lane].wrapping_sub(window);
                let what = if STORE { "write" } else { "read" };
                let past = at.saturating_add(size as u64).saturating_sub(len as u64);
                let text = format!(
                    "{what} of {size} bytes at {at:#x} reaches {past} bytes past the end of {name} ({len} bytes)"
                );
                return Err(self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at));
            }
        }
        if STORE && matches!(place, Place::Param) {
            return Err(self.fault(
                FaultKind::OutOfBounds,
                "write to the parameter block, which is read-only".into(),
                active,
            ));
        }
        if matches!(place, Place::Local)
            && let Some(count) = self.count()
        {
            count.local_requests += 1;
        }
        self.transfer::<STORE>(place, shape, &lanes.at, window, active)
    }

    fn transfer<const STORE: bool>(
        &mut self,
        place: Place<'_>,
        shape: Shape,
        at: &[u64; 32],
        base: u64,
        active: u32,
    ) -> Result<(), Fault> {
        let regs = &mut self.warp.regs;
        let known = match place {
            Place::Global(allocation) => move_lanes::<STORE, _>(regs, allocation, shape, at, base, active),
            Place::Shared => move_lanes::<STORE, _>(regs, &mut self.cta.shared, shape, at, base, active),
            Place::Param => {
                // Parameters are only ever read, mostly all lanes the same.
                let mut params = &self.launch.params;
                move_lanes::<false, _>(regs, &mut params, shape, at, base, active)
            }
            Place::Local => {
                let stride = u64::from(self.launch.local_bytes).next_multiple_of(16);
                let first = u64::from(self.warp.index) * 32;
                let moved: [u64; 32] =
                    std::array::from_fn(|i| at[i].wrapping_sub(base).wrapping_add((first + i as u64) * stride));
                move_lanes::<STORE, _>(regs, &mut self.cta.local, shape, &moved, 0, active)
            }
        };
        if known { Ok(()) } else { Err(self.unknown()) }
    }

    #[cold]
    fn misaligned(&self, space: Space, lanes: &Lanes, active: u32, size: usize, store: bool) -> Fault {
        let lane = (0..32).find(|i| active >> i & 1 == 1 && lanes.at[*i] & (size as u64 - 1) != 0).unwrap_or(0);
        let at = lanes.at[lane];
        let what = if store { "write" } else { "read" };
        let mut text = format!("misaligned {what} of {size} bytes at {at:#x}, which is not a multiple of {size}");
        if let (Space::Global | Space::Generic, Some(index)) = (space, self.launch.memory.index_of(at)) {
            let a = &self.launch.memory.allocations[index];
            if a.offset(at, 1).is_some() {
                text += &format!(" ({})", self.launch.memory.operands.place(a, at));
            }
        }
        self.fault(FaultKind::Misaligned, text, 1 << lane).at_address(at)
    }
}

/// Runs `f` for every active lane.
#[inline(always)]
fn each(active: u32, mut f: impl FnMut(usize)) {
    if active == u32::MAX {
        (0..32).for_each(f);
    } else {
        let mut rest = active;
        while rest != 0 {
            f(rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}

/// Moves the elements of the active lanes; false when the type is not one that memory holds.
#[inline(always)]
fn move_lanes<const STORE: bool, M: Words>(
    regs: &mut Registers,
    mut m: M,
    shape: Shape,
    at: &[u64; 32],
    base: u64,
    active: u32,
) -> bool {
    let size = bytes_of(shape.ty);
    let offset = |i: usize, v: usize| at[i].wrapping_sub(base) as usize + v * size;
    for v in 0..shape.vec {
        let reg = usize::from(shape.regs[v]);
        if STORE {
            macro_rules! narrow {
                ($put:ident, $ty:ty) => {
                    if shape.wide {
                        let s = &regs.r64[reg].0;
                        each(active, |i| m.$put(offset(i, v), s[i] as $ty))
                    } else {
                        let s = &regs.r32[reg].0;
                        each(active, |i| m.$put(offset(i, v), s[i] as $ty))
                    }
                };
            }
            match size {
                1 => narrow!(put8, u8),
                2 => narrow!(put16, u16),
                4 => narrow!(put32, u32),
                _ if shape.wide => {
                    let s = &regs.r64[reg].0;
                    each(active, |i| m.put64(offset(i, v), s[i]));
                }
                _ => return false,
            }
        } else {
            macro_rules! extend {
                ($get:ident, $as:ty) => {
                    if shape.wide {
                        let d = &mut regs.r64[reg].0;
                        each(active, |i| d[i] = m.$get(offset(i, v)) as $as as i64 as u64)
                    } else {
                        let d = &mut regs.r32[reg].0;
                        each(active, |i| d[i] = m.$get(offset(i, v)) as $as as u32)
                    }
                };
            }
            match (shape.ty, size) {
                (Ty::S8, _) => extend!(get8, i8),
                (Ty::S16, _) => extend!(get16, i16),
                (Ty::S32, _) => extend!(get32, i32),
                (_, 1) => extend!(get8, u8),
                (_, 2) => extend!(get16, u16),
                (_, 4) => extend!(get32, u32),
                _ if shape.wide => {
                    let d = &mut regs.r64[reg].0;
                    each(active, |i| d[i] = m.get64(offset(i, v)));
                }
                _ => return false,
            }
        }
    }
    true
}

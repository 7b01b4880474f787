//! The shadow of global memory, of all blocks of a launch: per 16 bytes a list of who read or wrote which of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use super::clock::{Clock, Column, WarpClock, each};
use super::foreign::Foreign;

/// Bytes of a page and of a granule.
const PAGE: u64 = 256;
const GRANULE: u64 = 16;
/// Pages at most: what a launch touches beyond 256 MiB is not looked at.
const MOST_PAGES: usize = 1 << 20;
const SHARDS: usize = 64;
/// Readers of the same bytes that are kept; more are forgotten, the oldest first.
const READERS: usize = 2;

/// Marks of [`Touch::inst`].
const WRITE: u32 = 1 << 31;
const STRONG: u32 = 1 << 30;
const INST: u32 = STRONG - 1;

/// Somebody's access.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touch {
    /// Block of the grid.
    pub block: u32,
    /// Time of its thread.
    pub clock: u32,
    inst: u32,
    /// Thread of the block.
    pub thread: u16,
    /// Bytes of the granule.
    pub mask: u16,
}

impl Touch {
    /// The instruction.
    pub fn instruction(&self) -> u32 {
        self.inst & INST
    }

    /// Did it write?
    pub fn wrote(&self) -> bool {
        self.inst & WRITE != 0
    }

    fn strong(&self) -> bool {
        self.inst & STRONG != 0
    }

    fn warp(&self) -> Column {
        self.thread / 32
    }
}

/// Accesses of 16 bytes, the first in place.
#[derive(Clone, Debug, Default)]
struct Cell {
    first: Touch,
    more: Vec<Touch>,
}

/// Addresses of pages are even enough to be multiplied and cut.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

type Page = Box<[Cell; (PAGE / GRANULE) as usize]>;
type Shard = HashMap<u64, Page, BuildHasherDefault<Spread>>;

/// The shadow of global memory.
pub(crate) struct GlobalShadow {
    shards: Box<[Mutex<Shard>]>,
    /// What was released at an address.
    released: Mutex<BTreeMap<u64, Foreign>>,
}

/// How an instruction touches global memory.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Block of the grid, and instruction.
    pub block: u32,
    /// See `block`.
    pub inst: u32,
    /// A store or an atomic.
    pub write: bool,
    /// Does not race with its like.
    pub strong: bool,
    /// Neither hides nor is hidden: an atomic.
    pub atomic: bool,
}

/// An access and the one that it meets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meeting {
    /// First byte that both touch, and bytes.
    pub at: u64,
    /// See `at`.
    pub bytes: u32,
    /// The lane.
    pub lane: u8,
    /// The other side.
    pub other: Touch,
}

impl GlobalShadow {
    /// Of a launch that has not begun.
    pub fn new() -> GlobalShadow {
        GlobalShadow { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), released: Mutex::default() }
    }

    /// What was released at an address, to be changed or read.
    pub(super) fn released<R>(&self, at: u64, f: impl FnOnce(&mut Foreign) -> R) -> R {
        f(self.released.lock().unwrap_or_else(PoisonError::into_inner).entry(at).or_default())
    }

    /// Checks and records an access of each of `lanes`.
    pub(super) fn access(
        &self,
        way: Way,
        warp: &WarpClock,
        lanes: u32,
        at: impl Fn(usize) -> (u64, u64),
        found: &mut Vec<Meeting>,
    ) {
        let mut page = u64::MAX;
        let mut shard = None;
        let mut group = (0, None::<&Clock>);
        for lane in each(lanes) {
            if group.0 >> lane & 1 == 0 {
                let Some((members, clock)) = warp.groups.iter().find(|(members, _)| members >> lane & 1 == 1) else {
                    continue;
                };
                group = (*members, Some(clock));
            }
            let Some(clock) = group.1 else { continue };
            let (start, bytes) = at(lane);
            let end = start.saturating_add(bytes);
            let mut low = start;
            while low < end {
                let high = (low / GRANULE * GRANULE).saturating_add(GRANULE).min(end);
                if low / PAGE != page {
                    page = low / PAGE;
                    // One lock at a time.
                    drop(shard.take());
                    let number = page as usize % SHARDS;
                    let guard = self.shards.get(number).map(|s| s.lock().unwrap_or_else(PoisonError::into_inner));
                    shard = guard;
                }
                if let Some(shard) = &mut shard {
                    let full = shard.len() >= MOST_PAGES / SHARDS;
                    if !full || shard.contains_key(&page) {
                        let cells = shard.entry(page).or_default();
                        let first = low % GRANULE;
                        let mask = ((1u32 << (high - low)) - 1) << first;
                        let inst =
                            way.inst & INST | if way.write { WRITE } else { 0 } | if way.strong { STRONG } else { 0 };
                        let new = Touch {
                            block: way.block,
                            clock: warp.now,
                            inst,
                            thread: 32 * warp.index + lane as u16,
                            mask: mask as u16,
                        };
                        let cell = &mut cells[(low % PAGE / GRANULE) as usize];
                        touch(cell, new, way.atomic, clock, low / GRANULE * GRANULE, found);
                    }
                }
                low = high;
            }
        }
    }
}

/// Is an earlier access in order for who has this clock?
fn ordered(old: &Touch, new: &Touch, clock: &Clock) -> bool {
    let lane = (old.thread & 31) as u8;
    if old.block == new.block {
        old.thread == new.thread
            || clock.known.covers(old.warp(), lane, old.clock)
            || clock.foreign.covers(old.block, old.warp(), lane, old.clock)
    } else {
        clock.foreign.covers(old.block, old.warp(), lane, old.clock)
    }
}

#[inline]
fn touch(cell: &mut Cell, new: Touch, atomic: bool, clock: &Clock, base: u64, found: &mut Vec<Meeting>) {
    if cell.first.mask == 0 {
        cell.first = new;
        return;
    }
    let same = |old: &Touch| {
        (old.block, old.clock, old.inst, old.thread) == (new.block, new.clock, new.inst, new.thread)
            && old.mask & new.mask == new.mask
    };
    if same(&cell.first) {
        return;
    }
    let mut readers = 0;
    // Keeps what still matters beside the new one.
    let mut keep = |old: &mut Touch| {
        let common = old.mask & new.mask;
        if common == 0 {
            return true;
        }
        let conflict = (old.wrote() || new.wrote()) && !(old.strong() && new.strong());
        let (now, lane) = (ordered(old, &new, clock), (new.thread & 31) as u8);
        if conflict && !now && found.len() < 64 {
            let at = base + u64::from(common.trailing_zeros());
            found.push(Meeting { at, bytes: common.count_ones(), lane, other: *old });
        }
        // A write hides all before it; an atomic only what is in order, or its like by the same block; a read the reads
        // that are in order.
        let hides = if new.wrote() {
            !atomic || now || (old.strong() && old.wrote() && old.block == new.block && old.warp() == new.warp())
        } else {
            !old.wrote() && now
        };
        if hides {
            old.mask &= !new.mask;
        } else if !old.wrote() {
            readers += 1;
            if !new.wrote() && readers > READERS {
                old.mask &= !new.mask;
            }
        }
        old.mask != 0
    };
    // The youngest first, so that the oldest are forgotten.
    let mut i = cell.more.len();
    while i > 0 {
        i -= 1;
        if !keep(&mut cell.more[i]) {
            cell.more.remove(i);
        }
    }
    if keep(&mut cell.first) {
        cell.more.push(new);
    } else if cell.more.is_empty() {
        cell.first = new;
    } else {
        cell.first = cell.more.remove(0);
        cell.more.push(new);
    }
}

//! What a thread knows to have happened: vector clocks, one column a warp's threads and one a source of asynchronous
//! work, with more precise entries for single threads where they differ.

use std::sync::Arc;

use super::foreign::Foreign;

/// A column of clocks: of `w` warps, columns `0..w` are the threads of each warp, `w..2w` their `cp.async` copies,
/// `2w..3w` their `wgmma` products, and from `3w` on the copies that complete on each mbarrier.
pub(super) type Column = u16;

/// How far into every column something reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Per column: all lanes of it, up to and with this clock.
    all: Vec<u32>,
    /// Single lanes further than their column, sorted.
    lanes: Vec<(Column, u8, u32)>,
}

impl Reach {
    /// How far all lanes of a column are reached.
    #[inline(always)]
    pub fn column(&self, column: Column) -> u32 {
        self.all.get(usize::from(column)).copied().unwrap_or(0)
    }

    /// Is this lane's clock reached?
    pub fn covers(&self, column: Column, lane: u8, clock: u32) -> bool {
        self.column(column) >= clock
            || self.lanes.iter().any(|&(c, l, reached)| (c, l) == (column, lane) && reached >= clock)
    }

    /// Reaches all lanes of a column up to this clock.
    pub fn raise(&mut self, column: Column, clock: u32) {
        let at = usize::from(column);
        if self.all.len() <= at {
            self.all.resize(at + 1, 0);
        }
        if self.all[at] < clock {
            self.all[at] = clock;
            self.lanes.retain(|&(c, _, reached)| c != column || reached > clock);
        }
    }

    /// Reaches one lane up to this clock.
    pub fn raise_lane(&mut self, column: Column, lane: u8, clock: u32) {
        if self.column(column) >= clock {
            return;
        }
        match self.lanes.binary_search_by_key(&(column, lane), |&(c, l, _)| (c, l)) {
            Ok(at) => self.lanes[at].2 = self.lanes[at].2.max(clock),
            Err(at) => self.lanes.insert(at, (column, lane, clock)),
        }
    }

    /// Reaches what the other one does.
    pub fn join(&mut self, other: &Reach) {
        if self.all.len() < other.all.len() {
            self.all.resize(other.all.len(), 0);
        }
        let mut moved = false;
        for (mine, theirs) in self.all.iter_mut().zip(&other.all) {
            moved |= *mine < *theirs;
            *mine = (*mine).max(*theirs);
        }
        if moved && !self.lanes.is_empty() {
            let all = &self.all;
            self.lanes.retain(|&(c, _, reached)| all.get(usize::from(c)).is_none_or(|all| *all < reached));
        }
        for &(column, lane, clock) in &other.lanes {
            self.raise_lane(column, lane, clock);
        }
    }
}

/// What somebody knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// What happened before.
    pub(super) known: Reach,
    /// The part of it with a proxy fence behind it, which the asynchronous proxy sees too.
    pub(super) proxied: Reach,
    /// The part of it with a fence behind it, which a relaxed or volatile store or an atomic passes on.
    pub(super) fenced: Reach,
    /// What came before through memory: what other blocks did, and what the own one did.
    pub(super) foreign: Foreign,
    /// What relaxed and volatile loads and atomics have seen, which a fence makes known.
    pub(super) seen: Foreign,
}

impl Clock {
    /// Knows what the other one knows.
    pub fn join(&mut self, other: &Clock) {
        self.known.join(&other.known);
        self.proxied.join(&other.proxied);
        self.fenced.join(&other.fenced);
        self.foreign.join(&other.foreign);
        self.seen.join(&other.seen);
    }

    /// Knows what came through memory; `block` is the own one.
    fn learn(&mut self, block: u32, news: &Foreign) {
        if let Some(own) = news.reach(block) {
            self.known.join(own);
        }
        self.foreign.join(news);
    }
}

/// The clocks of one warp. Lanes that know the same share one.
#[derive(Clone, Debug, Default)]
pub(super) struct WarpClock {
    /// The block's number in the grid.
    pub block: u32,
    /// Number in the block.
    pub index: u16,
    /// Warps of the block.
    pub warps: u16,
    /// The present of its threads: one more after everything that makes it known to others.
    pub now: u32,
    /// Its lanes by what they know.
    pub groups: Vec<(u32, Arc<Clock>)>,
    /// Lanes of the block that it has.
    pub lanes: u32,
    /// Lanes that have exited.
    pub exited: u32,
    /// `cp.async` groups that each lane has closed, and those that it has waited for.
    pub committed: [u32; 32],
    /// See `committed`.
    pub waited: [u32; 32],
    /// `wgmma` groups that it has closed.
    pub products: u32,
    /// `bar.warp.sync` under way: its lanes, and those that have arrived.
    syncs: Vec<(u32, u32)>,
}

/// The lanes of a mask.
pub(super) fn each(mask: u32) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let lane = rest.trailing_zeros();
        rest &= rest.wrapping_sub(1);
        (lane < 32).then_some(lane as usize)
    })
}

impl WarpClock {
    /// Makes it that of a warp whose threads know nothing.
    pub fn start(&mut self, block: u32, index: u16, warps: u16, lanes: u32, nothing: &Arc<Clock>) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.clear();
        groups.push((lanes, Arc::clone(nothing)));
        *self = WarpClock { block, index, warps, now: 1, groups, lanes, ..WarpClock::default() };
    }

    /// The column of its `cp.async` copies.
    pub fn copies(&self) -> Column {
        self.warps + self.index
    }

    /// The column of its products.
    pub fn product_column(&self) -> Column {
        2 * self.warps + self.index
    }

    /// Do these lanes and those that are gone make the whole warp?
    fn whole(&self, lanes: u32) -> bool {
        (lanes | self.exited) & self.lanes == self.lanes
    }

    /// What one lane knows, its own actions aside.
    pub fn of(&self, lane: usize) -> Option<&Arc<Clock>> {
        self.groups.iter().find(|(lanes, _)| lanes >> (lane & 31) & 1 == 1).map(|(_, clock)| clock)
    }

    /// What these lanes know together, their own actions aside.
    pub fn together(&self, lanes: u32) -> Arc<Clock> {
        let mut hit = self.groups.iter().filter(|(members, _)| members & lanes != 0);
        let Some((_, first)) = hit.next() else { return Arc::default() };
        let mut all = Arc::clone(first);
        for (_, other) in hit {
            Arc::make_mut(&mut all).join(other);
        }
        all
    }

    /// Adds the lanes' own actions up to now to a clock.
    fn add_own(&self, lanes: u32, to: &mut Reach) {
        let copies = self.copies();
        if self.whole(lanes) {
            to.raise(self.index, self.now);
            let least = each(lanes).map(|lane| self.waited[lane]).min().unwrap_or(0);
            if least > 0 {
                to.raise(copies, least);
            }
        } else {
            each(lanes).for_each(|lane| to.raise_lane(self.index, lane as u8, self.now));
        }
        each(lanes).filter(|lane| self.waited[*lane] > 0).for_each(|l| to.raise_lane(copies, l as u8, self.waited[l]));
    }

    /// Makes what these lanes know and did known to whoever gets `to`. Tick afterwards.
    pub fn release(&self, lanes: u32, to: &mut Clock) {
        for (_, clock) in self.groups.iter().filter(|(members, _)| members & lanes != 0) {
            to.join(clock);
        }
        self.add_own(lanes, &mut to.known);
    }

    /// Makes known to whoever gets `to` that the `cp.async` copies of these lanes so far have landed, and what the
    /// lanes knew and did when they asked for that.
    pub fn release_copies(&mut self, lanes: u32, to: &mut Clock) {
        self.commit_copies(lanes);
        self.release(lanes, to);
        let copies = self.copies();
        if self.whole(lanes) {
            let least = each(lanes).map(|lane| self.committed[lane]).min().unwrap_or(0);
            to.known.raise(copies, least);
        }
        each(lanes).for_each(|lane| to.known.raise_lane(copies, lane as u8, self.committed[lane]));
    }

    /// Time goes on: what the threads do next is not known to who got a clock before.
    pub fn tick(&mut self) {
        self.now += 1;
    }

    /// Lets lanes know what `clock` says, and only that: it has all they knew.
    pub fn assign(&mut self, lanes: u32, clock: &Arc<Clock>) {
        self.groups.retain_mut(|(members, _)| {
            *members &= !lanes;
            *members != 0
        });
        self.groups.push((lanes, Arc::clone(clock)));
    }

    /// Applies `f` to what these lanes know.
    pub fn change(&mut self, lanes: u32, f: impl Fn(&mut Clock)) {
        for at in 0..self.groups.len() {
            let (members, clock) = &mut self.groups[at];
            let hit = *members & lanes;
            if hit == *members {
                f(Arc::make_mut(clock));
            } else if hit != 0 {
                *members &= !hit;
                let mut apart = (**clock).clone();
                f(&mut apart);
                self.groups.push((hit, Arc::new(apart)));
            }
        }
    }

    /// Lets lanes know what `clock` says too.
    pub fn acquire(&mut self, lanes: u32, clock: &Clock) {
        self.change(lanes, |mine| mine.join(clock));
    }

    /// `bar.warp.sync` of the lanes `mask`, where `lanes` of them arrive.
    pub fn arrive_sync(&mut self, mask: u32, lanes: u32) {
        match self.syncs.iter_mut().find(|(members, _)| *members == mask) {
            Some((_, arrived)) => *arrived |= lanes,
            None => self.syncs.push((mask, lanes)),
        }
        self.settle_syncs();
    }

    /// Lanes exit.
    pub fn exit(&mut self, lanes: u32) {
        self.exited |= lanes;
        self.settle_syncs();
    }

    fn settle_syncs(&mut self) {
        let gone = self.exited | !self.lanes;
        while let Some(at) = self.syncs.iter().position(|(mask, arrived)| (arrived | gone) & mask == *mask) {
            let (_, arrived) = self.syncs.swap_remove(at);
            self.sync(arrived);
        }
    }

    /// These lanes know what each of them knows and did.
    fn sync(&mut self, lanes: u32) {
        let mut all = self.together(lanes);
        self.add_own(lanes, &mut Arc::make_mut(&mut all).known);
        self.tick();
        self.assign(lanes, &all);
    }

    /// A proxy fence: all that these lanes know or did is in order for the asynchronous proxy.
    pub fn proxy_fence(&mut self, lanes: u32) {
        let mut own = Reach::default();
        self.add_own(lanes, &mut own);
        self.change(lanes, |clock| {
            let Clock { known, proxied, .. } = clock;
            proxied.join(known);
            proxied.join(&own);
        });
        self.tick();
    }

    /// A fence: what these lanes know or did may be passed on, and what they have seen is known.
    pub fn fence(&mut self, lanes: u32) {
        let mut own = Reach::default();
        self.add_own(lanes, &mut own);
        let block = self.block;
        self.change(lanes, |clock| {
            let seen = std::mem::take(&mut clock.seen);
            clock.learn(block, &seen);
            let Clock { known, fenced, .. } = clock;
            fenced.join(known);
            fenced.join(&own);
        });
        self.tick();
    }

    /// A lane writes where others may read: adds what it passes on, all or what is behind a fence.
    pub fn pass_on(&mut self, lane: usize, all: bool, to: &mut Foreign) {
        let Some(clock) = self.of(lane) else { return };
        let mut reach = clock.fenced.clone();
        if all {
            reach.join(&clock.known);
            self.add_own(1 << lane, &mut reach);
        }
        if reach != Reach::default() {
            to.join(&clock.foreign);
            to.join(&Foreign::of(self.block, reach));
            self.tick();
        }
    }

    /// A lane reads what others have passed on: known at once, or with its next fence.
    pub fn take_over(&mut self, lane: usize, at_once: bool, news: &Foreign) {
        let block = self.block;
        self.change(1 << lane, |clock| if at_once { clock.learn(block, news) } else { clock.seen.join(news) });
    }

    /// `cp.async.wait_group`: all but the youngest `pending` groups of these lanes have landed.
    pub fn wait_copies(&mut self, lanes: u32, pending: u32) {
        for lane in each(lanes) {
            self.waited[lane] = self.waited[lane].max(self.committed[lane].saturating_sub(pending));
        }
    }

    /// Closes the `cp.async` groups of these lanes.
    pub fn commit_copies(&mut self, lanes: u32) {
        each(lanes).for_each(|lane| self.committed[lane] += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warp(index: u16) -> WarpClock {
        let mut warp = WarpClock::default();
        warp.start(0, index, 2, u32::MAX, &Arc::default());
        warp
    }

    #[test]
    fn single_lanes_reach_further_until_their_column_does() {
        let mut reach = Reach::default();
        reach.raise_lane(1, 5, 7);
        reach.raise_lane(1, 3, 2);
        assert!(reach.covers(1, 5, 7) && !reach.covers(1, 5, 8) && !reach.covers(1, 4, 1));
        reach.raise(1, 2);
        assert_eq!(reach.lanes, [(1, 5, 7)]);
        let mut other = Reach::default();
        other.raise(1, 7);
        other.raise_lane(0, 31, 4);
        reach.join(&other);
        assert!(reach.covers(1, 0, 7) && reach.covers(0, 31, 4) && !reach.covers(0, 30, 1));
        assert_eq!(reach.lanes, [(0, 31, 4)]);
    }

    #[test]
    fn one_lane_releases_only_itself() {
        let mut first = warp(0);
        let mut sent = Clock::default();
        first.release(1, &mut sent);
        first.tick();
        assert!(sent.known.covers(0, 0, 1) && !sent.known.covers(0, 1, 1) && !sent.known.covers(0, 0, 2));
        first.sync(u32::MAX);
        assert!(first.of(9).unwrap().known.covers(0, 31, 2) && !first.of(9).unwrap().known.covers(0, 31, 3));
        first.release(1, &mut sent);
        assert!(sent.known.covers(0, 31, 2) && sent.known.covers(0, 0, 3) && !sent.known.covers(0, 31, 3));
    }

    #[test]
    fn lanes_part_when_one_learns_more() {
        let (first, mut second) = (warp(0), warp(1));
        let mut sent = Clock::default();
        first.release(u32::MAX, &mut sent);
        second.acquire(1 << 4, &sent);
        assert!(second.of(4).unwrap().known.covers(0, 0, 1) && !second.of(5).unwrap().known.covers(0, 0, 1));
        second.sync(u32::MAX);
        assert!(second.of(5).unwrap().known.covers(0, 0, 1));
        assert_eq!(second.groups.len(), 1);
    }

    #[test]
    fn a_proxy_fence_covers_what_came_before() {
        let mut first = warp(0);
        first.proxy_fence(u32::MAX);
        let clock = first.of(0).unwrap();
        assert!(clock.proxied.covers(0, 3, 1) && !clock.proxied.covers(0, 3, 2) && !clock.known.covers(0, 3, 1));
    }

    #[test]
    fn copies_are_known_after_their_wait() {
        let mut first = warp(0);
        first.commit_copies(u32::MAX);
        first.commit_copies(u32::MAX);
        first.wait_copies(u32::MAX, 1);
        first.wait_copies(1, 0);
        let mut sent = Clock::default();
        first.release(u32::MAX, &mut sent);
        assert!(sent.known.covers(2, 9, 1) && !sent.known.covers(2, 9, 2) && sent.known.covers(2, 0, 2));
    }
}

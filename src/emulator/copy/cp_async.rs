//! `cp.async`: 4, 8 or 16 bytes a lane from global to shared memory, in commit groups (PTX ISA §9.7.9.25).
//!
//! Addresses and sizes are captured and checked at issue; bytes are read and written when the copy lands: at the
//! lane's `wait_group` or `wait_all`, or, when a `cp.async.mbarrier.arrive` follows it, when the block can do
//! nothing else. Copies that a warp leaves behind when it exits are dropped: nothing orders their writes before
//! any read of the block, so never is the latest legal time.

use std::collections::VecDeque;

use crate::emulator::ir::Space;

use super::problem::{Problem, shared_range};
use super::{GlobalMemory, mbarrier};

/// One `cp.async` of a warp: lane `l` copies `size` bytes to `dst[l]`, of which the first `src_size[l]` come from
/// `src[l]` and the rest are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpAsync {
    /// 4, 8 or 16.
    pub size: u8,
    /// Shared-memory addresses.
    pub dst: [u32; 32],
    /// Global addresses.
    pub src: [u64; 32],
    /// At most `size`.
    pub src_size: [u8; 32],
}

// Arrivals are rare beside copies, which should not cost an allocation each.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug)]
enum What {
    Copy(CpAsync),
    /// `cp.async.mbarrier.arrive` of one lane, on the barrier at this address.
    Arrive(u32),
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    what: What,
    /// Lanes whose part has not landed.
    lanes: u32,
    /// Commit group of each lane.
    group: [u32; 32],
}

/// The copies that one warp has under way, oldest first. Groups are counted per lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpAsyncQueue {
    pending: VecDeque<Pending>,
    committed: [u32; 32],
    /// Arrivals among `pending`.
    arrivals: usize,
}

/// Instructions whose copies are pending at most: a kernel that never waits must not take the host's memory. Far more
/// than a ring of stages has; beyond it the oldest land, as they may at any time.
const MOST: usize = 512;

/// The lanes of a mask, in order.
fn each(mask: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |lane| mask >> lane & 1 == 1)
}

impl CpAsync {
    /// Checks one lane's part.
    fn check(&self, lane: usize, shared_len: usize, global: &impl GlobalMemory) -> Result<(), Problem> {
        let (size, src_size) = (u64::from(self.size), u64::from(self.src_size[lane]));
        if !matches!(size, 4 | 8 | 16) || src_size > size {
            return Err(Problem::operand(format!("cp.async of {size} bytes, {src_size} of them from the source")));
        }
        shared_range(shared_len, u64::from(self.dst[lane]), size, size, "cp.async destination")?;
        if !self.src[lane].is_multiple_of(size) {
            return Err(Problem::misaligned(Space::Global, self.src[lane], size, "cp.async source"));
        }
        // With no bytes to read the address is not looked at: zero fill at an edge may point anywhere.
        if src_size == 0 { Ok(()) } else { global.check(self.src[lane], src_size) }
    }

    /// Where all lanes of a whole warp are surely right, by one look at the extremes, the least address that is read.
    /// None says nothing.
    fn surely(&self, shared_len: usize, global: &impl GlobalMemory) -> Option<u64> {
        let size = u64::from(self.size);
        let (mut bits, mut high, mut take) = (0, 0, 0);
        let (mut from, mut to) = (u64::MAX, 0);
        for lane in 0..32 {
            bits |= u64::from(self.dst[lane]) | self.src[lane];
            high = high.max(self.dst[lane]);
            take = take.max(self.src_size[lane]);
            let reads = self.src_size[lane] > 0;
            from = from.min(if reads { self.src[lane] } else { u64::MAX });
            to = to.max(if reads { self.src[lane] } else { 0 });
        }
        let right = matches!(size, 4 | 8 | 16)
            && bits & (size - 1) == 0
            && u64::from(high) + size <= shared_len as u64
            && take <= self.size
            && (take == 0 || to.checked_add(size).is_some_and(|end| global.check(from, end - from).is_ok()));
        right.then_some(from)
    }

    fn land(&self, lanes: u32, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        for lane in each(lanes) {
            let (size, take) = (u64::from(self.size), usize::from(self.src_size[lane].min(self.size)));
            if take == usize::from(self.size) {
                continue;
            }
            let range = shared_range(shared.len(), u64::from(self.dst[lane]), size, size, "cp.async destination")
                .map_err(|p| p.at_lane(lane))?;
            shared[range.start + take..range.end].fill(0);
        }
        global.gather(lanes, &self.src, &self.src_size, shared, &self.dst)
    }
}

impl CpAsyncQueue {
    /// Captures the copies of the lanes in `mask`.
    ///
    /// # Errors
    /// Size not 4, 8 or 16; a `src_size` above it; an address not a multiple of the size, or outside its memory.
    pub(crate) fn issue(
        &mut self,
        mask: u32,
        copy: CpAsync,
        shared_len: usize,
        global: &impl GlobalMemory,
    ) -> Result<(), Problem> {
        let least = if mask == u32::MAX { copy.surely(shared_len, global) } else { None };
        match least {
            // It lands later: by then the host may have fetched what it reads.
            Some(least) => global.soon(&copy.src, least),
            None => {
                for lane in each(mask) {
                    copy.check(lane, shared_len, global).map_err(|p| p.at_lane(lane))?;
                }
            }
        }
        self.pending.push_back(Pending { what: What::Copy(copy), lanes: mask, group: self.committed });
        Ok(())
    }

    /// `cp.async.mbarrier.arrive`: the barrier at `at` gets one arrival of `lane` when all its copies so far have
    /// landed; unless `noinc`, its pending count is raised by one now.
    ///
    /// # Errors
    /// As the mbarrier's own operations.
    pub(crate) fn arrive(&mut self, lane: usize, at: u32, noinc: bool, shared: &mut [u8]) -> Result<(), Problem> {
        if !noinc {
            mbarrier::add_pending(shared, u64::from(at)).map_err(|p| p.at_lane(lane))?;
        }
        self.pending.push_back(Pending { what: What::Arrive(at), lanes: 1 << (lane & 31), group: self.committed });
        self.arrivals += 1;
        Ok(())
    }

    /// `cp.async.commit_group` of the lanes in `mask`.
    pub(crate) fn commit(&mut self, mask: u32) {
        for (lane, committed) in self.committed.iter_mut().enumerate() {
            *committed = committed.wrapping_add(mask >> lane & 1);
        }
    }

    /// `cp.async.wait_group pending` of the lanes in `mask`: lands their groups but the `pending` youngest.
    ///
    /// # Errors
    /// Memory that is gone since the issue.
    pub(crate) fn wait_group(
        &mut self,
        mask: u32,
        pending: u32,
        shared: &mut [u8],
        global: &impl GlobalMemory,
    ) -> Result<(), Problem> {
        let committed = self.committed;
        self.land(shared, global, |p| {
            let mut old = 0;
            for (lane, (committed, group)) in committed.iter().zip(&p.group).enumerate() {
                old |= u32::from(committed.wrapping_sub(*group) > pending) << lane;
            }
            mask & old
        })
    }

    /// `cp.async.wait_all` of the lanes in `mask`: lands all their copies, committed or not.
    ///
    /// # Errors
    /// As [`CpAsyncQueue::wait_group`].
    pub(crate) fn wait_all(&mut self, mask: u32, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        self.land(shared, global, |_| mask)
    }

    /// Lands everything up to the last pending mbarrier arrival, because the block can do nothing else; false
    /// when no arrival is pending.
    ///
    /// # Errors
    /// As [`CpAsyncQueue::wait_group`], and the mbarrier's own.
    pub(crate) fn land_arrivals(&mut self, shared: &mut [u8], global: &impl GlobalMemory) -> Result<bool, Problem> {
        let any = self.arrivals > 0;
        while self.arrivals > 0 {
            match self.pending.pop_front() {
                Some(p) => land_part(&p, p.lanes, &mut self.arrivals, shared, global)?,
                None => self.arrivals = 0,
            }
        }
        Ok(any)
    }

    /// Lands the oldest while there are more than the queue is to hold.
    ///
    /// # Errors
    /// As [`CpAsyncQueue::wait_group`], and the mbarrier's own.
    pub(crate) fn relieve(&mut self, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        while self.pending.len() > MOST
            && let Some(p) = self.pending.pop_front()
        {
            land_part(&p, p.lanes, &mut self.arrivals, shared, global)?;
        }
        Ok(())
    }

    /// Bytes of host memory that it has come to.
    pub(crate) fn bytes(&self) -> usize {
        self.pending.capacity() * size_of::<Pending>()
    }

    /// Lands, oldest first, the lanes that `due` names of each.
    fn land(
        &mut self,
        shared: &mut [u8],
        global: &impl GlobalMemory,
        due: impl Fn(&Pending) -> u32,
    ) -> Result<(), Problem> {
        let CpAsyncQueue { pending, arrivals, .. } = self;
        for p in pending.iter_mut() {
            let lanes = due(p) & p.lanes;
            if lanes != 0 {
                p.lanes &= !lanes;
                land_part(p, lanes, arrivals, shared, global)?;
            }
        }
        while pending.front().is_some_and(|p| p.lanes == 0) {
            pending.pop_front();
        }
        Ok(())
    }
}

/// Lands some lanes' part of a copy or arrival.
fn land_part(
    p: &Pending,
    lanes: u32,
    arrivals: &mut usize,
    shared: &mut [u8],
    global: &impl GlobalMemory,
) -> Result<(), Problem> {
    match &p.what {
        What::Copy(copy) => copy.land(lanes, shared, global),
        What::Arrive(_) if lanes == 0 => Ok(()),
        What::Arrive(at) => {
            *arrivals -= 1;
            let lane = lanes.trailing_zeros() as usize;
            mbarrier::arrive(shared, u64::from(*at), 1, None).map(drop).map_err(|p| p.at_lane(lane))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TestMemory;
    use super::*;

    fn memory() -> TestMemory {
        TestMemory { base: 0x1_0000, bytes: (1..=255).collect() }
    }

    /// The same in every lane, for tests of single ones.
    fn copy(dst: u32, src: u64, size: u8, src_size: u8) -> CpAsync {
        CpAsync { size, dst: [dst; 32], src: [src; 32], src_size: [src_size; 32] }
    }

    #[test]
    fn whole_warps_are_checked_at_once_and_lane_by_lane() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 128], CpAsyncQueue::default());
        let mut whole = copy(0, 0x1_0000, 4, 4);
        for lane in 0..32 {
            (whole.dst[lane], whole.src[lane]) = (4 * lane as u32, 0x1_0000 + 4 * lane as u64);
        }
        assert_eq!([whole.surely(128, &memory), whole.surely(124, &memory)], [Some(whole.src[0]), None]);
        // Lane 9 reads nothing, so its address does not matter, though the extremes leave the memory.
        (whole.src[9], whole.src_size[9]) = (0x9_0000, 0);
        (whole.src[10], whole.src_size[10]) = (0x1_00fc, 3);
        assert_eq!(whole.surely(128, &memory), None);
        queue.issue(u32::MAX, whole, 128, &memory).unwrap();
        queue.wait_all(u32::MAX, &mut shared, &memory).unwrap();
        assert_eq!(shared[..36], memory.bytes[..36]);
        assert_eq!(shared[36..44], [0, 0, 0, 0, 253, 254, 255, 0]);
        assert_eq!(shared[44..], memory.bytes[44..128]);
        whole.src[31] = 0x2_0000;
        assert_eq!(queue.issue(u32::MAX, whole, 128, &memory).unwrap_err().lane, Some(31));
    }

    #[test]
    fn groups_land_at_their_wait_and_not_before() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        for group in 0..3u32 {
            queue.issue(1, copy(16 * group, 0x1_0000 + 16 * u64::from(group), 16, 16), 64, &memory).unwrap();
            queue.commit(u32::MAX);
        }
        assert!(shared.iter().all(|&b| b == 0xff));
        queue.wait_group(u32::MAX, 2, &mut shared, &memory).unwrap();
        assert_eq!(shared[..16], memory.bytes[..16]);
        assert!(shared[16..].iter().all(|&b| b == 0xff));
        // Uncommitted copies are not part of any group, but of wait_all.
        queue.issue(1, copy(48, 0x1_0000, 16, 16), 64, &memory).unwrap();
        queue.wait_group(u32::MAX, 0, &mut shared, &memory).unwrap();
        assert_eq!(shared[16..48], memory.bytes[16..48]);
        assert_eq!(shared[48], 0xff);
        queue.wait_all(u32::MAX, &mut shared, &memory).unwrap();
        assert_eq!(shared[48..], memory.bytes[..16]);
        assert!(queue.pending.is_empty());
    }

    #[test]
    fn lanes_that_committed_apart_and_then_alike_still_land_in_full() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        queue.commit(1);
        queue.issue(1, copy(0, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.issue(1 << 1, copy(4, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.commit(u32::MAX - 1);
        // Lane 0's copy is not committed; lane 1's, behind it in the queue, is.
        queue.wait_group(u32::MAX, 0, &mut shared, &memory).unwrap();
        assert_eq!((&shared[..4], &shared[4..8]), (&[0xff; 4][..], &memory.bytes[..4]));
    }

    #[test]
    fn lanes_have_their_own_groups() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        queue.issue(1, copy(0, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.issue(1 << 1, copy(4, 0x1_0004, 4, 4), 64, &memory).unwrap();
        queue.commit(0b10);
        queue.wait_group(0b11, 0, &mut shared, &memory).unwrap();
        assert_eq!(shared[..8], [0xff, 0xff, 0xff, 0xff, 5, 6, 7, 8]);
    }

    #[test]
    fn short_sources_are_filled_with_zeros() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 32], CpAsyncQueue::default());
        queue.issue(1 << 3, copy(0, 0x1_0000, 16, 5), 32, &memory).unwrap();
        queue.issue(1 << 4, copy(16, 0xdead_0000, 16, 0), 32, &memory).unwrap();
        queue.wait_all(u32::MAX, &mut shared, &memory).unwrap();
        assert_eq!(shared[..8], [1, 2, 3, 4, 5, 0, 0, 0]);
        assert!(shared[8..].iter().all(|&b| b == 0));
    }

    #[test]
    fn contents_are_read_when_they_land() {
        let (mut memory, mut shared, mut queue) = (memory(), vec![0xffu8; 16], CpAsyncQueue::default());
        queue.issue(1, copy(0, 0x1_0000, 4, 4), 16, &memory).unwrap();
        memory.bytes[0] = 77;
        queue.wait_all(1, &mut shared, &memory).unwrap();
        assert_eq!(shared[0], 77);
    }

    #[test]
    fn bad_copies_are_refused_at_issue() {
        let (memory, mut queue) = (memory(), CpAsyncQueue::default());
        let mut issue = |c| queue.issue(1 << 7, c, 64, &memory).unwrap_err();
        assert_eq!(issue(copy(8, 0x1_0000, 16, 16)).address, 8);
        assert_eq!(issue(copy(0, 0x1_0008, 16, 16)).address, 0x1_0008);
        assert_eq!(issue(copy(64, 0x1_0000, 16, 16)).lane, Some(7));
        assert_eq!(issue(copy(0, 0x1_00f0, 16, 16)).space, Space::Global);
        issue(copy(0, 0x1_0000, 16, 17));
        issue(copy(0, 0x1_0000, 2, 2));
    }

    #[test]
    fn mbarrier_arrivals_follow_the_copies() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        mbarrier::init(&mut shared, 32, 3).unwrap();
        queue.issue(1, copy(0, 0x1_0000, 16, 16), 64, &memory).unwrap();
        queue.arrive(0, 32, true, &mut shared).unwrap();
        // Without .noinc the arrival does not count against the 3.
        queue.arrive(1, 32, false, &mut shared).unwrap();
        queue.issue(1, copy(16, 0x1_0000, 16, 16), 64, &memory).unwrap();
        mbarrier::arrive(&mut shared, 32, 2, None).unwrap();
        assert!(!mbarrier::test_parity(&shared, 32, 0).unwrap());
        assert!(queue.land_arrivals(&mut shared, &memory).unwrap());
        assert!(mbarrier::test_parity(&shared, 32, 0).unwrap());
        assert_eq!((shared[0], shared[16]), (1, 0xff), "the copy after the arrive is not tracked");
        assert!(!queue.land_arrivals(&mut shared, &memory).unwrap());
    }
}

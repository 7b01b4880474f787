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

/// One lane's copy: `size` bytes at `dst`, of which the first `src_size` come from `src` and the rest are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpAsync {
    /// Shared-memory address.
    pub dst: u32,
    /// Global address.
    pub src: u64,
    /// 4, 8 or 16.
    pub size: u8,
    /// At most `size`.
    pub src_size: u8,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Copy(CpAsync),
    /// `cp.async.mbarrier.arrive` on the barrier at this address.
    Arrive(u32),
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    what: What,
    /// Commit group of the lane.
    group: u32,
    lane: u8,
}

/// The copies that one warp has under way, oldest first. Groups are counted per lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpAsyncQueue {
    pending: VecDeque<Pending>,
    committed: [u32; 32],
    /// Arrivals among `pending`.
    arrivals: usize,
    /// Some pending copy is of an older group than one before it.
    disordered: bool,
}

impl Pending {
    fn land(&self, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        let lane = usize::from(self.lane);
        match self.what {
            What::Arrive(at) => mbarrier::arrive(shared, u64::from(at), 1, None).map(drop),
            What::Copy(copy) => {
                let (size, take) = (u64::from(copy.size), usize::from(copy.src_size.min(copy.size)));
                let range = shared_range(shared.len(), u64::from(copy.dst), size, size, "cp.async destination")
                    .map_err(|p| p.at_lane(lane))?;
                let (from, zero) = shared[range].split_at_mut(take);
                zero.fill(0);
                if from.is_empty() { Ok(()) } else { global.read(copy.src, from) }
            }
        }
        .map_err(|p| p.at_lane(lane))
    }
}

impl CpAsyncQueue {
    /// Captures `lane`'s copy.
    ///
    /// # Errors
    /// Size not 4, 8 or 16; `src_size` above it; an address not a multiple of the size, or outside its memory.
    #[inline]
    pub(crate) fn issue(
        &mut self,
        lane: usize,
        copy: CpAsync,
        shared_len: usize,
        global: &impl GlobalMemory,
    ) -> Result<(), Problem> {
        self.check(copy, shared_len, global).map_err(|p| p.at_lane(lane))?;
        self.push(lane, What::Copy(copy));
        Ok(())
    }

    fn check(&self, copy: CpAsync, shared_len: usize, global: &impl GlobalMemory) -> Result<(), Problem> {
        if !matches!(copy.size, 4 | 8 | 16) || copy.src_size > copy.size {
            return Err(Problem::operand(format!(
                "cp.async of {} bytes, {} of them from the source",
                copy.size, copy.src_size
            )));
        }
        let size = u64::from(copy.size);
        shared_range(shared_len, u64::from(copy.dst), size, size, "cp.async destination")?;
        if !copy.src.is_multiple_of(size) {
            return Err(Problem::misaligned(Space::Global, copy.src, size, "cp.async source"));
        }
        // With no bytes to read the address is not looked at: zero fill at an edge may point anywhere.
        if copy.src_size == 0 { Ok(()) } else { global.check(copy.src, u64::from(copy.src_size)) }
    }

    fn push(&mut self, lane: usize, what: What) {
        let group = self.committed[lane % 32];
        let later = self.pending.back().is_some_and(|last| last.group > group);
        self.disordered = later || self.disordered && !self.pending.is_empty();
        self.pending.push_back(Pending { what, group, lane: (lane % 32) as u8 });
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
        self.push(lane, What::Arrive(at));
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
        self.land(shared, global, mask == u32::MAX, |p| {
            mask >> p.lane & 1 == 1 && committed[usize::from(p.lane)].wrapping_sub(p.group) > pending
        })
    }

    /// `cp.async.wait_all` of the lanes in `mask`: lands all their copies, committed or not.
    ///
    /// # Errors
    /// As [`CpAsyncQueue::wait_group`].
    pub(crate) fn wait_all(&mut self, mask: u32, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        self.land(shared, global, mask == u32::MAX, |p| mask >> p.lane & 1 == 1)
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
                Some(p) => self.one(p, shared, global)?,
                None => self.arrivals = 0,
            }
        }
        Ok(any)
    }

    fn one(&mut self, p: Pending, shared: &mut [u8], global: &impl GlobalMemory) -> Result<(), Problem> {
        if let What::Arrive(_) = p.what {
            self.arrivals -= 1;
        }
        p.land(shared, global)
    }

    /// All lanes have committed alike and copies are pending in the order of their groups.
    fn in_step(&self) -> bool {
        !self.disordered && self.committed.iter().all(|n| *n == self.committed[0])
    }

    fn land(
        &mut self,
        shared: &mut [u8],
        global: &impl GlobalMemory,
        whole: bool,
        due: impl Fn(&Pending) -> bool,
    ) -> Result<(), Problem> {
        // Mostly the due copies are the oldest ones and whole warps wait together; else look through the rest.
        while self.pending.front().is_some_and(&due) {
            if let Some(p) = self.pending.pop_front() {
                self.one(p, shared, global)?;
            }
        }
        if !(whole && self.in_step()) && self.pending.iter().any(&due) {
            for p in std::mem::take(&mut self.pending) {
                if due(&p) {
                    self.one(p, shared, global)?;
                } else {
                    self.pending.push_back(p);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::TestMemory;
    use super::*;

    fn memory() -> TestMemory {
        TestMemory { base: 0x1_0000, bytes: (1..=255).collect() }
    }

    fn copy(dst: u32, src: u64, size: u8, src_size: u8) -> CpAsync {
        CpAsync { dst, src, size, src_size }
    }

    #[test]
    fn groups_land_at_their_wait_and_not_before() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        for group in 0..3u32 {
            queue.issue(0, copy(16 * group, 0x1_0000 + 16 * u64::from(group), 16, 16), 64, &memory).unwrap();
            queue.commit(u32::MAX);
        }
        assert!(shared.iter().all(|&b| b == 0xff));
        queue.wait_group(u32::MAX, 2, &mut shared, &memory).unwrap();
        assert_eq!(shared[..16], memory.bytes[..16]);
        assert!(shared[16..].iter().all(|&b| b == 0xff));
        // Uncommitted copies are not part of any group, but of wait_all.
        queue.issue(0, copy(48, 0x1_0000, 16, 16), 64, &memory).unwrap();
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
        queue.issue(0, copy(0, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.issue(1, copy(4, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.commit(u32::MAX - 1);
        // Lane 0's copy is not committed; lane 1's, behind it in the queue, is.
        queue.wait_group(u32::MAX, 0, &mut shared, &memory).unwrap();
        assert_eq!((&shared[..4], &shared[4..8]), (&[0xff; 4][..], &memory.bytes[..4]));
    }

    #[test]
    fn lanes_have_their_own_groups() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 64], CpAsyncQueue::default());
        queue.issue(0, copy(0, 0x1_0000, 4, 4), 64, &memory).unwrap();
        queue.issue(1, copy(4, 0x1_0004, 4, 4), 64, &memory).unwrap();
        queue.commit(0b10);
        queue.wait_group(0b11, 0, &mut shared, &memory).unwrap();
        assert_eq!(shared[..8], [0xff, 0xff, 0xff, 0xff, 5, 6, 7, 8]);
    }

    #[test]
    fn short_sources_are_filled_with_zeros() {
        let (memory, mut shared, mut queue) = (memory(), vec![0xffu8; 32], CpAsyncQueue::default());
        queue.issue(3, copy(0, 0x1_0000, 16, 5), 32, &memory).unwrap();
        queue.issue(4, copy(16, 0xdead_0000, 16, 0), 32, &memory).unwrap();
        queue.wait_all(u32::MAX, &mut shared, &memory).unwrap();
        assert_eq!(shared[..8], [1, 2, 3, 4, 5, 0, 0, 0]);
        assert!(shared[8..].iter().all(|&b| b == 0));
    }

    #[test]
    fn contents_are_read_when_they_land() {
        let (mut memory, mut shared, mut queue) = (memory(), vec![0xffu8; 16], CpAsyncQueue::default());
        queue.issue(0, copy(0, 0x1_0000, 4, 4), 16, &memory).unwrap();
        memory.bytes[0] = 77;
        queue.wait_all(1, &mut shared, &memory).unwrap();
        assert_eq!(shared[0], 77);
    }

    #[test]
    fn bad_copies_are_refused_at_issue() {
        let (memory, mut queue) = (memory(), CpAsyncQueue::default());
        let mut issue = |c| queue.issue(7, c, 64, &memory).unwrap_err();
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
        queue.issue(0, copy(0, 0x1_0000, 16, 16), 64, &memory).unwrap();
        queue.arrive(0, 32, true, &mut shared).unwrap();
        // Without .noinc the arrival does not count against the 3.
        queue.arrive(1, 32, false, &mut shared).unwrap();
        queue.issue(0, copy(16, 0x1_0000, 16, 16), 64, &memory).unwrap();
        mbarrier::arrive(&mut shared, 32, 2, None).unwrap();
        assert!(!mbarrier::test_parity(&shared, 32, 0).unwrap());
        assert!(queue.land_arrivals(&mut shared, &memory).unwrap());
        assert!(mbarrier::test_parity(&shared, 32, 0).unwrap());
        assert_eq!((shared[0], shared[16]), (1, 0xff), "the copy after the arrive is not tracked");
        assert!(!queue.land_arrivals(&mut shared, &memory).unwrap());
    }
}

//! One warp: its registers and the parts into which its lanes have diverged.

use super::super::copy::CpAsyncQueue;
use super::super::ir::{BarRed, Code, Pred, Reg, V32, V64};
use super::super::tensor::WgmmaQueue;
use super::alu::Registers;
use super::balance::Groups;
use super::call::Calls;

/// What registers hold before anything is written to them.
const POISON: u32 = 0xCDCD_CDCD;

/// What a fragment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Ready,
    /// Block barrier `id`; its reduction goes to these registers.
    Barrier { id: u8, red: Option<(BarRed, Option<Reg>, Option<Pred>)> },
    /// `bar.warp.sync`: the lanes of this mask.
    WarpSync { mask: u32 },
    /// Other lanes of the warp must reach the same instruction, which is tried again when some join.
    Converge { missing: u32 },
    /// A phase of the mbarrier at this shared address; the instruction is tried again.
    Mbarrier { address: u64 },
    /// The cluster barrier.
    Cluster,
}

/// Lanes of a warp that stand at the same instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// The next instruction.
    pub pc: u32,
    /// Its lanes.
    pub mask: u32,
    /// What it waits for.
    pub state: State,
    /// Has had its turn while others wait for theirs.
    pub tired: bool,
}

/// A warp.
#[derive(Default)]
pub(crate) struct Warp {
    /// Its registers.
    pub regs: Registers,
    /// Index in the block.
    pub index: u32,
    /// Lanes that have not exited.
    pub live: u32,
    /// Where its live lanes stand. The one that runs is taken out.
    pub fragments: Vec<Fragment>,
    /// The allocation that the last global access hit.
    pub last_allocation: usize,
    /// Where its lanes' calls return to.
    pub calls: Calls,
    /// `cp.async` copies under way.
    pub copies: CpAsyncQueue,
    /// `wgmma` products under way.
    pub products: WgmmaQueue,
    /// Lanes that have arrived at the cluster barrier in this phase.
    pub cluster_arrived: u32,
    /// Polling instructions since the last backward branch.
    pub polls: u32,
    /// Backward branches in a row that each followed a poll.
    pub spins: u32,
    /// Has read what more than its block can change, or a clock, since its turn began.
    pub outside: bool,
    /// The mbarrier that it last found not to be complete, in this turn.
    pub tested: Option<u32>,
    /// Asynchronous groups that must be waited for, in checked mode.
    pub groups: Option<Box<Groups>>,
    /// Warp instructions executed.
    pub steps: u64,
    /// Special registers read, by which its clock goes on within a turn.
    pub clocks: u64,
}

impl Warp {
    /// Makes the warp ready to run `code` from its start, with these lanes. Registers hold poison, constants their
    /// value.
    pub fn start(&mut self, code: &Code, addresses: &[(Reg, u64)], index: u32, lanes: u32) {
        self.calls.start(code);
        let Warp { regs, .. } = self;
        regs.r32.clear();
        regs.r32.resize(code.num_r32, V32([POISON; 32]));
        regs.r64.clear();
        regs.r64.resize(code.num_r64, V64([u64::from(POISON) << 32 | u64::from(POISON); 32]));
        regs.pred.clear();
        regs.pred.resize(code.num_pred, 0);
        for (reg, value) in &code.const32 {
            if let Some(slot) = regs.r32.get_mut(usize::from(*reg)) {
                *slot = V32([*value; 32]);
            }
        }
        for (reg, value) in code.const64.iter().chain(addresses) {
            if let Some(slot) = regs.r64.get_mut(usize::from(*reg)) {
                *slot = V64([*value; 32]);
            }
        }
        self.index = index;
        self.live = lanes;
        self.fragments.clear();
        self.fragments.push(Fragment { pc: code.start, mask: lanes, state: State::Ready, tired: false });
        self.copies = CpAsyncQueue::default();
        self.products = WgmmaQueue::default();
        (self.cluster_arrived, self.polls, self.spins, self.steps, self.clocks) = (0, 0, 0, 0, 0);
        (self.outside, self.tested, self.groups) = (false, None, None);
    }

    /// Bytes of host memory that it takes.
    pub fn bytes(&self) -> usize {
        let Registers { r32, r64, pred } = &self.regs;
        let registers = size_of_val(&r32[..]) + size_of_val(&r64[..]) + size_of_val(&pred[..]);
        let fragments = self.fragments.capacity() * size_of::<Fragment>();
        size_of::<Warp>() + registers + fragments + self.calls.bytes() + self.copies.bytes() + self.products.bytes()
    }

    /// Takes out the fragment to run: of those that are ready the one lowest in the code, tired ones last.
    pub fn take_ready(&mut self) -> Option<Fragment> {
        if let [only] = self.fragments[..] {
            if only.state != State::Ready {
                return None;
            }
            return self.fragments.pop();
        }
        for _ in 0..2 {
            let ready = self.fragments.iter().enumerate().filter(|(_, f)| f.state == State::Ready && !f.tired);
            if let Some((at, _)) = ready.min_by_key(|(_, f)| f.pc) {
                return Some(self.fragments.swap_remove(at));
            }
            self.fragments.iter_mut().for_each(|f| f.tired = false);
        }
        None
    }

    /// Puts a fragment in its place, joined with those that wait at the same instruction to go on.
    pub fn put_back(&mut self, mut fragment: Fragment) {
        let joins = |s: State| matches!(s, State::Ready | State::Converge { .. } | State::Mbarrier { .. });
        if joins(fragment.state) {
            let mut at = 0;
            while at < self.fragments.len() {
                let other = self.fragments[at];
                if other.pc == fragment.pc && joins(other.state) {
                    fragment.mask |= other.mask;
                    fragment.state = State::Ready;
                    fragment.tired &= other.tired;
                    self.fragments.swap_remove(at);
                } else {
                    at += 1;
                }
            }
        }
        self.fragments.push(fragment);
    }

    /// Lets fragments try again whose instruction may now find what it waited for.
    pub fn retry(&mut self, which: impl Fn(State) -> bool) {
        for fragment in &mut self.fragments {
            if which(fragment.state) {
                fragment.state = State::Ready;
            }
        }
    }

    /// Must the running fragment, now at `pc`, let another run or join one?
    #[inline(never)]
    pub fn must_switch(&self, pc: u32) -> bool {
        self.fragments.iter().any(|other| match other.state {
            State::Ready => other.pc == pc || (other.pc < pc && !other.tired),
            State::Converge { .. } | State::Mbarrier { .. } => other.pc == pc,
            _ => false,
        })
    }

    /// What a stopped fragment may have made possible for the warp's others.
    #[inline(always)]
    pub fn release_after_stop(&mut self) {
        if self.fragments.iter().any(|f| matches!(f.state, State::WarpSync { .. })) {
            self.release_warp_sync();
        }
    }

    /// Releases `bar.warp.sync` when every live lane of a mask waits at it.
    pub fn release_warp_sync(&mut self) {
        let live = self.live;
        let arrived = |fragments: &[Fragment], mask: u32| {
            let same = |f: &&Fragment| f.state == State::WarpSync { mask };
            fragments.iter().filter(same).fold(0, |m, f| m | f.mask)
        };
        for at in 0..self.fragments.len() {
            if let State::WarpSync { mask } = self.fragments[at].state
                && arrived(&self.fragments, mask) & mask & live == mask & live
            {
                self.retry(|state| state == State::WarpSync { mask });
            }
        }
        self.rejoin();
    }

    /// Joins the fragments that now stand together.
    pub fn rejoin(&mut self) {
        if self.fragments.len() > 1 {
            for part in std::mem::take(&mut self.fragments) {
                self.put_back(part);
            }
        }
    }
}

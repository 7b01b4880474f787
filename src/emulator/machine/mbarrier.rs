//! Instructions on mbarriers (PTX ISA §9.7.13.15): lanes one after the other, waits for all of them.

use super::super::copy::{Problem, mbarrier};
use super::super::fault::Fault;
use super::super::ir::{Addr, Op, Pred};
use super::interpret::Flow;
use super::run::Run;
use super::tensor::{AsyncOrder, narrow};
use super::warp::State;

impl Run<'_> {
    /// Executes one of them.
    pub(super) fn mbarrier(&mut self, op: &Op, active: u32) -> Result<Flow, Fault> {
        match *op {
            Op::MbarrierInit { addr, count } => self.each_mbarrier(addr, active, |run, at, lane| {
                let count = run.lane32(count, lane);
                mbarrier::init(run.cta.shared.as_mut_slice(), at, count)
            })?,
            Op::MbarrierInval { addr } => {
                self.each_mbarrier(addr, active, |run, at, _| mbarrier::invalidate(run.cta.shared.as_mut_slice(), at))?;
            }
            Op::MbarrierArrive { addr, count, expect_tx, d } => self.each_mbarrier(addr, active, |run, at, lane| {
                let count = count.map_or(1, |r| run.lane32(r, lane));
                let bytes = expect_tx.map(|r| run.lane32(r, lane));
                let state = mbarrier::arrive(run.cta.shared.as_mut_slice(), at, count, bytes)?;
                if let Some(d) = d {
                    run.warp.regs.r64[usize::from(d)].0[lane] = state;
                }
                Ok(())
            })?,
            Op::MbarrierExpectTx { addr, bytes } => self.each_mbarrier(addr, active, |run, at, lane| {
                let bytes = run.lane32(bytes, lane);
                mbarrier::expect_tx(run.cta.shared.as_mut_slice(), at, bytes)
            })?,
            Op::MbarrierCompleteTx { addr, bytes } => self.each_mbarrier(addr, active, |run, at, lane| {
                let bytes = run.lane32(bytes, lane);
                mbarrier::complete_tx(run.cta.shared.as_mut_slice(), at, bytes)
            })?,
            Op::MbarrierWaitParity { addr, parity, d, blocking } => {
                return self.wait(addr, d, blocking, active, |run, at, lane| {
                    mbarrier::test_parity(run.cta.shared.as_slice(), at, run.lane32(parity, lane))
                });
            }
            Op::MbarrierWaitState { addr, state, d, blocking } => {
                return self.wait(addr, d, blocking, active, |run, at, lane| {
                    mbarrier::test_state(run.cta.shared.as_slice(), at, run.warp.regs.r64[usize::from(state)].0[lane])
                });
            }
            _ => return Err(self.unknown()),
        }
        Ok(Flow::Next)
    }

    fn each_mbarrier(
        &mut self,
        addr: Addr,
        active: u32,
        f: impl Fn(&mut Self, u64, usize) -> Result<(), Problem>,
    ) -> Result<(), Fault> {
        let at = self.shared_lanes(addr, active);
        if self.cta.check.is_some() {
            self.check_mbarrier(&at, active);
        }
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            f(self, at[lane], lane).map_err(|p| self.problem(&p.at_lane(lane), active))?;
        }
        if let Some(check) = &mut self.cta.check {
            check.mbarrier_settle(active, &at, self.cta.shared.as_slice());
        }
        Ok(())
    }

    /// `mbarrier.try_wait` waits only for a time that nobody knows: in random order it may come back before the phase
    /// is over, so that a wait without a loop shows.
    fn comes_back(&mut self) -> bool {
        matches!(self.launch.async_order, AsyncOrder::Random(_)) && self.lands_now()
    }

    /// A test or wait: with `blocking` the lanes wait here until the phase is over, for all of them.
    fn wait(
        &mut self,
        addr: Addr,
        d: Pred,
        blocking: bool,
        active: u32,
        test: impl Fn(&Self, u64, usize) -> Result<bool, Problem>,
    ) -> Result<Flow, Fault> {
        let at = self.shared_lanes(addr, active);
        if self.cta.check.is_some() {
            self.check_mbarriers(&at, active);
        }
        let mut done = 0u32;
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            let over = test(self, at[lane], lane).map_err(|p| self.problem(&p.at_lane(lane), active))?;
            done |= u32::from(over) << lane;
        }
        if done != active {
            if blocking && done == 0 && active == self.mask && !self.comes_back() {
                return Ok(Flow::Again(State::Mbarrier { address: at[active.trailing_zeros() as usize & 31] }));
            }
            self.warp.polls += 1;
            self.warp.tested = Some(narrow(at[(active & !done).trailing_zeros() as usize & 31]));
        }
        if let Some(check) = &mut self.cta.check {
            check.mbarrier_pass(self.warp.index, done, &at);
        }
        self.warp.regs.put_pred(d, done, active);
        Ok(Flow::Next)
    }
}

//! The interpreter's loop: one fragment of a warp runs until it must stop, instruction by instruction.

use std::sync::atomic::{Ordering, fence};

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{Op, Ty, Unary, V32, V64};
use super::alu;
use super::run::Run;
use super::warp::{Fragment, State};

/// Warp instructions that one warp runs at most before another of its block gets a turn.
pub(super) const SLICE: u64 = 1 << 16;
/// Backward branches in a row, each after a poll, that make a fragment a spinning one.
const SPINS: u32 = 32;

/// Why a warp stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Every lane has exited.
    Done,
    /// All its lanes wait.
    Blocked,
    /// It polls for what others must do.
    Spinning,
    /// Its slice is used up.
    Slice,
}

/// What comes after an instruction.
pub(super) enum Flow {
    /// The next one.
    Next,
    /// This one, for all lanes.
    Jump(u32),
    /// This one for these lanes, the next for the others.
    Split(u32, u32),
    /// Nothing for these lanes, the next for the others.
    Exit(u32),
    /// These lanes go on behind this instruction when what they wait for is there; the others at once.
    Wait(u32, State),
    /// All lanes try this instruction again when what they wait for may be there.
    Again(State),
    /// This one, for all lanes; it is no turn of a loop.
    Go(u32),
    /// The next one; these lanes have been put elsewhere.
    Gone(u32),
    /// This one again, for these lanes; the others have been put elsewhere.
    Keep(u32),
    /// The next one, after others had a turn.
    Yield,
}

impl Run<'_> {
    /// Runs the warp until all its lanes wait, exit or have used up this many instructions.
    pub fn warp(&mut self, mut budget: u64) -> Result<Stop, Fault> {
        loop {
            let Some(fragment) = self.warp.take_ready() else {
                if self.warp.fragments.is_empty() {
                    return Ok(Stop::Done);
                }
                return self.blocked();
            };
            let stop = self.fragment(fragment, &mut budget)?;
            self.warp.release_after_stop();
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
    }

    /// No fragment is ready: is there one that something outside the warp can wake?
    fn blocked(&mut self) -> Result<Stop, Fault> {
        let waits_inside = |s: State| matches!(s, State::Converge { .. } | State::WarpSync { .. });
        if self.warp.fragments.iter().any(|f| !waits_inside(f.state)) {
            return Ok(Stop::Blocked);
        }
        let Some(stuck) = self.warp.fragments.iter().copied().min_by_key(|f| f.pc) else { return Ok(Stop::Done) };
        let (pc, missing) = match stuck.state {
            State::Converge { missing } => (stuck.pc, missing),
            State::WarpSync { mask } => (stuck.pc - 1, mask & self.warp.live & !stuck.mask),
            _ => (stuck.pc, 0),
        };
        self.pc = pc;
        let mut text = format!("the instruction needs {} too", super::super::fault::lanes_text(missing));
        for other in self.warp.fragments.iter().filter(|f| f.mask & missing != 0) {
            let at = match other.state {
                State::WarpSync { .. } => other.pc - 1,
                _ => other.pc,
            };
            let place = super::run::site(self.launch.code, at, self.cta.index, self.warp.index, other.mask);
            let lanes = super::super::fault::lanes_text(other.mask);
            text += &format!("; {lanes} wait at `{}` (PTX line {})", place.instruction, place.ptx_line);
        }
        Err(self.fault(FaultKind::Divergence, text, stuck.mask))
    }

    /// Runs one fragment, which is put back (or gone) afterwards.
    fn fragment(&mut self, fragment: Fragment, budget: &mut u64) -> Result<Option<Stop>, Fault> {
        let code = self.launch.code;
        let insts = &code.insts[..];
        let Fragment { mut pc, mut mask, .. } = fragment;
        let mut turns = 0;
        let ready = |pc, mask| Fragment { pc, mask, state: State::Ready, tired: false };
        let start = *budget;
        let mut left = *budget;
        let result = loop {
            if !self.warp.fragments.is_empty() && self.warp.must_switch(pc) {
                self.warp.put_back(ready(pc, mask));
                break Ok(None);
            }
            if left == 0 {
                self.warp.put_back(ready(pc, mask));
                break Ok(Some(Stop::Slice));
            }
            left -= 1;
            self.pc = pc;
            self.mask = mask;
            let Some(inst) = insts.get(pc as usize) else {
                break Err(self.fault(FaultKind::Unsupported, format!("execution ran past the end, to {pc}"), mask));
            };
            let active = match inst.guard {
                None => mask,
                Some(p) => mask & self.lanes_of(p),
            };
            if self.counting() {
                self.count_execution(active);
            }
            if active == 0 {
                pc += 1;
                continue;
            }
            let flow = match self.execute(&inst.op, active) {
                Ok(flow) => flow,
                Err(fault) => break Err(fault),
            };
            match flow {
                Flow::Next => pc += 1,
                Flow::Jump(target) => {
                    let back = target <= pc;
                    pc = target;
                    if back && self.spun(&mut turns) {
                        break Ok(self.give_turn(pc, mask));
                    }
                }
                Flow::Split(target, lanes) => {
                    if let Some(count) = self.count() {
                        count.splits += 1;
                    }
                    let rest = mask & !lanes;
                    let back = target <= pc;
                    let (low, high) =
                        if back { ((target, lanes), (pc + 1, rest)) } else { ((pc + 1, rest), (target, lanes)) };
                    self.warp.put_back(ready(high.0, high.1));
                    (pc, mask) = low;
                    if back && self.spun(&mut turns) {
                        break Ok(self.give_turn(pc, mask));
                    }
                }
                Flow::Exit(lanes) => {
                    if let Some(check) = &mut self.cta.check {
                        check.exit(self.warp.index, lanes);
                    }
                    self.warp.live &= !lanes;
                    self.warp.cluster_arrived &= !lanes;
                    self.cta.live -= lanes.count_ones();
                    self.cta.barrier_moved = true;
                    self.warp.retry(|state| matches!(state, State::Converge { .. }));
                    mask &= !lanes;
                    pc += 1;
                    if mask == 0 {
                        break Ok(None);
                    }
                }
                Flow::Wait(lanes, state) => {
                    self.warp.put_back(Fragment { pc: pc + 1, mask: lanes, state, tired: false });
                    mask &= !lanes;
                    pc += 1;
                    if mask == 0 {
                        break Ok(None);
                    }
                }
                Flow::Again(state) => {
                    self.warp.put_back(Fragment { pc, mask, state, tired: false });
                    // The attempt does not count as progress.
                    left += 1;
                    if self.counting() {
                        self.discount_execution(active);
                    }
                    break Ok(None);
                }
                Flow::Keep(lanes) => {
                    if let Some(count) = self.count() {
                        count.splits += 1;
                    }
                    mask = lanes;
                }
                Flow::Go(target) => pc = target,
                Flow::Gone(lanes) => {
                    if let Some(count) = self.count() {
                        count.splits += 1;
                    }
                    mask &= !lanes;
                    pc += 1;
                    if mask == 0 {
                        break Ok(None);
                    }
                }
                Flow::Yield => {
                    pc += 1;
                    break Ok(self.give_turn(pc, mask));
                }
            }
        };
        *budget = left;
        self.warp.steps += start - left;
        self.tally.warp_instructions += start - left;
        result
    }

    /// Ends the turn of a fragment that gets nowhere without others: another of the warp first, then other warps.
    fn give_turn(&mut self, pc: u32, mask: u32) -> Option<Stop> {
        self.warp.spins = 0;
        let others = self.warp.fragments.iter().any(|f| f.state == State::Ready && !f.tired);
        self.warp.put_back(Fragment { pc, mask, state: State::Ready, tired: true });
        if others { None } else { Some(Stop::Spinning) }
    }

    /// Counts a backward branch; true when the fragment should end its turn.
    #[inline(always)]
    fn spun(&mut self, turns: &mut u32) -> bool {
        if self.warp.polls > 0 {
            self.warp.polls = 0;
            self.warp.spins += 1;
        } else {
            self.warp.spins = 0;
        }
        if self.warp.spins >= SPINS {
            return true;
        }
        // Parts of a diverged warp take turns even when they do not poll.
        if self.warp.fragments.is_empty() {
            return false;
        }
        *turns += 1;
        *turns >= 4096 && self.warp.fragments.iter().any(|f| f.state == State::Ready)
    }

    /// Executes one instruction for the active lanes.
    #[inline(always)]
    fn execute(&mut self, op: &Op, active: u32) -> Result<Flow, Fault> {
        let level = self.launch.level;
        let known = match *op {
            Op::Unary { f: Unary::Mov, ty, d, a, .. } if !matches!(ty, Ty::U64 | Ty::S64 | Ty::B64 | Ty::F64) => {
                let t = self.warp.regs.r32[usize::from(a)];
                self.warp.regs.put32(d, &t.0, active);
                true
            }
            Op::Unary { f, ty, mods, d, a } => alu::unary(level, &mut self.warp.regs, f, ty, mods, d, a, active),
            Op::Binary { f, ty, mods, d, a, b } => {
                alu::frequent(level, &mut self.warp.regs, f, ty, mods, d, a, b, active)
                    || alu::binary(level, &mut self.warp.regs, f, ty, mods, d, a, b, active)
            }
            Op::Ternary { f, ty, mods, d, a, b, c } => {
                alu::ternary(level, &mut self.warp.regs, f, ty, mods, d, [a, b, c], active)
            }
            Op::Setp { cmp, ty, ftz, d, not_d, a, b, combine } => {
                let Some(lanes) = alu::compare(level, &self.warp.regs, cmp, ty, ftz, a, b) else {
                    return Err(self.unknown());
                };
                let (yes, mut no) = match combine {
                    None => (lanes, !lanes),
                    Some((op, p)) => {
                        let other = self.lanes_of(p);
                        (alu::combine(op, lanes, other), alu::combine(op, !lanes, other))
                    }
                };
                // Packed halves: the second predicate is the upper halves' result, not the complement.
                if not_d.is_some() && matches!(ty, Ty::F16x2 | Ty::BF16x2) {
                    no = self.upper_halves(cmp, ty, ftz, [a, b], combine).unwrap_or(no);
                }
                if let Some(d) = d {
                    self.warp.regs.put_pred(d, yes, active);
                }
                if let Some(d) = not_d {
                    self.warp.regs.put_pred(d, no, active);
                }
                true
            }
            Op::Selp { ty, d, a, b, p } => {
                let lanes = self.lanes_of(p);
                alu::selp(level, &mut self.warp.regs, ty, d, a, b, lanes, active);
                true
            }
            Op::Cvt { to, from, mods, d, a } => alu::cvt(level, &mut self.warp.regs, to, from, mods, d, a, active),
            Op::CvtPack { to, mods, d, a, b } => alu::cvt_pack(level, &mut self.warp.regs, to, mods, d, a, b, active),
            Op::Load { space, ty, order, vec, wide_dst, d, addr } => {
                self.load(space, ty, order, vec, wide_dst, d, addr, active)?;
                true
            }
            Op::Store { space, ty, order, vec, wide_src, s, addr } => {
                self.store(space, ty, order, vec, wide_src, s, addr, active)?;
                true
            }
            // The two that make most of a product's time, when the whole warp is there.
            Op::Mma(ref op) if active == u32::MAX && !self.counting() => {
                super::super::tensor::mma(level, &mut self.warp.regs.r32, op).map_err(|p| self.problem(&p, active))?;
                true
            }
            Op::Ldmatrix { trans: false, num, d, addr } if active == u32::MAX && self.load_rows(addr, num, d) => true,
            Op::PredBin { op, d, a, b } => {
                let lanes = alu::combine(op, self.lanes_of(a), self.lanes_of(b));
                self.warp.regs.put_pred(d, lanes, active);
                true
            }
            Op::PredMov { d, a } => {
                let lanes = self.lanes_of(a);
                self.warp.regs.put_pred(d, lanes, active);
                true
            }
            Op::PredConst { d, value } => {
                self.warp.regs.put_pred(d, if value { u32::MAX } else { 0 }, active);
                true
            }
            Op::Branch { target } => {
                return Ok(if active == self.mask { Flow::Jump(target) } else { Flow::Split(target, active) });
            }
            Op::Exit => {
                if self.launch.reports.is_some() {
                    self.note_exit(active);
                }
                return Ok(Flow::Exit(active));
            }
            Op::Nop => true,
            Op::Fence | Op::FenceProxyAsync | Op::FenceMbarrierInit => {
                if self.cta.check.is_some() {
                    self.check_fence(op, active);
                }
                fence(Ordering::SeqCst);
                true
            }
            Op::Yield => return Ok(Flow::Yield),
            Op::Trap => return Err(self.fault(FaultKind::Trap, "the kernel executed trap".into(), active)),
            Op::Unpack64 { .. } | Op::Pack64 { .. } | Op::Unpack32 { .. } | Op::Pack32 { .. } => {
                self.pack(op, active);
                true
            }
            _ => return self.rare(op, active),
        };
        if known { Ok(Flow::Next) } else { Err(self.unknown()) }
    }

    /// Moves between registers and parts of registers.
    #[inline(always)]
    fn pack(&mut self, op: &Op, active: u32) {
        let regs = &mut self.warp.regs;
        match *op {
            Op::Unpack64 { lo, hi, a } => {
                let V64(a) = regs.r64[usize::from(a)];
                if let Some(d) = lo {
                    regs.put32(d, &std::array::from_fn(|i| a[i] as u32), active);
                }
                if let Some(d) = hi {
                    regs.put32(d, &std::array::from_fn(|i| (a[i] >> 32) as u32), active);
                }
            }
            Op::Pack64 { d, lo, hi } => {
                let (V32(lo), V32(hi)) = (&regs.r32[usize::from(lo)], &regs.r32[usize::from(hi)]);
                let t = std::array::from_fn(|i| u64::from(hi[i]) << 32 | u64::from(lo[i]));
                regs.put64(d, &t, active);
            }
            Op::Unpack32 { lo, hi, a } => {
                let V32(a) = regs.r32[usize::from(a)];
                if let Some(d) = lo {
                    regs.put32(d, &a.map(|x| x & 0xFFFF), active);
                }
                if let Some(d) = hi {
                    regs.put32(d, &a.map(|x| x >> 16), active);
                }
            }
            Op::Pack32 { d, lo, hi } => {
                let (V32(lo), V32(hi)) = (&regs.r32[usize::from(lo)], &regs.r32[usize::from(hi)]);
                let t = std::array::from_fn(|i| hi[i] << 16 | lo[i] & 0xFFFF);
                regs.put32(d, &t, active);
            }
            _ => {}
        }
    }
}

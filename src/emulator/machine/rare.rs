//! Instructions that are not in the interpreter's first row: special registers, barriers, address conversions, and
//! the way to warp-wide, atomic, tensor and asynchronous ones.

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{BarRed, BoolOp, Cmp, Op, PredSrc, Reg, Space, Special, Ty};
use super::alu;
use super::interpret::Flow;
use super::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW};
use super::run::Run;
use super::warp::State;

impl Run<'_> {
    /// Executes an instruction that [`Run::execute`] has no arm for.
    #[inline(never)]
    pub(super) fn rare(&mut self, op: &Op, active: u32) -> Result<Flow, Fault> {
        match *op {
            Op::Bfi { ty, d, a, b, pos, len } => {
                alu::bfi(self.launch.level, &mut self.warp.regs, ty, d, [a, b, pos, len], active)
            }
            Op::AddCarry { ty, sub, d, a, b, carry_in, carry_out } => {
                alu::add_carry(&mut self.warp.regs, ty, sub, d, a, b, [carry_in, carry_out], active);
            }
            Op::PrmtMode { mode, d, a, b, c } => alu::prmt_mode(&mut self.warp.regs, mode, d, [a, b, c], active),
            Op::Set { cmp, dty, ty, ftz, d, a, b, combine } => {
                let level = self.launch.level;
                let Some(mut lanes) = alu::compare(level, &self.warp.regs, cmp, ty, ftz, a, b) else {
                    return Err(self.unknown());
                };
                let upper = self.upper_halves(cmp, ty, ftz, [a, b], combine).unwrap_or(0);
                if let Some((op, p)) = combine {
                    lanes = alu::combine(op, lanes, self.lanes_of(p));
                }
                if !alu::set(&mut self.warp.regs, dty, ty, d, lanes, upper, active) {
                    return Err(self.unknown());
                }
            }
            Op::Slct { ty, cty, ftz, d, a, b, c } => {
                let lanes = alu::slct_lanes(&self.warp.regs, cty, ftz, c);
                alu::selp(self.launch.level, &mut self.warp.regs, ty, d, a, b, lanes, active);
            }
            Op::Special { d, wide, s } => self.special(d, wide, s, active),
            Op::Cvta { space, to_space, wide, d, a } => self.cvta(space, to_space, wide, d, a, active)?,
            Op::IsSpace { space, d, a } => {
                let at = &self.warp.regs.r64[usize::from(a)].0;
                let memory = &self.launch.memory;
                let bank = memory.index_of(self.launch.const_base).map(|i| &memory.allocations[i]);
                let window = |x: u64| match x {
                    x if bank.is_some_and(|bank| bank.offset(x, 1).is_some()) => Space::Const,
                    x if x.wrapping_sub(SHARED_WINDOW) < WINDOW => Space::Shared,
                    x if x.wrapping_sub(LOCAL_WINDOW) < WINDOW => Space::Local,
                    x if x.wrapping_sub(PARAM_WINDOW) < WINDOW => Space::Param,
                    _ => Space::Global,
                };
                let lanes = (0..32).fold(0, |m, i| m | u32::from(window(at[i]) == space) << i);
                self.warp.regs.put_pred(d, lanes, active);
            }
            Op::Atom { op, space, ty, order, d, addr, b, c } => {
                let at = self.cta.check.is_some().then(|| self.lanes(addr, active).at);
                if let Some(at) = &at {
                    self.check_release(space, at, order, active);
                }
                self.atomic(op, space, ty, d, addr, b, c, active)?;
                if let Some(at) = &at {
                    self.check_acquire(space, at, order, active);
                }
            }
            Op::Prefetch { .. } | Op::PrefetchTensorMap { .. } => {}
            Op::Aligned { addr, bytes, .. } => {
                let lanes = self.lanes(addr, active);
                let off = |i: &usize| active >> i & 1 == 1 && !lanes.at[*i].is_multiple_of(u64::from(bytes.max(1)));
                if let Some(lane) = (0..32).find(off) {
                    let at = lanes.at[lane];
                    let text = format!("misaligned atomic of {bytes} bytes at {at:#x}");
                    return Err(self.fault(FaultKind::Misaligned, text, 1 << lane).at_address(at));
                }
            }
            Op::Call(ref call) => return self.call(call, active),
            Op::Return { function } => return self.leave(function, active),
            Op::BranchIndexed { index, ref targets } => return self.branch_indexed(index, targets, active),
            Op::Bar { arrive, aligned, id, count } => return self.barrier(arrive, aligned, id, count, active),
            Op::BarRed { op, aligned, id, count, d32, dp, p } => {
                let (id, count) = match self.barrier_operands(id, count, aligned, active)? {
                    Ok(operands) => operands,
                    Err(wait) => return Ok(wait),
                };
                self.arrive(id, count, active, Some(op))?;
                let lanes = self.lanes_of(p);
                self.cta.barriers[usize::from(id)].reduce(active, lanes);
                return Ok(Flow::Wait(active, State::Barrier { id, red: Some((op, d32, dp)) }));
            }
            Op::ClusterBar { arrive, aligned } => {
                if aligned && let Some(wait) = self.together(active)? {
                    return Ok(wait);
                }
                self.check_cluster(arrive, active);
                // A cluster of one block: an arrival lasts until all live threads have arrived.
                if arrive {
                    self.warp.cluster_arrived |= active;
                    self.cta.barrier_moved = true;
                } else if self.warp.cluster_arrived & active != 0 {
                    return Ok(Flow::Wait(active, State::Cluster));
                }
            }
            Op::WholeWarp => {
                if let Some(wait) = self.together(active)? {
                    return Ok(wait);
                }
            }
            Op::WarpSync { .. }
            | Op::Shfl { .. }
            | Op::Vote { .. }
            | Op::Match { .. }
            | Op::Redux { .. }
            | Op::ActiveMask { .. }
            | Op::ElectSync { .. }
            | Op::Movmatrix { .. } => return self.collective(op, active),
            _ => return self.tensor(op, active),
        }
        Ok(Flow::Next)
    }

    /// Lanes where a comparison of the upper halves of packed registers holds; None for other types.
    #[cold]
    pub(super) fn upper_halves(
        &self,
        cmp: Cmp,
        ty: Ty,
        ftz: bool,
        [a, b]: [Reg; 2],
        combine: Option<(BoolOp, PredSrc)>,
    ) -> Option<u32> {
        let upper = alu::compare_upper(&self.warp.regs, cmp, ty, ftz, a, b)?;
        Some(combine.map_or(upper, |(op, p)| alu::combine(op, upper, self.lanes_of(p))))
    }

    fn branch_indexed(&mut self, index: Reg, targets: &[u32], active: u32) -> Result<Flow, Fault> {
        let lane = active.trailing_zeros() as usize & 31;
        let values = self.warp.regs.r32[usize::from(index)].0;
        let same = (0..32).filter(|i| active >> i & 1 == 1 && values[*i] == values[lane]).fold(0u32, |m, i| m | 1 << i);
        let Some(target) = targets.get(values[lane] as usize) else {
            let text = format!("branch index {} is outside the table of {} targets", values[lane], targets.len());
            return Err(self.fault(FaultKind::OutOfBounds, text, same));
        };
        if same == self.mask {
            return Ok(Flow::Jump(*target));
        }
        // Lanes of one target leave; the others come back to this instruction, or go on if their guard is false.
        let (away, again) = (same, active & !same);
        if again == 0 {
            return Ok(Flow::Split(*target, away));
        }
        self.warp.put_back(super::warp::Fragment { pc: *target, mask: away, state: State::Ready, tired: false });
        self.mask &= !away;
        Ok(Flow::Keep(self.mask))
    }

    /// Id and thread count of a barrier, once the warp stands together (`Err` is how to wait for that).
    fn barrier_operands(
        &mut self,
        id: Reg,
        count: Option<Reg>,
        aligned: bool,
        active: u32,
    ) -> Result<Result<(u8, u32), Flow>, Fault> {
        let missing = self.warp.live & !active;
        if aligned && missing != 0 {
            if self.mask != active {
                let text = format!(
                    "aligned barrier, but the guard leaves out {}",
                    super::super::fault::lanes_text(self.mask & !active)
                );
                return Err(self.fault(FaultKind::Divergence, text, active));
            }
            return Ok(Err(Flow::Again(State::Converge { missing })));
        }
        let id = self.uniform32(id, active, "barrier number")?;
        if id > 15 {
            return Err(self.fault(FaultKind::Barrier, format!("barrier {id}: there are barriers 0 to 15"), active));
        }
        let threads = match count {
            None => 0,
            Some(count) => {
                let count = self.uniform32(count, active, "thread count of the barrier")?;
                if count == 0 || count % 32 != 0 || count > self.launch.threads().next_multiple_of(32) {
                    let text = format!(
                        "barrier {id}: thread count {count} is not a multiple of 32 within the block's {}",
                        self.launch.threads()
                    );
                    return Err(self.fault(FaultKind::Barrier, text, active));
                }
                count
            }
        };
        Ok(Ok((id as u8, threads)))
    }

    fn arrive(&mut self, id: u8, count: u32, active: u32, red: Option<BarRed>) -> Result<(), Fault> {
        // With a thread count whole warps are counted, also those that have fewer threads.
        let together = active == self.warp.live;
        let threads = if count != 0 && together { 32 } else { active.count_ones() };
        self.cta.barrier_moved = true;
        if let Some(check) = &mut self.cta.check {
            check.arrive(id, self.warp.index, active);
        }
        let arrived = self.cta.barriers[usize::from(id)].arrive(threads, count, red);
        arrived.map_err(|text| self.fault(FaultKind::Barrier, format!("barrier {id}: {text}"), active))
    }

    fn barrier(
        &mut self,
        arrive: bool,
        aligned: bool,
        id: Reg,
        count: Option<Reg>,
        active: u32,
    ) -> Result<Flow, Fault> {
        let (id, count) = match self.barrier_operands(id, count, aligned, active)? {
            Ok(operands) => operands,
            Err(wait) => return Ok(wait),
        };
        self.arrive(id, count, active, None)?;
        Ok(if arrive { Flow::Next } else { Flow::Wait(active, State::Barrier { id, red: None }) })
    }

    fn cvta(&mut self, space: Space, to_space: bool, wide: bool, d: Reg, a: Reg, active: u32) -> Result<(), Fault> {
        let window = match space {
            Space::Global => 0,
            Space::Const => self.launch.const_base,
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            Space::Param => PARAM_WINDOW,
            Space::Generic => return Err(self.unknown()),
        };
        if !wide {
            return Err(self.unknown());
        }
        let a = &self.warp.regs.r64[usize::from(a)].0;
        let t = a.map(|x| if to_space { x.wrapping_sub(window) } else { x.wrapping_add(window) });
        self.warp.regs.put64(d, &t, active);
        Ok(())
    }

    fn special(&mut self, d: Reg, wide: bool, s: Special, active: u32) {
        let launch = self.launch;
        if matches!(s, Special::Clock | Special::Clock64 | Special::Globaltimer | Special::GlobaltimerLo) {
            self.warp.outside = true;
        }
        let [bx, by, _] = launch.block.map(|n| n.max(1));
        let thread = |i: usize| self.warp.index * 32 + i as u32;
        let axis = |values: [u32; 3], k: u8| values[usize::from(k).min(2)];
        let block = {
            let [x, y, z] = self.cta.index.map(u64::from);
            x + u64::from(launch.grid[0]) * (y + u64::from(launch.grid[1]) * z)
        };
        let multiprocessors = launch.arch.multiprocessors();
        // Time is the number of instructions run when the warp's turn began, and of times that it has asked.
        let time = self.tally.warp_instructions + self.warp.clocks;
        self.warp.clocks += 1;
        let one = |i: usize| -> u64 {
            u64::from(match s {
                Special::Tid(0) => thread(i) % bx,
                Special::Tid(1) => thread(i) / bx % by,
                Special::Tid(_) => thread(i) / bx / by,
                Special::Ntid(k) => axis(launch.block, k),
                // A cluster is one block, so that clusters are numbered as blocks.
                Special::Ctaid(k) | Special::ClusterId(k) => axis(self.cta.index, k),
                Special::Nctaid(k) | Special::NclusterId(k) => axis(launch.grid, k),
                Special::ClusterCtaid(_) | Special::ClusterCtarank => 0,
                Special::ClusterNctaid(_) | Special::ClusterNctarank => 1,
                Special::Laneid => i as u32,
                Special::Warpid => self.warp.index,
                Special::Nwarpid => launch.threads().div_ceil(32),
                Special::Smid => (block % u64::from(multiprocessors)) as u32,
                Special::Nsmid => multiprocessors,
                Special::Gridid => 1,
                Special::LanemaskEq => 1 << i,
                Special::LanemaskLt => (1 << i) - 1,
                Special::LanemaskLe => u32::MAX >> (31 - i),
                Special::LanemaskGt => (u32::MAX - 1) << i,
                Special::LanemaskGe => u32::MAX << i,
                Special::Clock | Special::GlobaltimerLo => time as u32,
                Special::ClockHi => (time >> 32) as u32,
                Special::Zero => 0,
                Special::Clock64 | Special::Globaltimer => return time,
                Special::DynamicSmemSize => launch.dynamic_shared,
                Special::TotalSmemSize => launch.total_shared,
            })
        };
        if wide {
            let t = std::array::from_fn(one);
            self.warp.regs.put64(d, &t, active);
        } else {
            let t = std::array::from_fn(|i| one(i) as u32);
            self.warp.regs.put32(d, &t, active);
        }
    }
}

//! Instructions by which the lanes of a warp see each other (PTX ISA §9.7.9.6, §9.7.13.9 and following).

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{AtomOp, Op, Reg, ShflMode, Ty, VoteMode};
use super::super::report::ReportKind;
use super::super::tensor::transpose;
use super::interpret::Flow;
use super::run::Run;
use super::warp::{Fragment, State};

impl Run<'_> {
    /// Executes one of them.
    pub(super) fn collective(&mut self, op: &Op, active: u32) -> Result<Flow, Fault> {
        let mask = match *op {
            Op::ActiveMask { d } => {
                self.warp.regs.put32(d, &[active; 32], active);
                return Ok(Flow::Next);
            }
            Op::WarpSync { mask } => {
                return self.warp_sync(mask, active);
            }
            Op::Movmatrix { d, a } => {
                if let Some(wait) = self.together(active)? {
                    return Ok(wait);
                }
                self.check_whole(active);
                let transposed = transpose(&self.warp.regs.r32[usize::from(a)]);
                self.warp.regs.put32(d, &transposed.0, active);
                return Ok(Flow::Next);
            }
            Op::Shfl { mask, .. }
            | Op::Vote { mask, .. }
            | Op::Match { mask, .. }
            | Op::Redux { mask, .. }
            | Op::ElectSync { mask, .. } => mask,
            _ => return Err(self.unknown()),
        };
        // Lanes that name the same members act together; all of them must be here.
        let masks = self.warp.regs.r32[usize::from(mask)].0;
        let mut groups = Vec::with_capacity(1);
        let mut rest = active;
        while rest != 0 {
            let members = masks[rest.trailing_zeros() as usize & 31];
            let group = (0..32).filter(|i| rest >> i & 1 == 1 && masks[*i] == members).fold(0u32, |m, i| m | 1 << i);
            if group & !members != 0 {
                return Err(self.not_members(members, group));
            }
            let missing = members & self.warp.live & !group;
            if missing != 0 {
                if missing & self.mask != 0 {
                    let text = format!(
                        "members {members:#010x} are named, but {} take no part",
                        super::super::fault::lanes_text(missing & self.mask)
                    );
                    return Err(self.fault(FaultKind::Divergence, text, group));
                }
                return Ok(Flow::Again(State::Converge { missing }));
            }
            if self.launch.reports.is_some() {
                self.check_members(members, group);
            }
            groups.push(group);
            rest &= !group;
        }
        for group in groups {
            match *op {
                Op::Shfl { mode, d, p, a, b, c, .. } => self.shuffle(mode, d, p, [a, b, c], group),
                Op::Vote { mode, d32, dp, p, .. } => {
                    let votes = self.lanes_of(p) & group;
                    let result = match mode {
                        VoteMode::All => votes == group,
                        VoteMode::Any => votes != 0,
                        VoteMode::Uni => votes == 0 || votes == group,
                        VoteMode::Ballot => false,
                    };
                    if let Some(d) = d32 {
                        self.warp.regs.put32(d, &[votes; 32], group);
                    }
                    if let Some(d) = dp {
                        self.warp.regs.put_pred(d, if result { u32::MAX } else { 0 }, group);
                    }
                }
                Op::Match { all, ty, d, dp, a, .. } => self.matching(all, ty, d, dp, a, group),
                Op::Redux { op, signed, d, a, .. } => self.reduce(op, signed, d, a, group)?,
                Op::ElectSync { d, p, .. } => {
                    let leader = group.trailing_zeros();
                    if let Some(d) = d {
                        self.warp.regs.put32(d, &[leader; 32], group);
                    }
                    self.warp.regs.put_pred(p, 1 << (leader & 31), group);
                }
                _ => return Err(self.unknown()),
            }
        }
        Ok(Flow::Next)
    }

    /// Lanes that have exited are not waited for, but what a shuffle would take of them is undefined, and a vote or a
    /// sum leaves them out: who names them means others than there are.
    #[cold]
    fn check_members(&self, members: u32, group: u32) {
        let gone = members & self.exited();
        if gone != 0 {
            self.report(ReportKind::Barrier, group, || {
                let gone = super::super::fault::lanes_text(gone);
                format!("members {members:#010x} are named, but {gone} have exited")
            });
        }
    }

    /// The same for instructions on matrices, to which every lane holds a part: what they do is undefined if one has
    /// exited.
    pub(super) fn check_whole(&self, active: u32) {
        if self.launch.reports.is_some() && active != u32::MAX && self.exited() != 0 {
            self.report(ReportKind::Barrier, active, || {
                let gone = super::super::fault::lanes_text(self.exited());
                format!("the whole warp is needed, but {gone} have exited")
            });
        }
    }

    /// Lanes that were there and are no more. A warp with fewer threads never had the others.
    fn exited(&self) -> u32 {
        let threads = self.launch.threads().saturating_sub(32 * self.warp.index).min(32);
        !self.warp.live & u32::MAX.checked_shr(32 - threads).unwrap_or(0)
    }

    /// `bar.warp.sync`: lanes that name the same members wait for each other.
    fn warp_sync(&mut self, mask: Reg, active: u32) -> Result<Flow, Fault> {
        let masks = self.warp.regs.r32[usize::from(mask)].0;
        let mut rest = active;
        while rest != 0 {
            let mask = masks[rest.trailing_zeros() as usize & 31];
            let group = (0..32).filter(|i| rest >> i & 1 == 1 && masks[*i] == mask).fold(0u32, |m, i| m | 1 << i);
            if group & !mask != 0 {
                return Err(self.not_members(mask, group));
            }
            if let Some(check) = &mut self.cta.check {
                check.warp_sync(self.warp.index, mask, group);
            }
            if group == active {
                return Ok(Flow::Wait(active, State::WarpSync { mask }));
            }
            let state = State::WarpSync { mask };
            self.warp.put_back(Fragment { pc: self.pc + 1, mask: group, state, tired: false });
            rest &= !group;
        }
        Ok(Flow::Gone(active))
    }

    #[cold]
    fn not_members(&self, members: u32, active: u32) -> Fault {
        let outside = active & !members;
        let text = format!(
            "{} run the instruction but are not among its members {members:#010x}",
            super::super::fault::lanes_text(outside)
        );
        self.fault(FaultKind::Divergence, text, outside)
    }

    fn shuffle(&mut self, mode: ShflMode, d: Reg, p: Option<u16>, [a, b, c]: [Reg; 3], group: u32) {
        let regs = &self.warp.regs;
        let (a, b, c) = (&regs.r32[usize::from(a)].0, &regs.r32[usize::from(b)].0, &regs.r32[usize::from(c)].0);
        let mut t = [0; 32];
        let mut inside = 0u32;
        for i in 0..32u32 {
            let (by, clamp) = ((b[i as usize] & 31) as i32, c[i as usize]);
            let segment = clamp >> 8 & 31;
            let (lane, limit) = (i as i32, clamp & 31);
            let most = ((i & segment) | (limit & !segment)) as i32;
            let least = (i & segment) as i32;
            let (j, valid) = match mode {
                ShflMode::Up => (lane - by, lane - by >= most),
                ShflMode::Down => (lane + by, lane + by <= most),
                ShflMode::Bfly => (lane ^ by, (lane ^ by) <= most),
                ShflMode::Idx => {
                    let j = least | (by & !(segment as i32));
                    (j, j <= most)
                }
            };
            let j = if valid { j } else { lane };
            inside |= u32::from(valid) << i;
            t[i as usize] = a[j as usize & 31];
        }
        self.warp.regs.put32(d, &t, group);
        if let Some(p) = p {
            self.warp.regs.put_pred(p, inside, group);
        }
    }

    fn matching(&mut self, all: bool, ty: Ty, d: Reg, dp: Option<u16>, a: Reg, group: u32) {
        let regs = &self.warp.regs;
        let values: [u64; 32] = if super::access::bytes_of(ty) == 8 {
            regs.r64[usize::from(a)].0
        } else {
            regs.r32[usize::from(a)].0.map(u64::from)
        };
        let same =
            |i: usize| (0..32).filter(|j| group >> j & 1 == 1 && values[*j] == values[i]).fold(0u32, |m, j| m | 1 << j);
        let mut t: [u32; 32] = std::array::from_fn(same);
        if all {
            let first = t[group.trailing_zeros() as usize & 31];
            let equal = first == group;
            t = [if equal { group } else { 0 }; 32];
            if let Some(p) = dp {
                self.warp.regs.put_pred(p, if equal { u32::MAX } else { 0 }, group);
            }
        }
        self.warp.regs.put32(d, &t, group);
    }

    fn reduce(&mut self, op: AtomOp, signed: bool, d: Reg, a: Reg, group: u32) -> Result<(), Fault> {
        let values = self.warp.regs.r32[usize::from(a)].0;
        let members = (0..32).filter(|i| group >> i & 1 == 1).map(|i| values[i]);
        let result = match (op, signed) {
            (AtomOp::Add, _) => members.fold(0, u32::wrapping_add),
            (AtomOp::And, _) => members.fold(u32::MAX, |x, y| x & y),
            (AtomOp::Or, _) => members.fold(0, |x, y| x | y),
            (AtomOp::Xor, _) => members.fold(0, |x, y| x ^ y),
            (AtomOp::Min, false) => members.fold(u32::MAX, u32::min),
            (AtomOp::Max, false) => members.fold(0, u32::max),
            (AtomOp::Min, true) => members.fold(i32::MAX, |x, y| x.min(y as i32)) as u32,
            (AtomOp::Max, true) => members.fold(i32::MIN, |x, y| x.max(y as i32)) as u32,
            _ => return Err(self.unknown()),
        };
        self.warp.regs.put32(d, &[result; 32], group);
        Ok(())
    }
}

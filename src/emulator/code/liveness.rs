//! Where registers are live: the control-flow graph and an interval of instructions for each register.
//!
//! The interval of a register is the hull of all points, in the order of the text, at which some path
//! may still read what it holds. Two registers with disjoint intervals can share a slot.
//!
//! That holds for diverged warps too, although their lanes stand at different instructions: a lane's
//! own path is a path of this graph, an instruction writes only the lanes that execute it, and a lane
//! that executes something reads only its own lane of a register. The exceptions (`shfl`, `vote`, `mma`,
//! …) read other lanes that execute the same instruction at the same time, where the register is live
//! for all of them. So every lane by itself sees the sharing as a scalar program would.

use super::super::ir::{Inst, Op};
use super::visit::{Role, visit_registers};

/// First and last instruction of a register's life.
pub(super) type Interval = (u32, u32);

/// A register operand: register number over all files, and its role.
type Reference = (u32, Role);

/// The straight pieces of the code.
struct Block {
    start: usize,
    end: usize,
    next: Vec<usize>,
}

/// Number of registers in the files before.
fn bases(counts: [usize; 3]) -> [usize; 3] {
    [0, counts[0], counts[0] + counts[1]]
}

fn blocks(insts: &[Inst]) -> Vec<Block> {
    let mut leader = vec![false; insts.len() + 1];
    leader[0] = true;
    let mut mark = |target: u32| leader[(target as usize).min(insts.len())] = true;
    for (at, inst) in insts.iter().enumerate() {
        match &inst.op {
            Op::Branch { target } => mark(*target),
            Op::BranchIndexed { targets, .. } => targets.iter().copied().for_each(&mut mark),
            Op::Exit | Op::Trap | Op::Return { .. } => {}
            _ => continue,
        }
        mark(at as u32 + 1);
    }
    let starts: Vec<usize> = (0..insts.len()).filter(|&at| leader[at]).collect();
    let block_of = |at: usize| starts.partition_point(|&start| start <= at) - 1;
    let mut blocks = Vec::with_capacity(starts.len());
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(insts.len());
        let last = &insts[end - 1];
        let (mut next, falls) = match &last.op {
            Op::Branch { target } => (vec![*target], last.guard.is_some()),
            Op::BranchIndexed { targets, .. } => (targets.to_vec(), last.guard.is_some()),
            Op::Exit | Op::Trap | Op::Return { .. } => (Vec::new(), last.guard.is_some()),
            _ => (Vec::new(), true),
        };
        if falls {
            next.push(end as u32);
        }
        let mut next: Vec<_> =
            next.into_iter().filter(|&at| (at as usize) < insts.len()).map(|at| block_of(at as usize)).collect();
        next.sort_unstable();
        next.dedup();
        blocks.push(Block { start, end, next });
    }
    blocks
}

/// Register operands of every instruction, and where each instruction's begin.
fn references(insts: &mut [Inst], counts: [usize; 3]) -> (Vec<Reference>, Vec<usize>) {
    let base = bases(counts);
    let (mut all, mut starts) = (Vec::new(), Vec::with_capacity(insts.len() + 1));
    for inst in insts {
        starts.push(all.len());
        let guarded = inst.guard.is_some();
        visit_registers(inst, &mut |file, role, reg| {
            // Lanes whose guard is false keep the old value.
            let role = if guarded && role == Role::Def { Role::UseDef } else { role };
            all.push(((base[file as usize] + usize::from(*reg)) as u32, role));
        });
    }
    starts.push(all.len());
    (all, starts)
}

/// Blocks that can be reached from the marked ones, themselves included.
fn reach(mut marked: Vec<bool>, next: impl Fn(usize) -> Vec<usize>) -> Vec<bool> {
    let mut open: Vec<usize> = (0..marked.len()).filter(|&block| marked[block]).collect();
    while let Some(block) = open.pop() {
        for to in next(block) {
            if !std::mem::replace(&mut marked[to], true) {
                open.push(to);
            }
        }
    }
    marked
}

/// The hull of all points at which a wgmma may be on its way: behind a wgmma and before a wait.
fn in_flight(insts: &[Inst], blocks: &[Block], before: &[Vec<usize>]) -> Option<Interval> {
    let is_wgmma = |at: &usize| matches!(insts[*at].op, Op::Wgmma(_));
    let is_wait = |at: &usize| matches!(insts[*at].op, Op::WgmmaWait { .. });
    let holds =
        |is: &dyn Fn(&usize) -> bool| blocks.iter().map(|block| (block.start..block.end).any(|at| is(&at))).collect();
    let behind = reach(holds(&is_wgmma), |block| blocks[block].next.clone());
    let ahead = reach(holds(&is_wait), |block| before[block].clone());
    let mut hull: Option<Interval> = None;
    for (number, block) in blocks.iter().enumerate() {
        if !(behind[number] && ahead[number]) {
            continue;
        }
        let entered = before[number].iter().any(|&from| behind[from]);
        let left = block.next.iter().any(|&to| ahead[to]);
        let first = if entered { Some(block.start) } else { (block.start..block.end).find(is_wgmma) };
        let last = if left { Some(block.end - 1) } else { (block.start..block.end).rfind(is_wait) };
        if let (Some(first), Some(last)) = (first, last)
            && first <= last
        {
            let (start, end) = hull.unwrap_or((first as u32, last as u32));
            hull = Some((start.min(first as u32), end.max(last as u32)));
        }
    }
    hull
}

/// Most steps that the search below may take; beyond, registers that cross blocks count as live everywhere.
const MAX_STEPS: u64 = 1 << 30;

/// The intervals of all registers, by file and number; `None` for one that is never mentioned.
pub(super) fn intervals(insts: &mut [Inst], counts: [usize; 3]) -> [Vec<Option<Interval>>; 3] {
    intervals_within(insts, counts, MAX_STEPS)
}

fn intervals_within(insts: &mut [Inst], counts: [usize; 3], max_steps: u64) -> [Vec<Option<Interval>>; 3] {
    let total: usize = counts.iter().sum();
    let mut intervals: Vec<Option<Interval>> = vec![None; total];
    let mut extend = |reg: usize, at: usize| {
        let at = at as u32;
        intervals[reg] = Some(intervals[reg].map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    };
    let (references, starts) = references(insts, counts);
    let blocks = blocks(insts);
    let mut before = vec![Vec::new(); blocks.len()];
    for (number, block) in blocks.iter().enumerate() {
        block.next.iter().for_each(|&next| before[next].push(number));
    }

    // What happens inside each block, and which registers it reads before it writes them all lanes wide:
    // only those can be live where it begins.
    const NOWHERE: usize = usize::MAX;
    let (mut written, mut exposed) = (vec![NOWHERE; total], vec![NOWHERE; total]);
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for (number, block) in blocks.iter().enumerate() {
        for at in block.start..block.end {
            let here = &references[starts[at]..starts[at + 1]];
            for &(reg, role) in here {
                let index = reg as usize;
                extend(index, at);
                if role != Role::Def && written[index] != number && exposed[index] != number {
                    exposed[index] = number;
                    reads.push((reg, number));
                }
            }
            for &(reg, role) in here {
                if role == Role::Def && written[reg as usize] != number {
                    written[reg as usize] = number;
                    writes.push((reg, number));
                }
            }
        }
    }

    // From every such read backwards until a write.
    reads.sort_unstable();
    writes.sort_unstable();
    let edges: usize = before.iter().map(Vec::len).sum();
    let crossing = reads.chunk_by(|a, b| a.0 == b.0).count();
    let affordable = (crossing as u64).saturating_mul((edges + blocks.len()) as u64) <= max_steps;
    let (mut live_in, mut kills) = (vec![NOWHERE; blocks.len()], vec![NOWHERE; blocks.len()]);
    let mut open = Vec::new();
    for group in reads.chunk_by(|a, b| a.0 == b.0) {
        let reg = group[0].0 as usize;
        if !affordable {
            extend(reg, 0);
            extend(reg, insts.len() - 1);
            continue;
        }
        let first = writes.partition_point(|&(other, _)| (other as usize) < reg);
        for &(_, block) in writes[first..].iter().take_while(|write| write.0 as usize == reg) {
            kills[block] = reg;
        }
        for &(_, block) in group {
            live_in[block] = reg;
            open.push(block);
        }
        while let Some(block) = open.pop() {
            extend(reg, blocks[block].start);
            for &from in &before[block] {
                extend(reg, blocks[from].end - 1);
                if kills[from] != reg && live_in[from] != reg {
                    live_in[from] = reg;
                    open.push(from);
                }
            }
        }
    }

    // wgmma writes its accumulators when a later wait lets it, even those that nobody reads again. Until
    // then nothing else may use their slots, wherever in the text the warp passes meanwhile.
    if let Some((first, last)) = in_flight(insts, &blocks, &before) {
        for inst in insts.iter() {
            if let Op::Wgmma(wgmma) = &inst.op {
                for &reg in &wgmma.d {
                    extend(usize::from(reg), first as usize);
                    extend(usize::from(reg), last as usize);
                }
            }
        }
    }

    let rest = intervals.split_off(counts[0]);
    let mut rest = rest.into_iter();
    let wide = rest.by_ref().take(counts[1]).collect();
    [intervals, wide, rest.collect()]
}

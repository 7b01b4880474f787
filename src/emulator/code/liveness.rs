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

use super::super::ir::{File, Inst, Op, Reg};
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
            Op::Exit | Op::Trap => {}
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
            Op::Exit | Op::Trap => (Vec::new(), last.guard.is_some()),
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
    let index = |file: File, reg: Reg| (base[file as usize] + usize::from(reg)) as u32;
    // wgmma writes its accumulators when a later wait lets it. Every wait therefore counts as reading
    // and writing the accumulators of every wgmma: nothing else may use their slots before.
    let mut accumulators = Vec::new();
    for inst in insts.iter() {
        if let Op::Wgmma(wgmma) = &inst.op {
            accumulators.extend(wgmma.d.iter().map(|&reg| index(File::R32, reg)));
        }
    }
    accumulators.sort_unstable();
    accumulators.dedup();
    let (mut all, mut starts) = (Vec::new(), Vec::with_capacity(insts.len() + 1));
    for inst in insts {
        starts.push(all.len());
        let guarded = inst.guard.is_some();
        visit_registers(inst, &mut |file, role, reg| {
            // Lanes whose guard is false keep the old value.
            let role = if guarded && role == Role::Def { Role::UseDef } else { role };
            all.push((index(file, *reg), role));
        });
        if matches!(inst.op, Op::WgmmaWait { .. }) {
            all.extend(accumulators.iter().map(|&reg| (reg, Role::UseDef)));
        }
    }
    starts.push(all.len());
    (all, starts)
}

/// A set of small numbers.
#[derive(Clone, PartialEq)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn ones(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, &bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit))
    }
}

/// The intervals of all registers, by file and number; `None` for one that is never mentioned.
pub(super) fn intervals(insts: &mut [Inst], counts: [usize; 3]) -> [Vec<Option<Interval>>; 3] {
    let total: usize = counts.iter().sum();
    let mut intervals: Vec<Option<Interval>> = vec![None; total];
    let mut extend = |reg: usize, at: usize| {
        let at = at as u32;
        intervals[reg] = Some(intervals[reg].map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    };
    let (references, starts) = references(insts, counts);
    let blocks = blocks(insts);
    for at in 0..insts.len() {
        for &(reg, _) in &references[starts[at]..starts[at + 1]] {
            extend(reg as usize, at);
        }
    }

    // Only registers that some block reads before it writes them can be live across an edge; the others
    // are settled, and the sets stay small.
    const NONE: u32 = u32::MAX;
    let mut number = vec![NONE; total];
    let mut exposed = Vec::new();
    let mut written = vec![usize::MAX; total];
    for (block_at, block) in blocks.iter().enumerate() {
        for at in block.start..block.end {
            let here = &references[starts[at]..starts[at + 1]];
            for &(reg, role) in here {
                if role != Role::Def && written[reg as usize] != block_at && number[reg as usize] == NONE {
                    number[reg as usize] = exposed.len() as u32;
                    exposed.push(reg as usize);
                }
            }
            for &(reg, role) in here {
                if role == Role::Def {
                    written[reg as usize] = block_at;
                }
            }
        }
    }
    let empty = Bits::new(exposed.len());
    let (mut uses, mut defs) = (vec![empty.clone(); blocks.len()], vec![empty.clone(); blocks.len()]);
    for (block_at, block) in blocks.iter().enumerate() {
        for at in block.start..block.end {
            let here = &references[starts[at]..starts[at + 1]];
            for &(reg, role) in here {
                let id = number[reg as usize];
                if id != NONE && role != Role::Def && !defs[block_at].has(id as usize) {
                    uses[block_at].set(id as usize);
                }
            }
            for &(reg, role) in here {
                let id = number[reg as usize];
                if id != NONE && role == Role::Def {
                    defs[block_at].set(id as usize);
                }
            }
        }
    }
    let mut live_in = uses;
    let mut live_out = vec![empty; blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (at, block) in blocks.iter().enumerate().rev() {
            for &next in &block.next {
                for (out, &word) in live_out[at].0.iter_mut().zip(&live_in[next].0) {
                    *out |= word;
                }
            }
            for ((word, &out), &defs) in live_in[at].0.iter_mut().zip(&live_out[at].0).zip(&defs[at].0) {
                let new = *word | (out & !defs);
                changed |= new != *word;
                *word = new;
            }
        }
    }
    for (at, block) in blocks.iter().enumerate() {
        live_in[at].ones().for_each(|id| extend(exposed[id], block.start));
        live_out[at].ones().for_each(|id| extend(exposed[id], block.end - 1));
    }

    let rest = intervals.split_off(counts[0]);
    let mut rest = rest.into_iter();
    let wide = rest.by_ref().take(counts[1]).collect();
    [intervals, wide, rest.collect()]
}

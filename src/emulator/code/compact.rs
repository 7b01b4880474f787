//! Few slots for many registers: linear scan over the live intervals.

use super::super::ir::{File, Inst, Reg};
use super::liveness::{Interval, intervals};
use super::visit::visit_registers;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots of every register, by file and number, and how many slots each file needs.
pub(super) struct Slots {
    /// The slot of a register that is mentioned.
    pub of: [Vec<Option<Reg>>; 3],
    /// Slots in use.
    pub counts: [usize; 3],
    /// Those of them, the first ones, that hold no constants.
    pub own: [usize; 3],
}

/// Gives registers with disjoint lives the same slot. An instruction's destinations never share with its
/// own sources, so that no instruction sees a source change under it unless the program says so.
fn scan(intervals: &[Option<Interval>], is_const: &[bool]) -> (Vec<Option<Reg>>, usize, usize) {
    let mut slots = vec![None; intervals.len()];
    let mut order: Vec<(Interval, usize)> = intervals
        .iter()
        .enumerate()
        .filter(|(reg, _)| !is_const[*reg])
        .filter_map(|(reg, interval)| Some(((*interval)?, reg)))
        .collect();
    order.sort_unstable();
    let mut live: BinaryHeap<Reverse<(u32, Reg)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<Reg>> = BinaryHeap::new();
    let mut count = 0;
    for ((start, end), reg) in order {
        while let Some(&Reverse((last, slot))) = live.peek()
            && last < start
        {
            live.pop();
            free.push(Reverse(slot));
        }
        let slot = match free.pop() {
            Some(Reverse(slot)) => slot,
            None => {
                count += 1;
                (count - 1) as Reg
            }
        };
        live.push(Reverse((end, slot)));
        slots[reg] = Some(slot);
    }
    let own = count;
    // Constants are filled once and live for ever.
    for (reg, interval) in intervals.iter().enumerate() {
        if is_const[reg] && interval.is_some() {
            slots[reg] = Some(count as Reg);
            count += 1;
        }
    }
    (slots, count, own)
}

/// Renumbers the registers of all instructions. `is_const` tells which registers are constants.
pub(super) fn compact(insts: &mut [Inst], is_const: [&[bool]; 3]) -> Slots {
    let intervals = intervals(insts, is_const.map(<[bool]>::len));
    let scanned: [_; 3] = std::array::from_fn(|file| scan(&intervals[file], is_const[file]));
    let counts = [scanned[0].1, scanned[1].1, scanned[2].1];
    let own = [scanned[0].2, scanned[1].2, scanned[2].2];
    let of = scanned.map(|(slots, ..)| slots);
    for inst in insts {
        visit_registers(inst, &mut |file: File, _, reg| {
            if let Some(slot) = of[file as usize].get(usize::from(*reg)).copied().flatten() {
                *reg = slot;
            }
        });
    }
    Slots { of, counts, own }
}

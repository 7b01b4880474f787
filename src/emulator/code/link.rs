//! Decoded pieces put together: branch targets, slots and constants of the entry and of the functions it calls.

use super::super::ir::{Code, File, Frame, Op, Reg, Routine};
use super::compact::compact;
use super::decode::Entry;
use super::visit::visit_registers;

/// Appends a function, or at last the entry, to the code. Its registers get slots behind those of the ones before.
pub(super) fn append(code: &mut Code, name: &str, entry: Entry<'_>, targets: &[u32]) -> Result<(), String> {
    let mut insts = entry.insts;
    let start = u32::try_from(code.insts.len()).map_err(|_| "too many instructions")?;
    let target_of =
        |label: u32| targets.get(label as usize).copied().ok_or_else(|| "a label without a place".to_string());
    for inst in &mut insts {
        match &mut inst.op {
            Op::Branch { target } => *target = target_of(*target)?,
            Op::BranchIndexed { targets, .. } => {
                for target in targets {
                    *target = target_of(*target)?;
                }
            }
            _ => {}
        }
    }
    let counts = entry.names.counts();
    let mut is_const: [Vec<bool>; 3] = counts.map(|count| vec![false; count]);
    let mut mark = |file: File, reg: Reg| is_const[file as usize][usize::from(reg)] = true;
    entry.const32.values().for_each(|&reg| mark(File::R32, reg));
    entry.const64.values().for_each(|&reg| mark(File::R64, reg));
    entry.addresses.values().for_each(|&reg| mark(File::R64, reg));
    // Where a frame starts is set by calls and returns alone.
    let pointer = entry.unit.as_ref().and_then(|unit| unit.pointer);
    pointer.iter().for_each(|&reg| mark(File::R64, reg));
    let slots = compact(&mut insts, [&is_const[0], &is_const[1], &is_const[2]]);

    let before = [code.num_r32, code.num_r64, code.num_pred];
    for (base, count) in before.iter().zip(slots.counts) {
        if base + count > usize::from(Reg::MAX) + 1 {
            return Err("the entry and the functions it calls use more than 65536 registers of one kind".into());
        }
    }
    let bases = before.map(|base| base as Reg);
    for inst in &mut insts {
        // The first piece is where it belongs.
        if start > 0 {
            visit_registers(inst, &mut |file: File, _, reg| *reg += bases[file as usize]);
        }
        match &mut inst.op {
            Op::Branch { target } => *target += start,
            Op::BranchIndexed { targets, .. } => targets.iter_mut().for_each(|target| *target += start),
            _ => {}
        }
    }
    let slot = |file: File, reg: Reg| Some(slots.of[file as usize][usize::from(reg)]? + bases[file as usize]);
    code.const32.extend(entry.const32.iter().filter_map(|(&value, &reg)| Some((slot(File::R32, reg)?, value))));
    code.const64.extend(entry.const64.iter().filter_map(|(&value, &reg)| Some((slot(File::R64, reg)?, value))));
    let addresses = entry.addresses.iter();
    code.addresses
        .extend(addresses.filter_map(|(&(variable, addend), &reg)| Some((slot(File::R64, reg)?, variable, addend))));
    if let Some(unit) = entry.unit {
        let own = |file: usize| (bases[file], slots.own[file] as Reg);
        let frame = unit.recursive.then(|| Frame {
            bytes: unit.frame_bytes,
            align: unit.frame_align,
            pointer: pointer.and_then(|reg| slot(File::R64, reg)),
            saved: [own(0), own(1), own(2)],
        });
        let (params, returns) = (unit.params, unit.returns);
        code.functions.push(Routine { name: name.to_string(), address: unit.address, start, params, returns, frame });
    } else {
        code.start = start;
    }
    code.num_r32 += slots.counts[0];
    code.num_r64 += slots.counts[1];
    code.num_pred += slots.counts[2];
    code.insts.append(&mut insts);
    Ok(())
}

/// Puts what came in the order of hash tables into a fixed one.
pub(super) fn finish(code: &mut Code) {
    code.const32.sort_unstable();
    code.const64.sort_unstable();
    code.addresses.sort_unstable();
}

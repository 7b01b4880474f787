//! The state of decoding: of an entry, and of the instruction at hand.

use super::super::super::ir::{File, Inst, Op, Pred, PredSrc, Reg};
use super::super::super::ptx::ast::{Instruction, Operand};
use super::super::scope::Names;
use super::super::words::Words;
use std::collections::HashMap;

/// What the decoder gathers for an entry.
pub struct Entry<'a> {
    /// Names in scope.
    pub names: Names<'a>,
    /// Offset of dynamic shared memory.
    pub dynamic_shared: u32,
    /// Instructions so far; branch targets are label numbers until the end.
    pub insts: Vec<Inst>,
    /// Constants by value.
    pub const32: HashMap<u32, Reg>,
    /// Constants by value.
    pub const64: HashMap<u64, Reg>,
    /// Slots for addresses of module variables: (variable, addend).
    pub addresses: HashMap<(u32, i64), Reg>,
    /// Targets of all indexed branches so far.
    pub indexed: usize,
    /// The carry flag, once an instruction has used it.
    carry: Option<Pred>,
}

impl<'a> Entry<'a> {
    /// Nothing yet.
    pub fn new(names: Names<'a>) -> Entry<'a> {
        Entry {
            names,
            dynamic_shared: 0,
            insts: Vec::new(),
            const32: HashMap::new(),
            const64: HashMap::new(),
            addresses: HashMap::new(),
            indexed: 0,
            carry: None,
        }
    }
}

/// One instruction being decoded.
pub struct Context<'e, 'i, 'a> {
    /// The entry it belongs to.
    pub entry: &'e mut Entry<'a>,
    /// The instruction.
    pub inst: &'i Instruction<'a>,
    /// Its modifiers that nobody has read yet.
    pub words: Words<'a>,
    /// Its guard.
    pub guard: Option<PredSrc>,
    /// Its index among the entry's positions.
    pub at: u32,
}

impl<'i, 'a> Context<'_, 'i, 'a> {
    /// The operands, of which there must be between `least` and `most`.
    pub fn between(&self, least: usize, most: usize) -> Result<&'i [Operand<'a>], String> {
        let operands = &self.inst.operands;
        if (least..=most).contains(&operands.len()) {
            return Ok(operands);
        }
        let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(format!("{} operands, {wanted} expected", operands.len()))
    }

    /// The operands, exactly `N`.
    pub fn args<const N: usize>(&self) -> Result<&'i [Operand<'a>; N], String> {
        let operands = self.between(N, N)?;
        operands.try_into().map_err(|_| format!("{N} operands expected"))
    }

    /// Adds an operation under the instruction's guard.
    pub fn emit(&mut self, op: Op) {
        self.entry.insts.push(Inst { op, guard: self.guard, at: self.at });
    }

    /// Adds an operation that only writes a register of [`Self::temp`] and cannot fault. It needs no
    /// guard, and without one the register is not live before it.
    pub fn prepare(&mut self, op: Op) {
        self.entry.insts.push(Inst { op, guard: None, at: self.at });
    }

    /// A new register.
    pub fn temp(&mut self, file: File) -> Result<Reg, String> {
        self.entry.names.fresh(file)
    }

    /// The slot of a 32-bit constant.
    pub fn const32(&mut self, value: u32) -> Result<Reg, String> {
        if let Some(&reg) = self.entry.const32.get(&value) {
            return Ok(reg);
        }
        let reg = self.temp(File::R32)?;
        self.entry.const32.insert(value, reg);
        Ok(reg)
    }

    /// The slot of a 64-bit constant.
    pub fn const64(&mut self, value: u64) -> Result<Reg, String> {
        if let Some(&reg) = self.entry.const64.get(&value) {
            return Ok(reg);
        }
        let reg = self.temp(File::R64)?;
        self.entry.const64.insert(value, reg);
        Ok(reg)
    }

    /// The slot of a module variable's address.
    pub fn address_slot(&mut self, variable: u32, addend: i64) -> Result<Reg, String> {
        if let Some(&reg) = self.entry.addresses.get(&(variable, addend)) {
            return Ok(reg);
        }
        let reg = self.temp(File::R64)?;
        self.entry.addresses.insert((variable, addend), reg);
        Ok(reg)
    }

    /// The carry flag (PTX ISA §9.7.2: CC.CF), one predicate for the whole entry.
    pub fn carry(&mut self) -> Result<Pred, String> {
        match self.entry.carry {
            Some(carry) => Ok(carry),
            None => {
                let carry = self.temp(File::Pred)?;
                self.entry.carry = Some(carry);
                Ok(carry)
            }
        }
    }
}

//! The state of decoding: of an entry, and of the instruction at hand.

use super::super::super::ir::{File, Formal, Inst, Op, Pred, PredSrc, Reg};
use super::super::super::ptx::ast::{Instruction, Operand};
use super::super::entry::{MAX_LOCAL, reserve};
use super::super::scope::Names;
use super::super::words::Words;
use std::collections::HashMap;
use std::sync::Arc;

/// What a device function has that an entry has not.
#[derive(Default)]
pub struct Unit<'a> {
    /// Its index among the functions of the entry's code.
    pub function: u32,
    /// The address by which it can be called.
    pub address: u64,
    /// Whether it may be called again before it returns.
    pub recursive: bool,
    /// Parameters and results.
    pub params: Vec<Formal>,
    #[allow(missing_docs)]
    pub returns: Vec<Formal>,
    /// Those that are registers in the text.
    pub param_registers: Vec<(&'a str, Formal)>,
    #[allow(missing_docs)]
    pub result_registers: Vec<(&'a str, Formal)>,
    /// Bytes of its frame, if it is recursive, and their alignment.
    pub frame_bytes: u32,
    #[allow(missing_docs)]
    pub frame_align: u32,
    /// The register that holds where the frame starts.
    pub pointer: Option<Reg>,
}

impl Unit<'_> {
    /// A function of which nothing has been read.
    pub fn new(function: u32, address: u64, recursive: bool) -> Self {
        Unit { function, address, recursive, frame_align: 16, ..Unit::default() }
    }
}

/// What the decoder gathers for an entry or a function that it calls.
pub struct Entry<'a> {
    /// Names in scope.
    pub names: Names<'a>,
    /// What there is more for a function.
    pub unit: Option<Unit<'a>>,
    /// Bytes of local memory so far.
    pub local: u32,
    /// Index of every function that can be called.
    pub callees: Arc<HashMap<&'a str, u32>>,
    /// Their parameters and results.
    pub signatures: Arc<[(Vec<Formal>, Vec<Formal>)]>,
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
            unit: None,
            local: 0,
            callees: Arc::default(),
            signatures: Arc::default(),
            dynamic_shared: 0,
            insts: Vec::new(),
            const32: HashMap::new(),
            const64: HashMap::new(),
            addresses: HashMap::new(),
            indexed: 0,
            carry: None,
        }
    }

    /// Reserves local memory, in the frame of a function that has one.
    pub fn reserve(&mut self, bytes: u64, align: u32) -> Result<u32, String> {
        match &mut self.unit {
            Some(unit) if unit.recursive => {
                unit.frame_align = unit.frame_align.max(align);
                reserve(&mut unit.frame_bytes, bytes, align, MAX_LOCAL)
            }
            _ => reserve(&mut self.local, bytes, align, MAX_LOCAL),
        }
    }

    /// The register that addresses of local variables are relative to, in a function that has a frame.
    pub fn pointer(&mut self) -> Result<Option<Reg>, String> {
        match &mut self.unit {
            Some(Unit { recursive: true, pointer, .. }) => {
                if pointer.is_none() {
                    *pointer = Some(self.names.fresh(File::R64)?);
                }
                Ok(*pointer)
            }
            _ => Ok(None),
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

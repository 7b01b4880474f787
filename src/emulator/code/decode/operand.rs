//! Operands to registers, predicates and addresses.

use super::super::super::ir::{Addr, Binary, File, Op, Pred, PredSrc, Reg, Space, Special, Ty};
use super::super::super::ptx::ast::Operand;
use super::super::calls::Functions;
use super::super::scope::{Register, Symbol};
use super::super::words::{PLAIN, bits_of, is_float};
use super::context::Context;

/// The file that holds a type.
pub fn file_of(ty: Ty) -> File {
    if bits_of(ty) == 64 { File::R64 } else { File::R32 }
}

/// A special register (PTX ISA §10) and its width.
pub fn special(name: &str) -> Option<(Special, u8)> {
    let axis = |name: &str| ["x", "y", "z"].iter().position(|&axis| axis == name).map(|axis| axis as u8);
    if let Some((register, part)) = name.split_once('.') {
        let part = axis(part)?;
        let special = match register {
            "%tid" => Special::Tid(part),
            "%ntid" => Special::Ntid(part),
            "%ctaid" => Special::Ctaid(part),
            "%nctaid" => Special::Nctaid(part),
            "%clusterid" => Special::ClusterId(part),
            "%nclusterid" => Special::NclusterId(part),
            "%cluster_ctaid" => Special::ClusterCtaid(part),
            "%cluster_nctaid" => Special::ClusterNctaid(part),
            _ => return None,
        };
        return Some((special, 32));
    }
    Some(match name {
        "%cluster_ctarank" => (Special::ClusterCtarank, 32),
        "%cluster_nctarank" => (Special::ClusterNctarank, 32),
        "%laneid" => (Special::Laneid, 32),
        "%warpid" => (Special::Warpid, 32),
        "%nwarpid" => (Special::Nwarpid, 32),
        "%smid" => (Special::Smid, 32),
        "%nsmid" => (Special::Nsmid, 32),
        "%gridid" => (Special::Gridid, 64),
        "%lanemask_eq" => (Special::LanemaskEq, 32),
        "%lanemask_lt" => (Special::LanemaskLt, 32),
        "%lanemask_le" => (Special::LanemaskLe, 32),
        "%lanemask_gt" => (Special::LanemaskGt, 32),
        "%lanemask_ge" => (Special::LanemaskGe, 32),
        "%clock" => (Special::Clock, 32),
        "%clock64" => (Special::Clock64, 64),
        "%globaltimer_lo" => (Special::GlobaltimerLo, 32),
        "%globaltimer" => (Special::Globaltimer, 64),
        "%dynamic_smem_size" => (Special::DynamicSmemSize, 32),
        "%total_smem_size" | "%aggr_smem_size" => (Special::TotalSmemSize, 32),
        "%clock_hi" | "%globaltimer_hi" => (Special::ClockHi, 32),
        "%current_graph_exec" => (Special::Zero, 64),
        _ => {
            let numbered = |prefix: &str, below: u32| {
                let number = name.strip_prefix(prefix)?;
                let plain = number.len() == 1 || !number.starts_with('0');
                (plain && number.parse::<u32>().ok()? < below).then_some(())
            };
            if let Some(number) = name.strip_suffix("_64") {
                return matches!(number, "%pm0" | "%pm1" | "%pm2" | "%pm3" | "%pm4" | "%pm5" | "%pm6" | "%pm7")
                    .then_some((Special::Zero, 64));
            }
            return numbered("%envreg", 32).or_else(|| numbered("%pm", 8)).map(|()| (Special::Zero, 32));
        }
    })
}

impl<'a> Context<'_, '_, 'a> {
    /// The register that an operand names.
    pub fn register(&mut self, operand: &Operand<'a>) -> Result<Register, String> {
        let Operand::Name(name) = *operand else { return Err(format!("a register is expected, not {operand:?}")) };
        self.entry.names.find_register(name)?.ok_or_else(|| format!("{name} is not a declared register"))
    }

    /// A register of exactly this width.
    fn sized(&mut self, operand: &Operand<'a>, bits: u8) -> Result<Reg, String> {
        let register = self.register(operand)?;
        if register.bits == bits {
            return Ok(register.reg);
        }
        let Operand::Name(name) = *operand else { return Err("a register is expected".to_string()) };
        Err(format!("register {name} has {} bits, {bits} are needed", register.bits))
    }

    /// A destination; `_` gets a register nobody reads.
    pub fn dst(&mut self, operand: &Operand<'a>, ty: Ty) -> Result<Reg, String> {
        if *operand == Operand::Sink {
            return self.temp(file_of(ty));
        }
        self.sized(operand, bits_of(ty))
    }

    /// A constant as the bits of a type.
    fn constant(&self, operand: &Operand<'a>, ty: Ty) -> Option<u64> {
        let bits = bits_of(ty);
        let raw = match *operand {
            Operand::Int(value) if !matches!(ty, Ty::F32 | Ty::F64) => value as u64,
            Operand::F32(value) if bits == 32 && !matches!(ty, Ty::F16x2 | Ty::BF16x2) => u64::from(value),
            Operand::F64(value) if bits == 64 => value,
            Operand::F64(value) if ty == Ty::F32 => u64::from((f64::from_bits(value) as f32).to_bits()),
            _ => return None,
        };
        Some(if bits == 64 { raw } else { raw & ((1 << bits) - 1) })
    }

    /// The slot of an integer constant in the file of a type.
    pub fn int_const(&mut self, value: u64, ty: Ty) -> Result<Reg, String> {
        if bits_of(ty) == 64 { self.const64(value) } else { self.const32(value as u32) }
    }

    /// A source: a register, a constant, a special register or the address of a variable.
    pub fn src(&mut self, operand: &Operand<'a>, ty: Ty) -> Result<Reg, String> {
        if let Some(value) = self.constant(operand, ty) {
            return self.int_const(value, ty);
        }
        let (name, addend) = match *operand {
            Operand::Name(name) => (name, 0),
            Operand::NamePlus(name, addend) => (name, addend),
            _ => return Err(format!("{operand:?} is not a value of type {ty:?}")),
        };
        let bits = bits_of(ty);
        if addend == 0 {
            if self.entry.names.find_register(name)?.is_some() {
                return self.sized(operand, bits);
            }
            if let Some((special, width)) = special(name) {
                // Thread, block and their numbers were once 16 bits wide, and may still be read so (PTX ISA §10.1).
                let half = bits == 16
                    && matches!(special, Special::Tid(_) | Special::Ntid(_) | Special::Ctaid(_) | Special::Nctaid(_));
                if is_float(ty) || width > bits && !half {
                    return Err(format!("{name} cannot be read as {ty:?}"));
                }
                let d = self.temp(file_of(ty))?;
                self.prepare(Op::Special { d, wide: bits == 64, s: special });
                if !half {
                    return Ok(d);
                }
                let low = self.temp(File::R32)?;
                self.prepare(Op::Cvt { to: Ty::U16, from: Ty::U32, mods: PLAIN, d: low, a: d });
                return Ok(low);
            }
        }
        let Some(symbol) = self.entry.names.find_symbol(name) else {
            return Err(format!("{name} is neither a register nor a variable in scope"));
        };
        if bits < 32 || is_float(ty) {
            return Err(format!("the address of {name} is not a value of type {ty:?}"));
        }
        if let Symbol::Local(_) | Symbol::CallParam(_) = symbol
            && let Some(base) = self.entry.pointer()?
            && let Ok((_, offset)) = self.place(symbol)
        {
            let (d, sum) = (self.temp(File::R64)?, self.const64(offset.wrapping_add(addend) as u64)?);
            self.prepare(Op::Binary { f: Binary::Add, ty: Ty::U64, mods: PLAIN, d, a: base, b: sum });
            if bits == 64 {
                return Ok(d);
            }
            let low = self.temp(File::R32)?;
            self.prepare(Op::Unpack64 { lo: Some(low), hi: None, a: d });
            return Ok(low);
        }
        match self.place(symbol) {
            Ok((_, offset)) => self.int_const(offset.wrapping_add(addend) as u64, ty),
            Err(variable) if bits == 64 => self.address_slot(variable, addend),
            Err(_) => Err(format!("the address of {name} needs 64 bits")),
        }
    }

    /// Space and offset of a symbol, or the index of a variable whose address is not known yet.
    fn place(&self, symbol: Symbol) -> Result<(Space, i64), u32> {
        match symbol {
            Symbol::Shared(offset) => Ok((Space::Shared, i64::from(offset))),
            Symbol::DynamicShared => Ok((Space::Shared, i64::from(self.entry.dynamic_shared))),
            Symbol::Local(offset) | Symbol::Static(offset) => Ok((Space::Local, i64::from(offset))),
            Symbol::CallParam(formal) => Ok((Space::Local, i64::from(formal.offset))),
            // An address, which no space holds.
            Symbol::Function(index) => Ok((Space::Generic, Functions::address(index) as i64)),
            Symbol::Param(offset) => Ok((Space::Param, i64::from(offset))),
            Symbol::Const(offset) => Ok((Space::Const, i64::from(offset))),
            Symbol::Global(variable) => Err(variable),
        }
    }

    /// The space that an operand of `ld.param` or `st.param` is really in: parameters of calls are in local memory.
    pub fn param_space(&self, operand: &Operand<'a>, space: Space) -> Space {
        match *operand {
            Operand::Address { base: Some(name), .. }
                if space == Space::Param
                    && matches!(self.entry.names.find_symbol(name), Some(Symbol::CallParam(_))) =>
            {
                Space::Local
            }
            _ => space,
        }
    }

    /// `[base + offset]` in a space.
    pub fn addr(&mut self, operand: &Operand<'a>, space: Space) -> Result<Addr, String> {
        let Operand::Address { base, offset } = *operand else {
            return Err(format!("an address is expected, not {operand:?}"));
        };
        self.addr_of(base, offset, space)
    }

    /// The parts of an address in a space.
    pub fn addr_of(&mut self, base: Option<&'a str>, offset: i64, space: Space) -> Result<Addr, String> {
        let Some(name) = base else { return Ok(Addr { base: None, wide: false, offset }) };
        if let Some(register) = self.entry.names.find_register(name)? {
            let wide = register.bits == 64;
            if !wide && (register.bits != 32 || matches!(space, Space::Global | Space::Generic)) {
                return Err(format!("register {name} has {} bits, too few for an address here", register.bits));
            }
            return Ok(Addr { base: Some(register.reg), wide, offset });
        }
        let Some(symbol) = self.entry.names.find_symbol(name) else {
            return Err(format!("{name} is neither a register nor a variable in scope"));
        };
        if let Symbol::Function(_) = symbol {
            return Err(format!("{name} is a function, which cannot be read or written"));
        }
        match self.place(symbol) {
            Ok((found, _)) if found != space => {
                Err(format!("{name} is in {found:?} memory, the instruction reaches {space:?} memory"))
            }
            Ok((_, start)) => {
                let framed = matches!(symbol, Symbol::Local(_) | Symbol::CallParam(_));
                let base = if framed { self.entry.pointer()? } else { None };
                Ok(Addr { base, wide: base.is_some(), offset: start.wrapping_add(offset) })
            }
            Err(variable) if matches!(space, Space::Global | Space::Generic) => {
                Ok(Addr { base: Some(self.address_slot(variable, 0)?), wide: true, offset })
            }
            Err(_) => Err(format!("{name} is in Global memory, the instruction reaches {space:?} memory")),
        }
    }

    /// A generic address brought into shared memory, or a shared one as it is.
    pub fn shared_addr(&mut self, operand: &Operand<'a>, generic: bool) -> Result<Addr, String> {
        if !generic {
            return self.addr(operand, Space::Shared);
        }
        let addr = self.addr(operand, Space::Generic)?;
        let (Some(base), true) = (addr.base, addr.wide) else {
            return Err("a generic address needs a 64-bit register".into());
        };
        let d = self.temp(File::R64)?;
        self.prepare(Op::Cvta { space: Space::Shared, to_space: true, wide: true, d, a: base });
        Ok(Addr { base: Some(d), ..addr })
    }

    /// A predicate source; constants become a predicate that is set just before.
    pub fn pred_src(&mut self, operand: &Operand<'a>) -> Result<PredSrc, String> {
        let (operand, negated) = match *operand {
            Operand::Int(value) => {
                let pred = self.temp(File::Pred)?;
                self.prepare(Op::PredConst { d: pred, value: value != 0 });
                return Ok(PredSrc { pred, negated: false });
            }
            Operand::Not(name) => (&Operand::Name(name), true),
            _ => (operand, false),
        };
        Ok(PredSrc { pred: self.sized(operand, 1)?, negated })
    }

    /// A predicate destination; `_` is none.
    pub fn pred_dst(&mut self, operand: &Operand<'a>) -> Result<Option<Pred>, String> {
        if *operand == Operand::Sink { Ok(None) } else { self.sized(operand, 1).map(Some) }
    }

    /// `a|b` as its two parts; a lone operand has no second part.
    pub fn pair<'o>(operand: &'o Operand<'a>) -> (&'o Operand<'a>, Option<&'o Operand<'a>>) {
        match operand {
            Operand::Pair(first, second) => (first, Some(second)),
            _ => (operand, None),
        }
    }

    /// The elements of `{…}`, of which there must be `count`.
    pub fn vector<'o>(operand: &'o Operand<'a>, count: usize) -> Result<&'o [Operand<'a>], String> {
        match operand {
            Operand::Vector(elements) if elements.len() == count => Ok(elements),
            Operand::Vector(elements) => Err(format!("a vector of {} registers, {count} expected", elements.len())),
            _ => Err(format!("a vector of {count} registers is expected")),
        }
    }

    /// An integer written in the instruction.
    pub fn literal(operand: &Operand<'a>) -> Result<i64, String> {
        match *operand {
            Operand::Int(value) => Ok(value),
            _ => Err(format!("an integer constant is expected, not {operand:?}")),
        }
    }
}

//! Names of one entry: registers, labels, tables and variables, by scope.
//!
//! `{ }` in a body opens a scope that owns what is declared in it. nvcc unrolls loops over inline
//! assembly into many such scopes that repeat the same names. Scopes are numbered in the order in which
//! they open, so that a first pass can collect what a second pass looks up.

use super::super::ir::{File, Formal, Reg};
use std::collections::HashMap;
use std::sync::Arc;

/// What a variable's name stands for: a place in its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// Offset in the block's shared memory.
    Shared(u32),
    /// The start of dynamic shared memory.
    DynamicShared,
    /// Offset in the thread's local memory, or in the frame of a function that may call itself.
    Local(u32),
    /// Offset in the thread's local memory, never in a frame.
    Static(u32),
    /// A parameter or a result of a device function or of a call; in local memory too.
    CallParam(Formal),
    /// Index of a device function.
    Function(u32),
    /// Offset in the parameter block.
    Param(u32),
    /// Index of a module variable whose address is known when the module is loaded.
    Global(u32),
    /// Offset in the module's constant bank.
    Const(u32),
}

/// A register of the text: its declared width, and its number once it is mentioned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Register {
    pub bits: u8,
    pub file: File,
    pub reg: Reg,
}

#[derive(Debug, Default)]
struct Scope<'a> {
    parent: usize,
    labels: HashMap<&'a str, usize>,
    tables: HashMap<&'a str, Arc<[&'a str]>>,
    declared: HashMap<&'a str, u8>,
    ranges: HashMap<&'a str, (u32, u8)>,
    registers: HashMap<&'a str, Register>,
    symbols: HashMap<&'a str, Symbol>,
}

/// All scopes of an entry and the one the pass is in.
#[derive(Debug)]
pub(super) struct Names<'a> {
    module: Arc<HashMap<&'a str, Symbol>>,
    scopes: Vec<Scope<'a>>,
    open: Vec<usize>,
    opened: usize,
    labels: usize,
    counts: [usize; 3],
}

/// The file that holds registers of a width.
pub(super) fn file_of_bits(bits: u8) -> Option<File> {
    match bits {
        1 => Some(File::Pred),
        8 | 16 | 32 => Some(File::R32),
        64 => Some(File::R64),
        _ => None,
    }
}

impl<'a> Names<'a> {
    /// No names but those of the module.
    pub fn new(module: Arc<HashMap<&'a str, Symbol>>) -> Names<'a> {
        Names { module, scopes: vec![Scope::default()], open: vec![0], opened: 1, labels: 0, counts: [0; 3] }
    }

    /// Goes back to the start for another pass.
    pub fn rewind(&mut self) {
        self.open = vec![0];
        self.opened = 1;
    }

    fn current(&mut self) -> &mut Scope<'a> {
        let at = self.open.last().copied().unwrap_or(0);
        &mut self.scopes[at]
    }

    pub fn enter(&mut self) {
        let parent = self.open.last().copied().unwrap_or(0);
        if self.opened == self.scopes.len() {
            self.scopes.push(Scope { parent, ..Scope::default() });
        }
        self.open.push(self.opened);
        self.opened += 1;
    }

    pub fn leave(&mut self) {
        self.open.pop();
    }

    /// Declares a label and returns its number, which counts labels in the order of the text.
    pub fn label(&mut self, name: &'a str) -> Result<usize, String> {
        let number = self.labels;
        self.labels += 1;
        match self.current().labels.insert(name, number) {
            None => Ok(number),
            Some(_) => Err(format!("label {name} is declared twice in one scope")),
        }
    }

    pub fn num_labels(&self) -> usize {
        self.labels
    }

    pub fn table(&mut self, name: &'a str, targets: &[&'a str]) -> Result<(), String> {
        match self.current().tables.insert(name, targets.into()) {
            None => Ok(()),
            Some(_) => Err(format!("table {name} is declared twice in one scope")),
        }
    }

    pub fn symbol(&mut self, name: &'a str, symbol: Symbol) -> Result<(), String> {
        match self.current().symbols.insert(name, symbol) {
            None => Ok(()),
            Some(_) => Err(format!("variable {name} is declared twice in one scope")),
        }
    }

    /// Declares a register, or `count` numbered ones.
    pub fn declare(&mut self, name: &'a str, count: Option<u32>, bits: u8) -> Result<(), String> {
        if file_of_bits(bits).is_none() {
            return Err(format!("registers of {bits} bits are not supported"));
        }
        let scope = self.current();
        let twice = match count {
            Some(count) => scope.ranges.insert(name, (count, bits)).is_some(),
            None => scope.declared.insert(name, bits).is_some(),
        };
        if twice { Err(format!("register {name} is declared twice in one scope")) } else { Ok(()) }
    }

    /// Numbers of the scopes from the innermost outwards.
    fn chain(&self) -> impl Iterator<Item = usize> {
        let first = self.open.last().copied();
        std::iter::successors(first, |&at| if at == 0 { None } else { self.scopes.get(at).map(|scope| scope.parent) })
    }

    pub fn find_label(&self, name: &str) -> Option<usize> {
        self.chain().find_map(|at| self.scopes[at].labels.get(name).copied())
    }

    pub fn find_table(&self, name: &str) -> Option<Arc<[&'a str]>> {
        self.chain().find_map(|at| self.scopes[at].tables.get(name).cloned())
    }

    pub fn find_symbol(&self, name: &str) -> Option<Symbol> {
        self.chain()
            .find_map(|at| self.scopes[at].symbols.get(name).copied())
            .or_else(|| self.module.get(name).copied())
    }

    /// The register of a name; it gets its number when it is first asked for.
    pub fn find_register(&mut self, name: &'a str) -> Result<Option<Register>, String> {
        let found = self.chain().find_map(|at| {
            let scope = &self.scopes[at];
            if let Some(register) = scope.registers.get(name) {
                return Some((at, Ok(*register)));
            }
            let bits = scope.declared.get(name).copied().or_else(|| numbered(scope, name))?;
            Some((at, Err(bits)))
        });
        let (at, bits) = match found {
            None => return Ok(None),
            Some((_, Ok(register))) => return Ok(Some(register)),
            Some((at, Err(bits))) => (at, bits),
        };
        let file = file_of_bits(bits).ok_or("register of an unsupported width")?;
        let register = Register { bits, file, reg: self.fresh(file)? };
        self.scopes[at].registers.insert(name, register);
        Ok(Some(register))
    }

    /// How many registers each file has so far.
    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// A new register number in a file.
    pub fn fresh(&mut self, file: File) -> Result<Reg, String> {
        let count = &mut self.counts[file as usize];
        let reg = Reg::try_from(*count).map_err(|_| "the entry uses more than 65536 registers of one kind")?;
        *count += 1;
        Ok(reg)
    }
}

/// Width of `name` if it is `prefix` and a number below the count that `prefix<count>` declared.
fn numbered(scope: &Scope<'_>, name: &str) -> Option<u8> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count().min(10);
    (1..=digits).rev().find_map(|digits| {
        let (prefix, number) = name.split_at(name.len() - digits);
        let &(count, bits) = scope.ranges.get(prefix)?;
        let canonical = number.len() == 1 || !number.starts_with('0');
        (canonical && number.parse::<u32>().ok()? < count).then_some(bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_shadow_and_repeat() {
        let mut names = Names::new(Arc::default());
        names.declare("%r", Some(3), 32).unwrap();
        names.declare("p", None, 1).unwrap();
        let outer = names.find_register("%r2").unwrap().unwrap();
        assert!(names.find_register("%r3").unwrap().is_none());
        assert!(names.find_register("%r02").unwrap().is_none());
        let mut inner = Vec::new();
        for _ in 0..2 {
            names.enter();
            names.declare("p", None, 1).unwrap();
            inner.push((names.label("L").unwrap(), names.find_register("p").unwrap().unwrap().reg));
            assert_eq!(names.find_register("%r2").unwrap().unwrap().reg, outer.reg);
            names.leave();
        }
        assert_eq!(inner, [(0, 0), (1, 1)]);
        assert_eq!(names.find_register("p").unwrap().unwrap().reg, 2);
        assert_eq!(names.find_label("L"), None);
        names.rewind();
        names.enter();
        names.leave();
        names.enter();
        assert_eq!(names.find_label("L"), Some(1));
        assert!(names.declare("p", None, 32).is_err());
    }
}

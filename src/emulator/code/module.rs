//! A PTX text, ready to run: its entries and its variables.

use super::super::Fault;
use super::super::ir::{Code, Space};
use super::super::ptx::ast::{Init, Source, Statement, Variable as Declared, VariableSpace};
use super::super::ptx::{self, ParseError};
use super::calls::Functions;
use super::entry::{Surroundings, code};
use super::scope::Symbol;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Bytes of the constant bank.
const MAX_CONST: u64 = 64 << 10;
/// Most bytes of one global variable's initial value that the text may ask for.
const MAX_GLOBAL: u64 = 1 << 32;

/// A `.global` or `.const` variable of module scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `Global` or `Const`.
    pub space: Space,
    /// Alignment in bytes.
    pub align: u32,
    /// Size in bytes.
    pub bytes: u64,
    /// Where it starts in the module's constant bank; 0 for global variables.
    pub const_offset: u32,
    /// Its first bytes; the rest is zero.
    pub init: Vec<u8>,
    /// Addresses inside it.
    pub pointers: Vec<Pointer>,
}

/// An address inside an initial value: 8 bytes at `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Byte offset inside the variable.
    pub at: u64,
    /// Index of the variable it points to.
    pub variable: u32,
    /// Added to the address.
    pub addend: i64,
    /// Whether the generic address is meant, rather than the one within the variable's space.
    pub generic: bool,
}

/// A parsed and decoded PTX text, without any state of a machine.
#[derive(Clone, Debug, Default)]
pub struct Module {
    version: (u32, u32),
    target: String,
    entries: Vec<Code>,
    variables: Vec<Variable>,
    const_bytes: u32,
    /// The same in all clones: what a machine has loaded it knows by this.
    identity: Arc<()>,
}

impl Module {
    /// What clones of one module share, and no two modules do.
    pub(in crate::emulator) fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    /// Reads and decodes PTX text.
    ///
    /// # Errors
    /// A mistake in the text, or an instruction, modifier or directive that is not supported; the error
    /// names the line, the text, the entry and, where `.loc` tells it, the line of the kernel's source.
    pub fn parse(text: &str) -> Result<Module, Fault> {
        Ok(Module::read(text)?)
    }

    /// As [`Module::parse`], with the parts of the error.
    pub(in crate::emulator) fn read(text: &str) -> Result<Module, ParseError> {
        let source = ptx::parse(text)?;
        let mut module = Module { version: source.version, target: source.target.to_string(), ..Module::default() };
        let around = module.surroundings(&source)?;
        let mut names = HashSet::new();
        for function in &source.entries {
            if !names.insert(function.name) {
                return Err(ParseError::at(function.ptx_line, function.name, "this entry is defined twice"));
            }
            module.entries.push(code(function, &around)?);
        }
        Ok(module)
    }

    /// The entry of a name.
    pub fn entry(&self, name: &str) -> Option<&Code> {
        self.entries.iter().find(|code| code.name == name)
    }

    /// All entries, in the order of the text.
    pub fn entries(&self) -> impl Iterator<Item = &Code> {
        self.entries.iter()
    }

    /// The architecture the text was made for, such as `sm_80`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The PTX version, such as (9, 0).
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The `.global` and `.const` variables; [`Code::addresses`] and [`Pointer::variable`] are indices.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Bytes of the constant bank that [`Variable::const_offset`] is an offset into.
    pub fn const_bytes(&self) -> u32 {
        self.const_bytes
    }

    pub(super) fn surroundings<'a>(&mut self, source: &'a Source<'a>) -> Result<Surroundings<'a>, ParseError> {
        let functions = Functions::new(source)?;
        let (mut symbols, mut own) = (HashMap::new(), HashMap::new());
        let mut targets: HashMap<&str, Target> = HashMap::new();
        for (name, index) in functions.names() {
            symbols.insert(name, Symbol::Function(index));
            targets.insert(name, Target::Function(Functions::address(index)));
        }
        let mut initial = Vec::new();
        let defined = |name: &str| source.variables.iter().any(|v| v.name == name && !v.external);
        for declared in &source.variables {
            let error = |message: &str| ParseError::at(declared.ptx_line, declared.name, message);
            let elsewhere = declared.external && declared.space != VariableSpace::Shared;
            if elsewhere && defined(declared.name) {
                continue;
            }
            if symbols.contains_key(declared.name) || own.contains_key(declared.name) {
                return Err(error("this variable is declared twice"));
            }
            match declared.space {
                VariableSpace::Shared | VariableSpace::Local => {
                    own.insert(declared.name, declared.clone());
                    continue;
                }
                _ if elsewhere => {
                    return Err(error("external variables are not supported: this one is defined nowhere in the text"));
                }
                _ => {}
            }
            targets.insert(declared.name, Target::Variable(self.variables.len() as u32));
            initial.push((declared, self.variables.len()));
            symbols.insert(declared.name, self.variable(declared)?);
        }
        let mut inner = HashMap::new();
        let bodies = source.functions.iter().chain(&source.entries).flat_map(|function| &function.body);
        for statement in bodies {
            if let Statement::Variable(declared) = statement
                && matches!(declared.space, VariableSpace::Global | VariableSpace::Const)
            {
                initial.push((declared, self.variables.len()));
                let symbol = self.variable(declared)?;
                if inner.insert((declared.ptx_line, declared.name), symbol).is_some() {
                    let message = "two variables of this name on one line are not supported";
                    return Err(ParseError::at(declared.ptx_line, declared.name, message));
                }
            }
        }
        for (declared, at) in initial {
            pointers(declared, &targets, &mut self.variables[at])?;
        }
        let numbers = source.files.iter().zip(0..).map(|(&(number, _), index)| (number, index));
        Ok(Surroundings {
            symbols: Arc::new(symbols),
            own,
            inner,
            functions,
            files: source.files.iter().map(|(_, path)| path.to_string()).collect(),
            file_numbers: numbers.collect(),
        })
    }

    /// Adds a global or constant variable.
    fn variable(&mut self, declared: &Declared<'_>) -> Result<Symbol, ParseError> {
        let symbol = match declared.space {
            VariableSpace::Global => Symbol::Global(self.variables.len() as u32),
            VariableSpace::Const => Symbol::Const(self.place_const(declared)?),
            _ => {
                let message = "this space has no variables at module scope";
                return Err(ParseError::at(declared.ptx_line, declared.name, message));
            }
        };
        self.variables.push(variable(declared, symbol)?);
        Ok(symbol)
    }

    fn place_const(&mut self, declared: &Declared<'_>) -> Result<u32, ParseError> {
        let error = |message: &str| ParseError::at(declared.ptx_line, declared.name, message);
        let bytes = declared.bytes.ok_or_else(|| error("a size is missing"))?;
        let start = u64::from(self.const_bytes).next_multiple_of(u64::from(declared.align));
        let end = start.saturating_add(bytes);
        if end > MAX_CONST {
            return Err(error("the constant bank has 65536 bytes"));
        }
        self.const_bytes = end as u32;
        Ok(start as u32)
    }
}

/// A variable with its initial bytes; addresses are left as zeros.
fn variable(declared: &Declared<'_>, symbol: Symbol) -> Result<Variable, ParseError> {
    let error = |message: &str| ParseError::at(declared.ptx_line, declared.name, message);
    let bytes = declared.bytes.ok_or_else(|| error("a size is missing"))?;
    if bytes > MAX_GLOBAL {
        return Err(error("variables of more than 4 GiB are not supported"));
    }
    let mut init = Vec::new();
    for element in &declared.init {
        let bits = match element {
            Init::Bits(bits) => *bits,
            Init::Address { .. } => 0,
        };
        let size = declared.element as usize;
        init.extend_from_slice(
            bits.to_le_bytes().get(..size).ok_or_else(|| error("vectors have no initial values here"))?,
        );
    }
    let (space, const_offset) = match symbol {
        Symbol::Const(offset) => (Space::Const, offset),
        _ => (Space::Global, 0),
    };
    Ok(Variable {
        name: declared.name.to_string(),
        space,
        align: declared.align,
        bytes,
        const_offset,
        init,
        pointers: Vec::new(),
    })
}

/// What an initial value may name.
enum Target {
    Variable(u32),
    /// A function, by its address.
    Function(u64),
}

/// Sets the addresses inside a variable: those of functions at once, those of variables when they are known.
fn pointers(declared: &Declared<'_>, targets: &HashMap<&str, Target>, to: &mut Variable) -> Result<(), ParseError> {
    for (number, element) in declared.init.iter().enumerate() {
        let Init::Address { name, addend, generic } = *element else { continue };
        let at = number * declared.element as usize;
        match targets.get(name) {
            Some(&Target::Variable(variable)) => {
                to.pointers.push(Pointer { at: at as u64, variable, addend, generic });
            }
            Some(&Target::Function(address)) => {
                if let Some(bytes) = to.init.get_mut(at..at + 8) {
                    bytes.copy_from_slice(&address.wrapping_add_signed(addend).to_le_bytes());
                }
            }
            None => {
                let message =
                    format!("the initial value names {name}, which is no global or constant variable and no function");
                return Err(ParseError::at(declared.ptx_line, declared.name, message));
            }
        }
    }
    Ok(())
}

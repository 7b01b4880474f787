//! One entry of the syntax tree to [`Code`].

use super::super::ir::{At, Code, File, Inst, Op, Parameter, PredSrc, Reg};
use super::super::ptx::ParseError;
use super::super::ptx::ast::{Function, Instruction, Loc, Operand, Statement, Variable, VariableSpace};
use super::compact::compact;
use super::decode::{Context, Entry, decode, modifiers};
use super::scope::{Names, Symbol};
use super::words::Words;
use std::collections::HashMap;
use std::sync::Arc;

/// Largest parameter block, local memory of a thread, and static shared memory of a block, in bytes.
const MAX_PARAM: u32 = 32764;
const MAX_LOCAL: u32 = 512 << 10;
const MAX_SHARED: u32 = 227 << 10;

/// What entries need to know of their module.
pub(super) struct Surroundings<'a> {
    /// Variables of module scope other than shared ones.
    pub symbols: Arc<HashMap<&'a str, Symbol>>,
    /// Shared variables of module scope: an entry has those that it mentions.
    pub shared: HashMap<&'a str, Variable<'a>>,
    /// Source files and the numbers that `.file` gave them.
    pub files: Arc<[String]>,
    /// Index into `files` of each number.
    pub file_numbers: HashMap<u32, u32>,
}

/// Appends a variable to an area of memory and returns its offset.
fn place(used: &mut u32, variable: &Variable<'_>, limit: u32) -> Result<u32, ParseError> {
    let error = |bytes: u64| {
        ParseError::at(variable.ptx_line, variable.name, format!("{bytes} bytes exceed the limit of {limit}"))
    };
    let bytes = variable.bytes.ok_or_else(|| ParseError::at(variable.ptx_line, variable.name, "a size is missing"))?;
    let start = u64::from(*used).next_multiple_of(u64::from(variable.align));
    let end = start.saturating_add(bytes);
    if end > u64::from(limit) {
        return Err(error(end));
    }
    *used = end as u32;
    Ok(start as u32)
}

/// Reads an entry.
pub(super) fn code<'a>(function: &Function<'a>, around: &Surroundings<'a>) -> Result<Code, ParseError> {
    let mut code = Code {
        name: function.name.to_string(),
        files: around.files.clone(),
        max_threads: function.max_threads,
        required_threads: function.required_threads,
        required_cluster: function.required_cluster,
        param_align: 1,
        ..Code::default()
    };
    let named = |mut error: ParseError| {
        error.entry = Some(function.name.to_string());
        error
    };
    let mut entry = Entry::new(Names::new(around.symbols.clone()));
    declare(function, around, &mut code, &mut entry).map_err(named)?;
    let targets = instructions(function, around, &mut code, &mut entry).map_err(named)?;
    finish(code, entry, &targets).map_err(|message| named(ParseError::at(function.ptx_line, function.name, message)))
}

/// First pass: everything that has a name.
pub(super) fn declare<'a>(
    function: &Function<'a>,
    around: &Surroundings<'a>,
    code: &mut Code,
    entry: &mut Entry<'a>,
) -> Result<(), ParseError> {
    let names = &mut entry.names;
    let at = |line: u32, text: &str| {
        let text = text.to_string();
        move |message: String| ParseError::at(line, text, message)
    };
    for name in mentioned(function) {
        if let Some(variable) = around.shared.get(name)
            && names.find_symbol(name).is_none()
        {
            let symbol = shared(code, variable)?;
            names.symbol(name, symbol).map_err(at(variable.ptx_line, name))?;
        }
    }
    for param in &function.params {
        let offset = place(&mut code.param_bytes, param, MAX_PARAM)?;
        code.param_align = code.param_align.max(param.align);
        let bytes = code.param_bytes - offset;
        code.params.push(Parameter { name: param.name.to_string(), offset, bytes, align: param.align });
        names.symbol(param.name, Symbol::Param(offset)).map_err(at(param.ptx_line, param.name))?;
    }
    for statement in &function.body {
        match statement {
            Statement::Open => names.enter(),
            Statement::Close => names.leave(),
            Statement::Label { name, ptx_line } => _ = names.label(name).map_err(at(*ptx_line, name))?,
            Statement::Table { name, targets, ptx_line } => {
                names.table(name, targets).map_err(at(*ptx_line, name))?;
            }
            Statement::Registers { name, count, bits, ptx_line } => {
                names.declare(name, *count, *bits).map_err(at(*ptx_line, name))?;
            }
            Statement::Variable(variable) => {
                let symbol = match variable.space {
                    VariableSpace::Shared => shared(code, variable)?,
                    VariableSpace::Local => Symbol::Local(place(&mut code.local_bytes, variable, MAX_LOCAL)?),
                    VariableSpace::Param => {
                        let message = "calls are not supported (this is a parameter of one)";
                        return Err(ParseError::at(variable.ptx_line, variable.name, message));
                    }
                    VariableSpace::Global | VariableSpace::Const => {
                        let message = "global and constant variables are supported at module scope only";
                        return Err(ParseError::at(variable.ptx_line, variable.name, message));
                    }
                };
                names.symbol(variable.name, symbol).map_err(at(variable.ptx_line, variable.name))?;
            }
            Statement::Instruction(_) => {}
        }
    }
    names.rewind();
    code.shared_dynamic_at = code.shared_static.next_multiple_of(code.shared_dynamic_at.max(16));
    entry.dynamic_shared = code.shared_dynamic_at;
    Ok(())
}

/// Places a shared variable. Until all are placed `shared_dynamic_at` holds the alignment of the dynamic ones.
fn shared(code: &mut Code, variable: &Variable<'_>) -> Result<Symbol, ParseError> {
    if variable.external {
        code.shared_dynamic_at = code.shared_dynamic_at.max(variable.align);
        return Ok(Symbol::DynamicShared);
    }
    Ok(Symbol::Shared(place(&mut code.shared_static, variable, MAX_SHARED)?))
}

/// Names that operands mention, in the order of the text.
fn mentioned<'f, 'a>(function: &'f Function<'a>) -> impl Iterator<Item = &'a str> + use<'f, 'a> {
    function
        .body
        .iter()
        .flat_map(|statement| match statement {
            Statement::Instruction(instruction) => instruction.operands.as_slice(),
            _ => &[],
        })
        .filter_map(|operand| match *operand {
            Operand::Name(name) | Operand::NamePlus(name, _) => Some(name),
            Operand::Address { base, .. } => base,
            _ => None,
        })
}

/// Second pass: the instructions. Returns where each label stands.
pub(super) fn instructions<'a>(
    function: &Function<'a>,
    around: &Surroundings<'a>,
    code: &mut Code,
    entry: &mut Entry<'a>,
) -> Result<Vec<u32>, ParseError> {
    let mut targets = Vec::with_capacity(entry.names.num_labels());
    for statement in &function.body {
        match statement {
            Statement::Open => entry.names.enter(),
            Statement::Close => entry.names.leave(),
            Statement::Label { .. } => targets.push(entry.insts.len() as u32),
            Statement::Instruction(instruction) => one(instruction, around, code, entry).map_err(|message| {
                let (file, line) = position(instruction.loc, around);
                ParseError {
                    source: file.and_then(|file| Some((around.files.get(file as usize)?.clone(), line))),
                    ..ParseError::at(instruction.ptx_line, tidy(instruction.text), message)
                }
            })?,
            _ => {}
        }
    }
    // Falling off the end of an entry ends it.
    code.lines.push(At { text: "exit;".to_string(), ptx_line: function.ptx_line, ..At::default() });
    entry.insts.push(Inst { op: Op::Exit, guard: None, at: code.lines.len() as u32 - 1 });
    Ok(targets)
}

fn position(loc: Option<Loc>, around: &Surroundings<'_>) -> (Option<u32>, u32) {
    match loc {
        Some(loc) => (around.file_numbers.get(&loc.file).copied(), loc.line),
        None => (None, 0),
    }
}

fn tidy(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ") + ";"
}

fn one<'a>(
    instruction: &Instruction<'a>,
    around: &Surroundings<'a>,
    code: &mut Code,
    entry: &mut Entry<'a>,
) -> Result<(), String> {
    let guard = match instruction.guard {
        None => None,
        Some((name, negated)) => match entry.names.find_register(name)? {
            Some(register) if register.file == File::Pred => Some(PredSrc { pred: register.reg, negated }),
            _ => return Err(format!("{name} is not a predicate register")),
        },
    };
    let at = u32::try_from(code.lines.len()).map_err(|_| "too many instructions")?;
    let (file, line) = position(instruction.loc, around);
    let caller = instruction.loc.and_then(|loc| loc.caller);
    let caller = caller.and_then(|(file, line)| Some((*around.file_numbers.get(&file)?, line)));
    code.lines.push(At { text: tidy(instruction.text), ptx_line: instruction.ptx_line, file, line, caller });
    let words = Words::new(modifiers(instruction.opcode));
    let mut context = Context { entry, inst: instruction, words, guard, at };
    decode(&mut context, instruction.opcode)
}

/// Branch targets, slots and constants.
fn finish(mut code: Code, entry: Entry<'_>, targets: &[u32]) -> Result<Code, String> {
    let mut insts = entry.insts;
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
    let slots = compact(&mut insts, [&is_const[0], &is_const[1], &is_const[2]]);
    let slot = |file: File, reg: Reg| slots.of[file as usize][usize::from(reg)];
    code.const32 = entry.const32.iter().filter_map(|(&value, &reg)| Some((slot(File::R32, reg)?, value))).collect();
    code.const64 = entry.const64.iter().filter_map(|(&value, &reg)| Some((slot(File::R64, reg)?, value))).collect();
    code.addresses = entry
        .addresses
        .iter()
        .filter_map(|(&(variable, addend), &reg)| Some((slot(File::R64, reg)?, variable, addend)))
        .collect();
    code.const32.sort_unstable();
    code.const64.sort_unstable();
    code.addresses.sort_unstable();
    [code.num_r32, code.num_r64, code.num_pred] = slots.counts;
    code.insts = insts;
    Ok(code)
}

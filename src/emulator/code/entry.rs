//! One entry of the syntax tree to [`Code`].

use super::super::ir::{Addr, At, Code, File, Formal, Inst, Op, Order, Parameter, PredSrc, Space, Ty};
use super::super::ptx::ParseError;
use super::super::ptx::ast::{Function, Instruction, Loc, Operand, Statement, Variable, VariableSpace};
use super::calls::Functions;
use super::decode::{Context, Entry, Unit, decode, modifiers};
use super::link;
use super::scope::{Names, Symbol};
use super::words::Words;
use std::collections::HashMap;
use std::sync::Arc;

/// Largest parameter block, local memory of a thread, and static shared memory of a block, in bytes.
const MAX_PARAM: u32 = 32764;
pub(super) const MAX_LOCAL: u32 = 512 << 10;
const MAX_SHARED: u32 = 227 << 10;

/// What entries need to know of their module.
#[derive(Default)]
pub(super) struct Surroundings<'a> {
    /// Variables of module scope other than those below, and functions.
    pub symbols: Arc<HashMap<&'a str, Symbol>>,
    /// Shared and local variables of module scope: an entry has those that it mentions.
    pub own: HashMap<&'a str, Variable<'a>>,
    /// Global and constant variables of function scope, by line and name.
    pub inner: HashMap<(u32, &'a str), Symbol>,
    /// Device functions.
    pub functions: Functions<'a>,
    /// Source files and the numbers that `.file` gave them.
    pub files: Arc<[String]>,
    /// Index into `files` of each number.
    pub file_numbers: HashMap<u32, u32>,
}

/// The variables of module scope that have a place in an entry's memory already.
pub(super) type Placed<'a> = HashMap<&'a str, Symbol>;

/// Appends a variable to an area of memory and returns its offset.
fn place(used: &mut u32, variable: &Variable<'_>, limit: u32) -> Result<u32, ParseError> {
    let error = |message: String| ParseError::at(variable.ptx_line, variable.name, message);
    let bytes = variable.bytes.ok_or_else(|| error("a size is missing".into()))?;
    reserve(used, bytes, variable.align, limit).map_err(error)
}

/// Appends bytes to an area of memory and returns their offset.
pub(super) fn reserve(used: &mut u32, bytes: u64, align: u32, limit: u32) -> Result<u32, String> {
    let start = u64::from(*used).next_multiple_of(u64::from(align));
    let end = start.saturating_add(bytes);
    if end > u64::from(limit) {
        return Err(format!("{end} bytes exceed the limit of {limit}"));
    }
    *used = end as u32;
    Ok(start as u32)
}

/// Reads an entry and the functions that it may call.
pub(super) fn code<'a>(function: &'a Function<'a>, around: &Surroundings<'a>) -> Result<Code, ParseError> {
    let mut code = Code {
        name: function.name.to_string(),
        files: around.files.clone(),
        max_threads: function.max_threads,
        required_threads: function.required_threads,
        required_cluster: function.required_cluster,
        param_align: 1,
        ..Code::default()
    };
    let needed = around.functions.needed(function)?;
    let mut units: Vec<(&'a Function<'a>, Entry<'a>)> = Vec::with_capacity(needed.len() + 1);
    for (number, (index, recursive)) in needed.iter().enumerate() {
        let Some(called) = around.functions.get(*index) else { continue };
        let unit = Unit::new(number as u32, Functions::address(*index), *recursive);
        let mut entry = Entry::new(Names::new(around.symbols.clone()));
        entry.unit = Some(unit);
        units.push((called, entry));
    }
    units.push((function, Entry::new(Names::new(around.symbols.clone()))));

    let in_function = |unit: &'a Function<'a>| {
        move |mut error: ParseError| {
            error.entry = Some(unit.name.to_string());
            error.is_function = !std::ptr::eq(unit, function);
            error
        }
    };
    let mut placed = Placed::default();
    for (unit, entry) in &mut units {
        declare(unit, around, &mut placed, &mut code, entry).map_err(in_function(unit))?;
    }
    let numbers: HashMap<u32, u32> = needed.iter().zip(0..).map(|((index, _), number)| (*index, number)).collect();
    let numbered = |(name, index): (&'a str, u32)| Some((name, *numbers.get(&index)?));
    let callees = Arc::new(around.functions.names().filter_map(numbered).collect::<HashMap<_, _>>());
    let signatures: Arc<[(Vec<Formal>, Vec<Formal>)]> = units
        .iter()
        .filter_map(|(_, entry)| entry.unit.as_ref())
        .map(|unit| (unit.params.clone(), unit.returns.clone()))
        .collect();
    // In the order of the text, so that lines are counted and told in that order.
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&at| units[at].0.ptx_line);
    let mut targets = vec![Vec::new(); units.len()];
    for at in order {
        let (unit, entry) = &mut units[at];
        (entry.callees, entry.signatures) = (callees.clone(), signatures.clone());
        entry.dynamic_shared = dynamic_shared(&code);
        targets[at] = instructions(unit, around, &mut code, entry).map_err(in_function(unit))?;
    }
    code.shared_dynamic_at = dynamic_shared(&code);
    for ((unit, entry), targets) in units.into_iter().zip(targets) {
        let message = |message| in_function(unit)(ParseError::at(unit.ptx_line, unit.name, message));
        link::append(&mut code, unit.name, entry, &targets).map_err(message)?;
    }
    link::finish(&mut code);
    Ok(code)
}

/// Where dynamic shared memory starts; until it is set [`Code::shared_dynamic_at`] holds the alignment that is asked
/// for.
pub(super) fn dynamic_shared(code: &Code) -> u32 {
    code.shared_static.next_multiple_of(code.shared_dynamic_at.max(16))
}

/// First pass: everything that has a name.
pub(super) fn declare<'a>(
    function: &Function<'a>,
    around: &Surroundings<'a>,
    placed: &mut Placed<'a>,
    code: &mut Code,
    entry: &mut Entry<'a>,
) -> Result<(), ParseError> {
    let at = |line: u32, text: &str| {
        let text = text.to_string();
        move |message: String| ParseError::at(line, text, message)
    };
    entry.local = code.local_bytes;
    for name in mentioned(function) {
        if let Some(variable) = around.own.get(name)
            && entry.names.find_symbol(name).is_none()
        {
            let symbol = match placed.get(name) {
                Some(symbol) => *symbol,
                None if variable.space == VariableSpace::Local => {
                    Symbol::Static(place(&mut entry.local, variable, MAX_LOCAL)?)
                }
                None => shared(code, variable)?,
            };
            placed.insert(name, symbol);
            entry.names.symbol(name, symbol).map_err(at(variable.ptx_line, name))?;
        }
    }
    if entry.unit.is_some() {
        formals(function, entry)?;
    } else {
        for param in &function.params {
            let offset = place(&mut code.param_bytes, param, MAX_PARAM)?;
            code.param_align = code.param_align.max(param.align);
            let bytes = code.param_bytes - offset;
            code.params.push(Parameter { name: param.name.to_string(), offset, bytes, align: param.align });
            entry.names.symbol(param.name, Symbol::Param(offset)).map_err(at(param.ptx_line, param.name))?;
        }
    }
    for statement in &function.body {
        match statement {
            Statement::Open => entry.names.enter(),
            Statement::Close => entry.names.leave(),
            Statement::Label { name, ptx_line } => _ = entry.names.label(name).map_err(at(*ptx_line, name))?,
            Statement::Table { name, targets, ptx_line } => {
                entry.names.table(name, targets).map_err(at(*ptx_line, name))?;
            }
            Statement::Registers { name, count, bits, ptx_line } => {
                entry.names.declare(name, *count, *bits).map_err(at(*ptx_line, name))?;
            }
            Statement::Variable(variable) => {
                let error = at(variable.ptx_line, variable.name);
                let symbol = match variable.space {
                    VariableSpace::Shared => shared(code, variable)?,
                    VariableSpace::Local => Symbol::Local(in_thread(entry, variable)?),
                    VariableSpace::Param | VariableSpace::Register => {
                        let offset = in_thread(entry, variable)?;
                        Symbol::CallParam(Formal { offset, bytes: variable.bytes.unwrap_or(0) as u32 })
                    }
                    VariableSpace::Global | VariableSpace::Const => {
                        let found = around.inner.get(&(variable.ptx_line, variable.name)).copied();
                        found.ok_or_else(|| at(variable.ptx_line, variable.name)("an unknown variable".into()))?
                    }
                };
                entry.names.symbol(variable.name, symbol).map_err(error)?;
            }
            Statement::Instruction(_) => {}
        }
    }
    entry.names.rewind();
    code.local_bytes = entry.local;
    Ok(())
}

/// Places a variable in the thread's local memory, or in the frame of a function that may call itself.
fn in_thread(entry: &mut Entry<'_>, variable: &Variable<'_>) -> Result<u32, ParseError> {
    let error = |message: String| ParseError::at(variable.ptx_line, variable.name, message);
    let bytes = variable.bytes.ok_or_else(|| error("a size is missing".into()))?;
    entry.reserve(bytes, variable.align).map_err(error)
}

/// Parameters and results of a function: all are in memory, and those that are registers are loaded from there when it
/// begins, or stored to it when it ends.
fn formals<'a>(function: &Function<'a>, entry: &mut Entry<'a>) -> Result<(), ParseError> {
    for (variables, is_result) in [(&function.params, false), (&function.returns, true)] {
        for variable in variables {
            let error = |message: String| ParseError::at(variable.ptx_line, variable.name, message);
            let offset = in_thread(entry, variable)?;
            let formal = Formal { offset, bytes: variable.bytes.unwrap_or(0) as u32 };
            let in_register = variable.space == VariableSpace::Register;
            if in_register {
                let bits = u8::try_from(8 * formal.bytes).map_err(|_| error("not a register".into()))?;
                entry.names.declare(variable.name, None, bits).map_err(error)?;
            } else {
                entry.names.symbol(variable.name, Symbol::CallParam(formal)).map_err(error)?;
            }
            let Some(unit) = &mut entry.unit else { continue };
            let (list, registers) = if is_result {
                (&mut unit.returns, &mut unit.result_registers)
            } else {
                (&mut unit.params, &mut unit.param_registers)
            };
            list.push(formal);
            if in_register {
                registers.push((variable.name, formal));
            }
        }
    }
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
    entry.local = code.local_bytes;
    let whole = |text: String| At { text, ptx_line: function.ptx_line, ..At::default() };
    let error = |message: String| ParseError::at(function.ptx_line, function.name, message);
    let registers = entry.unit.as_ref().map(|unit| unit.param_registers.clone()).unwrap_or_default();
    if !registers.is_empty() {
        code.lines.push(whole(format!(".func {}", function.name)));
    }
    for (name, formal) in registers {
        let at = code.lines.len() as u32 - 1;
        let (op, _) = move_register(entry, name, formal, false).map_err(error)?;
        entry.insts.push(Inst { op, guard: None, at });
    }
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
    // Falling off the end ends an entry, and a function too.
    code.lines.push(whole(if entry.unit.is_some() { "ret;" } else { "exit;" }.to_string()));
    let at = code.lines.len() as u32 - 1;
    for op in leave(entry).map_err(error)? {
        entry.insts.push(Inst { op, guard: None, at });
    }
    code.local_bytes = entry.local;
    Ok(targets)
}

/// What `ret` does: an entry exits, a function stores the results that it has in registers and returns.
pub(super) fn leave(entry: &mut Entry<'_>) -> Result<Vec<Op>, String> {
    let Some(unit) = &entry.unit else { return Ok(vec![Op::Exit]) };
    let (function, results) = (unit.function, unit.result_registers.clone());
    let mut ops = Vec::with_capacity(results.len() + 1);
    for (name, formal) in results {
        ops.push(move_register(entry, name, formal, true)?.0);
    }
    ops.push(Op::Return { function });
    Ok(ops)
}

/// Moves a register that is a parameter to (`store`) or from its place in memory.
pub(super) fn move_register<'a>(
    entry: &mut Entry<'a>,
    name: &'a str,
    formal: Formal,
    store: bool,
) -> Result<(Op, u8), String> {
    let register = entry.names.find_register(name)?.ok_or("an unknown register")?;
    let ty = match register.bits {
        8 => Ty::B8,
        16 => Ty::B16,
        32 => Ty::B32,
        64 => Ty::B64,
        _ => return Err(format!("{name} is a predicate, which cannot be passed")),
    };
    if u32::from(register.bits) != 8 * formal.bytes {
        return Err(format!("register {name} has {} bits, {} bytes are passed", register.bits, formal.bytes));
    }
    let pointer = entry.pointer()?;
    let addr = Addr { base: pointer, wide: pointer.is_some(), offset: i64::from(formal.offset) };
    let (wide, regs) = (register.file == File::R64, [register.reg, 0, 0, 0]);
    let (space, order, vec) = (Space::Local, Order::Weak, 1);
    let op = if store {
        Op::Store { space, ty, order, vec, wide_src: wide, s: regs, addr }
    } else {
        Op::Load { space, ty, order, vec, wide_dst: wide, d: regs, addr }
    };
    Ok((op, register.bits))
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

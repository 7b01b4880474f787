//! `call` (PTX ISA §9.7.12.5): functions of the module, and those that the emulator has itself.

use super::super::super::ir::{CallOp, CallTarget, File, Formal, Op, Order, Space, Ty};
use super::super::super::ptx::ast::Operand;
use super::super::entry::move_register;
use super::super::scope::Symbol;
use super::context::Context;

/// The functions that programs have from the CUDA driver: sizes of their arguments and results.
const BUILT_IN: [(&str, CallTarget, &[u32], &[u32]); 2] =
    [("vprintf", CallTarget::Printf, &[8, 8], &[4]), ("__assertfail", CallTarget::Assert, &[8, 8, 4, 8, 8], &[])];

/// Whether the emulator has a function itself.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(built_in, ..)| *built_in == name)
}

/// Arguments and results that a call must have, in bytes.
struct Signature {
    params: Vec<u32>,
    returns: Vec<u32>,
}

pub(super) fn call(c: &mut Context) -> Result<(), String> {
    c.words.take("uni");
    let Some(call) = &c.inst.call else { return Err("a function is expected".into()) };
    let (target, signature) = target(c, call.target)?;
    let check = |what: &str, given: usize, taken: Option<usize>| match taken {
        Some(taken) if given != taken => Err(format!("{given} {what}, {} has {taken}", call.target)),
        _ => Ok(()),
    };
    check("arguments", call.args.len(), signature.as_ref().map(|s| s.params.len()))?;
    if !call.returns.is_empty() {
        check("results", call.returns.len(), signature.as_ref().map(|s| s.returns.len()))?;
    }
    let size = |sizes: Option<&Vec<u32>>, at: usize| sizes.and_then(|sizes| sizes.get(at)).copied();
    let (mut args, mut returns) = (Vec::new(), Vec::new());
    for (at, operand) in call.args.iter().enumerate() {
        args.push(argument(c, operand, size(signature.as_ref().map(|s| &s.params), at))?);
    }
    let mut into_registers = Vec::new();
    for (at, operand) in call.returns.iter().enumerate() {
        if *operand == Operand::Sink {
            let bytes = size(signature.as_ref().map(|s| &s.returns), at).ok_or("a place for the result is expected")?;
            returns.push(Formal { offset: c.entry.reserve(u64::from(bytes), 16)?, bytes });
            continue;
        }
        let place = place(c, operand)?;
        fits(place, size(signature.as_ref().map(|s| &s.returns), at))?;
        if let Operand::Name(name) = *operand
            && c.entry.names.find_register(name)?.is_some()
        {
            into_registers.push((name, place));
        }
        returns.push(place);
    }
    let frame = c.entry.pointer()?;
    c.emit(Op::Call(Box::new(CallOp { target, frame, args: args.into(), returns: returns.into() })));
    for (name, place) in into_registers {
        let (op, _) = move_register(c.entry, name, place, false)?;
        c.emit(op);
    }
    Ok(())
}

fn target<'a>(c: &mut Context<'_, '_, 'a>, name: &'a str) -> Result<(CallTarget, Option<Signature>), String> {
    if let Some(register) = c.entry.names.find_register(name)? {
        if register.bits != 64 {
            return Err(format!("register {name} has {} bits, the address of a function has 64", register.bits));
        }
        return Ok((CallTarget::Address(register.reg), None));
    }
    if let Some(&function) = c.entry.callees.get(name) {
        let bytes = |formals: &[Formal]| formals.iter().map(|formal| formal.bytes).collect();
        let signature = c.entry.signatures.get(function as usize);
        let signature = signature.map(|(params, returns)| Signature { params: bytes(params), returns: bytes(returns) });
        return Ok((CallTarget::Function(function), signature));
    }
    match BUILT_IN.iter().find(|(built_in, ..)| *built_in == name) {
        Some((_, target, params, returns)) => {
            Ok((*target, Some(Signature { params: params.to_vec(), returns: returns.to_vec() })))
        }
        None => Err(format!(
            "calls of {name} are not supported: it has no body in this text, and is neither vprintf nor __assertfail"
        )),
    }
}

fn fits(place: Formal, bytes: Option<u32>) -> Result<(), String> {
    match bytes {
        Some(bytes) if bytes != place.bytes => Err(format!("{} bytes are passed for {bytes}", place.bytes)),
        _ => Ok(()),
    }
}

/// Where a parameter variable is, or a place for a register.
fn place<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>) -> Result<Formal, String> {
    let Operand::Name(name) = *operand else {
        return Err(format!("a parameter or a register is expected, not {operand:?}"));
    };
    if let Some(register) = c.entry.names.find_register(name)? {
        let bytes = u32::from(register.bits / 8);
        if register.file == File::Pred {
            return Err(format!("{name} is a predicate, which cannot be passed"));
        }
        return Ok(Formal { offset: c.entry.reserve(u64::from(bytes), bytes)?, bytes });
    }
    match c.entry.names.find_symbol(name) {
        Some(Symbol::CallParam(formal)) => Ok(formal),
        _ => Err(format!("{name} is neither a register nor a parameter of this scope")),
    }
}

/// An argument in memory; registers and constants are stored there first.
fn argument<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, bytes: Option<u32>) -> Result<Formal, String> {
    if let Operand::Name(name) = *operand {
        let formal = place(c, operand)?;
        fits(formal, bytes)?;
        if c.entry.names.find_register(name)?.is_some() {
            let (op, _) = move_register(c.entry, name, formal, true)?;
            c.emit(op);
        }
        return Ok(formal);
    }
    let (ty, bytes) = match (operand, bytes) {
        (Operand::F32(_), Some(4)) => (Ty::F32, 4),
        (Operand::F64(_), Some(8)) => (Ty::F64, 8),
        (Operand::Int(_), Some(1)) => (Ty::B8, 1),
        (Operand::Int(_), Some(2)) => (Ty::B16, 2),
        (Operand::Int(_), Some(4)) => (Ty::B32, 4),
        (Operand::Int(_), Some(8)) => (Ty::B64, 8),
        (_, None) => return Err("a constant argument needs a function that is called by name".into()),
        (_, Some(bytes)) => return Err(format!("{operand:?} is not a value of {bytes} bytes")),
    };
    let source = c.src(operand, ty)?;
    let formal = Formal { offset: c.entry.reserve(bytes, bytes as u32)?, bytes: bytes as u32 };
    let base = c.entry.pointer()?;
    let addr = super::super::super::ir::Addr { base, wide: base.is_some(), offset: i64::from(formal.offset) };
    let (space, order, s) = (Space::Local, Order::Weak, [source, 0, 0, 0]);
    c.emit(Op::Store { space, ty, order, vec: 1, wide_src: bytes == 8, s, addr });
    Ok(formal)
}

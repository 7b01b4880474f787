//! Loads, stores and atomics (PTX ISA §9.7.9.8–§9.7.9.15, §9.7.13).

use super::super::super::ir::{AtomOp, Op, Order, Reg, Space, Ty};
use super::super::super::ptx::ast::Operand;
use super::super::words::{PLAIN, Words, bits_of, is_float, is_signed};
use super::Decode;
use super::context::Context;

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("ld", ld),
    ("ldu", ld),
    ("st", st),
    ("atom", |c| atom(c, true)),
    ("red", |c| atom(c, false)),
    ("prefetch", prefetch),
    ("prefetchu", prefetch),
    ("discard", discard),
    ("applypriority", discard),
    ("createpolicy", createpolicy),
];

/// The space of an access; none is generic.
fn space(words: &mut Words<'_>) -> Space {
    words
        .find(|word| {
            Some(match word {
                "global" => Space::Global,
                "shared" | "shared::cta" | "shared::cluster" => Space::Shared,
                "local" => Space::Local,
                "param" | "param::entry" | "param::func" => Space::Param,
                "const" => Space::Const,
                _ => return None,
            })
        })
        .unwrap_or(Space::Generic)
}

/// Steps over what only steers caches. True if a cache policy operand follows.
pub(super) fn cache_hints(words: &mut Words<'_>) -> bool {
    let mut policy = false;
    while let Some(hint) = words.find(|word| match word {
        "ca" | "cg" | "cs" | "lu" | "cv" | "wb" | "wt" => Some(false),
        "L1::evict_normal" | "L1::evict_unchanged" | "L1::evict_first" | "L1::evict_last" | "L1::no_allocate" => {
            Some(false)
        }
        "L2::evict_normal" | "L2::evict_first" | "L2::evict_last" => Some(false),
        "L2::64B" | "L2::128B" | "L2::256B" => Some(false),
        "L2::cache_hint" => Some(true),
        _ => None,
    }) {
        policy |= hint;
    }
    policy
}

/// Memory order and scope. A scope alone changes nothing in a machine whose memory is coherent.
fn order(words: &mut Words<'_>, default: Order) -> Order {
    words.take("mmio");
    let order = words.find(|word| {
        Some(match word {
            "weak" => Order::Weak,
            "volatile" => Order::Volatile,
            "relaxed" => Order::Relaxed,
            "acquire" => Order::Acquire,
            "release" => Order::Release,
            "acq_rel" => Order::AcqRel,
            _ => return None,
        })
    });
    scope(words);
    order.unwrap_or(default)
}

pub(super) fn scope(words: &mut Words<'_>) {
    words.find(|word| matches!(word, "cta" | "cluster" | "gpu" | "sys").then_some(()));
}

fn vector(words: &mut Words<'_>) -> std::result::Result<usize, String> {
    if words.take("v8") {
        return Err("vectors of 8 are not supported".into());
    }
    Ok(words.find(|word| [("v2", 2), ("v4", 4)].iter().find(|(name, _)| *name == word).map(|&(_, n)| n)).unwrap_or(1))
}

/// Reads a cache policy operand, which changes nothing here.
fn policy<'a>(c: &mut Context<'_, '_, 'a>, operand: Option<&Operand<'a>>) -> Result {
    if let Some(operand) = operand {
        c.src(operand, Ty::B64)?;
    }
    Ok(())
}

/// Types that memory holds.
const TYPES: [Ty; 15] = [
    Ty::B8,
    Ty::U8,
    Ty::S8,
    Ty::B16,
    Ty::U16,
    Ty::S16,
    Ty::B32,
    Ty::U32,
    Ty::S32,
    Ty::B64,
    Ty::U64,
    Ty::S64,
    Ty::F32,
    Ty::F64,
    Ty::F16,
];

fn elements<'o, 'a>(operand: &'o Operand<'a>, count: usize) -> std::result::Result<&'o [Operand<'a>], String> {
    if count == 1 { Ok(std::slice::from_ref(operand)) } else { Context::vector(operand, count) }
}

fn ld(c: &mut Context) -> Result {
    let order = order(&mut c.words, Order::Weak);
    let space = space(&mut c.words);
    if space == Space::Global {
        c.words.take("nc");
    }
    let hinted = cache_hints(&mut c.words);
    let vec = vector(&mut c.words)?;
    let ty = c.words.ty_in(&TYPES)?;
    let bits = bits_of(ty);
    if usize::from(bits) * vec > 128 {
        return Err("more than 16 bytes in one access are not supported".into());
    }
    let count = 2 + usize::from(hinted);
    let operands = c.between(count, count)?;
    policy(c, operands.get(2))?;
    let space = c.param_space(&operands[1], space);
    let addr = c.addr(&operands[1], space)?;
    let mut d: [Reg; 4] = [0; 4];
    let mut width = None;
    for (d, element) in d.iter_mut().zip(elements(&operands[0], vec)?) {
        if *element == Operand::Sink {
            continue;
        }
        let register = c.register(element)?;
        if register.bits < bits || is_float(ty) && register.bits != bits {
            return Err(format!("a destination has {} bits, {bits} are loaded", register.bits));
        }
        if width.is_some_and(|width| width != register.bits) {
            return Err("the destinations have different widths".into());
        }
        width = Some(register.bits);
        *d = register.reg;
    }
    let width = width.unwrap_or(bits.max(16));
    for (d, element) in d.iter_mut().zip(elements(&operands[0], vec)?) {
        if *element == Operand::Sink {
            *d =
                c.temp(if width == 64 { super::operand::file_of(Ty::B64) } else { super::operand::file_of(Ty::B32) })?;
        }
    }
    // The load extends to 32 or 64 bits. A 16-bit register holds zeros above its 16 bits, so a signed
    // type is loaded as it is and, if narrower, extended to 16 bits after.
    let loaded = match ty {
        Ty::S16 if width == 16 => Ty::U16,
        Ty::S8 if width <= 16 => Ty::U8,
        _ => ty,
    };
    c.emit(Op::Load { space, ty: loaded, order, vec: vec as u8, wide_dst: width == 64, d, addr });
    if ty == Ty::S8 && width == 16 {
        for &d in &d[..vec] {
            c.emit(Op::Cvt { to: Ty::S16, from: Ty::S8, mods: PLAIN, d, a: d });
        }
    }
    Ok(())
}

fn st(c: &mut Context) -> Result {
    let order = order(&mut c.words, Order::Weak);
    let space = space(&mut c.words);
    let hinted = cache_hints(&mut c.words);
    let vec = vector(&mut c.words)?;
    let ty = c.words.ty_in(&TYPES)?;
    let bits = bits_of(ty);
    if usize::from(bits) * vec > 128 {
        return Err("more than 16 bytes in one access are not supported".into());
    }
    let count = 2 + usize::from(hinted);
    let operands = c.between(count, count)?;
    policy(c, operands.get(2))?;
    let space = c.param_space(&operands[0], space);
    if matches!(space, Space::Const | Space::Param) {
        return Err("this space cannot be written".into());
    }
    let addr = c.addr(&operands[0], space)?;
    let sources = elements(&operands[1], vec)?;
    let mut width = None;
    for element in sources {
        if let Operand::Name(name) = *element
            && let Some(register) = c.entry.names.find_register(name)?
        {
            if register.bits < bits || is_float(ty) && register.bits != bits {
                return Err(format!("register {name} has {} bits, {bits} are stored", register.bits));
            }
            if width.is_some_and(|width: u8| (width == 64) != (register.bits == 64)) {
                return Err("the sources have different widths".into());
            }
            width = Some(register.bits);
        }
    }
    let wide_src = width.unwrap_or(bits) == 64;
    let mut s: [Reg; 4] = [0; 4];
    for (s, element) in s.iter_mut().zip(sources) {
        *s = match *element {
            Operand::Name(_) => c.register(element)?.reg,
            // A constant beside wide registers stands in the wide file too.
            Operand::Int(value) if wide_src => c.const64(value as u64)?,
            _ => c.src(element, ty)?,
        };
    }
    c.emit(Op::Store { space, ty, order, vec: vec as u8, wide_src, s, addr });
    Ok(())
}

fn atom(c: &mut Context, returns: bool) -> Result {
    let order = order(&mut c.words, Order::Relaxed);
    let space = space(&mut c.words);
    if !matches!(space, Space::Global | Space::Shared | Space::Generic) {
        return Err("atomics reach global and shared memory only".into());
    }
    let op = c.words.one_of(&[
        ("add", AtomOp::Add),
        ("and", AtomOp::And),
        ("or", AtomOp::Or),
        ("xor", AtomOp::Xor),
        ("exch", AtomOp::Exch),
        ("cas", AtomOp::Cas),
        ("min", AtomOp::Min),
        ("max", AtomOp::Max),
        ("inc", AtomOp::Inc),
        ("dec", AtomOp::Dec),
    ])?;
    let noftz = c.words.take("noftz");
    let hinted = cache_hints(&mut c.words);
    let count = if c.words.take("v8") { 8 } else { vector(&mut c.words)? };
    let ty = c.words.ty()?;
    if count > 1 {
        return atom_vector(c, op, ty, (space, order), count, noftz, (returns, hinted));
    }
    let half = matches!(ty, Ty::F16 | Ty::F16x2 | Ty::BF16 | Ty::BF16x2);
    let known = match op {
        AtomOp::Add => matches!(ty, Ty::U32 | Ty::S32 | Ty::U64 | Ty::S64 | Ty::F32 | Ty::F64) || half,
        AtomOp::And | AtomOp::Or | AtomOp::Xor => matches!(ty, Ty::B32 | Ty::B64),
        AtomOp::Exch => returns && matches!(ty, Ty::B32 | Ty::B64),
        AtomOp::Cas => returns && matches!(ty, Ty::B16 | Ty::B32 | Ty::B64),
        AtomOp::Min | AtomOp::Max => is_signed(ty) && bits_of(ty) >= 32 || matches!(ty, Ty::U32 | Ty::U64),
        AtomOp::Inc | AtomOp::Dec => ty == Ty::U32,
    };
    if !known || noftz != (half && op == AtomOp::Add) {
        return Err(format!("{op:?} of type {ty:?} is not supported"));
    }
    let first = usize::from(returns);
    let count = first + 2 + usize::from(op == AtomOp::Cas) + usize::from(hinted);
    let operands = c.between(count, count)?;
    let addr = c.addr(&operands[first], space)?;
    let b = c.src(&operands[first + 1], ty)?;
    let new = if op == AtomOp::Cas { c.src(&operands[first + 2], ty)? } else { b };
    policy(c, operands[first + 2..].get(usize::from(op == AtomOp::Cas)))?;
    let d = match &operands[0] {
        Operand::Sink => None,
        operand if returns => Some(c.dst(operand, ty)?),
        _ => None,
    };
    c.emit(Op::Atom { op, space, ty, order, d, addr, b, c: new });
    Ok(())
}

/// `red.global.v4.f32.add` and its like (sm_90): each element is atomic by itself, in order.
fn atom_vector(
    c: &mut Context,
    op: AtomOp,
    ty: Ty,
    (space, order): (Space, Order),
    count: usize,
    noftz: bool,
    (returns, hinted): (bool, bool),
) -> Result {
    let known = match ty {
        Ty::F32 => op == AtomOp::Add && !noftz,
        Ty::F16 | Ty::BF16 | Ty::F16x2 | Ty::BF16x2 => noftz && matches!(op, AtomOp::Add | AtomOp::Min | AtomOp::Max),
        _ => false,
    };
    let bytes = usize::from(bits_of(ty)) / 8 * count;
    if !known || bytes > 16 || !matches!(space, Space::Global | Space::Generic) {
        return Err(format!("{op:?} of {count} elements of type {ty:?} in {space:?} memory is not supported"));
    }
    let first = usize::from(returns);
    let operands = c.between(first + 2 + usize::from(hinted), first + 2 + usize::from(hinted))?;
    let addr = c.addr(&operands[first], space)?;
    policy(c, operands.get(first + 2))?;
    c.emit(Op::Aligned { space, addr, bytes: bytes as u8 });
    for i in 0..count {
        let b = c.src(&Context::vector(&operands[first + 1], count)?[i], ty)?;
        let d = match returns {
            true => match &Context::vector(&operands[0], count)?[i] {
                Operand::Sink => None,
                operand => Some(c.dst(operand, ty)?),
            },
            false => None,
        };
        let addr =
            super::super::super::ir::Addr { offset: addr.offset.wrapping_add((i * bytes / count) as i64), ..addr };
        c.emit(Op::Atom { op, space, ty, order, d, addr, b, c: b });
    }
    Ok(())
}

fn prefetch(c: &mut Context) -> Result {
    let space = space(&mut c.words);
    let [address] = c.args()?;
    let addr = c.addr(address, space)?;
    if c.words.take("tensormap") {
        c.emit(Op::PrefetchTensorMap { map: addr });
        return Ok(());
    }
    c.words.one_of(&[("L1", ()), ("L2", ()), ("L2::evict_last", ()), ("L2::evict_normal", ())])?;
    c.emit(Op::Prefetch { space, addr });
    Ok(())
}

/// `discard.global.L2 [a], 128` and `applypriority.global.L2::evict_normal [a], 128`.
fn discard(c: &mut Context) -> Result {
    let space = space(&mut c.words);
    c.words.one_of(&[("L2", ()), ("L2::evict_normal", ())])?;
    let [address, size] = c.args()?;
    Context::literal(size)?;
    let addr = c.addr(address, space)?;
    c.emit(Op::Prefetch { space, addr });
    Ok(())
}

/// A cache policy is a number that only cache hints read.
fn createpolicy(c: &mut Context) -> Result {
    let (least, most) = c.words.one_of(&[("fractional", (1, 2)), ("range", (4, 4)), ("cvt", (2, 2))])?;
    c.words.take("L2");
    c.words.take("global");
    cache_hints(&mut c.words);
    c.words.take("L2::evict_unchanged");
    c.words.ty_in(&[Ty::B64])?;
    let operands = c.between(least, most)?;
    let a = c.const64(0)?;
    let d = c.dst(&operands[0], Ty::B64)?;
    c.emit(Op::Unary { f: super::super::super::ir::Unary::Mov, ty: Ty::B64, mods: PLAIN, d, a });
    Ok(())
}

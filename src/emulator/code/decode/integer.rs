//! Integer arithmetic (PTX ISA §9.7.1–§9.7.2), and the front of mnemonics that float types share.

use super::super::super::ir::{Binary, Cmp, File, Op, PredSrc, Reg, Ternary, Ty, Unary};
use super::super::super::ptx::ast::Operand;
use super::super::words::{PLAIN, bits_of, is_float};
use super::context::Context;
use super::{Decode, float};

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("add", |c| sum(c, false, false)),
    ("addc", |c| sum(c, false, true)),
    ("sub", |c| sum(c, true, false)),
    ("subc", |c| sum(c, true, true)),
    ("mul", multiply),
    ("mad", |c| multiply_add(c, false)),
    ("madc", |c| multiply_add(c, true)),
    ("bmsk", |c| clamped(c, [Binary::BmskClamp, Binary::BmskWrap], &[Ty::B32])),
    ("szext", |c| clamped(c, [Binary::SzextClamp, Binary::SzextWrap], &[Ty::U32, Ty::S32])),
    ("fns", fns),
    ("mul24", |c| multiply24(c, false)),
    ("mad24", |c| multiply24(c, true)),
    ("div", divide),
    ("rem", |c| plain_binary(c, Binary::Rem, &INTS)),
    ("min", |c| least(c, Binary::Min)),
    ("max", |c| least(c, Binary::Max)),
    ("abs", |c| sign(c, Unary::Abs)),
    ("neg", |c| sign(c, Unary::Neg)),
    ("sad", sad),
    ("popc", |c| count(c, Unary::Popc)),
    ("clz", |c| count(c, Unary::Clz)),
    ("brev", brev),
    ("bfind", bfind),
    ("bfe", bfe),
    ("bfi", bfi),
    ("dp4a", dp4a),
    ("dp2a", dp2a),
];

/// Integer types of arithmetic.
const INTS: [Ty; 6] = [Ty::U16, Ty::S16, Ty::U32, Ty::S32, Ty::U64, Ty::S64];
const WORDS: [Ty; 4] = [Ty::U32, Ty::S32, Ty::U64, Ty::S64];

fn check(ty: Ty, allowed: &[Ty]) -> Result {
    if allowed.contains(&ty) { Ok(()) } else { Err(format!("type {ty:?} is not supported here")) }
}

fn plain_binary(c: &mut Context, f: Binary, allowed: &[Ty]) -> Result {
    let ty = c.words.ty_in(allowed)?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
    Ok(())
}

#[allow(clippy::too_many_arguments)] // two switches and the operands of the instruction
fn add_carry(c: &mut Context, ty: Ty, sub: bool, carry_in: bool, carry_out: bool, d: Reg, a: Reg, b: Reg) -> Result {
    let carry = c.carry()?;
    let (carry_in, carry_out) = (carry_in.then_some(carry), carry_out.then_some(carry));
    c.emit(Op::AddCarry { ty, sub, d, a, b, carry_in, carry_out });
    Ok(())
}

/// Two 16-bit integers a register (sm_90).
fn packed_type(c: &mut Context) -> Option<Ty> {
    c.words.find(|word| match word {
        "u16x2" => Some(Ty::U16x2),
        "s16x2" => Some(Ty::S16x2),
        _ => None,
    })
}

fn packed_binary(c: &mut Context, f: Binary, ty: Ty) -> Result {
    let relu = ty == Ty::S16x2 && f != Binary::Add && c.words.take("relu");
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    two_step(c, f, ty, d, a, b, relu)
}

/// `d = f(a, b)`, and with `.relu` not less than zero.
fn two_step<'a>(c: &mut Context<'_, '_, 'a>, f: Binary, ty: Ty, d: &Operand<'a>, a: Reg, b: Reg, relu: bool) -> Result {
    if !relu {
        let d = c.dst(d, ty)?;
        c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
        return Ok(());
    }
    let (either, zero) = (c.temp(File::R32)?, c.const32(0)?);
    c.prepare(Op::Binary { f, ty, mods: PLAIN, d: either, a, b });
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f: Binary::Max, ty, mods: PLAIN, d, a: either, b: zero });
    Ok(())
}

fn sum(c: &mut Context, sub: bool, carry_in: bool) -> Result {
    if !sub
        && !carry_in
        && let Some(ty) = packed_type(c)
    {
        return packed_binary(c, Binary::Add, ty);
    }
    let ty = c.words.ty()?;
    let carry_out = c.words.take("cc");
    let f = if sub { Binary::Sub } else { Binary::Add };
    if is_float(ty) && !carry_in && !carry_out {
        return float::binary(c, f, ty);
    }
    if !carry_in && !carry_out {
        check(ty, &INTS)?;
        let sat = c.words.take("sat");
        if sat && ty != Ty::S32 {
            return Err("only .s32 saturates".into());
        }
        let [d, a, b] = c.args()?;
        let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
        let mods = super::super::super::ir::Mods { sat, ..PLAIN };
        let d = c.dst(d, ty)?;
        c.emit(Op::Binary { f, ty, mods, d, a, b });
        return Ok(());
    }
    check(ty, &WORDS)?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    add_carry(c, ty, sub, carry_in, carry_out, d, a, b)
}

/// Which half of a product.
#[derive(Clone, Copy)]
enum Half {
    Lo,
    Hi,
    Wide,
}

const HALVES: [(&str, Half); 3] = [("lo", Half::Lo), ("hi", Half::Hi), ("wide", Half::Wide)];

fn wide_type(ty: Ty) -> std::result::Result<Ty, String> {
    Ok(match ty {
        Ty::U16 => Ty::U32,
        Ty::S16 => Ty::S32,
        Ty::U32 => Ty::U64,
        Ty::S32 => Ty::S64,
        _ => return Err(format!(".wide needs a 16- or 32-bit type, not {ty:?}")),
    })
}

fn multiply(c: &mut Context) -> Result {
    let ty = c.words.ty()?;
    if is_float(ty) {
        return float::binary(c, Binary::Mul, ty);
    }
    check(ty, &INTS)?;
    let half = c.words.one_of(&HALVES)?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let (f, dty) = match half {
        Half::Lo => (Binary::MulLo, ty),
        Half::Hi => (Binary::MulHi, ty),
        Half::Wide => (Binary::MulWide, wide_type(ty)?),
    };
    let d = c.dst(d, dty)?;
    c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
    Ok(())
}

fn multiply_add(c: &mut Context, carry_in: bool) -> Result {
    let ty = c.words.ty()?;
    if matches!(ty, Ty::F32 | Ty::F64) && !carry_in {
        // Since sm_20 a float `mad` with a rounding is `fma`.
        return float::fma(c, ty);
    }
    check(ty, &INTS)?;
    let half = c.words.one_of(&HALVES)?;
    let (sat, carry_out) = (c.words.take("sat"), c.words.take("cc"));
    let [d, a, b, addend] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    if carry_in || carry_out {
        check(ty, &WORDS)?;
        let f = match half {
            Half::Lo if !sat => Binary::MulLo,
            Half::Hi if !sat => Binary::MulHi,
            _ => return Err("carry is supported with .lo and .hi only".into()),
        };
        let addend = c.src(addend, ty)?;
        let product = c.temp(super::operand::file_of(ty))?;
        c.prepare(Op::Binary { f, ty, mods: PLAIN, d: product, a, b });
        let d = c.dst(d, ty)?;
        return add_carry(c, ty, false, carry_in, carry_out, d, product, addend);
    }
    let (f, dty) = match half {
        Half::Lo => (Ternary::MadLo, ty),
        Half::Hi => (Ternary::MadHi, ty),
        Half::Wide => (Ternary::MadWide, wide_type(ty)?),
    };
    if sat && (ty != Ty::S32 || !matches!(half, Half::Hi)) {
        return Err(".sat is supported with .hi.s32 only".into());
    }
    let addend = c.src(addend, dty)?;
    let d = c.dst(d, dty)?;
    let mods = super::super::super::ir::Mods { sat, ..PLAIN };
    c.emit(Op::Ternary { f, ty, mods, d, a, b, c: addend });
    Ok(())
}

fn multiply24(c: &mut Context, add: bool) -> Result {
    let f = c.words.one_of(&[("lo", Binary::Mul24Lo), ("hi", Binary::Mul24Hi)])?;
    let ty = c.words.ty_in(&[Ty::U32, Ty::S32])?;
    let sat = add && f == Binary::Mul24Hi && ty == Ty::S32 && c.words.take("sat");
    let operands = c.between(if add { 4 } else { 3 }, if add { 4 } else { 3 })?;
    let (a, b) = (c.src(&operands[1], ty)?, c.src(&operands[2], ty)?);
    if !add {
        let d = c.dst(&operands[0], ty)?;
        c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
        return Ok(());
    }
    let addend = c.src(&operands[3], ty)?;
    let product = c.temp(File::R32)?;
    c.prepare(Op::Binary { f, ty, mods: PLAIN, d: product, a, b });
    let d = c.dst(&operands[0], ty)?;
    let mods = super::super::super::ir::Mods { sat, ..PLAIN };
    c.emit(Op::Binary { f: Binary::Add, ty, mods, d, a: product, b: addend });
    Ok(())
}

fn divide(c: &mut Context) -> Result {
    let ty = c.words.ty()?;
    if is_float(ty) {
        return float::divide(c, ty);
    }
    check(ty, &INTS)?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f: Binary::Div, ty, mods: PLAIN, d, a, b });
    Ok(())
}

fn least(c: &mut Context, f: Binary) -> Result {
    if let Some(ty) = packed_type(c) {
        return packed_binary(c, f, ty);
    }
    let ty = c.words.ty()?;
    if is_float(ty) {
        return float::least(c, f, ty);
    }
    check(ty, &INTS)?;
    let relu = ty == Ty::S32 && c.words.take("relu");
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    two_step(c, f, ty, d, a, b, relu)
}

/// Instructions with `.clamp` or `.wrap`.
fn clamped(c: &mut Context, [clamp, wrap]: [Binary; 2], allowed: &[Ty]) -> Result {
    let f = c.words.one_of(&[("clamp", clamp), ("wrap", wrap)])?;
    plain_binary(c, f, allowed)
}

fn fns(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&[Ty::B32])?;
    let [d, mask, base, offset] = c.args()?;
    let (a, b, offset) = (c.src(mask, ty)?, c.src(base, Ty::U32)?, c.src(offset, Ty::S32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f: Ternary::Fns, ty, mods: PLAIN, d, a, b, c: offset });
    Ok(())
}

fn sign(c: &mut Context, f: Unary) -> Result {
    let ty = c.words.ty()?;
    if is_float(ty) {
        return float::sign(c, f, ty);
    }
    check(ty, &[Ty::S16, Ty::S32, Ty::S64])?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f, ty, mods: PLAIN, d, a });
    Ok(())
}

fn sad(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&INTS)?;
    let [d, a, b, addend] = c.args()?;
    let (a, b, addend) = (c.src(a, ty)?, c.src(b, ty)?, c.src(addend, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f: Ternary::Sad, ty, mods: PLAIN, d, a, b, c: addend });
    Ok(())
}

/// `popc` and `clz`: the count has 32 bits whatever the type.
fn count(c: &mut Context, f: Unary) -> Result {
    let ty = c.words.ty_in(&[Ty::B32, Ty::B64])?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, Ty::U32)?;
    c.emit(Op::Unary { f, ty, mods: PLAIN, d, a });
    Ok(())
}

fn brev(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&[Ty::B32, Ty::B64])?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f: Unary::Brev, ty, mods: PLAIN, d, a });
    Ok(())
}

/// `bfind`; `.shiftamt` is the distance from the top instead, and -1 stays -1.
fn bfind(c: &mut Context) -> Result {
    let shift = c.words.take("shiftamt");
    let ty = c.words.ty_in(&WORDS)?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, Ty::U32)?;
    if !shift {
        c.emit(Op::Unary { f: Unary::BfindHigh, ty, mods: PLAIN, d, a });
        return Ok(());
    }
    let top = c.const32(u32::from(bits_of(ty)) - 1)?;
    let none = c.const32(u32::MAX)?;
    let (high, distance, missing) = (c.temp(File::R32)?, c.temp(File::R32)?, c.temp(File::Pred)?);
    c.prepare(Op::Unary { f: Unary::BfindHigh, ty, mods: PLAIN, d: high, a });
    c.prepare(Op::Binary { f: Binary::Sub, ty: Ty::U32, mods: PLAIN, d: distance, a: top, b: high });
    c.prepare(Op::Setp {
        cmp: Cmp::Eq,
        ty: Ty::U32,
        ftz: false,
        d: Some(missing),
        not_d: None,
        a: high,
        b: none,
        combine: None,
    });
    let p = PredSrc { pred: missing, negated: false };
    c.emit(Op::Selp { ty: Ty::U32, d, a: none, b: distance, p });
    Ok(())
}

fn bfe(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&WORDS)?;
    let [d, a, position, length] = c.args()?;
    let (a, position, length) = (c.src(a, ty)?, c.src(position, Ty::U32)?, c.src(length, Ty::U32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f: Ternary::Bfe, ty, mods: PLAIN, d, a, b: position, c: length });
    Ok(())
}

fn bfi(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&[Ty::B32, Ty::B64])?;
    let [d, a, b, position, length] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let (pos, len) = (c.src(position, Ty::U32)?, c.src(length, Ty::U32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Bfi { ty, d, a, b, pos, len });
    Ok(())
}

fn dot(c: &mut Context, f: impl Fn(bool, bool) -> Ternary) -> Result {
    let a_signed = c.words.ty_in(&[Ty::U32, Ty::S32])? == Ty::S32;
    let b_signed = c.words.ty_in(&[Ty::U32, Ty::S32])? == Ty::S32;
    let [d, a, b, addend]: &[Operand; 4] = c.args()?;
    let (a, b, addend) = (c.src(a, Ty::B32)?, c.src(b, Ty::B32)?, c.src(addend, Ty::B32)?);
    let d = c.dst(d, Ty::B32)?;
    let ty = if a_signed || b_signed { Ty::S32 } else { Ty::U32 };
    c.emit(Op::Ternary { f: f(a_signed, b_signed), ty, mods: PLAIN, d, a, b, c: addend });
    Ok(())
}

fn dp4a(c: &mut Context) -> Result {
    dot(c, Ternary::Dp4a)
}

fn dp2a(c: &mut Context) -> Result {
    match c.words.one_of(&[("lo", false), ("hi", true)])? {
        false => dot(c, Ternary::Dp2aLo),
        true => dot(c, Ternary::Dp2aHi),
    }
}

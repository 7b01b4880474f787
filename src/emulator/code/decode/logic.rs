//! Logic, shifts, comparisons and selection (PTX ISA §9.7.6–§9.7.8).

use super::super::super::ir::{Binary, BoolOp, Cmp, Op, PredSrc, PrmtMode, Ternary, Ty, Unary};
use super::super::super::ptx::ast::Operand;
use super::super::words::{PLAIN, is_float, is_signed};
use super::Decode;
use super::context::Context;

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("and", |c| bitwise(c, Binary::And, BoolOp::And)),
    ("or", |c| bitwise(c, Binary::Or, BoolOp::Or)),
    ("xor", |c| bitwise(c, Binary::Xor, BoolOp::Xor)),
    ("not", not),
    ("cnot", cnot),
    ("shl", |c| shift(c, Binary::Shl)),
    ("shr", |c| shift(c, Binary::Shr)),
    ("shf", funnel),
    ("lop3", lop3),
    ("prmt", prmt),
    ("setp", setp),
    ("set", set),
    ("selp", selp),
    ("slct", slct),
];

const BITS: [Ty; 3] = [Ty::B16, Ty::B32, Ty::B64];
const BOOL: [(&str, BoolOp); 3] = [("and", BoolOp::And), ("or", BoolOp::Or), ("xor", BoolOp::Xor)];

fn bitwise(c: &mut Context, f: Binary, op: BoolOp) -> Result {
    let [d, a, b] = c.args()?;
    if c.words.take("pred") {
        let (a, b) = (c.pred_src(a)?, c.pred_src(b)?);
        if let Some(d) = c.pred_dst(d)? {
            c.emit(Op::PredBin { op, d, a, b });
        }
        return Ok(());
    }
    let ty = c.words.ty_in(&BITS)?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
    Ok(())
}

fn not(c: &mut Context) -> Result {
    let [d, a] = c.args()?;
    if c.words.take("pred") {
        let a = c.pred_src(a)?;
        if let Some(d) = c.pred_dst(d)? {
            c.emit(Op::PredMov { d, a: PredSrc { negated: !a.negated, ..a } });
        }
        return Ok(());
    }
    let ty = c.words.ty_in(&BITS)?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f: Unary::Not, ty, mods: PLAIN, d, a });
    Ok(())
}

fn cnot(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&BITS)?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f: Unary::Cnot, ty, mods: PLAIN, d, a });
    Ok(())
}

/// The distance of a shift has 32 bits whatever the type.
fn shift(c: &mut Context, f: Binary) -> Result {
    let ty = c.words.ty()?;
    let right = f == Binary::Shr;
    let number = matches!(ty, Ty::U16 | Ty::U32 | Ty::U64) || is_signed(ty) && ty != Ty::S8;
    if !(BITS.contains(&ty) || right && number) {
        return Err(format!("type {ty:?} is not supported here"));
    }
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, Ty::U32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods: PLAIN, d, a, b });
    Ok(())
}

fn funnel(c: &mut Context) -> Result {
    let left = c.words.one_of(&[("l", true), ("r", false)])?;
    let wrap = c.words.one_of(&[("wrap", true), ("clamp", false)])?;
    let f = match (left, wrap) {
        (true, true) => Ternary::ShfLWrap,
        (true, false) => Ternary::ShfLClamp,
        (false, true) => Ternary::ShfRWrap,
        (false, false) => Ternary::ShfRClamp,
    };
    let ty = c.words.ty_in(&[Ty::B32])?;
    let [d, a, b, distance] = c.args()?;
    let (a, b, distance) = (c.src(a, ty)?, c.src(b, ty)?, c.src(distance, Ty::U32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f, ty, mods: PLAIN, d, a, b, c: distance });
    Ok(())
}

/// `lop3`, also with a predicate that tells whether the result is not zero.
fn lop3(c: &mut Context) -> Result {
    let ty = Ty::B32;
    let combine = c.words.find(|word| BOOL.iter().find(|(name, _)| *name == word).map(|&(_, op)| op));
    c.words.ty_in(&[ty])?;
    let operands = if combine.is_some() { c.between(6, 6)? } else { c.between(5, 5)? };
    let (a, b, third) = (c.src(&operands[1], ty)?, c.src(&operands[2], ty)?, c.src(&operands[3], ty)?);
    let table = u8::try_from(Context::literal(&operands[4])?).map_err(|_| "the table of lop3 is one byte")?;
    let (d, p) = Context::pair(&operands[0]);
    if p.is_some() != combine.is_some() {
        return Err("a predicate result goes with .and, .or or .xor".into());
    }
    let combine = match combine {
        Some(op) => Some((op, c.pred_src(&operands[5])?)),
        None => None,
    };
    let p = match p {
        Some(p) => c.pred_dst(p)?,
        None => None,
    };
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f: Ternary::Lop3(table), ty, mods: PLAIN, d, a, b, c: third });
    if p.is_some() {
        let zero = c.const32(0)?;
        c.emit(Op::Setp { cmp: Cmp::Ne, ty, ftz: false, d: p, not_d: None, a: d, b: zero, combine });
    }
    Ok(())
}

fn prmt(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&[Ty::B32])?;
    let mode = c.words.find(|word| {
        Some(match word {
            "f4e" => PrmtMode::F4e,
            "b4e" => PrmtMode::B4e,
            "rc8" => PrmtMode::Rc8,
            "ecl" => PrmtMode::Ecl,
            "ecr" => PrmtMode::Ecr,
            "rc16" => PrmtMode::Rc16,
            _ => return None,
        })
    });
    let [d, a, b, selector] = c.args()?;
    let (a, b, selector) = (c.src(a, ty)?, c.src(b, ty)?, c.src(selector, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(match mode {
        None => Op::Ternary { f: Ternary::Prmt, ty, mods: PLAIN, d, a, b, c: selector },
        Some(mode) => Op::PrmtMode { mode, d, a, b, c: selector },
    });
    Ok(())
}

/// A comparison, and how it is combined with a predicate.
fn comparison(c: &mut Context) -> std::result::Result<(Cmp, Option<BoolOp>), String> {
    // `lo`, `ls`, `hi`, `hs` are the unsigned names of `lt`, `le`, `gt`, `ge`.
    let cmp = c.words.one_of(&[
        ("eq", Cmp::Eq),
        ("ne", Cmp::Ne),
        ("lt", Cmp::Lt),
        ("le", Cmp::Le),
        ("gt", Cmp::Gt),
        ("ge", Cmp::Ge),
        ("lo", Cmp::Lt),
        ("ls", Cmp::Le),
        ("hi", Cmp::Gt),
        ("hs", Cmp::Ge),
        ("equ", Cmp::Equ),
        ("neu", Cmp::Neu),
        ("ltu", Cmp::Ltu),
        ("leu", Cmp::Leu),
        ("gtu", Cmp::Gtu),
        ("geu", Cmp::Geu),
        ("num", Cmp::Num),
        ("nan", Cmp::Nan),
    ])?;
    Ok((cmp, c.words.find(|word| BOOL.iter().find(|(name, _)| *name == word).map(|&(_, op)| op))))
}

fn check_comparison(cmp: Cmp, ty: Ty) -> Result {
    let ordered = matches!(cmp, Cmp::Lt | Cmp::Le | Cmp::Gt | Cmp::Ge);
    let float_only = !ordered && !matches!(cmp, Cmp::Eq | Cmp::Ne);
    if float_only && !is_float(ty) || ordered && BITS.contains(&ty) {
        return Err(format!("{cmp:?} does not exist for type {ty:?}"));
    }
    if matches!(ty, Ty::U8 | Ty::S8 | Ty::B8 | Ty::E4M3x2 | Ty::E5M2x2 | Ty::TF32) {
        return Err(format!("type {ty:?} is not supported here"));
    }
    Ok(())
}

fn takes_ftz(c: &mut Context, ty: Ty) -> bool {
    matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2) && c.words.take("ftz")
}

fn combined<'a>(
    c: &mut Context<'_, '_, 'a>,
    op: Option<BoolOp>,
    operands: &[Operand<'a>],
) -> std::result::Result<Option<(BoolOp, PredSrc)>, String> {
    match op {
        Some(op) => Ok(Some((op, c.pred_src(&operands[3])?))),
        None => Ok(None),
    }
}

fn setp(c: &mut Context) -> Result {
    let (cmp, op) = comparison(c)?;
    let ty = c.words.ty()?;
    check_comparison(cmp, ty)?;
    let ftz = takes_ftz(c, ty);
    let count = 3 + usize::from(op.is_some());
    let operands = c.between(count, count)?;
    let (a, b) = (c.src(&operands[1], ty)?, c.src(&operands[2], ty)?);
    let combine = combined(c, op, operands)?;
    let (d, not_d) = Context::pair(&operands[0]);
    let d = c.pred_dst(d)?;
    let not_d = match not_d {
        Some(not_d) => c.pred_dst(not_d)?,
        None => None,
    };
    c.emit(Op::Setp { cmp, ty, ftz, d, not_d, a, b, combine });
    Ok(())
}

fn set(c: &mut Context) -> Result {
    let (cmp, op) = comparison(c)?;
    let dty =
        c.words.ty_in(&[Ty::U32, Ty::S32, Ty::U16, Ty::S16, Ty::F32, Ty::F16, Ty::F16x2, Ty::BF16, Ty::BF16x2])?;
    let ty = c.words.ty()?;
    check_comparison(cmp, ty)?;
    let pairs = [Ty::F16x2, Ty::BF16x2];
    if dty != ty && (pairs.contains(&dty) || pairs.contains(&ty) && !matches!(dty, Ty::U32 | Ty::S32)) {
        return Err(format!("a comparison of {ty:?} with a result of {dty:?} is not supported"));
    }
    let ftz = takes_ftz(c, ty);
    let count = 3 + usize::from(op.is_some());
    let operands = c.between(count, count)?;
    let (a, b) = (c.src(&operands[1], ty)?, c.src(&operands[2], ty)?);
    let combine = combined(c, op, operands)?;
    let d = c.dst(&operands[0], dty)?;
    c.emit(Op::Set { cmp, dty, ty, ftz, d, a, b, combine });
    Ok(())
}

fn selp(c: &mut Context) -> Result {
    let ty = c.words.ty()?;
    let [d, a, b, p] = c.args()?;
    let (a, b, p) = (c.src(a, ty)?, c.src(b, ty)?, c.pred_src(p)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Selp { ty, d, a, b, p });
    Ok(())
}

fn slct(c: &mut Context) -> Result {
    let ftz = c.words.take("ftz");
    let ty = c.words.ty()?;
    let cty = c.words.ty_in(&[Ty::S32, Ty::F32])?;
    if ftz && cty != Ty::F32 {
        return Err(".ftz needs an .f32 condition".into());
    }
    let [d, a, b, condition] = c.args()?;
    let (a, b, condition) = (c.src(a, ty)?, c.src(b, ty)?, c.src(condition, cty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Slct { ty, cty, ftz, d, a, b, c: condition });
    Ok(())
}

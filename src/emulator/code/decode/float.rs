//! Float arithmetic (PTX ISA §9.7.3–§9.7.5).

use super::super::super::ir::{Binary, BoolOp, Cmp, File, Mods, Op, Pred, PredSrc, Reg, Round, Ternary, Ty, Unary};
use super::super::words::PLAIN;
use super::Decode;
use super::context::Context;

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("fma", |c| {
        let ty = c.words.ty()?;
        fma(c, ty)
    }),
    ("rcp", |c| root(c, Unary::Rcp, Some(Unary::RcpApprox))),
    ("sqrt", |c| root(c, Unary::Sqrt, Some(Unary::SqrtApprox))),
    ("rsqrt", |c| root(c, Unary::Rsqrt, None)),
    ("ex2", |c| approximate(c, Unary::Ex2, &[Ty::F32, Ty::F16, Ty::F16x2, Ty::BF16, Ty::BF16x2])),
    ("lg2", |c| approximate(c, Unary::Lg2, &[Ty::F32])),
    ("sin", |c| approximate(c, Unary::Sin, &[Ty::F32])),
    ("cos", |c| approximate(c, Unary::Cos, &[Ty::F32])),
    ("tanh", |c| approximate(c, Unary::Tanh, &[Ty::F32, Ty::F16, Ty::F16x2, Ty::BF16, Ty::BF16x2])),
    ("copysign", copysign),
    ("testp", testp),
];

const HALVES: [Ty; 4] = [Ty::F16, Ty::F16x2, Ty::BF16, Ty::BF16x2];
const FLOATS: [Ty; 6] = [Ty::F16, Ty::F16x2, Ty::BF16, Ty::BF16x2, Ty::F32, Ty::F64];

fn check(ty: Ty, allowed: &[Ty]) -> Result {
    if allowed.contains(&ty) { Ok(()) } else { Err(format!("type {ty:?} is not supported here")) }
}

/// Rounding (to nearest unless said), `.ftz`, `.sat` and `.relu` as far as a type has them.
fn arithmetic_mods(c: &mut Context, ty: Ty) -> std::result::Result<Mods, String> {
    let round = match c.words.float_round() {
        Round::None => Round::Nearest,
        round => round,
    };
    if HALVES.contains(&ty) && round != Round::Nearest || round == Round::NearestAway {
        return Err(format!("{ty:?} arithmetic rounds to nearest only"));
    }
    let ftz = matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2) && c.words.take("ftz");
    let sat = matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2) && c.words.take("sat");
    Ok(Mods { round, ftz, sat, ..PLAIN })
}

/// `add`, `sub` and `mul`.
pub(super) fn binary(c: &mut Context, f: Binary, ty: Ty) -> Result {
    check(ty, &FLOATS)?;
    let mods = arithmetic_mods(c, ty)?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods, d, a, b });
    Ok(())
}

pub(super) fn fma(c: &mut Context, ty: Ty) -> Result {
    check(ty, &FLOATS)?;
    let mut mods = arithmetic_mods(c, ty)?;
    mods.relu = HALVES.contains(&ty) && c.words.take("relu");
    if mods.relu && mods.sat {
        return Err(".sat and .relu do not go together".into());
    }
    let [d, a, b, addend] = c.args()?;
    let (a, b, addend) = (c.src(a, ty)?, c.src(b, ty)?, c.src(addend, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Ternary { f: Ternary::Fma, ty, mods, d, a, b, c: addend });
    Ok(())
}

pub(super) fn divide(c: &mut Context, ty: Ty) -> Result {
    check(ty, &[Ty::F32, Ty::F64])?;
    let single = ty == Ty::F32;
    let (f, round) = if single && c.words.take("approx") {
        (Binary::DivApprox, Round::None)
    } else if single && c.words.take("full") {
        (Binary::DivFull, Round::None)
    } else {
        match c.words.float_round() {
            Round::None => return Err("a rounding, .approx or .full is missing".into()),
            round => (Binary::Div, round),
        }
    };
    let mods = Mods { round, ftz: single && c.words.take("ftz"), ..PLAIN };
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods, d, a, b });
    Ok(())
}

/// `min` and `max`.
pub(super) fn least(c: &mut Context, f: Binary, ty: Ty) -> Result {
    check(ty, &FLOATS)?;
    let ftz = matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2) && c.words.take("ftz");
    let nan = ty != Ty::F64 && c.words.take("NaN");
    let f = if ty != Ty::F64 && c.words.take("xorsign") {
        c.words.require("abs")?;
        if f == Binary::Min { Binary::MinXorsign } else { Binary::MaxXorsign }
    } else {
        f
    };
    if c.inst.operands.len() > 3 {
        return Err("three-input min and max need sm_100 and are not supported".into());
    }
    let mods = Mods { ftz, nan, ..PLAIN };
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f, ty, mods, d, a, b });
    Ok(())
}

/// `abs` and `neg`.
pub(super) fn sign(c: &mut Context, f: Unary, ty: Ty) -> Result {
    check(ty, &FLOATS)?;
    let mods = Mods { ftz: matches!(ty, Ty::F32 | Ty::F16 | Ty::F16x2) && c.words.take("ftz"), ..PLAIN };
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f, ty, mods, d, a });
    Ok(())
}

/// `rcp`, `sqrt`, `rsqrt`: rounded, or `.approx`; `rsqrt` is `.approx` always.
fn root(c: &mut Context, exact: Unary, approx: Option<Unary>) -> Result {
    let ty = c.words.ty_in(&[Ty::F32, Ty::F64])?;
    let approximate = c.words.take("approx");
    let round = c.words.float_round();
    let ftz = c.words.take("ftz");
    let f = match (approximate, round, approx) {
        (true, Round::None, Some(approx)) if ty == Ty::F32 || approx == Unary::RcpApprox && ftz => approx,
        (true, Round::None, None) => exact,
        (false, Round::Nearest | Round::Zero | Round::Up | Round::Down, Some(_)) if ty == Ty::F32 || !ftz => exact,
        _ => return Err("this choice of .approx, rounding and .ftz does not exist for the type".into()),
    };
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f, ty, mods: Mods { round, ftz, ..PLAIN }, d, a });
    Ok(())
}

fn approximate(c: &mut Context, f: Unary, allowed: &[Ty]) -> Result {
    c.words.require("approx")?;
    let ty = c.words.ty_in(allowed)?;
    let ftz = match ty {
        Ty::F32 => f != Unary::Tanh && c.words.take("ftz"),
        // `ex2` of bfloat16 exists with .ftz only; of half precision without.
        Ty::BF16 | Ty::BF16x2 if f == Unary::Ex2 => {
            c.words.require("ftz")?;
            true
        }
        _ => false,
    };
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f, ty, mods: Mods { ftz, ..PLAIN }, d, a });
    Ok(())
}

fn copysign(c: &mut Context) -> Result {
    let ty = c.words.ty_in(&[Ty::F32, Ty::F64])?;
    let [d, a, b] = c.args()?;
    let (a, b) = (c.src(a, ty)?, c.src(b, ty)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Binary { f: Binary::CopySign, ty, mods: PLAIN, d, a, b });
    Ok(())
}

/// `testp`: every property is a comparison of the value, or of its size, with something.
fn testp(c: &mut Context) -> Result {
    #[derive(Clone, Copy)]
    enum Property {
        Self_(Cmp),
        Infinity(Cmp),
        Normal,
        Subnormal,
    }
    let property = c.words.one_of(&[
        ("number", Property::Self_(Cmp::Num)),
        ("notanumber", Property::Self_(Cmp::Nan)),
        ("infinite", Property::Infinity(Cmp::Eq)),
        ("finite", Property::Infinity(Cmp::Lt)),
        ("normal", Property::Normal),
        ("subnormal", Property::Subnormal),
    ])?;
    let ty = c.words.ty_in(&[Ty::F32, Ty::F64])?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.pred_dst(d)?;
    let (cmp, a, b) = match property {
        Property::Self_(cmp) => (cmp, a, a),
        Property::Normal | Property::Subnormal => {
            let normal = matches!(property, Property::Normal);
            return subnormal(c, ty, a, d, normal);
        }
        Property::Infinity(cmp) if ty == Ty::F32 => {
            let size = c.temp(File::R32)?;
            c.prepare(Op::Unary { f: Unary::Abs, ty, mods: PLAIN, d: size, a });
            (cmp, size, c.const32(f32::INFINITY.to_bits())?)
        }
        Property::Infinity(cmp) => {
            let size = c.temp(File::R64)?;
            c.prepare(Op::Unary { f: Unary::Abs, ty, mods: PLAIN, d: size, a });
            (cmp, size, c.const64(f64::INFINITY.to_bits())?)
        }
    };
    c.emit(Op::Setp { cmp, ty, ftz: false, d, not_d: None, a, b, combine: None });
    Ok(())
}

/// Is a value subnormal; or else, is it finite and not subnormal (zeros count as normal)?
fn subnormal(c: &mut Context, ty: Ty, a: Reg, d: Option<Pred>, normal: bool) -> Result {
    let Some(d) = d else { return Ok(()) };
    let (file, int) = if ty == Ty::F32 { (File::R32, Ty::U32) } else { (File::R64, Ty::U64) };
    let [one, most, infinity] = match ty {
        Ty::F32 => [1, 0x007F_FFFF, f32::INFINITY.to_bits().into()],
        _ => [1, (1 << 52) - 1, f64::INFINITY.to_bits()],
    };
    let (one, most) = (c.int_const(one, int)?, c.int_const(most, int)?);
    let (size, below) = (c.temp(file)?, c.temp(file)?);
    c.prepare(Op::Unary { f: Unary::Abs, ty, mods: PLAIN, d: size, a });
    // The smallest one as zero: zero itself is then far above all of them.
    c.prepare(Op::Binary { f: Binary::Sub, ty: int, mods: PLAIN, d: below, a: size, b: one });
    let test = |d, cmp, ty, a, b, combine| Op::Setp { cmp, ty, ftz: false, d: Some(d), not_d: None, a, b, combine };
    if !normal {
        c.emit(test(d, Cmp::Lt, int, below, most, None));
        return Ok(());
    }
    let small = c.temp(File::Pred)?;
    c.prepare(test(small, Cmp::Lt, int, below, most, None));
    let infinity = c.int_const(infinity, int)?;
    let other = PredSrc { pred: small, negated: true };
    c.emit(test(d, Cmp::Lt, ty, size, infinity, Some((BoolOp::And, other))));
    Ok(())
}

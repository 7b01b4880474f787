//! Moves, packing and addresses (PTX ISA §9.7.9).

use super::super::super::ir::{File, Op, PredSrc, Space, Ternary, Ty, Unary};
use super::super::super::ptx::ast::Operand;
use super::super::words::{PLAIN, bits_of};
use super::context::Context;
use super::operand::special;
use super::{Decode, convert};

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] =
    &[("mov", mov), ("cvt", convert::cvt), ("cvt.pack", convert::cvt_pack), ("cvta", cvta), ("isspacep", isspacep)];

const TYPES: [Ty; 14] = [
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
    Ty::BF16,
    Ty::F16x2,
];

fn mov(c: &mut Context) -> Result {
    let [d, a] = c.args()?;
    if c.words.take("pred") {
        return mov_pred(c, d, a);
    }
    let ty = c.words.ty_in(&TYPES)?;
    match (d, a) {
        (Operand::Vector(parts), _) => unpack(c, ty, parts, a),
        (_, Operand::Vector(parts)) => pack(c, ty, d, parts),
        _ => {
            if let Operand::Name(name) = *a
                && c.entry.names.find_register(name)?.is_none()
                && let Some((s, width)) = special(name)
                && width <= bits_of(ty)
                && matches!(ty, Ty::B32 | Ty::U32 | Ty::S32 | Ty::B64 | Ty::U64 | Ty::S64)
            {
                let d = c.dst(d, ty)?;
                c.emit(Op::Special { d, wide: bits_of(ty) == 64, s });
                return Ok(());
            }
            let a = c.src(a, ty)?;
            let d = c.dst(d, ty)?;
            c.emit(Op::Unary { f: Unary::Mov, ty, mods: PLAIN, d, a });
            Ok(())
        }
    }
}

fn mov_pred<'a>(c: &mut Context<'_, '_, 'a>, d: &Operand<'a>, a: &Operand<'a>) -> Result {
    let Some(d) = c.pred_dst(d)? else { return Ok(()) };
    if let Operand::Int(value) = *a {
        c.emit(Op::PredConst { d, value: value != 0 });
        return Ok(());
    }
    let a: PredSrc = c.pred_src(a)?;
    c.emit(Op::PredMov { d, a });
    Ok(())
}

/// A part of an unpacked value; `_` is none.
fn part<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, ty: Ty) -> std::result::Result<Option<u16>, String> {
    if *operand == Operand::Sink { Ok(None) } else { c.dst(operand, ty).map(Some) }
}

fn unpack<'a>(c: &mut Context<'_, '_, 'a>, ty: Ty, parts: &[Operand<'a>], a: &Operand<'a>) -> Result {
    let a = c.src(a, ty)?;
    match (bits_of(ty), parts) {
        (32, [lo, hi]) => {
            let (lo, hi) = (part(c, lo, Ty::B16)?, part(c, hi, Ty::B16)?);
            c.emit(Op::Unpack32 { lo, hi, a });
        }
        (64, [lo, hi]) => {
            let (lo, hi) = (part(c, lo, Ty::B32)?, part(c, hi, Ty::B32)?);
            c.emit(Op::Unpack64 { lo, hi, a });
        }
        (64, [p0, p1, p2, p3]) => {
            let (lo, hi) = (c.temp(File::R32)?, c.temp(File::R32)?);
            c.prepare(Op::Unpack64 { lo: Some(lo), hi: Some(hi), a });
            for (a, p, q) in [(lo, p0, p1), (hi, p2, p3)] {
                let (lo, hi) = (part(c, p, Ty::B16)?, part(c, q, Ty::B16)?);
                c.emit(Op::Unpack32 { lo, hi, a });
            }
        }
        (bits @ (16 | 32), _) if parts.len() * 8 == usize::from(bits) => {
            let eight = c.const32(8)?;
            for (i, part) in parts.iter().enumerate() {
                if *part != Operand::Sink {
                    let (d, at) = (c.dst(part, Ty::B8)?, c.const32(8 * i as u32)?);
                    c.emit(Op::Ternary { f: Ternary::Bfe, ty: Ty::U32, mods: PLAIN, d, a, b: at, c: eight });
                }
            }
        }
        (bits, _) => return Err(format!("{bits} bits into {} parts is not supported", parts.len())),
    }
    Ok(())
}

fn pack<'a>(c: &mut Context<'_, '_, 'a>, ty: Ty, d: &Operand<'a>, parts: &[Operand<'a>]) -> Result {
    match (bits_of(ty), parts) {
        (32, [lo, hi]) => {
            let (lo, hi) = (c.src(lo, Ty::B16)?, c.src(hi, Ty::B16)?);
            let d = c.dst(d, ty)?;
            c.emit(Op::Pack32 { d, lo, hi });
        }
        (64, [lo, hi]) => {
            let (lo, hi) = (c.src(lo, Ty::B32)?, c.src(hi, Ty::B32)?);
            let d = c.dst(d, ty)?;
            c.emit(Op::Pack64 { d, lo, hi });
        }
        (64, [p0, p1, p2, p3]) => {
            let mut words = [0; 2];
            for (word, (lo, hi)) in words.iter_mut().zip([(p0, p1), (p2, p3)]) {
                let (lo, hi) = (c.src(lo, Ty::B16)?, c.src(hi, Ty::B16)?);
                *word = c.temp(File::R32)?;
                c.prepare(Op::Pack32 { d: *word, lo, hi });
            }
            let d = c.dst(d, ty)?;
            c.emit(Op::Pack64 { d, lo: words[0], hi: words[1] });
        }
        (bits @ (16 | 32), _) if parts.len() * 8 == usize::from(bits) => {
            let (eight, mut sum) = (c.const32(8)?, c.const32(0)?);
            for (i, part) in parts.iter().enumerate() {
                let (a, pos) = (c.src(part, Ty::B8)?, c.const32(8 * i as u32)?);
                if i + 1 == parts.len() {
                    let d = c.dst(d, ty)?;
                    c.emit(Op::Bfi { ty: Ty::B32, d, a, b: sum, pos, len: eight });
                } else {
                    let d = c.temp(File::R32)?;
                    c.prepare(Op::Bfi { ty: Ty::B32, d, a, b: sum, pos, len: eight });
                    sum = d;
                }
            }
        }
        (bits, _) => return Err(format!("{} parts into {bits} bits is not supported", parts.len())),
    }
    Ok(())
}

const SPACES: [(&str, Space); 8] = [
    ("global", Space::Global),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("shared::cluster", Space::Shared),
    ("local", Space::Local),
    ("const", Space::Const),
    ("param", Space::Param),
    ("param::entry", Space::Param),
];

fn cvta(c: &mut Context) -> Result {
    let to_space = c.words.take("to");
    let space = c.words.one_of(&SPACES)?;
    let ty = c.words.ty_in(&[Ty::U64, Ty::U32])?;
    let [d, a] = c.args()?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Cvta { space, to_space, wide: ty == Ty::U64, d, a });
    Ok(())
}

fn isspacep(c: &mut Context) -> Result {
    let space = c.words.one_of(&SPACES)?;
    let [d, a] = c.args()?;
    let a = c.src(a, Ty::U64)?;
    if let Some(d) = c.pred_dst(d)? {
        c.emit(Op::IsSpace { space, d, a });
    }
    Ok(())
}

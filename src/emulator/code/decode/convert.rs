//! Conversions (PTX ISA §9.7.9.21, `cvt` and `cvt.pack`).

use super::super::super::ir::{File, Mods, Op, Reg, Round, Ty};
use super::super::super::ptx::ast::Operand;
use super::super::words::{PLAIN, bits_of, is_float, is_signed, ty_of};
use super::context::Context;
use super::operand::file_of;
use std::cmp::Ordering;

type Result = std::result::Result<(), String>;

const PACKED: [Ty; 4] = [Ty::F16x2, Ty::BF16x2, Ty::E4M3x2, Ty::E5M2x2];
const FP8: [Ty; 2] = [Ty::E4M3x2, Ty::E5M2x2];

pub(super) fn cvt(c: &mut Context) -> Result {
    let (round, int_round) = (c.words.float_round(), c.words.int_round());
    let (ftz, relu) = (c.words.take("ftz"), c.words.take("relu"));
    let (sat, satfinite) = (c.words.take("sat"), c.words.take("satfinite"));
    let (to, from) = (c.words.ty()?, c.words.ty()?);
    let round = int_round.unwrap_or(round);
    let mods = Mods { round, ftz, sat: sat || satfinite, relu, ..PLAIN };
    if PACKED.contains(&to) || PACKED.contains(&from) {
        if sat || ftz || FP8.contains(&to) && !satfinite || FP8.contains(&from) && satfinite {
            return Err("these modifiers do not go with a packed conversion".into());
        }
        return packed(c, to, from, mods);
    }
    if to == Ty::TF32 {
        let away = round == Round::NearestAway && !relu;
        if from != Ty::F32 || !(away || matches!(round, Round::Nearest | Round::Zero)) || ftz || sat {
            return Err("to .tf32 only .f32 is converted, by .rna, .rn or .rz".into());
        }
    } else if (satfinite || relu) && (sat || ftz || !matches!(to, Ty::F16 | Ty::BF16) || from != Ty::F32) {
        return Err("these modifiers do not go with this conversion".into());
    } else if satfinite {
        return one_of_a_pair(c, to, mods);
    } else {
        check(to, from, mods)?;
    }
    scalar(c, to, from, mods)
}

/// Which roundings a scalar conversion must or may have.
fn check(to: Ty, from: Ty, mods: Mods) -> Result {
    let integer = matches!(mods.round, Round::IntNearest | Round::IntZero | Round::IntUp | Round::IntDown);
    let given = mods.round != Round::None;
    let fits = match (is_float(to), is_float(from)) {
        (false, false) => !given,
        (false, true) => integer,
        (true, false) => given && !integer,
        (true, true) if to == from => !given || integer,
        (true, true) if bits_of(to) > bits_of(from) => !given,
        (true, true) => given && !integer,
    };
    let known = |ty| !matches!(ty, Ty::TF32 | Ty::B8 | Ty::B16 | Ty::B32 | Ty::B64);
    if !known(to) || !known(from) {
        return Err(format!("conversion from {from:?} to {to:?} is not supported"));
    }
    if !fits || mods.round == Round::NearestAway {
        return Err(format!("rounding {:?} does not go with a conversion from {from:?} to {to:?}", mods.round));
    }
    if mods.ftz && to != Ty::F32 && from != Ty::F32 {
        return Err(".ftz needs .f32 on one side".into());
    }
    Ok(())
}

/// A source register may be wider than the type: its low bits count.
fn source<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, ty: Ty) -> std::result::Result<Reg, String> {
    if let Operand::Name(name) = *operand
        && let Some(register) = c.entry.names.find_register(name)?
    {
        let bits = bits_of(ty);
        return match (register.bits, bits) {
            (have, need) if have < need => Err(format!("register {name} has {have} bits, {need} are needed")),
            (64, need) if need < 64 => {
                let low = c.temp(File::R32)?;
                c.prepare(Op::Unpack64 { lo: Some(low), hi: None, a: register.reg });
                Ok(low)
            }
            _ => Ok(register.reg),
        };
    }
    c.src(operand, ty)
}

/// The 32- or 64-bit type that extends an integer type as it is extended itself.
fn extended(ty: Ty, bits: u8) -> Ty {
    match (is_signed(ty), bits) {
        (true, 16) => Ty::S16,
        (true, 32) => Ty::S32,
        (true, _) => Ty::S64,
        (false, 16) => Ty::U16,
        (false, 32) => Ty::U32,
        (false, _) => Ty::U64,
    }
}

fn scalar(c: &mut Context, to: Ty, from: Ty, mods: Mods) -> Result {
    let [d, a] = c.args()?;
    let a = source(c, a, from)?;
    let need = bits_of(to);
    if *d == Operand::Sink {
        return Err("a destination register is expected".into());
    }
    let register = c.register(d)?;
    // A wider destination holds the result extended as its type says. Results of narrow types are
    // zero-extended in their register, so that only signed ones need more work within the 32-bit file.
    let as_it_is = match register.bits.cmp(&need) {
        Ordering::Equal => true,
        Ordering::Greater if !is_float(to) => register.file == file_of(to) && !is_signed(to),
        _ => return Err(format!("the destination has {} bits, {need} are needed", register.bits)),
    };
    if as_it_is {
        c.emit(Op::Cvt { to, from, mods, d: register.reg, a });
        return Ok(());
    }
    let narrow = c.temp(File::R32)?;
    c.prepare(Op::Cvt { to, from, mods, d: narrow, a });
    c.emit(Op::Cvt { to: extended(to, register.bits), from: to, mods: PLAIN, d: register.reg, a: narrow });
    Ok(())
}

/// `.satfinite` to one half, which is to a pair whose upper half is zero.
fn one_of_a_pair(c: &mut Context, to: Ty, mods: Mods) -> Result {
    if !matches!(mods.round, Round::Nearest | Round::Zero) {
        return Err(format!("rounding {:?} does not go with a conversion to {to:?}", mods.round));
    }
    let [d, b] = c.args()?;
    let (a, b) = (c.const32(0)?, c.src(b, Ty::F32)?);
    let d = c.dst(d, to)?;
    let to = if to == Ty::F16 { Ty::F16x2 } else { Ty::BF16x2 };
    c.emit(Op::CvtPack { to, mods, d, a, b });
    Ok(())
}

fn packed(c: &mut Context, to: Ty, from: Ty, mods: Mods) -> Result {
    if from == Ty::F32 {
        let round_fits = mods.round == Round::Nearest || mods.round == Round::Zero && !FP8.contains(&to);
        if !round_fits {
            return Err(format!("rounding {:?} does not go with a conversion to {to:?}", mods.round));
        }
        let [d, a, b] = c.args()?;
        let (a, b) = (c.src(a, from)?, c.src(b, from)?);
        let d = c.dst(d, to)?;
        c.emit(Op::CvtPack { to, mods, d, a, b });
        return Ok(());
    }
    let known = FP8.contains(&to) && from == Ty::F16x2 || FP8.contains(&from) && to == Ty::F16x2;
    if !known || mods.round != Round::Nearest {
        return Err(format!("conversion from {from:?} to {to:?} with rounding {:?} is not supported", mods.round));
    }
    let [d, a] = c.args()?;
    let a = c.src(a, from)?;
    let d = c.dst(d, to)?;
    c.emit(Op::Cvt { to, from, mods, d, a });
    Ok(())
}

/// `cvt.pack.sat.T.s32{.b32} d, a, b{, c}`: b saturated to T in the low bits, a above it, and above
/// those, for 8-bit T, the low 16 bits of c.
pub(super) fn cvt_pack(c: &mut Context) -> Result {
    c.words.require("sat")?;
    let to = c.words.ty_in(&[Ty::U8, Ty::S8, Ty::U16, Ty::S16])?;
    c.words.ty_in(&[Ty::S32])?;
    let byte = bits_of(to) == 8;
    let upper = byte && c.words.find(|word| (ty_of(word)? == Ty::B32).then_some(())).is_some();
    let operands = if upper { c.between(4, 4)? } else { c.between(3, 3)? };
    if byte && !upper {
        return Err("8-bit packing needs .b32 and a third source".into());
    }
    let mut halves = [0; 2];
    for (half, operand) in halves.iter_mut().zip(&operands[1..3]) {
        let a = c.src(operand, Ty::S32)?;
        *half = c.temp(File::R32)?;
        c.prepare(Op::Cvt { to, from: Ty::S32, mods: Mods { sat: true, ..PLAIN }, d: *half, a });
    }
    let width = c.const32(u32::from(bits_of(to)))?;
    let [a, b] = halves;
    if !upper {
        let d = c.dst(&operands[0], Ty::B32)?;
        c.emit(Op::Bfi { ty: Ty::B32, d, a, b, pos: width, len: width });
        return Ok(());
    }
    let third = c.src(&operands[3], Ty::B32)?;
    let (low, sixteen) = (c.temp(File::R32)?, c.const32(16)?);
    c.prepare(Op::Bfi { ty: Ty::B32, d: low, a, b, pos: width, len: width });
    let d = c.dst(&operands[0], Ty::B32)?;
    c.emit(Op::Bfi { ty: Ty::B32, d, a: third, b: low, pos: sixteen, len: sixteen });
    Ok(())
}

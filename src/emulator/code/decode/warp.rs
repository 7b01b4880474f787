//! Instructions across the lanes of a warp (PTX ISA §9.7.9.6, §9.7.13.9–§9.7.13.13).

use super::super::super::ir::{AtomOp, File, Op, ShflMode, Ty, VoteMode};
use super::super::super::ptx::ast::Operand;
use super::Decode;
use super::context::Context;

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("shfl.sync", shfl),
    ("vote.sync", vote),
    ("match", matching),
    ("redux.sync", redux),
    ("activemask", activemask),
    ("elect.sync", elect),
];

fn shfl(c: &mut Context) -> Result {
    let mode = c.words.one_of(&[
        ("up", ShflMode::Up),
        ("down", ShflMode::Down),
        ("bfly", ShflMode::Bfly),
        ("idx", ShflMode::Idx),
    ])?;
    let ty = c.words.ty_in(&[Ty::B32])?;
    let [d, a, b, clamp, mask] = c.args()?;
    let (a, b, clamp, mask) = (c.src(a, ty)?, c.src(b, ty)?, c.src(clamp, ty)?, c.src(mask, ty)?);
    let (d, p) = Context::pair(d);
    let d = c.dst(d, ty)?;
    let p = match p {
        Some(p) => c.pred_dst(p)?,
        None => None,
    };
    c.emit(Op::Shfl { mode, d, p, a, b, c: clamp, mask });
    Ok(())
}

fn vote(c: &mut Context) -> Result {
    let mode = c.words.one_of(&[
        ("all", VoteMode::All),
        ("any", VoteMode::Any),
        ("uni", VoteMode::Uni),
        ("ballot", VoteMode::Ballot),
    ])?;
    let [d, p, mask] = c.args()?;
    let (p, mask) = (c.pred_src(p)?, c.src(mask, Ty::B32)?);
    let (d32, dp) = if mode == VoteMode::Ballot {
        c.words.ty_in(&[Ty::B32])?;
        (Some(c.dst(d, Ty::B32)?), None)
    } else {
        c.words.require("pred")?;
        (None, c.pred_dst(d)?)
    };
    c.emit(Op::Vote { mode, d32, dp, p, mask });
    Ok(())
}

fn matching(c: &mut Context) -> Result {
    let all = c.words.one_of(&[("all", true), ("any", false)])?;
    c.words.require("sync")?;
    let ty = c.words.ty_in(&[Ty::B32, Ty::B64])?;
    let [d, a, mask] = c.args()?;
    let (a, mask) = (c.src(a, ty)?, c.src(mask, Ty::B32)?);
    let (d, dp) = Context::pair(d);
    if dp.is_some() && !all {
        return Err("only match.all has a predicate".into());
    }
    let d = c.dst(d, Ty::B32)?;
    let dp = match dp {
        Some(dp) => c.pred_dst(dp)?,
        None => None,
    };
    c.emit(Op::Match { all, ty, d, dp, a, mask });
    Ok(())
}

fn redux(c: &mut Context) -> Result {
    let op = c.words.one_of(&[
        ("add", AtomOp::Add),
        ("min", AtomOp::Min),
        ("max", AtomOp::Max),
        ("and", AtomOp::And),
        ("or", AtomOp::Or),
        ("xor", AtomOp::Xor),
    ])?;
    let number = matches!(op, AtomOp::Add | AtomOp::Min | AtomOp::Max);
    let ty = c.words.ty_in(if number { &[Ty::U32, Ty::S32] } else { &[Ty::B32] })?;
    let [d, a, mask] = c.args()?;
    let (a, mask) = (c.src(a, ty)?, c.src(mask, Ty::B32)?);
    let d = c.dst(d, ty)?;
    c.emit(Op::Redux { op, signed: ty == Ty::S32, d, a, mask });
    Ok(())
}

fn activemask(c: &mut Context) -> Result {
    c.words.ty_in(&[Ty::B32])?;
    let [d] = c.args()?;
    let d = c.dst(d, Ty::B32)?;
    c.emit(Op::ActiveMask { d });
    Ok(())
}

fn elect(c: &mut Context) -> Result {
    let [d, mask] = c.args()?;
    let mask = c.src(mask, Ty::B32)?;
    let (d, Some(p)) = Context::pair(d) else { return Err("elect.sync needs d|p".into()) };
    let d = if *d == Operand::Sink { None } else { Some(c.dst(d, Ty::B32)?) };
    let p = match c.pred_dst(p)? {
        Some(p) => p,
        None => c.temp(File::Pred)?,
    };
    c.emit(Op::ElectSync { d, p, mask });
    Ok(())
}

//! Control flow, barriers and fences (PTX ISA §9.7.12–§9.7.13).

use super::super::super::ir::{BarRed, Op, Ty, Unary};
use super::super::super::ptx::ast::Operand;
use super::super::words::PLAIN;
use super::Decode;
use super::context::Context;
use super::memory::scope;

type Result = std::result::Result<(), String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("bra", bra),
    ("brx.idx", brx),
    ("ret", leave),
    ("exit", |c| bare(c, Op::Exit)),
    ("trap", |c| bare(c, Op::Trap)),
    ("brkpt", |c| bare(c, Op::Trap)),
    ("call", super::call::call),
    ("bar", |c| barrier(c, true)),
    ("barrier", |c| barrier(c, false)),
    ("barrier.cluster", cluster),
    ("membar", membar),
    ("fence", fence),
    ("fence.proxy", fence_proxy),
    ("fence.mbarrier_init", fence_mbarrier_init),
    ("nanosleep", nanosleep),
    ("griddepcontrol", griddepcontrol),
    ("setmaxnreg", setmaxnreg),
    ("pmevent", pmevent),
    ("mapa", mapa),
    ("getctarank", getctarank),
];

fn bare(c: &mut Context, op: Op) -> Result {
    c.between(0, 0)?;
    c.emit(op);
    Ok(())
}

/// Branches stand with the number of their label until the whole entry is decoded.
fn label(c: &Context, name: &str) -> std::result::Result<u32, String> {
    let number = c.entry.names.find_label(name).ok_or_else(|| format!("label {name} is not in scope"))?;
    u32::try_from(number).map_err(|_| "too many labels".to_string())
}

fn bra(c: &mut Context) -> Result {
    c.words.take("uni");
    let [target] = c.args()?;
    let Operand::Name(name) = *target else {
        return Err("the target of a branch is a label".into());
    };
    let target = label(c, name)?;
    c.emit(Op::Branch { target });
    Ok(())
}

fn brx(c: &mut Context) -> Result {
    c.words.take("uni");
    let [index, table] = c.args()?;
    let Operand::Name(name) = *table else {
        return Err("a table of targets is expected".into());
    };
    let names = c.entry.names.find_table(name).ok_or_else(|| format!("table {name} is not in scope"))?;
    // Many branches through one long table would make much out of little text.
    c.entry.indexed += names.len();
    if c.entry.indexed > 1 << 20 {
        return Err("the indexed branches of this entry have more than 1048576 targets".into());
    }
    let targets = names.iter().map(|name| label(c, name)).collect::<std::result::Result<_, _>>()?;
    let index = c.src(index, Ty::U32)?;
    c.emit(Op::BranchIndexed { index, targets });
    Ok(())
}

fn leave(c: &mut Context) -> Result {
    c.words.take("uni");
    c.between(0, 0)?;
    for op in super::super::entry::leave(c.entry)? {
        c.emit(op);
    }
    Ok(())
}

/// `bar` (which is aligned) and `barrier{.cta}`.
fn barrier(c: &mut Context, aligned: bool) -> Result {
    if aligned && c.words.take("warp") {
        c.words.require("sync")?;
        let [mask] = c.args()?;
        let mask = c.src(mask, Ty::B32)?;
        c.emit(Op::WarpSync { mask });
        return Ok(());
    }
    c.words.take("cta");
    let aligned = aligned || c.words.take("aligned");
    #[derive(Clone, Copy)]
    enum Kind {
        Sync,
        Arrive,
        Red,
    }
    match c.words.one_of(&[("sync", Kind::Sync), ("arrive", Kind::Arrive), ("red", Kind::Red)])? {
        Kind::Red => return barrier_red(c, aligned),
        kind => {
            let arrive = matches!(kind, Kind::Arrive);
            let operands = c.between(1 + usize::from(arrive), 2)?;
            let id = c.src(&operands[0], Ty::U32)?;
            let count = match operands.get(1) {
                Some(count) => Some(c.src(count, Ty::U32)?),
                None => None,
            };
            c.emit(Op::Bar { arrive, aligned, id, count });
        }
    }
    Ok(())
}

fn barrier_red(c: &mut Context, aligned: bool) -> Result {
    let op = c.words.one_of(&[("and", BarRed::And), ("or", BarRed::Or), ("popc", BarRed::Popc)])?;
    let operands = c.between(3, 4)?;
    let (d32, dp) = if op == BarRed::Popc {
        c.words.ty_in(&[Ty::U32])?;
        (Some(c.dst(&operands[0], Ty::U32)?), None)
    } else {
        c.words.require("pred")?;
        (None, c.pred_dst(&operands[0])?)
    };
    let id = c.src(&operands[1], Ty::U32)?;
    let count = if operands.len() == 4 { Some(c.src(&operands[2], Ty::U32)?) } else { None };
    let p = c.pred_src(&operands[operands.len() - 1])?;
    c.emit(Op::BarRed { op, aligned, id, count, d32, dp, p });
    Ok(())
}

fn cluster(c: &mut Context) -> Result {
    let arrive = c.words.one_of(&[("arrive", true), ("wait", false)])?;
    if arrive {
        if !c.words.take("release") {
            c.words.take("relaxed");
        }
    } else {
        c.words.take("acquire");
    }
    let aligned = c.words.take("aligned");
    bare(c, Op::ClusterBar { arrive, aligned })
}

fn membar(c: &mut Context) -> Result {
    if c.words.take("proxy") {
        return fence_proxy(c);
    }
    c.words.one_of(&[("cta", ()), ("gl", ()), ("sys", ()), ("gpu", ())])?;
    bare(c, Op::Fence)
}

fn fence(c: &mut Context) -> Result {
    c.words.find(|word| matches!(word, "acq_rel" | "sc" | "acquire" | "release").then_some(()));
    scope(&mut c.words);
    bare(c, Op::Fence)
}

fn fence_proxy(c: &mut Context) -> Result {
    if c.words.take("alias") {
        return bare(c, Op::Fence);
    }
    c.words.require("async")?;
    c.words.find(|word| matches!(word, "global" | "shared::cta" | "shared::cluster").then_some(()));
    bare(c, Op::FenceProxyAsync)
}

fn fence_mbarrier_init(c: &mut Context) -> Result {
    c.words.require("release")?;
    c.words.require("cluster")?;
    bare(c, Op::FenceMbarrierInit)
}

fn nanosleep(c: &mut Context) -> Result {
    c.words.ty_in(&[Ty::U32])?;
    let [time] = c.args()?;
    c.src(time, Ty::U32)?;
    c.emit(Op::Yield);
    Ok(())
}

fn griddepcontrol(c: &mut Context) -> Result {
    c.words.one_of(&[("launch_dependents", ()), ("wait", ())])?;
    bare(c, Op::Nop)
}

fn setmaxnreg(c: &mut Context) -> Result {
    c.words.one_of(&[("inc", ()), ("dec", ())])?;
    c.words.require("sync")?;
    c.words.require("aligned")?;
    c.words.ty_in(&[Ty::U32])?;
    let [count] = c.args()?;
    let count = Context::literal(count)?;
    if !(24..=256).contains(&count) || count % 8 != 0 {
        return Err(format!("{count} is not a multiple of 8 from 24 to 256"));
    }
    c.emit(Op::WholeWarp);
    Ok(())
}

/// An address in the shared memory of a block of the cluster, which has one block.
fn mapa(c: &mut Context) -> Result {
    let shared = c.words.take("shared::cluster");
    let ty = c.words.ty_in(&[Ty::U32, Ty::U64])?;
    let [d, a, rank] = c.args()?;
    if ty == Ty::U32 && !shared {
        return Err("a generic address needs 64 bits".into());
    }
    c.src(rank, Ty::U32)?;
    let a = c.src(a, ty)?;
    let d = c.dst(d, ty)?;
    c.emit(Op::Unary { f: Unary::Mov, ty, mods: PLAIN, d, a });
    Ok(())
}

fn getctarank(c: &mut Context) -> Result {
    c.words.take("shared::cluster");
    let ty = c.words.ty_in(&[Ty::U32, Ty::U64])?;
    let [d, a] = c.args()?;
    c.src(a, ty)?;
    let a = c.const32(0)?;
    let d = c.dst(d, Ty::U32)?;
    c.emit(Op::Unary { f: Unary::Mov, ty: Ty::U32, mods: PLAIN, d, a });
    Ok(())
}

fn pmevent(c: &mut Context) -> Result {
    c.words.take("mask");
    let [event] = c.args()?;
    Context::literal(event)?;
    c.emit(Op::Nop);
    Ok(())
}

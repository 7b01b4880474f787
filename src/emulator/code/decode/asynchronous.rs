//! Asynchronous copies and their barriers (PTX ISA §9.7.9.25–§9.7.9.28, §9.7.13.15).

use super::super::super::ir::{Addr, File, Op, Reg, Space, Ty};
use super::super::super::ptx::ast::Operand;
use super::Decode;
use super::context::Context;
use super::memory::{cache_hints, scope};

type Result<T> = std::result::Result<T, String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("cp.async", cp_async),
    ("cp.async.commit_group", |c| {
        c.between(0, 0)?;
        c.emit(Op::CpAsyncCommit);
        Ok(())
    }),
    ("cp.async.wait_group", |c| {
        let [pending] = c.args()?;
        let pending = u32::try_from(Context::literal(pending)?).map_err(|_| "the number of groups is not negative")?;
        c.emit(Op::CpAsyncWait { pending });
        Ok(())
    }),
    ("cp.async.wait_all", |c| {
        c.between(0, 0)?;
        c.emit(Op::CpAsyncWaitAll);
        Ok(())
    }),
    ("cp.async.mbarrier.arrive", cp_async_arrive),
    ("mbarrier.init", init),
    ("mbarrier.inval", inval),
    ("mbarrier.arrive", arrive),
    ("mbarrier.expect_tx", |c| transactions(c, true)),
    ("mbarrier.complete_tx", |c| transactions(c, false)),
    ("mbarrier.test_wait", |c| wait(c, false)),
    ("mbarrier.try_wait", |c| wait(c, true)),
    ("cp.async.bulk", bulk),
    ("cp.async.bulk.tensor", tensor),
    ("cp.async.bulk.prefetch", bulk_prefetch),
    ("cp.async.bulk.prefetch.tensor", tensor_prefetch),
];

fn cp_async(c: &mut Context) -> Result<()> {
    let all_levels = c.words.one_of(&[("ca", true), ("cg", false)])?;
    if !c.words.take("shared") {
        c.words.require("shared::cta")?;
    }
    c.words.require("global")?;
    let hinted = cache_hints(&mut c.words);
    let operands = c.between(3 + usize::from(hinted), 4 + usize::from(hinted))?;
    let size = Context::literal(&operands[2])?;
    if !(size == 16 || all_levels && (size == 4 || size == 8)) {
        return Err(format!("{size} bytes cannot be copied by this form"));
    }
    let dst = c.addr(&operands[0], Space::Shared)?;
    let src = c.addr(&operands[1], Space::Global)?;
    if hinted {
        c.src(&operands[operands.len() - 1], Ty::B64)?;
    }
    let fourth = if operands.len() == 4 + usize::from(hinted) { Some(&operands[3]) } else { None };
    let src_size = match fourth {
        None => None,
        Some(operand) => Some(source_size(c, operand, size as u32)?),
    };
    c.emit(Op::CpAsync { size: size as u8, dst, src, src_size });
    Ok(())
}

/// The number of bytes that are read: given, or 0 where the predicate `ignore-src` holds.
fn source_size<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, size: u32) -> Result<Reg> {
    let name = match *operand {
        Operand::Name(name) | Operand::Not(name) => name,
        _ => return c.src(operand, Ty::B32),
    };
    let predicate = c.entry.names.find_register(name)?.is_some_and(|register| register.file == File::Pred);
    if !predicate {
        return c.src(operand, Ty::B32);
    }
    let p = c.pred_src(operand)?;
    let (d, none, full) = (c.temp(File::R32)?, c.const32(0)?, c.const32(size)?);
    c.prepare(Op::Selp { ty: Ty::B32, d, a: none, b: full, p });
    Ok(d)
}

/// Steps over `.shared…`; true if the address is generic.
fn generic(c: &mut Context) -> bool {
    c.words.find(|word| matches!(word, "shared" | "shared::cta" | "shared::cluster").then_some(())).is_none()
}

fn cp_async_arrive(c: &mut Context) -> Result<()> {
    let noinc = c.words.take("noinc");
    let generic = generic(c);
    c.words.ty_in(&[Ty::B64])?;
    let [address] = c.args()?;
    let addr = c.shared_addr(address, generic)?;
    c.emit(Op::CpAsyncMbarrierArrive { noinc, addr });
    Ok(())
}

fn init(c: &mut Context) -> Result<()> {
    let generic = generic(c);
    c.words.ty_in(&[Ty::B64])?;
    let [address, count] = c.args()?;
    let count = c.src(count, Ty::U32)?;
    let addr = c.shared_addr(address, generic)?;
    c.emit(Op::MbarrierInit { addr, count });
    Ok(())
}

fn inval(c: &mut Context) -> Result<()> {
    let generic = generic(c);
    c.words.ty_in(&[Ty::B64])?;
    let [address] = c.args()?;
    let addr = c.shared_addr(address, generic)?;
    c.emit(Op::MbarrierInval { addr });
    Ok(())
}

/// Memory order and scope of an operation on an mbarrier; they are modelled as the strongest.
fn semantics(c: &mut Context) {
    c.words.find(|word| matches!(word, "release" | "acquire" | "relaxed").then_some(()));
    scope(&mut c.words);
}

fn arrive(c: &mut Context) -> Result<()> {
    let expect = c.words.take("expect_tx");
    if !expect {
        // Arriving without completing the phase is an arrival; that it does not complete is the caller's promise.
        c.words.take("noComplete");
    }
    semantics(c);
    let generic = generic(c);
    c.words
        .ty_in(&[Ty::B64])
        .or_else(|_| if generic { Err("`.b64` or `.shared` is missing".to_string()) } else { Ok(Ty::B64) })?;
    let operands = c.between(1, 3)?;
    // `[addr]` alone is the form whose result is thrown away.
    let (state, rest) = match &operands[0] {
        Operand::Address { .. } => (&Operand::Sink, operands),
        state => (state, &operands[1..]),
    };
    let [address, value @ ..] = rest else { return Err("an address is expected".into()) };
    let d = if *state == Operand::Sink { None } else { Some(c.dst(state, Ty::B64)?) };
    let value = match value {
        [] if !expect => None,
        [value] => Some(c.src(value, Ty::U32)?),
        _ => return Err("a wrong number of operands".into()),
    };
    let addr = c.shared_addr(address, generic)?;
    let (count, expect_tx) = if expect { (None, value) } else { (value, None) };
    c.emit(Op::MbarrierArrive { addr, count, expect_tx, d });
    Ok(())
}

fn transactions(c: &mut Context, expect: bool) -> Result<()> {
    semantics(c);
    let generic = generic(c);
    c.words.find(|word| (word == "b64").then_some(()));
    let [address, bytes] = c.args()?;
    let bytes = c.src(bytes, Ty::U32)?;
    let addr = c.shared_addr(address, generic)?;
    c.emit(if expect { Op::MbarrierExpectTx { addr, bytes } } else { Op::MbarrierCompleteTx { addr, bytes } });
    Ok(())
}

fn wait(c: &mut Context, blocking: bool) -> Result<()> {
    let parity = c.words.take("parity");
    semantics(c);
    let generic = generic(c);
    c.words.ty_in(&[Ty::B64])?;
    let operands = c.between(3, if blocking { 4 } else { 3 })?;
    if let Some(hint) = operands.get(3) {
        // How long to sleep at most: a hint.
        c.src(hint, Ty::U32)?;
    }
    let d = match c.pred_dst(&operands[0])? {
        Some(d) => d,
        None => c.temp(File::Pred)?,
    };
    let addr = c.shared_addr(&operands[1], generic)?;
    if parity {
        let parity = c.src(&operands[2], Ty::U32)?;
        c.emit(Op::MbarrierWaitParity { addr, parity, d, blocking });
    } else {
        let state = c.src(&operands[2], Ty::B64)?;
        c.emit(Op::MbarrierWaitState { addr, state, d, blocking });
    }
    Ok(())
}

/// The direction of a bulk copy, destination first; only global to shared is supported.
fn into_shared(c: &mut Context) -> Result<()> {
    let Some(to @ ("shared::cluster" | "shared::cta")) = c.words.first() else {
        return Err("only copies to shared memory are supported".into());
    };
    c.words.take(to);
    c.words.require("global")?;
    c.words.require("mbarrier::complete_tx::bytes")
}

fn bulk(c: &mut Context) -> Result<()> {
    into_shared(c)?;
    let hinted = c.words.take("L2::cache_hint");
    let operands = c.between(4 + usize::from(hinted), 4 + usize::from(hinted))?;
    let dst = c.addr(&operands[0], Space::Shared)?;
    let src = c.addr(&operands[1], Space::Global)?;
    let bytes = c.src(&operands[2], Ty::U32)?;
    let mbar = c.addr(&operands[3], Space::Shared)?;
    if hinted {
        c.src(&operands[4], Ty::B64)?;
    }
    c.emit(Op::BulkLoad { dst, src, bytes, mbar });
    Ok(())
}

fn dims(c: &mut Context) -> Result<u8> {
    let dims = c.words.one_of(&[("1d", 1), ("2d", 2), ("3d", 3), ("4d", 4), ("5d", 5)])?;
    Ok(dims)
}

/// `[map, {c0, c1, …}]`.
fn tile<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, dims: u8) -> Result<(Addr, [Reg; 5])> {
    let Operand::TensorAddress { base, offset, coords } = operand else {
        return Err("a tensor map with coordinates is expected".into());
    };
    if coords.len() != usize::from(dims) {
        return Err(format!("{} coordinates, {dims} expected", coords.len()));
    }
    let map = c.addr_of(Some(base), *offset, Space::Generic)?;
    let mut out = [0; 5];
    for (out, coord) in out.iter_mut().zip(coords) {
        *out = c.src(coord, Ty::S32)?;
    }
    Ok((map, out))
}

fn tensor(c: &mut Context) -> Result<()> {
    let dims = dims(c)?;
    into_shared(c)?;
    c.words.take("tile");
    let multicast = c.words.take("multicast::cluster");
    let hinted = c.words.take("L2::cache_hint");
    let count = 3 + usize::from(multicast) + usize::from(hinted);
    let operands = c.between(count, count)?;
    let dst = c.addr(&operands[0], Space::Shared)?;
    let (map, coords) = tile(c, &operands[1], dims)?;
    let mbar = c.addr(&operands[2], Space::Shared)?;
    let multicast = if multicast { Some(c.src(&operands[3], Ty::B16)?) } else { None };
    if hinted {
        c.src(&operands[count - 1], Ty::B64)?;
    }
    c.emit(Op::TmaLoad { dims, dst, map, coords, mbar, multicast });
    Ok(())
}

fn bulk_prefetch(c: &mut Context) -> Result<()> {
    c.words.require("L2")?;
    c.words.require("global")?;
    let hinted = c.words.take("L2::cache_hint");
    let count = 2 + usize::from(hinted);
    let operands = c.between(count, count)?;
    c.src(&operands[1], Ty::U32)?;
    let addr = c.addr(&operands[0], Space::Global)?;
    c.emit(Op::Prefetch { space: Space::Global, addr });
    Ok(())
}

/// A prefetch through a tensor map: only the map is looked at.
fn tensor_prefetch(c: &mut Context) -> Result<()> {
    let dims = dims(c)?;
    c.words.require("L2")?;
    c.words.require("global")?;
    c.words.take("tile");
    let hinted = c.words.take("L2::cache_hint");
    let count = 1 + usize::from(hinted);
    let operands = c.between(count, count)?;
    let (map, _) = tile(c, &operands[0], dims)?;
    c.emit(Op::PrefetchTensorMap { map });
    Ok(())
}

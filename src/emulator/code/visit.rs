//! Which registers an instruction reads and writes. This is the only place that knows.

use super::super::ir::{Addr, Binary, CallTarget, File, Inst, Op, PredSrc, Reg, Ternary, Ty, Unary, WgmmaA};
use super::words::bits_of;

/// How an instruction uses a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Read.
    Use,
    /// Written whole, without being read.
    Def,
    /// Read and written.
    UseDef,
}

use Role::{Def, Use, UseDef};

/// Called for every register operand.
type Visitor<'v> = dyn FnMut(File, Role, &mut Reg) + 'v;

/// Calls `f` for every register operand of an instruction, its guard included.
pub fn visit_registers(inst: &mut Inst, f: &mut Visitor<'_>) {
    if let Some(guard) = &mut inst.guard {
        f(File::Pred, Use, &mut guard.pred);
    }
    visit_op(&mut inst.op, f);
}

fn file(ty: Ty) -> File {
    if bits_of(ty) == 64 { File::R64 } else { File::R32 }
}

fn wide_file(wide: bool) -> File {
    if wide { File::R64 } else { File::R32 }
}

fn addr(a: &mut Addr, f: &mut Visitor<'_>) {
    let file = wide_file(a.wide);
    if let Some(base) = &mut a.base {
        f(file, Use, base);
    }
}

fn pred(p: &mut PredSrc, f: &mut Visitor<'_>) {
    f(File::Pred, Use, &mut p.pred);
}

fn maybe(reg: &mut Option<Reg>, file: File, role: Role, f: &mut Visitor<'_>) {
    if let Some(reg) = reg {
        f(file, role, reg);
    }
}

fn all(regs: &mut [Reg], file: File, role: Role, f: &mut Visitor<'_>) {
    for reg in regs {
        f(file, role, reg);
    }
}

/// File of a product twice as wide as its factors.
fn product(ty: Ty) -> File {
    if bits_of(ty) == 32 { File::R64 } else { File::R32 }
}

fn visit_op(op: &mut Op, f: &mut Visitor<'_>) {
    match op {
        Op::Unary { f: unary, ty, d, a, .. } => {
            f(file(*ty), Use, a);
            let counts = matches!(unary, Unary::Popc | Unary::Clz | Unary::BfindHigh);
            f(if counts { File::R32 } else { file(*ty) }, Def, d);
        }
        Op::Binary { f: binary, ty, d, a, b, .. } => {
            f(file(*ty), Use, a);
            f(if matches!(binary, Binary::Shl | Binary::Shr) { File::R32 } else { file(*ty) }, Use, b);
            f(if *binary == Binary::MulWide { product(*ty) } else { file(*ty) }, Def, d);
        }
        Op::Ternary { f: ternary, ty, d, a, b, c, .. } => {
            let (bs, cs, ds) = match ternary {
                Ternary::Bfe => (File::R32, File::R32, file(*ty)),
                Ternary::MadWide => (file(*ty), product(*ty), product(*ty)),
                _ => (file(*ty), file(*ty), file(*ty)),
            };
            f(file(*ty), Use, a);
            f(bs, Use, b);
            f(cs, Use, c);
            f(ds, Def, d);
        }
        Op::Bfi { ty, d, a, b, pos, len } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            f(File::R32, Use, pos);
            f(File::R32, Use, len);
            f(file(*ty), Def, d);
        }
        Op::AddCarry { ty, d, a, b, carry_in, carry_out, .. } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            maybe(carry_in, File::Pred, Use, f);
            f(file(*ty), Def, d);
            maybe(carry_out, File::Pred, Def, f);
        }
        Op::PrmtMode { d, a, b, c, .. } => {
            f(File::R32, Use, a);
            f(File::R32, Use, b);
            f(File::R32, Use, c);
            f(File::R32, Def, d);
        }
        Op::Special { d, wide, .. } => f(wide_file(*wide), Def, d),
        Op::Setp { ty, d, not_d, a, b, combine, .. } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            if let Some((_, p)) = combine {
                pred(p, f);
            }
            maybe(d, File::Pred, Def, f);
            maybe(not_d, File::Pred, Def, f);
        }
        Op::Set { dty, ty, d, a, b, combine, .. } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            if let Some((_, p)) = combine {
                pred(p, f);
            }
            f(file(*dty), Def, d);
        }
        Op::Selp { ty, d, a, b, p } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            pred(p, f);
            f(file(*ty), Def, d);
        }
        Op::Slct { ty, cty, d, a, b, c, .. } => {
            f(file(*ty), Use, a);
            f(file(*ty), Use, b);
            f(file(*cty), Use, c);
            f(file(*ty), Def, d);
        }
        Op::PredBin { d, a, b, .. } => {
            pred(a, f);
            pred(b, f);
            f(File::Pred, Def, d);
        }
        Op::PredMov { d, a } => {
            pred(a, f);
            f(File::Pred, Def, d);
        }
        Op::PredConst { d, .. } => f(File::Pred, Def, d),
        Op::Cvt { to, from, d, a, .. } => {
            f(file(*from), Use, a);
            f(file(*to), Def, d);
        }
        Op::CvtPack { d, a, b, .. } => {
            f(File::R32, Use, a);
            f(File::R32, Use, b);
            f(File::R32, Def, d);
        }
        Op::Unpack64 { lo, hi, a } => {
            f(File::R64, Use, a);
            maybe(lo, File::R32, Def, f);
            maybe(hi, File::R32, Def, f);
        }
        Op::Unpack32 { lo, hi, a } => {
            f(File::R32, Use, a);
            maybe(lo, File::R32, Def, f);
            maybe(hi, File::R32, Def, f);
        }
        Op::Pack64 { d, lo, hi } => {
            f(File::R32, Use, lo);
            f(File::R32, Use, hi);
            f(File::R64, Def, d);
        }
        Op::Pack32 { d, lo, hi } => {
            f(File::R32, Use, lo);
            f(File::R32, Use, hi);
            f(File::R32, Def, d);
        }
        Op::Load { vec, wide_dst, d, addr: a, .. } => {
            addr(a, f);
            all(&mut d[..usize::from(*vec).min(4)], wide_file(*wide_dst), Def, f);
        }
        Op::Store { vec, wide_src, s, addr: a, .. } => {
            addr(a, f);
            all(&mut s[..usize::from(*vec).min(4)], wide_file(*wide_src), Use, f);
        }
        Op::Atom { ty, d, addr: a, b, c, .. } => {
            addr(a, f);
            f(file(*ty), Use, b);
            // Only `cas` has a third operand; the others repeat the second so that it is a register anyway.
            f(file(*ty), Use, c);
            maybe(d, file(*ty), Def, f);
        }
        Op::Prefetch { addr: a, .. }
        | Op::Aligned { addr: a, .. }
        | Op::PrefetchTensorMap { map: a }
        | Op::MbarrierInval { addr: a } => addr(a, f),
        Op::CpAsyncMbarrierArrive { addr: a, .. } => addr(a, f),
        Op::Cvta { wide, d, a, .. } => {
            f(wide_file(*wide), Use, a);
            f(wide_file(*wide), Def, d);
        }
        Op::IsSpace { d, a, .. } => {
            f(File::R64, Use, a);
            f(File::Pred, Def, d);
        }
        Op::BranchIndexed { index, .. } => f(File::R32, Use, index),
        Op::Call(call) => {
            if let CallTarget::Address(target) = &mut call.target {
                f(File::R64, Use, target);
            }
            maybe(&mut call.frame, File::R64, Use, f);
        }
        Op::Bar { id, count, .. } => {
            f(File::R32, Use, id);
            maybe(count, File::R32, Use, f);
        }
        Op::BarRed { id, count, d32, dp, p, .. } => {
            f(File::R32, Use, id);
            maybe(count, File::R32, Use, f);
            pred(p, f);
            maybe(d32, File::R32, Def, f);
            maybe(dp, File::Pred, Def, f);
        }
        Op::WarpSync { mask } => f(File::R32, Use, mask),
        Op::Shfl { d, p, a, b, c, mask, .. } => {
            for reg in [a, b, c, mask] {
                f(File::R32, Use, reg);
            }
            f(File::R32, Def, d);
            maybe(p, File::Pred, Def, f);
        }
        Op::Vote { d32, dp, p, mask, .. } => {
            pred(p, f);
            f(File::R32, Use, mask);
            maybe(d32, File::R32, Def, f);
            maybe(dp, File::Pred, Def, f);
        }
        Op::Match { ty, d, dp, a, mask, .. } => {
            f(file(*ty), Use, a);
            f(File::R32, Use, mask);
            f(File::R32, Def, d);
            maybe(dp, File::Pred, Def, f);
        }
        Op::Redux { d, a, mask, .. } => {
            f(File::R32, Use, a);
            f(File::R32, Use, mask);
            f(File::R32, Def, d);
        }
        Op::ActiveMask { d } => f(File::R32, Def, d),
        Op::ElectSync { d, p, mask } => {
            f(File::R32, Use, mask);
            maybe(d, File::R32, Def, f);
            f(File::Pred, Def, p);
        }
        Op::Mma(mma) => {
            all(&mut mma.a, File::R32, Use, f);
            all(&mut mma.b, File::R32, Use, f);
            all(&mut mma.c, File::R32, Use, f);
            all(&mut mma.d, File::R32, Def, f);
        }
        Op::Movmatrix { d, a } => {
            f(File::R32, Use, a);
            f(File::R32, Def, d);
        }
        Op::Ldmatrix { num, d, addr: a, .. } => {
            addr(a, f);
            all(&mut d[..usize::from(*num).min(4)], File::R32, Def, f);
        }
        Op::Stmatrix { num, s, addr: a, .. } => {
            addr(a, f);
            all(&mut s[..usize::from(*num).min(4)], File::R32, Use, f);
        }
        Op::CpAsync { dst, src, src_size, .. } => {
            addr(dst, f);
            addr(src, f);
            maybe(src_size, File::R32, Use, f);
        }
        Op::MbarrierInit { addr: a, count: reg }
        | Op::MbarrierExpectTx { addr: a, bytes: reg }
        | Op::MbarrierCompleteTx { addr: a, bytes: reg } => {
            addr(a, f);
            f(File::R32, Use, reg);
        }
        Op::MbarrierArrive { addr: a, count, expect_tx, d } => {
            addr(a, f);
            maybe(count, File::R32, Use, f);
            maybe(expect_tx, File::R32, Use, f);
            maybe(d, File::R64, Def, f);
        }
        Op::MbarrierWaitParity { addr: a, parity, d, .. } => {
            addr(a, f);
            f(File::R32, Use, parity);
            f(File::Pred, Def, d);
        }
        Op::MbarrierWaitState { addr: a, state, d, .. } => {
            addr(a, f);
            f(File::R64, Use, state);
            f(File::Pred, Def, d);
        }
        Op::TmaLoad { dims, dst, map, coords, mbar, multicast } => {
            addr(dst, f);
            addr(map, f);
            addr(mbar, f);
            all(&mut coords[..usize::from(*dims).min(5)], File::R32, Use, f);
            maybe(multicast, File::R32, Use, f);
        }
        Op::BulkLoad { dst, src, bytes, mbar } => {
            addr(dst, f);
            addr(src, f);
            addr(mbar, f);
            f(File::R32, Use, bytes);
        }
        Op::Wgmma(wgmma) => {
            match &mut wgmma.a {
                WgmmaA::Desc(desc) => f(File::R64, Use, desc),
                WgmmaA::Regs(regs) => all(regs, File::R32, Use, f),
            }
            f(File::R64, Use, &mut wgmma.b);
            pred(&mut wgmma.scale_d, f);
            all(&mut wgmma.d, File::R32, UseDef, f);
        }
        Op::Branch { .. }
        | Op::Exit
        | Op::Return { .. }
        | Op::Trap
        | Op::Fence
        | Op::FenceProxyAsync
        | Op::FenceMbarrierInit
        | Op::ClusterBar { .. }
        | Op::Nop
        | Op::WholeWarp
        | Op::Yield
        | Op::CpAsyncCommit
        | Op::CpAsyncWait { .. }
        | Op::CpAsyncWaitAll
        | Op::WgmmaFence
        | Op::WgmmaCommit
        | Op::WgmmaWait { .. } => {}
    }
}

//! Tensor cores (PTX ISA §9.7.14–§9.7.15).

use super::super::super::ir::{AccTy, MmaKind, MmaOp, MmaTy, Op, Reg, Ty, WgmmaA, WgmmaOp};
use super::super::super::ptx::ast::Operand;
use super::super::words::Words;
use super::Decode;
use super::context::Context;

type Result<T> = std::result::Result<T, String>;

pub(super) const ROWS: &[(&str, Decode)] = &[
    ("mma.sync.aligned", mma),
    ("ldmatrix.sync.aligned", |c| matrix(c, false)),
    ("stmatrix.sync.aligned", |c| matrix(c, true)),
    ("movmatrix.sync.aligned", movmatrix),
    ("wgmma.mma_async.sync.aligned", wgmma),
    ("wgmma.fence.sync.aligned", |c| bare(c, Op::WgmmaFence)),
    ("wgmma.commit_group.sync.aligned", |c| bare(c, Op::WgmmaCommit)),
    ("wgmma.wait_group.sync.aligned", wgmma_wait),
];

fn bare(c: &mut Context, op: Op) -> Result<()> {
    c.between(0, 0)?;
    c.emit(op);
    Ok(())
}

/// `m16n8k32` as its numbers.
fn shape(words: &mut Words<'_>) -> Result<(u16, u16, u16)> {
    words
        .find(|word| {
            let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
            let (n, k) = rest.split_once('k')?;
            Some((m.parse().ok()?, n.parse().ok()?, k.parse().ok()?))
        })
        .ok_or_else(|| "a shape is missing".to_string())
}

fn accumulator(words: &mut Words<'_>) -> Result<AccTy> {
    words.one_of(&[("s32", AccTy::S32), ("f32", AccTy::F32), ("f16", AccTy::F16)])
}

fn factor(words: &mut Words<'_>) -> Result<MmaTy> {
    words.one_of(&[
        ("s8", MmaTy::S8),
        ("u8", MmaTy::U8),
        ("f16", MmaTy::F16),
        ("bf16", MmaTy::BF16),
        ("tf32", MmaTy::TF32),
        ("e4m3", MmaTy::E4M3),
        ("e5m2", MmaTy::E5M2),
    ])
}

fn bits(ty: MmaTy) -> u16 {
    match ty {
        MmaTy::S8 | MmaTy::U8 | MmaTy::E4M3 | MmaTy::E5M2 => 8,
        MmaTy::F16 | MmaTy::BF16 => 16,
        MmaTy::TF32 => 32,
    }
}

/// Whether a pair of factor types and an accumulator go together.
fn types_fit(a: MmaTy, b: MmaTy, acc: AccTy) -> bool {
    let family = |ty| match ty {
        MmaTy::S8 | MmaTy::U8 => 0,
        MmaTy::E4M3 | MmaTy::E5M2 => 1,
        MmaTy::F16 => 2,
        MmaTy::BF16 => 3,
        MmaTy::TF32 => 4,
    };
    family(a) == family(b)
        && match acc {
            AccTy::S32 => family(a) == 0,
            AccTy::F32 => family(a) != 0,
            AccTy::F16 => matches!(family(a), 1 | 2),
        }
}

fn registers<'a>(c: &mut Context<'_, '_, 'a>, operand: &Operand<'a>, count: u16, write: bool) -> Result<Box<[Reg]>> {
    Context::vector(operand, usize::from(count))?
        .iter()
        .map(|element| if write { c.dst(element, Ty::B32) } else { c.src(element, Ty::B32) })
        .collect()
}

fn mma(c: &mut Context) -> Result<()> {
    let (m, n, k) = shape(&mut c.words)?;
    c.words.require("row")?;
    c.words.require("col")?;
    let sat = c.words.take("satfinite");
    let acc = accumulator(&mut c.words)?;
    let (a, b) = (factor(&mut c.words)?, factor(&mut c.words)?);
    let addend = accumulator(&mut c.words)?;
    let depths: &[u16] = match bits(a) {
        8 => &[16, 32],
        16 => &[8, 16],
        _ => &[4, 8],
    };
    if (m, n) != (16, 8) || !depths.contains(&k) || !types_fit(a, b, acc) || acc != addend || sat && acc != AccTy::S32 {
        return Err(format!("m{m}n{n}k{k} of {a:?} and {b:?} with {acc:?} added to {addend:?} is not supported"));
    }
    let kind = MmaKind { m, n, k, a, b, acc, sat };
    let c_count = if acc == AccTy::F16 { 2 } else { 4 };
    let [d, a_regs, b_regs, c_regs] = c.args()?;
    let words = k * bits(a) / 32;
    let a = registers(c, a_regs, m * words / 32, false)?;
    let b = registers(c, b_regs, n * words / 32, false)?;
    let addend = registers(c, c_regs, c_count, false)?;
    let d = registers(c, d, c_count, true)?;
    c.emit(Op::Mma(Box::new(MmaOp { kind, d, a, b, c: addend })));
    Ok(())
}

/// `ldmatrix` and `stmatrix` of 8×8 matrices of 16-bit elements.
fn matrix(c: &mut Context, store: bool) -> Result<()> {
    c.words.require("m8n8")?;
    let num: u8 = c.words.one_of(&[("x1", 1), ("x2", 2), ("x4", 4)])?;
    let trans = c.words.take("trans");
    let generic = c.words.find(|word| matches!(word, "shared" | "shared::cta").then_some(())).is_none();
    c.words.ty_in(&[Ty::B16])?;
    let [first, second] = c.args()?;
    let (vector, address) = if store { (second, first) } else { (first, second) };
    let addr = c.shared_addr(address, generic)?;
    let mut regs: [Reg; 4] = [0; 4];
    for (reg, element) in regs.iter_mut().zip(Context::vector(vector, usize::from(num))?) {
        *reg = if store { c.src(element, Ty::B32)? } else { c.dst(element, Ty::B32)? };
    }
    c.emit(if store { Op::Stmatrix { trans, num, s: regs, addr } } else { Op::Ldmatrix { trans, num, d: regs, addr } });
    Ok(())
}

/// `movmatrix` of an 8×8 matrix of 16-bit elements; all that the ISA knows is its transpose.
fn movmatrix(c: &mut Context) -> Result<()> {
    c.words.require("m8n8")?;
    c.words.require("trans")?;
    c.words.ty_in(&[Ty::B16])?;
    let [d, a] = c.args()?;
    let a = c.src(a, Ty::B32)?;
    let d = c.dst(d, Ty::B32)?;
    c.emit(Op::Movmatrix { d, a });
    Ok(())
}

/// An operand that is 1 or -1: true for -1.
fn negated(operand: &Operand<'_>) -> Result<bool> {
    match *operand {
        Operand::Int(1) => Ok(false),
        Operand::Int(-1) => Ok(true),
        _ => Err("the scale of a factor is 1 or -1".into()),
    }
}

/// An operand that is 0 or 1.
fn flag(operand: &Operand<'_>) -> Result<bool> {
    match *operand {
        Operand::Int(0) => Ok(false),
        Operand::Int(1) => Ok(true),
        _ => Err("a transposition is 0 or 1".into()),
    }
}

fn wgmma(c: &mut Context) -> Result<()> {
    let (m, n, k) = shape(&mut c.words)?;
    let acc = accumulator(&mut c.words)?;
    let (a, b) = (factor(&mut c.words)?, factor(&mut c.words)?);
    let sat = c.words.take("satfinite");
    let integer = acc == AccTy::S32;
    let step = if integer && n > 24 { 16 } else { 8 };
    let fits = m == 64 && (8..=256).contains(&n) && n % step == 0 && k * bits(a) == 256;
    if !fits || !types_fit(a, b, acc) || sat && !integer {
        return Err(format!("m{m}n{n}k{k} of {a:?} and {b:?} added to {acc:?} is not supported"));
    }
    let kind = MmaKind { m, n, k, a, b, acc, sat };
    let operands = c.between(3, 8)?;
    let d = registers(c, &operands[0], if acc == AccTy::F16 { n / 4 } else { n / 2 }, true)?;
    let (a_op, from_registers) = match &operands[1] {
        operand @ Operand::Vector(_) => {
            let regs = registers(c, operand, 4, false)?;
            (WgmmaA::Regs([regs[0], regs[1], regs[2], regs[3]]), true)
        }
        operand => (WgmmaA::Desc(c.src(operand, Ty::B64)?), false),
    };
    let b_desc = c.src(&operands[2], Ty::B64)?;
    // Behind the descriptors: scale-d, the signs of float factors, transpositions of 16-bit factors.
    let signs = if integer { 0 } else { 2 };
    let transpositions = if bits(a) != 16 {
        0
    } else if from_registers {
        1
    } else {
        2
    };
    let rest = &operands[3..];
    if rest.len() != 1 + signs + transpositions {
        return Err(format!("{} operands, {} expected", operands.len(), 4 + signs + transpositions));
    }
    let scale_d = c.pred_src(&rest[0])?;
    let mut op =
        WgmmaOp { kind, d, a: a_op, b: b_desc, scale_d, neg_a: false, neg_b: false, trans_a: false, trans_b: false };
    if signs == 2 {
        (op.neg_a, op.neg_b) = (negated(&rest[1])?, negated(&rest[2])?);
    }
    if transpositions == 2 {
        op.trans_a = flag(&rest[3])?;
    }
    if transpositions > 0 {
        op.trans_b = flag(&rest[rest.len() - 1])?;
    }
    c.emit(Op::Wgmma(Box::new(op)));
    Ok(())
}

fn wgmma_wait(c: &mut Context) -> Result<()> {
    let [pending] = c.args()?;
    let pending = u32::try_from(Context::literal(pending)?).map_err(|_| "the number of groups is not negative")?;
    c.emit(Op::WgmmaWait { pending });
    Ok(())
}

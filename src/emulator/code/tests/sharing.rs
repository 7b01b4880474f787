//! Sharing of slots: random programs do the same with many registers and with few.

use super::super::super::ir::{
    AccTy, Addr, Binary, Cmp, Inst, MmaKind, MmaTy, Op, Order, PredSrc, Reg, Space, Ty, Unary, WgmmaA, WgmmaOp,
};
use super::super::compact::compact;
use super::super::visit::{Role, visit_registers};
use super::super::words::PLAIN;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

const REGS: usize = 40;
const PREDS: usize = 8;
const CONSTS: usize = 3;

/// Writes programs in which a register is read only where every path has written it.
struct Writer {
    random: Random,
    insts: Vec<Inst>,
    known: Vec<Reg>,
    known_preds: Vec<Reg>,
}

impl Writer {
    fn emit(&mut self, op: Op, guard: Option<PredSrc>) {
        self.insts.push(Inst { op, guard, at: 0 });
    }

    fn source(&mut self) -> Reg {
        let at = self.random.below(self.known.len());
        self.known[at]
    }

    fn pred(&mut self) -> PredSrc {
        let at = self.random.below(self.known_preds.len());
        PredSrc { pred: self.known_preds[at], negated: self.random.below(2) == 0 }
    }

    fn step(&mut self) {
        let (a, b) = (self.source(), self.source());
        let d = (CONSTS + self.random.below(REGS - CONSTS)) as Reg;
        let guard = if self.random.below(4) == 0 { Some(self.pred()) } else { None };
        match self.random.below(8) {
            0 => {
                let addr = Addr { base: Some(a), wide: false, offset: 0 };
                self.emit(
                    Op::Store {
                        space: Space::Shared,
                        ty: Ty::U32,
                        order: Order::Weak,
                        vec: 1,
                        wide_src: false,
                        s: [b, 0, 0, 0],
                        addr,
                    },
                    guard,
                );
            }
            1 => {
                let d = self.random.below(PREDS) as Reg;
                self.emit(
                    Op::Setp { cmp: Cmp::Lt, ty: Ty::U32, ftz: false, d: Some(d), not_d: None, a, b, combine: None },
                    guard,
                );
                if guard.is_none() && !self.known_preds.contains(&d) {
                    self.known_preds.push(d);
                }
            }
            kind => {
                let op = match kind {
                    2 => Op::Unary { f: Unary::Not, ty: Ty::B32, mods: PLAIN, d, a },
                    3 => Op::Selp { ty: Ty::U32, d, a, b, p: self.pred() },
                    4 | 5 => Op::Binary { f: Binary::Xor, ty: Ty::B32, mods: PLAIN, d, a, b },
                    _ => Op::Binary { f: Binary::Add, ty: Ty::U32, mods: PLAIN, d, a, b },
                };
                self.emit(op, guard);
                if guard.is_none() && !self.known.contains(&d) {
                    self.known.push(d);
                }
            }
        }
    }

    /// A piece of program: steps, conditions and loops; what it alone has written is forgotten after.
    fn piece(&mut self, depth: usize) {
        for _ in 0..4 + self.random.below(8) {
            let shape = if depth == 0 { 0 } else { self.random.below(6) };
            match shape {
                1 | 2 => {
                    let guard = self.pred();
                    let at = self.insts.len();
                    if shape == 1 {
                        self.emit(Op::Branch { target: 0 }, Some(guard));
                    }
                    let (known, known_preds) = (self.known.clone(), self.known_preds.clone());
                    self.piece(depth - 1);
                    if shape == 2 {
                        // Around again while the predicate holds; the run is cut off after some steps.
                        self.emit(Op::Branch { target: at as u32 }, Some(guard));
                    } else {
                        (self.known, self.known_preds) = (known, known_preds);
                        let end = self.insts.len() as u32;
                        self.insts[at].op = Op::Branch { target: end };
                    }
                }
                _ => self.step(),
            }
        }
    }
}

/// Runs a program on three lanes, always the lowest place first, and notes what every lane stores.
fn run(insts: &[Inst], consts: &[(usize, u32)]) -> Vec<Vec<(u32, u32)>> {
    const LANES: usize = 3;
    let (mut regs, mut preds) = (vec![[0xDEADu32; LANES]; REGS + 2], [[false; LANES]; PREDS + 2]);
    for &(slot, value) in consts {
        regs[slot] = [value; LANES];
    }
    let (mut pcs, mut stores) = ([0usize; LANES], vec![Vec::new(); LANES]);
    for _ in 0..4000 {
        let Some(&pc) = pcs.iter().filter(|&&pc| pc < insts.len()).min() else { break };
        for lane in 0..LANES {
            if pcs[lane] != pc {
                continue;
            }
            let inst = &insts[pc];
            let holds = |p: PredSrc| preds[usize::from(p.pred)][lane] != p.negated;
            pcs[lane] += 1;
            if inst.guard.is_some_and(|guard| !holds(guard)) {
                continue;
            }
            let r = |reg: Reg| regs[usize::from(reg)][lane];
            match &inst.op {
                Op::Store { s, addr, .. } => stores[lane].push((r(addr.base.unwrap()), r(s[0]))),
                Op::Setp { d, a, b, .. } => preds[usize::from(d.unwrap())][lane] = r(*a) < r(*b),
                Op::Unary { d, a, .. } => regs[usize::from(*d)][lane] = !r(*a),
                Op::Selp { d, a, b, p, .. } => regs[usize::from(*d)][lane] = if holds(*p) { r(*a) } else { r(*b) },
                Op::Binary { f, d, a, b, .. } => {
                    let value = if *f == Binary::Xor { r(*a) ^ r(*b) } else { r(*a).wrapping_add(r(*b)) };
                    regs[usize::from(*d)][lane] = value;
                }
                Op::Special { d, .. } => regs[usize::from(*d)][lane] = lane as u32,
                Op::Branch { target } => pcs[lane] = *target as usize,
                Op::Exit => pcs[lane] = usize::MAX,
                other => panic!("{other:?}"),
            }
        }
    }
    stores
}

#[test]
fn random_programs_do_the_same() {
    let (mut before, mut after, mut stored) = (0, 0, 0);
    for seed in 1..1500u64 {
        let mut writer = Writer {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            insts: Vec::new(),
            known: (0..CONSTS as Reg).collect(),
            known_preds: vec![0],
        };
        let lane = CONSTS as Reg;
        writer.emit(Op::Special { d: lane, wide: false, s: super::super::super::ir::Special::Laneid }, None);
        writer.known.push(lane);
        writer.emit(
            Op::Setp { cmp: Cmp::Lt, ty: Ty::U32, ftz: false, d: Some(0), not_d: None, a: lane, b: 1, combine: None },
            None,
        );
        writer.piece(3);
        writer.emit(Op::Exit, None);
        let values = [0u32, 1, 0x8000_0001];
        let expected = run(&writer.insts, &[(0, values[0]), (1, values[1]), (2, values[2])]);
        let mut insts = writer.insts.clone();
        let is_const: Vec<bool> = (0..REGS).map(|reg| reg < CONSTS).collect();
        let slots = compact(&mut insts, [&is_const, &[], &[false; PREDS]]);
        let consts: Vec<(usize, u32)> =
            (0..CONSTS).filter_map(|reg| Some((usize::from(slots.of[0][reg]?), values[reg]))).collect();
        assert_eq!(run(&insts, &consts), expected, "seed {seed}: {:#?}", writer.insts);
        for (old, new) in writer.insts.iter().zip(&insts) {
            assert!(apart(old.clone(), new.clone()), "seed {seed}: {old:?} became {new:?}");
        }
        before += slots.of[0].iter().flatten().count();
        after += slots.counts[0];
        stored += expected.iter().map(Vec::len).sum::<usize>();
    }
    assert!(after * 100 < before * 90, "{after} of {before} slots");
    assert!(stored > 10_000, "{stored} stores");
}

/// Accumulators of wgmma that nobody reads keep their slots until the wait, though it stands far away.
#[test]
fn wgmma_accumulators_wait() {
    let mov =
        |d: Reg, a: Reg| Inst { op: Op::Unary { f: Unary::Mov, ty: Ty::U32, mods: PLAIN, d, a }, guard: None, at: 0 };
    let bare = |op: Op| Inst { op, guard: None, at: 0 };
    let kind = MmaKind { m: 64, n: 8, k: 32, a: MmaTy::S8, b: MmaTy::S8, acc: AccTy::S32, sat: false };
    let wgmma = WgmmaOp {
        kind,
        d: Box::new([0, 1, 2, 3]),
        a: WgmmaA::Desc(0),
        b: 1,
        scale_d: PredSrc { pred: 0, negated: false },
        neg_a: false,
        neg_b: false,
        trans_a: false,
        trans_b: false,
    };
    let mut insts = vec![bare(Op::Wgmma(Box::new(wgmma))), bare(Op::Branch { target: 4 })];
    insts.extend([bare(Op::WgmmaWait { pending: 0 }), bare(Op::Exit)]);
    // The road to the wait leads past the end of the text.
    insts.extend([mov(5, 4), mov(6, 5), bare(Op::Branch { target: 2 })]);
    let mut is_const = vec![false; 7];
    is_const[4] = true;
    let slots = compact(&mut insts, [&is_const, &[false; 2], &[false]]);
    for d in 0..4 {
        for other in 5..7 {
            assert_ne!(slots.of[0][d], slots.of[0][other]);
        }
    }
}

/// Whether destinations share a slot with sources only where they were one register before.
fn apart(mut old: Inst, mut new: Inst) -> bool {
    let list = |inst: &mut Inst| {
        let mut all = Vec::new();
        visit_registers(inst, &mut |file, role, reg| all.push((file, role == Role::Use, *reg)));
        all
    };
    let both: Vec<_> = list(&mut old).into_iter().zip(list(&mut new)).collect();
    both.iter().all(|(old_a, new_a)| {
        both.iter().all(|(old_b, new_b)| old_a.0 != old_b.0 || (old_a.2 == old_b.2) == (new_a.2 == new_b.2))
    })
}

/// Compacts a program over the constants 0 = 7 and 1 = 9 and expects the same stores.
fn same(ops: Vec<(Op, Option<PredSrc>)>) {
    let mut insts: Vec<Inst> = ops.into_iter().map(|(op, guard)| Inst { op, guard, at: 0 }).collect();
    let expected = run(&insts, &[(0, 7), (1, 9)]);
    let is_const: Vec<bool> = (0..REGS).map(|reg| reg < 2).collect();
    let slots = compact(&mut insts, [&is_const, &[], &[false; PREDS]]);
    let consts: Vec<_> =
        [(0, 7), (1, 9)].into_iter().map(|(reg, v)| (usize::from(slots.of[0][reg].unwrap()), v)).collect();
    assert_eq!(run(&insts, &consts), expected);
}

fn add(d: Reg, a: Reg, b: Reg) -> Op {
    Op::Binary { f: Binary::Add, ty: Ty::U32, mods: PLAIN, d, a, b }
}

fn store(value: Reg) -> Op {
    let addr = Addr { base: Some(0), wide: false, offset: 0 };
    Op::Store {
        space: Space::Shared,
        ty: Ty::U32,
        order: Order::Weak,
        vec: 1,
        wide_src: false,
        s: [value, 0, 0, 0],
        addr,
    }
}

/// Lanes whose guard is false keep their value around the loop: r5 lives on behind its last reader.
#[test]
fn guarded_writes_keep_the_old_value() {
    let never = Some(PredSrc { pred: 0, negated: false });
    same(vec![
        (Op::Setp { cmp: Cmp::Lt, ty: Ty::U32, ftz: false, d: Some(0), not_d: None, a: 1, b: 0, combine: None }, None),
        (add(5, 0, 1), None),
        (add(5, 1, 1), never),
        (store(5), None),
        (add(6, 1, 1), None),
        (store(6), None),
        (Op::Branch { target: 2 }, None),
    ]);
}

/// A block entered only from further down holds its register from its first instruction on.
#[test]
fn blocks_entered_from_below() {
    same(vec![
        (Op::Branch { target: 5 }, None),
        (add(6, 1, 1), None),
        (store(6), None),
        (store(5), None),
        (Op::Exit, None),
        (add(5, 0, 1), None),
        (Op::Branch { target: 1 }, None),
    ]);
}

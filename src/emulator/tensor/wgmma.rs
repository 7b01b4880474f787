//! `wgmma.mma_async`: a 64×N tile for four warps (PTX ISA §9.7.15). Each warp computes its own 16 rows, so warps
//! need not meet: per 8 columns a warp's part is the tile of `mma.sync` with B (and mostly A) taken from shared
//! memory.
//!
//! Asynchrony: descriptors, A registers and `scale-d` are captured at issue; shared memory is read and D written
//! when the instruction's group is waited for, as late as is legal.

use std::collections::VecDeque;

use crate::emulator::copy::Problem;
use crate::emulator::ir::{AccTy, MmaTy, V32, V64, WgmmaA, WgmmaOp};
use crate::emulator::simd::Level;
#[cfg(target_arch = "x86_64")]
use crate::emulator::simd::Simd;

use super::descriptor::Descriptor;
#[cfg(target_arch = "x86_64")]
use super::int8_avx512;
use super::sum::{self, Summing};
use super::{float, int8};

/// Operand A as captured at issue.
#[derive(Clone, Debug)]
enum CapturedA {
    Shared(Descriptor),
    Registers(Box<[V32; 4]>),
}

/// One `wgmma` of a warp between its issue and its wait.
#[derive(Clone, Debug)]
pub(crate) struct PendingWgmma {
    /// Index of the instruction in the code.
    pub inst: u32,
    group: u32,
    /// First of the warp's 16 rows.
    row: u32,
    a: CapturedA,
    b: Descriptor,
    scale_d: bool,
}

/// Products pending at most: a kernel that never waits must not take the host's memory.
const MOST: usize = 256;

/// The `wgmma` instructions that one warp has under way, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct WgmmaQueue {
    pending: VecDeque<PendingWgmma>,
    committed: u32,
}

/// The one value all lanes must agree on.
fn uniform(register: Option<&V64>, what: &str) -> Result<u64, Problem> {
    let lanes = &register.ok_or_else(|| Problem::operand(format!("wgmma's {what} is not a register of the kernel")))?.0;
    match lanes.iter().position(|&v| v != lanes[0]) {
        None => Ok(lanes[0]),
        Some(lane) => Err(Problem::operand(format!(
            "wgmma's {what} must be the same in all lanes: {:#x} in lane 0, {:#x} in lane {lane}",
            lanes[0], lanes[lane]
        ))
        .at_lane(lane)),
    }
}

impl WgmmaQueue {
    /// Captures an instruction's operands. `warp` is the warp's number in its block, `scale_d` the predicate's
    /// value.
    ///
    /// # Errors
    /// Shapes and types this emulator does not know; descriptors that differ between lanes or have a base offset.
    pub(crate) fn issue(
        &mut self,
        inst: u32,
        op: &WgmmaOp,
        warp: u32,
        r32: &[V32],
        r64: &[V64],
        scale_d: bool,
    ) -> Result<(), Problem> {
        check(op, r32.len())?;
        let a = match &op.a {
            WgmmaA::Desc(reg) => {
                CapturedA::Shared(Descriptor::decode(uniform(r64.get(usize::from(*reg)), "descriptor of A")?)?)
            }
            WgmmaA::Regs(regs) => {
                let mut a = Box::new(regs.map(|reg| r32[usize::from(reg)]));
                if op.neg_a {
                    float::negate(op.kind.a, &mut a[..]);
                }
                CapturedA::Registers(a)
            }
        };
        let b = Descriptor::decode(uniform(r64.get(usize::from(op.b)), "descriptor of B")?)?;
        self.pending.push_back(PendingWgmma { inst, group: self.committed, row: 16 * (warp % 4), a, b, scale_d });
        Ok(())
    }

    /// More products under way than the queue is to hold: they should land, as they may at any time.
    pub(crate) fn full(&self) -> bool {
        self.pending.len() > MOST
    }

    /// Bytes of host memory that it has come to, captured registers included.
    pub(crate) fn bytes(&self) -> usize {
        self.pending.capacity() * (size_of::<PendingWgmma>() + size_of::<[V32; 4]>())
    }

    /// The one issued last.
    pub(crate) fn newest(&self) -> Option<&PendingWgmma> {
        self.pending.back()
    }

    /// `wgmma.commit_group`.
    pub(crate) fn commit(&mut self) {
        self.committed = self.committed.wrapping_add(1);
    }

    /// The next instruction that must land for `wgmma.wait_group pending`, oldest first.
    pub(crate) fn due(&mut self, pending: u32) -> Option<PendingWgmma> {
        let age = self.committed.wrapping_sub(self.pending.front()?.group);
        if age > pending { self.pending.pop_front() } else { None }
    }

    /// The oldest instruction whatever its group: to land early.
    pub(crate) fn oldest(&mut self) -> Option<PendingWgmma> {
        self.pending.pop_front()
    }
}

/// Whether shape, types and registers are a `wgmma` this emulator knows.
fn check(op: &WgmmaOp, registers: usize) -> Result<(), Problem> {
    let kind = &op.kind;
    let types = match (kind.a, kind.b) {
        (MmaTy::S8 | MmaTy::U8, MmaTy::S8 | MmaTy::U8) => kind.acc == AccTy::S32,
        (MmaTy::E4M3 | MmaTy::E5M2, MmaTy::E4M3 | MmaTy::E5M2) | (MmaTy::F16, MmaTy::F16) => kind.acc != AccTy::S32,
        (MmaTy::BF16, MmaTy::BF16) | (MmaTy::TF32, MmaTy::TF32) => kind.acc == AccTy::F32,
        _ => false,
    };
    let transposable = matches!(kind.a, MmaTy::F16 | MmaTy::BF16);
    let shape = kind.m == 64
        && kind.n.is_multiple_of(8)
        && (8..=256).contains(&kind.n)
        && usize::from(kind.k) == 8 * float::per_word(kind.a);
    if !types || !shape || ((op.trans_a || op.trans_b) && !transposable) {
        return Err(Problem::unsupported(format!("wgmma of {kind:?}, transposed A {} B {}", op.trans_a, op.trans_b)));
    }
    let wanted = usize::from(kind.n / 8) * results(kind.acc);
    let inside = |r: &u16| usize::from(*r) < registers;
    let a_inside = match &op.a {
        WgmmaA::Regs(a) => a.iter().all(inside),
        WgmmaA::Desc(_) => true,
    };
    if op.d.len() != wanted || !op.d.iter().all(inside) || !a_inside {
        return Err(Problem::unsupported(format!(
            "wgmma of {kind:?} with {} accumulator registers of {wanted}, or a register above {registers}",
            op.d.len()
        )));
    }
    Ok(())
}

/// Accumulator registers per 8 columns.
fn results(acc: AccTy) -> usize {
    if acc == AccTy::F16 { 2 } else { 4 }
}

/// Eight rows of 16 bytes as one register: lanes `4g..4g+4` are chunk `c` of row `first + g`.
fn rows(shared: &[u8], from: &Descriptor, first: u32, c: u32) -> Result<V32, Problem> {
    let mut register = V32([0; 32]);
    for (g, lanes) in register.0.chunks_exact_mut(4).enumerate() {
        let chunk = from.load_chunk(shared, first + g as u32, c)?;
        for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(4)) {
            *lane = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        }
    }
    Ok(register)
}

/// The same 8 rows × 8 k of halves from an MN-major operand.
fn columns(shared: &[u8], from: &Descriptor, first: u32, c: u32) -> Result<V32, Problem> {
    let mut register = V32([0; 32]);
    for (lane, word) in register.0.iter_mut().enumerate() {
        let (m, k) = (first + lane as u32 / 4, 8 * c + 2 * (lane as u32 % 4));
        *word = u32::from(from.load_half(shared, m, k)?) | u32::from(from.load_half(shared, m, k + 1)?) << 16;
    }
    Ok(register)
}

/// A block of eight rows, chunk `c`, of either major-ness.
fn block(shared: &[u8], from: &Descriptor, first: u32, c: u32, transposed: bool) -> Result<V32, Problem> {
    if transposed { columns(shared, from, first, c) } else { rows(shared, from, first, c) }
}

impl PendingWgmma {
    /// Calls `f` with the address of every piece of 16 bytes of shared memory that it reads.
    pub(crate) fn pieces(&self, op: &WgmmaOp, mut f: impl FnMut(u32)) {
        let mut block = |from: &Descriptor, first: u32, transposed: bool| {
            for i in 0..16 {
                // Rows or columns of two chunks; of an MN-major operand 16 lines along K.
                f(if transposed { from.half(first, i) } else { from.chunk(first + i / 2, i % 2) });
            }
        };
        if let CapturedA::Shared(a) = &self.a {
            block(a, self.row, op.trans_a);
            block(a, self.row + 8, op.trans_a);
        }
        (0..u32::from(op.kind.n) / 8).for_each(|i| block(&self.b, 8 * i, op.trans_b));
    }

    /// Reads shared memory and writes D. `op` is the instruction that was issued.
    ///
    /// # Errors
    /// An operand that leaves shared memory, with its address. D may be partly written then.
    pub(crate) fn land(&self, level: Level, op: &WgmmaOp, registers: &mut [V32], shared: &[u8]) -> Result<(), Problem> {
        let a = match &self.a {
            CapturedA::Registers(a) => **a,
            CapturedA::Shared(from) => {
                let part = |r: u32, h: u32| block(shared, from, self.row + 8 * r, h, op.trans_a);
                let mut a = [part(0, 0)?, part(1, 0)?, part(0, 1)?, part(1, 1)?];
                if op.neg_a {
                    float::negate(op.kind.a, &mut a);
                }
                a
            }
        };
        let a = [&a[0], &a[1], &a[2], &a[3]];
        if op.kind.acc == AccTy::S32 {
            let kind =
                int8::IntKind { a_signed: op.kind.a == MmaTy::S8, b_signed: op.kind.b == MmaTy::S8, sat: op.kind.sat };
            #[cfg(target_arch = "x86_64")]
            if level.simd() == Simd::Avx512 && !kind.sat {
                // SAFETY: a `Level` of this level exists only where the processor has AVX-512 F, BW and VNNI.
                return unsafe { int8_avx512::wgmma(kind, registers, &op.d, a, self.scale_d, shared, &self.b) };
            }
            self.each_block(op, registers, shared, |b, c| int8::tile(level, kind, 2, a, b, c))
        } else {
            let rows = float::rows_a(level, op.kind.a, 2, a);
            let kind = &op.kind;
            let how = Summing { acc: kind.acc, k: usize::from(kind.k), types: [kind.a, kind.b], wgmma: true };
            self.each_block(op, registers, shared, |b, c| {
                sum::tile(level, how, &rows, &float::columns_b(level, kind.b, 2, b), c)
            })
        }
    }

    fn each_block(
        &self,
        op: &WgmmaOp,
        registers: &mut [V32],
        shared: &[u8],
        tile: impl Fn([&V32; 2], [&V32; 4]) -> [V32; 4],
    ) -> Result<(), Problem> {
        let zero = V32([0; 32]);
        for (i, d) in op.d.chunks_exact(results(op.kind.acc)).enumerate() {
            let first = 8 * i as u32;
            let mut b = [block(shared, &self.b, first, 0, op.trans_b)?, block(shared, &self.b, first, 1, op.trans_b)?];
            if op.neg_b {
                float::negate(op.kind.b, &mut b);
            }
            let c = std::array::from_fn(|j| if self.scale_d { &registers[usize::from(d[j % d.len()])] } else { &zero });
            let results = tile([&b[0], &b[1]], c);
            for (&register, value) in d.iter().zip(results) {
                registers[usize::from(register)] = value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! `atom` and `red` (PTX ISA §9.7.13.5, §9.7.13.7): lanes one after the other, in order.

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{Addr, AtomOp, Reg, Space, Ty};
use super::access::{Lanes, bytes_of};
use super::alu::{float_add, half_add};
use super::memory::{SHARED_WINDOW, WINDOW};
use super::run::Run;
use super::words::Words;

impl Run<'_> {
    /// Read-modify-write by every active lane.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn atomic(
        &mut self,
        op: AtomOp,
        space: Space,
        ty: Ty,
        d: Option<Reg>,
        addr: Addr,
        b: Reg,
        c: Reg,
        active: u32,
    ) -> Result<(), Fault> {
        let lanes = self.lanes(addr, active);
        let size = bytes_of(ty);
        let launch = self.launch;
        self.warp.polls += 1;
        self.warp.outside = true;
        if self.counting() {
            let window = |at: u64| at.wrapping_sub(SHARED_WINDOW) < WINDOW;
            let generic = space == Space::Generic && window(lanes.at[active.trailing_zeros() as usize & 31]);
            self.count_atomic(&lanes.at, active, size as u64, space == Space::Shared || generic, d.is_some());
        }
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            let at = lanes.at[lane];
            if !at.is_multiple_of(size as u64) {
                let text = format!("misaligned atomic of {size} bytes at {at:#x}");
                return Err(self.fault(FaultKind::Misaligned, text, 1 << lane).at_address(at));
            }
            let regs = &self.warp.regs;
            let (b, c) = if size == 8 {
                (regs.r64[usize::from(b)].0[lane], regs.r64[usize::from(c)].0[lane])
            } else {
                (u64::from(regs.r32[usize::from(b)].0[lane]), u64::from(regs.r32[usize::from(c)].0[lane]))
            };
            let shared = match space {
                Space::Shared => Some(at),
                Space::Generic => Some(at.wrapping_sub(SHARED_WINDOW)).filter(|at| *at < WINDOW),
                _ => None,
            };
            let old = match shared {
                Some(at) => {
                    let len = self.cta.shared.len() as u64;
                    if at.checked_add(size as u64).is_none_or(|end| end > len) {
                        let text = format!(
                            "atomic of {size} bytes at {at:#x} is past the end of shared memory of the block ({len} bytes)"
                        );
                        return Err(self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at));
                    }
                    if self.cta.check.is_some() {
                        self.check_atomic(lane, at as usize, size);
                    }
                    update(&mut self.cta.shared, at as usize, (op, ty, false), b, c)
                }
                None => {
                    let found = launch.memory.index_of(at).map(|i| &*launch.memory.allocations[i]);
                    let Some((allocation, offset)) = found.and_then(|a| Some((a, a.offset(at, size)?))) else {
                        let text = format!(
                            "atomic of {size} bytes at global address {at:#x}: {}",
                            launch.memory.describe(at, size)
                        );
                        return Err(self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at));
                    };
                    if launch.reports.is_some() {
                        let one = Lanes { at: lanes.at, low: at, high: at, bits: at };
                        self.check_global(allocation, &one, 1 << lane, size, true, true);
                        self.check_atomic_races(allocation, lane, at, size);
                    }
                    update(allocation, offset, (op, ty, true), b, c)
                }
            };
            let Some(old) = old else { return Err(self.unknown()) };
            if let Some(d) = d {
                if size == 8 {
                    self.warp.regs.r64[usize::from(d)].0[lane] = old;
                } else {
                    self.warp.regs.r32[usize::from(d)].0[lane] = old as u32;
                }
            }
        }
        Ok(())
    }
}

/// One lane's operation; None when there is no such one.
fn update(mut m: impl Words, at: usize, what: (AtomOp, Ty, bool), b: u64, c: u64) -> Option<u64> {
    combine(what, 0, b, c)?;
    let f = |old: u64| combine(what, old, b, c).unwrap_or(old);
    Some(match bytes_of(what.1) {
        8 => m.update64(at, f),
        4 => u64::from(m.update32(at, |old| f(u64::from(old)) as u32)),
        2 => {
            // Within the word that holds it.
            let shift = 8 * (at % 4);
            let inside = |word: u32| u64::from(word >> shift & 0xFFFF);
            let old =
                m.update32(at & !3, |word| word & !(0xFFFF << shift) | ((f(inside(word)) as u32 & 0xFFFF) << shift));
            inside(old)
        }
        _ => return None,
    })
}

/// A subnormal number becomes a zero of its sign.
fn flushed(x: u32) -> u32 {
    if x & 0x7F80_0000 == 0 { x & 0x8000_0000 } else { x }
}

/// Minimum or maximum of halves, or of two pairs: a NaN gives way to a number, and -0 is below +0.
fn half_extreme(ty: Ty, max: bool, x: u32, y: u32) -> u32 {
    let bf16 = matches!(ty, Ty::BF16 | Ty::BF16x2);
    let one = |x: u32, y: u32| {
        let value = |x: u32| match bf16 {
            true => f32::from_bits(x << 16),
            false => half::f16::from_bits(x as u16).to_f32(),
        };
        let (u, v) = (value(x), value(y));
        // As an integer, bits of a float of either sign stand in the order of the values.
        let order = |f: f32| f.to_bits() as i32 ^ ((f.to_bits() as i32 >> 31) as u32 >> 1) as i32;
        match (u.is_nan(), v.is_nan()) {
            (true, true) => 0x7FFF,
            (true, false) => y,
            (false, true) => x,
            _ if (order(u) < order(v)) == max => y,
            _ => x,
        }
    };
    match ty {
        Ty::F16x2 | Ty::BF16x2 => one(x >> 16, y >> 16) << 16 | one(x & 0xFFFF, y & 0xFFFF),
        _ => one(x & 0xFFFF, y & 0xFFFF),
    }
}

/// The value that replaces `old`. In global memory sums of f32 flush subnormals (PTX ISA §9.7.13.5).
fn combine((op, ty, global): (AtomOp, Ty, bool), old: u64, b: u64, c: u64) -> Option<u64> {
    let (old32, b32) = (old as u32, b as u32);
    Some(match (op, ty) {
        (AtomOp::Exch, _) => b,
        (AtomOp::Cas, _) => {
            let bits = 8 * bytes_of(ty) as u32;
            let low = |x: u64| x << (64 - bits);
            if low(old) == low(b) { c } else { old }
        }
        (AtomOp::And, _) => old & b,
        (AtomOp::Or, _) => old | b,
        (AtomOp::Xor, _) => old ^ b,
        (AtomOp::Add, Ty::F32) if global => u64::from(flushed(float_add(flushed(old32), flushed(b32)))),
        (AtomOp::Add, Ty::F32) => u64::from(float_add(old32, b32)),
        (AtomOp::Add, Ty::F64) => (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
        (AtomOp::Add, Ty::F16 | Ty::F16x2 | Ty::BF16 | Ty::BF16x2) => u64::from(half_add(ty, old32, b32)?),
        (AtomOp::Min | AtomOp::Max, Ty::F16 | Ty::F16x2 | Ty::BF16 | Ty::BF16x2) => {
            u64::from(half_extreme(ty, op == AtomOp::Max, old32, b32))
        }
        (AtomOp::Add, Ty::U32 | Ty::S32) => u64::from(old32.wrapping_add(b32)),
        (AtomOp::Add, Ty::U64 | Ty::S64) => old.wrapping_add(b),
        (AtomOp::Inc, Ty::U32) => u64::from(if old32 >= b32 { 0 } else { old32 + 1 }),
        (AtomOp::Dec, Ty::U32) => u64::from(if old32 == 0 || old32 > b32 { b32 } else { old32 - 1 }),
        (AtomOp::Min, Ty::U32) => u64::from(old32.min(b32)),
        (AtomOp::Max, Ty::U32) => u64::from(old32.max(b32)),
        (AtomOp::Min, Ty::S32) => u64::from((old32 as i32).min(b32 as i32) as u32),
        (AtomOp::Max, Ty::S32) => u64::from((old32 as i32).max(b32 as i32) as u32),
        (AtomOp::Min, Ty::U64) => old.min(b),
        (AtomOp::Max, Ty::U64) => old.max(b),
        (AtomOp::Min, Ty::S64) => (old as i64).min(b as i64) as u64,
        (AtomOp::Max, Ty::S64) => (old as i64).max(b as i64) as u64,
        _ => return None,
    })
}

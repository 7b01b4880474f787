//! Instructions that are rare: `set`, the modes of `prmt`, sums with carry.

use super::super::super::ir::{Pred, PrmtMode, Reg, Ty};
use super::convert;
use super::int32;
use super::table::Registers;

/// `set`: writes all ones or 1.0 where `lanes` is set and zero elsewhere; of packed sources for each half, `upper`
/// being the lanes of upper halves.
pub(crate) fn set(r: &mut Registers, dty: Ty, ty: Ty, d: Reg, lanes: u32, upper: u32, active: u32) -> bool {
    let packed = matches!(ty, Ty::F16x2 | Ty::BF16x2);
    let (one, high) = match dty {
        Ty::U32 | Ty::S32 if packed => (0xFFFF, 0xFFFF_0000),
        Ty::U32 | Ty::S32 | Ty::B32 => (u32::MAX, 0),
        Ty::U16 | Ty::S16 | Ty::B16 => (0xFFFF, 0),
        Ty::F32 => (0x3F80_0000, 0),
        Ty::F16 => (0x3C00, 0),
        Ty::BF16 => (0x3F80, 0),
        Ty::F16x2 => (0x3C00, 0x3C00_0000),
        Ty::BF16x2 => (0x3F80, 0x3F80_0000),
        _ => return false,
    };
    let mut t = [0; 32];
    for (i, lane) in t.iter_mut().enumerate() {
        *lane = if lanes >> i & 1 == 1 { one } else { 0 } | if upper >> i & 1 == 1 { high } else { 0 };
    }
    r.put32(d, &t, active);
    true
}

/// `prmt` in a mode.
pub(crate) fn prmt_mode(r: &mut Registers, mode: PrmtMode, d: Reg, [a, b, c]: [Reg; 3], active: u32) {
    let (a, b, c) = (r.get32(a), r.get32(b), r.get32(c));
    let t = std::array::from_fn(|i| int32::prmt_mode(mode, a[i], b[i], c[i]));
    r.put32(d, &t, active);
}

/// Addition or subtraction with the carry flag, a predicate: in, out, or both. Subtraction's flag is the borrow.
#[allow(clippy::too_many_arguments)] // the instruction's operands
pub(crate) fn add_carry(
    r: &mut Registers,
    ty: Ty,
    sub: bool,
    d: Reg,
    a: Reg,
    b: Reg,
    carry: [Option<Pred>; 2],
    active: u32,
) {
    let flag = carry[0].map_or(0, |p| r.pred[usize::from(p)]);
    let mut out = 0;
    if convert::is_wide(ty) {
        let (a, b) = (r.get64(a), r.get64(b));
        let t = std::array::from_fn(|i| {
            let (sum, over) = step(a[i], b[i], sub, flag >> i & 1 == 1);
            out |= u32::from(over) << i;
            sum
        });
        r.put64(d, &t, active);
    } else {
        let (a, b) = (r.get32(a), r.get32(b));
        let t = std::array::from_fn(|i| {
            let wide = |x: u32| u64::from(x) << 32;
            // In the upper half of 64 bits, with the flag at its foot.
            let foot = u64::from(flag >> i & 1) << 32;
            let (sum, over) = step(wide(a[i]), wide(b[i]), sub, false);
            let (sum, again) = step(sum, foot, sub, false);
            out |= u32::from(over | again) << i;
            (sum >> 32) as u32
        });
        r.put32(d, &t, active);
    }
    if let Some(p) = carry[1] {
        r.put_pred(p, out, active);
    }
}

fn step(x: u64, y: u64, sub: bool, flag: bool) -> (u64, bool) {
    let ((z, first), flag) = (if sub { x.overflowing_sub(y) } else { x.overflowing_add(y) }, u64::from(flag));
    let (z, second) = if sub { z.overflowing_sub(flag) } else { z.overflowing_add(flag) };
    (z, first | second)
}

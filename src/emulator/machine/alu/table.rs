//! Which routine serves which instruction and type.

use super::super::super::ir::{Binary, BoolOp, Cmp, Mods, Pred, Reg, Ternary, Ty, Unary, V32, V64};
use super::super::super::simd::leveled;
use super::compare as comparison;
use super::convert;
use super::float;
use super::half;
use super::int32::{self, L32};
use super::int64::{self, L64};

/// The register files of one warp.
#[derive(Default)]
pub(crate) struct Registers {
    /// 32-bit file.
    pub r32: Vec<V32>,
    /// 64-bit file.
    pub r64: Vec<V64>,
    /// Predicates.
    pub pred: Vec<u32>,
}

impl Registers {
    #[inline(always)]
    pub(super) fn get32(&self, r: Reg) -> &L32 {
        &self.r32[usize::from(r)].0
    }

    #[inline(always)]
    pub(super) fn get64(&self, r: Reg) -> &L64 {
        &self.r64[usize::from(r)].0
    }

    /// Writes the active lanes of a 32-bit register.
    #[inline(always)]
    pub fn put32(&mut self, r: Reg, t: &L32, active: u32) {
        let d = &mut self.r32[usize::from(r)].0;
        if active == u32::MAX {
            *d = *t;
        } else {
            *d = comparison::select32(active, t, d);
        }
    }

    /// Writes the active lanes of a 64-bit register.
    #[inline(always)]
    pub fn put64(&mut self, r: Reg, t: &L64, active: u32) {
        let d = &mut self.r64[usize::from(r)].0;
        if active == u32::MAX {
            *d = *t;
        } else {
            *d = comparison::select64(active, t, d);
        }
    }

    /// Writes the active lanes of a predicate.
    #[inline(always)]
    pub fn put_pred(&mut self, p: Pred, lanes: u32, active: u32) {
        let d = &mut self.pred[usize::from(p)];
        *d = *d & !active | lanes & active;
    }

    #[inline(always)]
    fn maybe32(&mut self, r: Reg, t: Option<L32>, active: u32) -> bool {
        match t {
            Some(t) => {
                self.put32(r, &t, active);
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn maybe64(&mut self, r: Reg, t: Option<L64>, active: u32) -> bool {
        match t {
            Some(t) => {
                self.put64(r, &t, active);
                true
            }
            None => false,
        }
    }
}

#[inline(always)]
fn is_half(ty: Ty) -> bool {
    matches!(ty, Ty::F16 | Ty::F16x2 | Ty::BF16 | Ty::BF16x2)
}

leveled! {
    /// `d = f(a)`; false when there is no such instruction.
    pub(crate) fn unary(r: &mut Registers, f: Unary, ty: Ty, mods: Mods, d: Reg, a: Reg, active: u32) -> bool = unary_body
}

#[inline(always)]
fn unary_body(r: &mut Registers, f: Unary, ty: Ty, mods: Mods, d: Reg, a: Reg, active: u32) -> bool {
    match ty {
        Ty::U64 | Ty::S64 | Ty::B64 if matches!(f, Unary::Popc | Unary::Clz | Unary::BfindHigh) => {
            let t = int64::count(f, ty, r.get64(a));
            r.maybe32(d, t, active)
        }
        Ty::U64 | Ty::S64 | Ty::B64 => {
            let t = int64::unary(f, r.get64(a));
            r.maybe64(d, t, active)
        }
        Ty::F64 => {
            let t = float::unary64(f, mods, r.get64(a));
            r.maybe64(d, t, active)
        }
        Ty::F32 => {
            let t = float::unary(f, mods, r.get32(a));
            r.maybe32(d, t, active)
        }
        _ if is_half(ty) => {
            let t = half::unary(f, ty, mods, r.get32(a));
            r.maybe32(d, t, active)
        }
        _ => {
            let t = int32::unary(f, ty, r.get32(a));
            r.maybe32(d, t, active)
        }
    }
}

leveled! {
    /// The most frequent of [`binary`]'s operations, in a small function that keeps nothing on the stack; false when it
    /// is another, and nothing is written then.
    pub(crate) fn frequent(r: &mut Registers, f: Binary, ty: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool = frequent_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn frequent_body(r: &mut Registers, f: Binary, ty: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool {
    if mods.sat {
        return false;
    }
    let (x, y, z) = (usize::from(a), usize::from(b), usize::from(d));
    match ty {
        Ty::U32 | Ty::S32 | Ty::B32 => {
            let registers = &mut r.r32[..];
            match f {
                Binary::Add => in_place(registers, x, y, z, active, u32::wrapping_add),
                Binary::Sub => in_place(registers, x, y, z, active, u32::wrapping_sub),
                Binary::And => in_place(registers, x, y, z, active, |x, y| x & y),
                Binary::Or => in_place(registers, x, y, z, active, |x, y| x | y),
                Binary::Xor => in_place(registers, x, y, z, active, |x, y| x ^ y),
                Binary::Shl => in_place(registers, x, y, z, active, int32::shl),
                Binary::Shr if ty == Ty::S32 => in_place(registers, x, y, z, active, int32::sar),
                Binary::Shr => in_place(registers, x, y, z, active, int32::shr),
                _ => return false,
            }
        }
        Ty::U64 | Ty::S64 if f == Binary::Add && active == u32::MAX => {
            r.r64[z].0 = int64::map2(&r.r64[x].0, &r.r64[y].0, u64::wrapping_add);
        }
        _ => return false,
    }
    true
}

/// Sets the active lanes of register `z` to a function of registers `x` and `y`.
#[inline(always)]
fn in_place(registers: &mut [V32], x: usize, y: usize, z: usize, active: u32, f: impl Fn(u32, u32) -> u32) {
    let t = int32::map2(&registers[x].0, &registers[y].0, f);
    let d = &mut registers[z].0;
    if active == u32::MAX {
        *d = t;
    } else {
        *d = comparison::select32(active, &t, d);
    }
}

leveled! {
    /// `d = f(a, b)`; false when there is no such instruction. Shift amounts are in the 32-bit file; the result of
    /// `MulWide` is twice as wide as its operands.
    pub(crate) fn binary(r: &mut Registers, f: Binary, ty: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool = binary_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn binary_body(r: &mut Registers, f: Binary, ty: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool {
    match ty {
        Ty::U32 | Ty::S32 | Ty::B32 if f == Binary::MulWide => {
            let t = int64::mul_wide(ty, r.get32(a), r.get32(b));
            r.maybe64(d, t, active)
        }
        Ty::U64 | Ty::S64 | Ty::B64 if matches!(f, Binary::Shl | Binary::Shr) => {
            let t = int64::shift(f, ty, r.get64(a), r.get32(b));
            r.maybe64(d, t, active)
        }
        Ty::U64 | Ty::S64 | Ty::B64 => {
            let t = int64::binary(f, ty, r.get64(a), r.get64(b));
            r.maybe64(d, t, active)
        }
        Ty::F64 => {
            let t = float::binary64(f, mods, r.get64(a), r.get64(b));
            r.maybe64(d, t, active)
        }
        Ty::F32 => {
            let t = float::binary(f, mods, r.get32(a), r.get32(b));
            r.maybe32(d, t, active)
        }
        Ty::S32 if mods.sat => {
            let (x, y) = (r.get32(a), r.get32(b));
            let t = match f {
                Binary::Add => int32::map2(x, y, |x, y| (x as i32).saturating_add(y as i32) as u32),
                Binary::Sub => int32::map2(x, y, |x, y| (x as i32).saturating_sub(y as i32) as u32),
                _ => return false,
            };
            r.put32(d, &t, active);
            true
        }
        Ty::U16x2 | Ty::S16x2 => {
            let t = int32::packed(f, ty, r.get32(a), r.get32(b));
            r.maybe32(d, t, active)
        }
        _ if is_half(ty) => {
            let t = half::binary(f, ty, mods, r.get32(a), r.get32(b));
            r.maybe32(d, t, active)
        }
        _ => {
            let t = int32::binary(f, ty, r.get32(a), r.get32(b));
            r.maybe32(d, t, active)
        }
    }
}

leveled! {
    /// `d = f(a, b, c)`; false when there is no such instruction. Position and length of a 64-bit `Bfe` are in the
    /// 32-bit file, as are the factors of a 32-bit `MadWide`, whose addend and result are in the 64-bit one.
    pub(crate) fn ternary(r: &mut Registers, f: Ternary, ty: Ty, mods: Mods, d: Reg, abc: [Reg; 3], active: u32) -> bool = ternary_body
}

#[inline(always)]
fn ternary_body(r: &mut Registers, f: Ternary, ty: Ty, mods: Mods, d: Reg, [a, b, c]: [Reg; 3], active: u32) -> bool {
    match (ty, f) {
        (Ty::U32 | Ty::S32 | Ty::B32, Ternary::MadWide) => {
            let product = int64::mul_wide(ty, r.get32(a), r.get32(b));
            let t = product.map(|product| int64::map2(&product, r.get64(c), u64::wrapping_add));
            r.maybe64(d, t, active)
        }
        (Ty::U64 | Ty::S64 | Ty::B64, Ternary::Bfe) => {
            let t = int64::bfe(ty, r.get64(a), r.get32(b), r.get32(c));
            r.maybe64(d, t, active)
        }
        (Ty::U64 | Ty::S64 | Ty::B64, _) => {
            let t = int64::ternary(f, ty, r.get64(a), r.get64(b), r.get64(c));
            r.maybe64(d, t, active)
        }
        (Ty::F64, Ternary::Fma) => {
            let t = float::fma64(mods, r.get64(a), r.get64(b), r.get64(c));
            r.put64(d, &t, active);
            true
        }
        (Ty::F32, _) => {
            let t = float::ternary(f, mods, r.get32(a), r.get32(b), r.get32(c));
            r.maybe32(d, t, active)
        }
        _ if is_half(ty) => {
            let t = half::ternary(f, ty, mods, r.get32(a), r.get32(b), r.get32(c));
            r.maybe32(d, t, active)
        }
        _ => {
            let t = int32::ternary(f, ty, mods.sat, r.get32(a), r.get32(b), r.get32(c));
            r.maybe32(d, t, active)
        }
    }
}

leveled! {
    /// `cvt`; false when there is no such conversion. Registers are in the files of their own types.
    pub(crate) fn cvt(r: &mut Registers, to: Ty, from: Ty, mods: Mods, d: Reg, a: Reg, active: u32) -> bool = cvt_body
}

#[inline(always)]
fn cvt_body(r: &mut Registers, to: Ty, from: Ty, mods: Mods, d: Reg, a: Reg, active: u32) -> bool {
    let source = match (convert::is_wide(to), convert::is_wide(from)) {
        (false, false) => {
            if let Some(t) = convert::fast(to, from, mods, r.get32(a)) {
                r.put32(d, &t, active);
                return true;
            }
            widen(r.get32(a), false)
        }
        (true, false) => match from {
            Ty::S32 if matches!(to, Ty::S64 | Ty::U64 | Ty::B64) && !mods.sat => {
                let t = widen(r.get32(a), true);
                r.put64(d, &t, active);
                return true;
            }
            Ty::U32 | Ty::B32 if matches!(to, Ty::S64 | Ty::U64 | Ty::B64) => {
                let t = widen(r.get32(a), false);
                r.put64(d, &t, active);
                return true;
            }
            _ => widen(r.get32(a), false),
        },
        (false, true) => {
            if matches!((to, from), (Ty::U32 | Ty::S32 | Ty::B32, Ty::U64 | Ty::S64 | Ty::B64)) && !mods.sat {
                let t = truncate(r.get64(a));
                r.put32(d, &t, active);
                return true;
            }
            *r.get64(a)
        }
        (true, true) => *r.get64(a),
    };
    let Some(t) = convert::slow(to, from, mods, &source) else { return false };
    if convert::is_wide(to) {
        r.put64(d, &t, active);
    } else {
        r.put32(d, &truncate(&t), active);
    }
    true
}

#[inline(always)]
fn widen(a: &L32, signed: bool) -> L64 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = if signed { a[i] as i32 as i64 as u64 } else { u64::from(a[i]) };
    }
    t
}

#[inline(always)]
fn truncate(a: &L64) -> L32 {
    let mut t = [0; 32];
    for i in 0..32 {
        t[i] = a[i] as u32;
    }
    t
}

leveled! {
    /// Packs two f32 into one register; false when there is no such conversion.
    pub(crate) fn cvt_pack(r: &mut Registers, to: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool = cvt_pack_body
}

#[inline(always)]
fn cvt_pack_body(r: &mut Registers, to: Ty, mods: Mods, d: Reg, a: Reg, b: Reg, active: u32) -> bool {
    let t = convert::pack(to, mods, r.get32(a), r.get32(b));
    r.maybe32(d, t, active)
}

leveled! {
    /// Lanes where a comparison holds; None when there is no such comparison.
    pub(crate) fn compare(r: &Registers, cmp: Cmp, ty: Ty, ftz: bool, a: Reg, b: Reg) -> Option<u32> = compare_body
}

#[inline(always)]
fn compare_body(r: &Registers, cmp: Cmp, ty: Ty, ftz: bool, a: Reg, b: Reg) -> Option<u32> {
    if convert::is_wide(ty) {
        comparison::compare64(cmp, ty, r.get64(a), r.get64(b))
    } else {
        comparison::compare32(cmp, ty, ftz, r.get32(a), r.get32(b))
    }
}

/// Lanes where a comparison of the upper halves of packed registers holds; None for other types.
pub(crate) fn compare_upper(r: &Registers, cmp: Cmp, ty: Ty, ftz: bool, a: Reg, b: Reg) -> Option<u32> {
    matches!(ty, Ty::F16x2 | Ty::BF16x2).then(|| ())?;
    comparison::compare_half(cmp, ty, true, ftz, r.get32(a), r.get32(b))
}

/// Combines two lane masks.
#[inline(always)]
pub(crate) fn combine(op: BoolOp, a: u32, b: u32) -> u32 {
    comparison::combine(op, a, b)
}

leveled! {
    /// `selp`, in the file of the type.
    pub(crate) fn selp(r: &mut Registers, ty: Ty, d: Reg, a: Reg, b: Reg, lanes: u32, active: u32) = selp_body
}

#[inline(always)]
fn selp_body(r: &mut Registers, ty: Ty, d: Reg, a: Reg, b: Reg, lanes: u32, active: u32) {
    if convert::is_wide(ty) {
        let t = comparison::select64(lanes, r.get64(a), r.get64(b));
        r.put64(d, &t, active);
    } else {
        let t = comparison::select32(lanes, r.get32(a), r.get32(b));
        r.put32(d, &t, active);
    }
}

/// Lanes where the third operand of `slct` is not negative.
pub(crate) fn slct_lanes(r: &Registers, cty: Ty, ftz: bool, c: Reg) -> u32 {
    comparison::slct_mask(cty, ftz, r.get32(c))
}

leveled! {
    /// `bfi`, in the file of the type; position and length are in the 32-bit file.
    pub(crate) fn bfi(r: &mut Registers, ty: Ty, d: Reg, abpn: [Reg; 4], active: u32) = bfi_body
}

#[inline(always)]
fn bfi_body(r: &mut Registers, ty: Ty, d: Reg, [a, b, pos, len]: [Reg; 4], active: u32) {
    let (p, n) = (*r.get32(pos), *r.get32(len));
    if convert::is_wide(ty) {
        let (a, b) = (*r.get64(a), *r.get64(b));
        let t = std::array::from_fn(|i| int32::bfi64(a[i], b[i], p[i], n[i]));
        r.put64(d, &t, active);
    } else {
        let (a, b) = (*r.get32(a), *r.get32(b));
        let t = std::array::from_fn(|i| int32::bfi(a[i], b[i], p[i], n[i]));
        r.put32(d, &t, active);
    }
}

leveled! {
    /// Lane addresses `base + offset`, and over the active lanes their least, their greatest and the union of their
    /// bits.
    pub(crate) fn addresses(r: &Registers, base: Reg, wide: bool, offset: i64, active: u32, out: &mut L64) -> [u64; 3] = addresses_body
}

/// Least, greatest and union of the bits of the active lanes; the least of none is all ones.
macro_rules! extremes {
    ($at:expr, $active:expr, $int:ty) => {{
        let (mut low, mut high, mut bits) = (<$int>::MAX, 0, 0);
        if $active == u32::MAX {
            for at in $at {
                (low, high, bits) = (low.min(at), high.max(at), bits | at);
            }
        } else {
            for (i, at) in $at.into_iter().enumerate() {
                let on = $active >> i & 1 == 1;
                low = low.min(if on { at } else { <$int>::MAX });
                high = high.max(if on { at } else { 0 });
                bits |= if on { at } else { 0 };
            }
        }
        [u64::from(low), u64::from(high), u64::from(bits)]
    }};
}

#[inline(always)]
fn addresses_body(r: &Registers, base: Reg, wide: bool, offset: i64, active: u32, out: &mut L64) -> [u64; 3] {
    if wide {
        *out = int64::map1(r.get64(base), |a| a.wrapping_add(offset as u64));
        extremes!(*out, active, u64)
    } else {
        let at = int32::map1(r.get32(base), |a| a.wrapping_add(offset as u32));
        *out = widen(&at, false);
        extremes!(at, active, u32)
    }
}

/// One f32 sum.
pub(crate) fn float_add(x: u32, y: u32) -> u32 {
    float::bits(f32::from_bits(x) + f32::from_bits(y))
}

/// One sum of halves, or of two pairs.
pub(crate) fn half_add(ty: Ty, x: u32, y: u32) -> Option<u32> {
    use super::super::super::ir::Round;
    let mods = Mods { round: Round::Nearest, ftz: false, sat: false, relu: false, nan: false };
    half::binary(Binary::Add, ty, mods, &[x; 32], &[y; 32]).map(|t| t[0])
}

//! Instructions of one thread, by their opcodes.

use half::{bf16, f16};
use halfbyte::format::{F8E4M3, F8E5M2, Float};

use super::Words;

/// Bit `4a + 2b + c` of the table.
pub fn lop3(input: &[u32]) -> Vec<u32> {
    let n = input.len() / 4;
    let mut d = Vec::with_capacity(256 * n);
    for (table, i) in (0..256u32).flat_map(|table| (0..n).map(move |i| (table, i))) {
        let bit = |word: u32, at: u32| word >> at & 1;
        d.push((0..32).fold(0, |word, at| {
            let index = bit(input[i], at) << 2 | bit(input[n + i], at) << 1 | bit(input[2 * n + i], at);
            word | bit(table, index) << at
        }));
    }
    d
}

/// The results of those instructions that [`one`] knows. None where an instruction has two words, or several make one
/// result, so that places are not plain.
pub fn results(instructions: &[String], input: &[u32]) -> Option<Words> {
    let n = input.len() / 4;
    let wide = |opcode: &String| opcode.contains("64") || opcode.contains("wide") || opcode.contains(".cc");
    if instructions.iter().any(wide) {
        return None;
    }
    let mut words = Vec::with_capacity(n * instructions.len());
    for (opcode, i) in instructions.iter().flat_map(|opcode| (0..n).map(move |i| (opcode, i))) {
        words.push(one(opcode, [0, 1, 2, 3].map(|operand| input[operand * n + i])));
    }
    Some(words)
}

/// Every NaN that arithmetic of 32 bits makes.
fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits() }
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

fn one(opcode: &str, [a, b, c, _]: [u32; 4]) -> Option<u32> {
    let (x, y, z) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
    let (fx, fy, fz) = (flushed(x), flushed(y), flushed(z));
    let flush = |x: f32| canonical(flushed(x));
    // The larger one is not NaN if one is not.
    let saturated = |x: f32| if x.is_nan() { 0 } else { x.clamp(0.0, 1.0).to_bits() & 0x7fff_ffff };
    let less = |holds: bool| if holds { u32::MAX } else { 0 };
    Some(match opcode {
        "add.rn.f32" => canonical(x + y),
        "add.rn.ftz.f32" => flush(fx + fy),
        "add.rn.sat.f32" => saturated(x + y),
        "sub.rn.f32" => canonical(x - y),
        "mul.rn.f32" => canonical(x * y),
        "mul.rn.ftz.f32" => flush(fx * fy),
        "mul.rn.sat.f32" => saturated(x * y),
        "fma.rn.f32" => canonical(x.mul_add(y, z)),
        "fma.rn.ftz.f32" => flush(fx.mul_add(fy, fz)),
        "div.rn.f32" => canonical(x / y),
        "div.rn.ftz.f32" => flush(fx / fy),
        "rcp.rn.f32" => canonical(1.0 / x),
        "sqrt.rn.f32" => canonical(x.sqrt()),
        "set.lt.u32.f32" => less(x < y),
        "set.eq.u32.f32" => less(x == y),
        "set.gtu.u32.f32" => less(x.partial_cmp(&y).is_none_or(|order| order.is_gt())),
        "set.nan.u32.f32" => less(x.is_nan() || y.is_nan()),
        "abs.f32" | "neg.f32" if x.is_nan() => return None,
        "abs.f32" => a & 0x7fff_ffff,
        "neg.f32" => a ^ 0x8000_0000,
        // Float to integer clamps to the destination's range and takes NaN to 0; 8 bits are sign-extended.
        "cvt.rni.s32.f32" => x.round_ties_even() as i32 as u32,
        "cvt.rzi.s32.f32" => x as i32 as u32,
        "cvt.rmi.s32.f32" => x.floor() as i32 as u32,
        "cvt.rpi.u32.f32" => x.ceil() as u32,
        "cvt.rni.sat.s8.f32" => i32::from(x.round_ties_even() as i8) as u32,
        "cvt.rn.f16.f32" => {
            if x.is_nan() {
                0x7fff
            } else {
                f16::from_f32(x).to_bits().into()
            }
        }
        "cvt.rn.bf16.f32" => {
            if x.is_nan() {
                0x7fff
            } else {
                bf16::from_f32(x).to_bits().into()
            }
        }
        // a to the upper byte, b to the lower one.
        _ if opcode.starts_with("cvt.rn.satfinite.") && opcode.ends_with("x2.f32") => {
            // `.relu` clamps what is negative to +0 and keeps NaN.
            let relu = |x: f32| if opcode.contains(".relu") && x.is_sign_negative() && !x.is_nan() { 0.0 } else { x };
            let narrow = |x: f32| match opcode.contains("e4m3") {
                true => <F8E4M3 as Float>::from_f32(x).to_bits(),
                false => <F8E5M2 as Float>::from_f32(x).to_bits(),
            };
            u32::from(narrow(relu(x))) << 8 | u32::from(narrow(relu(y)))
        }
        _ if opcode.starts_with("cvt.rn.") && opcode.contains("f16x2.e") => {
            let wide = |code: u8| {
                let x = match opcode.ends_with("e4m3x2") {
                    true => Float::to_f32(F8E4M3::from_bits(code)),
                    false => Float::to_f32(F8E5M2::from_bits(code)),
                };
                let half = if x.is_nan() { 0x7fff } else { f16::from_f32(x).to_bits() };
                if opcode.contains(".relu") && half > 0x7fff { 0 } else { u32::from(half) }
            };
            wide((a >> 8) as u8) << 16 | wide(a as u8)
        }
        "prmt.b32" => prmt(a, b, c),
        "prmt.b32.f4e" => bytes(a, b, |i| i + (c as usize & 3)),
        "prmt.b32.b4e" => bytes(a, b, |i| (8 + (c as usize & 3) - i) % 8),
        "prmt.b32.rc8" => bytes(a, b, |_| c as usize & 3),
        "prmt.b32.ecl" => bytes(a, b, |i| i.max(c as usize & 3)),
        "prmt.b32.ecr" => bytes(a, b, |i| i.min(c as usize & 3)),
        "prmt.b32.rc16" => bytes(a, b, |i| i % 2 + 2 * (c as usize & 1)),
        _ => return None,
    })
}

/// Byte i of the result is byte `from(i)` of (b, a).
fn bytes(a: u32, b: u32, from: impl Fn(usize) -> usize) -> u32 {
    let pair = u64::from(a) | u64::from(b) << 32;
    (0..4).fold(0, |word, i| word | ((pair >> (8 * from(i)) & 0xff) as u32 * (1 << (8 * i))))
}

/// §9.7.9.7: four bits choose a byte; the highest of them copies its sign into all 8 bits.
fn prmt(a: u32, b: u32, selector: u32) -> u32 {
    let pair = u64::from(a) | u64::from(b) << 32;
    (0..4).fold(0, |word, i| {
        let choice = selector >> (4 * i) & 15;
        let byte = (pair >> (8 * (choice & 7)) & 0xff) as u32;
        let byte = if choice & 8 == 0 {
            byte
        } else if byte & 0x80 == 0 {
            0
        } else {
            0xff
        };
        word | byte << (8 * i)
    })
}

//! Integer, logic and shift instructions (PTX ISA §9.7.1, §9.7.2, §9.7.8).

use super::harness::{check, form};

const M: u64 = 0xFFFF_FFFF;

#[test]
fn arithmetic_of_32_bits() {
    let n = |x: i64| x as u64 & M;
    let cases = check(&[
        form("add.u32 {d}, {a}, {b};", "rrr", &[[1, 2, 3], [M, 1, 0], [0x8000_0000, 0x8000_0000, 0]]),
        form(
            "add.sat.s32 {d}, {a}, {b};",
            "rrr",
            &[[0x7FFF_FFFF, 1, 0x7FFF_FFFF], [n(-5), 3, n(-2)], [0x8000_0000, M, 0x8000_0000]],
        ),
        form("sub.s32 {d}, {a}, {b};", "rrr", &[[1, 2, M], [0, 0x8000_0000, 0x8000_0000]]),
        form(
            "sub.sat.s32 {d}, {a}, {b};",
            "rrr",
            &[[0x8000_0000, 1, 0x8000_0000], [0x7FFF_FFFF, M, 0x7FFF_FFFF], [7, 9, n(-2)]],
        ),
        form("mul.lo.s32 {d}, {a}, {b};", "rrr", &[[7, 6, 42], [M, M, 1], [0x10000, 0x10000, 0], [n(-3), 5, n(-15)]]),
        form("mul.hi.s32 {d}, {a}, {b};", "rrr", &[[M, M, 0], [0x8000_0000, 2, M], [0x4000_0000, 8, 2]]),
        form("mul.hi.u32 {d}, {a}, {b};", "rrr", &[[M, M, 0xFFFF_FFFE], [0x8000_0000, 2, 1]]),
        form("mul.wide.u32 {d}, {a}, {b};", "drr", &[[M, M, 0xFFFF_FFFE_0000_0001], [3, 4, 12]]),
        form(
            "mul.wide.s32 {d}, {a}, {b};",
            "drr",
            &[[M, M, 1], [M, 4, (-4i64) as u64], [0x8000_0000, 0x8000_0000, 1 << 62]],
        ),
        form("mad.lo.s32 {d}, {a}, {b}, {c};", "rrrr", &[[3, 4, 5, 17], [M, M, M, 0]]),
        form("mad.hi.u32 {d}, {a}, {b}, {c};", "rrrr", &[[M, M, 5, 3]]),
        form(
            "mad.hi.sat.s32 {d}, {a}, {b}, {c};",
            "rrrr",
            &[[0x7FFF_FFFF, 0x7FFF_FFFF, 0x7FFF_FFFF, 0x7FFF_FFFF], [2, 2, 1, 1]],
        ),
        form("mad.wide.u32 {d}, {a}, {b}, {c};", "drrd", &[[M, M, 1, 0xFFFF_FFFE_0000_0002]]),
        form("mad.wide.s32 {d}, {a}, {b}, {c};", "drrd", &[[M, 2, 1, M << 32 | M]]),
        form("mul24.lo.s32 {d}, {a}, {b};", "rrr", &[[0x00FF_FFFF, 2, n(-2)], [0x0100_0003, 5, 15]]),
        form("mul24.lo.u32 {d}, {a}, {b};", "rrr", &[[0x00FF_FFFF, 2, 0x01FF_FFFE], [0x0100_0003, 5, 15]]),
        form("div.s32 {d}, {a}, {b};", "rrr", &[[n(-7), 2, n(-3)], [7, n(-2), n(-3)], [0x8000_0000, M, 0x8000_0000]]),
        form("div.u32 {d}, {a}, {b};", "rrr", &[[n(-7), 2, 0x7FFF_FFFC], [5, 9, 0]]),
        form("rem.s32 {d}, {a}, {b};", "rrr", &[[n(-7), 2, M], [7, n(-2), 1], [0x8000_0000, M, 0]]),
        form("rem.u32 {d}, {a}, {b};", "rrr", &[[17, 5, 2], [M, 10, 5]]),
        form("min.s32 {d}, {a}, {b};", "rrr", &[[M, 1, M], [5, 9, 5]]),
        form("min.u32 {d}, {a}, {b};", "rrr", &[[M, 1, 1], [5, 9, 5]]),
        form("max.s32 {d}, {a}, {b};", "rrr", &[[M, 1, 1], [5, 9, 9]]),
        form("max.u32 {d}, {a}, {b};", "rrr", &[[M, 1, M], [5, 9, 9]]),
        form("abs.s32 {d}, {a};", "rr", &[[n(-9), 9], [9, 9], [0x8000_0000, 0x8000_0000]]),
        form("neg.s32 {d}, {a};", "rr", &[[n(-9), 9], [9, n(-9)], [0x8000_0000, 0x8000_0000]]),
        form("sad.s32 {d}, {a}, {b}, {c};", "rrrr", &[[n(-3), 4, 10, 17], [0x8000_0000, 0x7FFF_FFFF, 0, M]]),
        form("sad.u32 {d}, {a}, {b}, {c};", "rrrr", &[[3, 7, 10, 14], [M, 0, 1, 0]]),
    ]);
    assert_eq!(cases, 64);
}

#[test]
fn arithmetic_of_16_and_64_bits() {
    let h = |x: i64| x as u64 & 0xFFFF;
    let n = |x: i64| x as u64;
    const T: u64 = 1 << 63;
    let cases = check(&[
        form("add.s16 {d}, {a}, {b};", "hhh", &[[0x7FFF, 1, 0x8000], [h(-1), 1, 0]]),
        form("sub.u16 {d}, {a}, {b};", "hhh", &[[0, 1, 0xFFFF]]),
        form("mul.lo.u16 {d}, {a}, {b};", "hhh", &[[300, 300, 90000 & 0xFFFF]]),
        form("mul.hi.s16 {d}, {a}, {b};", "hhh", &[[h(-1), 2, 0xFFFF], [0x4000, 8, 2]]),
        form("mul.hi.u16 {d}, {a}, {b};", "hhh", &[[0xFFFF, 0xFFFF, 0xFFFE]]),
        form("mul.wide.s16 {d}, {a}, {b};", "rhh", &[[h(-300), 300, (-90000i32) as u32 as u64]]),
        form("mul.wide.u16 {d}, {a}, {b};", "rhh", &[[0xFFFF, 0xFFFF, 0xFFFE_0001]]),
        form("mad.lo.s16 {d}, {a}, {b}, {c};", "hhhh", &[[h(-2), 3, 1, h(-5)]]),
        form("min.s16 {d}, {a}, {b};", "hhh", &[[h(-2), 3, h(-2)]]),
        form("max.u16 {d}, {a}, {b};", "hhh", &[[h(-2), 3, h(-2)]]),
        form("abs.s16 {d}, {a};", "hh", &[[h(-2), 2], [0x8000, 0x8000]]),
        form("shr.s16 {d}, {a}, {b};", "hhr", &[[0x8000, 3, 0xF000], [0x8000, 99, 0xFFFF]]),
        form("shl.b16 {d}, {a}, {b};", "hhr", &[[0x8001, 1, 2], [1, 16, 0]]),
        form("not.b16 {d}, {a};", "hh", &[[0x00FF, 0xFF00]]),
        form("add.u64 {d}, {a}, {b};", "ddd", &[[n(-1), 1, 0], [1 << 32, M, 0x1_FFFF_FFFF]]),
        form("sub.s64 {d}, {a}, {b};", "ddd", &[[0, 1, n(-1)]]),
        form("mul.lo.u64 {d}, {a}, {b};", "ddd", &[[n(-1), n(-1), 1], [1 << 32, 1 << 31, T]]),
        form("mul.hi.u64 {d}, {a}, {b};", "ddd", &[[n(-1), n(-1), n(-2)], [1 << 32, 1 << 33, 2]]),
        form("mul.hi.s64 {d}, {a}, {b};", "ddd", &[[n(-1), n(-1), 0], [n(-1), 5, n(-1)]]),
        form("mad.lo.s64 {d}, {a}, {b}, {c};", "dddd", &[[n(-3), 5, 1, n(-14)]]),
        form("div.s64 {d}, {a}, {b};", "ddd", &[[n(-7), 2, n(-3)], [T, n(-1), T]]),
        form("div.u64 {d}, {a}, {b};", "ddd", &[[n(-1), 2, T - 1]]),
        form("rem.s64 {d}, {a}, {b};", "ddd", &[[n(-7), 2, n(-1)], [T, n(-1), 0]]),
        form("rem.u64 {d}, {a}, {b};", "ddd", &[[n(-1), 10, 5]]),
        form("min.s64 {d}, {a}, {b};", "ddd", &[[n(-1), 1, n(-1)]]),
        form("max.u64 {d}, {a}, {b};", "ddd", &[[n(-1), 1, n(-1)]]),
        form("abs.s64 {d}, {a};", "dd", &[[n(-9), 9]]),
        form("neg.s64 {d}, {a};", "dd", &[[9, n(-9)]]),
        form("shl.b64 {d}, {a}, {b};", "ddr", &[[1, 63, T], [1, 64, 0]]),
        form("shr.u64 {d}, {a}, {b};", "ddr", &[[T, 63, 1], [T, 64, 0]]),
        form("shr.s64 {d}, {a}, {b};", "ddr", &[[T, 63, n(-1)], [T, 200, n(-1)], [T >> 1, 200, 0]]),
        form("popc.b64 {d}, {a};", "rd", &[[n(-1), 64], [0, 0]]),
        form("clz.b64 {d}, {a};", "rd", &[[1, 63], [0, 64]]),
        form("bfind.u64 {d}, {a};", "rd", &[[1 << 40, 40], [0, M]]),
        form("brev.b64 {d}, {a};", "dd", &[[1, T]]),
        form(
            "bfe.u64 {d}, {a}, {b}, {c};",
            "ddrr",
            &[[0xABCD << 20, 24, 8, 0xBC], [n(-1), 60, 8, 15], [n(-1), 0, 64, n(-1)]],
        ),
        form("bfe.s64 {d}, {a}, {b}, {c};", "ddrr", &[[0xABCD << 20, 24, 8, n(-0x44)], [T, 60, 8, n(-8)]]),
    ]);
    assert_eq!(cases, 58);
}

#[test]
fn bits_and_bytes() {
    let n = |x: i64| x as u64 & M;
    let cases = check(&[
        form("and.b32 {d}, {a}, {b};", "rrr", &[[0b1100, 0b1010, 0b1000]]),
        form("or.b32 {d}, {a}, {b};", "rrr", &[[0b1100, 0b1010, 0b1110]]),
        form("xor.b32 {d}, {a}, {b};", "rrr", &[[0b1100, 0b1010, 0b0110]]),
        form("not.b32 {d}, {a};", "rr", &[[0, M]]),
        form("cnot.b32 {d}, {a};", "rr", &[[0, 1], [7, 0]]),
        form("and.b64 {d}, {a}, {b};", "ddd", &[[M << 8, 0xFF00, 0xFF00]]),
        form("shl.b32 {d}, {a}, {b};", "rrr", &[[1, 31, 0x8000_0000], [1, 32, 0], [1, M, 0]]),
        form("shr.u32 {d}, {a}, {b};", "rrr", &[[0x8000_0000, 31, 1], [0x8000_0000, 32, 0]]),
        form("shr.s32 {d}, {a}, {b};", "rrr", &[[0x8000_0000, 31, M], [0x8000_0000, 77, M], [0x4000_0000, 77, 0]]),
        form("popc.b32 {d}, {a};", "rr", &[[M, 32], [0x8001, 2]]),
        form("clz.b32 {d}, {a};", "rr", &[[0, 32], [1, 31], [M, 0]]),
        form("brev.b32 {d}, {a};", "rr", &[[1, 0x8000_0000], [0x0F, 0xF000_0000]]),
        form("bfind.u32 {d}, {a};", "rr", &[[0, M], [1, 0], [0x8000_0000, 31]]),
        form("bfind.s32 {d}, {a};", "rr", &[[M, M], [n(-2), 0], [0x4000_0000, 30]]),
        form("bfind.shiftamt.u32 {d}, {a};", "rr", &[[1, 31], [0x8000_0000, 0]]),
        form(
            "bfe.u32 {d}, {a}, {b}, {c};",
            "rrrr",
            &[
                [0xABCD_1234, 8, 8, 0x12],
                [0xABCD_1234, 28, 8, 0xA],
                [M, 0, 32, M],
                [M, 5, 0, 0],
                [M, 40, 4, 0],
                [0xF0, 4 + 256, 4, 15],
            ],
        ),
        form(
            "bfe.s32 {d}, {a}, {b}, {c};",
            "rrrr",
            &[[0x80, 4, 4, n(-8)], [0x70, 4, 4, 7], [0x8000_0000, 28, 8, n(-8)], [M, 5, 0, 0], [0x8000_0000, 40, 4, M]],
        ),
        form(
            "bfi.b32 {d}, {a}, {b}, 8, {c};",
            "rrrr",
            &[[0xFF, 0, 4, 0xF00], [0, M, 8, 0xFFFF_00FF], [M, 0, 40, 0xFFFF_FF00], [M, 5, 0, 5]],
        ),
        form("bfi.b64 {d}, {a}, {b}, 32, 16;", "ddd", &[[0xABCD, M, 0xABCD_FFFF_FFFF]]),
        form("lop3.b32 {d}, {a}, {b}, {c}, 0x96;", "rrrr", &[[0b1100, 0b1010, 0b0001, 0b0111]]),
        form("lop3.b32 {d}, {a}, {b}, {c}, 0xCA;", "rrrr", &[[0xFF00, 0x1234, 0xABCD, 0x12CD]]),
        form("lop3.b32 {d}, {a}, {b}, {c}, 0xE8;", "rrrr", &[[0b1100, 0b1010, 0b1001, 0b1000]]),
        form("lop3.b32 {d}, {a}, {b}, {c}, 0x01;", "rrrr", &[[0xFFFF_0000, 0xFF00, 0xF0, 0xF]]),
        form(
            "prmt.b32 {d}, {a}, {b}, {c};",
            "rrrr",
            &[
                [0x4433_2211, 0x8877_6655, 0x7531, 0x8866_4422],
                [0x80, 0x7F, 0x4C80, 0x7F00_FF80],
                [0x11, 0, 0x0000, 0x1111_1111],
            ],
        ),
        form("prmt.b32.f4e {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0x8877_6655, 1, 0x5544_3322]]),
        form("prmt.b32.b4e {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0x8877_6655, 1, 0x7788_1122]]),
        form("prmt.b32.rc8 {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0, 2, 0x3333_3333]]),
        form("prmt.b32.ecl {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0, 2, 0x4433_3333]]),
        form("prmt.b32.ecr {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0, 1, 0x2222_2211]]),
        form("prmt.b32.rc16 {d}, {a}, {b}, {c};", "rrrr", &[[0x4433_2211, 0, 1, 0x4433_4433]]),
        form("shf.l.clamp.b32 {d}, {a}, {b}, {c};", "rrrr", &[[0x8000_0000, 1, 1, 3], [5, 6, 32, 5], [5, 6, 40, 5]]),
        form("shf.l.wrap.b32 {d}, {a}, {b}, {c};", "rrrr", &[[0x8000_0000, 1, 33, 3], [5, 6, 32, 6]]),
        form("shf.r.clamp.b32 {d}, {a}, {b}, {c};", "rrrr", &[[2, 1, 1, 0x8000_0001], [5, 6, 32, 6], [5, 6, 99, 6]]),
        form("shf.r.wrap.b32 {d}, {a}, {b}, {c};", "rrrr", &[[2, 1, 33, 0x8000_0001], [5, 6, 32, 5]]),
        form(
            "dp4a.s32.s32 {d}, {a}, {b}, {c};",
            "rrrr",
            &[[0xFF02_0304, 0x0101_0101, 10, 18], [0x8080_8080, 0x8080_8080, 0, 65536]],
        ),
        form("dp4a.u32.s32 {d}, {a}, {b}, {c};", "rrrr", &[[0xFF00_0000, 0xFF00_0000, 0, n(-255)]]),
        form("dp4a.u32.u32 {d}, {a}, {b}, {c};", "rrrr", &[[M, M, 1, 4 * 255 * 255 + 1]]),
        form("dp2a.lo.s32.s32 {d}, {a}, {b}, {c};", "rrrr", &[[0xFFFF_0002, 0x0909_0305, 1, 10 - 3 + 1]]),
        form("dp2a.hi.u32.u32 {d}, {a}, {b}, {c};", "rrrr", &[[0xFFFF_0002, 0x0305_0909, 1, 3 * 65535 + 11]]),
        form(
            "add.cc.u32 {d}, {a}, {b}; addc.u32 {d}, 0, 0;",
            "rrr",
            &[[M, 1, 1], [M, 0, 0], [0x8000_0000, 0x8000_0000, 1]],
        ),
        form("sub.cc.u32 {d}, {a}, {b}; subc.u32 {d}, 5, 0;", "rrr", &[[0, 1, 4], [1, 1, 5]]),
        form("add.cc.u64 {d}, {a}, {b}; addc.u64 {d}, 0, 0;", "ddd", &[[u64::MAX, 1, 1], [u64::MAX, 0, 0]]),
        form(
            "mad.lo.cc.u32 {d}, {a}, {b}, {c}; madc.hi.u32 {d}, {a}, {b}, 0;",
            "rrrr",
            &[[M, M, M, M], [M, M, 0, M - 1]],
        ),
        form("mov.b64 {d}, {{a}, {b}};", "drr", &[[1, 2, 2 << 32 | 1]]),
        form("mov.b64 {%x0, {d}}, {a};", "rd", &[[7 << 32 | 9, 7]]),
        form("mov.b32 {d}, {{a}, {b}};", "rhh", &[[1, 2, 2 << 16 | 1]]),
        form("mov.b32 {%y0, {d}}, {a};", "hr", &[[7 << 16 | 9, 7]]),
    ]);
    assert_eq!(cases, 88);
}

#[test]
fn comparisons_and_selections() {
    let n = |x: i64| x as u64 & M;
    let cases = check(&[
        form("setp.lt.s32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rrr", &[[n(-1), 0, 1], [0, 0, 0], [1, 0, 0]]),
        form("setp.lt.u32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rrr", &[[n(-1), 0, 0], [0, 1, 1]]),
        form("setp.ge.s16 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rhh", &[[0xFFFF, 0, 0], [0, 0, 1]]),
        form("setp.hi.u16 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rhh", &[[0xFFFF, 0, 1], [0, 0, 0]]),
        form("setp.eq.b64 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rdd", &[[1 << 40, 1 << 40, 1], [1 << 40, 0, 0]]),
        form("setp.gt.s64 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rdd", &[[u64::MAX, 0, 0], [5, 4, 1]]),
        form("setp.le.u64 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rdd", &[[u64::MAX, 0, 0], [4, 4, 1]]),
        form(
            "setp.ne.s32 %q2, {a}, 0; setp.lt.and.s32 %q0|%q1, {b}, 5, %q2; selp.b32 %x0, 1, 0, %q0; selp.b32 %x1, 2, 0, %q1; or.b32 {d}, %x0, %x1;",
            "rrr",
            &[[1, 3, 1], [1, 7, 2], [0, 3, 0], [0, 7, 0]],
        ),
        form(
            "setp.ne.s32 %q2, {a}, 0; setp.lt.xor.s32 %q0, {b}, 5, !%q2; selp.b32 {d}, 1, 0, %q0;",
            "rrr",
            &[[1, 3, 1], [1, 7, 0], [0, 3, 0], [0, 7, 1]],
        ),
        form("set.lt.u32.s32 {d}, {a}, {b};", "rrr", &[[n(-1), 0, M], [0, 0, 0]]),
        form("set.gt.f32.u32 {d}, {a}, {b};", "frr", &[[2, 1, 0x3F80_0000], [1, 1, 0]]),
        form(
            "setp.ne.s32 %q0, {c}, 0; selp.b64 {d}, {a}, {b}, %q0;",
            "dddr",
            &[[1 << 40, 2, 1, 1 << 40], [1 << 40, 2, 0, 2]],
        ),
        form("slct.u32.s32 {d}, {a}, {b}, {c};", "rrrr", &[[1, 2, 0, 1], [1, 2, n(-1), 2]]),
        form(
            "slct.u32.f32 {d}, {a}, {b}, {c};",
            "rrrf",
            &[[1, 2, 0x8000_0000, 1], [1, 2, 0xBF80_0000, 2], [1, 2, 0x7FC0_0000, 2]],
        ),
        form(
            "setp.ne.s32 %q0, {a}, 0; setp.ne.s32 %q1, {b}, 0; and.pred %q2, %q0, %q1; not.pred %q3, %q2; @%q3 mov.b32 {d}, 7; @!%q3 mov.b32 {d}, 9;",
            "rrr",
            &[[1, 1, 9], [1, 0, 7], [0, 0, 7]],
        ),
    ]);
    assert_eq!(cases, 37);
}

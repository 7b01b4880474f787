//! Integer, logic and shift instructions (PTX ISA §9.7.1, §9.7.2, §9.7.8).

use super::harness::{check, form};

const M: u64 = 0xFFFF_FFFF;

#[test]
fn arithmetic_of_32_bits() {
    let n = |x: i64| x as u64 & M;
    let cases = check(&[
        form("add.u32 {d}, {a}, {b};", "rrr", &[[1, 2, 3], [M, 1, 0], [0x8000_0000, 0x8000_0000, 0]]),
        form("add.sat.s32 {d}, {a}, {b};", "rrr", &[[0x7FFF_FFFF, 1, 0x7FFF_FFFF], [n(-5), 3, n(-2)], [0x8000_0000, M, 0x8000_0000]]),
        form("sub.s32 {d}, {a}, {b};", "rrr", &[[1, 2, M], [0, 0x8000_0000, 0x8000_0000]]),
        form("sub.sat.s32 {d}, {a}, {b};", "rrr", &[[0x8000_0000, 1, 0x8000_0000], [0x7FFF_FFFF, M, 0x7FFF_FFFF], [7, 9, n(-2)]]),
        form("mul.lo.s32 {d}, {a}, {b};", "rrr", &[[7, 6, 42], [M, M, 1], [0x10000, 0x10000, 0], [n(-3), 5, n(-15)]]),
        form("mul.hi.s32 {d}, {a}, {b};", "rrr", &[[M, M, 0], [0x8000_0000, 2, M], [0x4000_0000, 8, 2]]),
        form("mul.hi.u32 {d}, {a}, {b};", "rrr", &[[M, M, 0xFFFF_FFFE], [0x8000_0000, 2, 1]]),
        form("mul.wide.u32 {d}, {a}, {b};", "drr", &[[M, M, 0xFFFF_FFFE_0000_0001], [3, 4, 12]]),
        form("mul.wide.s32 {d}, {a}, {b};", "drr", &[[M, M, 1], [M, 4, (-4i64) as u64], [0x8000_0000, 0x8000_0000, 1 << 62]]),
        form("mad.lo.s32 {d}, {a}, {b}, {c};", "rrrr", &[[3, 4, 5, 17], [M, M, M, 0]]),
        form("mad.hi.u32 {d}, {a}, {b}, {c};", "rrrr", &[[M, M, 5, 3]]),
        form("mad.hi.sat.s32 {d}, {a}, {b}, {c};", "rrrr", &[[0x7FFF_FFFF, 0x7FFF_FFFF, 0x7FFF_FFFF, 0x7FFF_FFFF], [2, 2, 1, 1]]),
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

//! `cvt`: exhaustive for 16-bit floats, edges for the rest (PTX ISA §9.7.9.21).

use super::harness::{LEVELS, check, form, options, run};
use halfbyte::emulator::{Arch, Machine};

fn f(x: f32) -> u64 {
    u64::from(x.to_bits())
}

#[test]
fn every_half_to_f32_and_back() {
    type Peer = fn(u16) -> f32;
    let table: [(&str, Peer); 2] =
        [("f16", |b| half::f16::from_bits(b).to_f32()), ("bf16", |b| half::bf16::from_bits(b).to_f32())];
    for level in LEVELS {
        let machine = Machine::with(options(Arch::Sm90a, 1, Some(level)));
        for (ty, peer) in table {
            let rows: Vec<Vec<u64>> = (0..65536).map(|b| vec![b]).collect();
            let wide = run(&machine, &format!("cvt.f32.{ty} {{d}}, {{a}};"), "fh", &rows);
            for (b, got) in wide.iter().enumerate() {
                let want = peer(b as u16);
                // NaN becomes the canonical one from f16; bf16 is shifted, as on a GPU (tests/golden).
                let nan = if ty == "f16" { 0x7FFF_FFFF } else { (b as u32) << 16 };
                let want = if want.is_nan() { nan } else { want.to_bits() };
                assert_eq!(*got, u64::from(want), "{ty} {b:#x} ({level})");
            }
            let rows: Vec<Vec<u64>> = wide.iter().map(|w| vec![*w]).collect();
            let back = run(&machine, &format!("cvt.rn.{ty}.f32 {{d}}, {{a}};"), "hf", &rows);
            for (b, got) in back.iter().enumerate() {
                let want = if peer(b as u16).is_nan() { 0x7FFF } else { b as u64 };
                assert_eq!(*got, want, "{ty} {b:#x} ({level})");
            }
        }
    }
}

#[test]
fn roundings_to_halves() {
    // f16: one unit at 1 is 2^-10.
    let third = f(1.0 + 2f32.powi(-12));
    let cases = check(&[
        form(
            "cvt.rn.f16.f32 {d}, {a};",
            "hf",
            &[
                [f(1.0 + 2f32.powi(-11)), 0x3C00],
                [f(1.0 + 3.0 * 2f32.powi(-11)), 0x3C02],
                [f(65519.0), 0x7BFF],
                [f(65520.0), 0x7C00],
                [0x7FC0_0000, 0x7FFF],
                [f(2f32.powi(-25)), 0],
                [f(-2f32.powi(-24)), 0x8001],
            ],
        ),
        form("cvt.rz.f16.f32 {d}, {a};", "hf", &[[third, 0x3C00], [f(1e9), 0x7BFF], [f(-1e9), 0xFBFF]]),
        form("cvt.rp.f16.f32 {d}, {a};", "hf", &[[third, 0x3C01], [f(-1e9), 0xFBFF], [f(1e9), 0x7C00]]),
        form("cvt.rm.f16.f32 {d}, {a};", "hf", &[[third, 0x3C00], [third | 1 << 31, 0xBC01]]),
        form(
            "cvt.rn.bf16.f32 {d}, {a};",
            "hf",
            &[[0x3F80_8000, 0x3F80], [0x3F81_8000, 0x3F82], [0x3F80_8001, 0x3F81], [0x7F7F_FFFF, 0x7F80]],
        ),
        form("cvt.rn.relu.f16.f32 {d}, {a};", "hf", &[[f(-1.0), 0], [f(1.0), 0x3C00], [0x7FC0_0000, 0x7FFF]]),
        form("cvt.rn.f16x2.f32 {d}, {a}, {b};", "rff", &[[f(1.0), f(2.0), 0x3C00_4000]]),
        form("cvt.rz.bf16x2.f32 {d}, {a}, {b};", "rff", &[[0x3F80_FFFF, f(2.0), 0x3F80_4000]]),
        form("cvt.rn.bf16x2.f32 {d}, {a}, {b};", "rff", &[[0x3F80_FFFF, f(2.0), 0x3F81_4000]]),
        form(
            "cvt.rn.satfinite.e4m3x2.f32 {d}, {a}, {b};",
            "hff",
            &[[f(1.0), f(1e9), 0x387E], [f(-448.0), f(0.0), 0xFE00], [0x7FC0_0000, f(464.0), 0x7F7E]],
        ),
        form("cvt.rn.satfinite.e5m2x2.f32 {d}, {a}, {b};", "hff", &[[f(1.0), f(1e9), 0x3C7B]]),
        form("cvt.rn.f16x2.e4m3x2 {d}, {a};", "rh", &[[0x387E, 0x3C00_5F00], [0x0180, 0x1800_8000]]),
        form("cvt.rn.f16x2.e5m2x2 {d}, {a};", "rh", &[[0x3C7B, 0x3C00_7B00]]),
        form("cvt.rna.tf32.f32 {d}, {a};", "rf", &[[0x3F80_1000, 0x3F80_2000], [0x3F80_0FFF, 0x3F80_0000]]),
    ]);
    assert_eq!(cases, 34);
}

#[test]
fn floats_and_integers() {
    let n = |x: i64| x as u64 & 0xFFFF_FFFF;
    const MAX: u64 = 0xFFFF_FFFF;
    let g = |x: f64| x.to_bits();
    let cases = check(&[
        form(
            "cvt.rni.s32.f32 {d}, {a};",
            "rf",
            &[
                [f(2.5), 2],
                [f(3.5), 4],
                [f(-2.5), n(-2)],
                [f(3e9), 0x7FFF_FFFF],
                [f(-3e9), 0x8000_0000],
                [0x7FC0_0000, 0],
            ],
        ),
        form("cvt.rzi.s32.f32 {d}, {a};", "rf", &[[f(2.9), 2], [f(-2.9), n(-2)]]),
        form("cvt.rmi.s32.f32 {d}, {a};", "rf", &[[f(2.9), 2], [f(-2.1), n(-3)]]),
        form("cvt.rpi.s32.f32 {d}, {a};", "rf", &[[f(2.1), 3], [f(-2.9), n(-2)]]),
        form("cvt.rni.u32.f32 {d}, {a};", "rf", &[[f(-1.0), 0], [f(5e9), MAX], [f(4e9), 4_000_000_000]]),
        form("cvt.rni.sat.s8.f32 {d}, {a};", "rf", &[[f(300.0), 127], [f(-300.0), n(-128)], [f(-1.5), n(-2)]]),
        form("cvt.rzi.u8.f32 {d}, {a};", "rf", &[[f(300.0), 255], [f(-1.0), 0]]),
        form("cvt.rni.s64.f32 {d}, {a};", "df", &[[f(-3e9), (-3_000_000_000i64) as u64], [f(1e30), i64::MAX as u64]]),
        form("cvt.rzi.s32.f64 {d}, {a};", "rg", &[[g(-7.9), n(-7)], [g(1e10), 0x7FFF_FFFF]]),
        form(
            "cvt.rn.f32.s32 {d}, {a};",
            "fr",
            &[[n(-7), f(-7.0)], [0x0100_0001, f(16777216.0)], [0x0100_0003, f(16777220.0)]],
        ),
        form("cvt.rz.f32.s32 {d}, {a};", "fr", &[[0x0100_0003, f(16777218.0)]]),
        form("cvt.rp.f32.u32 {d}, {a};", "fr", &[[0x0100_0001, f(16777218.0)], [MAX, f(4294967296.0)]]),
        form("cvt.rn.f32.u64 {d}, {a};", "fd", &[[u64::MAX, f(1.8446744e19)]]),
        form("cvt.rz.f32.s64 {d}, {a};", "fd", &[[u64::MAX, f(-1.0)]]),
        form("cvt.rn.f64.s32 {d}, {a};", "gr", &[[n(-7), g(-7.0)]]),
        form("cvt.rn.f16.s32 {d}, {a};", "hr", &[[2049, 0x6800], [2051, 0x6802]]),
        form("cvt.rn.f16.u8 {d}, {a};", "hh", &[[0x1FF, 0x5BF8]]),
        form("cvt.rn.f32.s8 {d}, {a};", "fr", &[[0xFF, f(-1.0)]]),
        form("cvt.f64.f32 {d}, {a};", "gf", &[[f(1.5), g(1.5)]]),
        form("cvt.rn.f32.f64 {d}, {a};", "fg", &[[g(1.0 + 2f64.powi(-24)), f(1.0)], [g(1e300), 0x7F80_0000]]),
        form("cvt.rm.f32.f64 {d}, {a};", "fg", &[[g(-1.0 - 2f64.powi(-30)), 0xBF80_0001]]),
        form("cvt.rni.f32.f32 {d}, {a};", "ff", &[[f(2.5), f(2.0)], [f(-0.3), 1 << 31]]),
        form("cvt.rpi.f32.f32 {d}, {a};", "ff", &[[f(2.1), f(3.0)]]),
        form("cvt.sat.f32.f32 {d}, {a};", "ff", &[[f(2.5), f(1.0)], [f(-2.0), 0], [0x7FC0_0000, 0]]),
        form("cvt.ftz.f32.f32 {d}, {a};", "ff", &[[1, 0], [f(2.0), f(2.0)]]),
        form("cvt.f32.f16 {d}, {a};", "fh", &[[0x3C00, f(1.0)], [1, f(2f32.powi(-24))]]),
        form("cvt.rni.s32.f16 {d}, {a};", "rh", &[[0xC100, n(-2)]]),
    ]);
    assert_eq!(cases, 52);
}

#[test]
fn integers_to_integers() {
    let n = |x: i64| x as u64 & 0xFFFF_FFFF;
    let cases = check(&[
        form("cvt.u32.u16 {d}, {a};", "rh", &[[0xFFFF, 0xFFFF]]),
        form("cvt.s32.s16 {d}, {a};", "rh", &[[0xFFFF, n(-1)]]),
        form("cvt.s32.s8 {d}, {a};", "rr", &[[0x1280, n(-128)], [0x7F, 127]]),
        form("cvt.u32.u8 {d}, {a};", "rr", &[[0x1280, 0x80]]),
        form("cvt.u16.u32 {d}, {a};", "hr", &[[0x12345, 0x2345]]),
        form("cvt.s64.s32 {d}, {a};", "dr", &[[n(-5), (-5i64) as u64]]),
        form("cvt.u64.u32 {d}, {a};", "dr", &[[n(-5), n(-5)]]),
        form("cvt.u32.u64 {d}, {a};", "rd", &[[0x1_0000_0007, 7]]),
        form("cvt.sat.s8.s32 {d}, {a};", "rr", &[[200, 127], [n(-200), n(-128)], [n(-3), n(-3)]]),
        form("cvt.sat.u8.s32 {d}, {a};", "rr", &[[300, 255], [n(-1), 0]]),
        form("cvt.sat.u32.s64 {d}, {a};", "rd", &[[u64::MAX, 0], [1 << 40, 0xFFFF_FFFF]]),
        form("cvt.pack.sat.s8.s32.b32 {d}, {a}, {b}, {c};", "rrrr", &[[300, n(-300), 0x1234, 0x1234_7F80]]),
        form("cvt.pack.sat.u16.s32 {d}, {a}, {b};", "rrr", &[[70000, n(-1), 0xFFFF_0000]]),
    ]);
    assert_eq!(cases, 18);
}

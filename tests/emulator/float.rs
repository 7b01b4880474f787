//! Float arithmetic: results worked out with exact intermediate values, rounding modes, NaN and subnormal rules
//! (PTX ISA §9.7.3–§9.7.5).

use super::harness::{LEVELS, check, form, options, run};
use halfbyte::emulator::{Arch, Machine};

const NAN: u64 = 0x7FFF_FFFF;
const INF: u64 = 0x7F80_0000;

fn f(x: f32) -> u64 {
    u64::from(x.to_bits())
}

#[test]
fn arithmetic_of_f32() {
    let tiny = f(f32::from_bits(1));
    let half_ulp = f(2f32.powi(-25));
    let above = 0x3F80_0001;
    let cases = check(&[
        form(
            "add.f32 {d}, {a}, {b};",
            "fff",
            &[
                [f(1.5), f(2.25), f(3.75)],
                [INF, INF | 1 << 31, NAN],
                [f(1.0), half_ulp, f(1.0)],
                [0x7FC1_2345, f(1.0), NAN],
            ],
        ),
        form(
            "add.rz.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), 1 << 31 | half_ulp, 0x3F7F_FFFF], [f(f32::MAX), f(f32::MAX), f(f32::MAX)]],
        ),
        form(
            "add.rp.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), half_ulp, above], [f(1.0), tiny, above], [f(-1.0), f(1.0), 0]],
        ),
        form(
            "add.rm.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), 1 << 31 | tiny, 0x3F7F_FFFF], [f(-1.0), f(1.0), 0x8000_0000], [0, 0, 0]],
        ),
        form("add.sat.f32 {d}, {a}, {b};", "fff", &[[f(0.5), f(2.0), f(1.0)], [f(0.5), f(-2.0), 0], [NAN, f(1.0), 0]]),
        form("add.ftz.f32 {d}, {a}, {b};", "fff", &[[tiny, tiny, 0], [1 << 31 | tiny, 0x8000_0000, 0x8000_0000]]),
        form("add.f32 {d}, {a}, {b};", "fff", &[[tiny, tiny, 2], [f(f32::MAX), f(f32::MAX), INF]]),
        form("sub.f32 {d}, {a}, {b};", "fff", &[[f(1.5), f(2.25), f(-0.75)], [INF, INF, NAN]]),
        form("mul.f32 {d}, {a}, {b};", "fff", &[[f(3.0), f(-4.0), f(-12.0)], [0, INF, NAN], [f(1e-30), f(1e-30), 0]]),
        form("mul.rp.f32 {d}, {a}, {b};", "fff", &[[f(1e-30), f(1e-30), 1], [above, above, 0x3F80_0003]]),
        form("mul.rz.f32 {d}, {a}, {b};", "fff", &[[above, above, 0x3F80_0002], [f(f32::MAX), f(2.0), f(f32::MAX)]]),
        form(
            "fma.rn.f32 {d}, {a}, {b}, {c};",
            "ffff",
            &[[above, above, f(-1.0), f(2f32.powi(-22) + 2f32.powi(-46))], [INF, 0, f(1.0), NAN]],
        ),
        form("fma.rm.f32 {d}, {a}, {b}, {c};", "ffff", &[[f(1.0), f(1.0), 1 << 31 | tiny, 0x3F7F_FFFF]]),
        form("fma.rz.f32 {d}, {a}, {b}, {c};", "ffff", &[[above, above, 0, 0x3F80_0002]]),
        form("fma.rp.f32 {d}, {a}, {b}, {c};", "ffff", &[[above, above, 0, 0x3F80_0003]]),
        form("fma.rn.sat.f32 {d}, {a}, {b}, {c};", "ffff", &[[f(2.0), f(3.0), 0, f(1.0)]]),
        form(
            "div.rn.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), f(3.0), 0x3EAA_AAAB], [f(1.0), 0, INF], [0, 0, NAN], [f(-1.0), INF, 1 << 31]],
        ),
        form("div.rz.f32 {d}, {a}, {b};", "fff", &[[f(1.0), f(3.0), 0x3EAA_AAAA]]),
        form("div.rm.f32 {d}, {a}, {b};", "fff", &[[f(-1.0), f(3.0), 0xBEAA_AAAB]]),
        form("div.rp.f32 {d}, {a}, {b};", "fff", &[[f(-1.0), f(3.0), 0xBEAA_AAAA]]),
        form("div.full.f32 {d}, {a}, {b};", "fff", &[[f(6.0), f(3.0), f(2.0)]]),
        form(
            "div.approx.f32 {d}, {a}, {b};",
            "fff",
            &[[f(6.0), f(3.0), f(2.0)], [f(1.0), f(2f32.powi(127)), 0], [INF, f(2f32.powi(127)), NAN]],
        ),
        form("rcp.rn.f32 {d}, {a};", "ff", &[[f(4.0), f(0.25)], [0, INF], [f(3.0), 0x3EAA_AAAB]]),
        form("rcp.rz.f32 {d}, {a};", "ff", &[[f(3.0), 0x3EAA_AAAA]]),
        form("rcp.approx.ftz.f32 {d}, {a};", "ff", &[[f(4.0), f(0.25)], [tiny, INF]]),
        form("sqrt.rn.f32 {d}, {a};", "ff", &[[f(2.0), 0x3FB5_04F3], [f(-1.0), NAN], [0x8000_0000, 0x8000_0000]]),
        form("sqrt.rp.f32 {d}, {a};", "ff", &[[f(2.0), 0x3FB5_04F4], [f(4.0), f(2.0)]]),
        form("sqrt.approx.f32 {d}, {a};", "ff", &[[f(9.0), f(3.0)]]),
        form("rsqrt.approx.f32 {d}, {a};", "ff", &[[f(4.0), f(0.5)], [0, INF], [f(-1.0), NAN]]),
        form(
            "ex2.approx.f32 {d}, {a};",
            "ff",
            &[[f(3.0), f(8.0)], [f(-1.0), f(0.5)], [INF | 1 << 31, 0], [f(200.0), INF]],
        ),
        form("lg2.approx.f32 {d}, {a};", "ff", &[[f(8.0), f(3.0)], [0, INF | 1 << 31], [f(-1.0), NAN]]),
        form("sin.approx.f32 {d}, {a};", "ff", &[[0, 0], [INF, NAN]]),
        form("cos.approx.f32 {d}, {a};", "ff", &[[0, f(1.0)], [INF, NAN]]),
        form("tanh.approx.f32 {d}, {a};", "ff", &[[0, 0], [INF, f(1.0)], [INF | 1 << 31, f(-1.0)]]),
        form(
            "min.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), f(2.0), f(1.0)], [NAN, f(2.0), f(2.0)], [0, 1 << 31, 1 << 31], [0x7FC0_0001, 0x7FC0_0001, NAN]],
        ),
        form(
            "max.f32 {d}, {a}, {b};",
            "fff",
            &[[f(1.0), f(2.0), f(2.0)], [f(1.0), NAN, f(1.0)], [0, 1 << 31, 0], [1 << 31, 0, 0]],
        ),
        form("max.NaN.f32 {d}, {a}, {b};", "fff", &[[f(1.0), 0x7FC0_0001, NAN], [f(1.0), f(2.0), f(2.0)]]),
        form("abs.f32 {d}, {a};", "ff", &[[f(-2.0), f(2.0)]]),
        form("neg.f32 {d}, {a};", "ff", &[[f(-2.0), f(2.0)], [0, 1 << 31]]),
        form("copysign.f32 {d}, {a}, {b};", "fff", &[[f(-1.0), f(5.0), f(-5.0)]]),
        form("setp.lt.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[f(1.0), f(2.0), 1], [NAN, f(2.0), 0]]),
        form("setp.ltu.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[f(3.0), f(2.0), 0], [NAN, f(2.0), 1]]),
        form("setp.ne.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[NAN, NAN, 0], [f(1.0), f(2.0), 1]]),
        form("setp.neu.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[NAN, NAN, 1], [0, 1 << 31, 0]]),
        form("setp.num.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[NAN, 0, 0], [0, 0, 1]]),
        form("setp.nan.f32 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rff", &[[NAN, 0, 1], [0, 0, 0]]),
        form("testp.finite.f32 %q0, {a}; selp.b32 {d}, 1, 0, %q0;", "rf", &[[INF, 0], [f(1.0), 1], [NAN, 0]]),
    ]);
    assert_eq!(cases, 103);
}

#[test]
fn arithmetic_of_f64() {
    let g = |x: f64| x.to_bits();
    let cases = check(&[
        form("add.f64 {d}, {a}, {b};", "ggg", &[[g(1.5), g(2.0), g(3.5)]]),
        form("add.rp.f64 {d}, {a}, {b};", "ggg", &[[g(1.0), g(1e-300), g(1.0f64.next_up())]]),
        form("sub.rz.f64 {d}, {a}, {b};", "ggg", &[[g(1.0), g(1e-300), g(1.0f64.next_down())]]),
        form(
            "mul.rz.f64 {d}, {a}, {b};",
            "ggg",
            &[[g(1.0f64.next_up()), g(1.0f64.next_up()), g(1.0 + 2f64.powi(-51))]],
        ),
        form(
            "mul.rp.f64 {d}, {a}, {b};",
            "ggg",
            &[[g(1.0f64.next_up()), g(1.0f64.next_up()), g((1.0 + 2f64.powi(-51)).next_up())]],
        ),
        form(
            "fma.rn.f64 {d}, {a}, {b}, {c};",
            "gggg",
            &[[g(1.0f64.next_up()), g(1.0f64.next_up()), g(-1.0), g(2f64.powi(-51) + 2f64.powi(-104))]],
        ),
        form("fma.rm.f64 {d}, {a}, {b}, {c};", "gggg", &[[g(1.0), g(1.0), g(-1e-300), g(1.0f64.next_down())]]),
        form("div.rn.f64 {d}, {a}, {b};", "ggg", &[[g(1.0), g(3.0), g(1.0 / 3.0)]]),
        form("sqrt.rn.f64 {d}, {a};", "gg", &[[g(2.0), g(2f64.sqrt())]]),
        form("rcp.rn.f64 {d}, {a};", "gg", &[[g(4.0), g(0.25)]]),
        form("max.f64 {d}, {a}, {b};", "ggg", &[[g(4.0), g(f64::NAN), g(4.0)], [g(4.0), g(5.0), g(5.0)]]),
        form("min.f64 {d}, {a}, {b};", "ggg", &[[g(0.0), g(-0.0), g(-0.0)]]),
        form("abs.f64 {d}, {a};", "gg", &[[g(-4.0), g(4.0)]]),
        form("neg.f64 {d}, {a};", "gg", &[[g(-4.0), g(4.0)]]),
        form(
            "setp.gt.f64 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;",
            "rgg",
            &[[g(2.0), g(1.0), 1], [g(f64::NAN), g(1.0), 0]],
        ),
    ]);
    assert_eq!(cases, 17);
}

#[test]
fn arithmetic_of_halves() {
    let cases = check(&[
        // 1 = 0x3C00, 2 = 0x4000, 3 = 0x4200, 2^-11 = 0x1000, 65504 = 0x7BFF
        form(
            "add.f16 {d}, {a}, {b};",
            "hhh",
            &[
                [0x3C00, 0x4000, 0x4200],
                [0x3C00, 0x1000, 0x3C00],
                [0x3C01, 0x1000, 0x3C02],
                [0x7BFF, 0x7BFF, 0x7C00],
                [0x7C00, 0xFC00, 0x7FFF],
            ],
        ),
        form("sub.f16 {d}, {a}, {b};", "hhh", &[[0x4200, 0x4000, 0x3C00]]),
        form(
            "mul.f16 {d}, {a}, {b};",
            "hhh",
            &[[0x4200, 0x4000, 0x4600], [0x0001, 0x3800, 0x0000], [0x0003, 0x3800, 0x0002]],
        ),
        // 1.0009765625² − 1 = 2^-9 + 2^-20 rounds to 2^-9 · (1 + 2^-11) → 0x1800 (tie to even)
        form(
            "fma.rn.f16 {d}, {a}, {b}, {c};",
            "hhhh",
            &[[0x3C01, 0x3C01, 0xBC00, 0x1800], [0x4200, 0x4000, 0x3C00, 0x4700]],
        ),
        form(
            "fma.rn.relu.f16 {d}, {a}, {b}, {c};",
            "hhhh",
            &[[0x4200, 0xC000, 0x3C00, 0], [0x4200, 0x4000, 0x3C00, 0x4700]],
        ),
        form("add.sat.f16 {d}, {a}, {b};", "hhh", &[[0x3C00, 0x4000, 0x3C00], [0xBC00, 0, 0]]),
        form("add.f16x2 {d}, {a}, {b};", "rrr", &[[0x3C00_4000, 0x4000_3C00, 0x4200_4200]]),
        form("mul.f16x2 {d}, {a}, {b};", "rrr", &[[0x3C00_4200, 0x4000_4000, 0x4000_4600]]),
        form("fma.rn.f16x2 {d}, {a}, {b}, {c};", "rrrr", &[[0x3C00_4200, 0x4000_4000, 0x3C00_3C00, 0x4200_4700]]),
        form(
            "max.f16x2 {d}, {a}, {b};",
            "rrr",
            &[[0x3C00_7E00, 0x4000_4000, 0x4000_4000], [0x8000_0000, 0x0000_8000, 0]],
        ),
        form("min.NaN.f16 {d}, {a}, {b};", "hhh", &[[0x3C00, 0x7E00, 0x7FFF], [0x3C00, 0x4000, 0x3C00]]),
        form("neg.f16x2 {d}, {a};", "rr", &[[0x3C00_4000, 0xBC00_C000]]),
        form("abs.f16 {d}, {a};", "hh", &[[0xBC00, 0x3C00]]),
        form("ex2.approx.f16 {d}, {a};", "hh", &[[0x4200, 0x4800]]),
        form("tanh.approx.f16x2 {d}, {a};", "rr", &[[0x7C00_0000, 0x3C00_0000]]),
        // bf16: 1 = 0x3F80, 2 = 0x4000, 3 = 0x4040, 2^-9 = 0x3B00
        form(
            "fma.rn.bf16 {d}, {a}, {b}, {c};",
            "hhhh",
            &[[0x4040, 0x4000, 0x3F80, 0x40E0], [0x3F80, 0x3B80, 0x3F80, 0x3F80]],
        ),
        form("fma.rn.bf16x2 {d}, {a}, {b}, {c};", "rrrr", &[[0x4040_3F80, 0x4000_3F80, 0x3F80_0000, 0x40E0_3F80]]),
        form("add.bf16 {d}, {a}, {b};", "hhh", &[[0x3F80, 0x4000, 0x4040]]),
        form("max.bf16x2 {d}, {a}, {b};", "rrr", &[[0x3F80_4000, 0x4000_3F80, 0x4000_4000]]),
        form("neg.bf16 {d}, {a};", "hh", &[[0x3F80, 0xBF80]]),
        form("setp.lt.f16 %q0, {a}, {b}; selp.b32 {d}, 1, 0, %q0;", "rhh", &[[0x3C00, 0x4000, 1], [0x7E00, 0x4000, 0]]),
        form(
            "setp.lt.f16x2 %q0|%q1, {a}, {b}; selp.b32 %x0, 1, 0, %q0; selp.b32 %x1, 2, 0, %q1; or.b32 {d}, %x0, %x1;",
            "rrr",
            &[[0x4200_3C00, 0x4000_4000, 1], [0x3C00_4200, 0x4000_4000, 2]],
        ),
    ]);
    assert_eq!(cases, 36);
}

/// Relative (or, for sin and cos, absolute) errors against f64 inside what PTX documents.
#[test]
fn approximate_functions_keep_their_bounds() {
    type Reference = fn(f64) -> f64;
    let table: [(&str, Reference, f32, f32, f64, bool); 7] = [
        ("ex2.approx.f32 {d}, {a};", f64::exp2, -30.0, 30.0, 2f64.powi(-22), true),
        ("lg2.approx.f32 {d}, {a};", f64::log2, 2.5, 1e30, 2f64.powi(-22), true),
        ("rsqrt.approx.f32 {d}, {a};", |x| 1.0 / x.sqrt(), 1e-20, 1e20, 2f64.powi(-22), true),
        ("rcp.approx.f32 {d}, {a};", |x| 1.0 / x, 1e-20, 1e20, 2f64.powi(-23), true),
        ("sin.approx.f32 {d}, {a};", f64::sin, -3.1, 3.1, 2f64.powi(-20), false),
        ("cos.approx.f32 {d}, {a};", f64::cos, -3.1, 3.1, 2f64.powi(-20), false),
        ("tanh.approx.f32 {d}, {a};", f64::tanh, -9.0, 9.0, 2f64.powi(-11), true),
    ];
    for (text, reference, low, high, bound, relative) in table {
        let mut bits = Vec::new();
        for level in LEVELS {
            let machine = Machine::with(options(Arch::Sm80, 1, Some(level)));
            let x = |i: u32| low + (high - low) * (i as f32 / 4095.0);
            let rows: Vec<Vec<u64>> = (0..4096).map(|i| vec![f(x(i))]).collect();
            let results = run(&machine, text, "ff", &rows);
            for (i, got) in results.iter().enumerate() {
                let (got, want) = (f64::from(f32::from_bits(*got as u32)), reference(f64::from(x(i as u32))));
                let error = (got - want).abs() / if relative { want.abs().max(1e-300) } else { 1.0 };
                assert!(error <= bound, "{text} of {}: {got} against {want}", x(i as u32));
            }
            bits.push(results);
        }
        assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "{text} differs between levels");
    }
}

//! f32 and f64 arithmetic (PTX ISA §9.7.3): every rounding, `.ftz`, `.sat`, NaN.

use super::exact::{F32, F64, MODES, Mode};
use super::ieee;
use super::table::Table;

type Binary = fn(super::exact::Format, Mode, u64, u64) -> u64;
const SUMS: [(&str, Binary); 3] = [("add", ieee::add), ("sub", ieee::sub), ("mul", ieee::mul)];

/// `.ftz` and `.sat` in all combinations.
const ENDS: [(&str, bool, bool); 4] =
    [("", false, false), (".ftz", true, false), (".sat", false, true), (".ftz.sat", true, true)];

/// What `.ftz` and `.sat` do to a result.
fn finish(ftz: bool, sat: bool, x: u64) -> u64 {
    let x = ieee::flush_if(ftz, F32, x);
    if sat { ieee::saturate(F32, x) } else { x }
}

#[test]
fn f32_sums_and_products() {
    let mut table = Table::new("ff");
    for (name, host) in SUMS {
        for (round, mode) in MODES.iter().copied().chain([("", Mode::Rn)]) {
            // No rounding is the same as `.rn`.
            for (end, ftz, sat) in ENDS.into_iter().take(if round.is_empty() { 1 } else { 4 }) {
                let round = if round.is_empty() { String::new() } else { format!(".{round}") };
                table.form('f', format!("{name}{round}{end}.f32 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| {
                    let [a, b] = [a, b].map(|x| ieee::flush_if(ftz, F32, x));
                    finish(ftz, sat, host(F32, mode, a, b))
                });
            }
        }
    }
    table.run(51);
}

#[test]
fn f32_fused_products() {
    let mut table = Table::new("fff");
    for name in ["fma", "mad"] {
        for (round, mode) in MODES {
            // `mad` with a rounding is another name of `fma`.
            for (end, ftz, sat) in ENDS.into_iter().take(if name == "mad" { 1 } else { 4 }) {
                table.form('f', format!("{name}.{round}{end}.f32 {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, c, _]| {
                    let [a, b, c] = [a, b, c].map(|x| ieee::flush_if(ftz, F32, x));
                    finish(ftz, sat, ieee::fma(F32, mode, a, b, c))
                });
            }
        }
    }
    table.run(20);
}

#[test]
fn f32_quotients_and_extremes() {
    let mut table = Table::new("ff");
    for (end, ftz) in [("", false), (".ftz", true)] {
        let flushed = move |x: [u64; 4]| [x[0], x[1]].map(|x| ieee::flush_if(ftz, F32, x));
        for (round, mode) in MODES {
            table.form('f', format!("div.{round}{end}.f32 {{d}}, {{a}}, {{b}};"), move |x| {
                let [a, b] = flushed(x);
                finish(ftz, false, ieee::div(F32, mode, a, b))
            });
        }
        for (name, largest) in [("min", false), ("max", true)] {
            for (word, keep_nan) in [("", false), (".NaN", true)] {
                table.form('f', format!("{name}{end}{word}.f32 {{d}}, {{a}}, {{b}};"), move |x| {
                    let [a, b] = flushed(x);
                    ieee::least(F32, largest, keep_nan, a, b)
                });
                table.form('f', format!("{name}{end}{word}.xorsign.abs.f32 {{d}}, {{a}}, {{b}};"), move |x| {
                    let [a, b] = flushed(x);
                    ieee::least_magnitude(F32, largest, keep_nan, a, b)
                });
            }
        }
    }
    table.form('f', "copysign.f32 {d}, {a}, {b};", |[a, b, ..]| a & 1 << 31 | b & 0x7FFF_FFFF);
    table.run(25);
}

#[test]
fn f32_of_one_source() {
    let mut table = Table::new("f");
    for (end, ftz) in [("", false), (".ftz", true)] {
        for (round, mode) in MODES {
            table.form('f', format!("sqrt.{round}{end}.f32 {{d}}, {{a}};"), move |[a, ..]| {
                finish(ftz, false, ieee::sqrt(F32, mode, ieee::flush_if(ftz, F32, a)))
            });
            table.form('f', format!("rcp.{round}{end}.f32 {{d}}, {{a}};"), move |[a, ..]| {
                finish(ftz, false, ieee::div(F32, mode, 0x3F80_0000, ieee::flush_if(ftz, F32, a)))
            });
        }
        // Both make NaN canonical, as an H100 does.
        let number = |x: u64, d: u64| if f32::from_bits(x as u32).is_nan() { F32.nan } else { d };
        table.form('f', format!("abs{end}.f32 {{d}}, {{a}};"), move |[a, ..]| {
            number(a, ieee::flush_if(ftz, F32, a) & 0x7FFF_FFFF)
        });
        table.form('f', format!("neg{end}.f32 {{d}}, {{a}};"), move |[a, ..]| {
            number(a, ieee::flush_if(ftz, F32, a) ^ 1 << 31)
        });
    }
    table.form('f', "mov.f32 {d}, {a};", |[a, ..]| a);
    for (name, holds) in PROPERTIES {
        table.form('r', format!("testp.{name}.f32 %q0, {{a}}; selp.u32 {{d}}, 1, 0, %q0;"), move |[a, ..]| {
            holds(f32::from_bits(a as u32).classify()).into()
        });
    }
    table.run(27);
}

type Property = fn(std::num::FpCategory) -> bool;
use std::num::FpCategory::{Infinite, Nan, Normal, Subnormal, Zero};
/// Zeros count as normal (PTX ISA, testp).
const PROPERTIES: [(&str, Property); 6] = [
    ("finite", |c| !matches!(c, Nan | Infinite)),
    ("infinite", |c| c == Infinite),
    ("number", |c| c != Nan),
    ("notanumber", |c| c == Nan),
    ("normal", |c| matches!(c, Normal | Zero)),
    ("subnormal", |c| c == Subnormal),
];

#[test]
fn f64_sums_products_and_quotients() {
    let mut table = Table::new("gg");
    for (name, host) in SUMS.into_iter().chain([("div", ieee::div as Binary)]) {
        for (round, mode) in MODES {
            table
                .form('g', format!("{name}.{round}.f64 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| host(F64, mode, a, b));
        }
        if name != "div" {
            table.form('g', format!("{name}.f64 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| host(F64, Mode::Rn, a, b));
        }
    }
    for (name, largest) in [("min", false), ("max", true)] {
        table.form('g', format!("{name}.f64 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| {
            ieee::least(F64, largest, false, a, b)
        });
    }
    table.form('g', "copysign.f64 {d}, {a}, {b};", |[a, b, ..]| a & 1 << 63 | b & !(1 << 63));
    table.run(22);
}

#[test]
fn f64_fused_products() {
    let mut table = Table::new("ggg");
    for (round, mode) in MODES {
        for name in ["fma", "mad"] {
            table.form('g', format!("{name}.{round}.f64 {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, c, _]| {
                ieee::fma(F64, mode, a, b, c)
            });
        }
    }
    table.run(8);
}

#[test]
fn f64_of_one_source() {
    let mut table = Table::new("g");
    for (round, mode) in MODES {
        table.form('g', format!("sqrt.{round}.f64 {{d}}, {{a}};"), move |[a, ..]| ieee::sqrt(F64, mode, a));
        table.form('g', format!("rcp.{round}.f64 {{d}}, {{a}};"), move |[a, ..]| {
            if f64::from_bits(a).is_nan() { ieee::nan(F64, &[a]) } else { ieee::div(F64, mode, 1f64.to_bits(), a) }
        });
    }
    // NaN passes with its sign, as on an H100.
    let number = |x: u64, d: u64| if f64::from_bits(x).is_nan() { x | 1 << 51 } else { d };
    table.form('g', "abs.f64 {d}, {a};", move |[a, ..]| number(a, a & !(1 << 63)));
    table.form('g', "neg.f64 {d}, {a};", move |[a, ..]| number(a, a ^ 1 << 63));
    table.form('g', "mov.f64 {d}, {a};", |[a, ..]| a);
    for (name, holds) in PROPERTIES {
        table.form('r', format!("testp.{name}.f64 %q0, {{a}}; selp.u32 {{d}}, 1, 0, %q0;"), move |[a, ..]| {
            holds(f64::from_bits(a).classify()).into()
        });
    }
    table.run(17);
}

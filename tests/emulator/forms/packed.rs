//! `cvt` to and from packed pairs, and `cvt.pack` (PTX ISA §9.7.9.21, §9.7.9.22).

use super::exact::{BF16, Dyadic, E4M3, E5M2, F16, F32, Format, Mode, Number};
use super::ieee;
use super::integer::{BYTES, INTS};
use super::table::Table;

fn convert(source: Format, format: Format, mode: Mode, clamp: bool, relu: bool, bits: u64) -> u64 {
    let d = match source.number(bits) {
        Number::Nan => format.nan,
        Number::Infinite(negative) => {
            (if clamp { format.max } else { format.infinity() }) | if negative { format.sign } else { 0 }
        }
        Number::Finite(negative, v) if v.m == 0 => {
            if negative {
                format.sign
            } else {
                0
            }
        }
        Number::Finite(_, v) => format.round_one(mode, ieee::near(source, bits), clamp, v),
    };
    if relu { ieee::relu(format, d) } else { d }
}

const BYTE_FORMATS: [(&str, Format); 2] = [("e4m3x2", E4M3), ("e5m2x2", E5M2)];

#[test]
fn two_f32_to_a_pair() {
    let mut table = Table::new("ff");
    for (name, format) in [("f16x2", F16), ("bf16x2", BF16)] {
        for (round, mode) in [("rn", Mode::Rn), ("rz", Mode::Rz)] {
            for (words, relu, clamp) in [
                ("", false, false),
                (".relu", true, false),
                (".satfinite", false, true),
                (".relu.satfinite", true, true),
            ] {
                table.form('r', format!("cvt.{round}{words}.{name}.f32 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| {
                    let [high, low] = [a, b].map(|x| convert(F32, format, mode, clamp, relu, x));
                    high << 16 | low
                });
            }
        }
    }
    for (name, format) in BYTE_FORMATS {
        for (words, relu) in [("", false), (".relu", true)] {
            let text = format!("cvt.rn.satfinite{words}.{name}.f32 {{d}}, {{a}}, {{b}};");
            table.form('h', text, move |[a, b, ..]| {
                let [high, low] = [a, b].map(|x| convert(F32, format, Mode::Rn, true, relu, x));
                high << 8 | low
            });
        }
    }
    table.run(20);
}

#[test]
fn pairs_of_halves_and_bytes() {
    let mut table = Table::new("p");
    for (name, format) in BYTE_FORMATS {
        for (words, relu) in [("", false), (".relu", true)] {
            let text = format!("cvt.rn.satfinite{words}.{name}.f16x2 {{d}}, {{a}};");
            table.form('h', text, move |[a, ..]| {
                let [high, low] = [a >> 16, a & 0xFFFF].map(|x| convert(F16, format, Mode::Rn, true, relu, x));
                high << 8 | low
            });
        }
    }
    table.run(4);
    let mut table = Table::new("h");
    for (name, format) in BYTE_FORMATS {
        for (words, relu) in [("", false), (".relu", true)] {
            let text = format!("cvt.rn{words}.f16x2.{name} {{d}}, {{a}};");
            table.form('r', text, move |[a, ..]| {
                let [high, low] = [a >> 8, a & 0xFF].map(|x| convert(format, F16, Mode::Rn, false, relu, x));
                high << 16 | low
            });
        }
    }
    table.run(4);
}

#[test]
fn integers_packed() {
    let mut table = Table::new("rrr");
    let clamp = |int: super::integer::Int, x: u64| int.wrap(i128::from(x as i32).clamp(int.least(), int.most()));
    for int in BYTES {
        let text = format!("cvt.pack.sat.{}.s32.b32 {{d}}, {{a}}, {{b}}, {{c}};", int.name);
        table.form('r', text, move |[a, b, c, _]| (c & 0xFFFF) << 16 | clamp(int, a) << 8 | clamp(int, b));
    }
    for int in [INTS[0], INTS[1]] {
        let text = format!("cvt.pack.sat.{}.s32 {{d}}, {{a}}, {{b}};", int.name);
        table.form('r', text, move |[a, b, ..]| clamp(int, a) << 16 | clamp(int, b));
    }
    table.run(4);
}

#[test]
fn bytes_are_what_their_tables_say() {
    let value = |format: Format, bits| match format.number(bits) {
        Number::Finite(_, Dyadic { m, e }) => m as f64 * 2f64.powi(e),
        Number::Infinite(_) => f64::INFINITY,
        Number::Nan => f64::NAN,
    };
    assert_eq!([0x38, 0x7E, 0x01, 0x08].map(|x| value(E4M3, x)), [1.0, 448.0, 2f64.powi(-9), 2f64.powi(-6)]);
    assert_eq!([0x3C, 0x7B, 0x01, 0x7C].map(|x| value(E5M2, x)), [1.0, 57344.0, 2f64.powi(-16), f64::INFINITY]);
    assert!(value(E4M3, 0x7F).is_nan() && value(E5M2, 0x7D).is_nan());
}

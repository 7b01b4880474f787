//! `cvt` between all integer and floating-point types (PTX ISA §9.7.9.21), by exact comparison.

use super::exact::{BF16, Dyadic, F16, F32, F64, Format, MODES, Mode, Number};
use super::ieee;
use super::integer::{BYTES, INTS, Int};
use super::table::Table;

fn all_ints() -> impl Iterator<Item = Int> {
    BYTES.into_iter().chain(INTS)
}

/// Name, format, register kind.
const FLOATS: [(&str, Format, char); 4] =
    [("f16", F16, 'e'), ("bf16", BF16, 'b'), ("f32", F32, 'f'), ("f64", F64, 'g')];
/// Roundings to integers.
const WHOLE: [(&str, Mode); 4] = [("rni", Mode::Rn), ("rzi", Mode::Rz), ("rmi", Mode::Rm), ("rpi", Mode::Rp)];

fn one_source(kind: char) -> &'static str {
    ["h", "r", "d", "e", "b", "f", "g"].into_iter().find(|s| s.starts_with(kind)).unwrap()
}

/// Register widths by kind.
fn width(kind: char) -> u32 {
    match kind {
        'h' | 'e' | 'b' => 16,
        'd' | 'g' => 64,
        _ => 32,
    }
}

/// A result as a register of a kind holds it: extended as its type says.
fn held(int: Int, kind: char, value: i128) -> u64 {
    int.number(int.wrap(value)) as u64 & (u64::MAX >> (64 - width(kind)))
}

#[test]
fn integers_to_integers() {
    for source in ['h', 'r', 'd'] {
        let mut table = Table::new(one_source(source));
        let mut count = 0;
        // A register may be wider than the type: its low bits count.
        for from in all_ints().filter(|from| from.bits <= width(source)) {
            if from.bits < width(source) && !(from.bits == 8 || source == 'd' && from.bits == 32) {
                continue;
            }
            for to in all_ints() {
                for sat in [false, true] {
                    let word = if sat { ".sat" } else { "" };
                    // Wider registers hold the extended result.
                    for kind in ['h', 'r', 'd'] {
                        let natural = kind == to.kind;
                        if width(kind) < to.bits
                            || !natural && (sat || from.bits != 32 || source != 'r' && source != 'd')
                        {
                            continue;
                        }
                        let text = format!("cvt{word}.{}.{} {{d}}, {{a}};", to.name, from.name);
                        table.form(kind, text, move |[a, ..]| {
                            let value = from.number(a);
                            held(to, kind, if sat { value.clamp(to.least(), to.most()) } else { value })
                        });
                        count += 1;
                    }
                }
            }
        }
        table.run(count);
        assert_eq!(count, [64, 84, 116][['h', 'r', 'd'].iter().position(|k| *k == source).unwrap()]);
    }
}

/// A finite number rounded to an integer, as far as i128 holds it.
fn whole(mode: Mode, v: Dyadic) -> i128 {
    if v.e >= 0 {
        return if v.e > 70 && v.m != 0 { v.m.signum() << 126 } else { v.m << v.e };
    }
    let shift = (-v.e).min(126);
    let (floor, rest) = (v.m >> shift, v.m & ((1 << shift) - 1));
    let half = 1i128 << (shift - 1);
    floor
        + i128::from(match mode {
            Mode::Rm => false,
            Mode::Rp => rest != 0,
            Mode::Rz => rest != 0 && v.m < 0,
            _ => rest > half || rest == half && floor & 1 == 1,
        })
}

fn to_integer(format: Format, int: Int, mode: Mode, bits: u64) -> i128 {
    let value = match format.number(bits) {
        // PTX ISA, cvt: zero, unless f64 or a 64-bit integer takes part.
        Number::Nan if format == F64 || int.bits == 64 => return 1 << (int.bits - 1),
        Number::Nan => 0,
        Number::Infinite(negative) => {
            if negative {
                i128::MIN
            } else {
                i128::MAX
            }
        }
        Number::Finite(_, v) => whole(mode, v),
    };
    value.clamp(int.least(), int.most())
}

fn floats_to_integers(index: usize, forms: usize) {
    let (name, format, kind) = FLOATS[index];
    let mut table = Table::new(one_source(kind));
    for (round, mode) in WHOLE {
        for to in all_ints() {
            for (word, ftz) in [("", false), (".sat", false), (".ftz", true)] {
                // Floats saturate anyway; `.sat` must not change that, which one rounding shows.
                if ftz && name != "f32" || word == ".sat" && round != "rni" {
                    continue;
                }
                table.form(to.kind, format!("cvt.{round}{word}.{}.{name} {{d}}, {{a}};", to.name), move |[a, ..]| {
                    held(to, to.kind, to_integer(format, to, mode, ieee::flush_if(ftz, format, a)))
                });
            }
        }
    }
    if name == "f32" {
        for (to, kind) in [(BYTES[0], 'r'), (BYTES[1], 'r'), (INTS[0], 'd'), (INTS[1], 'd')] {
            table.form(kind, format!("cvt.rni.sat.{}.f32 {{d}}, {{a}};", to.name), move |[a, ..]| {
                held(to, kind, to_integer(F32, to, Mode::Rn, a))
            });
        }
    }
    table.run(forms);
}

#[test]
fn halves_to_integers() {
    floats_to_integers(0, 40);
    floats_to_integers(1, 40);
}

#[test]
fn f32_to_integers() {
    floats_to_integers(2, 76);
}

#[test]
fn f64_to_integers() {
    floats_to_integers(3, 40);
}

fn from_integer(format: Format, mode: Mode, value: i128) -> u64 {
    match (format, mode) {
        _ if value == 0 => 0,
        (F32, Mode::Rn) => (value as f32).to_bits().into(),
        (F64, Mode::Rn) => (value as f64).to_bits(),
        _ => format.round_one(
            mode,
            if value < 0 { value as i64 as f64 } else { value as u64 as f64 },
            false,
            Dyadic::new(value, 0),
        ),
    }
}

#[test]
fn integers_to_floats() {
    for from in all_ints() {
        let mut table = Table::new(one_source(from.kind));
        for (name, format, kind) in FLOATS {
            for (round, mode) in MODES {
                table.form(kind, format!("cvt.{round}.{name}.{} {{d}}, {{a}};", from.name), move |[a, ..]| {
                    from_integer(format, mode, from.number(a))
                });
            }
            table.form(kind, format!("cvt.rz.sat.{name}.{} {{d}}, {{a}};", from.name), move |[a, ..]| {
                ieee::saturate(format, from_integer(format, Mode::Rz, from.number(a)))
            });
        }
        table.run(20);
    }
}

/// A conversion between formats.
fn between(source: Format, format: Format, mode: Mode, clamp: bool, bits: u64) -> u64 {
    match source.number(bits) {
        // Double precision keeps the sign of a NaN and the top of what it carries, as on an H100.
        Number::Nan if format == F64 || source == F64 => {
            let places = source.mantissa as i32 - format.mantissa as i32;
            let carried = i128::from(bits & ((1 << source.mantissa) - 1));
            let carried = if places > 0 { carried >> places } else { carried << -places } as u64;
            let sign = if bits & source.sign != 0 { format.sign } else { 0 };
            sign | format.infinity() | carried | 1 << (format.mantissa - 1)
        }
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
    }
}

/// Rounded to an integral value of the same format, which zero has the sign of its source.
fn integral(format: Format, mode: Mode, bits: u64) -> u64 {
    match format.number(bits) {
        Number::Finite(negative, v) if v.e < 0 => {
            let sign = if negative { format.sign } else { 0 };
            match whole(mode, v) {
                0 => sign,
                n => format.round_one(Mode::Rn, n as f64, false, Dyadic::new(n, 0)),
            }
        }
        Number::Nan => ieee::nan(format, &[bits]),
        _ => bits,
    }
}

#[test]
fn floats_to_floats() {
    for (from_name, from, kind) in FLOATS {
        let mut table = Table::new(one_source(kind));
        let mut count = 0;
        for (name, to, to_kind) in FLOATS {
            let single = from == F32 || to == F32;
            let wider = width(to_kind) > width(kind);
            for (end, ftz, sat) in
                [("", false, false), (".ftz", true, false), (".sat", false, true), (".ftz.sat", true, true)]
            {
                if ftz && !single {
                    continue;
                }
                let finish = move |x: u64| {
                    let x = ieee::flush_if(ftz && to == F32, to, x);
                    if sat { ieee::saturate(to, x) } else { x }
                };
                let source = move |x: u64| ieee::flush_if(ftz && from == F32, from, x);
                if name == from_name {
                    for (round, mode) in WHOLE {
                        table.form(to_kind, format!("cvt.{round}{end}.{name}.{name} {{d}}, {{a}};"), move |[a, ..]| {
                            finish(integral(to, mode, source(a)))
                        });
                    }
                }
                let roundings = if wider || name == from_name { vec![("", Mode::Rn)] } else { MODES.to_vec() };
                for (round, mode) in roundings {
                    let dot = if round.is_empty() { "" } else { "." };
                    table.form(
                        to_kind,
                        format!("cvt{dot}{round}{end}.{name}.{from_name} {{d}}, {{a}};"),
                        move |[a, ..]| match from == BF16 && to == F32 && !ftz && !sat {
                            // A shift, which keeps NaN, as on an H100.
                            true => a << 16,
                            false => finish(between(from, to, mode, false, source(a))),
                        },
                    );
                    count += 1;
                }
                count += if name == from_name { 4 } else { 0 };
            }
        }
        table.run(count);
    }
}

#[test]
fn relu_and_largest_numbers() {
    let mut table = Table::new("f");
    for (name, to, kind) in [FLOATS[0], FLOATS[1]] {
        for (round, mode) in [MODES[0], MODES[1]] {
            for (words, relu, clamp) in
                [(".relu", true, false), (".satfinite", false, true), (".relu.satfinite", true, true)]
            {
                table.form(kind, format!("cvt.{round}{words}.{name}.f32 {{d}}, {{a}};"), move |[a, ..]| {
                    let x = between(F32, to, mode, clamp, a);
                    if relu { ieee::relu(to, x) } else { x }
                });
            }
        }
    }
    use super::exact::TF32;
    for (words, mode, relu, clamp) in [
        (".rna", Mode::Rna, false, false),
        (".rna.satfinite", Mode::Rna, false, true),
        (".rn", Mode::Rn, false, false),
        (".rn.relu", Mode::Rn, true, false),
        (".rn.satfinite", Mode::Rn, false, true),
        (".rz", Mode::Rz, false, false),
        (".rz.satfinite.relu", Mode::Rz, true, true),
    ] {
        table.form('r', format!("cvt{words}.tf32.f32 {{d}}, {{a}};"), move |[a, ..]| {
            if words == ".rna" && f32::from_bits(a as u32).is_nan() {
                // Cut off, not rounded, as on an H100.
                return a >> 13 << 13;
            }
            let x = between(F32, TF32, mode, clamp, a);
            (if relu { ieee::relu(TF32, x) } else { x }) << 13
        });
    }
    table.run(19);
}

//! f16 and bf16 arithmetic, one and two a register (PTX ISA §9.7.4).

use super::exact::{BF16, F16, Format, Mode};
use super::ieee;
use super::table::Table;

/// To nearest by f32, which has more than twice the bits, so that rounding twice is rounding once.
fn through_f32(format: Format, op: fn(f32, f32) -> f32, a: u64, b: u64) -> u64 {
    let d = op(ieee::near(format, a) as f32, ieee::near(format, b) as f32);
    let bits = if format == F16 { half::f16::from_f32(d).to_bits() } else { half::bf16::from_f32(d).to_bits() };
    if d.is_nan() { 0x7FFF } else { bits.into() }
}

/// What an instruction does to its sources and its result.
#[derive(Clone, Copy, Default)]
struct Ends {
    ftz: bool,
    sat: bool,
    relu: bool,
}

impl Ends {
    fn words(self) -> String {
        [(self.ftz, ".ftz"), (self.sat, ".sat"), (self.relu, ".relu")]
            .iter()
            .filter_map(|(on, word)| on.then_some(*word))
            .collect()
    }

    fn finish(self, format: Format, x: u64) -> u64 {
        let x = ieee::flush_if(self.ftz, format, x);
        let x = if self.sat { ieee::saturate(format, x) } else { x };
        if self.relu { ieee::relu(format, x) } else { x }
    }
}

/// Which modifiers a format's sums and products have; `relu` is of fused products only.
fn ends(format: Format, fused: bool) -> Vec<Ends> {
    let all = [false, true]
        .map(|ftz| [(false, false), (true, false), (false, true)].map(|(sat, relu)| Ends { ftz, sat, relu }));
    let fits = |e: &Ends| (!e.relu || fused) && (format == F16 || !e.ftz && !e.sat);
    all.concat().into_iter().filter(fits).collect()
}

/// The four types: name, format, register kind, whether there are two.
const TYPES: [(&str, Format, char, bool); 4] =
    [("f16", F16, 'e', false), ("bf16", BF16, 'b', false), ("f16x2", F16, 'p', true), ("bf16x2", BF16, 'q', true)];

/// Sources of a kind.
fn sources(kind: char, count: usize) -> &'static str {
    ["e", "ee", "eee", "b", "bb", "bbb", "p", "pp", "ppp", "q", "qq", "qqq"]
        .into_iter()
        .find(|s| s.len() == count && s.starts_with(kind))
        .unwrap()
}

/// A function of one half, or of both of each source.
fn lift<const N: usize>(two: bool, host: impl Fn([u64; N]) -> u64) -> impl Fn([u64; 4]) -> u64 {
    move |row| {
        let half = |shift: u32| host(std::array::from_fn(|i| row[i] >> shift & 0xFFFF)) << shift;
        half(0) | if two { half(16) } else { 0 }
    }
}

#[test]
fn sums_and_products() {
    for (ty, format, kind, two) in TYPES {
        let mut table = Table::new(sources(kind, 2));
        type Op = fn(f32, f32) -> f32;
        for (name, op) in [("add", (|a, b| a + b) as Op), ("sub", |a, b| a - b), ("mul", |a, b| a * b)] {
            for ends in ends(format, false) {
                for round in ["", ".rn"] {
                    if !round.is_empty() && (ends.ftz || ends.sat) {
                        continue;
                    }
                    let text = format!("{name}{round}{}.{ty} {{d}}, {{a}}, {{b}};", ends.words());
                    let host = move |x: [u64; 2]| {
                        let [a, b] = x.map(|x| ieee::flush_if(ends.ftz, format, x));
                        ends.finish(format, through_f32(format, op, a, b))
                    };
                    table.form(kind, text, lift(two, host));
                }
            }
        }
        table.run(if format == F16 { 15 } else { 6 });
    }
}

#[test]
fn fused_products() {
    for (ty, format, kind, two) in TYPES {
        let mut table = Table::new(sources(kind, 3));
        for ends in ends(format, true) {
            let text = format!("fma.rn{}.{ty} {{d}}, {{a}}, {{b}}, {{c}};", ends.words());
            let host = move |x: [u64; 3]| {
                let [a, b, c] = x.map(|x| ieee::flush_if(ends.ftz, format, x));
                ends.finish(format, ieee::fma(format, Mode::Rn, a, b, c))
            };
            table.form(kind, text, lift(two, host));
        }
        table.run(if format == F16 { 6 } else { 2 });
    }
}

#[test]
fn extremes() {
    for (ty, format, kind, two) in TYPES {
        let mut table = Table::new(sources(kind, 2));
        for (name, largest) in [("min", false), ("max", true)] {
            for ftz in [false, true].into_iter().take(if format == F16 { 2 } else { 1 }) {
                for keep_nan in [false, true] {
                    for xorsign in [false, true] {
                        let words = [(ftz, ".ftz"), (keep_nan, ".NaN"), (xorsign, ".xorsign.abs")];
                        let words: String = words.iter().filter_map(|(on, word)| on.then_some(*word)).collect();
                        let best = if xorsign { ieee::least_magnitude } else { ieee::least };
                        let host = move |x: [u64; 2]| {
                            let [a, b] = x.map(|x| ieee::flush_if(ftz, format, x));
                            best(format, largest, keep_nan, a, b)
                        };
                        table.form(kind, format!("{name}{words}.{ty} {{d}}, {{a}}, {{b}};"), lift(two, host));
                    }
                }
            }
        }
        table.run(if format == F16 { 16 } else { 8 });
    }
}

#[test]
fn of_one_source() {
    for (ty, format, kind, two) in TYPES {
        let mut table = Table::new(sources(kind, 1));
        for ftz in [false, true].into_iter().take(if format == F16 { 2 } else { 1 }) {
            let word = if ftz { ".ftz" } else { "" };
            // Both make NaN canonical, as an H100 does.
            for (name, host) in [("neg", (|x| x ^ 0x8000) as fn(u64) -> u64), ("abs", |x| x & 0x7FFF)] {
                let one = move |[a]: [u64; 1]| match ieee::is_nan(format, a) {
                    true => 0x7FFF,
                    false => host(ieee::flush_if(ftz, format, a)),
                };
                table.form(kind, format!("{name}{word}.{ty} {{d}}, {{a}};"), lift(two, one));
            }
        }
        // Errors: PTX ISA §9.7.4.10 and §9.7.4.11; ex2 of bf16 flushes, and that of f16 does not.
        let (tanh, exp) =
            if format == F16 { (2f64.powf(-10.987), 2f64.powf(-9.9)) } else { (2f64.powi(-8), 2f64.powi(-7)) };
        let word = if format == F16 { "" } else { ".ftz" };
        type Holds = Box<dyn Fn(u64, u64) -> bool>;
        let both = move |holds: Holds| {
            move |row: [u64; 4], got: u64| {
                holds(row[0] & 0xFFFF, got & 0xFFFF) && (!two || holds(row[0] >> 16, got >> 16))
            }
        };
        let near_tanh: Holds = Box::new(move |a, got| {
            let (x, y) = (ieee::near(format, a), ieee::near(format, got));
            match x {
                _ if x.is_nan() => got == 0x7FFF,
                _ if x == 0.0 => got == a,
                _ if x.is_infinite() => y == x.signum(),
                _ => (y - x.tanh()).abs() <= tanh,
            }
        });
        table.bound(kind, format!("tanh.approx.{ty} {{d}}, {{a}};"), both(near_tanh));
        let near_exp: Holds = Box::new(move |a, got| {
            let (x, y) = (ieee::near(format, ieee::flush_if(format == BF16, format, a)), ieee::near(format, got));
            let want = x.exp2();
            let largest = ieee::near(format, format.max);
            let least = 2f64.powi(format.emin);
            match want {
                _ if x.is_nan() => got == 0x7FFF,
                _ if x == 0.0 => y == 1.0,
                _ if want > largest * (1.0 + exp) => y.is_infinite(),
                // A subnormal result is flushed, or within half a unit.
                _ if want < least => {
                    if format == BF16 {
                        y == 0.0 || y == least
                    } else {
                        (y - want).abs() <= 2f64.powi(-25)
                    }
                }
                _ => (y / want - 1.0).abs() <= exp || y.is_infinite() && want > largest,
            }
        });
        table.bound(kind, format!("ex2.approx{word}.{ty} {{d}}, {{a}};"), both(near_exp));
        table.run(if format == F16 { 6 } else { 4 });
    }
}

//! Comparisons and selections (PTX ISA §9.7.6, §9.7.7).

use super::exact::{BF16, F16, F32, F64, Format};
use super::ieee;
use super::integer::INTS;
use super::table::Table;
use std::cmp::Ordering;

/// A type of comparisons.
#[derive(Clone, Copy)]
struct Ty {
    name: &'static str,
    kind: char,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Bits,
    Int(usize),
    Float(Format),
}

const fn ty(name: &'static str, kind: char, what: What) -> Ty {
    Ty { name, kind, what }
}

const TYPES: [Ty; 13] = [
    ty("b16", 'h', What::Bits),
    ty("b32", 'r', What::Bits),
    ty("b64", 'd', What::Bits),
    ty("u16", 'h', What::Int(0)),
    ty("s16", 'h', What::Int(1)),
    ty("u32", 'r', What::Int(2)),
    ty("s32", 'r', What::Int(3)),
    ty("u64", 'd', What::Int(4)),
    ty("s64", 'd', What::Int(5)),
    ty("f16", 'e', What::Float(F16)),
    ty("bf16", 'b', What::Float(BF16)),
    ty("f32", 'f', What::Float(F32)),
    ty("f64", 'g', What::Float(F64)),
];

impl Ty {
    /// The order of two values; none with NaN.
    fn order(self, ftz: bool, a: u64, b: u64) -> Option<Ordering> {
        match self.what {
            What::Bits => Some(a.cmp(&b)),
            What::Int(i) => Some(INTS[i].number(a).cmp(&INTS[i].number(b))),
            What::Float(format) => {
                let [a, b] = [a, b].map(|x| ieee::near(format, ieee::flush_if(ftz, format, x)));
                a.partial_cmp(&b)
            }
        }
    }

    /// The comparisons it has, with the orders in which each is true and whether it is true of NaN.
    fn comparisons(self) -> Vec<(&'static str, [bool; 3], bool)> {
        let (less, same, more) = ([true, false, false], [false, true, false], [false, false, true]);
        let not = |x: [bool; 3]| x.map(|x| !x);
        let mut all = vec![("eq", same, false), ("ne", not(same), false)];
        let ordered = [("lt", less), ("le", not(more)), ("gt", more), ("ge", not(less))];
        match self.what {
            What::Bits => {}
            What::Int(i) => {
                all.extend(ordered.map(|(name, when)| (name, when, false)));
                if !INTS[i].signed {
                    let other = ["lo", "ls", "hi", "hs"];
                    all.extend(ordered.iter().zip(other).map(|((_, when), name)| (name, *when, false)));
                }
            }
            What::Float(_) => {
                all.extend(ordered.map(|(name, when)| (name, when, false)));
                all.extend([
                    ("equ", same, true),
                    ("neu", not(same), true),
                    ("ltu", less, true),
                    ("leu", not(more), true),
                ]);
                all.extend([("gtu", more, true), ("geu", not(less), true)]);
                all.extend([("num", [true; 3], false), ("nan", [false; 3], true)]);
            }
        }
        all
    }

    fn has_ftz(self) -> bool {
        matches!(self.what, What::Float(F32 | F16))
    }

    fn sources(self, more: &str) -> &'static str {
        ["hh", "rr", "dd", "ee", "bb", "ff", "gg", "hhr", "rrr", "ddr", "eer", "bbr", "ffr", "ggr"]
            .into_iter()
            .find(|s| s.starts_with(self.kind) && s[2..] == *more)
            .unwrap()
    }
}

fn holds(ty: Ty, (_, when, nan): (&str, [bool; 3], bool), ftz: bool, a: u64, b: u64) -> bool {
    ty.order(ftz, a, b).map_or(nan, |order| when[(order as i8 + 1) as usize])
}

const LOGIC: [(&str, u64); 3] = [("and", 0b1000), ("or", 0b1110), ("xor", 0b0110)];

fn logic(truth: u64, x: bool, y: bool) -> bool {
    truth >> (u64::from(x) * 2 + u64::from(y)) & 1 == 1
}

#[test]
fn predicates() {
    let mut forms = 0;
    for ty in TYPES {
        let mut table = Table::new(ty.sources(""));
        let mut count = 0;
        for comparison in ty.comparisons() {
            for ftz in [false, true].into_iter().take(1 + usize::from(ty.has_ftz())) {
                let words = format!("{}{}.{}", comparison.0, if ftz { ".ftz" } else { "" }, ty.name);
                let text = format!(
                    "setp.{words} %q0|%q1, {{a}}, {{b}}; selp.u32 %x0, 1, 0, %q0; selp.u32 %x1, 2, 0, %q1; \
                     or.b32 {{d}}, %x0, %x1;"
                );
                table.form('r', text, move |[a, b, ..]| if holds(ty, comparison, ftz, a, b) { 1 } else { 2 });
                count += 1;
            }
        }
        table.run(count);
        forms += count;
    }
    assert_eq!(forms, 6 + 3 * 10 + 3 * 6 + 4 * 14 + 2 * 14);
}

#[test]
fn predicates_combined() {
    for ty in TYPES {
        let mut table = Table::new(ty.sources("r"));
        let comparisons = ty.comparisons();
        for (i, (op, truth)) in LOGIC.into_iter().enumerate() {
            let comparison = comparisons[(2 * i + 1) % comparisons.len()];
            for negated in [false, true] {
                let not = if negated { "!" } else { "" };
                let text = format!(
                    "and.b32 %x2, {{c}}, 1; setp.ne.u32 %q2, %x2, 0; setp.{}.{op}.{} %q0|%q1, {{a}}, {{b}}, {not}%q2; \
                     selp.u32 %x0, 1, 0, %q0; selp.u32 %x1, 2, 0, %q1; or.b32 {{d}}, %x0, %x1;",
                    comparison.0, ty.name
                );
                table.form('r', text, move |[a, b, c, _]| {
                    let (t, p) = (holds(ty, comparison, false, a, b), (c & 1 == 1) != negated);
                    u64::from(logic(truth, t, p)) + 2 * u64::from(logic(truth, !t, p))
                });
            }
        }
        table.run(6);
    }
}

/// Two halves at once: the first predicate is of the low ones, the second of the upper ones.
#[test]
fn pairs() {
    for (name, of, sources, more) in [("f16x2", TYPES[9], "pp", "ppr"), ("bf16x2", TYPES[10], "qq", "qqr")] {
        let mut table = Table::new(sources);
        let mut count = 0;
        for comparison in of.comparisons() {
            for ftz in [false, true].into_iter().take(1 + usize::from(of.has_ftz())) {
                let word = if ftz { ".ftz" } else { "" };
                let both = move |a: u64, b: u64| {
                    let half = |shift: u32| holds(of, comparison, ftz, a >> shift & 0xFFFF, b >> shift & 0xFFFF);
                    (half(0), half(16))
                };
                let text = format!(
                    "setp.{}{word}.{name} %q0|%q1, {{a}}, {{b}}; selp.u32 %x0, 1, 0, %q0; selp.u32 %x1, 2, 0, %q1; \
                     or.b32 {{d}}, %x0, %x1;",
                    comparison.0
                );
                table.form('r', text, move |[a, b, ..]| {
                    let (low, high) = both(a, b);
                    u64::from(low) + 2 * u64::from(high)
                });
                let one = if name == "f16x2" { 0x3C00 } else { 0x3F80 };
                count += 1;
                if ftz && count % 4 != 0 {
                    continue;
                }
                let (dty, one) = [("u32", 0xFFFF), (name, one), ("s32", 0xFFFF)][count / 2 % 3];
                let text = format!("set.{}{word}.{dty}.{name} {{d}}, {{a}}, {{b}};", comparison.0);
                table.form('r', text, move |[a, b, ..]| {
                    let (low, high) = both(a, b);
                    u64::from(low) * one + ((u64::from(high) * one) << 16)
                });
                count += 1;
            }
        }
        table.run(count);
        let mut table = Table::new(more);
        for (op, truth) in LOGIC {
            let comparison = of.comparisons()[6];
            let text = format!(
                "and.b32 %x2, {{c}}, 1; setp.ne.u32 %q0, %x2, 0; setp.equ.{op}.{name} %q0|%q1, {{a}}, {{b}}, %q0; \
                 selp.u32 %x0, 1, 0, %q0; selp.u32 %x1, 2, 0, %q1; or.b32 {{d}}, %x0, %x1;"
            );
            let half = move |a: u64, b: u64, c: u64, shift: u32| {
                logic(truth, holds(of, comparison, false, a >> shift & 0xFFFF, b >> shift & 0xFFFF), c & 1 == 1)
            };
            table.form('r', text, move |[a, b, c, _]| u64::from(half(a, b, c, 0)) + 2 * u64::from(half(a, b, c, 16)));
            let text = format!(
                "and.b32 %x2, {{c}}, 1; setp.ne.u32 %q0, %x2, 0; set.equ.{op}.u32.{name} {{d}}, {{a}}, {{b}}, %q0;"
            );
            table.form('r', text, move |[a, b, c, _]| {
                u64::from(half(a, b, c, 0)) * 0xFFFF + u64::from(half(a, b, c, 16)) * 0xFFFF_0000
            });
        }
        table.run(6);
    }
}

#[test]
fn words() {
    let results = [
        ("u32", 'r', 0xFFFF_FFFF),
        ("s32", 'r', 0xFFFF_FFFF),
        ("f32", 'f', 0x3F80_0000),
        ("u16", 'h', 0xFFFF),
        ("s16", 'h', 0xFFFF),
        ("f16", 'e', 0x3C00),
        ("bf16", 'b', 0x3F80),
    ];
    for ty in TYPES {
        // Results of 16 bits are of halves only.
        let results = if matches!(ty.what, What::Float(F16 | BF16)) { &results[..] } else { &results[..3] };
        let comparisons = ty.comparisons();
        let mut table = Table::new(ty.sources("r"));
        let mut count = 0;
        for (i, (dty, kind, one)) in results.iter().copied().enumerate() {
            let comparison = comparisons[(3 * i + 1) % comparisons.len()];
            let ftz = ty.has_ftz() && i % 2 == 1;
            let word = if ftz { ".ftz" } else { "" };
            table.form(
                kind,
                format!("set.{}{word}.{dty}.{} {{d}}, {{a}}, {{b}};", comparison.0, ty.name),
                move |[a, b, ..]| {
                    if holds(ty, comparison, ftz, a, b) { one } else { 0 }
                },
            );
            let (op, truth) = LOGIC[i % 3];
            let text = format!(
                "and.b32 %x2, {{c}}, 1; setp.ne.u32 %q2, %x2, 0; set.{}.{op}{word}.{dty}.{} {{d}}, {{a}}, {{b}}, !%q2;",
                comparison.0, ty.name
            );
            table.form(
                kind,
                text,
                move |[a, b, c, _]| {
                    if logic(truth, holds(ty, comparison, ftz, a, b), c & 1 == 0) { one } else { 0 }
                },
            );
            count += 2;
        }
        let select = |name: &str| {
            format!("and.b32 %x2, {{c}}, 1; setp.ne.u32 %q2, %x2, 0; selp.{name} {{d}}, {{a}}, {{b}}, %q2;")
        };
        if !matches!(ty.what, What::Float(F16 | BF16)) {
            table.form(ty.kind, select(ty.name), |[a, b, c, _]| if c & 1 == 1 { a } else { b });
            table.form(ty.kind, format!("slct.{}.s32 {{d}}, {{a}}, {{b}}, {{c}};", ty.name), |[a, b, c, _]| {
                if c as u32 as i32 >= 0 { a } else { b }
            });
            // The bits of the third source as an f32: subnormals, NaN and both zeros come by.
            for ftz in [false, true] {
                let word = if ftz { ".ftz" } else { "" };
                let text = format!("slct{word}.{}.f32 {{d}}, {{a}}, {{b}}, {{c}};", ty.name);
                table.form(ty.kind, text, move |[a, b, c, _]| {
                    if f32::from_bits(ieee::flush_if(ftz, F32, c) as u32) >= 0.0 { a } else { b }
                });
            }
            count += 4;
        }
        table.run(count);
    }
}

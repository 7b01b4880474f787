//! Integer arithmetic of 16, 32 and 64 bits (PTX ISA §9.7.1), in i128 on the host.

use super::table::Table;

/// An integer type: its name, its width, whether it has a sign, and the kind of its registers.
#[derive(Clone, Copy)]
pub struct Int {
    pub name: &'static str,
    pub bits: u32,
    pub signed: bool,
    pub kind: char,
}

const fn int(name: &'static str, bits: u32, signed: bool, kind: char) -> Int {
    Int { name, bits, signed, kind }
}

/// The types of arithmetic.
pub const INTS: [Int; 6] = [
    int("u16", 16, false, 'h'),
    int("s16", 16, true, 'h'),
    int("u32", 32, false, 'r'),
    int("s32", 32, true, 'r'),
    int("u64", 64, false, 'd'),
    int("s64", 64, true, 'd'),
];
/// The types that only memory and conversions have.
pub const BYTES: [Int; 2] = [int("u8", 8, false, 'h'), int("s8", 8, true, 'h')];

impl Int {
    /// The number that the low bits of a register stand for.
    pub fn number(self, register: u64) -> i128 {
        let value = i128::from(register) & ((1 << self.bits) - 1);
        if self.signed && value >> (self.bits - 1) == 1 { value - (1 << self.bits) } else { value }
    }

    /// The low bits of a number, as a register holds them.
    pub fn wrap(self, value: i128) -> u64 {
        (value & ((1 << self.bits) - 1)) as u64
    }

    pub fn least(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    pub fn most(self) -> i128 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    /// The upper half of a product, by 32-bit digits: two factors of 64 bits do not fit i128.
    pub fn upper(self, a: i128, b: i128) -> i128 {
        if self.bits < 64 {
            return (a * b) >> self.bits;
        }
        let digits = |v: i128| [(v as u64) & 0xFFFF_FFFF, (v as u64) >> 32];
        let ([a0, a1], [b0, b1]) = (digits(a), digits(b));
        let middle = ((a0 * b0) >> 32) + ((a1 * b0) & 0xFFFF_FFFF) + ((a0 * b1) & 0xFFFF_FFFF);
        let unsigned = a1 * b1 + ((a1 * b0) >> 32) + ((a0 * b1) >> 32) + (middle >> 32);
        // What the sign bits added too much.
        i128::from(unsigned) - if a < 0 { b } else { 0 } - if b < 0 { a } else { 0 }
    }
}

fn sources(int: Int, count: usize) -> &'static str {
    match (int.kind, count) {
        ('h', 1) => "h",
        ('h', 2) => "hh",
        ('h', _) => "hhh",
        ('r', 1) => "r",
        ('r', 2) => "rr",
        ('r', _) => "rrr",
        (_, 1) => "d",
        (_, 2) => "dd",
        (..) => "ddd",
    }
}

fn two_sources(int: Int) -> Table {
    type Host = fn(Int, i128, i128) -> i128;
    let rows: [(&str, Host); 8] = [
        ("add", |_, a, b| a + b),
        ("sub", |_, a, b| a - b),
        ("mul.lo", |_, a, b| a.wrapping_mul(b)),
        ("mul.hi", Int::upper),
        // Division by zero is unspecified; the emulator gives all ones, and the dividend as the remainder.
        ("div", |_, a, b| if b == 0 { -1 } else { a / b }),
        ("rem", |_, a, b| if b == 0 { a } else { a % b }),
        ("min", |_, a, b| a.min(b)),
        ("max", |_, a, b| a.max(b)),
    ];
    let mut table = Table::new(sources(int, 2));
    for (name, host) in rows {
        table.form(int.kind, format!("{name}.{} {{d}}, {{a}}, {{b}};", int.name), move |[a, b, ..]| {
            int.wrap(host(int, int.number(a), int.number(b)))
        });
    }
    table
}

fn three_sources(int: Int) -> Table {
    let mut table = Table::new(sources(int, 3));
    for half in ["lo", "hi"] {
        let text = format!("mad.{half}.{} {{d}}, {{a}}, {{b}}, {{c}};", int.name);
        table.form(int.kind, text, move |[a, b, c, _]| {
            let [a, b, c] = [a, b, c].map(|x| int.number(x));
            int.wrap(c + if half == "lo" { int.number(int.wrap(a.wrapping_mul(b))) } else { int.upper(a, b) })
        });
    }
    table.form(int.kind, format!("sad.{} {{d}}, {{a}}, {{b}}, {{c}};", int.name), move |[a, b, c, _]| {
        int.wrap((int.number(a) - int.number(b)).abs() + int.number(c))
    });
    table
}

#[test]
fn sixteen_bits() {
    for int in [INTS[0], INTS[1]] {
        let mut table = two_sources(int);
        table.form('r', format!("mul.wide.{} {{d}}, {{a}}, {{b}};", int.name), move |[a, b, ..]| {
            (int.number(a) * int.number(b)) as u64 & 0xFFFF_FFFF
        });
        table.run(9);
        three_sources(int).run(3);
        let mut table = Table::new("hhr");
        table.form('r', format!("mad.wide.{} {{d}}, {{a}}, {{b}}, {{c}};", int.name), move |[a, b, c, _]| {
            (int.number(a) * int.number(b) + i128::from(c)) as u64 & 0xFFFF_FFFF
        });
        table.run(1);
    }
    let mut table = Table::new("h");
    signs(&mut table, INTS[1]);
    table.run(2);
}

/// `abs` and `neg`.
fn signs(table: &mut Table, int: Int) {
    table.form(int.kind, format!("abs.{} {{d}}, {{a}};", int.name), move |[a, ..]| int.wrap(int.number(a).abs()));
    table.form(int.kind, format!("neg.{} {{d}}, {{a}};", int.name), move |[a, ..]| int.wrap(-int.number(a)));
}

#[test]
fn thirty_two_bits() {
    for int in [INTS[2], INTS[3]] {
        let mut table = two_sources(int);
        table.form('d', format!("mul.wide.{} {{d}}, {{a}}, {{b}};", int.name), move |[a, b, ..]| {
            (int.number(a) * int.number(b)) as u64
        });
        let low = move |x: u64| {
            let x = x as i128 & 0xFF_FFFF;
            if int.signed && x >> 23 == 1 { x - (1 << 24) } else { x }
        };
        for (half, shift) in [("lo", 0), ("hi", 16)] {
            table.form('r', format!("mul24.{half}.{} {{d}}, {{a}}, {{b}};", int.name), move |[a, b, ..]| {
                int.wrap((low(a) * low(b)) >> shift)
            });
        }
        if int.signed {
            for (name, sign) in [("add", 1), ("sub", -1)] {
                table.form('r', format!("{name}.sat.s32 {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| {
                    int.wrap((int.number(a) + sign * int.number(b)).clamp(int.least(), int.most()))
                });
            }
            table.form('r', "min.relu.s32 {d}, {a}, {b};", move |[a, b, ..]| {
                int.wrap(int.number(a).min(int.number(b)).max(0))
            });
            table.form('r', "max.relu.s32 {d}, {a}, {b};", move |[a, b, ..]| {
                int.wrap(int.number(a).max(int.number(b)).max(0))
            });
        }
        table.run(if int.signed { 15 } else { 11 });

        let mut table = three_sources(int);
        for (half, shift) in [("lo", 0), ("hi", 16)] {
            table.form('r', format!("mad24.{half}.{} {{d}}, {{a}}, {{b}}, {{c}};", int.name), move |[a, b, c, _]| {
                int.wrap(((low(a) * low(b)) >> shift) + int.number(c))
            });
        }
        if int.signed {
            let clamp = move |x: i128| int.wrap(x.clamp(int.least(), int.most()));
            table.form('r', "mad24.hi.sat.s32 {d}, {a}, {b}, {c};", move |[a, b, c, _]| {
                // The product's bits 47 to 16 are a 32-bit number with a sign.
                clamp(int.number(int.wrap((low(a) * low(b)) >> 16)) + int.number(c))
            });
            table.form('r', "mad.hi.sat.s32 {d}, {a}, {b}, {c};", move |[a, b, c, _]| {
                clamp(((int.number(a) * int.number(b)) >> 32) + int.number(c))
            });
        }
        table.run(if int.signed { 7 } else { 5 });

        let mut table = Table::new("rrd");
        table.form('d', format!("mad.wide.{} {{d}}, {{a}}, {{b}}, {{c}};", int.name), move |[a, b, c, _]| {
            (int.number(a) * int.number(b) + i128::from(c)) as u64
        });
        table.run(1);
    }
    let mut table = Table::new("r");
    signs(&mut table, INTS[3]);
    table.run(2);
}

#[test]
fn sixty_four_bits() {
    for int in [INTS[4], INTS[5]] {
        two_sources(int).run(8);
        three_sources(int).run(3);
    }
    let mut table = Table::new("d");
    signs(&mut table, INTS[5]);
    table.run(2);
}

/// Two 16-bit numbers a register.
#[test]
fn packed_pairs() {
    type Host = fn(i128, i128) -> i128;
    let rows: [(&str, Host); 3] = [("add", |a, b| a + b), ("min", |a, b| a.min(b)), ("max", |a, b| a.max(b))];
    let mut table = Table::new("rr");
    for int in [INTS[0], INTS[1]] {
        for (name, host) in rows {
            for relu in [false, true] {
                if relu && (name == "add" || !int.signed) {
                    continue;
                }
                let word = if relu { ".relu" } else { "" };
                table.form('r', format!("{name}{word}.{}x2 {{d}}, {{a}}, {{b}};", int.name), move |[a, b, ..]| {
                    let one = |shift: u32| {
                        let d = host(int.number(a >> shift), int.number(b >> shift));
                        int.wrap(if relu { d.max(0) } else { d }) << shift
                    };
                    one(0) | one(16)
                });
            }
        }
    }
    table.run(8);
}

/// Products of bytes and halves, added up.
#[test]
fn dot_products() {
    let mut table = Table::new("rrr");
    let byte =
        |signed: bool, x: u64, i: u32| if signed { (x >> (8 * i)) as i8 as i64 } else { (x >> (8 * i) & 0xFF) as i64 };
    let half = |signed: bool, x: u64, i: u32| {
        if signed { (x >> (16 * i)) as i16 as i64 } else { (x >> (16 * i) & 0xFFFF) as i64 }
    };
    for a_signed in [false, true] {
        for b_signed in [false, true] {
            let name = |signed| if signed { "s32" } else { "u32" };
            let types = format!("{}.{}", name(a_signed), name(b_signed));
            table.form('r', format!("dp4a.{types} {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, c, _]| {
                let sum: i64 = (0..4).map(|i| byte(a_signed, a, i) * byte(b_signed, b, i)).sum();
                (sum as u64).wrapping_add(c) & 0xFFFF_FFFF
            });
            for (which, first) in [("lo", 0), ("hi", 2)] {
                table.form('r', format!("dp2a.{which}.{types} {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, c, _]| {
                    let sum: i64 = (0..2).map(|i| half(a_signed, a, i) * byte(b_signed, b, first + i)).sum();
                    (sum as u64).wrapping_add(c) & 0xFFFF_FFFF
                });
            }
        }
    }
    table.run(12);
}

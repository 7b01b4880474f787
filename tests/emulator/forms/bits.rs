//! Logic, shifts and bit fields (PTX ISA §9.7.1, §9.7.8), bit by bit on the host.

use super::table::Table;

const WIDTHS: [(u32, char, &str, &str, &str); 3] =
    [(16, 'h', "h", "hh", "hs"), (32, 'r', "r", "rr", "rs"), (64, 'd', "d", "dd", "ds")];

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

#[test]
fn logic_and_shifts() {
    for (bits, kind, one, two, shifted) in WIDTHS {
        let mut table = Table::new(two);
        // By the truth table of one bit.
        for (name, truth) in [("and", 0b1000u64), ("or", 0b1110), ("xor", 0b0110)] {
            table.form(kind, format!("{name}.b{bits} {{d}}, {{a}}, {{b}};"), move |[a, b, ..]| {
                (0..bits).fold(0, |d, i| d | (truth >> ((a >> i & 1) * 2 + (b >> i & 1)) & 1) << i)
            });
        }
        table.run(3);
        let mut table = Table::new(one);
        table.form(kind, format!("not.b{bits} {{d}}, {{a}};"), move |[a, ..]| mask(bits) - a);
        table.form(kind, format!("cnot.b{bits} {{d}}, {{a}};"), |[a, ..]| (a == 0).into());
        table.form(kind, format!("mov.b{bits} {{d}}, {{a}};"), |[a, ..]| a);
        table.form(kind, format!("mov.u{bits} {{d}}, {{a}};"), |[a, ..]| a);
        table.form(kind, format!("mov.s{bits} {{d}}, {{a}};"), |[a, ..]| a);
        table.run(5);
        let mut table = Table::new(shifted);
        table.form(kind, format!("shl.b{bits} {{d}}, {{a}}, {{b}};"), move |[a, n, ..]| {
            (u128::from(a) << n.min(64)) as u64 & mask(bits)
        });
        for ty in ["b", "u", "s"] {
            table.form(kind, format!("shr.{ty}{bits} {{d}}, {{a}}, {{b}};"), move |[a, n, ..]| {
                let fill = if ty == "s" && a >> (bits - 1) == 1 { u128::from(mask(bits)) << bits } else { 0 };
                ((fill | u128::from(a)) >> n.min(bits.into())) as u64 & mask(bits)
            });
        }
        table.run(4);
    }
}

#[test]
fn funnels() {
    let mut table = Table::new("rrs");
    for wrap in [false, true] {
        let name = if wrap { "wrap" } else { "clamp" };
        let distance = move |n: u64| if wrap { n % 32 } else { n.min(32) };
        table.form('r', format!("shf.l.{name}.b32 {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, n, _]| {
            ((u128::from(b) << 32 | u128::from(a)) << distance(n) >> 32) as u64 & mask(32)
        });
        table.form('r', format!("shf.r.{name}.b32 {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, n, _]| {
            ((b << 32 | a) >> distance(n)) & mask(32)
        });
    }
    table.run(4);
}

fn lop3(table: u64, [a, b, c, _]: [u64; 4]) -> u64 {
    (0..32).fold(0, |d, i| d | (table >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i)
}

#[test]
fn logic_of_three() {
    let mut table = Table::new("rrr");
    for lut in [0x1B, 0x96, 0xCA, 0xE8] {
        table.form('r', format!("lop3.b32 {{d}}, {{a}}, {{b}}, {{c}}, {lut};"), move |x| lop3(lut, x));
    }
    for (op, truth) in [("and", 0b1000u64), ("or", 0b1110), ("xor", 0b0110)] {
        let text = format!(
            "setp.lt.u32 %q1, {{a}}, {{b}}; lop3.{op}.b32 %x0|%q0, {{a}}, {{b}}, {{c}}, 0x28, %q1; \
             selp.u32 {{d}}, 1, 0, %q0;"
        );
        table.form('r', text, move |x| truth >> (u64::from(lop3(0x28, x) != 0) * 2 + u64::from(x[0] < x[1])) & 1);
    }
    table.run(7);
    // Every table, on all combinations of edge values: each bit is on its own.
    let mut table = Table::edges("rrr");
    for lut in 0..256 {
        table.form('r', format!("lop3.b32 {{d}}, {{a}}, {{b}}, {{c}}, {lut};"), move |x| lop3(lut, x));
    }
    table.run(256);
}

#[test]
fn counts_and_places() {
    for (bits, kind, source) in [(32u32, 'r', "r"), (64, 'd', "d")] {
        let mut table = Table::new(source);
        table.form('r', format!("popc.b{bits} {{d}}, {{a}};"), move |[a, ..]| (0..bits).map(|i| a >> i & 1).sum());
        table.form('r', format!("clz.b{bits} {{d}}, {{a}};"), move |[a, ..]| {
            (0..bits).take_while(|i| a >> (bits - 1 - i) & 1 == 0).count() as u64
        });
        table.form(kind, format!("brev.b{bits} {{d}}, {{a}};"), move |[a, ..]| {
            (0..bits).fold(0, |d, i| d << 1 | a >> i & 1)
        });
        for ty in ["u", "s"] {
            let find = move |a: u64| {
                let sign = if ty == "s" { a >> (bits - 1) } else { 0 };
                (0..bits).rev().find(|i| a >> i & 1 != sign)
            };
            table.form('r', format!("bfind.{ty}{bits} {{d}}, {{a}};"), move |[a, ..]| {
                find(a).map_or(mask(32), u64::from)
            });
            table.form('r', format!("bfind.shiftamt.{ty}{bits} {{d}}, {{a}};"), move |[a, ..]| {
                find(a).map_or(mask(32), |i| u64::from(bits - 1 - i))
            });
        }
        table.run(7);
    }
    let mut table = Table::new("rsr");
    table
        .form('r', "and.b32 %x0, {b}, 31; fns.b32 {d}, {a}, %x0, {c};", |[m, b, n, _]| nth(m, b & 31, n as u32 as i32));
    table.form('r', "and.b32 %x0, {b}, 31; bfe.s32 %x1, {c}, 0, 5; fns.b32 {d}, {a}, %x0, %x1;", |[m, b, n, _]| {
        nth(m, b & 31, ((n as i32) << 27) >> 27)
    });
    table.run(2);
}

/// The |n|-th set bit from a base, upwards or downwards.
fn nth(bits: u64, base: u64, n: i32) -> u64 {
    let set = |i: &u64| bits >> i & 1 == 1;
    let place = match n {
        0 => Some(base).filter(set),
        1.. => (base..32).filter(set).nth(n as usize - 1),
        _ => (0..=base).rev().filter(set).nth(n.unsigned_abs() as usize - 1),
    };
    place.unwrap_or(mask(32))
}

#[test]
fn fields() {
    for (bits, kind, sources, four) in [(32u32, 'r', "rss", "rrss"), (64, 'd', "dss", "ddss")] {
        // The PTX ISA takes the low 8 bits of place and length; 64-bit forms on an H100 take all.
        let place = move |x: u64| if bits == 64 { x } else { x & 0xFF };
        let mut table = Table::new(sources);
        for ty in ["u", "s"] {
            table.form(kind, format!("bfe.{ty}{bits} {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, p, n, _]| {
                let (p, n, top) = (place(p), place(n), u64::from(bits) - 1);
                let sign = if ty == "u" || n == 0 { 0 } else { a >> (p + n - 1).min(top) & 1 };
                (0..=top).fold(0, |d, i| d | if i < n && p + i <= top { a >> (p + i) & 1 } else { sign } << i)
            });
        }
        table.run(2);
        let mut table = Table::new(four);
        table.form(kind, format!("bfi.b{bits} {{d}}, {{a}}, {{b}}, {{c}}, {{e}};"), move |[a, b, p, n]| {
            let (p, n) = (place(p), place(n));
            (0..u64::from(bits))
                .fold(0, |d, i| d | if i >= p && i < p + n { a >> (i - p) & 1 } else { b >> i & 1 } << i)
        });
        table.run(1);
    }
    let mut table = Table::new("ss");
    for wrap in [false, true] {
        let name = if wrap { "wrap" } else { "clamp" };
        table.form('r', format!("bmsk.{name}.b32 {{d}}, {{a}}, {{b}};"), move |[p, n, ..]| {
            let (p, n) = if wrap { (p % 32, n % 32) } else { (p, n) };
            (0..32).filter(|i| *i >= p && i - p < n).fold(0, |d, i| d | 1u64 << i)
        });
    }
    table.run(2);
    let mut table = Table::new("rs");
    for wrap in [false, true] {
        for ty in ["u32", "s32"] {
            let name = if wrap { "wrap" } else { "clamp" };
            table.form('r', format!("szext.{name}.{ty} {{d}}, {{a}}, {{b}};"), move |[a, n, ..]| {
                let n = if wrap { n % 32 } else { n.min(32) };
                let sign = if ty == "s32" && n > 0 { a >> (n - 1) & 1 } else { 0 };
                (0..32).fold(0, |d, i| d | if i < n { a >> i & 1 } else { sign } << i)
            });
        }
    }
    table.run(4);
}

#[test]
fn bytes() {
    let mut table = Table::new("rrr");
    let pick = |a: u64, b: u64, nibbles: [u64; 4]| {
        let bytes = [(a as u32).to_le_bytes(), (b as u32).to_le_bytes()].concat();
        let chosen = nibbles.map(|n| match (bytes[n as usize & 7], n & 8) {
            (byte, 0) => byte,
            (byte, _) => ((byte as i8) >> 7) as u8,
        });
        u64::from(u32::from_le_bytes(chosen))
    };
    table.form('r', "prmt.b32 {d}, {a}, {b}, {c};", move |[a, b, c, _]| pick(a, b, [c, c >> 4, c >> 8, c >> 12]));
    // The ISA's tables: bytes of the result from the lowest on, for the low two bits of c.
    let modes: [(&str, [[u64; 4]; 4]); 6] = [
        ("f4e", [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]]),
        ("b4e", [[0, 7, 6, 5], [1, 0, 7, 6], [2, 1, 0, 7], [3, 2, 1, 0]]),
        ("rc8", [[0; 4], [1; 4], [2; 4], [3; 4]]),
        ("ecl", [[0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3], [3, 3, 3, 3]]),
        ("ecr", [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 3]]),
        ("rc16", [[0, 1, 0, 1], [2, 3, 2, 3], [0, 1, 0, 1], [2, 3, 2, 3]]),
    ];
    for (name, rows) in modes {
        table.form('r', format!("prmt.b32.{name} {{d}}, {{a}}, {{b}}, {{c}};"), move |[a, b, c, _]| {
            pick(a, b, rows[c as usize & 3])
        });
    }
    table.run(7);
}

#[test]
fn packing() {
    let mut table = Table::new("d");
    table.form('d', "mov.b64 {%x0, %x1}, {a}; mov.b64 {d}, {%x1, %x0};", |[a, ..]| a.rotate_left(32));
    table.form('r', "mov.b64 {_, {d}}, {a};", |[a, ..]| a >> 32);
    table.form('d', "mov.b64 {%y0, %y1, %y2, %y3}, {a}; mov.b64 {d}, {%y3, %y1, %y2, %y0};", |[a, ..]| {
        let h = [a & 0xFFFF, a >> 16 & 0xFFFF, a >> 32 & 0xFFFF, a >> 48];
        h[3] | h[1] << 16 | h[2] << 32 | h[0] << 48
    });
    table.run(3);
    let mut table = Table::new("r");
    table.form('r', "mov.b32 {%y0, %y1}, {a}; mov.b32 {d}, {%y1, %y0};", |[a, ..]| {
        u64::from((a as u32).rotate_left(16))
    });
    table.form('r', "mov.b32 {%w0, %w1, %w2, %w3}, {a}; mov.b32 {d}, {%w3, %w0, %w2, %w1};", |[a, ..]| {
        let [w0, w1, w2, w3] = (a as u32).to_le_bytes();
        u32::from_le_bytes([w3, w0, w2, w1]).into()
    });
    table.run(2);
    let mut table = Table::new("h");
    table.form('h', "mov.b16 {%w0, %w1}, {a}; mov.b16 {d}, {%w1, %w0};", |[a, ..]| u64::from((a as u16).swap_bytes()));
    table.run(1);
}

//! Sums, differences and products through the carry flag (PTX ISA §9.7.2), as numbers of two or three words.

use super::table::Table;

/// `a + b` of two words each, plus what is left over: low word, high word, carry.
fn sum(bits: u32, [a, b, c, e]: [u64; 4]) -> [u64; 3] {
    let low = u128::from(a) + u128::from(b);
    let high = u128::from(c) + u128::from(e) + (low >> bits);
    [low, high, high >> bits].map(|x| (x & ((1 << bits) - 1)) as u64)
}

/// `{c, a} - {e, b}` and the borrow.
fn difference(bits: u32, [a, b, c, e]: [u64; 4]) -> [u64; 3] {
    let low = i128::from(a) - i128::from(b);
    let high = i128::from(c) - i128::from(e) - i128::from(low < 0);
    [low, high, i128::from(high < 0)].map(|x| (x & ((1 << bits) - 1)) as u64)
}

fn types(bits: u32) -> [String; 2] {
    [format!("u{bits}"), format!("s{bits}")]
}

fn chains(bits: u32) -> Table {
    let (kind, reg) = if bits == 32 { ('r', "%x") } else { ('d', "%z") };
    let mut table = Table::new(if bits == 32 { "rrrr" } else { "dddd" });
    for ty in types(bits) {
        type Host = fn(u32, [u64; 4]) -> [u64; 3];
        for (name, host) in [("add", sum as Host), ("sub", difference)] {
            let first = format!("{name}.cc.{ty} {reg}0, {{a}}, {{b}};");
            table.form(kind, format!("{first} mov.b{bits} {{d}}, {reg}0;"), move |x| host(bits, x)[0]);
            table.form(kind, format!("{first} {name}c.{ty} {{d}}, {{c}}, {{e}};"), move |x| host(bits, x)[1]);
            let second = format!("{first} {name}c.cc.{ty} {reg}1, {{c}}, {{e}};");
            table.form(kind, format!("{second} mov.b{bits} {{d}}, {reg}1;"), move |x| host(bits, x)[1]);
            // The carry comes out of a sum of zeros, and as a borrow as all ones.
            let mask = u64::MAX >> (64 - bits);
            table.form(kind, format!("{second} {name}c.{ty} {{d}}, 0, 0;"), move |x| {
                let carry = host(bits, x)[2];
                if name == "add" { carry } else { (carry & 1).wrapping_neg() & mask }
            });
        }
    }
    table
}

/// Upper word of a product, signed or not.
fn upper(bits: u32, signed: bool, a: u64, b: u64) -> u64 {
    if signed {
        let wide = |x: u64| if bits == 32 { i128::from(x as i32) } else { i128::from(x as i64) };
        ((wide(a) * wide(b)) >> bits) as u64 & (u64::MAX >> (64 - bits))
    } else {
        ((u128::from(a) * u128::from(b)) >> bits) as u64
    }
}

fn products(bits: u32) -> Table {
    let (kind, reg) = if bits == 32 { ('r', "%x") } else { ('d', "%z") };
    let mask = u64::MAX >> (64 - bits);
    let mut table = Table::new(if bits == 32 { "rrrr" } else { "dddd" });
    for (ty, signed) in types(bits).into_iter().zip([false, true]) {
        // {e, c} + a · b; the halves of a signed product are those of the two's complement.
        let low = move |[a, b, c, _]: [u64; 4]| {
            let sum = u128::from(a.wrapping_mul(b) & mask) + u128::from(c);
            (sum as u64 & mask, (sum >> bits) as u64)
        };
        let high = move |x: [u64; 4]| {
            let sum = u128::from(upper(bits, signed, x[0], x[1])) + u128::from(x[3]) + u128::from(low(x).1);
            (sum as u64 & mask, (sum >> bits) as u64)
        };
        let first = format!("mad.lo.cc.{ty} {reg}0, {{a}}, {{b}}, {{c}};");
        table.form(kind, format!("{first} mov.b{bits} {{d}}, {reg}0;"), move |x| low(x).0);
        table.form(kind, format!("{first} madc.hi.{ty} {{d}}, {{a}}, {{b}}, {{e}};"), move |x| high(x).0);
        let second = format!("{first} madc.hi.cc.{ty} {reg}1, {{a}}, {{b}}, {{e}};");
        table.form(kind, format!("{second} mov.b{bits} {{d}}, {reg}1;"), move |x| high(x).0);
        table.form(kind, format!("{second} addc.{ty} {{d}}, 0, 0;"), move |x| high(x).1);
        // The other way round: the high product first, and a low one that takes the carry.
        let first = format!("mad.hi.cc.{ty} {reg}0, {{a}}, {{b}}, {{e}};");
        let top = move |[a, b, _, e]: [u64; 4]| u128::from(upper(bits, signed, a, b)) + u128::from(e);
        table.form(kind, format!("{first} mov.b{bits} {{d}}, {reg}0;"), move |x| top(x) as u64 & mask);
        let last = move |x: [u64; 4]| u128::from(x[0].wrapping_mul(x[1]) & mask) + u128::from(x[2]) + (top(x) >> bits);
        table.form(kind, format!("{first} madc.lo.{ty} {{d}}, {{a}}, {{b}}, {{c}};"), move |x| last(x) as u64 & mask);
        let third = format!("{first} madc.lo.cc.{ty} {reg}1, {{a}}, {{b}}, {{c}};");
        table.form(kind, format!("{third} addc.{ty} {{d}}, 0, 0;"), move |x| (last(x) >> bits) as u64);
    }
    table
}

#[test]
fn words_of_32_bits() {
    chains(32).run(16);
    products(32).run(14);
}

#[test]
fn words_of_64_bits() {
    chains(64).run(16);
    products(64).run(14);
}

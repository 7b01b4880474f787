//! The `.approx` functions of f32 and f64: the special cases exactly, all else within the ISA's bounds (§9.7.3).

use super::exact::{F32, Format};
use super::ieee::{flush, flush_if};
use super::table::Table;

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

const INF: f64 = f64::INFINITY;
const NAN: u64 = 0x7FFF_FFFF;

/// What a result may be.
enum Bound {
    /// This distance relative to the true value.
    Relative(f64),
    /// This distance.
    Absolute(f64),
    /// So many units in the last place of the true value.
    Units(f64),
}

/// The unit in the last place of an f32 of this size.
fn unit(x: f64) -> f64 {
    let exponent = ((x.to_bits() >> 52 & 0x7FF) as i32 - 1023).max(-126);
    2f64.powi(exponent - 23)
}

/// Is a result what the reference says, within a bound? Zeros and infinities must be themselves; a result that is
/// subnormal may be flushed if asked for; what may overflow may be infinite.
fn close(got: u64, want: f64, bound: Bound, ftz: bool) -> bool {
    if want.is_nan() {
        return got == NAN;
    }
    if want == 0.0 || want.is_infinite() {
        return got == u64::from((want as f32).to_bits());
    }
    if ftz && flush(F32, (want as f32).to_bits().into()) == got && got & 0x7FFF_FFFF == 0 {
        return true;
    }
    let distance = match bound {
        // Never less than half a unit: results are f32.
        Bound::Relative(r) => (want.abs() * r).max(unit(want) * 0.5),
        Bound::Absolute(a) => a,
        Bound::Units(n) => n * unit(want),
    };
    let got = f64::from(f(got));
    (got - want).abs() <= distance || got.is_infinite() && want.abs() + distance > f64::from(f32::MAX)
}

fn source(ftz: bool, a: u64) -> f64 {
    f(flush_if(ftz, F32, a)).into()
}

#[test]
fn f32_functions() {
    let mut table = Table::new("f");
    for ftz in [false, true] {
        let word = if ftz { ".ftz" } else { "" };
        type Bounds = fn(f64) -> Bound;
        type Row = (&'static str, fn(f64) -> f64, Bounds);
        let rows: [Row; 5] = [
            ("rcp", |x| 1.0 / x, |_| Bound::Units(1.0)),
            ("sqrt", f64::sqrt, |_| Bound::Relative(2f64.powi(-23))),
            ("rsqrt", |x| 1.0 / x.sqrt(), |_| Bound::Relative(2f64.powf(-22.9))),
            ("ex2", f64::exp2, |_| Bound::Units(2.5)),
            ("lg2", f64::log2, |x| {
                if (0.5..2.0).contains(&x) { Bound::Absolute(2f64.powi(-22)) } else { Bound::Relative(2f64.powi(-22)) }
            }),
        ];
        for (name, reference, bound) in rows {
            table.bound('f', format!("{name}.approx{word}.f32 {{d}}, {{a}};"), move |[a, ..], got| {
                let x = source(ftz, a);
                close(got, reference(x), bound(x), ftz)
            });
        }
        for (name, reference) in [("sin", f64::sin as fn(f64) -> f64), ("cos", f64::cos)] {
            table.bound('f', format!("{name}.approx{word}.f32 {{d}}, {{a}};"), move |[a, ..], got| {
                let x = source(ftz, a);
                let turns = x.abs() / std::f64::consts::PI;
                match reference(x) {
                    _ if x == 0.0 => got == u64::from((reference(x) as f32).to_bits()),
                    // Beyond this range there is no bound but that of every sine.
                    want if turns > 100.0 => {
                        if want.is_nan() {
                            got == NAN
                        } else {
                            f(got).abs() <= 1.0
                        }
                    }
                    want => close(got, want, Bound::Absolute(2f64.powf(if turns <= 2.0 { -20.5 } else { -14.7 })), ftz),
                }
            });
        }
    }
    table.bound('f', "tanh.approx.f32 {d}, {a};", |[a, ..], got| {
        let x = source(false, a);
        // Subnormal numbers pass through.
        if x.abs() < 2f64.powi(-126) { got == a } else { close(got, x.tanh(), Bound::Relative(2f64.powi(-11)), false) }
    });
    table.run(15);
}

#[test]
fn f32_quotients() {
    let mut table = Table::new("ff");
    for ftz in [false, true] {
        let word = if ftz { ".ftz" } else { "" };
        let quotient = move |a: u64, b: u64| source(ftz, a) / source(ftz, b);
        table.bound('f', format!("div.full{word}.f32 {{d}}, {{a}}, {{b}};"), move |[a, b, ..], got| {
            close(got, quotient(a, b), Bound::Units(2.0), ftz)
        });
        table.bound('f', format!("div.approx{word}.f32 {{d}}, {{a}}, {{b}};"), move |[a, b, ..], got| {
            let (x, y) = (source(ftz, a), source(ftz, b));
            if y.is_finite() && y.abs() > 2f64.powi(126) {
                // The reciprocal is flushed: zero, or NaN of infinity.
                return if x.is_infinite() || x.is_nan() { got == NAN } else { got & 0x7FFF_FFFF == 0 };
            }
            close(got, quotient(a, b), Bound::Units(2.0), ftz)
        });
    }
    table.run(4);
}

#[test]
fn f64_functions() {
    const WIDE: Format = super::exact::F64;
    let mut table = Table::new("g");
    table.bound('g', "rsqrt.approx.f64 {d}, {a};", |[a, ..], got| {
        let want = 1.0 / f64::from_bits(a).sqrt();
        if want.is_nan() {
            f64::from_bits(got).is_nan()
        } else {
            (f64::from_bits(got) - want).abs() <= want.abs() * 1e-15 || want == f64::from_bits(got)
        }
    });
    // Of the upper word, into the upper word; subnormals count as zeros both ways.
    let gross = |reference: fn(f64) -> f64| {
        move |[a, ..]: [u64; 4], got: u64| {
            let x = f64::from_bits(flush(WIDE, a & !0xFFFF_FFFF));
            let want = reference(x);
            let value = f64::from_bits(got);
            got & 0xFFFF_FFFF == 0
                && match want {
                    _ if want.is_nan() => got == 0x7FFF_FFFF_0000_0000,
                    _ if want == 0.0 || want.abs() == INF => got == want.to_bits(),
                    _ if want.abs() < 2f64.powi(-1022) => {
                        value.abs() <= 2f64.powi(-1022) && value.is_sign_negative() == (want < 0.0)
                    }
                    _ => (value / want - 1.0).abs() <= 2f64.powi(-20),
                }
        }
    };
    table.bound('g', "rcp.approx.ftz.f64 {d}, {a};", gross(|x| 1.0 / x));
    table.bound('g', "rsqrt.approx.ftz.f64 {d}, {a};", gross(|x| 1.0 / x.sqrt()));
    table.run(3);
}

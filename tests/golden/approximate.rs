//! Bounds that the PTX ISA states for approximations (§9.7.3, §9.7.4): what is true, and how far from it a machine may
//! be.

use half::{bf16, f16};

/// A format of results: least normal, least subnormal, digits behind the point, and a word's value.
#[derive(Clone, Copy)]
struct Format {
    normal: f64,
    least: f64,
    value: fn(u32) -> f64,
}

const F32: Format = Format {
    normal: f32::MIN_POSITIVE as f64,
    least: 1.401298464324817e-45,
    value: |bits| f32::from_bits(bits).into(),
};
const F16: Format =
    Format { normal: 6.103515625e-5, least: 5.960464477539063e-8, value: |bits| f16::from_bits(bits as u16).to_f64() };
const BF16: Format = Format {
    normal: f32::MIN_POSITIVE as f64,
    least: 9.183549615799121e-41,
    value: |bits| bf16::from_bits(bits as u16).to_f64(),
};

/// Flushes subnormals to zero if asked.
fn flush(x: f64, format: Format, ftz: bool) -> f64 {
    if ftz && x.abs() < format.normal { 0f64.copysign(x) } else { x }
}

/// What holds for a result: its value must be within a distance of the truth, or nothing is promised.
enum Bound {
    /// The truth and the greatest distance from it.
    Near(f64, f64),
    /// The ISA promises nothing (sin and cos of large arguments).
    Nothing,
}

/// Relative distance, and at least one step of subnormals.
fn relative(truth: f64, part: f64, format: Format, ftz: bool) -> Bound {
    // What a flush takes away may be anything below the least normal.
    let step = if ftz { format.normal } else { format.least };
    if truth.is_finite() { Bound::Near(truth, truth.abs() * part + step) } else { Bound::Near(truth, 0.0) }
}

fn bound(opcode: &str, a: f64, b: f64, format: Format) -> Bound {
    let ftz = opcode.contains("ftz");
    let (a, b) = (flush(a, format, ftz), flush(b, format, ftz));
    let ulp = 2f64.powi(-23);
    let power = |exponent: f64| 2f64.powf(exponent);
    let stem = opcode.split('.').next().unwrap();
    match (stem, opcode.contains(".f32")) {
        // Above 2^126 the quotient is 0, of infinities NaN.
        ("div", _) if opcode.contains("approx") && b.abs() > power(126.0) && b.is_finite() => Bound::Nothing,
        ("div", _) => relative(a / b, 2.0 * ulp, format, ftz),
        ("rcp", _) => relative(1.0 / a, ulp, format, ftz),
        ("sqrt", _) => relative(a.sqrt(), power(-23.0), format, ftz),
        ("rsqrt", _) => relative(1.0 / a.sqrt(), power(-22.9), format, ftz),
        ("sin" | "cos", _) if a.is_finite() => {
            let truth = if stem == "sin" { a.sin() } else { a.cos() };
            let most = if a.abs() <= std::f64::consts::TAU { -20.5 } else { -14.7 };
            if a.abs() <= 100.0 * std::f64::consts::PI { Bound::Near(truth, power(most)) } else { Bound::Nothing }
        }
        ("sin" | "cos", _) => Bound::Near(f64::NAN, 0.0),
        ("lg2", _) if a > 0.5 && a < 2.0 => Bound::Near(a.log2(), power(-22.0)),
        ("lg2", _) => relative(a.log2(), power(-22.0), format, ftz),
        ("ex2", true) => relative(a.exp2(), power(-22.5), format, ftz),
        ("ex2", _) if opcode.contains("bf16") => relative(a.exp2(), power(-7.0), format, ftz),
        ("ex2", _) => relative(a.exp2(), power(-9.9), format, ftz),
        ("tanh", true) => relative(a.tanh(), power(-11.0), format, false),
        // The ISA says 2^-8; an H100 is up to 1.0001 times that away.
        ("tanh", _) if opcode.contains("bf16") => Bound::Near(a.tanh(), 1.0005 * power(-8.0)),
        ("tanh", _) => Bound::Near(a.tanh(), power(-10.987)),
        _ => panic!("no bound for {opcode}"),
    }
}

/// Whether a result keeps within its bound. An overflow counts as infinity.
fn keeps(bound: &Bound, got: f64, format: Format) -> bool {
    let greatest = if format.normal > 1e-6 { 65504.0 } else { f64::from(f32::MAX) };
    match *bound {
        Bound::Nothing => true,
        Bound::Near(truth, _) if truth.is_nan() => got.is_nan(),
        Bound::Near(truth, distance) if got.is_infinite() || truth.is_infinite() => {
            got == truth || got.is_infinite() && got.signum() == truth.signum() && truth.abs() + distance >= greatest
        }
        Bound::Near(truth, distance) => (got - truth).abs() <= distance,
    }
}

/// Holds the emulator's results and, if there are any, a GPU's to the bounds. Says how often the two have the same
/// bits.
pub fn check(instructions: &[String], input: &[u32], ours: &[u32], gpu: Option<&[u32]>) -> Result<String, String> {
    let n = input.len() / 4;
    let mut report = String::new();
    for (result, opcode) in instructions.iter().enumerate() {
        let (format, halves) = match () {
            () if opcode.contains(".f32") => (F32, 1),
            () if opcode.contains("bf16") => (BF16, if opcode.ends_with("x2") { 2 } else { 1 }),
            () => (F16, if opcode.ends_with("x2") { 2 } else { 1 }),
        };
        let mut same = 0;
        for i in 0..n {
            let at = result * n + i;
            for half in 0..halves {
                let part = |word: u32| (format.value)(word >> (16 * half));
                let bound = bound(opcode, part(input[i]), part(input[n + i]), format);
                for (who, words) in [("emulator", Some(ours)), ("GPU", gpu)] {
                    let Some(words) = words else { continue };
                    if !keeps(&bound, part(words[at]), format) {
                        let Bound::Near(truth, distance) = bound else { continue };
                        let (a, b, got) = (part(input[i]), part(input[n + i]), part(words[at]));
                        return Err(format!(
                            "{opcode} of {a:e}, {b:e}: the {who} gives {got:e}, the truth is {truth:e} within {distance:e}"
                        ));
                    }
                }
            }
            same += usize::from(gpu.is_some_and(|gpu| gpu[at] == ours[at]));
        }
        if gpu.is_some() {
            report += &format!("\n  {opcode}: {same} of {n} have the same bits");
        }
    }
    Ok(report)
}

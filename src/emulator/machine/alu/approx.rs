//! The `.approx` functions, computed in f64 from series, far inside the bounds that PTX documents (§9.7.3): only
//! additions, multiplications and divisions, so that every host gives the same bits.

use std::f64::consts::{FRAC_PI_2, LN_2, LOG2_E, SQRT_2};

use super::round::power_of_two;

/// 2^x, relative error below 1e-13.
pub(crate) fn exp2(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 1000.0 {
        return f64::INFINITY;
    }
    if x < -1000.0 {
        return 0.0;
    }
    let whole = x.round_ties_even();
    let y = (x - whole) * LN_2;
    // e^y for |y| <= ln 2 / 2.
    let mut sum = 1.0;
    for n in (1..=13).rev() {
        sum = 1.0 + sum * y / f64::from(n);
    }
    sum * power_of_two(whole as i32)
}

/// log2 x; the argument is an f32 or f16 widened, hence never an f64 subnormal.
pub(crate) fn log2(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_infinite() {
        return x;
    }
    let mut exponent = (x.to_bits() >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(x.to_bits() & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)).
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let z2 = z * z;
    let mut sum = 0.0;
    for n in (0..=11).rev() {
        sum = sum * z2 + 1.0 / f64::from(2 * n + 1);
    }
    f64::from(exponent) + 2.0 * z * sum * LOG2_E
}

/// π/2 in three parts of few bits, so that multiples of the first two are exact.
const PIO2: [f64; 3] = [1.570_796_251_296_997, 7.549_789_415_861_596e-8, 5.390_302_858_158_119e-15];

/// The quarter turn that x is in, and the angle from it.
fn reduce(x: f64) -> (i64, f64) {
    // Where the parts below no longer hold PTX bounds nothing; what is left of a whole number of turns is near enough.
    let x = if x.abs() < 1e9 { x } else { x % (4.0 * FRAC_PI_2) };
    let quarter = (x / FRAC_PI_2).round_ties_even();
    let angle = ((x - quarter * PIO2[0]) - quarter * PIO2[1]) - quarter * PIO2[2];
    (quarter as i64, angle)
}

fn sin_series(y: f64) -> f64 {
    let y2 = y * y;
    let mut sum = 1.0;
    for n in (1..=8).rev() {
        sum = 1.0 - sum * y2 / f64::from(2 * n * (2 * n + 1));
    }
    y * sum
}

fn cos_series(y: f64) -> f64 {
    let y2 = y * y;
    let mut sum = 1.0;
    for n in (1..=8).rev() {
        sum = 1.0 - sum * y2 / f64::from(2 * n * (2 * n - 1));
    }
    sum
}

/// sin x.
pub(crate) fn sin(x: f64) -> f64 {
    turned(x, 0)
}

/// cos x.
pub(crate) fn cos(x: f64) -> f64 {
    turned(x, 1)
}

fn turned(x: f64, ahead: i64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    if x == 0.0 && ahead == 0 {
        return x;
    }
    let (quarter, y) = reduce(x);
    match quarter.wrapping_add(ahead).rem_euclid(4) {
        0 => sin_series(y),
        1 => cos_series(y),
        2 => -sin_series(y),
        _ => -cos_series(y),
    }
}

/// tanh x.
pub(crate) fn tanh(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 40.0 {
        return 1f64.copysign(x);
    }
    if x == 0.0 {
        return x;
    }
    if x.abs() < 1e-4 {
        return x - x * x * x / 3.0;
    }
    1.0 - 2.0 / (exp2(2.0 * x * LOG2_E) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_agree_with_the_host() {
        for i in -4000..4000 {
            let x = f64::from(i) / 97.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-12, "exp2 {x}");
            assert!((sin(x) - x.sin()).abs() < 1e-10, "sin {x}");
            assert!((cos(x) - x.cos()).abs() < 1e-10, "cos {x}");
            assert!((tanh(x) - x.tanh()).abs() < 1e-11, "tanh {x}");
            let y = x.exp2();
            assert!((log2(y) - x).abs() < 1e-11, "log2 {y}");
        }
        assert_eq!(
            (exp2(0.0), exp2(-3.0), exp2(f64::INFINITY), exp2(f64::NEG_INFINITY)),
            (1.0, 0.125, f64::INFINITY, 0.0)
        );
        assert_eq!((log2(1.0), log2(8.0), log2(0.0)), (0.0, 3.0, f64::NEG_INFINITY));
        assert!(log2(-1.0).is_nan() && sin(f64::INFINITY).is_nan());
        assert!((sin(1e8) - 1e8f64.sin()).abs() < 1e-6);
        assert!(sin(f64::from(f32::MAX)).abs() <= 1.0 && tanh(-0.0).is_sign_negative());
    }
}

//! The int8 rule: scale = absmax / 127, code = clamp(rne(x / scale), ±127).

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::Float;
use halfbyte::format::int8::{dequantize, quantize_row};
use halfbyte::reference::sample::Sample;
use proptest::prelude::*;

fn quantized<T: Float>(row: &[T]) -> (Vec<i8>, f32) {
    let mut codes = vec![99; row.len()];
    let scale = quantize_row(row, &mut codes).expect("lengths agree");
    (codes, scale)
}

/// Scales of every kind: zero, the ends of the subnormal and of the normal range, powers of two and other numbers.
const SCALES: [f32; 12] = [
    0.0,
    f32::from_bits(1),
    f32::from_bits(0x7f_ffff),
    f32::MIN_POSITIVE,
    1.0 / 128.0,
    0.1,
    1.0,
    1.0 / 3.0,
    12345.678,
    3.0e36,
    f32::MAX / 127.0,
    f32::NAN,
];

/// Every code under every class of scale: 8 × 24 bits are exact in f64, so one rounding to f32 is the answer.
#[test]
fn decode_is_exhaustive() {
    let mut cases = 0;
    for scale in SCALES {
        for code in i8::MIN..=i8::MAX {
            let want = (f64::from(code) * f64::from(scale)) as f32;
            let got = dequantize(code, scale);
            assert!(got == want || (got.is_nan() && want.is_nan()), "{code} · {scale:e}: {got:e} instead of {want:e}");
            cases += 1;
        }
    }
    println!("decode: {cases} (code, scale) pairs");
    assert_eq!(cases, 256 * 12);
}

/// With a scale whose multiples are exact, every code comes back as itself, from f32, f16 and bf16.
#[test]
fn every_code_comes_back() {
    let mut cases = 0;
    for exponent in [-140, -126, -24, -7, 0, 9, 100] {
        let scale = 2f64.powi(exponent) as f32;
        let row: Vec<f32> = (-127..=127).map(|code| code as f32 * scale).collect();
        let (codes, got_scale) = quantized(&row);
        assert_eq!(got_scale, scale);
        assert!(codes.iter().copied().eq(-127..=127), "scale 2^{exponent}");
        cases += row.len();
    }
    let (row16, row_b16): (Vec<_>, Vec<_>) =
        (-127..=127).map(|code| (f16::from_f32(code as f32 / 16.0), bf16::from_f32(code as f32 / 16.0))).unzip();
    for (codes, scale) in [quantized(&row16), quantized(&row_b16)] {
        assert_eq!(scale, 1.0 / 16.0);
        assert!(codes.iter().copied().eq(-127..=127));
        cases += codes.len();
    }
    println!("codes that come back: {cases}");
    assert_eq!(cases, 255 * 9);
}

#[test]
fn ties_go_to_even() {
    let halves: Vec<f32> = (-253..=253).step_by(2).map(|twice| twice as f32 / 2.0).chain([127.0]).collect();
    let (codes, scale) = quantized(&halves);
    assert_eq!(scale, 1.0);
    for (x, code) in halves.iter().zip(&codes).take(254) {
        assert_eq!(code % 2, 0, "{x} became {code}");
        assert_eq!((x - f32::from(*code)).abs(), 0.5);
    }
    assert_eq!(codes[254], 127);
}

/// All 2¹⁶ values of f16 beside a fixed largest one, against f64 division rounded once to f32, which is exact for
/// quotients of f32s because 53 ≥ 2 · 24 + 2.
#[test]
fn every_f16_follows_the_rule() {
    let mut cases = 0;
    for largest in [65504.0f32, 1.0, 0.013, 6.0e-8] {
        let largest = f16::from_f32(largest);
        let scale = (f64::from(largest.to_f32()) / 127.0) as f32;
        for bits in 0..=u16::MAX {
            let x = f16::from_bits(bits);
            if x.is_nan() || x.to_f32().abs() > largest.to_f32() {
                continue;
            }
            let (codes, got_scale) = quantized(&[x, largest]);
            let quotient = (f64::from(x.to_f32()) / f64::from(scale)) as f32;
            let floor = quotient.floor();
            let even = if floor % 2.0 == 0.0 { floor } else { floor + 1.0 };
            let nearest = match quotient - floor {
                rest if rest < 0.5 => floor,
                rest if rest > 0.5 => floor + 1.0,
                _ => even,
            };
            assert_eq!(got_scale, scale);
            assert_eq!(f32::from(codes[0]), nearest.clamp(-127.0, 127.0), "{x} under {largest}");
            cases += 1;
        }
    }
    println!("f16 values: {cases}");
    // Twice the bit patterns of magnitudes from 0 up: 0x7bff, 0x3c00, 0x22a8 and 1.
    assert_eq!(cases, 2 * (0x7c00 + 0x3c01 + 0x22a9 + 2));
}

/// Rows so small that the scale is subnormal, in units of the least f32: the scale is an integer, and so the codes are
/// worked out in integers. Here the quotient passes 127, and the smallest rows have scale 0.
#[test]
fn subnormal_rows_follow_the_rule() {
    let divide = |a: u32, b: u32| {
        let (quotient, rest) = (a / b, a % b);
        quotient + u32::from(2 * rest > b || (2 * rest == b && quotient % 2 == 1))
    };
    let (mut cases, mut clamped, mut zero_rows) = (0, 0, 0);
    for largest in 0..=2000 {
        let row = [largest, largest / 2, largest / 3, 1.min(largest)];
        let scale = divide(largest, 127);
        let (codes, got_scale) = quantized(&row.map(f32::from_bits));
        assert_eq!(got_scale.to_bits(), scale);
        let (negative, same_scale) = quantized(&row.map(|x| -f32::from_bits(x)));
        assert_eq!(same_scale.to_bits(), scale);
        for ((x, code), negative) in row.iter().zip(codes).zip(negative) {
            let want = if scale == 0 { 0 } else { divide(*x, scale).min(127) as i32 };
            clamped += u32::from(scale != 0 && divide(*x, scale) > 127);
            assert_eq!((i32::from(code), i32::from(negative)), (want, -want), "{x} under {largest}");
            cases += 1;
        }
        zero_rows += u32::from(scale == 0);
    }
    println!("subnormal rows: {cases} codes, {clamped} clamped, {zero_rows} rows of scale 0");
    assert_eq!((cases, zero_rows), (4 * 2001, 64));
    assert!(clamped > 0);
}

#[test]
fn a_row_that_is_not_finite_is_nan_and_zero() {
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..3 {
            let mut row = [1.0, -2.0, 3.0];
            row[at] = bad;
            let (codes, scale) = quantized(&row);
            assert!(scale.is_nan(), "{row:?}");
            assert_eq!(codes, [0; 3]);
        }
        let (codes, scale) = quantized(&[f16::ONE, f16::from_f32(bad)]);
        assert!(scale.is_nan() && codes == [0; 2]);
        let (codes, scale) = quantized(&[bf16::ONE, bf16::from_f32(bad)]);
        assert!(scale.is_nan() && codes == [0; 2]);
    }
}

#[test]
fn lengths() {
    let mut long = [7; 5];
    assert_eq!(quantize_row(&[127.0f32, -1.0], &mut long), Ok(1.0));
    assert_eq!(long, [127, -1, 0, 0, 0], "the padding is written as zero");
    assert_eq!(quantize_row::<f32>(&[], &mut long), Ok(0.0));
    assert_eq!(long, [0; 5]);
    let error = quantize_row(&[1.0f32; 6], &mut long).expect_err("5 codes for 6 values");
    assert!(matches!(error, Error::TooShort { have: 5, need: 6, .. }), "{error}");
    assert_eq!(quantized(&[0.0f32, -0.0]), (vec![0, 0], 0.0));
}

proptest! {
    /// The value is at most half a scale away (a little more for the roundings of scale and quotient), the largest gets
    /// ±127, and the sign is kept.
    #[test]
    fn the_error_is_at_most_half_a_scale(seed in any::<u64>(), len in 1usize..300, exponent in -100i32..100) {
        let mut sample = Sample::new(&format!("half a scale {seed}"));
        let size = 2f32.powi(exponent);
        let row: Vec<f32> = (0..len).map(|_| size * sample.gaussian()).collect();
        let (codes, scale) = quantized(&row);
        let largest = row.iter().fold(0f32, |max, x| max.max(x.abs()));
        for (&x, &code) in row.iter().zip(&codes) {
            let error = (f64::from(x) - f64::from(code) * f64::from(scale)).abs();
            prop_assert!(error <= f64::from(scale) * (0.5 + 127.0 * 2f64.powi(-22)), "{x} became {code} · {scale}");
            prop_assert!(code == 0 || (code > 0) == (x > 0.0));
            if x.abs() == largest && largest > 0.0 {
                prop_assert_eq!(code.unsigned_abs(), 127);
            }
        }
    }
}

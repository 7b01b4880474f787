//! The 8-bit floats: every code, and narrowing around every code.

use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};

/// What a code is by the tables of the OFP8 specification, in f64, where all is exact.
fn value(code: u8, dtype: DType) -> f64 {
    let (fraction_bits, bias) = if dtype == DType::E4m3 { (3, 7) } else { (2, 15) };
    let (exponent, fraction) = (i32::from(code & 0x7f) >> fraction_bits, i32::from(code) & ((1 << fraction_bits) - 1));
    let magnitude = match (dtype, code & 0x7f) {
        (DType::E4m3, 0x7f) => f64::NAN,
        (DType::E5m2, 0x7c) => f64::INFINITY,
        (DType::E5m2, 0x7d..) => f64::NAN,
        _ => {
            let (one, least) = (f64::from(1 << fraction_bits), 1 - bias);
            let significand = f64::from(fraction) / one + if exponent == 0 { 0.0 } else { 1.0 };
            significand * 2f64.powi(if exponent == 0 { least } else { exponent - bias })
        }
    };
    if code < 0x80 { magnitude } else { -magnitude }
}

/// A type under test: its name, its largest finite code, and the type's two directions by codes.
struct Type {
    dtype: DType,
    largest: u8,
    to_f32: fn(u8) -> f32,
    from_f32: fn(f32) -> u8,
}

const TYPES: [Type; 2] = [
    Type {
        dtype: DType::E4m3,
        largest: 0x7e,
        to_f32: |code| Float::to_f32(F8E4M3::from_bits(code)),
        from_f32: |x| <F8E4M3 as Float>::from_f32(x).to_bits(),
    },
    Type {
        dtype: DType::E5m2,
        largest: 0x7b,
        to_f32: |code| Float::to_f32(F8E5M2::from_bits(code)),
        from_f32: |x| <F8E5M2 as Float>::from_f32(x).to_bits(),
    },
];

#[test]
fn the_types_are_what_their_names_say() {
    assert_eq!((<F8E4M3 as Float>::DTYPE, <F8E5M2 as Float>::DTYPE), (DType::E4m3, DType::E5m2));
    let [e4m3, e5m2] = TYPES;
    assert_eq!(((e4m3.to_f32)(0x7e), (e4m3.to_f32)(0x08), (e4m3.to_f32)(0x81)), (448.0, 1.0 / 64.0, -1.0 / 512.0));
    assert_eq!(
        ((e5m2.to_f32)(0x7b), (e5m2.to_f32)(0x84), (e5m2.to_f32)(0x01)),
        (57344.0, -1.0 / 16384.0, 1.0 / 65536.0)
    );
}

#[test]
fn every_code_is_the_number_that_its_fields_say_and_comes_back() {
    let (mut numbers, mut nan) = (0, 0);
    for Type { dtype, largest, to_f32, from_f32 } in TYPES {
        for code in 0..=u8::MAX {
            let (got, want) = (to_f32(code), value(code, dtype));
            if want.is_nan() {
                assert!(got.is_nan(), "{dtype} {code:#04x}: {got}");
                assert_eq!(from_f32(got), 0x7f, "{dtype} {code:#04x}");
                nan += 1;
                continue;
            }
            assert_eq!((f64::from(got), got.is_sign_negative()), (want, code >= 0x80), "{dtype} {code:#04x}");
            // Infinities exist in e5m2, but narrowing does not make them.
            let back = if got.is_infinite() { largest | (code & 0x80) } else { code };
            assert_eq!(from_f32(got), back, "{dtype} {got}");
            numbers += 1;
        }
    }
    println!("{numbers} numbers, {nan} NaN");
    assert_eq!((numbers, nan), (254 + 250, 2 + 6));
}

/// Around every code of either sign: it comes back, halfway to the next goes to the even one, a hair nearer goes there.
#[test]
fn narrowing_takes_the_nearest_and_of_two_the_even() {
    let mut cases = 0;
    for Type { dtype, largest, from_f32, .. } in TYPES {
        for code in 0..=largest {
            // The number after the largest, were there one; what is nearer to it goes to the largest all the same.
            let this = value(code, dtype);
            let next = if code == largest { 2.0 * this - value(code - 1, dtype) } else { value(code + 1, dtype) };
            let (half, up) = (((this + next) / 2.0) as f32, (code + 1).min(largest));
            let even = if code % 2 == 0 { code } else { up };
            assert_eq!(f64::from(half), (this + next) / 2.0, "an f32 lies halfway");
            for (x, want) in [(this as f32, code), (half, even), (half.next_down(), code), (half.next_up(), up)] {
                assert_eq!(from_f32(x), want, "{dtype} {x:e}");
                assert_eq!(from_f32(-x), want | 0x80, "{dtype} -{x:e}");
                cases += 2;
            }
        }
    }
    println!("narrowing around codes: {cases}");
    assert_eq!(cases, 8 * (0x7f + 0x7c));
}

#[test]
fn narrowing_saturates_and_keeps_nan() {
    for Type { dtype, largest, from_f32, .. } in TYPES {
        for x in [448.0f32, 57344.0, 61440.0, 65536.0, 1e9, f32::MAX, f32::INFINITY] {
            if f64::from(x) >= value(largest, dtype) {
                assert_eq!((from_f32(x), from_f32(-x)), (largest, largest | 0x80), "{dtype} {x}");
            }
        }
        for tiny in [0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e-6] {
            assert_eq!((from_f32(tiny), from_f32(-tiny)), (0, 0x80), "{dtype} {tiny:e}");
        }
        for bits in [0x7f80_0001u32, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffc0_0000, 0xffff_ffff] {
            assert_eq!(from_f32(f32::from_bits(bits)), 0x7f, "{dtype} {bits:#x}");
        }
    }
}

/// Bits of any kind, against a search through all codes for the nearest.
#[test]
fn narrowing_agrees_with_a_search() {
    let mut cases = 0;
    for Type { dtype, largest, from_f32, .. } in TYPES {
        let numbers: Vec<f64> = (0..=largest).map(|code| value(code, dtype)).collect();
        for bits in (0..=u32::MAX).step_by(40_009) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                continue;
            }
            let magnitude = f64::from(x.abs()).min(numbers[usize::from(largest)]);
            let above = numbers.partition_point(|&number| number < magnitude);
            let below = above.saturating_sub(1);
            let (down, up) = (magnitude - numbers[below], numbers[above] - magnitude);
            let nearest = if down < up || (down == up && below % 2 == 0) { below } else { above };
            assert_eq!(from_f32(x), nearest as u8 | ((bits >> 24) as u8 & 0x80), "{dtype} {x:e}");
            cases += 1;
        }
    }
    println!("narrowing against a search: {cases}");
    assert!(cases > 200_000);
}

//! Number types.

use half::{bf16, f16};
use halfbyte::format::{DType, Float};

#[test]
fn sizes_and_names() {
    let table = [
        (DType::F32, 4, "f32"),
        (DType::F16, 2, "f16"),
        (DType::Bf16, 2, "bf16"),
        (DType::E4m3, 1, "e4m3"),
        (DType::E5m2, 1, "e5m2"),
        (DType::I8, 1, "i8"),
        (DType::U8, 1, "u8"),
        (DType::I32, 4, "i32"),
        (DType::U32, 4, "u32"),
    ];
    assert_eq!(table.map(|(dtype, ..)| dtype), DType::ALL);
    for (dtype, size, name) in table {
        assert_eq!((dtype.size(), dtype.name(), format!("{dtype:>5}")), (size, name, format!("{name:>5}")));
    }
}

/// The value of a binary float from its fields, worked out in f64, where all of them are exact.
fn value(bits: u16, exponent_bits: u32) -> f64 {
    let fraction_bits = 15 - exponent_bits;
    let fraction = f64::from(bits & ((1 << fraction_bits) - 1));
    let exponent = i32::from((bits >> fraction_bits) & ((1 << exponent_bits) - 1));
    let (bias, one) = ((1 << (exponent_bits - 1)) - 1, f64::from(1 << fraction_bits));
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let magnitude = match exponent {
        0 => fraction / one * 2f64.powi(1 - bias),
        e if e == (1 << exponent_bits) - 1 => {
            if fraction == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        e => (1.0 + fraction / one) * 2f64.powi(e - bias),
    };
    sign * magnitude
}

/// Every bit pattern of both 16-bit types is the f32 that its fields say.
#[test]
fn widening_is_exact() {
    let mut cases = 0;
    for bits in 0..=u16::MAX {
        for (got, want) in [
            (Float::to_f32(f16::from_bits(bits)), value(bits, 5)),
            (Float::to_f32(bf16::from_bits(bits)), value(bits, 8)),
        ] {
            assert!(f64::from(got) == want || (got.is_nan() && want.is_nan()), "{bits:#06x}: {got} instead of {want}");
            assert_eq!(got.is_sign_negative(), bits >> 15 == 1);
            cases += 1;
        }
    }
    println!("widening: {cases} values");
    assert_eq!(cases, 2 << 16);
}

/// Numbers of `T` by their bits, of either sign: each comes back, halfway to the next goes to the even one, and what is
/// a hair nearer goes there. `infinity` has the bits after the largest.
fn narrowing<T: Float>(exponent_bits: u32, infinity: u16, bits_of: impl Fn(T) -> u16) -> usize {
    let mut cases = 0;
    for bits in 0..infinity {
        let this = value(bits, exponent_bits);
        // The number after the largest, were there one.
        let next = if bits + 1 == infinity {
            2.0 * this - value(bits - 1, exponent_bits)
        } else {
            value(bits + 1, exponent_bits)
        };
        let half = ((this + next) / 2.0) as f32;
        assert_eq!(f64::from(half), (this + next) / 2.0, "an f32 lies halfway");
        for (x, want) in
            [(this as f32, bits), (half, bits + bits % 2), (half.next_down(), bits), (half.next_up(), bits + 1)]
        {
            assert_eq!(bits_of(T::from_f32(x)), want, "{x}");
            assert_eq!(bits_of(T::from_f32(-x)), want | 0x8000, "-{x}");
            cases += 2;
        }
    }
    assert!(T::from_f32(f32::NAN).to_f32().is_nan());
    cases
}

#[test]
fn narrowing_takes_the_nearest_and_of_two_the_even() {
    assert_eq!(narrowing::<f16>(5, 0x7C00, f16::to_bits), 8 * 0x7C00);
    assert_eq!(narrowing::<bf16>(8, 0x7F80, bf16::to_bits), 8 * 0x7F80);
    for bits in (0..=u32::MAX).step_by(65_521) {
        let x = f32::from_bits(bits);
        assert_eq!(<f32 as Float>::from_f32(x).to_bits(), bits);
        assert_eq!(Float::to_f32(x).to_bits(), bits);
    }
}

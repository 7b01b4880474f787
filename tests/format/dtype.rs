//! Number types.

use half::{bf16, f16};
use halfbyte::format::{DType, Float};

#[test]
fn sizes_and_names() {
    let table = [
        (DType::F32, 4, "f32"),
        (DType::F16, 2, "f16"),
        (DType::Bf16, 2, "bf16"),
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

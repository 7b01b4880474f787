//! Bounds: their formulas against hand values, and that they really hold the kernels' roundings.

use halfbyte::Error;
use halfbyte::format::DType;
use halfbyte::reference::bound::{Magnitudes, Rounding, float_product, scaled_s8};

const U: f64 = 1.0 / (1 << 24) as f64;

#[test]
fn roundings_of_the_output_types() {
    let of = |dtype| Rounding::of(dtype).expect("floating");
    // The largest finite values are 65504 and (2 − 2⁻²³) · 2¹²⁷; half their spacing further, rounding gives infinity.
    assert_eq!(of(DType::F16).overflow, 65520.0);
    assert_eq!(of(DType::F32).overflow, f64::from(f32::MAX) + 2f64.powi(103));
    assert_eq!(of(DType::Bf16).overflow, f64::from(f32::from_bits(0x7f7f_0000)) + 2f64.powi(119));
    assert_eq!(of(DType::F32).tolerance(5.0, 0.0), 0.0, "f32 to f32 rounds nothing");
    assert_eq!(of(DType::F16).tolerance(1024.0, 0.0), 0.5, "f16 is spaced by 1 from 1024 on");
    assert_eq!(of(DType::Bf16).tolerance(-256.0, 0.0), 1.0, "bf16 is spaced by 2 from 256 on");
    assert_eq!(of(DType::F16).tolerance(0.0, 0.0), 2f64.powi(-25), "the least f16 is 2⁻²⁴");
    assert_eq!(of(DType::F16).tolerance(1024.0, 1024.0), 1025.0);
    for integer in [DType::I8, DType::U8, DType::I32, DType::U32] {
        assert!(matches!(Rounding::of(integer), Err(Error::Unsupported(_))));
    }
}

#[test]
fn slack_of_a_scaled_product() {
    let tiny = 2f64.powi(-150);
    let close = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-12, "{got:e} instead of {want:e}");
    close(scaled_s8(100, 50.0, 50.0, false), 1.001 * (2.0 * U * 50.0 + 101.0 * tiny));
    close(scaled_s8(1 << 24, 50.0, 50.0, false), 1.001 * 2.0 * U * 50.0);
    close(scaled_s8(-(1 << 24) - 1, -50.0, -50.0, false), 1.001 * 3.0 * U * 50.0);
    close(scaled_s8(100, 50.0, 20.0, true), 1.001 * (2.0 * U * 50.0 + U * 20.0));
    close(scaled_s8(0, 0.0, 0.0, false), 1.001 * tiny);
}

#[test]
fn slack_of_a_floating_product() {
    let sums = Magnitudes { absolute: 10.0, squares: 16.0 };
    assert_eq!(float_product(25, sums, 0.5, 0.25), 6.0 * 0.5 * 4.0 + 2.0 * 0.25 * 5.0 * 10.0);
    assert_eq!(float_product(25, sums, 0.0, 0.25), 25.0);
    assert_eq!(float_product(0, Magnitudes::default(), 0.5, 0.25), 0.0);
}

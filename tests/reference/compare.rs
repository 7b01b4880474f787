//! Comparisons: what passes, what fails, and what they say of it.

use halfbyte::Error;
use halfbyte::format::DType;
use halfbyte::reference::{Comparison, Expected, Mismatch, relative_rms};

fn expected(output: DType, values: &[f64], slack: f64) -> Expected {
    Expected::new(1, values.len(), output, values.to_vec(), vec![slack; values.len()]).expect("shapes agree")
}

fn passes(output: DType, want: f64, slack: f64, got: f32) -> bool {
    expected(output, &[want], slack).compare(&[got]).expect("one element").passed()
}

#[test]
fn the_tolerance_is_a_limit() {
    // f16 at 1024: half a spacing of 1, plus the slack of 0.25 and its share of the rounding.
    let limit = 0.25 + 1024.25 / 2048.0;
    for (error, want) in [(0.0, true), (limit - 1e-3, true), (limit + 1e-3, false)] {
        assert_eq!(passes(DType::F16, 1024.0, 0.25, (1024.0 + error) as f32), want, "{error}");
        assert_eq!(passes(DType::F16, -1024.0, 0.25, -(1024.0 + error) as f32), want, "{error}");
    }
    assert!(passes(DType::F32, 1.0, 0.0, 1.0));
    assert!(!passes(DType::F32, 1.0, 0.0, 1.0 + f32::EPSILON));
}

#[test]
fn nan_fails_unless_nan_is_the_truth() {
    for output in [DType::F32, DType::F16, DType::Bf16] {
        assert!(!passes(output, 1.0, 1e30, f32::NAN));
        assert!(!passes(output, f64::INFINITY, 0.0, f32::NAN));
        assert!(passes(output, f64::NAN, f64::NAN, f32::NAN));
        for got in [0.0, 1.0, f32::INFINITY] {
            assert!(!passes(output, f64::NAN, f64::NAN, got));
        }
    }
    assert!(!passes(DType::F32, 1.0, f64::NAN, 1.5), "a slack of NaN allows nothing");
}

#[test]
fn infinity_passes_where_the_truth_may_round_to_it() {
    let f16 = |want, slack, got| passes(DType::F16, want, slack, got);
    for sign in [1.0f64, -1.0] {
        let inf = f32::INFINITY.copysign(sign as f32);
        let max = (65504.0 * sign) as f32;
        assert!(f16(65520.0 * sign, 0.0, inf) && !f16(65519.0 * sign, 0.0, inf));
        assert!(f16(65519.0 * sign, 2.0, inf) && f16(65519.0 * sign, 2.0, max), "either way within the slack");
        assert!(!f16(65530.0 * sign, 0.0, max), "saturating is wrong");
        assert!(f16(65530.0 * sign, 20.0, max), "unless the value may have been below");
        assert!(!f16(65530.0 * sign, 0.0, -inf), "the wrong sign");
        assert!(f16(f64::INFINITY * sign, 0.0, inf) && !f16(f64::INFINITY * sign, 0.0, max));
        assert!(!f16(1.0 * sign, 0.0, inf));
    }
}

#[test]
fn a_comparison_counts_and_names_the_first_failure() {
    let values: Vec<f64> = (0..12).map(f64::from).collect();
    let expected = Expected::new(3, 4, DType::F32, values.clone(), vec![0.5; 12]).expect("shapes agree");
    assert_eq!((expected.values(), expected.tolerance(11), expected.tolerance(12)), (&values[..], Some(0.5), None));
    let mut got: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    got[2] += 0.25;
    let comparison = expected.compare(&got).expect("same length");
    assert!(comparison.passed());
    assert_eq!((comparison.elements, comparison.worst_ratio, comparison.first_failure), (12, 0.5, None));
    assert_eq!(comparison.to_string(), "12 elements, worst error ÷ bound 0.500");

    got[6] += 1.0;
    got[9] = f32::NAN;
    got[10] = f32::INFINITY;
    let comparison = expected.compare(&got).expect("same length");
    assert_eq!((comparison.failures, comparison.nonfinite, comparison.worst_ratio), (3, 2, f64::INFINITY));
    let first = Mismatch { row: 1, col: 2, got: 7.0, want: 6.0, tolerance: 0.5 };
    assert_eq!(comparison.first_failure, Some(first));
    let text = comparison.to_string();
    assert!(text.ends_with("3 wrong, the first at row 1, column 2: 7e0 instead of 6e0 ± 5e-1"), "{text}");

    let both = expected.compare(&[0.0; 12]).expect("same length").and(comparison);
    assert_eq!((both.elements, both.failures), (24, 11 + 3));
    assert_eq!(both.first_failure.map(|f| (f.row, f.col)), Some((0, 1)));
    assert!(Comparison::default().passed());
}

#[test]
fn exact_comparisons() {
    let bits = Comparison::same_bits(&[1.0, -0.0, f32::NAN, 2.0], &[1.0, 0.0, -f32::NAN, 3.0], 2).expect("same length");
    assert_eq!((bits.elements, bits.failures, bits.nonfinite), (4, 2, 1));
    assert_eq!(bits.first_failure.map(|f| (f.row, f.col)), Some((0, 1)));
    let integers = Comparison::same_integers(&[1, -2, i32::MAX], &[1, -2, 1 << 31], 3).expect("same length");
    assert_eq!((integers.failures, integers.first_failure.map(|f| (f.col, f.want))), (1, Some((2, 2147483648.0))));
}

#[test]
fn lengths_must_agree() {
    let shape = |result: halfbyte::Result<Comparison>| matches!(result, Err(Error::Shape(_)));
    assert!(shape(expected(DType::F32, &[1.0, 2.0], 0.0).compare(&[1.0])));
    assert!(shape(Comparison::same_bits(&[1.0], &[1.0, 2.0], 1)));
    assert!(shape(Comparison::same_bits(&[1.0, 2.0], &[1.0, 2.0], 0)));
    assert!(shape(Comparison::same_integers(&[1, 2, 3], &[1, 2, 3], 2)));
    assert_eq!(Comparison::same_bits(&[], &[], 0), Ok(Comparison::default()));
    assert!(Expected::new(2, 3, DType::F32, vec![0.0; 5], vec![0.0; 6]).is_err());
    assert!(Expected::new(2, 3, DType::F32, vec![0.0; 6], vec![0.0; 5]).is_err());
    assert!(Expected::new(2, 3, DType::I8, vec![0.0; 6], vec![0.0; 6]).is_err());
}

#[test]
fn relative_rms_of_known_errors() {
    assert_eq!(relative_rms(&[3.0, 5.0], &[3.0, 4.0]), Ok(0.2));
    assert_eq!(relative_rms(&[], &[]), Ok(0.0));
    assert_eq!(relative_rms(&[0.0], &[0.0]), Ok(0.0));
    assert_eq!(relative_rms(&[1.0], &[0.0]), Ok(f64::INFINITY));
    assert!(relative_rms(&[1.0], &[]).is_err());
}

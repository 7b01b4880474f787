//! Sums by groups of K, against values worked out by hand.

use halfbyte::format::DType;
use halfbyte::reference::{Accumulation, F64, FloatProblem, Oracle, exact, oracles};

/// Two rows by one column, five terms in groups of two: sums 3, 7 and 5 of the first row, 30, 70 and 50 of the second.
const A: [f32; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0];
const B: [f32; 5] = [1.0; 5];
/// Of each row's three groups, and of the column's.
const SCALES_A: [f32; 6] = [1.0, 2.0, 4.0, 0.5, 0.25, 1.0];
const SCALES_B: [f32; 3] = [1.0, 10.0, 100.0];

fn problem() -> FloatProblem<'static> {
    FloatProblem::new((2, 1, 5), &A, &B, Accumulation::s8(), DType::F32).unwrap()
}

#[test]
fn each_group_has_its_own_scales() {
    let both = problem().groups(2, Some(&SCALES_A), Some(&SCALES_B)).unwrap();
    // 3·1·1 + 7·2·10 + 5·4·100, and 30·0.5·1 + 70·0.25·10 + 50·1·100.
    assert_eq!(exact::gemm(&both).unwrap(), [2143.0, 5190.0]);
    let rows = problem().groups(2, Some(&SCALES_A), None).unwrap();
    assert_eq!(exact::gemm(&rows).unwrap(), [3.0 + 14.0 + 20.0, 15.0 + 17.5 + 50.0]);
    let columns = problem().groups(2, None, Some(&SCALES_B)).unwrap();
    assert_eq!(exact::gemm(&columns).unwrap(), [573.0, 5730.0]);
    let none = problem().groups(2, None, None).unwrap();
    assert_eq!(exact::gemm(&none).unwrap(), [15.0, 150.0]);
    for problem in [both, rows, columns, none] {
        let bits = exact::gemm(&problem).unwrap();
        for oracle in oracles() {
            let c = oracle.gemm(&problem).unwrap().compare(&bits).unwrap();
            assert!(c.passed(), "{}: {c}", oracle.name());
        }
        // A wrong scale of one group is far outside.
        let off: Vec<f32> = bits.iter().map(|x| x + 3.0).collect();
        assert!(!F64.gemm(&problem).unwrap().compare(&off).unwrap().passed());
    }
}

/// fma(2²⁴, 1, 0), then two groups of one each: one by one they are lost, to an even sum; in a slice of their own they
/// are not.
#[test]
fn groups_and_slices_are_added_in_their_order() {
    let (big, one) = (4096.0, 1.0);
    let (a, b) = ([big, one, one], [big, one, one]);
    let problem = FloatProblem::new((1, 1, 3), &a, &b, Accumulation::s8(), DType::F32).unwrap();
    let problem = problem.groups(1, None, None).unwrap();
    let sum = |slice| exact::gemm_by_groups(&problem, slice).unwrap()[0];
    assert_eq!([sum(3), sum(1), sum(64)], [16_777_216.0; 3]);
    let (a, b) = ([0.0, big, one, one], [0.0, big, one, one]);
    let problem = FloatProblem::new((1, 1, 4), &a, &b, Accumulation::s8(), DType::F32).unwrap();
    let problem = problem.groups(1, None, None).unwrap();
    assert_eq!(exact::gemm_by_groups(&problem, 2).unwrap(), [16_777_218.0]);
    assert_eq!(exact::gemm(&problem).unwrap(), [16_777_216.0]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_values() {
    let error = problem().groups(0, None, None).unwrap_err().to_string();
    assert!(error.contains("no terms"), "{error}");
    let error = problem().groups(2, Some(&SCALES_B), None).unwrap_err().to_string();
    assert!(error.contains("3 scales of a") && error.contains("2 rows have 3 groups of 2"), "{error}");
    let error = problem().groups(4, None, Some(&SCALES_B)).unwrap_err().to_string();
    assert!(error.contains("3 scales of b") && error.contains("1 rows have 2 groups of 4"), "{error}");
    let error = exact::gemm_by_groups(&problem().groups(2, None, None).unwrap(), 3).unwrap_err().to_string();
    assert!(error.contains("slices of 3 cut groups of 2"), "{error}");
    let error = exact::gemm_by_groups(&problem(), 2).unwrap_err().to_string();
    assert!(error.contains("not summed by groups"), "{error}");
    // 300 products of 255 · 255 in a group are beyond 2²⁴ as an f32.
    let long = vec![2f32.powi(12) + 1.0; 300];
    let float = Accumulation::mma(DType::F16, DType::F16).unwrap();
    let problem = FloatProblem::new((1, 1, 300), &long, &long, float, DType::F32).unwrap();
    let error = exact::gemm(&problem.groups(128, None, None).unwrap()).unwrap_err().to_string();
    assert!(error.contains("may be inexact"), "{error}");
}

/// Rounding once a group is within the slack, and no more than it: a group's sum that is off by 2⁻¹⁰ of itself is not.
#[test]
fn the_bound_grows_with_the_groups_only() {
    let k = 128 * 40;
    let a: Vec<f32> = (0..k).map(|i| (i % 7) as f32 - 3.0).collect();
    let b: Vec<f32> = (0..k).map(|i| (i % 5) as f32 + 1.0).collect();
    let scales: Vec<f32> = (0..40).map(|g| 1.0 + g as f32 / 64.0).collect();
    let problem = FloatProblem::new((1, 1, k), &a, &b, Accumulation::s8(), DType::F32).unwrap();
    let problem = problem.groups(128, Some(&scales), None).unwrap();
    let absolute: f64 = (0..k).map(|i| f64::from((a[i] * b[i]).abs() * scales[i / 128])).sum();
    let bits = exact::gemm(&problem).unwrap()[0];
    let expected = F64.gemm(&problem).unwrap();
    assert!(expected.compare(&[bits]).unwrap().passed());
    // 43 roundings of 2⁻²⁴ are allowed.
    let allowed = 44.0 * absolute / 2f64.powi(24);
    assert!(!expected.compare(&[bits + (1.2 * allowed) as f32]).unwrap().passed());
}

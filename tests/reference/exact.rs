//! The exact product and the epilogue that rounds as the kernels do.

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::DType;
use halfbyte::format::int8::{Codes, Int8Matrix, Int8View};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{LinearProblem, exact};
use proptest::prelude::*;

fn naive(a: &[i8], w: &[i8], m: usize, n: usize, k: usize) -> Vec<i64> {
    let at = |i, j| (0..k).map(|p| i64::from(a[i * k + p]) * i64::from(w[j * k + p])).sum();
    (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect()
}

#[test]
fn products_equal_the_sum_over_k() {
    let sizes = [0, 1, 2, 3, 31, 32, 33, 65];
    let mut cases = 0;
    for (m, n, k) in sizes.iter().flat_map(|&m| sizes.iter().flat_map(move |&n| sizes.map(|k| (m, n, k)))) {
        let mut sample = Sample::new(&format!("exact {m} {n} {k}"));
        let (a, w) = (sample.codes(m * k, -128, 127), sample.codes(n * k, -128, 127));
        let view = |codes, rows| Codes::new(codes, rows, k, k).expect("well-formed");
        assert_eq!(exact::gemm_s8(view(&a, m), view(&w, n)), Ok(naive(&a, &w, m, n, k)), "{m} {n} {k}");
        cases += 1;
    }
    println!("exact products: {cases}");
    assert_eq!(cases, 512);
}

/// Large enough for all cores; leading dimensions beyond K hold bytes that must not count.
#[test]
fn large_products_with_leading_dimensions() {
    let (m, n, k, lda, ldw) = (130, 70, 1000, 1016, 1003);
    let mut sample = Sample::new("leading dimensions");
    let (a, w) = (sample.codes(m * lda, -128, 127), sample.codes(n * ldw, -128, 127));
    let packed = |codes: &[i8], ld: usize| codes.chunks(ld).flat_map(|row| row[..k].to_vec()).collect::<Vec<_>>();
    let want = naive(&packed(&a, lda), &packed(&w, ldw), m, n, k);
    let (a, w) = (Codes::new(&a, m, k, lda).expect("fits"), Codes::new(&w, n, k, ldw).expect("fits"));
    assert_eq!(exact::gemm_s8(a, w).as_ref(), Ok(&want));
    let narrow: Vec<i32> = want.iter().map(|&sum| sum as i32).collect();
    assert_eq!(exact::gemm_s8_i32(a, w), Ok(narrow));
}

/// Sums beyond 32 bits are exact in 64 and an error in 32.
#[test]
fn long_sums_leave_32_bits() {
    for (k, fits) in [(131_071, true), (131_072, false), (300_000, false)] {
        let codes = vec![-128i8; k];
        let row = Codes::new(&codes, 1, k, k).expect("well-formed");
        assert_eq!(exact::gemm_s8(row, row), Ok(vec![k as i64 * 16384]));
        match exact::gemm_s8_i32(row, row) {
            Ok(sums) => assert!(fits && sums == [k as i32 * 16384]),
            Err(Error::Value(message)) => {
                assert!(!fits && message.contains(&(k * 16384).to_string()) && message.contains("row 0, column 0"));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn different_k_is_refused_with_both() {
    let (a, w) = (Codes::new(&[0; 6], 2, 3, 3).expect("fits"), Codes::new(&[0; 8], 2, 4, 4).expect("fits"));
    let error = exact::gemm_s8(a, w).expect_err("3 is not 4").to_string();
    assert!(error.contains('3') && error.contains('4'), "{error}");
    let view = |codes: Codes<'static>| Int8View::new(codes, &[1.0, 1.0]).expect("2 rows");
    let static_codes = |cols| Codes::new(&[0; 8], 2, cols, cols).expect("fits");
    let (a, w) = (view(static_codes(3)), view(static_codes(4)));
    assert!(LinearProblem::new(a, w, None, DType::F32).is_err());
    assert!(LinearProblem::new(a, a, Some(&[0.0; 3]), DType::F32).is_err());
    for integer in [DType::I8, DType::U8, DType::I32, DType::U32] {
        assert!(matches!(LinearProblem::new(a, a, None, integer), Err(Error::Unsupported(_))));
    }
}

/// One output, with everything given.
fn one(acc: i32, scale_row: f32, scale_col: f32, bias: Option<f32>, output: DType) -> f32 {
    let (row, col) = ([scale_row], [scale_col]);
    let codes = Codes::new(&[], 1, 0, 0).expect("fits");
    let (a, w) = (Int8View::new(codes, &row).expect("1 row"), Int8View::new(codes, &col).expect("1 row"));
    let bias = bias.map(|b| [b]);
    let problem = LinearProblem::new(a, w, bias.as_ref().map(|b| &b[..]), output).expect("K = 0");
    exact::epilogue(&problem, &[acc]).expect("1 output")[0]
}

/// Each rounding of the epilogue, on values where leaving it out or fusing it would show.
#[test]
fn every_rounding_of_the_epilogue() {
    let f32_of = |acc, row, col, bias| one(acc, row, col, bias, DType::F32);
    let ulp = f32::EPSILON;
    // The accumulator is rounded to 24 bits, ties to even.
    assert_eq!(f32_of((1 << 24) + 1, 1.0, 1.0, None), 16_777_216.0);
    assert_eq!(f32_of((1 << 24) + 3, 1.0, 1.0, None), 16_777_220.0);
    assert_eq!(f32_of(i32::MIN, 1.0, 1.0, None), -2_147_483_648.0);
    // The scales are multiplied first: (1 + ε)² rounds to 1 + 2ε, and 3 · (1 + 2ε) = 3 + 6ε rounds, in steps of 2ε, to
    // itself; 3 · (1 + ε) first would round to 3 + 4ε and end elsewhere.
    assert_eq!(f32_of(3, 1.0 + ulp, 1.0 + ulp, None), 3.0 + 6.0 * ulp);
    // No fused multiply-add: 3 · fl(1/3) rounds to 1, so that subtracting 1 leaves 0; fused, 2⁻²⁵ would be left.
    assert_eq!(f32_of(3, 1.0 / 3.0, 1.0, Some(-1.0)), 0.0);
    assert_eq!(f32::mul_add(3.0, 1.0 / 3.0, -1.0), 2f32.powi(-25));
    // Overflow on the way is infinite, and 0 times it is NaN.
    assert_eq!(f32_of(1, 1e30, 1e30, None), f32::INFINITY);
    assert_eq!(f32_of(-1, 1e30, 1e30, Some(1.0)), f32::NEG_INFINITY);
    assert!(f32_of(0, 1e30, 1e30, None).is_nan());
    assert!(f32_of(5, f32::NAN, 1.0, None).is_nan());
}

#[test]
fn outputs_are_rounded_once_to_their_type() {
    // f16 has 11 bits, bf16 has 8; ties go to even; f16 ends at 65504 and overflows from 65520 on.
    for (acc, f16, bf16) in [
        (2049, 2048.0, 2048.0),
        (2051, 2052.0, 2048.0),
        (257, 257.0, 256.0),
        (259, 259.0, 260.0),
        (65519, 65504.0, 65536.0),
        (65520, f32::INFINITY, 65536.0),
        (-65520, f32::NEG_INFINITY, -65536.0),
    ] {
        assert_eq!(one(acc, 1.0, 1.0, None, DType::F16), f16, "{acc}");
        assert_eq!(one(acc, 1.0, 1.0, None, DType::Bf16), bf16, "{acc}");
    }
    // Below the normal range of f16, in steps of 2⁻²⁴.
    let step = 2f32.powi(-24);
    for (acc, want) in [(1, 0.0), (2, step), (3, 2.0 * step), (5, 2.0 * step), (7, 4.0 * step)] {
        assert_eq!(one(acc, 2f32.powi(-25), 1.0, None, DType::F16), want, "{acc}");
    }
    assert!(one(1, 3e38, 1.0, None, DType::Bf16).is_finite());
    assert_eq!(one(1, f32::MAX, 1.0, None, DType::Bf16), f32::INFINITY);
}

#[test]
fn empty_is_empty_and_no_terms_give_the_bias() {
    let bias = [1.5f32, -2.25];
    let problem = |m, n, k| {
        let matrix = |rows| Int8Matrix::from_contiguous(rows, k, &vec![1; rows * k], vec![1.0; rows]).expect("fits");
        (matrix(m), matrix(n))
    };
    for (m, n, k, want) in [(0, 2, 5, vec![]), (3, 0, 5, vec![]), (2, 2, 0, vec![1.5, -2.25, 1.5, -2.25])] {
        let (a, w) = problem(m, n, k);
        let bias = Some(&bias[..n]);
        let problem = LinearProblem::new(a.view(), w.view(), bias, DType::F32).expect("shapes agree");
        assert_eq!(exact::linear(&problem), Ok(want));
    }
}

proptest! {
    /// The rounding helper is the type's own.
    #[test]
    fn rounding_is_the_types_own(bits in any::<u32>()) {
        let x = f32::from_bits(bits);
        let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
        prop_assert!(same(exact::round_to(x, DType::F16), f16::from_f32(x).to_f32()));
        prop_assert!(same(exact::round_to(x, DType::Bf16), bf16::from_f32(x).to_f32()));
        prop_assert!(same(exact::round_to(x, DType::F32), x));
    }

    #[test]
    fn linear_is_product_and_epilogue(seed in any::<u64>(), m in 1usize..9, n in 1usize..40, k in 1usize..200, biased in any::<bool>()) {
        let mut sample = Sample::new(&format!("linear {seed}"));
        let activations = Int8Matrix::quantize(&sample.matrix(m, k), m, k).expect("finite");
        let weights = Int8Matrix::quantize(&sample.matrix(n, k), n, k).expect("finite");
        let bias: Option<Vec<f32>> = biased.then(|| sample.matrix(1, n));
        let acc = naive(&activations.to_contiguous(), &weights.to_contiguous(), m, n, k);
        for output in [DType::F32, DType::F16, DType::Bf16] {
            let problem = LinearProblem::new(activations.view(), weights.view(), bias.as_deref(), output).expect("shapes agree");
            let got = exact::linear(&problem).expect("small");
            for (at, &got) in got.iter().enumerate() {
                let t = activations.scales()[at / n] * weights.scales()[at % n];
                let v = acc[at] as f32 * t;
                let v = bias.as_ref().map_or(v, |bias| v + bias[at % n]);
                prop_assert_eq!(got, exact::round_to(v, output));
            }
        }
    }
}

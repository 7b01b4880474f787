//! The oracles: they agree with each other, the kernels' own roundings stay within their bounds, and faults do not.

use halfbyte::format::DType;
use halfbyte::format::int8::{Codes, Int8Matrix};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{Comparison, F64, LinearProblem, Oracle, exact, oracles, product, relative_rms};

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];
const SHAPES: [(usize, usize, usize); 8] =
    [(1, 1, 1), (1, 64, 384), (3, 5, 33), (16, 17, 1536), (7, 33, 4096), (2, 3, 12_000), (0, 4, 8), (4, 5, 0)];

struct Layer {
    activations: Int8Matrix,
    weights: Int8Matrix,
    bias: Vec<f32>,
}

fn layer(name: &str, (m, n, k): (usize, usize, usize)) -> Layer {
    let activations = Sample::new(&format!("{name} activations")).matrix(m, k);
    let weights = Sample::new(&format!("{name} weights")).matrix(n, k);
    Layer {
        activations: Int8Matrix::quantize(&activations, m, k).expect("finite"),
        weights: Int8Matrix::quantize(&weights, n, k).expect("finite"),
        bias: Sample::new(&format!("{name} bias")).matrix(1, n),
    }
}

impl Layer {
    fn problem(&self, biased: bool, output: DType) -> LinearProblem<'_> {
        let bias = biased.then_some(&self.bias[..]);
        LinearProblem::new(self.activations.view(), self.weights.view(), bias, output).expect("shapes agree")
    }
}

fn every_problem(mut check: impl FnMut(&Layer, &LinearProblem<'_>)) {
    for shape in SHAPES {
        let layer = layer(&format!("{shape:?}"), shape);
        for output in FLOATS {
            for biased in [false, true] {
                check(&layer, &layer.problem(biased, output));
            }
        }
    }
}

/// The kernels' roundings stay within every oracle's bounds, and use a good part of the tight ones.
#[test]
fn right_results_pass_every_oracle() {
    for oracle in oracles() {
        let (mut cases, mut all) = (0, Comparison::default());
        every_problem(|_, problem| {
            let got = exact::linear(problem).expect("small");
            let comparison = oracle.linear(problem).expect("small").compare(&got).expect("same length");
            assert!(comparison.passed(), "{}: {problem:?}: {comparison}", oracle.name());
            all = all.and(comparison);
            cases += 1;
        });
        println!("{}: {cases} problems, {all}", oracle.name());
        assert_eq!(cases, 8 * 3 * 2);
        assert!(all.worst_ratio > 0.05, "{}: bounds of {} are not bounds but wishes", oracle.name(), all.worst_ratio);
    }
}

#[test]
fn every_oracle_gives_the_same_integers() {
    let mut cases = 0;
    for (m, n, k) in SHAPES {
        let mut sample = Sample::new(&format!("integers {m} {n} {k}"));
        let (a, w) = (sample.codes(m * k, -128, 127), sample.codes(n * k, -128, 127));
        let (a, w) = (Codes::new(&a, m, k, k).expect("fits"), Codes::new(&w, n, k, k).expect("fits"));
        let want = exact::gemm_s8(a, w).expect("small");
        for oracle in oracles() {
            assert_eq!(oracle.gemm_s8(a, w).as_ref(), Ok(&want), "{}", oracle.name());
            cases += 1;
        }
        assert!(oracles().iter().all(|oracle| oracle.gemm_s8(a, Codes::new(&[0; 3], 1, 3, 3).expect("fits")).is_err()));
    }
    println!("integer products: {cases}");
    assert_eq!(cases, SHAPES.len() * oracles().len());
}

/// Which oracles there are is known, so that none is left out in silence.
#[test]
fn the_oracles_of_this_build() {
    let names: Vec<_> = oracles().iter().map(|oracle| oracle.name()).collect();
    if cfg!(feature = "candle") {
        assert_eq!(names, ["f64", "candle"]);
    } else {
        println!("skipped: the candle oracle; this build lacks the feature `candle`");
        assert_eq!(names, ["f64"]);
    }
}

/// Faults that averages do not see are seen: one column zero, one product dropped, one code off by one, one row's scale
/// in another's place.
#[test]
fn faults_fail() {
    let layer = layer("faults", (8, 64, 4096));
    let problem = layer.problem(false, DType::F32);
    let truth = F64.linear(&problem).expect("small");
    let right = exact::linear(&problem).expect("small");
    let fails = |got: &[f32]| !truth.compare(got).expect("same length").passed();
    assert!(!fails(&right));

    let mut column = right.clone();
    column.iter_mut().skip(7).step_by(64).for_each(|x| *x = 0.0);
    assert!(fails(&column), "a zero column");

    let k = layer.weights.cols();
    let with_weights = |codes: Vec<i8>, scales: Vec<f32>| {
        let weights = Int8Matrix::from_contiguous(64, k, &codes, scales).expect("well-formed");
        let problem =
            LinearProblem::new(layer.activations.view(), weights.view(), None, DType::F32).expect("same shapes");
        exact::linear(&problem).expect("small")
    };
    let (codes, scales) = (layer.weights.to_contiguous(), layer.weights.scales().to_vec());
    let mut dropped = codes.clone();
    dropped.iter_mut().skip(k - 1).step_by(k).for_each(|code| *code = 0);
    assert!(fails(&with_weights(dropped, scales.clone())), "the last term dropped");

    let mut nudged = codes.clone();
    nudged[5 * k + 9] = nudged[5 * k + 9].wrapping_add(1).max(-126);
    assert_ne!(nudged, codes);
    assert!(fails(&with_weights(nudged, scales.clone())), "one code off by one");

    let mut swapped = scales.clone();
    swapped.swap(3, 4);
    assert!(fails(&with_weights(codes, swapped)), "two scales swapped");
}

/// Quantizing loses little of a product of Gaussian numbers, and what it loses is told by `product` and `relative_rms`.
#[test]
fn the_error_of_quantizing_is_told_apart() {
    assert_eq!(product(&[1.0, 2.0, 3.0, 4.0], &[5.0, -6.0], (2, 1, 2)), Ok(vec![-7.0, -9.0]));
    assert_eq!(product(&[], &[], (0, 0, 7)), Ok(vec![]));
    assert_eq!(product(&[], &[], (2, 1, 0)), Ok(vec![0.0; 2]));
    for (a, w, shape) in [(3, 2, (2, 1, 2)), (4, 3, (2, 1, 2)), (4, 2, (usize::MAX, 1, 2))] {
        assert!(product(&vec![0.0; a], &vec![0.0; w], shape).is_err());
    }

    let (m, n, k) = (9, 31, 1023);
    let layer = layer("loss", (m, n, k));
    let (a, w) = (Sample::new("loss activations").matrix(m, k), Sample::new("loss weights").matrix(n, k));
    let unquantized = product(&a, &w, (m, n, k)).expect("shapes agree");
    let quantized = F64.linear(&layer.problem(false, DType::F32)).expect("small");
    let loss = relative_rms(quantized.values(), &unquantized).expect("same length");
    // Each factor is off by at most scale / 2, uniformly, with the largest at about 3.3 deviations:
    // √2 · 3.3 / 127 / √12 = 1.06 %.
    assert!((0.009..0.013).contains(&loss), "{loss}");
    println!("quantization error of a Gaussian product: {loss:.2e}");
}

/// A row of activations that is not finite makes exactly its row of outputs NaN.
#[test]
fn a_nan_row_stays_in_its_row() {
    let mut values = Sample::new("NaN row").matrix(4, 40);
    values[2 * 40 + 3] = f32::INFINITY;
    let activations = Int8Matrix::quantize_activations(&values, 4, 40).expect("activations may be anything");
    let weights = Int8Matrix::quantize(&Sample::new("weights").matrix(6, 40), 6, 40).expect("finite");
    for output in FLOATS {
        let problem = LinearProblem::new(activations.view(), weights.view(), None, output).expect("shapes agree");
        let got = exact::linear(&problem).expect("small");
        let nan: Vec<bool> = got.iter().map(|x| x.is_nan()).collect();
        assert_eq!(nan, (0..24).map(|at| at / 6 == 2).collect::<Vec<_>>());
        for oracle in oracles() {
            let comparison = oracle.linear(&problem).expect("small").compare(&got).expect("same length");
            assert!(comparison.passed() && comparison.nonfinite == 6, "{}: {comparison}", oracle.name());
        }
    }
}

/// The bound of candle's f32 product, worked out by hand.
#[cfg(feature = "candle")]
#[test]
fn the_bound_of_candle() {
    let a = Int8Matrix::from_contiguous(1, 2, &[1, 2], vec![0.5]).expect("well-formed");
    let w = Int8Matrix::from_contiguous(1, 2, &[3, -4], vec![0.25]).expect("well-formed");
    let problem = LinearProblem::new(a.view(), w.view(), Some(&[1.0]), DType::F32).expect("shapes agree");
    let expected = halfbyte::reference::Candle.linear(&problem).expect("small");
    assert_eq!(expected.values(), [1.0 - 5.0 / 8.0]);
    let (u, absolute, squares) = (2f64.powi(-24), 11.0 / 8.0, (9.0 + 64.0) / 64.0f64);
    // Two rounded factors, the sum of two terms, the kernels' scaling, and one rounding of the bias.
    let want = 6.0 * 2.0 * u * squares.sqrt() + 2.0 * u * 2f64.sqrt() * absolute + 3.0 * u * absolute + u * 0.375;
    let got = expected.tolerance(0).expect("one element");
    assert!((got / want - 1.0).abs() < 1e-12, "{got:e} instead of {want:e}");
}

/// Where rounding decides whether a sum leaves the range of f32 before a bias brings it back, both are right.
#[test]
fn the_edge_of_the_range_is_left_open() {
    let (mut infinite, mut finite, mut surprises) = (0, 0, 0);
    for step in 0..64 {
        let row = 1.0 + step as f32 * 1e-3;
        let edge = f32::from_bits(((2f64.powi(128) / 16129.0 / f64::from(row)) as f32).to_bits() - 4);
        for ulps in 0..8 {
            let col = f32::from_bits(edge.to_bits() + ulps);
            let a = Int8Matrix::from_contiguous(1, 1, &[127], vec![row]).expect("finite scale");
            let w = Int8Matrix::from_contiguous(1, 1, &[127], vec![col]).expect("finite scale");
            let problem = LinearProblem::new(a.view(), w.view(), Some(&[-1e38]), DType::F32).expect("shapes agree");
            let got = exact::linear(&problem).expect("small");
            let truth = F64.linear(&problem).expect("small");
            let comparison = truth.compare(&got).expect("same length");
            assert!(comparison.passed(), "{row:e} · {col:e}: {comparison}");
            surprises += u32::from(got[0].is_infinite() != truth.values()[0].is_infinite());
            infinite += u32::from(got[0].is_infinite());
            finite += u32::from(got[0].is_finite());
        }
    }
    println!("edge of the range: {infinite} infinite, {finite} finite, {surprises} otherwise than without rounding");
    assert_eq!(infinite + finite, 64 * 8);
    assert!(infinite > 64 && finite > 64 && surprises > 0);
}

/// Scales at the ends of their ranges: the kernels' overflow, underflow and infinities are what the f64 oracle expects.
#[test]
fn extreme_scales_are_within_the_bound() {
    let tiny = f32::from_bits(1);
    let extremes = [0.0, tiny, 1e-38, 1e-25, 3e-20, 1.0, 1e5, 1e19, 2e19, f32::MAX];
    let mut cases = 0;
    let all = |bias: Option<f32>| {
        let codes: Vec<i8> = vec![0, 1, -1, 127];
        let mut cases = 0;
        for &row in &extremes {
            for &col in &extremes {
                for output in FLOATS {
                    let a = Int8Matrix::from_contiguous(4, 1, &codes, vec![row; 4]).expect("finite scales");
                    let w = Int8Matrix::from_contiguous(1, 1, &[127], vec![col]).expect("finite scales");
                    let bias = bias.map(|b| [b]);
                    let problem = LinearProblem::new(a.view(), w.view(), bias.as_ref().map(|b| &b[..]), output);
                    let problem = problem.expect("shapes agree");
                    let got = exact::linear(&problem).expect("small");
                    let comparison = F64.linear(&problem).expect("small").compare(&got).expect("same length");
                    assert!(comparison.passed(), "{row:e} · {col:e} + {bias:?} as {output}: {comparison}");
                    cases += comparison.elements;
                }
            }
        }
        cases
    };
    for bias in [None, Some(0.0), Some(-1.0), Some(f32::MAX), Some(f32::INFINITY), Some(f32::NAN)] {
        cases += all(bias);
    }
    println!("extreme scales: {cases} outputs");
    assert_eq!(cases, 6 * 100 * 3 * 4);
}

//! Products of floats: what the instructions of a GPU lose stays within the oracles' bounds, and faults do not.

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};
use halfbyte::reference::sample::{Sample, widened};
use halfbyte::reference::{Accumulation, Comparison, F64, FloatProblem, Oracle, Terms, exact, oracles};

const OUTPUTS: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];

/// What a kernel sums with, as this test models it.
#[derive(Clone, Copy, Debug)]
struct Unit {
    name: &'static str,
    factor: DType,
    how: Accumulation,
    /// Terms at once; 0 is one fused multiply-add a term.
    depth: usize,
    /// Terms are cut this many binary places below the greatest exponent.
    cut: i32,
    /// Places of the sum that are kept behind the point.
    kept: i32,
}

fn units() -> Vec<Unit> {
    let unit = |name, factor, how: Result<_, Error>, depth, cut, kept| {
        let how = how.expect("the types are multiplied");
        Unit { name, factor, how, depth, cut, kept }
    };
    let mma = |factor| Accumulation::mma(factor, factor);
    let wgmma = |factor| Accumulation::wgmma(factor, factor);
    vec![
        unit("mma f16", DType::F16, mma(DType::F16), 16, 25, 23),
        unit("mma bf16", DType::Bf16, mma(DType::Bf16), 16, 25, 23),
        unit("mma e4m3", DType::E4m3, mma(DType::E4m3), 16, 25, 23),
        unit("mma e5m2", DType::E5m2, mma(DType::E5m2), 16, 25, 23),
        unit("wgmma e4m3", DType::E4m3, wgmma(DType::E4m3), 32, 13, 13),
        unit("wgmma e5m2", DType::E5m2, wgmma(DType::E5m2), 32, 13, 13),
        unit("wgmma f16", DType::F16, wgmma(DType::F16), 16, 25, 23),
        unit("fma", DType::F32, Ok(Accumulation::fma()), 0, 0, 0),
    ]
}

/// Gaussian numbers of a type, widened.
fn floats(dtype: DType, name: &str, rows: usize, cols: usize) -> Vec<f32> {
    let mut sample = Sample::new(name);
    match dtype {
        DType::F16 => widened(&sample.floats::<f16>(rows, cols)),
        DType::Bf16 => widened(&sample.floats::<bf16>(rows, cols)),
        DType::E4m3 => widened(&sample.floats::<F8E4M3>(rows, cols)),
        DType::E5m2 => widened(&sample.floats::<F8E5M2>(rows, cols)),
        _ => sample.floats::<f32>(rows, cols),
    }
}

fn exponent(x: f64) -> i32 {
    (x.to_bits() >> 52 & 0x7ff) as i32 - 1023
}

/// Cut off toward zero at 2^place.
fn cut(x: f64, place: i32) -> f64 {
    (x / 2f64.powi(place)).trunc() * 2f64.powi(place)
}

impl Unit {
    fn sum(&self, a: &[f32], b: &[f32]) -> f32 {
        if self.depth == 0 {
            return a.iter().zip(b).fold(0.0, |sum, (&a, &b)| a.mul_add(b, sum));
        }
        let least = match self.factor {
            DType::F16 | DType::E5m2 => -14,
            DType::E4m3 => -6,
            _ => -126,
        };
        let place = |x: f64| exponent(x).max(least);
        a.chunks(self.depth).zip(b.chunks(self.depth)).fold(0f64, |sum, (a, b)| {
            let terms = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let terms: Vec<_> = terms.filter(|(a, b)| a * b != 0.0).collect();
            let places = terms.iter().map(|&(a, b)| place(a) + place(b));
            let Some(most) = places.chain((sum != 0.0).then(|| exponent(sum))).max() else { return sum };
            let total: f64 = terms.iter().map(|(a, b)| cut(a * b, most - self.cut)).sum();
            let total = total + cut(sum, most - self.cut);
            if total == 0.0 { 0.0 } else { cut(total, exponent(total) - self.kept) }
        }) as f32
    }

    fn sums(&self, problem: &FloatProblem<'_>) -> Vec<f32> {
        let k = problem.k();
        let rows = |x: &'static str, values: &[f32], rows: usize| {
            assert_eq!(values.len(), rows * k, "{x}");
            (0..rows).map(|row| values[row * k..][..k].to_vec()).collect::<Vec<_>>()
        };
        let (a, b) = (rows("a", problem.a(), problem.m()), rows("b", problem.b(), problem.n()));
        a.iter().flat_map(|a| b.iter().map(move |b| self.sum(a, b))).collect()
    }
}

/// Data of a product with everything.
struct Layer {
    shape: (usize, usize, usize),
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    rows: Vec<f32>,
    cols: Vec<f32>,
    bias: Vec<f32>,
}

/// How much of the epilogue a problem has.
const PARTS: usize = 5;

impl Layer {
    fn new(factor: DType, (m, n, k): (usize, usize, usize)) -> Self {
        let name = |what: &str| format!("gemm {factor} {m} {n} {k} {what}");
        Layer {
            shape: (m, n, k),
            a: floats(factor, &name("a"), m, k),
            b: floats(factor, &name("b"), n, k),
            c: floats(DType::F16, &name("c"), m, n),
            rows: Sample::new(&name("rows")).scales(m),
            cols: Sample::new(&name("columns")).scales(n),
            bias: Sample::new(&name("bias")).matrix(1, n),
        }
    }

    fn one_sign(mut self) -> Self {
        self.a.iter_mut().chain(&mut self.b).for_each(|x| *x = x.abs());
        self
    }

    fn problem(&self, how: Accumulation, parts: usize, output: DType) -> FloatProblem<'_> {
        let plain = FloatProblem::new(self.shape, &self.a, &self.b, how, output).expect("shapes agree");
        let problem = match parts {
            0 => Ok(plain),
            1 => plain.alpha(0.37).bias(&self.bias),
            2 => plain.scale_rows(&[1.7]).and_then(|p| p.scale_cols(&self.cols)),
            3 => plain.alpha(-1.3).plus(0.7, &self.c),
            _ => plain
                .alpha(200.0)
                .plus(-0.3, &self.c)
                .and_then(|p| p.scale_rows(&self.rows))
                .and_then(|p| p.scale_cols(&self.cols))
                .and_then(|p| p.bias(&self.bias)),
        };
        problem.expect("lengths agree")
    }
}

/// What tensor cores lose stays within every oracle's bounds, for terms of any sign and of one.
#[test]
fn right_results_pass_every_oracle() {
    let shapes = [(1, 1, 1), (3, 5, 33), (2, 17, 1536), (1, 3, 12_000), (5, 1, 64), (0, 4, 8), (4, 5, 0)];
    let (mut cases, all_oracles) = (0, oracles());
    for unit in units() {
        let mut worst = [[0f64; 2]; 2];
        for (shape, one_sign) in shapes.iter().flat_map(|&shape| [(shape, false), (shape, true)]) {
            let layer = Layer::new(unit.factor, shape);
            let layer = if one_sign { layer.one_sign() } else { layer };
            let terms = if one_sign { Terms::Any } else { Terms::ZeroMean };
            let sums = unit.sums(&layer.problem(unit.how, 0, DType::F32));
            for (parts, output) in (0..PARTS).flat_map(|parts| OUTPUTS.map(|output| (parts, output))) {
                let problem = layer.problem(unit.how, parts, output).terms(terms);
                let got = exact::gemm_epilogue(&problem, &sums).expect("as many sums as outputs");
                for (which, oracle) in all_oracles.iter().enumerate() {
                    let comparison = oracle.gemm(&problem).expect("small").compare(&got).expect("same length");
                    assert!(
                        comparison.passed(),
                        "{}, {}: {shape:?} {parts} {output}: {comparison}",
                        unit.name,
                        oracle.name()
                    );
                    // Of the sums alone.
                    if parts == 0 && output == DType::F32 {
                        let worst = &mut worst[which][usize::from(one_sign)];
                        *worst = worst.max(comparison.worst_ratio);
                    }
                    cases += 1;
                }
            }
        }
        println!("{}: error ÷ bound at most [zero mean, one sign] {worst:.3?} by oracle", unit.name);
        // Products of 8-bit floats have few bits, of which 25 places cut hardly any.
        let least = if unit.depth == 16 && unit.factor.size() == 1 { 1e-4 } else { 0.005 };
        assert!(worst[0].iter().all(|&worst| worst > least), "{}: {worst:?} are not bounds but wishes", unit.name);
    }
    println!("products of floats held against oracles: {cases}");
    assert_eq!(cases, units().len() * shapes.len() * 2 * PARTS * 3 * all_oracles.len());
}

/// Right results, then the same with one fault each.
#[test]
fn faults_fail() {
    let (m, n) = (8, 24);
    let mut faults = 0;
    for unit in units() {
        // One term of very many is lost in what an accumulator of 14 bits may lose; exact integers show it.
        let k = if unit.kept == 13 { 96 } else { 1024 };
        let layer = Layer::new(unit.factor, (m, n, k));
        let problem = layer.problem(unit.how, 4, DType::F32);
        let expected: Vec<_> = oracles().iter().map(|oracle| oracle.gemm(&problem).expect("small")).collect();
        let sums = unit.sums(&problem);
        let right = exact::gemm_epilogue(&problem, &sums).expect("as many sums as outputs");
        let comparisons = |got: &[f32]| -> Vec<Comparison> {
            expected.iter().map(|truth| truth.compare(got).expect("same length")).collect()
        };
        assert!(comparisons(&right).iter().all(Comparison::passed), "{}", unit.name);
        let mut fails = |got: &[f32], what: &str| {
            assert!(comparisons(got).iter().all(|comparison| !comparison.passed()), "{}: {what} passes", unit.name);
            faults += 1;
        };

        // The last term of K not added, and added twice: all outputs move, and one must show it.
        let last = |m: usize, n: usize| layer.a[m * k + k - 1] * layer.b[n * k + k - 1];
        for (factor, what) in [(-1.0, "a dropped term"), (1.0, "a doubled term")] {
            let moved: Vec<f32> =
                sums.iter().enumerate().map(|(at, &sum)| sum + factor * last(at / n, at % n)).collect();
            fails(&exact::gemm_epilogue(&problem, &moved).expect("as many"), what);
        }

        let with = |change: &dyn Fn(&mut Layer)| {
            let mut wrong = Layer::new(unit.factor, (m, n, k));
            change(&mut wrong);
            let problem = wrong.problem(unit.how, 4, DType::F32);
            exact::gemm_epilogue(&problem, &sums).expect("as many")
        };
        fails(&with(&|wrong| wrong.cols.rotate_left(1)), "the next column's scale");
        fails(&with(&|wrong| wrong.rows.swap(2, 3)), "two rows' scales swapped");
        fails(&with(&|wrong| wrong.bias.rotate_right(1)), "the bias of the column before");
        fails(&with(&|wrong| wrong.c.iter_mut().for_each(|c| *c = 0.0)), "no β·C");
        fails(&with(&|wrong| wrong.c.rotate_left(n)), "C of the next row");
        fails(&with(&|wrong| wrong.bias.fill(0.0)), "no bias");
        let alpha = problem.alpha(190.0);
        fails(&exact::gemm_epilogue(&alpha, &sums).expect("as many"), "another α");

        let mut nan = right.clone();
        nan[n + 5] = f32::NAN;
        fails(&nan, "one NaN");
        let mut column = right.clone();
        column.iter_mut().skip(7).step_by(n).for_each(|x| *x = 0.0);
        fails(&column, "a zero column");
    }
    println!("faults that fail: {faults}");
    assert_eq!(faults, units().len() * 11);
}

/// Two rows, two columns, two terms, by hand, with everything.
#[test]
fn a_small_product_by_hand() {
    let (a, b) = ([1.0, 2.0, -3.0, 0.5], [4.0, 1.0, 2.0, -8.0]);
    // a·bᵀ = [4 + 2, 2 − 16; −12 + ½, −6 − 4]
    let how = Accumulation::mma(DType::F16, DType::F16).expect("both are f16");
    let plain = FloatProblem::new((2, 2, 2), &a, &b, how, DType::F32).expect("shapes agree");
    assert_eq!(exact::gemm(&plain), Ok(vec![6.0, -14.0, -11.5, -10.0]));
    let full = plain.alpha(2.0).scale_rows(&[1.0, 10.0]).and_then(|p| p.scale_cols(&[1.0, 0.5]));
    let full = full.and_then(|p| p.plus(-1.0, &[100.0, 200.0, 300.0, 400.0])).and_then(|p| p.bias(&[0.25, 0.75]));
    let want = [12.0 - 100.0 + 0.25, -14.0 - 200.0 + 0.75, -230.0 - 300.0 + 0.25, -100.0 - 400.0 + 0.75];
    let full = full.expect("lengths agree");
    assert_eq!(exact::gemm(&full), Ok(want.map(|x: f64| x as f32).to_vec()));
    for oracle in oracles() {
        assert_eq!(oracle.gemm(&full).expect("small").values(), want, "{}", oracle.name());
    }

    // The bound of row 1, column 0: what a sum of two terms, 12.5 in size, may lose, times the scale 10 and α = 2; then
    // a rounding of each of −11.5·10, its double, β·c, and the sums with that and with the bias. t = 10·1 rounds
    // nothing.
    let (u, tolerance) = (2f64.powi(-24), F64.gemm(&full).expect("small").tolerance(2).expect("element 2"));
    let sum = 2.0 * u * 2f64.sqrt() * 12.5;
    let want = 2.0 * (sum * 10.0 + 115.0 * u) + 230.0 * u + 300.0 * u + 530.0 * u + 529.75 * u;
    assert!((1.0..1.01).contains(&(tolerance / want)), "{tolerance:e} instead of {want:e}");

    // β·c is rounded before it is added, and nothing is fused: 3·(1 + 2⁻²³) = 3 + 3·2⁻²³ lies halfway.
    let (one, c) = ([1.0f32], [1.0 + 2f32.powi(-23)]);
    let problem = FloatProblem::new((1, 1, 1), &one, &[-3.0], how, DType::F32).and_then(|p| p.plus(3.0, &c));
    assert_eq!(exact::gemm(&problem.expect("one by one")), Ok(vec![2f32.powi(-21)]));
    // The scales are multiplied with each other first: 2¹²⁷·4·2⁻¹⁰ would overflow the other way round.
    let (large, small) = ([2f32.powi(127)], [2f32.powi(-10)]);
    let problem = FloatProblem::new((1, 1, 1), &[2.0], &[1.0], how, DType::F32)
        .and_then(|p| p.scale_rows(&large))
        .and_then(|p| p.scale_cols(&small));
    assert_eq!(exact::gemm(&problem.expect("one by one")), Ok(vec![2f32.powi(118)]));
}

/// The constants of the sums, worked out from what an instruction does.
#[test]
fn the_bounds_of_sums() {
    let ones = vec![1.0; 96];
    let tolerance = |how: Accumulation, terms: Terms, k: usize| {
        let problem = FloatProblem::new((1, 1, k), &ones[..k], &ones[..k], how, DType::F32).expect("shapes agree");
        F64.gemm(&problem.terms(terms)).expect("small").tolerance(0).expect("one element")
    };
    let f16 = Accumulation::mma(DType::F16, DType::F16).expect("both are f16");
    let (mma, wgmma) = (Accumulation::mma, Accumulation::wgmma);
    let mixed = mma(DType::E4m3, DType::E5m2).expect("8-bit floats of any pairing");
    let hopper = wgmma(DType::E5m2, DType::E4m3).expect("8-bit floats of any pairing");
    assert_eq!(wgmma(DType::Bf16, DType::Bf16), mma(DType::Bf16, DType::Bf16));
    for (how, k, zero_mean, any) in [
        (f16, 64, 8.0 * 2f64.powi(-23), 4.0 * 23.0 * 2f64.powi(-25)),
        (f16, 65, 65f64.sqrt() * 2f64.powi(-23), 5.0 * 23.0 * 2f64.powi(-25)),
        (mixed, 64, 8.0 * 2f64.powi(-23), 2.0 * 45.0 * 2f64.powi(-25)),
        (hopper, 64, 8.0 * 2f64.powi(-13), 2.0 * 34.5 * 2f64.powi(-13)),
        (Accumulation::fma(), 64, 8.0 * 2f64.powi(-23), 64.0 * 2f64.powi(-23)),
    ] {
        for (terms, want) in [(Terms::ZeroMean, zero_mean), (Terms::Any, any)] {
            let got = tolerance(how, terms, k) / (k as f64);
            assert!((1.0..1.002).contains(&(got / want)), "{how:?} {terms:?} {k}: {got:e} instead of {want:e}");
        }
    }
    for (a, b) in
        [(DType::F16, DType::Bf16), (DType::F32, DType::F32), (DType::I8, DType::I8), (DType::E4m3, DType::F16)]
    {
        for error in [mma(a, b), wgmma(a, b)] {
            let message = error.expect_err("not multiplied").to_string();
            assert!(message.contains(a.name()) && message.contains(b.name()), "{message}");
        }
    }
}

fn integers<T: Float>(name: &str, len: usize, most: i32) -> Vec<f32> {
    widened(&Sample::new(name).integers::<T>(len, most))
}

/// Integers small enough: every way of adding gives the same bits, and the oracles' sums are these.
#[test]
fn sums_of_integers_are_exact() {
    let (m, n, mut cases) = (3, 7, 0);
    for unit in units() {
        for k in [0, 1, 31, 64, 1000, 9000] {
            let most = unit.how.exact_integers(k);
            let data = |name: &str, len| match unit.factor {
                DType::E5m2 => integers::<F8E5M2>(name, len, most),
                DType::E4m3 => integers::<F8E4M3>(name, len, most),
                _ => integers::<f16>(name, len, most),
            };
            let (a, b) = (data(&format!("a {k}"), m * k), data(&format!("b {k}"), n * k));
            let (rows, cols) = (Sample::new("rows").scales(m), Sample::new("columns").scales(n));
            let problem = FloatProblem::new((m, n, k), &a, &b, unit.how, DType::F32).expect("shapes agree");
            let at = |i: usize, j: usize| (0..k).map(|p| a[i * k + p] as i64 * b[j * k + p] as i64).sum::<i64>();
            let want: Vec<f32> = (0..m * n).map(|at_| at(at_ / n, at_ % n) as f32).collect();
            assert_eq!(unit.sums(&problem), want, "{} {k}", unit.name);
            assert_eq!(exact::gemm(&problem), Ok(want.clone()), "{} {k}", unit.name);
            let values: Vec<f64> = want.iter().map(|&x| x.into()).collect();
            for oracle in oracles() {
                assert_eq!(oracle.gemm(&problem).expect("small").values(), values, "{}", oracle.name());
            }
            let scaled = problem.scale_rows(&rows).and_then(|p| p.scale_cols(&cols)).expect("lengths agree");
            let want: Vec<f32> = (0..m * n).map(|at| want[at] * (rows[at / n] * cols[at % n])).collect();
            assert_eq!(exact::gemm(&scaled), Ok(want), "{} {k}", unit.name);
            cases += 1;
        }
        assert!(unit.how.exact_integers(4096) >= 2 && unit.how.exact_integers(64) == 4, "{}", unit.name);
        assert_eq!(unit.how.exact_integers(1 << 25), 0);
    }
    println!("exact products of integers: {cases}");
    assert_eq!(cases, units().len() * 6);
}

/// What may be inexact is refused, with its place; multiples of any power of two are as good as integers.
#[test]
fn inexact_sums_are_refused() {
    let how = |factor| Accumulation::mma(factor, factor).expect("the types are multiplied");
    let (f16, short) = (how(DType::F16), Accumulation::wgmma(DType::E4m3, DType::E4m3).expect("8-bit floats"));
    let exact = |a: &[f32], b: &[f32], k: usize, how| {
        exact::gemm(&FloatProblem::new((a.len() / k, b.len() / k, k), a, b, how, DType::F32).expect("shapes agree"))
    };
    assert_eq!(exact(&[4096.0], &[4096.0], 1, f16), Ok(vec![2f32.powi(24)]));
    assert_eq!(exact(&[128.0], &[128.0], 1, short), Ok(vec![16384.0]));
    assert_eq!(exact(&[0.375, 96.0], &[0.0625, 2f32.powi(-6)], 2, f16), Ok(vec![1.5234375]));
    for (a, b, how) in [
        ([4096.0, 1.0], [4096.0, 1.0], f16),
        ([128.0, 1.0], [128.0, 1.0], short),
        ([1.0, 2f32.powi(-24)], [1.0, 1.0], f16),
        ([f32::NAN, 1.0], [1.0, 1.0], f16),
        ([f32::INFINITY, 1.0], [1.0, 1.0], f16),
        // A subnormal f16 counts as the least normal one where terms are cut.
        ([2f32.powi(-24), 2f32.powi(-24)], [2f32.powi(-24), 512.0], f16),
    ] {
        let a = [[1.0, 1.0], a].concat();
        let error = exact(&a, &b, 2, how).expect_err("inexact");
        assert!(matches!(&error, Error::Value(m) if m.contains("row 1, column 0") || b[1] == 512.0), "{error}");
    }
    // A row of the identity picks numbers of f16 out of a matrix, whatever they are.
    let k = 9;
    let identity: Vec<f32> = (0..k * k).map(|at| f32::from(u8::from(at / k == at % k))).collect();
    let weights = floats(DType::F16, "identity", 5, k);
    let transposed: Vec<f32> = (0..5 * k).map(|at| weights[at % 5 * k + at / 5]).collect();
    assert_eq!(exact(&identity, &weights, k, f16), Ok(transposed));
}

#[test]
fn empty_sides() {
    let how = Accumulation::fma();
    let (c, bias) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0f32, 20.0, 30.0]);
    let problem = FloatProblem::new((2, 3, 0), &[], &[], how, DType::F32).and_then(|p| p.plus(0.5, &c));
    let problem = problem.and_then(|p| p.bias(&bias)).expect("lengths agree").alpha(7.0);
    let want = [10.5f32, 21.0, 31.5, 12.0, 22.5, 33.0];
    assert_eq!(exact::gemm(&problem), Ok(want.to_vec()));
    for oracle in oracles() {
        assert_eq!(oracle.gemm(&problem).expect("small").values(), want.map(f64::from));
    }
    for shape in [(0, 3, 2), (2, 0, 2), (0, 0, 0), (usize::MAX, 0, 0)] {
        let data = [0.5f32; 6];
        let (a, b) = (&data[..shape.0.saturating_mul(shape.2).min(6)], &data[..shape.1 * shape.2]);
        let problem = FloatProblem::new(shape, a, b, how, DType::Bf16).expect("shapes agree");
        assert_eq!(exact::gemm(&problem), Ok(vec![]));
        for oracle in oracles() {
            let comparison = oracle.gemm(&problem).expect("small").compare(&[]).expect("same length");
            assert!(comparison.passed() && comparison.elements == 0);
        }
    }
    let huge = FloatProblem::new((usize::MAX, 2, 0), &[], &[], how, DType::F32).expect("no values are needed");
    assert!(matches!(exact::gemm(&huge), Err(Error::Shape(_))));
    assert!(oracles().iter().all(|oracle| matches!(oracle.gemm(&huge), Err(Error::Shape(_)))));
}

#[test]
fn wrong_lengths_are_refused_with_both() {
    let (data, how) = ([0f32; 24], Accumulation::fma());
    let make = |a: usize, b: usize| FloatProblem::new((2, 3, 4), &data[..a], &data[..b], how, DType::F32);
    let good = make(8, 12).expect("shapes agree");
    for (result, parts) in [
        (make(7, 12), ["[2, 4]", "7"]),
        (make(8, 13), ["[3, 4]", "13"]),
        (good.plus(1.0, &data[..5]), ["[2, 3]", "5"]),
        (good.scale_rows(&data[..3]), ["M = 2", "3 scales"]),
        (good.scale_rows(&[]), ["M = 2", "0 scales"]),
        (good.scale_cols(&data[..2]), ["N = 3", "2 scales"]),
        (good.bias(&data[..1]), ["N = 3", "1 values"]),
        (
            FloatProblem::new((usize::MAX, 3, 2), &data, &data[..6], how, DType::F32),
            ["[18446744073709551615, 2]", "24"],
        ),
    ] {
        let Err(Error::Shape(message)) = result else { panic!("{result:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    assert!(matches!(exact::gemm_epilogue(&good, &data[..7]), Err(Error::Shape(_))));
    for output in [DType::E4m3, DType::E5m2, DType::I8, DType::I32] {
        let result = FloatProblem::new((2, 3, 4), &data[..8], &data[..12], how, output);
        assert!(matches!(result, Err(Error::Unsupported(_))), "{output}");
    }
}

/// Factors at the ends of the range of f32: overflow, underflow and infinities are what the f64 oracle expects.
#[test]
fn extreme_epilogues_are_within_the_bound() {
    let extremes = [0.0, f32::from_bits(1), -1e-38, 1e-25, 3e-20, 1.0, -1e5, 1e19, 2e19, f32::MAX];
    let mut cases = 0;
    for (&row, &alpha) in extremes.iter().flat_map(|row| extremes.iter().map(move |alpha| (row, alpha))) {
        for add in [None, Some(0.0), Some(-1.0), Some(f32::MAX), Some(f32::INFINITY), Some(f32::NAN)] {
            for output in OUTPUTS {
                let (a, add) = ([0.0, 1.0, -3.0, 448.0], add.map(|add| ([add; 4], [add])));
                let problem = FloatProblem::new((4, 1, 1), &a, &[127.0], Accumulation::fma(), output);
                let problem = problem.and_then(|p| p.scale_cols(std::slice::from_ref(&row))).expect("lengths agree");
                let mut problem = problem.alpha(alpha);
                if let Some((c, bias)) = &add {
                    problem = problem.plus(-0.75, c).and_then(|p| p.bias(bias)).expect("lengths agree");
                }
                let got = exact::gemm_epilogue(&problem, &[0.0, 127.0, -381.0, 56896.0]).expect("as many");
                let comparison = F64.gemm(&problem).expect("small").compare(&got).expect("same length");
                assert!(comparison.passed(), "{row:e} · {alpha:e} + {add:?} as {output}: {comparison}");
                cases += comparison.elements;
            }
        }
    }
    println!("extreme epilogues: {cases} outputs");
    assert_eq!(cases, 100 * 6 * 3 * 4);
}

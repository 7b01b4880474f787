//! The definition of attention: by hand, by two ways, and what its bounds let pass.

use halfbyte::format::DType;
use halfbyte::reference::Comparison;
#[cfg(feature = "candle")]
use halfbyte::reference::attention::candle;
use halfbyte::reference::attention::{HeadProblem, Mask, State, TreeMask, accuracy, exact, lse_slack, tolerance, twin};
use halfbyte::reference::exact::round_to;
use halfbyte::reference::sample::Sample;

const NONE: f64 = f64::NEG_INFINITY;

/// Gaussian numbers that a 16-bit type holds.
fn rounded(name: &str, len: usize, dtype: DType) -> Vec<f32> {
    let mut sample = Sample::new(name);
    (0..len).map(|_| round_to(sample.gaussian(), dtype)).collect()
}

struct Head {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    bias: Vec<f32>,
    words: Vec<u32>,
    shape: (usize, usize, usize, usize),
}

/// Bits of the tree: a key in three, and each query itself.
fn head(shape: (usize, usize, usize, usize), dtype: DType) -> Head {
    let (sq, sk, d, dv) = shape;
    let name = |what: &str| format!("{what} {shape:?} {dtype}");
    let mut bits = Sample::new(&name("tree"));
    let words = (0..sq).flat_map(|_| [bits.bits() as u32, bits.bits() as u32]).collect();
    Head {
        q: rounded(&name("q"), sq * d, dtype),
        k: rounded(&name("k"), sk * d, dtype),
        v: rounded(&name("v"), sk * dv, dtype),
        bias: rounded(&name("bias"), sq * sk, dtype),
        words,
        shape,
    }
}

impl Head {
    fn problem(&self) -> HeadProblem<'_> {
        HeadProblem::new(&self.q, &self.k, &self.v, self.shape, 1.0 / (self.shape.2 as f32).sqrt())
    }
}

/// The masks of a head, each with its name.
fn masks<'a>(head: &'a Head) -> Vec<(&'static str, Mask<'a>)> {
    let all = Mask::default();
    let causal = Mask { right: Some(0), ..all };
    let window = Mask { left: Some(3), right: Some(2), ..all };
    let kept = Mask { left: Some(2), right: Some(0), keep_first: 2, ..all };
    let tree = Mask { tree: Some(TreeMask { keys: 40.min(head.shape.1), words: &head.words }), ..all };
    let mut masks = vec![("all", all), ("causal", causal), ("window", window), ("kept", kept)];
    if head.shape.1 >= 33 {
        masks.push(("tree", tree));
        masks.push(("causal tree", Mask { right: Some(0), ..tree }));
    }
    masks
}

/// Every feature with every mask.
fn every_problem(head: &Head, mut check: impl FnMut(&str, &HeadProblem<'_>)) {
    let plain = head.problem();
    let problems = [
        ("plain", plain),
        ("softcap", HeadProblem { softcap: Some(1.5), ..plain }),
        ("slope", HeadProblem { slope: Some(0.25), ..plain }),
        ("bias", HeadProblem { bias: Some(&head.bias), ..plain }),
        ("sink", HeadProblem { sink: Some(0.75), ..plain }),
        (
            "everything",
            HeadProblem { softcap: Some(2.0), slope: Some(0.5), bias: Some(&head.bias), sink: Some(-1.0), ..plain },
        ),
    ];
    for (feature, problem) in problems {
        for (mask, value) in masks(head) {
            check(&format!("{:?} {feature}, {mask}", head.shape), &HeadProblem { mask: value, ..problem });
        }
    }
}

const SHAPES: [(usize, usize, usize, usize); 6] =
    [(1, 1, 8, 8), (3, 7, 16, 8), (7, 3, 16, 24), (5, 40, 8, 16), (40, 65, 32, 40), (33, 33, 40, 8)];

#[test]
fn a_row_by_hand() {
    // Products 0, ln 2 and ln 4 (a scale of 1) make weights 1, 2 and 4 of 7.
    let q = [1.0, 0.0];
    let k = [0.0, 9.0, 2f32.ln(), 9.0, 4f32.ln(), 9.0];
    let v = [7.0, 0.0, 0.0, 7.0, 7.0, 14.0];
    let problem = HeadProblem::new(&q, &k, &v, (1, 3, 2, 2), 1.0);
    let near = |problem: HeadProblem<'_>, out: [f64; 2], denominator: f64| {
        let got = exact(&problem).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(got.out[0], out[0]) && close(got.out[1], out[1]), "{:?} is not {out:?}", got.out);
        assert!(close(got.lse[0], denominator.ln()), "{} is not ln {denominator}", got.lse[0]);
    };
    near(problem, [5.0, 10.0], 7.0);
    near(HeadProblem { sink: Some(7f32.ln()), ..problem }, [2.5, 5.0], 14.0);
    // Only keys 1 and 2: the window begins at the key before the last.
    near(HeadProblem { mask: Mask { left: Some(1), ..Mask::default() }, ..problem }, [28.0 / 6.0, 70.0 / 6.0], 6.0);
    let kept = Mask { left: Some(0), keep_first: 1, ..Mask::default() };
    near(HeadProblem { mask: kept, ..problem }, [7.0, 56.0 / 5.0], 5.0);
    let tree = Mask { tree: Some(TreeMask { keys: 2, words: &[0b01] }), ..Mask::default() };
    near(HeadProblem { mask: tree, ..problem }, [7.0 / 3.0, 14.0 / 3.0], 3.0);
    // The slope takes ln 2 a key: 1/4, 2/2 and 4/1.
    near(HeadProblem { slope: Some(2f32.ln()), ..problem }, [29.75 / 5.25, 63.0 / 5.25], 5.25);
    // The bias makes all scores ln 4.
    let bias = [4f32.ln(), 2f32.ln(), 0.0];
    near(HeadProblem { bias: Some(&bias), ..problem }, [14.0 / 3.0, 7.0], 12.0);
    // A cap far above changes little; one far below makes scores nearly equal: at most the cap.
    near(HeadProblem { softcap: Some(1e4), ..problem }, [5.0, 10.0], 7.0);
    let capped = exact(&HeadProblem { softcap: Some(0.5), ..problem }).unwrap();
    let scores = [0f64, 2f64.ln(), 4f64.ln()].map(|s| (0.5 * (s / 0.5).tanh()).exp());
    assert!((capped.lse[0] - scores.iter().sum::<f64>().ln()).abs() < 1e-6, "{capped:?}");
    near(HeadProblem { scale: 0.0, ..problem }, [14.0 / 3.0, 7.0], 3.0);
}

/// Masks as pictures: the last query stands at the last key.
#[test]
fn masks_by_hand() {
    let picture = |mask: Mask<'_>, (sq, sk): (usize, usize)| -> Vec<String> {
        let row = |i| (0..sk).map(|j| if mask.visible((i, j), (sq, sk)) { 'x' } else { '.' }).collect();
        (0..sq).map(row).collect()
    };
    let all = Mask::default();
    assert_eq!(picture(all, (2, 3)), ["xxx", "xxx"]);
    let causal = Mask { right: Some(0), ..all };
    assert_eq!(picture(causal, (3, 3)), ["x..", "xx.", "xxx"]);
    assert_eq!(picture(causal, (2, 5)), ["xxxx.", "xxxxx"]);
    assert_eq!(picture(causal, (4, 2)), ["..", "..", "x.", "xx"], "the first queries stand before the first key");
    let window = Mask { left: Some(1), right: Some(1), ..all };
    assert_eq!(picture(window, (4, 4)), ["xx..", "xxx.", ".xxx", "..xx"]);
    assert_eq!(picture(Mask { left: Some(1), ..all }, (3, 3)), ["xxx", "xxx", ".xx"]);
    let kept = Mask { left: Some(0), right: Some(0), keep_first: 2, ..all };
    assert_eq!(picture(kept, (5, 5)), ["x....", "xx...", "xxx..", "xx.x.", "xx..x"]);
    assert_eq!(picture(Mask { keep_first: 2, ..causal }, (2, 2)), ["x.", "xx"], "kept keys are not seen early");
    let huge = Mask { left: Some(usize::MAX), right: Some(usize::MAX), ..all };
    assert_eq!(picture(huge, (2, 2)), ["xx", "xx"]);
    // Bits in words of 32: key 0 is before the tree; then c = 0..33.
    let words = [1 << 31, 0b1, 0b11, 0b10];
    let tree = Mask { tree: Some(TreeMask { keys: 34, words: &words }), ..all };
    let row = |hits: [usize; 3]| (0..35).map(|j| if hits.contains(&j) { 'x' } else { '.' }).collect::<String>();
    assert_eq!(
        picture(tree, (2, 35)),
        [row([0, 32, 33]), {
            let mut row = row([0, 1, 2]);
            row.replace_range(34..35, "x");
            row
        }]
    );
    assert!(!all.visible((0, 3), (1, 3)), "there is no such key");
}

#[test]
fn rows_without_a_key_are_zero_and_minus_infinity() {
    let head = head((4, 2, 8, 8), DType::F16);
    let causal = HeadProblem { mask: Mask { right: Some(0), ..Mask::default() }, ..head.problem() };
    let got = exact(&causal).unwrap();
    assert_eq!((&got.lse[..2], &got.out[..16]), (&[NONE; 2][..], &[0.0; 16][..]));
    assert_eq!(
        got.out[16..24],
        head.v[..8].iter().map(|&v| f64::from(v)).collect::<Vec<_>>(),
        "one key gives its value"
    );
    let sunk = exact(&HeadProblem { sink: Some(0.5), ..causal }).unwrap();
    assert_eq!((&sunk.lse[..2], &sunk.out[..16]), (&[0.5; 2][..], &[0.0; 16][..]));
    let nothing = exact(&HeadProblem { sink: Some(f32::NEG_INFINITY), ..causal }).unwrap();
    assert_eq!(nothing, got, "a sink of -inf is none");
    let none = vec![f32::NEG_INFINITY; 8];
    let barred = exact(&HeadProblem { bias: Some(&none), ..head.problem() }).unwrap();
    assert_eq!((barred.lse, barred.out), (vec![NONE; 4], vec![0.0; 32]), "a bias of -inf bars a key");
    let empty = HeadProblem::new(&head.q, &[], &[], (4, 0, 8, 8), 1.0);
    assert_eq!(exact(&empty).unwrap().lse, [NONE; 4]);
}

/// Spikes beyond the mask's edges change nothing, not even NaN; the last key inside does.
#[test]
fn keys_that_are_not_seen_are_not_read() {
    let mut head = head((3, 9, 8, 8), DType::F16);
    let mask = Mask { left: Some(3), right: Some(0), ..Mask::default() };
    let clean = exact(&HeadProblem { mask, ..head.problem() }).unwrap();
    // Queries 0..3 stand at keys 6..9, so keys 0..3 are seen by none.
    head.k[..24].fill(f32::NAN);
    head.v[..24].fill(f32::NAN);
    assert_eq!(exact(&HeadProblem { mask, ..head.problem() }).unwrap(), clean);
    head.v[24..32].fill(1e4);
    let spiked = exact(&HeadProblem { mask, ..head.problem() }).unwrap();
    assert!(spiked.out[0] > clean.out[0] + 1.0, "key 3 is the first that query 0 sees");
    assert_eq!(spiked.out[8..], clean.out[8..], "and no other query sees it");
}

#[cfg(feature = "candle")]
#[test]
fn candle_says_the_same() {
    let (mut cases, mut all) = (0, Comparison::default());
    for shape in SHAPES {
        every_problem(&head(shape, DType::F16), |name, problem| {
            let (want, got) = (exact(problem).unwrap(), candle(problem).unwrap());
            for (got, want, cols) in [(&got.out, &want.out, shape.3), (&got.lse, &want.lse, 1)] {
                let got: Vec<f32> = got.iter().map(|&x| x as f32).collect();
                let comparison = Comparison::within(&got, want, cols, |at| 4e-6 * want[at].abs().max(1.0)).unwrap();
                assert!(comparison.passed(), "{name}: {comparison}");
                all = all.and(comparison);
            }
            cases += 1;
        });
    }
    println!("{cases} problems: {all}");
    assert_eq!(cases, 6 * (4 * 3 + 6 * 3));
    assert!(all.worst_ratio > 0.05, "{all}");
}

/// Keys in parts, each by the definition and joined by the algebra: the whole.
#[test]
fn parts_of_the_keys_merge_to_the_whole() {
    let shape @ (sq, sk, d, dv) = (5, 37, 16, 8);
    let head = head(shape, DType::Bf16);
    let whole = exact(&head.problem()).unwrap();
    for cuts in [[0, 37], [1, 36], [12, 25], [20, 20]] {
        let bounds = [0, cuts[0], cuts[1], sk];
        let parts: Vec<_> = bounds
            .windows(2)
            .map(|part| {
                let (k, v) = (&head.k[part[0] * d..part[1] * d], &head.v[part[0] * dv..part[1] * dv]);
                let shape = (sq, part[1] - part[0], d, dv);
                exact(&HeadProblem { shape, k, v, ..head.problem() }).unwrap()
            })
            .collect();
        for i in 0..sq {
            let row = |part: &halfbyte::reference::attention::Attended| {
                State::finished(&part.out[i * dv..(i + 1) * dv], part.lse[i])
            };
            let merged = parts.iter().fold(State::neutral(dv), |state, part| state.merge(&row(part)));
            let (out, lse) = merged.finish();
            assert!((lse - whole.lse[i]).abs() < 1e-13, "{cuts:?}, row {i}: {lse} is not {}", whole.lse[i]);
            let close = out.iter().zip(&whole.out[i * dv..]).all(|(a, b)| (a - b).abs() < 1e-13);
            assert!(close, "{cuts:?}, row {i}");
        }
    }
}

/// Exact results rounded once pass the rule of two references; one key too few, or one too many, does not.
#[test]
fn the_rule_of_two_references_tells_right_from_wrong() {
    let (mut cases, mut caught) = (0, 0);
    for (dtype, shape) in [(DType::F16, (40, 65, 32, 40)), (DType::Bf16, (33, 33, 40, 8)), (DType::F16, (5, 40, 8, 16))]
    {
        every_problem(&head(shape, dtype), |name, problem| {
            let want = exact(problem).unwrap();
            let low = twin(problem, dtype).unwrap();
            let allowed = tolerance(&want.out, &low.out, dtype, problem.softcap.is_some()).unwrap();
            let held = |out: &[f64]| {
                let out: Vec<f32> = out.iter().map(|&x| round_to(x as f32, dtype)).collect();
                Comparison::within(&out, &want.out, shape.3, |_| allowed).unwrap()
            };
            let (right, twins) = (held(&want.out), held(&low.out));
            assert!(right.passed() && right.worst_ratio > 0.0, "{name}: {right}");
            assert!(twins.passed(), "{name}: {twins}");
            assert!(allowed < if dtype == DType::F16 { 0.02 } else { 0.1 }, "{name}: {allowed} allows too much");

            // Every query loses the last key.
            let (sq, sk, d, dv) = shape;
            let (k, v) = (&problem.k[..(sk - 1) * d], &problem.v[..(sk - 1) * dv]);
            let bias: Option<Vec<f32>> =
                problem.bias.map(|b| b.chunks(sk).flat_map(|row| &row[..sk - 1]).copied().collect());
            let last = problem.mask.right == Some(0) || problem.mask.tree.is_some() || problem.slope.is_some();
            if !last && problem.mask.left.is_none() {
                let shape = (sq, sk - 1, d, dv);
                let fewer = exact(&HeadProblem { k, v, shape, bias: bias.as_deref(), ..*problem }).unwrap();
                let wrong = held(&fewer.out);
                assert!(!wrong.passed(), "{name}: a key was dropped, and {wrong}");
                caught += 1;
            }
            cases += 1;
        });
    }
    assert_eq!((cases, caught), (3 * 6 * 6, 3 * 4));
}

#[test]
fn a_tolerance_by_hand_and_what_has_none() {
    // f16 has a spacing of 2^-12 below 0.5 and of 2^-11 from there: 0.25 + 0.3 is 0.5498 (0.3 being rounded with the
    // sum).
    let cast = |x: f32| round_to(round_to(x + 0.3, DType::F16) - 0.3, DType::F16);
    let want = 2.0 * 0.125 + 2.0 * f64::from(cast(0.25) - 0.25).abs();
    assert!(want > 0.25 && want < 0.252, "{want}");
    assert_eq!(tolerance(&[0.25, 0.25], &[0.25, 0.375], DType::F16, false).unwrap(), want);
    assert_eq!(tolerance(&[0.25, 0.25], &[0.25, 0.375], DType::F16, true).unwrap(), want + 0.125);
    for (exact, twin) in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (f64::NEG_INFINITY, 0.0)] {
        let error = tolerance(&[1.0, exact], &[1.0, twin], DType::F16, false).unwrap_err().to_string();
        assert!(error.contains("element 1"), "{error}");
    }
    assert!(tolerance(&[1.0], &[], DType::F16, false).unwrap_err().to_string().contains("0 values"));
    assert!(tolerance(&[1.0], &[1.0], DType::I8, false).unwrap_err().to_string().contains("i8"));
}

#[test]
fn no_comparison_lets_a_nan_pass() {
    let allow = |got: &[f32], want: &[f64]| Comparison::within(got, want, 2, |_| f64::MAX).unwrap();
    assert!(allow(&[1.0, 2.0], &[3.0, 4.0]).passed());
    for (got, want) in
        [(f32::NAN, 1.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, f64::INFINITY), (1.0, NONE), (1.0, f64::NAN)]
    {
        let comparison = allow(&[5.0, got], &[5.0, want]);
        assert!(!comparison.passed() && comparison.worst_ratio == f64::INFINITY, "{got} passed for {want}");
        let worst = comparison.worst.expect("there is one");
        assert_eq!((worst.row, worst.col, worst.want.to_bits()), (0, 1, want.to_bits()));
    }
    assert!(allow(&[f32::NEG_INFINITY, f32::NAN], &[NONE, f64::NAN]).passed());
    assert!(
        !Comparison::within(&[1.0], &[2.0], 1, |_| f64::NAN).unwrap().passed(),
        "a tolerance of NaN allows nothing"
    );

    let some = Comparison::within(&[1.0, 2.5, 3.0, 4.1], &[1.0, 2.0, 3.25, 4.0], 2, |_| 1.0).unwrap();
    let worst = some.worst.expect("there is one");
    assert_eq!((some.worst_ratio, worst.row, worst.col, worst.got), (0.5, 0, 1, 2.5));
    let other = Comparison::within(&[1.0, 2.0], &[1.0, 1.75], 1, |_| 1.0).unwrap();
    assert_eq!(other.and(some).worst, some.worst);
    assert_eq!(some.and(other).worst, some.worst);
    assert!(Comparison::within(&[1.0], &[], 1, |_| 1.0).is_err());
}

/// The log-sum-exp as f32 arithmetic gives it stays within its slack; a key dropped does not.
#[test]
fn the_slack_of_the_log_sum_exp() {
    let mut cases = 0;
    for shape in SHAPES {
        every_problem(&head(shape, DType::Bf16), |name, problem| {
            let want = exact(problem).unwrap();
            let slack = lse_slack(problem, &want).unwrap();
            let rounded: Vec<f32> = want.lse.iter().map(|&x| x as f32).collect();
            let comparison = Comparison::within(&rounded, &want.lse, 1, |i| slack[i]).unwrap();
            assert!(comparison.passed() && comparison.worst_ratio < 0.1, "{name}: {comparison}");
            let finite = want.lse.iter().zip(&slack).filter(|(lse, _)| lse.is_finite());
            finite.for_each(|(lse, slack)| assert!(*slack <= 1e-4 * lse.abs().max(1.0), "{name}: {slack} of {lse}"));
            cases += 1;
        });
    }
    assert_eq!(cases, 6 * (4 * 3 + 6 * 3));
    // By hand: |q| = 5, |k| = 2, d = 2, u = 2^-24; the log-sum-exp is the only score, 0.5 * 10 + 3.
    let problem =
        HeadProblem { bias: Some(&[3.0]), ..HeadProblem::new(&[3.0, 4.0], &[1.2, 1.6], &[1.0], (1, 1, 2, 1), 0.5) };
    let want = exact(&problem).unwrap();
    assert!((want.lse[0] - 8.0).abs() < 1e-6);
    let u = 2f64.powi(-24);
    let by_hand = 8e-5 + 0.5 * 2.0 * u * 2f64.sqrt() * 10.0 + 4.0 * u * (5.0 + 3.0);
    assert!((lse_slack(&problem, &want).unwrap()[0] / by_hand - 1.0).abs() < 1e-6);
    let capped = HeadProblem { softcap: Some(4.0), ..problem };
    let more = lse_slack(&capped, &want).unwrap()[0] - by_hand;
    // 2^-20 of the cap, however small the score.
    assert!((more * 2f64.powi(20) - 4.0).abs() < 1e-4, "{more}");
}

#[test]
fn accuracy_by_hand() {
    let a = accuracy(&[3.0f32, 0.0], &[3.0, 4.0]).unwrap();
    assert_eq!((a.cosine, a.relative_l1, a.rmse), (9.0 / 15.0, 4.0 / 7.0, 8f64.sqrt()));
    let same = accuracy(&[1.0, -2.0], &[1.0, -2.0]).unwrap();
    assert!((same.cosine - 1.0).abs() < 1e-15 && same.relative_l1 == 0.0 && same.rmse == 0.0);
    for empty in [&[][..], &[0.0, 0.0]] {
        let nothing = accuracy(empty, empty).unwrap();
        assert_eq!((nothing.cosine, nothing.relative_l1, nothing.rmse), (1.0, 0.0, 0.0));
    }
    assert!(accuracy(&[1.0], &[1.0, 2.0]).is_err());
    assert!(accuracy(&[f64::NAN], &[1.0]).unwrap().rmse.is_nan());
}

#[test]
fn what_does_not_fit_is_refused_with_its_values() {
    let head = head((3, 4, 8, 8), DType::F16);
    let good = head.problem();
    assert!(good.check().is_ok());
    let words = [0u32; 3];
    let cases = [
        (HeadProblem { q: &head.q[1..], ..good }, "queries are [3, 8], but 23"),
        (HeadProblem { k: &head.k[8..], ..good }, "keys are [4, 8], but 24"),
        (HeadProblem { v: &head.v[8..], ..good }, "values are [4, 8], but 24"),
        (HeadProblem { shape: (usize::MAX, 4, 8, 8), ..good }, "queries are"),
        (HeadProblem { bias: Some(&head.bias[1..]), ..good }, "bias are [3, 4], but 11"),
        (HeadProblem { scale: -1.0, ..good }, "scale is -1"),
        (HeadProblem { scale: f32::NAN, ..good }, "scale is NaN"),
        (HeadProblem { softcap: Some(0.0), ..good }, "soft cap is 0"),
        (HeadProblem { softcap: Some(f32::INFINITY), ..good }, "soft cap is inf"),
        (HeadProblem { slope: Some(f32::NAN), ..good }, "slope is NaN"),
        (HeadProblem { sink: Some(f32::INFINITY), ..good }, "sink is inf"),
        (HeadProblem { sink: Some(f32::NAN), ..good }, "sink is NaN"),
        (
            HeadProblem { mask: Mask { tree: Some(TreeMask { keys: 5, words: &words }), ..Mask::default() }, ..good },
            "5 keys, but there are 4",
        ),
        (
            HeadProblem {
                mask: Mask { tree: Some(TreeMask { keys: 4, words: &words[1..] }), ..Mask::default() },
                ..good
            },
            "words of the tree mask are [3, 1], but 2",
        ),
    ];
    for (problem, want) in cases {
        let errors = [
            problem.check().unwrap_err(),
            exact(&problem).unwrap_err(),
            twin(&problem, DType::F16).unwrap_err(),
            lse_slack(&problem, &exact(&good).unwrap()).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains(want), "{error} does not say {want}");
        }
    }
    assert!(twin(&good, DType::I8).unwrap_err().to_string().contains("i8"));
}

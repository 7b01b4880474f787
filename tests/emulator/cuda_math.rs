//! The CUDA math library as nvcc compiles it into `tests/data/ptx/math.ptx`, against the host's functions, within the
//! errors that the CUDA C++ Programming Guide states for each ("Mathematical Functions", maximum ulp error).

use super::cuda::{Params, Program};
use half::f16;
use halfbyte::emulator::LaunchConfig;

fn config(n: usize) -> LaunchConfig {
    LaunchConfig::linear(n.div_ceil(128) as u32, 128)
}

/// Numbers between -`range` and `range`, of all sizes, with fixed ones before them.
fn inputs(fixed: &[f64], range: f64, count: usize) -> Vec<f64> {
    let mut state = 99u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut all = fixed.to_vec();
    while all.len() < count {
        let sign = if next() < 0.5 { -1.0 } else { 1.0 };
        // Half of them evenly, half of them by their exponent.
        let size = if all.len().is_multiple_of(2) { next() * range } else { range * (-12.0 * next()).exp() };
        all.push(sign * size);
    }
    all
}

/// The error function: a series of positive terms below 3, a continued fraction of its complement above.
fn erf(x: f64) -> f64 {
    let (a, root) = (x.abs(), std::f64::consts::PI.sqrt());
    if a > 3.0 {
        let fraction = (1..80).rev().fold(a, |below, n| a + f64::from(n) / 2.0 / below);
        return (1.0 - (-a * a).exp() / root / fraction).copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 0..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 3);
        sum += term;
    }
    2.0 / root * (-x * x).exp() * sum
}

/// Distance of a result from the exact value, in units of the last place of the exact value as an f32.
fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got == rounded || got.is_nan() && want.is_nan() {
        return 0.0;
    }
    let exponent = ((rounded.to_bits() >> 23 & 0xFF) as i32).max(1) - 127;
    (f64::from(got) - want).abs() / f64::from(exponent - 23).exp2()
}

type Function = (&'static str, f64, fn(f64) -> f64);

#[test]
fn floats_are_within_the_stated_errors() {
    let remainder = |x: f64| {
        let y = f64::from(0.7f32);
        let rest = x.abs() % y;
        (if 2.0 * rest > y { rest - y } else { rest }) * x.signum()
    };
    let table: [Function; 24] = [
        ("sinf", 2.0, f64::sin),
        ("cosf", 2.0, f64::cos),
        ("tanf", 4.0, f64::tan),
        ("expf", 2.0, f64::exp),
        ("exp2f", 2.0, f64::exp2),
        ("logf", 1.0, |x| x.abs().ln()),
        ("log2f", 1.0, |x| x.abs().log2()),
        ("powf", 4.0, |x| x.abs().powf(f64::from(1.7f32))),
        ("erff", 2.0, erf),
        ("tanhf", 2.0, f64::tanh),
        ("atanf", 2.0, f64::atan),
        ("sqrtf", 0.0, |x| x.abs().sqrt()),
        ("rsqrtf", 2.0, |x| 1.0 / x.abs().sqrt()),
        ("1/x", 0.0, |x| 1.0 / x),
        ("cbrtf", 1.0, f64::cbrt),
        ("sinpif", 1.0, |x| {
            let turn = x - 2.0 * (x / 2.0).round();
            let quarter = if turn.abs() > 0.5 { 1.0 - turn.abs() } else { turn.abs() };
            (quarter * std::f64::consts::PI).sin().copysign(turn)
        }),
        ("fmodf", 0.0, |x| x % f64::from(0.7f32)),
        ("remainderf", 0.0, remainder),
        ("rintf", 0.0, f64::round_ties_even),
        ("truncf", 0.0, f64::trunc),
        ("floorf", 0.0, f64::floor),
        ("log1pf", 1.0, |x| x.abs().ln_1p()),
        ("expm1f", 1.0, f64::exp_m1),
        ("asinhf", 3.0, f64::asinh),
    ];
    // The large ones take the slow way of the argument reduction, through an array in local memory.
    let fixed = [1.0, -1.0, 0.5, 2.5, -3.5, 1e-30, -1e-20, 1e5, 123456.0, -3e6, 1e9, -1e20, 3e38];
    let x: Vec<f32> = inputs(&fixed, 20.0, 4096).into_iter().map(|x| x as f32).collect();
    let p = Program::load("math");
    let (a, out) = (p.put(&x), p.put(&vec![0f32; 24 * x.len()]));
    p.run("floats", config(x.len()), Params::all(&[a, out]).and(x.len() as i32));
    let got = p.get::<f32>(out, 24 * x.len());
    for ((name, bound, function), got) in table.iter().zip(got.chunks_exact(x.len())) {
        for (x, got) in x.iter().zip(got) {
            let want = function(f64::from(*x));
            let error = ulps(*got, want);
            // The bound is to the rounded value, half a unit from the exact one. The host's own error is far below.
            assert!(error <= bound + 0.501, "{name}({x:e}) = {got:e}, exactly {want:e}: {error} ulps");
        }
    }
}

#[test]
fn doubles_are_within_the_stated_errors() {
    type Row = (&'static str, u64, fn(f64) -> f64);
    let table: [Row; 14] = [
        ("sin", 2, f64::sin),
        ("cos", 2, f64::cos),
        ("exp", 1, f64::exp),
        ("log", 1, |x| x.abs().ln()),
        ("pow", 2, |x| x.abs().powf(1.7)),
        // Our own erf is a few units off itself.
        ("erf", 12, erf),
        ("tanh", 2, f64::tanh),
        ("atan", 2, f64::atan),
        ("sqrt", 0, |x| x.abs().sqrt()),
        ("1/x", 0, |x| 1.0 / x),
        ("fma", 0, |x| x.mul_add(x, 1.0)),
        ("cbrt", 1, f64::cbrt),
        ("fmod", 0, |x| x % 0.7),
        ("rint", 0, f64::round_ties_even),
    ];
    let x = inputs(&[1.0, -1.0, 0.5, 2.5, 1e-300, -1e-20, 1e5, 1e6, -1e9, 1e22], 20.0, 2048);
    let p = Program::load("math");
    let (a, out) = (p.put(&x), p.put(&vec![0f64; 14 * x.len()]));
    p.run("doubles", config(x.len()), Params::all(&[a, out]).and(x.len() as i32));
    let got = p.get::<f64>(out, 14 * x.len());
    for ((name, bound, function), got) in table.iter().zip(got.chunks_exact(x.len())) {
        for (x, got) in x.iter().zip(got) {
            let want = function(*x);
            // Values of one sign are as far apart as their bits. One unit more where the host's result is not exact.
            let error = got.to_bits().abs_diff(want.to_bits());
            assert!(error <= bound + u64::from(*bound > 0), "{name}({x:e}) = {got:e}, the host has {want:e}");
        }
    }
}

#[test]
fn integers_are_exact() {
    let edges =
        [0, 1, -1, 2, -7, 10, 255, 65536, i64::from(i32::MAX), i64::from(i32::MIN), 1 << 40, i64::MAX, i64::MIN + 1];
    let mut pairs: Vec<(i64, i64)> =
        edges.iter().flat_map(|x| edges.iter().filter(|y| **y != 0).map(move |y| (*x, *y))).collect();
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state ^ state >> 31) as i64 >> (state >> 58)
    };
    while pairs.len() < 3000 {
        let (x, y) = (next(), next());
        if y != 0 && x != i64::MIN {
            pairs.push((x, y));
        }
    }
    let n = pairs.len();
    let (a, b): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
    let p = Program::load("math");
    let out = p.put(&vec![0u64; 18 * n]);
    p.run("integers", config(n), Params::all(&[p.put(&a), p.put(&b), out]).and(n as i32));
    let got = p.get::<u64>(out, 18 * n);
    for (i, (x, y)) in pairs.into_iter().enumerate() {
        let (u, v, s, t) = (x as u64, y as u64, x as u32, y as u32);
        let bytes = |f: &dyn Fn(usize) -> u8| u64::from(u32::from_le_bytes(std::array::from_fn(f)));
        let source = [s.to_le_bytes(), t.to_le_bytes()].concat();
        let dot: i32 = (0..4).map(|k| i32::from(source[k] as i8) * i32::from(source[4 + k] as i8)).sum();
        let upper =
            |shift: u32| i64::from((s as i32 >> shift) as i16).max(i64::from((t as i32 >> shift) as i16)) as u16;
        let want = [
            (x / y) as u64,
            (x % y) as u64,
            u / v,
            u % v,
            ((u128::from(u) * u128::from(v)) >> 64) as u64,
            ((i128::from(x) * i128::from(y)) >> 64) as u64,
            (u64::from(s) * u64::from(t)) >> 32,
            u64::from(((i64::from(s as i32) * i64::from(t as i32)) >> 32) as u32),
            u64::from(x.count_ones()),
            u64::from(x.leading_zeros()),
            if x == 0 { 0 } else { u64::from(x.trailing_zeros()) + 1 },
            u.reverse_bits(),
            bytes(&|k| source[[6, 1, 5, 2][k]]),
            u64::from(t << 7 | s >> 25),
            u64::from((s as i32).abs_diff(t as i32).wrapping_add(5)),
            u64::from((dot + 100) as u32),
            bytes(&|k| source[k].wrapping_add(source[4 + k])),
            u64::from(u32::from(upper(16)) << 16 | u32::from(upper(0))),
        ];
        for (k, want) in want.into_iter().enumerate() {
            assert_eq!(got[k * n + i], want, "result {k} of {x} and {y}");
        }
    }
}

#[test]
fn halves_round_once() {
    // Few bits, so that every product and sum is exact in f32 and the host rounds once too.
    let n = 2048;
    let x: Vec<f16> =
        (0..2 * n).map(|i| f16::from_bits((0x3800 + (i * 37 % 0x1000) as u16) | ((i as u16 & 1) << 15))).collect();
    let y: Vec<f16> = (0..2 * n).map(|i| f16::from_f32(((i * 29 % 128) as f32 - 63.5) / 8.0)).collect();
    let bits = |v: &[f16]| v.iter().map(|h| h.to_bits()).collect::<Vec<u16>>();
    let p = Program::load("math");
    let out = p.put(&vec![0u16; 12 * 2 * n]);
    p.run("halves", config(n), Params::all(&[p.put(&bits(&x)), p.put(&bits(&y)), out]).and(n as i32));
    let got = p.get::<u16>(out, 12 * 2 * n);
    for i in 0..2 * n {
        let (a, b) = (x[i].to_f64(), y[i].to_f64());
        let exact = [a + b, a - b, a * b, a * b + a, a.max(b), a.min(b), a.abs(), -b];
        for (k, want) in exact.into_iter().enumerate() {
            assert_eq!(got[2 * n * k + i], f16::from_f64(want).to_bits(), "result {k} of {a} and {b}");
        }
        for (k, want) in [a.exp(), a.abs().sqrt(), 1.0 / a, a / b].into_iter().enumerate() {
            let want = f16::from_f64(want).to_bits();
            let distance = got[2 * n * (8 + k) + i].abs_diff(want);
            assert!(distance <= 2, "result {} of {a} and {b}: {distance} ulps", 8 + k);
        }
    }
}

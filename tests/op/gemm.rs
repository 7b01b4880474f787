//! Dense products of every element through the door: exact where sums are exact, within the bound elsewhere, the same
//! bits however often and on whatever stream, and arguments that break a rule refused.

use half::{bf16, f16};
use halfbyte::device::{Device, Element, Stream, View};
use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};
use halfbyte::op::{Addend, Gemm, GemmArgs, GemmElement, OutputElement, Step, Strided, StridedMut};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::reference::sample::{Sample, widened};
use halfbyte::reference::{Accumulation, Comparison, FloatProblem, exact, oracles};

use super::Tally;
use crate::support::{allocations, devices};

/// A product of floats with all that goes with it.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: (usize, usize, usize),
    /// Small integers, whose sums are exact; else Gaussian numbers.
    integers: bool,
    down: [bool; 2],
    /// Elements beyond a row of each operand, and before its first.
    pad: [usize; 2],
    alpha: f32,
    beta: f32,
    bias: bool,
    /// One scale for all rows, one for each column; else each row and all columns.
    rows_share: bool,
    invariant: bool,
}

impl Case {
    fn new(shape: (usize, usize, usize)) -> Case {
        let (integers, rows_share, bias, invariant) = (true, false, true, false);
        let (down, pad) = ([false; 2], [0, 0]);
        Case { shape, integers, down, pad, alpha: -0.75, beta: 0.5, bias, rows_share, invariant }
    }

    fn problem<A: GemmElement, B: GemmElement, O: OutputElement>(&self) -> GemmProblem {
        let (m, n, k) = self.shape;
        let operand = |dtype, k_down| Operand { dtype, k_down };
        let (a, b) = (operand(A::DTYPE, self.down[0]), operand(B::DTYPE, self.down[1]));
        GemmProblem { m, n, k, batch: 1, a, b, out: O::OUTPUT, k_group: None, batch_invariant: self.invariant }
    }

    /// Every plan given on one device: exact bits, or within the bound of each oracle. Returns the bits of the last.
    fn check<A, B, O>(&self, device: &Device, plans: &[GemmPlan], tally: &mut Tally) -> Vec<f32>
    where
        A: GemmElement + Float,
        B: GemmElement + Float,
        O: OutputElement + Float,
    {
        let (m, n, k) = self.shape;
        let stream = device.stream().unwrap();
        let problem = self.problem::<A, B, O>();
        let gemm = Gemm::new(device, problem.a, problem.b).unwrap();
        let mut sample = Sample::new(&format!("{self:?} {problem}"));
        let accumulation = accumulation::<A, B>();
        let (a, b) = match self.integers {
            true => {
                let most = accumulation.exact_integers(k.max(1));
                (sample.integers::<A>(m * k, most), sample.integers::<B>(n * k, most))
            }
            false => (sample.floats::<A>(m, k), sample.floats::<B>(n, k)),
        };
        let c: Vec<O> = sample.floats(m, n);
        let (scale_row, scale_col) = match self.rows_share {
            true => (vec![0.375f32], sample.scales(n)),
            false => (sample.scales(m), vec![1.25f32]),
        };
        let bias: Vec<f32> = sample.floats(1, n);

        let (wide_a, wide_b, wide_c) = (widened(&a), widened(&b), widened(&c));
        let mut truth = FloatProblem::new((m, n, k), &wide_a, &wide_b, accumulation, <O as Element>::DTYPE)
            .unwrap()
            .alpha(self.alpha)
            .scale_rows(&scale_row)
            .unwrap()
            .scale_cols(&scale_col)
            .unwrap();
        if self.beta != 0.0 {
            truth = truth.plus(self.beta, &wide_c).unwrap();
        }
        if self.bias {
            truth = truth.bias(&bias).unwrap();
        }

        let (at_a, lda) = place(&stream, &a, m, k, self.down[0], self.pad[0]);
        let (at_b, ldb) = place(&stream, &b, n, k, self.down[1], self.pad[1]);
        let at_c = stream.upload(&c).unwrap();
        let (rows, cols) = (stream.upload(&scale_row).unwrap(), stream.upload(&scale_col).unwrap());
        let at_bias = stream.upload(&bias).unwrap();
        let ldd = n + 3;
        let mut bits = Vec::new();
        for plan in plans {
            let poison = O::from_f32(f32::NAN);
            let mut d = stream.upload(&vec![poison; m * ldd]).unwrap();
            let mut scratch = stream.upload(&vec![0xA5u8; plan.scratch_bytes()]).unwrap();
            let strided = |view, ld| Strided { view, ld, stride: 0 };
            let args = GemmArgs {
                alpha: self.alpha,
                beta: self.beta,
                c: if self.beta == 0.0 { Addend::None } else { Addend::Matrix(strided_of(at_c.view(), n)) },
                scale_row: Some(rows.view()),
                scale_col: Some(cols.view()),
                bias: self.bias.then(|| at_bias.view()),
                scratch: Some(scratch.view_mut()),
                ..GemmArgs::new(
                    strided(at_a.view().slice(self.pad[0]..).unwrap(), lda),
                    Strided { view: at_b.view().slice(self.pad[1]..).unwrap(), ld: ldb, stride: 0 },
                    StridedMut { view: d.view_mut(), ld: ldd, stride: 0 },
                )
            };
            gemm.run(plan, &stream, args).unwrap_or_else(|e| panic!("{plan}: {e}"));
            let all = stream.download(&d).unwrap();
            assert!(all.chunks(ldd).all(|row| row[n..].iter().all(|x| x.to_f32().is_nan())), "{plan}: beyond the rows");
            let got: Vec<f32> = all.chunks(ldd).flat_map(|row| &row[..n]).map(|x| x.to_f32()).collect();
            let fail = |name: &str, c: Comparison| assert!(c.passed(), "{self:?} by {plan} on {device}, {name}: {c}");
            if self.integers {
                fail("exact", Comparison::same_bits(&got, &exact::gemm(&truth).unwrap(), n).unwrap());
            } else {
                for oracle in oracles() {
                    fail(oracle.name(), oracle.gemm(&truth).unwrap().compare(&got).unwrap());
                }
            }
            tally.add("kernel", plan.geometry().map_or("none", |g| g.entry.row().symbol));
            tally.add("split", plan.split_k() > 1);
            bits = got;
        }
        bits
    }
}

fn strided_of<T>(view: View<'_, T>, ld: usize) -> Strided<'_, T> {
    Strided { view, ld, stride: 0 }
}

/// How the products by `mma` add up.
fn accumulation<A: Element, B: Element>() -> Accumulation {
    Accumulation::mma(A::DTYPE, B::DTYPE).unwrap()
}

/// `[rows, k]` as memory holds it, `pad` elements that are no numbers before it and after each row.
fn place<T: GemmElement + Float>(
    stream: &Stream,
    values: &[T],
    rows: usize,
    k: usize,
    down: bool,
    pad: usize,
) -> (halfbyte::device::Buffer<T>, usize) {
    let (height, width) = if down { (k, rows) } else { (rows, k) };
    let ld = width + pad;
    let mut memory = vec![T::from_f32(f32::NAN); pad + height * ld];
    for row in 0..height {
        for col in 0..width {
            memory[pad + row * ld + col] = if down { values[col * k + row] } else { values[row * k + col] };
        }
    }
    (stream.upload(&memory).unwrap(), ld)
}

/// The plan that is chosen, and of each other tile one whole and one in slices.
fn plans(problem: &GemmProblem, device: &Device) -> Vec<GemmPlan> {
    let all: Vec<_> = candidates(problem, device.facts()).collect();
    let mut kept: Vec<GemmPlan> = Vec::new();
    for plan in all {
        let split = |p: &GemmPlan| (p.geometry().unwrap().entry, p.split_k().min(3));
        if !kept.iter().any(|k| split(k) == split(&plan)) {
            kept.push(plan);
        }
    }
    kept
}

const SHAPES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (3, 70, 33), (16, 64, 128), (17, 129, 255), (1, 200, 1111), (65, 130, 384), (129, 65, 70)];

/// A pair of elements over all shapes, directions and alignments.
fn pair<A, B, O>(device: &Device, downs: &[[bool; 2]], tally: &mut Tally)
where
    A: GemmElement + Float,
    B: GemmElement + Float,
    O: OutputElement + Float,
{
    for (i, &shape) in SHAPES.iter().enumerate() {
        for (j, &down) in downs.iter().enumerate() {
            let pad = [[0, 0], [1, 0], [0, 3], [4, 4]][(i + j) % 4];
            let (integers, rows_share) = (i % 3 != 2, (i + j) % 2 == 0);
            let case = Case { integers, down, pad, rows_share, bias: i % 2 == 0, ..Case::new(shape) };
            let plans = plans(&case.problem::<A, B, O>(), device);
            case.check::<A, B, O>(device, &plans, tally);
        }
    }
}

const ALONG: [[bool; 2]; 1] = [[false, false]];
const WAYS: [[bool; 2]; 4] = [[false, false], [true, false], [false, true], [true, true]];

#[test]
fn sixteen_bits_are_right_in_every_direction_under_every_plan() {
    let mut tally = Tally::default();
    for device in devices() {
        pair::<f16, f16, f32>(&device, &WAYS, &mut tally);
        pair::<bf16, bf16, bf16>(&device, &WAYS, &mut tally);
        pair::<f16, f16, f16>(&device, &ALONG, &mut tally);
    }
    tally.assert(
        "16 bits",
        &[
            ("kernel gemm_f16_mma_128x128x32", 20),
            ("kernel gemm_f16_mma_16x64x64", 20),
            ("kernel gemm_bf16_mma_a_down_64x64x32", 20),
            ("kernel gemm_f16_mma_b_down_128x128x32", 20),
            ("kernel gemm_bf16_mma_down_64x64x32", 20),
            ("split true", 100),
        ],
    );
}

#[test]
fn eight_bit_floats_are_right_in_every_pairing() {
    let mut tally = Tally::default();
    for device in devices().into_iter().filter(|device| device.facts().capability >= 89) {
        pair::<F8E4M3, F8E4M3, f32>(&device, &ALONG, &mut tally);
        pair::<F8E4M3, F8E5M2, f16>(&device, &ALONG, &mut tally);
        pair::<F8E5M2, F8E4M3, bf16>(&device, &ALONG, &mut tally);
        pair::<F8E5M2, F8E5M2, f32>(&device, &ALONG, &mut tally);
    }
    tally.assert("8 bits", &[("kernel gemm_e4m3_e5m2_mma_64x64x64", 10), ("kernel gemm_e5m2_e4m3_mma_16x64x128", 10)]);
}

/// The bits of a row do not depend on how many rows there are, nor does the cut of K.
#[test]
fn batch_invariant_plans_give_a_row_the_same_bits_for_every_m() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let (n, k, most) = (72, 5000, 140);
        let mut sample = Sample::new("invariant");
        let (a, b) = (sample.floats::<f16>(most, k), sample.floats::<f16>(n, k));
        let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
        let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
        let mut first: Vec<f32> = Vec::new();
        let mut kernels = std::collections::BTreeSet::new();
        for m in [140, 1, 16, 17, 64, 100] {
            let problem = GemmProblem { batch_invariant: true, ..GemmProblem::new(m, n, k, DType::F16, Output::F32) };
            for plan in candidates(&problem, device.facts()) {
                assert!(plan.split_k() > 1, "{plan}: a cut is what could differ");
                let mut d = stream.upload(&vec![f32::NAN; m * n]).unwrap();
                let mut scratch = stream.zeros::<u8>(gemm.scratch_bound(&problem).unwrap()).unwrap();
                let args = GemmArgs {
                    scratch: Some(scratch.view_mut()),
                    ..GemmArgs::new(
                        at_a.view().matrix(m, k, k).unwrap(),
                        at_b.view().matrix(n, k, k).unwrap(),
                        d.view_mut().matrix(m, n, n).unwrap(),
                    )
                };
                gemm.run(&plan, &stream, args).unwrap();
                let got = stream.download(&d).unwrap();
                if first.is_empty() {
                    first = got.clone();
                }
                let same = got.iter().zip(&first).all(|(x, y)| x.to_bits() == y.to_bits());
                assert!(same, "{plan} on {device}");
                kernels.insert(plan.geometry().unwrap().entry);
            }
        }
        assert_eq!(kernels.len(), 3);
    }
}

/// int8 with zero points and −128, through s32 and scaled.
#[test]
fn int8_zero_points_are_exact() {
    let mut cases = 0;
    for device in devices() {
        let stream = device.stream().unwrap();
        let (batch, m, n, k) = (2, 19, 70, 301);
        let mut sample = Sample::new("zero points");
        let (a, b) = (sample.codes(batch * m * k, -128, 127), sample.codes(n * k, -128, 127));
        let zeros: Vec<i32> = (0..batch * m).map(|_| sample.integer(-128, 127)).collect();
        let sums: Vec<i32> = b.chunks(k).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
        let gemm = Gemm::new(&device, Operand::new(DType::I8), Operand::new(DType::I8)).unwrap();
        let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
        let (at_zeros, at_sums) = (stream.upload(&zeros).unwrap(), stream.upload(&sums).unwrap());
        let problem = GemmProblem { batch, ..GemmProblem::new(m, n, k, DType::I8, Output::I32) };
        for plan in plans(&problem, &device) {
            let mut d = stream.upload(&vec![i32::MIN; batch * m * n]).unwrap();
            let mut scratch = stream.zeros::<u8>(plan.scratch_bytes()).unwrap();
            let args = GemmArgs {
                zero_row: Some(at_zeros.view()),
                column_sums: Some(at_sums.view()),
                scratch: Some(scratch.view_mut()),
                ..GemmArgs::new(
                    Strided { view: at_a.view(), ld: k, stride: m * k },
                    strided_of(at_b.view(), k),
                    StridedMut { view: d.view_mut(), ld: n, stride: m * n },
                )
            };
            gemm.run(&plan, &stream, args).unwrap();
            let want = (0..batch * m).flat_map(|i| {
                let (a, b, zeros) = (&a, &b, &zeros);
                (0..n).map(move |j| {
                    let terms = a[i * k..][..k].iter().zip(&b[j * k..][..k]);
                    terms.map(|(&x, &y)| (i32::from(x) - zeros[i]) * i32::from(y)).sum::<i32>()
                })
            });
            assert!(stream.download(&d).unwrap().into_iter().eq(want), "{plan} on {device}");
            cases += 1;
        }
    }
    assert!(cases >= 12, "{cases}");
}

/// A batch of which each has a, b, d and scales of its own, and one that shares b; d is c.
#[test]
fn batches_and_the_output_as_addend() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let (batch, m, n, k) = (3, 5, 70, 40);
        let gemm = Gemm::new(&device, Operand::new(DType::Bf16), Operand::new(DType::Bf16)).unwrap();
        for shared in [false, true] {
            let mut sample = Sample::new("batch");
            let others = if shared { 1 } else { batch };
            let a = sample.integers::<bf16>(batch * m * k, 4);
            let b = sample.integers::<bf16>(others * n * k, 4);
            let before: Vec<f32> = sample.floats(batch * m, n);
            let scales = sample.power_of_two_scales(batch * m);
            let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
            let (mut d, rows) = (stream.upload(&before).unwrap(), stream.upload(&scales).unwrap());
            let problem = GemmProblem { batch, ..GemmProblem::new(m, n, k, DType::Bf16, Output::F32) };
            let plan = gemm.plan(&problem).unwrap();
            assert_eq!(plan.scratch_bytes(), 0, "{plan}");
            let args = GemmArgs {
                c: Addend::Output,
                beta: 2.0,
                scale_row: Some(rows.view()),
                ..GemmArgs::new(
                    Strided { view: at_a.view(), ld: k, stride: m * k },
                    Strided { view: at_b.view(), ld: k, stride: if shared { 0 } else { n * k } },
                    StridedMut { view: d.view_mut(), ld: n, stride: m * n },
                )
            };
            gemm.run(&plan, &stream, args).unwrap();
            for (at, got) in stream.download(&d).unwrap().into_iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let other = if shared { j } else { i / m * n + j };
                let terms = a[i * k..][..k].iter().zip(&b[other * k..][..k]);
                let sum: f32 = terms.map(|(x, y)| x.to_f32() * y.to_f32()).sum();
                assert_eq!(got, sum * scales[i] + 2.0 * before[at], "{i}, {j}, shared {shared}");
            }
        }
    }
}

#[test]
fn a_beta_of_zero_reads_no_c() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
        let (a, nan) = (stream.upload(&[f16::ONE; 4]).unwrap(), stream.upload(&[f32::NAN; 4]).unwrap());
        let plan = gemm.plan(&GemmProblem::new(2, 2, 2, DType::F16, Output::F32)).unwrap();
        for output in [false, true] {
            let mut d = stream.upload(&[f32::NAN; 4]).unwrap();
            let args = GemmArgs {
                c: if output { Addend::Output } else { Addend::Matrix(strided_of(nan.view(), 2)) },
                ..GemmArgs::new(
                    strided_of(a.view(), 2),
                    strided_of(a.view(), 2),
                    StridedMut { view: d.view_mut(), ld: 2, stride: 0 },
                )
            };
            gemm.run(&plan, &stream, args).unwrap();
            assert_eq!(stream.download(&d).unwrap(), [2.0; 4], "{device}");
        }
    }
}

#[test]
fn empty_products_do_nothing_or_leave_what_is_added() {
    for device in devices() {
        let mut tally = Tally::default();
        let case = Case { pad: [1, 0], ..Case::new((4, 9, 0)) };
        let plans: Vec<_> = candidates(&case.problem::<f16, f16, f32>(), device.facts()).collect();
        assert_eq!(plans.len(), 3);
        case.check::<f16, f16, f32>(&device, &plans, &mut tally);
        let stream = device.stream().unwrap();
        let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
        let nothing = stream.zeros::<f16>(0).unwrap();
        let mut d = stream.zeros::<f32>(0).unwrap();
        for (m, n, batch) in [(0, 5, 1), (5, 0, 1), (5, 5, 0)] {
            let problem = GemmProblem { batch, ..GemmProblem::new(m, n, 0, DType::F16, Output::F32) };
            let plan = gemm.plan(&problem).unwrap();
            let args = GemmArgs::new(
                strided_of(nothing.view(), 0),
                strided_of(nothing.view(), 0),
                StridedMut { view: d.view_mut(), ld: n, stride: 25 },
            );
            let mut steps = 0;
            gemm.launches(&plan, args, |_| {
                steps += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(steps, 0, "{plan}");
        }
    }
}

/// The same call a hundred times, on two streams by turns.
#[test]
fn a_hundred_runs_give_the_same_bits() {
    for device in devices() {
        let streams = [device.stream().unwrap(), device.stream().unwrap()];
        let (m, n, k) = (9, 40, 700);
        let mut sample = Sample::new("repeat");
        let (a, b) = (sample.floats::<f16>(m, k), sample.floats::<f16>(n, k));
        let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
        let problem = GemmProblem::new(m, n, k, DType::F16, Output::F32);
        let plan = candidates(&problem, device.facts()).max_by_key(GemmPlan::split_k).unwrap();
        assert!(plan.split_k() > 4);
        let mut first: Option<Vec<f32>> = None;
        for run in 0..100 {
            let stream = &streams[run % 2];
            let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
            let mut d = stream.upload(&vec![f32::NAN; m * n]).unwrap();
            let mut scratch = stream.zeros::<u8>(plan.scratch_bytes()).unwrap();
            let args = GemmArgs {
                scratch: Some(scratch.view_mut()),
                ..GemmArgs::new(
                    at_a.view().matrix(m, k, k).unwrap(),
                    at_b.view().matrix(n, k, k).unwrap(),
                    d.view_mut().matrix(m, n, n).unwrap(),
                )
            };
            gemm.run(&plan, stream, args).unwrap();
            let got = stream.download(&d).unwrap();
            let first = first.get_or_insert_with(|| got.clone());
            assert!(got.iter().zip(first).all(|(x, y)| x.to_bits() == y.to_bits()), "run {run}");
        }
    }
}

#[test]
fn plan_and_launches_do_not_allocate() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let (m, n, k) = (7, 130, 4000);
        let gemm = Gemm::new(&device, Operand::new(DType::F16), Operand::new(DType::F16)).unwrap();
        let (a, b) = (stream.zeros::<f16>(m * k).unwrap(), stream.zeros::<f16>(n * k).unwrap());
        let mut d = stream.zeros::<f32>(m * n).unwrap();
        let problem = GemmProblem::new(m, n, k, DType::F16, Output::F32);
        let mut scratch = stream.zeros::<u8>(gemm.scratch_bound(&problem).unwrap()).unwrap();
        let before = allocations();
        let plan = gemm.plan(&problem).unwrap();
        let args = GemmArgs {
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(
                a.view().matrix(m, k, k).unwrap(),
                b.view().matrix(n, k, k).unwrap(),
                d.view_mut().matrix(m, n, n).unwrap(),
            )
        };
        let mut launches = 0;
        gemm.launches(&plan, args, |step| {
            launches += usize::from(matches!(step, Step::Launch(_)));
            Ok(())
        })
        .unwrap();
        assert_eq!((allocations() - before, launches), (0, 1), "{plan}");
    }
}

//! Products by groups of K through the door: exact bits of int8 in every slicing, 8-bit floats within the bound, scales
//! by row, by block of 128 rows and for all, and what is refused.

use half::bf16;
use halfbyte::device::{Buffer, Device, Element, Stream};
use halfbyte::emulator::Arch;
use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};
use halfbyte::op::{Gemm, GemmArgs, GemmElement, GroupScales, OutputElement, SharedBy};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{Accumulation, Comparison, FloatProblem, exact, oracles};

use super::Tally;
use crate::support::devices;

/// An element of 8 bits.
trait Eight: GemmElement {
    fn of(value: f32) -> Self;
    fn wide(self) -> f32;
}

impl Eight for i8 {
    fn of(value: f32) -> i8 {
        value as i8
    }
    fn wide(self) -> f32 {
        self.into()
    }
}

macro_rules! floats {
    ($($type:ident)*) => {$(
        impl Eight for $type {
            fn of(value: f32) -> $type {
                Float::from_f32(value)
            }
            fn wide(self) -> f32 {
                Float::to_f32(self)
            }
        }
    )*};
}
floats!(F8E4M3 F8E5M2);

/// Scales of an operand's groups: who shares them, and one for each row and group.
struct Side {
    shared: Option<SharedBy>,
    lines: Vec<f32>,
    rows: Vec<f32>,
    groups: usize,
}

impl Side {
    fn new(sample: &mut Sample, shared: Option<SharedBy>, rows: usize, groups: usize) -> Side {
        let block = match shared {
            Some(SharedBy::Block128) => 128,
            Some(SharedBy::All) => rows.max(1),
            _ => 1,
        };
        let lines: Vec<f32> = sample.scales(rows.div_ceil(block) * groups);
        let of = |at: usize| match shared {
            None => 1.0,
            Some(_) => lines[at / groups / block * groups + at % groups],
        };
        Side { shared, rows: (0..rows * groups).map(of).collect(), lines, groups }
    }

    fn upload(&self, stream: &Stream) -> Buffer<f32> {
        stream.upload(&self.lines).unwrap()
    }

    fn scales<'a>(&self, buffer: &'a Buffer<f32>) -> Option<GroupScales<'a>> {
        let lines = self.lines.len() / self.groups.max(1);
        Some(GroupScales::new(buffer.view().matrix(lines, self.groups, self.groups).unwrap(), self.shared?))
    }

    fn expanded(&self) -> Option<&[f32]> {
        self.shared.map(|_| &self.rows[..])
    }
}

/// Where sums of a group are exact, the bits; else the bound of every oracle.
fn check<T, O>(device: &Device, shape: (usize, usize, usize), group: usize, integers: bool, tally: &mut Tally)
where
    T: Eight,
    O: OutputElement + Float,
{
    let (m, n, k) = shape;
    let stream = device.stream().unwrap();
    let operand = Operand::new(<T as Element>::DTYPE);
    let gemm = Gemm::grouped(device, operand, operand).unwrap();
    let problem = GemmProblem { k_group: Some(group), ..GemmProblem::new(m, n, k, operand.dtype, O::OUTPUT) };
    let mut sample = Sample::new(&format!("{problem} {integers}"));
    let int8 = operand.dtype == DType::I8;
    let accumulation = if int8 { Accumulation::s8() } else { Accumulation::mma(operand.dtype, operand.dtype).unwrap() };
    let most = if int8 { 127 } else { 4 };
    let mut operand_of = |rows: usize| -> Vec<T> {
        let values: Vec<f32> = if integers { sample.integers(rows * k, most) } else { sample.floats(rows, k) };
        values.into_iter().map(T::of).collect()
    };
    let (a, b) = (operand_of(m), operand_of(n));
    let groups = k.div_ceil(group);
    let forms = [Some(SharedBy::Row), Some(SharedBy::Block128), Some(SharedBy::All), None];
    let pick = (m + n + k + group / 64) % 4;
    let sides = [
        Side::new(&mut sample, forms[pick], m, groups),
        Side::new(&mut sample, forms[(pick + 1 + m % 2) % 4], n, groups),
    ];
    let (row, bias): (Vec<f32>, Vec<f32>) = (sample.scales(m), sample.floats(1, n));
    let [wide_a, wide_b] = [&a, &b].map(|values| values.iter().map(|x| x.wide()).collect::<Vec<f32>>());
    let truth = FloatProblem::new(shape, &wide_a, &wide_b, accumulation, <O as Element>::DTYPE).unwrap();
    let truth = truth.scale_rows(&row).unwrap().bias(&bias).unwrap();
    let truth = truth.groups(group, sides[0].expanded(), sides[1].expanded()).unwrap();

    let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
    let (at_row, at_bias) = (stream.upload(&row).unwrap(), stream.upload(&bias).unwrap());
    let scales = sides.each_ref().map(|side| side.upload(&stream));
    let mut plans: Vec<GemmPlan> = Vec::new();
    for plan in candidates(&problem, device.facts()) {
        let kind = |p: &GemmPlan| (p.geometry().unwrap().entry, p.split_k().min(3));
        if !plans.iter().any(|other| kind(other) == kind(&plan)) {
            plans.push(plan);
        }
    }
    for plan in &plans {
        let mut d = stream.upload(&vec![O::from_f32(f32::NAN); m * n]).unwrap();
        let mut scratch = stream.upload(&vec![0xA5u8; plan.scratch_bytes()]).unwrap();
        let args = GemmArgs {
            scale_row: Some(at_row.view()),
            bias: Some(at_bias.view()),
            groups_a: sides[0].scales(&scales[0]),
            groups_b: sides[1].scales(&scales[1]),
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(
                at_a.view().matrix(m, k, k).unwrap(),
                at_b.view().matrix(n, k, k).unwrap(),
                d.view_mut().matrix(m, n, n).unwrap(),
            )
        };
        gemm.run(plan, &stream, args).unwrap_or_else(|e| panic!("{plan}: {e}"));
        let got: Vec<f32> = stream.download(&d).unwrap().into_iter().map(Float::to_f32).collect();
        let pass = |name: &str, c: Comparison| assert!(c.passed(), "{plan} on {device}, {name}: {c}");
        if int8 || integers {
            let bits = exact::gemm_by_groups(&truth, plan.k_slice() as usize).unwrap();
            pass("exact", Comparison::same_bits(&got, &bits, n).unwrap());
        }
        for oracle in oracles() {
            pass(oracle.name(), oracle.gemm(&truth).unwrap().compare(&got).unwrap());
        }
        tally.add("kernel", plan.geometry().unwrap().entry.row().symbol);
        tally.add("split", plan.split_k() > 1);
    }
}

const SHAPES: [(usize, usize, usize); 5] = [(1, 1, 1), (3, 70, 100), (17, 300, 517), (130, 131, 256), (2, 40, 1300)];

#[test]
fn int8_has_the_exact_bits_in_every_slicing() {
    let mut tally = Tally::default();
    for device in devices() {
        for (s, shape) in SHAPES.into_iter().enumerate() {
            for group in [64, 128] {
                match (s + group / 64) % 2 {
                    0 => check::<i8, f32>(&device, shape, group, true, &mut tally),
                    _ => check::<i8, bf16>(&device, shape, group, true, &mut tally),
                }
            }
        }
    }
    let kernels = ["128x128x64", "64x64x64", "16x64x128"].map(|tile| format!("kernel gemm_s8_mma_groups_{tile}"));
    let [a, b, c] = kernels.each_ref().map(|name| (name.as_str(), 15));
    tally.assert("int8 by groups", &[a, b, c, ("split true", 40)]);
}

#[test]
fn eight_bit_floats_are_exact_on_integers_and_within_the_bound() {
    let mut tally = Tally::default();
    for device in devices().into_iter().filter(|device| device.facts().capability >= 89) {
        for (s, shape) in SHAPES.into_iter().enumerate() {
            check::<F8E4M3, f32>(&device, shape, [64, 128][s % 2], true, &mut tally);
            check::<F8E4M3, bf16>(&device, shape, [128, 64][s % 2], false, &mut tally);
            check::<F8E5M2, f32>(&device, shape, 128, s % 2 == 0, &mut tally);
        }
    }
    tally.assert("8-bit floats by groups", &[("kernel gemm_e4m3_e4m3_mma_groups_128x64x64", 10), ("split true", 40)]);
}

/// One call with something changed.
fn refused(
    k_group: Option<usize>,
    change: impl for<'a> FnOnce(&mut GemmArgs<'a, i8, i8, f32>, &'a Buffer<f32>),
    words: &[&str],
) {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (m, n, k) = (200, 300, 130);
    let operand = Operand::new(DType::I8);
    let gemm = match k_group {
        Some(_) => Gemm::grouped(&device, operand, operand).unwrap(),
        None => Gemm::new(&device, operand, operand).unwrap(),
    };
    let (a, b) = (stream.zeros::<i8>(m * k).unwrap(), stream.zeros::<i8>(n * k).unwrap());
    let (mut d, floats) = (stream.zeros::<f32>(m * n).unwrap(), stream.zeros::<f32>(900).unwrap());
    let problem = GemmProblem { k_group, ..GemmProblem::new(m, n, k, DType::I8, Output::F32) };
    let plan = candidates(&problem, device.facts()).find(|plan| plan.split_k() == 1).unwrap();
    let mut args = GemmArgs::new(
        a.view().matrix(m, k, k).unwrap(),
        b.view().matrix(n, k, k).unwrap(),
        d.view_mut().matrix(m, n, n).unwrap(),
    );
    change(&mut args, &floats);
    let error = gemm.launches(&plan, args, |_| panic!("launched")).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error:?} does not say {words:?}");
}

#[test]
fn broken_rules_of_groups_are_refused_with_their_values() {
    fn scales(floats: &Buffer<f32>, len: usize, ld: usize, shared_by: SharedBy) -> GroupScales<'_> {
        GroupScales { view: floats.view().slice(..len).unwrap(), shared_by, ld, step: 1, stride: 0 }
    }
    // 300 rows of 3 groups of 64 are 900 scales, of 2 groups of 128 in 3 blocks 6.
    refused(Some(64), |args, f| args.groups_b = Some(scales(f, 899, 3, SharedBy::Row)), &["groups_b", "899", "900"]);
    refused(Some(128), |args, f| args.groups_b = Some(scales(f, 5, 2, SharedBy::Block128)), &["groups_b", "5", "6"]);
    refused(Some(128), |args, f| args.groups_a = Some(scales(f, 1, 0, SharedBy::All)), &["groups_a", "1", "2"]);
    let far = usize::MAX / 8;
    refused(Some(64), |args, f| args.groups_a = Some(scales(f, 900, far, SharedBy::Row)), &["leave the", "200 x 3"]);
    refused(None, |args, f| args.groups_a = Some(scales(f, 900, 3, SharedBy::Row)), &["groups_a was given", "k_group"]);
    let device = Device::emulator(Arch::Sm80);
    let (gemm, operand) = (|a| Gemm::grouped(&device, a, a), Operand::new(DType::F16));
    let error = gemm(operand).unwrap_err().to_string();
    assert!(error.contains("f16 by groups of K"), "{error}");
    let int8 = gemm(Operand::new(DType::I8)).unwrap();
    let error = int8.plan(&GemmProblem::new(1, 1, 1, DType::I8, Output::F32)).unwrap_err().to_string();
    assert!(error.contains("i8 by i8, but") && error.contains("by groups of K"), "{error}");
}

/// Zero points belong to sums over all of K.
#[test]
fn zero_points_and_groups_do_not_go_together() {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let ints = stream.zeros::<i32>(1).unwrap();
    let codes = stream.zeros::<i8>(64).unwrap();
    let mut d = stream.zeros::<f32>(1).unwrap();
    let operand = Operand::new(DType::I8);
    let gemm = Gemm::grouped(&device, operand, operand).unwrap();
    let problem = GemmProblem { k_group: Some(64), ..GemmProblem::new(1, 1, 64, DType::I8, Output::F32) };
    let args = GemmArgs {
        zero_row: Some(ints.view()),
        column_sums: Some(ints.view()),
        ..GemmArgs::new(
            codes.view().matrix(1, 64, 64).unwrap(),
            codes.view().matrix(1, 64, 64).unwrap(),
            d.view_mut().matrix(1, 1, 1).unwrap(),
        )
    };
    let error = gemm.launches(&gemm.plan(&problem).unwrap(), args, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("zero_row") && error.contains("groups of 64"), "{error}");
}

/// Batch-invariant plans cut K alike for every M, and every tile adds groups in one order.
#[test]
fn the_same_bits_for_every_m_by_groups() {
    let device = Device::emulator(Arch::Sm80);
    let stream = device.stream().unwrap();
    let (n, k, most) = (72, 9000, 140);
    let mut sample = Sample::new("invariant groups");
    let (a, b) = (sample.codes(most * k, -128, 127), sample.codes(n * k, -128, 127));
    let scales: Vec<f32> = sample.scales(most.max(n) * k.div_ceil(64));
    let (at_a, at_b) = (stream.upload(&a).unwrap(), stream.upload(&b).unwrap());
    let scales = stream.upload(&scales).unwrap();
    let operand = Operand::new(DType::I8);
    let gemm = Gemm::grouped(&device, operand, operand).unwrap();
    let groups = k.div_ceil(64);
    let mut first: Vec<f32> = Vec::new();
    let mut kernels = std::collections::BTreeSet::new();
    for m in [140, 1, 17] {
        let problem = GemmProblem::new(m, n, k, DType::I8, Output::F32);
        let problem = GemmProblem { k_group: Some(64), batch_invariant: true, ..problem };
        for plan in candidates(&problem, device.facts()) {
            assert!(plan.split_k() > 1, "{plan}: a cut is what could differ");
            let mut d = stream.upload(&vec![f32::NAN; m * n]).unwrap();
            let mut scratch = stream.zeros::<u8>(gemm.scratch_bound(&problem).unwrap()).unwrap();
            let lines =
                |rows| Some(GroupScales::new(scales.view().matrix(rows, groups, groups).unwrap(), SharedBy::Row));
            let args = GemmArgs {
                groups_a: lines(m),
                groups_b: lines(n),
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
            assert!(got.iter().zip(&first).all(|(x, y)| x.to_bits() == y.to_bits()), "{plan}");
            kernels.insert(plan.geometry().unwrap().entry);
        }
    }
    assert_eq!(kernels.len(), 3);
}

//! The int8 product: the exact bits, under every plan, for every shape.

use half::{bf16, f16};
use halfbyte::device::{Device, Stream};
use halfbyte::emulator::{Arch, AsyncOrder, Machine, MachineOptions};
use halfbyte::op::GemmS8;
use halfbyte::plan::gemm_s8::{GemmS8Plan, candidates};
use proptest::prelude::*;

use super::Tally;
use super::case::{GemmCase, Lie, Number, gemm_on};
use crate::support::devices;

/// Of all plans of a tile: unsplit, in two, and in as many slices as it goes.
fn some_splits(plans: impl Iterator<Item = GemmS8Plan>) -> Vec<GemmS8Plan> {
    let all: Vec<_> = plans.collect();
    let entry = |p: &GemmS8Plan| p.geometry().map(|g| g.entry);
    let last = |i: usize| all.get(i + 1).is_none_or(|next| entry(next) != entry(&all[i]));
    (0..all.len()).filter(|&i| all[i].split_k() <= 2 || last(i)).map(|i| all[i]).collect()
}

/// Runs `case` under `plans` of output `O`.
fn under<O: Number>(case: &GemmCase, gemm: &GemmS8, stream: &Stream, all: bool, tally: &mut Tally) {
    let plans = candidates(&case.problem::<O>(), gemm.device().facts());
    let plans = if all { plans.collect() } else { some_splits(plans) };
    let expected = case.expected::<O>();
    for plan in plans {
        case.check::<O>(gemm, stream, &plan, &expected);
        tally.add("device", gemm.device());
        tally.add("output", O::OUTPUT);
        tally.add("kernel", plan.geometry().unwrap().entry.row().symbol);
        tally.add("split", plan.split_k() > 1);
    }
}

/// The output type by turns.
fn by_turns(turn: usize, case: &GemmCase, gemm: &GemmS8, stream: &Stream, tally: &mut Tally) {
    match turn % 4 {
        0 => under::<f32>(case, gemm, stream, false, tally),
        1 => under::<f16>(case, gemm, stream, false, tally),
        2 => under::<bf16>(case, gemm, stream, false, tally),
        _ => under::<i32>(case, gemm, stream, false, tally),
    }
}

const M: [usize; 18] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 257];
/// Around the tiles' 64 and 128 columns, and odd ones.
const N: [usize; 14] = [1, 2, 3, 8, 15, 17, 63, 64, 65, 96, 127, 128, 129, 259];
/// Around 16-byte chunks, an mma step of 32 and the tiles' 64 and 128; then past twice each ring (3·64, 4·64 and
/// 4·128 bytes), where every slot has been used again.
const K: [usize; 24] =
    [1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 95, 127, 128, 129, 191, 192, 255, 257, 384, 513, 1024, 1111];

#[test]
fn every_shape_gives_the_exact_bits() {
    let mut tally = Tally::default();
    let mut turn = 0;
    let mut shapes: Vec<[usize; 3]> = Vec::new();
    shapes.extend(M.iter().flat_map(|&m| [[m, 65, 129], [m, 136, 80], [m, 24, 300]]));
    shapes.extend(N.iter().flat_map(|&n| [[17, n, 96], [66, n, 131], [130, n, 64]]));
    shapes.extend(K.iter().flat_map(|&k| [[5, 67, k], [65, 24, k], [129, 130, k]]));
    shapes.extend((1..=127).map(|m| [m, 40, 40]));
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        for &shape in &shapes {
            turn += 1;
            let lie = if turn % 3 == 0 { Lie::Tight } else { Lie::Loose };
            let case = GemmCase::random(shape, lie, turn % 2 == 0);
            by_turns(turn, &case, &gemm, &stream, &mut tally);
        }
    }
    tally.assert(
        "int8 products of every shape",
        &[
            ("device emulator sm_80", 1391),
            ("device emulator sm_89", 1391),
            ("device emulator sm_90a", 1686),
            ("kernel gemm_s8_mma_128x128x64", 1479),
            ("kernel gemm_s8_mma_64x64x64", 1479),
            ("kernel gemm_s8_mma_16x64x128", 1215),
            ("kernel gemm_s8_wgmma_128x128x128", 295),
            ("output f32", 1112),
            ("output f16", 1118),
            ("output bf16", 1123),
            ("output s32", 1115),
            ("split true", 1518),
        ],
    );
}

/// All plans, all output types, on shapes that are ragged on every side and wrap every ring twice.
#[test]
fn every_plan_gives_the_same_bits() {
    let mut tally = Tally::default();
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        for shape in [[3, 70, 1100], [130, 129, 400], [150, 200, 0]] {
            let case = GemmCase::random(shape, Lie::Loose, true);
            under::<f32>(&case, &gemm, &stream, true, &mut tally);
            under::<i32>(&case, &gemm, &stream, true, &mut tally);
        }
        let case = GemmCase::random([40, 136, 272], Lie::Tight, false);
        under::<f16>(&case, &gemm, &stream, true, &mut tally);
        under::<bf16>(&case, &gemm, &stream, true, &mut tally);
    }
    tally.assert("int8 products under every plan", &[("split true", 216), ("split false", 78)]);
}

/// Copies and products that land as soon as they are issued, or some early and some late: a slot that is refilled too
/// early would show, as a missing wait does on the devices above, where all lands as late as is legal.
#[test]
fn no_order_of_asynchronous_work_shows() {
    let mut tally = Tally::default();
    for arch in [Arch::Sm80, Arch::Sm90a] {
        for async_order in [AsyncOrder::Early, AsyncOrder::Random(1), AsyncOrder::Random(2), AsyncOrder::Random(3)] {
            let machine = Machine::with(MachineOptions { async_order, ..MachineOptions::new(arch) });
            let (gemm, stream) = gemm_on(&Device::emulator_with(machine));
            let case = GemmCase::random([130, 129, 1111], Lie::Loose, true);
            under::<f32>(&case, &gemm, &stream, false, &mut tally);
        }
    }
    tally.assert(
        "orders of asynchronous work",
        &[("kernel gemm_s8_mma_128x128x64", 24), ("kernel gemm_s8_wgmma_128x128x128", 4)],
    );
}

/// A row of the identity times the weights is a column of the weights: every code arrives where it belongs.
#[test]
fn identity_gives_back_the_weights() {
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        let (n, k) = (131, 193);
        let a: Vec<i8> = (0..k * k).map(|i| i8::from(i % (k + 1) == 0)).collect();
        let b = halfbyte::reference::sample::Sample::new("identity").codes(n * k, -128, 127);
        let want: Vec<i32> = (0..k * n).map(|i| b[i % n * k + i / n].into()).collect();
        let scales = [vec![1.0; k], vec![1.0; n]];
        let case = GemmCase::new("identity".into(), [k, n, k], [a, b], scales, None, Lie::Tight);
        for plan in some_splits(candidates(&case.problem::<i32>(), device.facts())) {
            case.check::<i32>(&gemm, &stream, &plan, &want);
        }
        let want: Vec<f32> = want.into_iter().map(|w| w as f32).collect();
        for plan in some_splits(candidates(&case.problem::<f32>(), device.facts())) {
            case.check::<f32>(&gemm, &stream, &plan, &want);
        }
    }
}

/// The greatest sums that s32 holds, of both signs: K at its limit, all codes −128 or 127.
#[test]
fn the_longest_k_is_exact() {
    let k = halfbyte::plan::gemm_s8::MAX_K;
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        let a: Vec<i8> = (0..2 * k).map(|i| if i < k { -128 } else { 127 }).collect();
        let b = vec![-128; k];
        let scales = [vec![1.0; 2], vec![1.0; 1]];
        let case = GemmCase::new("longest K".into(), [2, 1, k], [a, b], scales, None, Lie::Tight);
        let want = [k as i32 * 16_384, k as i32 * -16_256];
        let plans: Vec<_> = candidates(&case.problem::<i32>(), device.facts()).collect();
        // The whole K in one block is slow on the emulator: the chosen plan and one more.
        for plan in [gemm.plan(&case.problem::<i32>()).unwrap(), plans[plans.len() - 1]] {
            case.check::<i32>(&gemm, &stream, &plan, &want);
        }
    }
}

/// Beyond f16's largest finite number the output is infinite, with its sign; scales that overflow f32 are so too.
#[test]
fn overflow_is_infinite() {
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        let k = 64;
        let a: Vec<i8> = (0..4 * k).map(|i| [127, -127, 1, 0][i / k]).collect();
        let b = vec![127; k];
        let scales = [vec![1.0, 1.0, 1.0, 1e30], vec![1e30]];
        let case = GemmCase::new("overflow".into(), [4, 1, k], [a, b], scales, None, Lie::Tight);
        let plan = gemm.plan(&case.problem::<f16>()).unwrap();
        let inf = f16::INFINITY;
        case.check::<f16>(&gemm, &stream, &plan, &[inf, -inf, inf, f16::NAN]);
        let plan = gemm.plan(&case.problem::<bf16>()).unwrap();
        let [sum, one] = [64 * 127 * 127, 64 * 127].map(|s| bf16::from_f32(s as f32 * 1e30));
        case.check::<bf16>(&gemm, &stream, &plan, &[sum, -sum, one, bf16::NAN]);
    }
}

#[test]
fn empty_outputs_touch_nothing() {
    for device in devices() {
        let (gemm, stream) = gemm_on(&device);
        for shape in [[0, 5, 64], [5, 0, 64], [0, 0, 0], [0, 5, 0]] {
            let case = GemmCase::random(shape, Lie::Tight, true);
            let plan = gemm.plan(&case.problem::<f32>()).unwrap();
            assert_eq!(plan.geometry(), None);
            case.check::<f32>(&gemm, &stream, &plan, &[]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_shapes_are_exact(
        m in 1usize..200, n in 1usize..200, k in 0usize..700,
        loose in any::<bool>(), bias in any::<bool>(), pick in any::<prop::sample::Index>(),
    ) {
        let devices = devices();
        let device = pick.get(&devices);
        let (gemm, stream) = gemm_on(device);
        let case = GemmCase::random([m, n, k], if loose { Lie::Loose } else { Lie::Tight }, bias);
        let plans: Vec<_> = candidates(&case.problem::<f16>(), device.facts()).collect();
        case.check::<f16>(&gemm, &stream, pick.get(&plans), &case.expected::<f16>());
        let plans: Vec<_> = candidates(&case.problem::<i32>(), device.facts()).collect();
        case.check::<i32>(&gemm, &stream, pick.get(&plans), &case.expected::<i32>());
    }
}

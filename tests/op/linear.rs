//! The linear layer, from floats to floats.

use half::{bf16, f16};
use halfbyte::device::{Device, Graph, Status, Stream};
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{InputElement, Linear, LinearArgs};
use halfbyte::plan::gemm_s8;
use halfbyte::plan::linear::join;
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{F64, LinearProblem, Oracle, exact};
use proptest::prelude::*;

use super::Tally;
use super::case::{Number, Place, guards_hold, poison, same};
use crate::support::devices;

/// Data of one layer, quantized on the CPU.
struct Layer<T> {
    name: String,
    shape: [usize; 3],
    x: Vec<T>,
    weights: Int8Matrix,
    bias: Option<Vec<f32>>,
}

impl<T: InputElement + Number> Layer<T> {
    fn random([m, n, k]: [usize; 3], bias: bool) -> Layer<T> {
        let name = format!("linear {m}x{n}x{k} {} bias {bias}", T::INPUT);
        let mut sample = Sample::new(&name);
        let x = sample.matrix(m, k).into_iter().map(|v| T::expected(v, 0)).collect();
        let weights = Int8Matrix::quantize(&sample.matrix(n, k), n, k).unwrap();
        let bias = bias.then(|| (0..n).map(|_| sample.gaussian()).collect());
        Layer { name, shape: [m, n, k], x, weights, bias }
    }

    fn on(&self, stream: &Stream) -> Linear {
        Linear::new(stream, &self.weights, self.bias.as_deref()).unwrap()
    }

    /// The exact answer, written as `O`, and the f64 oracle's verdict on it.
    fn expected<O: Number>(&self) -> Vec<O> {
        let [m, _, k] = self.shape;
        let activations = Int8Matrix::quantize_activations(&self.x, m, k).unwrap();
        let problem =
            LinearProblem::new(activations.view(), self.weights.view(), self.bias.as_deref(), O::DTYPE).unwrap();
        exact::linear(&problem).unwrap().into_iter().map(|v| O::expected(v, 0)).collect()
    }

    /// Holds an output against the f64 oracle, element by element; returns the worst error over its bound.
    fn bounded<O: Number>(&self, got: &[O]) -> f64 {
        let [m, _, k] = self.shape;
        let activations = Int8Matrix::quantize_activations(&self.x, m, k).unwrap();
        let problem =
            LinearProblem::new(activations.view(), self.weights.view(), self.bias.as_deref(), O::DTYPE).unwrap();
        let got: Vec<f32> = got.iter().map(|&v| v.value() as f32).collect();
        let comparison = F64.linear(&problem).unwrap().compare(&got).unwrap();
        assert_eq!(comparison.failures, 0, "{}: {:?}", self.name, comparison.first_failure);
        comparison.worst_ratio
    }

    fn equal<O: Number>(&self, what: &str, got: &[O], want: &[O]) {
        let n = self.shape[1];
        assert_eq!(got.len(), want.len(), "{}, {what}", self.name);
        for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
            assert!(
                same(got, want),
                "{}, {what}: row {}, column {}: {got:?} instead of {want:?}",
                self.name,
                at / n,
                at % n
            );
        }
    }
}

fn forward<T: InputElement + Number, O: Number>(shape: [usize; 3], bias: bool, tally: &mut Tally) {
    let layer = Layer::<T>::random(shape, bias);
    let [m, _, k] = shape;
    let want = layer.expected::<O>();
    layer.bounded(&want);
    for device in devices() {
        let stream = device.stream().unwrap();
        let linear = layer.on(&stream);
        let x = stream.upload(&layer.x).unwrap();
        let out = linear.forward_on_device::<T, O>(&stream, x.view().matrix(m, k, k).unwrap()).unwrap();
        let got = stream.download(&out).unwrap();
        layer.equal(&device.to_string(), &got, &want);
        tally.add("device", &device);
        tally.add("input", T::INPUT);
        tally.add("output", O::OUTPUT);
    }
}

#[test]
fn every_pair_of_types_is_exact_and_bounded() {
    let mut tally = Tally::default();
    for (shape, bias) in [([17, 70, 200], true), ([1, 130, 1000], false), ([129, 65, 77], true), ([3, 40, 0], true)] {
        forward::<f32, f32>(shape, bias, &mut tally);
        forward::<f32, f16>(shape, bias, &mut tally);
        forward::<f32, bf16>(shape, bias, &mut tally);
        forward::<f16, f32>(shape, bias, &mut tally);
        forward::<f16, f16>(shape, bias, &mut tally);
        forward::<f16, bf16>(shape, bias, &mut tally);
        forward::<bf16, f32>(shape, bias, &mut tally);
        forward::<bf16, f16>(shape, bias, &mut tally);
        forward::<bf16, bf16>(shape, bias, &mut tally);
    }
    tally.assert(
        "linear layers",
        &[
            ("device emulator sm_80", 36),
            ("device emulator sm_89", 36),
            ("device emulator sm_90a", 36),
            ("input bf16", 36),
            ("output f16", 36),
        ],
    );
}

/// Layers of models, cut in N where they are long.
#[test]
fn layers_of_models() {
    let mut tally = Tally::default();
    for shape in [[1, 768, 768], [16, 384, 1536], [77, 256, 768], [77, 128, 4096], [16, 96, 11_008]] {
        forward::<f16, f16>(shape, true, &mut tally);
    }
    tally.assert("layers of models", &[("output f16", 15)]);
}

#[test]
fn the_one_line_form() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let layer = Layer::<f32>::random([5, 33, 50], true);
        let got = layer.on(&stream).forward(&stream, &layer.x).unwrap();
        layer.equal("one line", &got, &layer.expected::<f32>());
        assert!(layer.on(&stream).forward::<f32>(&stream, &[]).unwrap().is_empty());
        let text = layer.on(&stream).forward(&stream, &layer.x[..51]).unwrap_err().to_string();
        assert_eq!(text, "51 inputs are not rows of K = 50");
    }
}

/// Weights survive the device: what comes back is what was given.
#[test]
fn weights_and_bias_come_back() {
    let stream = devices()[0].stream().unwrap();
    let layer = Layer::<f32>::random([1, 33, 50], true);
    let linear = layer.on(&stream);
    assert_eq!(linear.weights(&stream).unwrap(), layer.weights);
    assert_eq!(linear.bias(&stream).unwrap(), layer.bias);
    assert_eq!((linear.out_features(), linear.in_features()), (33, 50));
    assert_eq!(linear.device(), stream.device());
    // Without columns a leading dimension is not bounded by the buffer.
    let (none, scales) = (stream.alloc::<i8>(0).unwrap(), stream.zeros::<f32>(3).unwrap());
    let empty = Linear::from_buffers(none, [3, 0], usize::MAX - 15, scales, None).unwrap();
    let weights = empty.weights(&stream).unwrap();
    assert_eq!((weights.rows(), weights.cols()), (3, 0));
}

/// The form of a runtime: views into larger matrices, one scratch buffer, every legal plan.
fn planned(device: &Device, shape: [usize; 3], every: bool) {
    let stream = device.stream().unwrap();
    let layer = Layer::<f16>::random(shape, true);
    let linear = layer.on(&stream);
    let [m, n, k] = shape;
    let want = layer.expected::<f32>();
    let (x_place, out_place) =
        (Place { before: 9, rows: m, cols: k, ld: k + 5 }, Place { before: 5, rows: m, cols: n, ld: n + 2 });
    let mut guards = poison::<f16>(x_place.len()).into_iter();
    let x_data = x_place.put(&layer.x, || guards.next().unwrap());
    let x = stream.upload(&x_data).unwrap();
    let mut status = Status::new(&stream).unwrap();

    let chosen = linear.plan::<f16, f32>(m).unwrap();
    assert!(chosen.scratch_bytes() <= linear.scratch_bound(m).unwrap());
    let mut plans = vec![chosen];
    if every {
        let gemm = gemm_s8::candidates(chosen.gemm().problem(), device.facts());
        plans.extend(gemm.map(|gemm| join(chosen.quantize(), &gemm).unwrap()));
    }
    for plan in plans {
        let mut out = stream.upload(&poison::<f32>(out_place.len())).unwrap();
        let mut scratch = stream.upload(&poison::<u8>(plan.scratch_bytes())).unwrap();
        let args = LinearArgs {
            x: x.view().slice(9..).unwrap().matrix(m, k, x_place.ld).unwrap(),
            out: out.view_mut().slice(5..).unwrap().matrix(m, n, out_place.ld).unwrap(),
            scratch: scratch.view_mut(),
            status: Some(&mut status),
        };
        linear.run(&plan, &stream, args).unwrap_or_else(|e| panic!("{plan}: {e}"));
        let out = stream.download(&out).unwrap();
        guards_hold(&layer.name, &out_place, &out);
        layer.equal(&plan.to_string(), &out_place.take(&out), &want);
        assert!(status.read_and_clear(&stream).unwrap().is_clear(), "{plan}");
    }
}

#[test]
fn the_form_of_a_runtime() {
    for device in devices() {
        planned(&device, [19, 67, 600], true);
        planned(&device, [0, 67, 64], false);
        planned(&device, [7, 0, 64], false);
        planned(&device, [2, 9, 0], true);
    }
}

/// A NaN or an infinity in one row makes that row NaN, no other, and raises the flag.
#[test]
fn a_row_that_is_not_finite_stays_alone() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut layer = Layer::<f32>::random([6, 40, 100], true);
        let clean = layer.expected::<f32>();
        layer.x[2 * 100 + 99] = f32::NAN;
        layer.x[4 * 100] = f32::NEG_INFINITY;
        let linear = layer.on(&stream);
        let plan = linear.plan::<f32, f32>(6).unwrap();
        let x = stream.upload(&layer.x).unwrap();
        let mut out = stream.zeros::<f32>(6 * 40).unwrap();
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes()).unwrap();
        let mut status = Status::new(&stream).unwrap();
        let args = LinearArgs {
            x: x.view().matrix(6, 100, 100).unwrap(),
            out: out.view_mut().matrix(6, 40, 40).unwrap(),
            scratch: scratch.view_mut(),
            status: Some(&mut status),
        };
        linear.run(&plan, &stream, args).unwrap();
        let got = stream.download(&out).unwrap();
        for (row, (got, clean)) in got.chunks(40).zip(clean.chunks(40)).enumerate() {
            if row == 2 || row == 4 {
                assert!(got.iter().all(|v| v.is_nan()), "row {row}: {got:?}");
            } else {
                assert_eq!(got, clean, "row {row}");
            }
        }
        assert!(status.read_and_clear(&stream).unwrap().nonfinite_input);
    }
}

/// Recorded once, replayed with new inputs.
#[test]
fn a_captured_run_replays() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let (first, second) = (Layer::<f32>::random([3, 64, 1500], true), Layer::<f32>::random([3, 64, 1500], false));
        let linear = first.on(&stream);
        let plan = linear.plan::<f32, f32>(3).unwrap();
        let mut x = stream.upload(&first.x).unwrap();
        let mut out = stream.zeros::<f32>(3 * 64).unwrap();
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes()).unwrap();
        let mut graph = Graph::capture(&stream, |stream| {
            let args = LinearArgs {
                x: x.view().matrix(3, 1500, 1500)?,
                out: out.view_mut().matrix(3, 64, 64)?,
                scratch: scratch.view_mut(),
                status: None,
            };
            linear.run(&plan, stream, args)
        })
        .unwrap();
        graph.replay().unwrap();
        first.equal("replay", &stream.download(&out).unwrap(), &first.expected::<f32>());
        stream.write(&mut x, &second.x).unwrap();
        graph.replay().unwrap();
        graph.replay().unwrap();
        let other = Layer { x: second.x, ..first };
        other.equal("second replay", &stream.download(&out).unwrap(), &other.expected::<f32>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_layers_are_exact(
        m in 0usize..80, n in 0usize..150, k in 1usize..600, bias in any::<bool>(), pick in any::<prop::sample::Index>(),
    ) {
        let devices = devices();
        let stream = pick.get(&devices).stream().unwrap();
        let layer = Layer::<bf16>::random([m, n, k], bias);
        let got = layer.on(&stream).forward(&stream, &layer.x).unwrap();
        let want = layer.expected::<bf16>();
        layer.equal("forward", &got, &want);
        prop_assert!(layer.bounded(&got) <= 1.0);
    }
}

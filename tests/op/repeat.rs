//! The same call gives the same bits: again and again, at other addresses, from several threads at once.

use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::Linear;
use halfbyte::reference::sample::Sample;

use crate::support::devices;

const SHAPE: [usize; 3] = [9, 130, 8000];

fn layer() -> (Vec<f32>, Int8Matrix) {
    let [m, n, k] = SHAPE;
    let mut sample = Sample::new("repeat");
    (sample.matrix(m, k), Int8Matrix::quantize(&sample.matrix(n, k), n, k).unwrap())
}

#[test]
fn a_hundred_runs_give_the_same_bits() {
    let (x, weights) = layer();
    let mut all: Vec<Vec<f32>> = Vec::new();
    for device in devices() {
        let stream = device.stream().unwrap();
        let linear = Linear::new(&stream, &weights, None).unwrap();
        assert!(linear.plan::<f32, f32>(SHAPE[0]).unwrap().gemm().split_k() > 1, "the hard case: a split K");
        let first = linear.forward(&stream, &x).unwrap();
        // Buffers that come and go shift what comes after them.
        let mut kept = Vec::new();
        for run in 1..100usize {
            if run % 3 != 0 {
                kept.push(stream.alloc::<u8>(run * 977 % 5000).unwrap());
            } else {
                kept.swap_remove(run % kept.len());
            }
            let again = linear.forward(&stream, &x).unwrap();
            assert!(again.iter().map(|v| v.to_bits()).eq(first.iter().map(|v| v.to_bits())), "run {run} on {device}");
        }
        all.push(first);
    }
    assert!(all.iter().all(|out| *out == all[0]), "int8 products do not depend on the device");
}

#[test]
fn streams_at_the_same_time_give_the_same_bits() {
    let (x, weights) = layer();
    for device in devices() {
        let stream = device.stream().unwrap();
        let linear = Linear::new(&stream, &weights, None).unwrap();
        let want = linear.forward(&stream, &x).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let stream = device.new_stream().unwrap();
                    for _ in 0..5 {
                        assert!(linear.forward(&stream, &x).unwrap() == want, "{device}");
                    }
                });
            }
        });
    }
}

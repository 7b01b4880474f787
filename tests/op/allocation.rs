//! Planning a run and preparing its launches takes no memory from the heap.

use half::f16;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{Linear, LinearArgs, Step};

use crate::support::{allocations, devices};

#[test]
fn the_counter_counts() {
    let before = allocations();
    let boxed = std::hint::black_box(Box::new(7u64));
    assert_eq!(allocations() - before, 1);
    drop(boxed);
    assert_eq!(allocations() - before, 1);
}

#[test]
fn plan_and_launches_do_not_allocate() {
    for device in devices() {
        let stream = device.stream().unwrap();
        // A short K that is not split, and a long one that is; rows kept on chip, and a tile for many rows.
        for [m, n, k] in [[1, 64, 256], [3, 200, 4000], [300, 256, 512]] {
            let weights = Int8Matrix::quantize(&vec![1.0f32; n * k], n, k).unwrap();
            let linear = Linear::new(&stream, &weights, Some(&vec![0.0; n])).unwrap();
            let x = stream.zeros::<f16>(m * k).unwrap();
            let mut out = stream.zeros::<f16>(m * n).unwrap();
            let mut scratch = stream.alloc::<u8>(linear.scratch_bound(m).unwrap()).unwrap();

            let before = allocations();
            let plan = linear.plan::<f16, f16>(m).unwrap();
            let args = LinearArgs {
                x: x.view().matrix(m, k, k).unwrap(),
                out: out.view_mut().matrix(m, n, n).unwrap(),
                scratch: scratch.view_mut(),
                status: None,
            };
            let (mut launches, mut clears) = (0, 0);
            linear
                .launches(&plan, args, |step| {
                    match step {
                        Step::Launch(_) => launches += 1,
                        Step::Clear(words) => clears += words.len(),
                    }
                    Ok(())
                })
                .unwrap();
            let taken = allocations() - before;
            assert_eq!(taken, 0, "{plan} on {device}");
            assert_eq!((launches, clears * 4), (2, plan.gemm().tickets().len()), "{plan}");
        }
    }
}

//! A run on CUDA takes no memory from the heap, the way to the driver included.

use half::f16;
use halfbyte::device::Device;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{Linear, LinearArgs};

use super::fake_driver::{Library, in_child};
use crate::support::allocations;

#[test]
fn a_run_does_not_allocate() {
    let test = "device::cuda_run::a_run_does_not_allocate";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_CAPABILITY", "90")], |log| {
        let device = Device::cuda(0).unwrap();
        // One stream, and then a second, from which on uses of memory are ordered by events.
        for stream in [device.stream().unwrap(), device.new_stream().unwrap()] {
            // mma whole, mma with K in slices, and wgmma through tensor maps.
            let shapes =
                [([3, 200, 256], false, false), ([1, 256, 8192], true, false), ([2048, 4096, 1024], false, true)];
            for ([m, n, k], split, maps) in shapes {
                let weights = Int8Matrix::quantize(&vec![1.0f32; n * k], n, k).unwrap();
                let linear = Linear::new(&stream, &weights, Some(&vec![0.0; n])).unwrap();
                let x = stream.zeros::<f16>(m * k).unwrap();
                let mut out = stream.zeros::<f16>(m * n).unwrap();
                let mut scratch = stream.alloc::<u8>(linear.scratch_bound(m).unwrap()).unwrap();
                let plan = linear.plan::<f16, f16>(m).unwrap();
                assert_eq!((plan.gemm().split_k() > 1, plan.gemm().uses_tensor_maps()), (split, maps));
                log.take();

                let before = allocations();
                let args = LinearArgs {
                    x: x.view().matrix(m, k, k).unwrap(),
                    out: out.view_mut().matrix(m, n, n).unwrap(),
                    scratch: scratch.view_mut(),
                    status: None,
                };
                linear.run(&plan, &stream, args).unwrap();
                assert_eq!(allocations() - before, 0, "{}", plan.gemm());
                assert_eq!(log.take().iter().filter(|line| line.starts_with("launch ")).count(), 2);
            }
        }
    });
}

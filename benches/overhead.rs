//! What a call costs before the device has anything to do: plan, checks, launches as values. At most 2 µs together.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use half::f16;
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{Linear, LinearArgs};

fn overhead(c: &mut Criterion) {
    let mut group = c.benchmark_group("overhead");
    for arch in [Arch::Sm80, Arch::Sm90a] {
        let device = Device::emulator(arch);
        let stream = device.stream().unwrap();
        // One row with a split K: clearing, quantizing, multiplying. Many rows: the largest tile.
        for (name, [m, n, k]) in [("one row", [1, 256, 4096]), ("many rows", [512, 2048, 512])] {
            let weights = Int8Matrix::quantize(&vec![1.0f32; n * k], n, k).unwrap();
            let linear = Linear::new(&stream, &weights, Some(&vec![0.5; n])).unwrap();
            let x = stream.zeros::<f16>(m * k).unwrap();
            let mut out = stream.zeros::<f16>(m * n).unwrap();
            let mut scratch = stream.alloc::<u8>(linear.scratch_bound(m).unwrap()).unwrap();
            let id = |what: &str| BenchmarkId::new(what, format!("{name}, {arch}"));

            group.bench_function(id("plan"), |b| b.iter(|| linear.plan::<f16, f16>(black_box(m)).unwrap()));
            group.bench_function(id("plan and launches"), |b| {
                b.iter(|| {
                    let plan = linear.plan::<f16, f16>(black_box(m)).unwrap();
                    let args = LinearArgs {
                        x: x.view().matrix(m, k, k).unwrap(),
                        out: out.view_mut().matrix(m, n, n).unwrap(),
                        scratch: scratch.view_mut(),
                        status: None,
                    };
                    linear
                        .launches(&plan, args, |step| {
                            black_box(&step);
                            Ok(())
                        })
                        .unwrap();
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);

//! What a call costs before the device has anything to do: plan, checks, launches as values, of a linear layer and of
//! attention. At most 2 µs together.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use half::f16;
use halfbyte::device::Device;
use halfbyte::emulator::Arch;
use halfbyte::format::DType;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{
    Attention, AttentionArgs, AttentionInt8, AttentionInt8Args, Heads, HeadsMut, Linear, LinearArgs, Mean,
};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::AttentionQuantizeProblem;
use halfbyte::plan::quantize_rows::Input;

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

/// Of a chunk of a prompt behind 4,096 earlier tokens, in 16 bits and in 8.
fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("overhead of attention");
    let device = Device::emulator(Arch::Sm90a);
    let stream = device.stream().unwrap();
    let ([queries, keys], [heads, kv_heads], size) = ([16, 4096], [8, 2], 128);
    let q = stream.zeros::<f16>(queries * heads * size).unwrap();
    let k = stream.zeros::<f16>(keys * kv_heads * size).unwrap();
    let mut out = stream.zeros::<f16>(queries * heads * size).unwrap();
    let rows = |buffer, tokens, heads| Heads::bshd(buffer, tokens, heads, size);

    let problem = AttentionProblem {
        mask: Mask::CAUSAL,
        ..AttentionProblem::new([queries, keys], [heads, kv_heads], size, DType::F16)
    };
    let attention = Attention::new(&device, DType::F16).unwrap();
    group.bench_function("16 bits", |b| {
        b.iter(|| {
            let plan = attention.plan(black_box(&problem)).unwrap();
            let to = HeadsMut::bshd(&mut out, queries, heads, size);
            let (q, k) = (rows(&q, queries, heads), rows(&k, keys, kv_heads));
            attention
                .launches(&plan, AttentionArgs::new(&problem, q, k, k, to), |step| {
                    black_box(&step);
                    Ok(())
                })
                .unwrap();
        });
    });

    let operands = AttentionQuantizeProblem::new([queries, keys], [heads, kv_heads], size, Input::F16);
    let problem = AttentionInt8Problem { mask: Mask::CAUSAL, ..AttentionInt8Problem::new(operands) };
    let attention = AttentionInt8::new(&device, Input::F16, false).unwrap();
    let mut mean = stream.alloc::<f32>(kv_heads * size).unwrap();
    let mut scratch = stream.alloc::<u8>(attention.scratch_bound(&problem).unwrap()).unwrap();
    group.bench_function("8 bits, with its quantizers", |b| {
        b.iter(|| {
            let plan = attention.plan(black_box(&problem)).unwrap();
            let to = HeadsMut::bshd(&mut out, queries, heads, size);
            let (q, k) = (rows(&q, queries, heads), rows(&k, keys, kv_heads));
            let mean = Mean::Computed(mean.view_mut());
            attention
                .launches(&plan, AttentionInt8Args::new(&problem, q, k, k, to, mean, scratch.view_mut()), |step| {
                    black_box(&step);
                    Ok(())
                })
                .unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, overhead, attention);
criterion_main!(benches);

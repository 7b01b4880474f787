//! A linear layer with int8 weights: quantize, run on a device, look at the result. Works on any machine.
//!
//!     cargo run --release --example linear

use halfbyte::device::{Device, cuda_devices};
use halfbyte::emulator::Arch;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::op::{Linear, LinearArgs};
use halfbyte::reference::sample::Sample;

fn main() -> halfbyte::Result<()> {
    // A program chooses where it runs; the crate never falls back by itself.
    let device = match cuda_devices() {
        Ok(gpus) if !gpus.is_empty() => Device::cuda(0)?,
        _ => Device::emulator(Arch::Sm80),
    };
    let stream = device.stream()?;

    // Weights [N, K] become int8 codes and one scale a row, here or in a file: see `Int8Matrix::to_safetensors`.
    let (m, n, k) = (4, 256, 384);
    let w = Sample::new("weights").matrix(n, k);
    let weights = Int8Matrix::quantize(&w, n, k)?;
    let linear = Linear::new(&stream, &weights, None)?;

    // The one-line form: rows of K floats in, rows of N floats out.
    let x = Sample::new("activations").matrix(m, k);
    let y = linear.forward(&stream, &x)?;
    let exact: f64 = x[..k].iter().zip(&w[..k]).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
    println!("on {device}: y[0][0] = {:.4}, without quantization {exact:.4}", y[0]);

    // The form for a runtime: plan ahead, bring the memory, run without allocating or waiting.
    let plan = linear.plan::<f32, f32>(m)?;
    println!("{}", plan.gemm());
    let mut scratch = stream.alloc::<u8>(linear.scratch_bound(m)?)?;
    let x = stream.upload(&x)?;
    let mut out = stream.alloc::<f32>(m * n)?;
    let args = LinearArgs {
        x: x.view().matrix(m, k, k)?,
        out: out.view_mut().matrix(m, n, n)?,
        scratch: scratch.view_mut(),
        status: None,
    };
    linear.run(&plan, &stream, args)?;
    assert_eq!(stream.download(&out)?, y, "the same bits, whatever the form");
    Ok(())
}

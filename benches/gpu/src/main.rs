//! Time of products on a GPU, beside cuBLASLt's in the same run.
//!
//! Ours and the peer's take turns; each sample is one pass over sets of operands that are together more than twice
//! the L2 cache, timed with events; the figure is the median. Data is random. Before anything is timed the two
//! outputs are compared: sums of int8 must be equal, floats alike.
//!
//! `--measure` times squares and thin products, `--layers` the linear layers of models at their true sizes,
//! `--attention` attention beside PyTorch's back ends; one of each is run once without any. Without a GPU it says so
//! and does nothing.

mod attention;
mod cublaslt;
mod layers;
mod product;

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use half::f16;
use halfbyte::device::{Device, Stream, cuda_devices};
use halfbyte::format::F8E4M3;

use product::measure;

/// M, N, K: two squares for the tensor cores, three thin ones for the memory.
const SHAPES: [[usize; 3]; 5] =
    [[4096, 4096, 4096], [8192, 8192, 8192], [1, 8192, 8192], [16, 8192, 8192], [64, 8192, 8192]];
const SAMPLES: usize = 51;
/// Of a layer there are many shapes and types.
const LAYER_SAMPLES: usize = 11;

fn main() -> Result<(), Box<dyn Error>> {
    let device = match Device::cuda(0) {
        Ok(device) => device,
        Err(missing) => {
            println!("not measured: {missing}");
            return Ok(());
        }
    };
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    let (squares, layers, attentions) = (asked("--measure"), asked("--layers"), asked("--attention"));
    let stream = device.stream()?;
    let mut rows = Vec::new();
    let samples = match (squares, layers || attentions) {
        (false, false) => 1,
        (true, _) => SAMPLES,
        _ => LAYER_SAMPLES,
    };
    if attentions || !squares && !layers {
        let mut peer = match attention::Peer::new() {
            Ok(peer) => Some(peer),
            Err(missing) => {
                println!("timed alone: {missing}");
                None
            }
        };
        let shapes = attention::shapes();
        let some = if attentions { shapes.len() } else { 1 };
        for shape in shapes.into_iter().take(some) {
            let row = attention::measure(&stream, shape, samples, &mut peer)?;
            println!("{row}");
            rows.push(row);
        }
    }
    if squares || !layers && !attentions {
        for shape in SHAPES.into_iter().take(if squares { SHAPES.len() } else { 1 }) {
            every_type(&stream, "square or thin", shape, samples, &mut rows)?;
        }
    }
    if layers {
        for (name, n, k) in layers::LAYERS {
            for m in layers::TOKENS {
                every_type(&stream, name, [m, n, k], LAYER_SAMPLES, &mut rows)?;
            }
        }
    }
    let info = cuda_devices()?.swap_remove(0);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let json = format!(
        "{{\n  \"gpu\": \"{}\",\n  \"driver_cuda\": \"{}.{}\",\n  \"unix_time\": {seconds},\n  \"samples\": {samples},\n  \"rows\": [\n    {}\n  ]\n}}\n",
        info.name,
        info.driver.0,
        info.driver.1,
        rows.join(",\n    ")
    );
    match std::env::var_os("HALFBYTE_BENCH_JSON") {
        Some(path) if squares || layers || attentions => std::fs::write(path, json)?,
        _ => print!("{json}"),
    }
    Ok(())
}

/// Times a shape with every type that the GPU multiplies.
fn every_type(
    stream: &Stream,
    what: &str,
    shape: [usize; 3],
    samples: usize,
    rows: &mut Vec<String>,
) -> Result<(), Box<dyn Error>> {
    let mut told = |row: String| {
        println!("{row}");
        rows.push(row);
    };
    told(measure::<i8>(stream, what, shape, samples)?);
    told(measure::<f16>(stream, what, shape, samples)?);
    if stream.device().facts().capability >= 89 {
        told(measure::<F8E4M3>(stream, what, shape, samples)?);
    }
    Ok(())
}

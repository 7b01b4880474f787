//! Makes `tests/data/minilm-layer0.safetensors`: the six matrices and biases of the first layer of all-MiniLM-L6-v2, as
//! F16.
//!
//! ```text
//! cargo run --release --example minilm_layer -- model.safetensors tests/data/minilm-layer0.safetensors
//! ```
//!
//! The same model gives the same bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use half::f16;
use halfbyte::format::safetensors::{Archive, TensorData, to_bytes};
use halfbyte::{Error, Result};

const LAYER: &str = "encoder.layer.0";
const MATRICES: [&str; 6] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
];

/// The bytes of the file, from the whole model.
///
/// # Errors
/// When the model cannot be read or lacks a tensor.
pub fn layer(model: &Path) -> Result<Vec<u8>> {
    let model = Archive::open(model)?;
    let mut tensors = Vec::new();
    for matrix in MATRICES {
        for part in ["weight", "bias"] {
            let name = format!("{LAYER}.{matrix}.{part}");
            let values: Vec<f16> = model.read_f32(&name)?.into_iter().map(f16::from_f32).collect();
            let shape = model.tensor(&name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
            tensors.push((name, shape, values));
        }
    }
    let tensors = tensors.iter().map(|(name, shape, values)| TensorData::new(name, shape, values));
    let source = "sentence-transformers/all-MiniLM-L6-v2, encoder.layer.0, F32 rounded to F16";
    let notes = BTreeMap::from([("license", "Apache-2.0"), ("source", source)].map(|(k, v)| (k.into(), v.into())));
    to_bytes(&tensors.collect::<Result<Vec<_>>>()?, &notes)
}

#[allow(dead_code)] // A test includes this file for `layer`.
fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let [model, out] = args.as_slice() else {
        eprintln!("usage: minilm_layer MODEL.safetensors OUT.safetensors");
        return ExitCode::FAILURE;
    };
    let made = layer(Path::new(model)).and_then(|bytes| {
        fs::write(out, &bytes).map_err(|e| Error::File(format!("{}: {e}", out.display())))?;
        Ok(bytes.len())
    });
    match made {
        Ok(bytes) => {
            println!("{}: {bytes} bytes", out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

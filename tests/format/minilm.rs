//! The real weights in `tests/data`: one layer of all-MiniLM-L6-v2.

use std::path::{Path, PathBuf};
use std::{env, fs};

use halfbyte::format::DType;
use halfbyte::format::int8::Int8Matrix;
use halfbyte::format::safetensors::Archive;
use halfbyte::reference::relative_rms;

#[path = "../../examples/minilm_layer.rs"]
mod minilm_layer;

/// Name, N, K.
const MATRICES: [(&str, usize, usize); 6] = [
    ("encoder.layer.0.attention.self.query", 384, 384),
    ("encoder.layer.0.attention.self.key", 384, 384),
    ("encoder.layer.0.attention.self.value", 384, 384),
    ("encoder.layer.0.attention.output.dense", 384, 384),
    ("encoder.layer.0.intermediate.dense", 1536, 384),
    ("encoder.layer.0.output.dense", 384, 1536),
];

/// The committed file; `None` in the published package, which leaves the whole folder out.
fn path() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    if !folder.exists() {
        println!("skipped: 1 case; the published package holds no model weights");
        return None;
    }
    Some(folder.join("minilm-layer0.safetensors"))
}

#[test]
fn the_layer_is_six_matrices_with_biases_that_quantize_well() {
    let Some(path) = path() else { return };
    let archive = Archive::open(path).expect("it is committed");
    assert_eq!(archive.tensors().len(), 2 * MATRICES.len());
    for (name, n, k) in MATRICES {
        let weight = archive.tensor(&format!("{name}.weight")).expect("it is there");
        assert_eq!((weight.dtype(), weight.shape()), (Some(DType::F16), &[n, k][..]));
        let bias = archive.tensor(&format!("{name}.bias")).expect("it is there");
        assert_eq!((bias.dtype(), bias.shape()), (Some(DType::F16), &[n][..]));

        let values = archive.read_f32(weight.name()).expect("it is f16");
        let matrix = Int8Matrix::quantize(&values, n, k).expect("real weights are finite");
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let loss = relative_rms(&wide(&matrix.dequantize()), &wide(&values)).expect("lengths agree");
        println!("{name}: [{n}, {k}], quantization error {loss:.2e}");
        // Rounding to 1/127 of the largest value costs at most 1/254 of it, and the largest is some 3 to 12 times the
        // RMS.
        assert!((1e-3..3e-2).contains(&loss), "{name}: {loss}");
    }
}

/// The committed file is what the example makes of the whole model, byte for byte. The model is not in the repository.
#[test]
fn the_layer_is_what_the_example_makes_of_the_model() {
    let Some(path) = path() else { return };
    let Some(model) = env::var_os("HALFBYTE_TEST_MINILM") else {
        println!("skipped: 1 case; set HALFBYTE_TEST_MINILM to the model.safetensors of all-MiniLM-L6-v2 to run it");
        return;
    };
    let made = minilm_layer::layer(Path::new(&model)).expect("the model is as published");
    assert!(made == fs::read(path).expect("it is committed"), "the committed layer differs from the model's");
    println!("compared: 1 case, {} bytes", made.len());
}

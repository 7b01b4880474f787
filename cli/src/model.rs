//! Real weights: the matrices of a safetensors file.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use halfbyte::Result;
use halfbyte::format::safetensors::Archive;
use halfbyte::plan::gemm_s8::MAX_K;

/// Where the source tree keeps one layer of all-MiniLM-L6-v2 (see the NOTICE beside it). The published package leaves
/// it out.
const MINILM: &str = "tests/data/minilm-layer0.safetensors";

/// The committed layer, if this program was built from the source tree and finds it there or in this folder.
pub fn minilm() -> Option<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MINILM);
    [PathBuf::from(MINILM), built_in].into_iter().find(|path| path.is_file())
}

/// One 2-D floating matrix `[N, K]` of a file, not yet read.
#[derive(Clone)]
pub struct Matrix {
    archive: Rc<Archive<'static>>,
    name: String,
    bias: Option<String>,
    /// Rows: N.
    pub n: usize,
    /// Columns: K.
    pub k: usize,
}

impl Matrix {
    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its values, row-major.
    ///
    /// # Errors
    /// The file cannot be read, or the host cannot hold it.
    pub fn read(&self) -> Result<Vec<f32>> {
        self.archive.read_f32(&self.name)
    }

    /// The bias that belongs to it, if the file has one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_bias(&self) -> Result<Option<Vec<f32>>> {
        self.bias.as_deref().map(|name| self.archive.read_f32(name)).transpose()
    }
}

/// Every matrix of a file that can be a weight, and a line for each that cannot and why.
///
/// # Errors
/// The file cannot be read or is no safetensors file.
pub fn matrices(path: &Path) -> Result<(Vec<Matrix>, Vec<String>)> {
    let archive = Rc::new(Archive::open(path)?);
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for tensor in archive.tensors() {
        let &[n, k] = tensor.shape() else { continue };
        if !tensor.is_float() {
            continue;
        }
        let name = tensor.name().to_string();
        if n == 0 || k == 0 || k > MAX_K {
            left_out
                .push(format!("{name} [{n}, {k}] is left out: a weight has 1 to {MAX_K} columns and at least a row"));
            continue;
        }
        let bias = name.strip_suffix(".weight").map(|stem| format!("{stem}.bias"));
        let bias = bias.filter(|bias| archive.tensor(bias).is_some_and(|b| b.is_float() && b.shape() == [n]));
        found.push(Matrix { archive: Rc::clone(&archive), name, bias, n, k });
    }
    Ok((found, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfbyte::format::safetensors::{TensorData, write};

    #[test]
    fn matrices_are_found_with_their_bias_and_others_are_left_out() {
        let path = std::env::temp_dir().join(format!("halfbyte-model-{}.safetensors", std::process::id()));
        let values = vec![1.0f32; 6];
        let tensors = [
            TensorData::new("a.weight", &[2, 3], &values).unwrap(),
            TensorData::new("a.bias", &[2], &values[..2]).unwrap(),
            TensorData::new("b.weight", &[3, 2], &values).unwrap(),
            TensorData::new("empty", &[0, 2], &values[..0]).unwrap(),
            TensorData::new("codes", &[2, 3], &[0i8; 6]).unwrap(),
            TensorData::new("cube", &[1, 2, 3], &values).unwrap(),
        ];
        write(&path, &tensors, &Default::default()).unwrap();
        let (found, left_out) = matrices(&path).unwrap();
        let seen: Vec<_> = found.iter().map(|m| (m.name(), m.n, m.k, m.bias.as_deref())).collect();
        assert_eq!(found[0].read().unwrap(), values);
        assert_eq!(found[0].read_bias().unwrap().unwrap(), values[..2]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen, [("a.weight", 2, 3, Some("a.bias")), ("b.weight", 3, 2, None)]);
        assert!(left_out.len() == 1 && left_out[0].contains("empty [0, 2]"), "{left_out:?}");
    }
}

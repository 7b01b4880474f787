//! int8 weights in safetensors files, named as the compressed-tensors format `int-quantized` names them.
//!
//! | tensor | type | shape |
//! |---|---|---|
//! | `<name>.weight` | I8 | `[N, K]`, without padding |
//! | `<name>.weight_scale` | F32; read from F16, BF16 and F64 too | `[N, 1]`; read from `[N]`, and one for all rows from `[1]` and `[]` |
//! | `<name>.bias` | F32; read from F16, BF16 and F64 too | `[N]`, optional |
//! | `<name>.weight_zero_point` | I8 | read only: must be all zero |

use std::collections::BTreeMap;
use std::path::Path;

use super::Int8Matrix;
use crate::format::DType;
use crate::format::safetensors::{self, Archive, TensorData};
use crate::{Error, Result};

/// The int8 weight of one linear layer, and its bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Weight {
    /// `[N, K]`.
    pub matrix: Int8Matrix,
    /// `[N]`, if the layer has one.
    pub bias: Option<Vec<f32>>,
}

/// Writes named weights to a file, with notes; loading it gives the same bits.
///
/// # Errors
/// [`Error::Shape`] for a bias that is not N long; [`Error::Value`] for a name that is there twice and for a scale that
/// is NaN; [`Error::File`] when writing fails.
pub fn save(
    path: impl AsRef<Path>,
    weights: &[(&str, &Int8Weight)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let codes = contiguous(weights);
    safetensors::write(path, &tensors(weights, &codes)?, metadata)
}

/// The bytes of the file that [`save`] writes.
///
/// # Errors
/// As [`save`].
pub fn to_bytes(weights: &[(&str, &Int8Weight)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let codes = contiguous(weights);
    safetensors::to_bytes(&tensors(weights, &codes)?, metadata)
}

fn contiguous(weights: &[(&str, &Int8Weight)]) -> Vec<Vec<i8>> {
    weights.iter().map(|(_, weight)| weight.matrix.to_contiguous()).collect()
}

fn tensors<'a>(weights: &[(&str, &'a Int8Weight)], codes: &'a [Vec<i8>]) -> Result<Vec<TensorData<'a>>> {
    let mut out = Vec::new();
    for (&(name, Int8Weight { matrix, bias }), codes) in weights.iter().zip(codes) {
        let (n, k) = (matrix.rows(), matrix.cols());
        if let Some(row) = matrix.scales().iter().position(|scale| scale.is_nan()) {
            return Err(Error::Value(format!(
                "the scale of row {row} of {name:?} is NaN; such a weight cannot be saved"
            )));
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != n) {
            return Err(Error::Shape(format!("the bias of {name:?} holds {} values, but N = {n}", bias.len())));
        }
        out.push(TensorData::new(format!("{name}.weight"), &[n, k], codes)?);
        out.push(TensorData::new(format!("{name}.weight_scale"), &[n, 1], matrix.scales())?);
        if let Some(bias) = bias {
            out.push(TensorData::new(format!("{name}.bias"), &[n], bias)?);
        }
    }
    Ok(out)
}

/// The names of the int8 weights in a file: each `<name>.weight` of type I8 with a `<name>.weight_scale` beside it,
/// sorted.
pub fn names(archive: &Archive<'_>) -> Vec<String> {
    let i8s = archive.tensors().iter().filter(|tensor| tensor.dtype() == Some(DType::I8));
    let mut names: Vec<_> = i8s.filter_map(|tensor| tensor.name().strip_suffix(".weight")).map(String::from).collect();
    names.retain(|name| archive.tensor(&format!("{name}.weight_scale")).is_some());
    names.sort_unstable();
    names
}

/// Reads the int8 weight `name`, and its bias if there is one.
///
/// # Errors
/// [`Error::File`] when a tensor is missing, of another type or of a shape that does not fit, and for a scale that is
/// NaN, infinite or negative; [`Error::Unsupported`] for zero points that are not zero.
pub fn load(archive: &Archive<'_>, name: &str) -> Result<Int8Weight> {
    let fail = |what: String| Error::File(format!("{}: {what}", archive.origin()));
    let of = |suffix: &str| format!("{name}.{suffix}");
    let shape = |tensor: &str| archive.tensor(tensor).map(|t| t.shape().to_vec());

    let codes = archive.read::<i8>(&of("weight"))?;
    let &[n, k] = shape(&of("weight")).unwrap_or_default().as_slice() else {
        return Err(fail(format!("{:?} is not a matrix", of("weight"))));
    };
    let scales = archive.read_f32(&of("weight_scale"))?;
    let scale_shape = shape(&of("weight_scale")).unwrap_or_default();
    let scales = match scale_shape.as_slice() {
        &[rows] | &[rows, 1] if rows == n => scales,
        // One scale for the whole matrix. (A matrix without columns takes no bytes whatever N it claims.)
        [] | [1] if n <= codes.len() => vec![scales[0]; n],
        other => {
            let scale = of("weight_scale");
            return Err(fail(format!(
                "{scale:?} has shape {other:?}; [{n}, 1], [{n}] or [1] fits a weight of {n} rows"
            )));
        }
    };
    if archive.tensor(&of("weight_zero_point")).is_some() {
        let zeros = archive.read::<i8>(&of("weight_zero_point"))?;
        if let Some(zero) = zeros.iter().find(|&&zero| zero != 0) {
            let what = format!(
                "{}: {:?} holds {zero}; only symmetric weights are served",
                archive.origin(),
                of("weight_zero_point")
            );
            return Err(Error::Unsupported(what));
        }
    }
    let bias = match shape(&of("bias")) {
        None => None,
        Some(dims) if dims == [n] => Some(archive.read_f32(&of("bias"))?),
        Some(dims) => return Err(fail(format!("{:?} has shape {dims:?}, but N = {n}", of("bias")))),
    };
    let matrix =
        Int8Matrix::from_contiguous(n, k, &codes, scales).map_err(|e| fail(format!("{:?}: {e}", of("weight"))))?;
    Ok(Int8Weight { matrix, bias })
}

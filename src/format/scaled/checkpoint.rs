//! Scaled 8-bit weights in safetensors files, named as compressed-tensors (`int-quantized`, `float-quantized`) and the
//! block-scaled checkpoints of DeepSeek-V3 name them.
//!
//! | tensor | type | shape |
//! |---|---|---|
//! | `<name>.weight` | I8, F8_E4M3 or F8_E5M2 | `[N, K]`, without padding |
//! | `<name>.weight_scale` | F32; read from F16, BF16 and F64 too | `[1]` one for all (read from `[]` too), `[N, 1]` by row (read from `[N]` too), `[N, G]` by group of K, `[⌈N / 128⌉, ⌈K / 128⌉]` by block |
//! | `<name>.weight_scale_inv` | the same | instead of `weight_scale`, for blocks of 8-bit floats or one for all: despite its name it is multiplied by |
//! | `<name>.weight_zero_point` | I8, of I8 weights | as `weight_scale`, optional |
//! | `<name>.input_scale`, `<name>.input_zero_point` | F32, as above; I8 | `[1]` or `[]`, optional: static scale and zero point of the activations |
//! | `<name>.bias` | F32; read from F16, BF16 and F64 too | `[N]`, optional |
//!
//! How many columns a group has is not in a file: 128 or 64 if that gives G groups, else K / G.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Code, ScaledMatrix, Scaling};
use crate::format::DType;
use crate::format::safetensors::{self, Archive, TensorData};
use crate::{Error, Result};

/// Rows and columns of a block of scales.
const BLOCK: usize = 128;

/// The weight of one linear layer, and what a file says beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledWeight<C> {
    /// `[N, K]`.
    pub matrix: ScaledMatrix<C>,
    /// `[N]`, if the layer has one.
    pub bias: Option<Vec<f32>>,
    /// The scale of the activations, where it is static.
    pub input_scale: Option<f32>,
    /// Their zero point, where they have one.
    pub input_zero: Option<i8>,
}

impl<C> ScaledWeight<C> {
    /// A weight without a bias, for activations that are quantized as they come.
    pub fn new(matrix: ScaledMatrix<C>) -> ScaledWeight<C> {
        ScaledWeight { matrix, bias: None, input_scale: None, input_zero: None }
    }
}

/// Writes named weights to a file, with notes; loading it gives the same bits.
///
/// # Errors
/// [`Error::Shape`] for a bias that is not N long; [`Error::Unsupported`] for groups or blocks that loading would not
/// find again; [`Error::Value`] for a name that is there twice; [`Error::File`] when writing fails.
pub fn save<C: Code>(
    path: impl AsRef<Path>,
    weights: &[(&str, &ScaledWeight<C>)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let codes = contiguous(weights);
    safetensors::write(path, &tensors(weights, &codes)?, metadata)
}

/// The bytes of the file that [`save`] writes.
///
/// # Errors
/// As [`save`].
pub fn to_bytes<C: Code>(weights: &[(&str, &ScaledWeight<C>)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let codes = contiguous(weights);
    safetensors::to_bytes(&tensors(weights, &codes)?, metadata)
}

fn contiguous<C: Code>(weights: &[(&str, &ScaledWeight<C>)]) -> Vec<Vec<C>> {
    weights.iter().map(|(_, weight)| weight.matrix.to_contiguous()).collect()
}

fn tensors<'a, C: Code>(weights: &[(&str, &'a ScaledWeight<C>)], codes: &'a [Vec<C>]) -> Result<Vec<TensorData<'a>>> {
    let mut out = Vec::new();
    for (&(name, weight), codes) in weights.iter().zip(codes) {
        let ScaledWeight { matrix, bias, input_scale, input_zero } = weight;
        let (n, k, scaling) = (matrix.rows(), matrix.cols(), matrix.scaling());
        let [down, across] = scaling.grid(n, k)?;
        let shape = match scaling {
            Scaling::Tensor => vec![1],
            _ => vec![down, across],
        };
        if found(&shape, n, k).is_none_or(|found| !same(found, scaling, n, k)) {
            let what =
                format!("{scaling} of {name:?}, whose scales of shape {shape:?} a reader would not take for that");
            return Err(Error::Unsupported(what));
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != n) {
            return Err(Error::Shape(format!("the bias of {name:?} holds {} values, but N = {n}", bias.len())));
        }
        let floats = C::DTYPE != DType::I8;
        let scale = match scaling {
            Scaling::Blocks(..) if floats => "weight_scale_inv",
            _ => "weight_scale",
        };
        out.push(TensorData::new(format!("{name}.weight"), &[n, k], codes)?);
        out.push(TensorData::new(format!("{name}.{scale}"), &shape, matrix.scales())?);
        if let Some(zeros) = matrix.zeros() {
            out.push(TensorData::new(format!("{name}.weight_zero_point"), &shape, zeros)?);
        }
        if let Some(bias) = bias {
            out.push(TensorData::new(format!("{name}.bias"), &[n], bias)?);
        }
        if let Some(scale) = input_scale {
            out.push(TensorData::new(format!("{name}.input_scale"), &[1], std::slice::from_ref(scale))?);
        }
        if let Some(zero) = input_zero {
            out.push(TensorData::new(format!("{name}.input_zero_point"), &[1], std::slice::from_ref(zero))?);
        }
    }
    Ok(out)
}

/// What scales of this shape are of, by the table above.
fn found(shape: &[usize], n: usize, k: usize) -> Option<Scaling> {
    match *shape {
        [] | [1] => Some(Scaling::Tensor),
        [rows] | [rows, 1] if rows == n => Some(Scaling::Rows),
        [rows, groups] if rows == n && groups > 0 => {
            let of = [128, 64].into_iter().find(|group| k.div_ceil(*group) == groups);
            let group = of.or_else(|| k.is_multiple_of(groups).then_some(k / groups));
            group.filter(|group| *group > 0).map(Scaling::Groups)
        }
        [down, across] if [down, across] == [n.div_ceil(BLOCK), k.div_ceil(BLOCK)] => {
            Some(Scaling::Blocks(BLOCK, BLOCK))
        }
        [1, 1] => Some(Scaling::Tensor),
        _ => None,
    }
}

/// Whether both give every element the same scale.
fn same(a: Scaling, b: Scaling, n: usize, k: usize) -> bool {
    let whole = |scaling| match scaling {
        Scaling::Tensor => [n, k],
        Scaling::Rows => [1, k],
        Scaling::Groups(group) => [1, group.min(k)],
        Scaling::Blocks(tall, wide) => [tall.min(n), wide.min(k)],
    };
    whole(a) == whole(b)
}

/// The names of the weights in a file whose codes are of type `C`: each `<name>.weight` with scales beside it, sorted.
pub fn names<C: Code>(archive: &Archive<'_>) -> Vec<String> {
    let ours = archive.tensors().iter().filter(|tensor| tensor.dtype() == Some(C::DTYPE));
    let mut names: Vec<_> = ours.filter_map(|tensor| tensor.name().strip_suffix(".weight")).map(String::from).collect();
    let scaled = |name: &str, scale: &str| archive.tensor(&format!("{name}.{scale}")).is_some();
    names.retain(|name| scaled(name, "weight_scale") || scaled(name, "weight_scale_inv"));
    names.sort_unstable();
    names
}

/// Reads the weight `name`, and what is there beside it.
///
/// # Errors
/// [`Error::File`] when a tensor is missing, of another type or of a shape that does not fit, and for a scale that is
/// NaN, infinite or negative.
pub fn load<C: Code>(archive: &Archive<'_>, name: &str) -> Result<ScaledWeight<C>> {
    let fail = |what: String| Error::File(format!("{}: {what}", archive.origin()));
    let of = |suffix: &str| format!("{name}.{suffix}");
    let shape = |suffix: &str| archive.tensor(&of(suffix)).map(|tensor| tensor.shape().to_vec());

    let codes = archive.read::<C>(&of("weight"))?;
    let &[n, k] = shape("weight").unwrap_or_default().as_slice() else {
        return Err(fail(format!("{:?} is not a matrix", of("weight"))));
    };
    let suffix = if shape("weight_scale").is_some() { "weight_scale" } else { "weight_scale_inv" };
    let scales = archive.read_f32(&of(suffix))?;
    let scale_shape = shape(suffix).unwrap_or_default();
    let scaling = found(&scale_shape, n, k).ok_or_else(|| {
        fail(format!("{:?} of shape {scale_shape:?} does not scale a weight of shape [{n}, {k}]", of(suffix)))
    })?;
    // Such a matrix takes no bytes, whatever N it claims.
    if k == 0 && n > scales.len() {
        return Err(fail(format!("{:?} has {n} rows without columns, and {} scales", of("weight"), scales.len())));
    }
    let zeros = match shape("weight_zero_point") {
        None => None,
        Some(_) if C::DTYPE != DType::I8 => {
            return Err(fail(format!("{:?} of a weight of {}", of("weight_zero_point"), C::DTYPE)));
        }
        Some(dims) if dims.iter().product::<usize>() == scales.len() => {
            let zeros = archive.read::<i8>(&of("weight_zero_point"))?;
            zeros.iter().any(|&zero| zero != 0).then_some(zeros)
        }
        Some(dims) => {
            return Err(fail(format!(
                "{:?} has shape {dims:?}, but its scales have {scale_shape:?}",
                of("weight_zero_point")
            )));
        }
    };
    let bias = match shape("bias") {
        None => None,
        Some(dims) if dims == [n] => Some(archive.read_f32(&of("bias"))?),
        Some(dims) => return Err(fail(format!("{:?} has shape {dims:?}, but N = {n}", of("bias")))),
    };
    let one = |suffix: &str| match shape(suffix) {
        None => Ok(false),
        Some(dims) if dims.iter().product::<usize>() == 1 => Ok(true),
        Some(dims) => Err(fail(format!("{:?} has shape {dims:?}, but one value is read", of(suffix)))),
    };
    let input_scale = match one("input_scale")? {
        true => archive.read_f32(&of("input_scale"))?.first().copied(),
        false => None,
    };
    if let Some(scale) = input_scale.filter(|scale| !(scale.is_finite() && *scale >= 0.0)) {
        return Err(fail(format!("{:?} is {scale}; it must be finite and not negative", of("input_scale"))));
    }
    let input_zero = match one("input_zero_point")? {
        true => archive.read::<i8>(&of("input_zero_point"))?.first().copied(),
        false => None,
    };
    let matrix = ScaledMatrix::from_contiguous([n, k], &codes, scaling, scales, zeros)
        .map_err(|e| fail(format!("{:?}: {e}", of("weight"))))?;
    Ok(ScaledWeight { matrix, bias, input_scale, input_zero })
}

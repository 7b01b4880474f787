//! Writing safetensors: equal contents give equal bytes, whatever order they come in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Stored;
use super::header::{METADATA, shown, within_limit};
use crate::format::DType;
use crate::{Error, Result};

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct TensorData<'a> {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> TensorData<'a> {
    /// Names `values`, row-major, of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of values is not what the shape says.
    pub fn new<T: Stored>(name: impl Into<String>, shape: &[usize], values: &'a [T]) -> Result<Self> {
        let name = name.into();
        let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        if elements != Some(values.len()) {
            return Err(Error::Shape(format!(
                "tensor {} of shape {shape:?} cannot hold {} values",
                shown(&name),
                values.len()
            )));
        }
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let bytes = if cfg!(target_endian = "big") {
            let mut swapped = bytes.to_vec();
            swapped.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
            Cow::Owned(swapped)
        } else {
            Cow::Borrowed(bytes)
        };
        Ok(TensorData { name, dtype: T::DTYPE, shape: shape.to_vec(), bytes })
    }
}

/// Writes a file. It appears whole under `path`, or not at all: it is written beside it and then renamed.
///
/// # Errors
/// [`Error::Value`] when a name is there twice or is reserved; [`Error::File`] when writing fails.
pub fn write(path: impl AsRef<Path>, tensors: &[TensorData<'_>], metadata: &BTreeMap<String, String>) -> Result<()> {
    let path = path.as_ref();
    let (header, tensors) = header(tensors, metadata)?;
    let beside = sibling(path);
    let written = fs::File::create_new(&beside).and_then(|file| {
        let mut out = BufWriter::new(file);
        stream(&mut out, &header, &tensors)?;
        out.flush()?;
        drop(out);
        fs::rename(&beside, path)
    });
    written.map_err(|e| {
        // What went wrong before is what matters; the sibling may not even exist.
        let _ = fs::remove_file(&beside);
        Error::File(format!("{}: {e}", path.display()))
    })
}

/// The bytes of the file that [`write()`] writes.
///
/// # Errors
/// [`Error::Value`] when a name is there twice or is reserved.
pub fn to_bytes(tensors: &[TensorData<'_>], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let (header, tensors) = header(tensors, metadata)?;
    let mut out = Vec::new();
    stream(&mut out, &header, &tensors).map_err(|e| Error::File(e.to_string()))?;
    Ok(out)
}

fn stream(out: &mut impl Write, header: &str, tensors: &[&TensorData<'_>]) -> io::Result<()> {
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    tensors.iter().try_for_each(|tensor| out.write_all(&tensor.bytes))
}

/// The header, padded so that the data starts at a multiple of 8, and the tensors in the order of their data: the
/// largest element first, so that each is aligned, and then by name.
fn header<'t, 'a>(
    tensors: &'t [TensorData<'a>],
    metadata: &BTreeMap<String, String>,
) -> Result<(String, Vec<&'t TensorData<'a>>)> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|tensor| (std::cmp::Reverse(tensor.dtype.size()), tensor.name.as_str()));
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    if !metadata.is_empty() {
        let notes: Vec<_> = metadata.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
        entries.push(format!("{}:{{{}}}", quoted(METADATA), notes.join(",")));
    }
    let mut begin = 0u64;
    for tensor in &sorted {
        let end = begin + tensor.bytes.len() as u64;
        if tensor.name == METADATA || !names.insert(&tensor.name) {
            let why = if tensor.name == METADATA { "is reserved" } else { "is there twice" };
            return Err(Error::Value(format!("the tensor name {} {why}", shown(&tensor.name))));
        }
        let (name, dtype, shape) = (quoted(&tensor.name), stored_name(tensor.dtype), &tensor.shape);
        entries.push(format!("{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{begin},{end}]}}"));
        begin = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    within_limit(header.len() as u64).map_err(Error::Value)?;
    Ok((header, sorted))
}

/// An element type as files write it.
fn stored_name(dtype: DType) -> String {
    match dtype {
        DType::E4m3 | DType::E5m2 => format!("F8_{}", dtype.name().to_uppercase()),
        _ => dtype.name().to_uppercase(),
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name in the same folder that nobody else uses.
fn sibling(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{count}.part", process::id()))
}

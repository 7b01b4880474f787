//! safetensors files, read as the hostile things that they may be, and written so that equal contents give equal bytes.
//!
//! ```text
//! u64 little-endian   length of the header in bytes
//! header              JSON: name → { dtype, shape, data_offsets }, and "__metadata__": text → text; spaces may follow
//! data                the tensors, one after the other, without a gap, to the end; little-endian, row-major
//! ```
//!
//! [`Archive`] checks all of it before it allocates anything for a tensor: the header's length against the file and
//! against [`HEADER_LIMIT`], every size for overflow, and that the tensors cover the data exactly, without overlap.
//! Nothing in a file makes it panic, and the memory it takes stays within a small multiple of what the file really
//! holds. It reads; it does not map: a file that is cut short while it is open gives an error.

mod header;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use bytemuck::Pod;
use half::{bf16, f16};
use safetensors::Dtype;

use super::{DType, F8E4M3, F8E5M2};
use crate::{Error, Result};

pub use header::{HEADER_LIMIT, RANK_LIMIT, Tensor};
pub use write::{TensorData, to_bytes, write};

/// An open safetensors file: its tensors are known, and read when they are asked for.
#[derive(Debug)]
pub struct Archive<'a> {
    origin: String,
    source: Source<'a>,
    data_start: u64,
    tensors: Vec<Tensor>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Source<'a> {
    Memory(&'a [u8]),
    File(Mutex<fs::File>),
}

/// An element type that [`Archive::read`] gives.
pub trait Stored: Pod + sealed::Sealed {
    /// Its name as a value.
    const DTYPE: DType;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! stored {
    ($($type:ty => $dtype:ident),*) => { $(
        impl sealed::Sealed for $type {}
        impl Stored for $type {
            const DTYPE: DType = DType::$dtype;
        }
    )* };
}
stored!(f32 => F32, f16 => F16, bf16 => Bf16, F8E4M3 => E4m3, F8E5M2 => E5m2, i8 => I8, u8 => U8, i32 => I32, u32 => U32);

impl Archive<'static> {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read or is not a well-formed safetensors file; the message says why, with the
    /// values.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let fail = |e: std::io::Error| Error::File(format!("{origin}: {e}"));
        // A pipe or a device has no size to check anything against, and opening a pipe waits for a writer.
        if !fs::metadata(path).map_err(fail)?.is_file() {
            return Err(Error::File(format!("{origin}: not a regular file")));
        }
        let file = fs::File::open(path).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        Self::parse(origin, Source::File(Mutex::new(file)), size)
    }
}

impl<'a> Archive<'a> {
    /// Reads the header of a whole file that lies in memory.
    ///
    /// # Errors
    /// [`Error::File`] when it is not a well-formed safetensors file.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::parse("safetensors bytes".into(), Source::Memory(bytes), bytes.len() as u64)
    }

    fn parse(origin: String, source: Source<'a>, size: u64) -> Result<Self> {
        let fail = |what: String| Error::File(format!("{origin}: {what}"));
        let mut length = [0; 8];
        if size < length.len() as u64 {
            return Err(fail(format!("{size} bytes are too few for the 8 that give the header's length")));
        }
        source.read_at(0, &mut length).map_err(fail)?;
        let length = u64::from_le_bytes(length);
        let rest = size - 8;
        header::within_limit(length).map_err(fail)?;
        if length > rest {
            return Err(fail(format!(
                "a header of {length} bytes does not fit into the {rest} that follow its length"
            )));
        }
        let mut header = host_vec(length)?;
        source.read_at(8, &mut header).map_err(fail)?;
        let (tensors, metadata) = header::parse(&header, rest - length).map_err(fail)?;
        Ok(Archive { origin, source, data_start: 8 + length, tensors, metadata })
    }

    /// The tensors, in the order of their data.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The file's own notes, text by text.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Where this came from, for messages: the path, or that it lies in memory.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tensor of this name, if there is one.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name() == name)
    }

    /// Reads a tensor that is stored as `T`, row-major, bit for bit.
    ///
    /// # Errors
    /// [`Error::File`] when there is no such tensor, it is stored as another type, or reading fails;
    /// [`Error::OutOfMemory`] when the host cannot hold it.
    pub fn read<T: Stored>(&self, name: &str) -> Result<Vec<T>> {
        let tensor = self.find(name)?;
        if tensor.dtype() != Some(T::DTYPE) {
            return Err(self.wrong_type(tensor, T::DTYPE.name()));
        }
        let mut out = host_vec::<T>(tensor.elements)?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut out);
        self.read_into(tensor, 0, bytes)?;
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
        }
        Ok(out)
    }

    /// Reads a floating tensor (F32, F16, BF16, F64) as f32, row-major. F64 is rounded to nearest; the others are
    /// exact. 8-bit floats come with scales in tensors of their own: [`read`](Self::read) them as what they are.
    ///
    /// # Errors
    /// [`Error::File`] when there is no such tensor, it is not floating, or reading fails; [`Error::OutOfMemory`] when
    /// the host cannot hold it.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.find(name)?;
        match tensor.stored {
            Dtype::F32 => self.read::<f32>(name),
            Dtype::F16 => self.convert(tensor, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.convert(tensor, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::F64 => self.convert(tensor, |bytes| f64::from_le_bytes(bytes) as f32),
            _ => Err(self.wrong_type(tensor, "f32, f16, bf16 or f64")),
        }
    }

    /// Reads elements of `SIZE` bytes piece by piece, so that only the converted ones need memory.
    fn convert<const SIZE: usize>(&self, tensor: &Tensor, to_f32: impl Fn([u8; SIZE]) -> f32) -> Result<Vec<f32>> {
        const PIECE: usize = 1 << 13;
        let mut out = host_vec::<f32>(tensor.elements)?;
        let mut bytes = [[0u8; SIZE]; PIECE];
        let mut offset = 0;
        for out in out.chunks_mut(PIECE) {
            let bytes = &mut bytes[..out.len()];
            self.read_into(tensor, offset, bytes.as_flattened_mut())?;
            for (out, &bytes) in out.iter_mut().zip(bytes.iter()) {
                *out = to_f32(bytes);
            }
            offset += (out.len() * SIZE) as u64;
        }
        Ok(out)
    }

    fn read_into(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<()> {
        // The header was checked: begin + offset + length lie inside the file as it was when it was opened.
        let at = self.data_start + tensor.begin + offset;
        self.source.read_at(at, out).map_err(|what| Error::File(format!("{}: {}: {what}", self.origin, tensor.shown())))
    }

    fn find(&self, name: &str) -> Result<&Tensor> {
        self.tensor(name)
            .ok_or_else(|| Error::File(format!("{}: holds no tensor {}", self.origin, header::shown(name))))
    }

    fn wrong_type(&self, tensor: &Tensor, want: &str) -> Error {
        Error::File(format!("{}: {} is stored as {}, not as {want}", self.origin, tensor.shown(), tensor.dtype_name()))
    }
}

impl Source<'_> {
    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), String> {
        let cut = || format!("ends before the {} bytes at offset {at}", out.len());
        match self {
            Source::Memory(bytes) => {
                let start = usize::try_from(at).map_err(|_| cut())?;
                let from = bytes.get(start..).and_then(|rest| rest.get(..out.len())).ok_or_else(cut)?;
                out.copy_from_slice(from);
                Ok(())
            }
            Source::File(file) => {
                // A panic elsewhere while the lock was held can only have left the cursor anywhere; it is set here.
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
                let cut = cut();
                file.read_exact(out).map_err(|e| if e.kind() == ErrorKind::UnexpectedEof { cut } else { e.to_string() })
            }
        }
    }
}

fn host_vec<T: Pod>(len: u64) -> Result<Vec<T>> {
    let bytes = usize::try_from(len).ok().and_then(|len| len.checked_mul(size_of::<T>()));
    let too_large = || Error::OutOfMemory { bytes: bytes.unwrap_or(usize::MAX), device: "the host".into() };
    let len = bytes.ok_or_else(too_large)? / size_of::<T>();
    let mut out = Vec::new();
    out.try_reserve_exact(len).map_err(|_| too_large())?;
    out.resize(len, T::zeroed());
    Ok(out)
}

//! The JSON header: parsed without trust, then checked against the data it speaks of.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::format::DType;

/// The longest header that is read, in bytes.
pub const HEADER_LIMIT: u64 = 100_000_000;

/// The most dimensions of a tensor.
pub const RANK_LIMIT: usize = 64;

/// The one name that is not a tensor's.
pub(super) const METADATA: &str = "__metadata__";

/// One tensor of a file, as its header describes it; checked to lie inside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    pub(super) stored: Dtype,
    shape: Vec<usize>,
    pub(super) elements: u64,
    pub(super) begin: u64,
    end: u64,
}

impl Tensor {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its element type, if it is one that this crate works with.
    pub fn dtype(&self) -> Option<DType> {
        Some(match self.stored {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::Bf16,
            Dtype::F8_E4M3 => DType::E4m3,
            Dtype::F8_E5M2 => DType::E5m2,
            Dtype::I8 => DType::I8,
            Dtype::U8 => DType::U8,
            Dtype::I32 => DType::I32,
            Dtype::U32 => DType::U32,
            _ => return None,
        })
    }

    /// Its element type as files write it: `F32`, `F8_E4M3`.
    pub fn dtype_name(&self) -> String {
        self.stored.to_string()
    }

    /// True when [`Archive::read_f32`](super::Archive::read_f32) can read it. An 8-bit float is not: it means nothing
    /// without its scales.
    pub fn is_float(&self) -> bool {
        matches!(self.stored, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
    }

    /// Its dimensions, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its size in the file, in bytes.
    pub fn byte_len(&self) -> u64 {
        self.end - self.begin
    }

    /// Its name as messages show it.
    pub(super) fn shown(&self) -> String {
        shown(&self.name)
    }
}

/// A name from outside, quoted and escaped, and cut when it is long.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{:?}…", &name[..cut]),
        None => format!("{name:?}"),
    }
}

/// Refuses a header of more than [`HEADER_LIMIT`] bytes, to be read or written.
pub(super) fn within_limit(length: u64) -> Result<(), String> {
    if length > HEADER_LIMIT {
        return Err(format!("a header of {length} bytes exceeds the limit of {HEADER_LIMIT}"));
    }
    Ok(())
}

/// Parses and checks a header that describes `data_len` bytes of data; tensors come in the order of their data.
pub(super) fn parse(header: &[u8], data_len: u64) -> Result<(Vec<Tensor>, BTreeMap<String, String>), String> {
    let header: Header =
        serde_json::from_slice(header).map_err(|e| format!("the header is not as it should be: {e}"))?;
    let mut tensors = header.tensors.into_iter().map(|(name, raw)| raw.check(name)).collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
    let mut end = 0;
    for tensor in &tensors {
        let what = match tensor.begin.cmp(&end) {
            Ordering::Less => "overlaps the tensor before it",
            Ordering::Greater => "leaves a gap before it",
            Ordering::Equal => {
                end = tensor.end;
                continue;
            }
        };
        return Err(format!("the data of {} starts at {}, which {what}: {end} was due", tensor.shown(), tensor.begin));
    }
    if end != data_len {
        return Err(format!("the header describes {end} bytes of data, but {data_len} follow it"));
    }
    Ok((tensors, header.metadata))
}

struct Header {
    tensors: BTreeMap<String, RawTensor>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

impl RawTensor {
    fn check(self, name: String) -> Result<Tensor, String> {
        let (begin, end) = self.data_offsets;
        let shape = self.shape.0;
        let fail = |what: &str| format!("tensor {} of type {} and shape {shape:?} {what}", shown(&name), self.dtype);
        let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        let bits = elements.and_then(|elements| elements.checked_mul(self.dtype.bitsize() as u64));
        let (Some(elements), Some(bits)) = (elements, bits) else {
            return Err(fail("has a size that overflows"));
        };
        if !bits.is_multiple_of(8) {
            return Err(fail(&format!("takes {bits} bits, which are not whole bytes")));
        }
        if end.checked_sub(begin) != Some(bits / 8) {
            return Err(fail(&format!("takes {} bytes, but its data is said to lie at {begin}..{end}", bits / 8)));
        }
        Ok(Tensor { name, stored: self.dtype, shape, elements, begin, end })
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let (mut tensors, mut metadata) = (BTreeMap::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            let twice = if name == METADATA {
                metadata.replace(map.next_value()?).is_some()
            } else {
                tensors.insert(name.clone(), map.next_value()?).is_some()
            };
            if twice {
                return Err(A::Error::custom(format_args!("{} is there twice", shown(&name))));
            }
        }
        Ok(Header { tensors, metadata: metadata.unwrap_or_default() })
    }
}

/// Dimensions, at most [`RANK_LIMIT`]: a list of a million ones is an attack, not a tensor.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {RANK_LIMIT} dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(dim) = seq.next_element()? {
            if shape.len() == RANK_LIMIT {
                return Err(A::Error::invalid_length(RANK_LIMIT + 1, &self));
            }
            shape.push(dim);
        }
        Ok(Shape(shape))
    }
}

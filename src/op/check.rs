//! What every door checks of its operands.

use crate::device::{Device, Element, MatrixMut, Region, Span};
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// The s8 kernels copy 16 bytes at a time.
pub(super) const CODES_ALIGN: u64 = 16;

/// `region` lies on `device`.
pub(super) fn device(device: &Device, what: &'static str, region: &impl Region) -> Result<()> {
    same_device(device, what, region.device())
}

/// `have` is `want`.
pub(super) fn same_device(want: &Device, what: &'static str, have: &Device) -> Result<()> {
    if have == want {
        return Ok(());
    }
    Err(Error::WrongDevice { what, have: have.to_string(), want: want.to_string() })
}

/// A non-empty region starts at a multiple of `align` bytes.
pub(super) fn aligned(what: &'static str, span: &Span, align: u64) -> Result<()> {
    if span.rows == 0 || span.row_bytes == 0 || span.address.is_multiple_of(align) {
        return Ok(());
    }
    Err(Error::Misaligned { what, address: span.address, align })
}

/// `output` shares no byte with any of `inputs`. Safe views never do; raw ones may.
pub(super) fn apart(output: (&'static str, Span), inputs: &[(&'static str, Span)]) -> Result<()> {
    match inputs.iter().find(|(_, input)| output.1.overlaps(input)) {
        None => Ok(()),
        Some(&(input, _)) => Err(Error::Aliased { output: output.0, input }),
    }
}

/// A factor is a number above 0.
pub(super) fn positive(what: &str, value: f32) -> Result<()> {
    if value.is_normal() && value > 0.0 {
        return Ok(());
    }
    Err(Error::Value(format!("{what} is {value}, but must be above 0, finite and not subnormal")))
}

/// An array has the length that the problem asks for.
pub(super) fn length(what: &str, have: usize, dimension: &str, need: usize) -> Result<()> {
    if have == need {
        return Ok(());
    }
    Err(Error::Shape(format!("{what} holds {have} elements, but {dimension} = {need}")))
}

/// A matrix has the shape that the problem asks for.
pub(super) fn shape(what: &str, have: [usize; 2], dimensions: &str, need: [usize; 2]) -> Result<()> {
    if have == need {
        return Ok(());
    }
    Err(Error::Shape(format!("{what} is {have:?}, but {dimensions} = {need:?}")))
}

/// Rows of codes start at multiples of 16 bytes.
pub(super) fn codes_stride(what: &str, ld: usize) -> Result<()> {
    if (ld as u64).is_multiple_of(CODES_ALIGN) {
        return Ok(());
    }
    Err(Error::Shape(format!("the leading dimension {ld} of {what} is not a multiple of {CODES_ALIGN} bytes")))
}

/// A matrix of codes that a kernel writes, padding and all: `rows` rows of at least `cols` bytes.
pub(super) fn codes_out<T: Element>(codes: &MatrixMut<'_, T>, rows: usize, cols: usize) -> Result<()> {
    codes_stride("the codes", codes.ld())?;
    if codes.rows() != rows || codes.cols() < cols || codes.cols() != codes.ld() {
        return Err(Error::Shape(format!(
            "the codes are [{}, {}] with leading dimension {}, but {rows} rows of at least {cols} bytes, \
             written over their whole leading dimension, are needed",
            codes.rows(),
            codes.cols(),
            codes.ld()
        )));
    }
    if codes.ld() > i32::MAX as usize {
        return Err(Error::Shape(format!(
            "the leading dimension {} of the codes exceeds {}, the largest that the kernel writes",
            codes.ld(),
            i32::MAX
        )));
    }
    aligned("the matrix of codes", &codes.span(), CODES_ALIGN)
}

/// A plan was made for this device or for one just like it.
pub(super) fn plan_facts(plan: &DeviceFacts, device: &Device) -> Result<()> {
    let have = device.facts();
    if plan == have {
        return Ok(());
    }
    let name = |f: &DeviceFacts| {
        format!(
            "compute capability {}.{} with {} multiprocessors and {} bytes of shared memory a block",
            f.capability / 10,
            f.capability % 10,
            f.sm_count,
            f.shared_per_block
        )
    };
    Err(Error::Unsupported(format!("the plan was made for {}, but {device} has {}", name(plan), name(have))))
}

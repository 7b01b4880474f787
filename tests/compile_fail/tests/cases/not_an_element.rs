//! Types whose bit patterns are not all values cannot live in a buffer, and nobody can declare more.
use halfbyte::device::{Element, Stream};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
struct Mine(u32);

impl Element for Mine {
    const DTYPE: halfbyte::format::DType = halfbyte::format::DType::U32;
}

fn main() {
    let _ = |stream: &Stream| stream.alloc::<bool>(1);
}

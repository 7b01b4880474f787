//! Types whose bit patterns are not all values cannot live in a buffer, and nobody can declare more.
use halfbyte::device::{Element, Stream};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Mine(bool);

impl Element for Mine {
    const DTYPE: halfbyte::format::DType = halfbyte::format::DType::U8;
}

fn main() {
    let _ = |stream: &Stream| stream.alloc::<bool>(1);
}

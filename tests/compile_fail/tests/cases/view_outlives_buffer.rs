//! A view cannot outlive its buffer.
use halfbyte::device::{Stream, View};

fn dangling(stream: &Stream) -> View<'static, f32> {
    let buffer = stream.alloc::<f32>(4).unwrap();
    buffer.view()
}

fn main() {
    let _ = dangling;
}

//! Two outputs cannot be the same memory.
use halfbyte::device::Buffer;

fn twice(buffer: &mut Buffer<f32>) {
    let first = buffer.view_mut();
    let second = buffer.view_mut();
    drop((first, second));
}

fn main() {
    let _ = twice;
}

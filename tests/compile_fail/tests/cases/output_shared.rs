//! While an output is borrowed for writing, nothing else can view it.
use halfbyte::device::Buffer;

fn both(buffer: &mut Buffer<f32>) {
    let output = buffer.view_mut();
    let input = buffer.view();
    drop((output, input));
}

fn main() {
    let _ = both;
}

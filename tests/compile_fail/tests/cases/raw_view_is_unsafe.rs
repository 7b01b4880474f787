//! A view of a raw address is a promise.
use halfbyte::device::{Device, View};

fn promise(device: &Device) {
    let _ = View::<f32>::from_raw(device, 0x1000, 4);
}

fn main() {
    let _ = promise;
}

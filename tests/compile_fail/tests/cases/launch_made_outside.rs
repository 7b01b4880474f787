//! A launch that was not planned and checked cannot be made.
use halfbyte::device::Launch;
use halfbyte::manifest::Entry;
use halfbyte::plan::Geometry;

fn main() {
    let geometry = Geometry { entry: Entry::QuantizeRowsF32, grid: [1; 3], cluster: [1; 3], shared_bytes: 0 };
    let _ = Launch::new(geometry);
}

//! The fields of a launch are private.
use halfbyte::device::Launch;

fn bend(launch: &mut Launch<'_>) {
    launch.geometry.grid = [1 << 20, 1, 1];
}

fn main() {
    let _ = bend;
}

//! The program `halfbyte`.
fn main() {}

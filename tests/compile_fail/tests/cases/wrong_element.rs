//! Codes are not floats: the element type is part of a matrix.
use halfbyte::device::{Matrix, MatrixMut, ViewMut};
use halfbyte::op::QuantizeRowsArgs;

fn swap<'a>(x: Matrix<'a, i8>, codes: MatrixMut<'a, i8>, scales: ViewMut<'a, f32>) -> QuantizeRowsArgs<'a, f32> {
    QuantizeRowsArgs { x, codes, scales, status: None }
}

fn main() {
    let _ = swap;
}

//! What an operation's arguments write is theirs until the arguments are gone.
use halfbyte::device::{Buffer, Matrix};
use halfbyte::op::QuantizeRowsArgs;

fn peek(x: Matrix<'_, f32>, codes: &mut Buffer<i8>, scales: &mut Buffer<f32>) -> halfbyte::Result<()> {
    let codes_out = codes.view_mut().matrix(1, 16, 16)?;
    let args = QuantizeRowsArgs { x, codes: codes_out, scales: scales.view_mut(), status: None };
    let peeked = codes.view();
    drop((args, peeked));
    Ok(())
}

fn main() {
    let _ = peek;
}

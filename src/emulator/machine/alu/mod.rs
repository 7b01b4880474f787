//! Scalar instructions on whole registers: operands are fetched by register number, every lane is computed, and the
//! active ones are written.

mod approx;
mod compare;
mod convert;
mod exact64;
mod float;
pub(crate) mod half;
mod int32;
mod int64;
mod other;
mod round;
mod table;

pub(crate) use other::*;
pub(crate) use table::*;

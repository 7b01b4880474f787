//! Every form of the instructions that compute, against what the host works out by other means: all values of sources
//! of at most 16 bits, else all combinations of edge values and a million random rows.

mod approx;
mod bits;
mod carry;
mod compare;
mod convert;
mod exact;
mod float;
mod half;
mod ieee;
mod inputs;
mod integer;
mod packed;
mod table;

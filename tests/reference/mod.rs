//! The references themselves, against values worked out by hand and against each other.

mod attention;
mod attention_state;
mod bound;
mod compare;
mod exact;
mod gemm;
mod groups;
mod oracles;
mod quantize;
mod sample;

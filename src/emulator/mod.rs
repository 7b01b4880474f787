//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod ir;

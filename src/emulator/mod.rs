//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod arch;
mod fault;
pub mod ir;
mod simd;

pub use arch::Arch;
pub use fault::{Fault, FaultKind, Site};
pub use simd::Simd;

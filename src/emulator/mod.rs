//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod arch;
#[allow(dead_code, unused_imports)]
mod copy;
mod fault;
pub mod ir;
mod simd;
#[allow(dead_code, unused_imports)]
mod tensor;

pub use arch::Arch;
pub use copy::{Fill, Problem, ProblemKind, Swizzle, TensorMap, TensorMapDtype};
pub use fault::{Fault, FaultKind, Site};
pub use simd::Simd;

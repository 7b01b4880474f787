//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod arch;
#[allow(dead_code, unused_imports)]
mod code;
#[allow(dead_code, unused_imports)]
mod copy;
mod fault;
pub mod ir;
#[allow(dead_code)]
mod ptx;
mod simd;
#[allow(dead_code, unused_imports)]
mod tensor;

pub use arch::Arch;
pub use code::{Module, Pointer, Role, Variable, visit_registers};
pub use copy::{Fill, Problem, ProblemKind, Swizzle, TensorMap, TensorMapDtype};
pub use fault::{Fault, FaultKind, Site};
pub use simd::Simd;

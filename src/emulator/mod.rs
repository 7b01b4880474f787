//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod arch;
mod code;
mod copy;
mod fault;
pub mod ir;
mod machine;
#[allow(dead_code)]
mod ptx;
mod simd;
mod tensor;

pub use arch::Arch;
pub use code::{Module, Pointer, Role, Variable, visit_registers};
pub use copy::{Fill, Problem, ProblemKind, Swizzle, TensorMap, TensorMapDtype};
pub use fault::{Fault, FaultKind, Site};
pub use machine::{AsyncOrder, Count, Counters, InstructionCount, LaunchConfig, Machine, MachineOptions};
pub use simd::Simd;

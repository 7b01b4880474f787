//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.

mod arch;
mod fault;
pub mod ir;

pub use arch::Arch;
pub use fault::{Fault, FaultKind, Site};

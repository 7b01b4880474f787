//! Where the bits go: matrices in memory, tiles in shared memory, elements in registers.
//!
//! Every map here is plain integer arithmetic with its inverse, and tests prove what a kernel relies on: that a map is
//! a bijection, that the parts cover the whole, and (by [`banks`]) that no access meets a bank conflict.

pub mod banks;
pub mod canonical;
pub mod fragment;
pub mod stage;
pub mod swizzle;

//! Layouts: every map is a bijection, and no access that the kernels make meets a bank conflict.

mod banks;
mod canonical;
mod device;
mod fragment;
mod stage;
mod swizzle;

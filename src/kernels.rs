//! The embedded PTX, as `build.rs` provides it. (Skeleton: the build owner writes this.)

use crate::manifest::Target;

/// One PTX module: all entries of one source for one target.
#[derive(Debug)]
pub struct Module {
    /// Stem of the source, as in [`crate::manifest::Row::source`].
    pub source: &'static str,
    /// What it was compiled for.
    pub target: Target,
    /// The PTX, normalized.
    pub ptx: &'static str,
    /// Machine code made from this very PTX for the architectures of `HALFBYTE_CUDA_ARCHS`, if any.
    pub fatbin: Option<&'static [u8]>,
}

/// Every module that was built.
pub fn modules() -> &'static [Module] {
    &[]
}

//! reference (skeleton)

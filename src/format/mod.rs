//! format (skeleton)

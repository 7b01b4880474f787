//! op (skeleton)

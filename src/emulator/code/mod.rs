//! The syntax tree to executable code: decoding, liveness and few register slots.

mod compact;
mod decode;
mod entry;
mod liveness;
mod module;
mod scope;
#[cfg(test)]
mod tests;
mod visit;
mod words;

pub use module::{Module, Pointer, Variable};
pub use visit::{Role, visit_registers};

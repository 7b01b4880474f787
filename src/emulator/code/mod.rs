//! The syntax tree to executable code: decoding, liveness and few register slots.

mod calls;
mod compact;
mod decode;
mod entry;
mod link;
mod liveness;
mod module;
mod scope;
#[cfg(test)]
mod tests;
mod visit;
mod words;

pub use module::{Module, Pointer, Variable};
pub use visit::{Role, visit_registers};

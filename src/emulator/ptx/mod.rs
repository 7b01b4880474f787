//! PTX text to a syntax tree.
//!
//! The reader knows the grammar (PTX ISA §4, §5, §11) and nothing about single instructions: what a
//! mnemonic and its modifiers mean is decided by the decoder. Text is treated as hostile: every mistake
//! is an error with its line, and nothing is allocated by a number that the text merely states.

pub(super) mod ast;
mod error;
mod lexer;
mod operand;
mod parser;
mod variable;

pub use error::ParseError;
pub(super) use parser::parse;

//! The error of reading and decoding PTX.

use super::super::{Fault, FaultKind};
use std::fmt;

/// Why a PTX text was refused, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// What is wrong, in one phrase.
    pub message: String,
    /// The entry the instruction stands in, if any.
    pub entry: Option<String>,
    /// Whether `entry` is a device function.
    pub is_function: bool,
    /// 1-based line of the PTX text; 0 if the mistake has no single place.
    pub ptx_line: u32,
    /// The instruction or the piece of text at fault.
    pub text: String,
    /// File and 1-based line of the kernel source, where `.loc` tells it.
    pub source: Option<(String, u32)>,
}

impl ParseError {
    /// An error at a line of the text.
    pub(in crate::emulator) fn at(ptx_line: u32, text: impl Into<String>, message: impl Into<String>) -> ParseError {
        ParseError { message: message.into(), ptx_line, text: text.into(), ..ParseError::default() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}", self.ptx_line)?;
        if let Some(entry) = &self.entry {
            write!(f, ", {} {entry}", if self.is_function { "function" } else { "entry" })?;
        }
        if let Some((file, line)) = &self.source {
            write!(f, ", source {file}:{line}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.text.is_empty() {
            write!(f, ": `{}`", self.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {}

impl From<ParseError> for Fault {
    /// What stands inside an entry is valid PTX as a rule, only not supported; the rest is a mistake in the text.
    fn from(error: ParseError) -> Fault {
        let kind = if error.entry.is_some() { FaultKind::Unsupported } else { FaultKind::Parse };
        Fault::new(kind, error.to_string())
    }
}

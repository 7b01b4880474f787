//! The one error type. Every message names the values and the rule, in the caller's words.

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Messages carry the values and the rule that they break.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Dimensions that do not fit together, a leading dimension too small, a K beyond the exact range.
    #[error("{0}")]
    Shape(String),
    /// A buffer shorter than the plan needs.
    #[error("{what} holds {have} {unit}, but {need} are needed")]
    TooShort {
        /// Which buffer.
        what: &'static str,
        /// How much it holds.
        have: usize,
        /// How much is needed.
        need: usize,
        /// Of what: "elements" or "bytes".
        unit: &'static str,
    },
    /// A pointer that is not aligned as the kernels need.
    #[error("{what} is at address {address:#x}, which is not a multiple of {align} bytes")]
    Misaligned {
        /// Which buffer.
        what: &'static str,
        /// Its device address.
        address: u64,
        /// The alignment needed.
        align: u64,
    },
    /// Output and input overlap in memory.
    #[error("{output} overlaps {input} in memory")]
    Aliased {
        /// The output.
        output: &'static str,
        /// The input.
        input: &'static str,
    },
    /// A buffer or stream of another device.
    #[error("{what} lives on {have}, but this operation runs on {want}")]
    WrongDevice {
        /// Which operand.
        what: &'static str,
        /// Its device.
        have: String,
        /// The operation's device.
        want: String,
    },
    /// A value that cannot be quantized or loaded.
    #[error("{0}")]
    Value(String),
    /// A file that is not what it should be.
    #[error("{0}")]
    File(String),
    /// No kernel serves this architecture or problem.
    #[error("{0}")]
    Unsupported(String),
    /// There is no CUDA driver, no device, or one too old.
    #[error("{0}")]
    NoDevice(String),
    /// The CUDA driver returned an error.
    #[error("CUDA driver: {what} failed with {name} (code {code})")]
    Driver {
        /// The call.
        what: &'static str,
        /// The code's name.
        name: String,
        /// The code.
        code: i32,
    },
    /// The emulator stopped a kernel; the text is its report.
    #[error("{0}")]
    Emulator(String),
    /// A checked emulator ran a kernel to its end and found something wrong with it; the text has every report.
    #[error("{0}")]
    Findings(String),
    /// Memory that cannot be had.
    #[error("out of memory: {bytes} bytes asked for on {device}")]
    OutOfMemory {
        /// How much.
        bytes: usize,
        /// Where.
        device: String,
    },
}

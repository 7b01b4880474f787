//! Executable code: what the decoder makes of PTX and what the interpreter runs.
//!
//! A register is 32 lanes wide and one instruction runs for a whole warp. There are three register
//! files: 32-bit (`V32`; also holds 8- and 16-bit registers, zero-extended, and packed halves), 64-bit
//! (`V64`) and predicates (one bit a lane in a `u32`). Immediates are registers too: the decoder gives
//! every distinct constant a slot that is filled once when a warp starts, so that no instruction has to
//! ask what kind its operands are.

mod call;
mod op;
mod words;

pub use call::*;
pub use op::*;
pub use words::*;

/// One 32-bit register of a warp: lane `i` is element `i`. Aligned so that a register is two cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct V32(pub [u32; 32]);

/// One 64-bit register of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct V64(pub [u64; 32]);

/// Index of a register in the file that the instruction's type names.
///
/// Results of 8- and 16-bit types are written zero-extended into the 32-bit file, and sources of such
/// types are read from the low bits. Where the text names a wider register (`cvt`, `ld`) and a signed
/// type, the decoder adds the extension as an operation of its own. Destinations and sources may be the
/// same register when the text says so; otherwise they never share one.
pub type Reg = u16;

/// Index of a predicate register.
pub type Pred = u16;

/// Which register file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum File {
    /// 32-bit and narrower.
    R32,
    /// 64-bit.
    R64,
    /// Predicates.
    Pred,
}

/// A predicate operand, possibly negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredSrc {
    /// The predicate.
    pub pred: Pred,
    /// True for `!p`.
    pub negated: bool,
}

/// One decoded instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Inst {
    /// What it does.
    pub op: Op,
    /// `@p` / `@!p`.
    pub guard: Option<PredSrc>,
    /// Index of its PTX line in [`Code::lines`], for reports and counters.
    pub at: u32,
}

/// Where an instruction stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// The instruction's own text, tidied.
    pub text: String,
    /// 1-based line of the PTX file.
    pub ptx_line: u32,
    /// Index into [`Code::files`] of the kernel source, if `.loc` told.
    pub file: Option<u32>,
    /// 1-based line of the kernel source.
    pub line: u32,
    /// Index into [`Code::files`] and 1-based line of the call that was inlined there, if the instruction is part of
    /// one.
    pub caller: Option<(u32, u32)>,
}

/// A parameter of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the text.
    pub name: String,
    /// Byte offset in the parameter block.
    pub offset: u32,
    /// Size in bytes.
    pub bytes: u32,
    /// Alignment in bytes.
    pub align: u32,
}

/// One kernel entry, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Name of the entry.
    pub name: String,
    /// Instructions; branch targets are indices into this. Functions stand before those that call them, so that lanes
    /// in a call come back before the others go on. The last instruction is always an `Exit`.
    pub insts: Vec<Inst>,
    /// The first instruction of the entry itself.
    pub start: u32,
    /// The functions of the module that it can call.
    pub functions: Vec<Routine>,
    /// Registers needed in the 32-bit file, constants included.
    pub num_r32: usize,
    /// Registers needed in the 64-bit file, constants included.
    pub num_r64: usize,
    /// Predicates needed.
    pub num_pred: usize,
    /// Slots of the 32-bit file that hold constants.
    pub const32: Vec<(Reg, u32)>,
    /// Slots of the 64-bit file that hold constants.
    pub const64: Vec<(Reg, u64)>,
    /// Slots of the 64-bit file that hold the address of a module variable (its index) plus a constant;
    /// whoever loads the module fills them like constants.
    pub addresses: Vec<(Reg, u32, i64)>,
    /// Parameters in order.
    pub params: Vec<Parameter>,
    /// Bytes of the parameter block, and its alignment.
    pub param_bytes: u32,
    /// Alignment of the parameter block.
    pub param_align: u32,
    /// Bytes of static shared memory; dynamic shared memory starts at `shared_dynamic_at`.
    pub shared_static: u32,
    /// Offset at which dynamic shared memory starts (aligned as its declaration asks).
    pub shared_dynamic_at: u32,
    /// Bytes of local memory per thread, without the stack of functions that call themselves.
    pub local_bytes: u32,
    /// `.maxntid`, if given.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`, if given.
    pub required_threads: Option<[u32; 3]>,
    /// `.reqnctapercluster`, if given.
    pub required_cluster: Option<[u32; 3]>,
    /// Positions, indexed by [`Inst::at`].
    pub lines: Vec<At>,
    /// Source files, from `.file`.
    pub files: std::sync::Arc<[String]>,
}

//! Device functions of an entry's code, and calls of them.

use super::Reg;

/// A parameter or a result of a device function: where it is in the thread's local memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formal {
    /// Byte offset in local memory, or in the function's frame if it has one.
    pub offset: u32,
    /// Size in bytes.
    pub bytes: u32,
}

/// What each call of a function that may call itself, directly or through others, has for itself on the thread's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of its variables and parameters.
    pub bytes: u32,
    /// Their alignment.
    pub align: u32,
    /// Slot of the 64-bit file that holds where the frame starts, if the code asks for it.
    pub pointer: Option<Reg>,
    /// First slot and number of the registers of each file that a call of it keeps and a return brings back.
    pub saved: [(Reg, Reg); 3],
}

impl Frame {
    /// Bytes of stack that a call takes: memory and registers.
    pub fn stack_bytes(&self) -> u32 {
        let [r32, r64, pred] = self.saved.map(|(_, count)| u32::from(count));
        (self.bytes.next_multiple_of(16) + 8 * r64 + 4 * (r32 + pred) + 16).next_multiple_of(16)
    }
}

/// A device function as part of an entry's code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routine {
    /// Its name.
    pub name: String,
    /// The address by which it can be called.
    pub address: u64,
    /// Its first instruction.
    pub start: u32,
    /// Parameters in order.
    pub params: Vec<Formal>,
    /// Results.
    pub returns: Vec<Formal>,
    /// What it keeps a call apart by, if it may call itself.
    pub frame: Option<Frame>,
}

/// What a `call` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// A function: index into [`Code::functions`](super::Code::functions).
    Function(u32),
    /// The function whose address a register of the 64-bit file holds.
    Address(Reg),
    /// `vprintf`: formatted output.
    Printf,
    /// `__assertfail`: an assertion that failed.
    Assert,
}

/// `call`: arguments and results are in the caller's local memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOp {
    /// What is called.
    pub target: CallTarget,
    /// The register (64-bit file) that the places below are relative to, in functions that may call themselves.
    pub frame: Option<Reg>,
    /// Arguments: offset in local memory, and bytes.
    pub args: Box<[Formal]>,
    /// Where results go.
    pub returns: Box<[Formal]>,
}

//! What can go wrong in a tensor-core instruction or an asynchronous copy, as facts for a fault report.

use std::fmt;

use crate::emulator::ir::Space;

/// Kind of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// An access outside its memory.
    OutOfBounds,
    /// An address that is not a multiple of what the instruction asks.
    Misaligned,
    /// An mbarrier used against its rules.
    Mbarrier,
    /// A matrix descriptor or tensor map that breaks its rules, or operands that must agree and do not.
    Operand,
    /// Legal PTX that this emulator does not model.
    Unsupported,
}

/// One misuse found while an instruction is issued or its effect lands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of misuse.
    pub kind: ProblemKind,
    /// The memory that `address` is in.
    pub space: Space,
    /// Offending address (0 when none is meant).
    pub address: u64,
    /// Bytes of the access, or the alignment that was asked (0 when neither is meant).
    pub size: u64,
    /// The lane that asked, if one did.
    pub lane: Option<u8>,
    /// The facts in words.
    pub what: String,
}

impl Problem {
    /// `size` bytes at `address` do not lie inside a memory of `limit` bytes.
    #[cold]
    pub fn out_of_bounds(space: Space, address: u64, size: u64, limit: u64, who: &str) -> Problem {
        let what = format!("{who}: {size} bytes at {address:#x} are outside its {limit} bytes of memory");
        Problem { kind: ProblemKind::OutOfBounds, space, address, size, lane: None, what }
    }

    /// `address` is not a multiple of `align`.
    #[cold]
    pub fn misaligned(space: Space, address: u64, align: u64, who: &str) -> Problem {
        let what = format!("{who}: address {address:#x} is not a multiple of {align}");
        Problem { kind: ProblemKind::Misaligned, space, address, size: align, lane: None, what }
    }

    /// A misuse of the mbarrier at `address`.
    #[cold]
    pub fn mbarrier(address: u64, what: String) -> Problem {
        Problem { kind: ProblemKind::Mbarrier, space: Space::Shared, address, size: 8, lane: None, what }
    }

    /// An operand that breaks the instruction's rules.
    #[cold]
    pub fn operand(what: String) -> Problem {
        Problem { kind: ProblemKind::Operand, space: Space::Shared, address: 0, size: 0, lane: None, what }
    }

    /// Legal, but not modelled.
    #[cold]
    pub fn unsupported(what: String) -> Problem {
        Problem { kind: ProblemKind::Unsupported, space: Space::Shared, address: 0, size: 0, lane: None, what }
    }

    /// The same problem, blamed on `lane`.
    pub fn at_lane(mut self, lane: usize) -> Problem {
        self.lane = u8::try_from(lane).ok();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// The range of `shared` that `size` bytes at `address` take, if they are inside and aligned to `align`.
pub(crate) fn shared_range(
    len: usize,
    address: u64,
    size: u64,
    align: u64,
    who: &str,
) -> Result<std::ops::Range<usize>, Problem> {
    if align > 1 && !address.is_multiple_of(align) {
        return Err(Problem::misaligned(Space::Shared, address, align, who));
    }
    match address.checked_add(size) {
        Some(end) if end <= len as u64 => Ok(address as usize..end as usize),
        _ => Err(Problem::out_of_bounds(Space::Shared, address, size, len as u64, who)),
    }
}

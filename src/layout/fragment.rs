//! What the registers of tensor-core instructions mean: (lane, register, element) ↔ (row, column).
//!
//! Each map is written in mixed radix. A lane number is split into digits, least first, so is a register number, and
//! each digit moves the position by a fixed step of rows or of columns:
//!
//! ```text
//! mma.m16n8k32, A of bytes            lane = t + 4 · g         t < 4, g < 8
//!                                     register = h + 2 · c     h < 2, c < 2
//!     row    = g + 8 · h
//!     column = e + 4 · t + 16 · c     e < 4, the byte of the register
//! ```
//!
//! Each coordinate's digits form a mixed-radix number themselves, which makes the map a bijection, and gives the
//! inverse. A is `[M, K]`, B is given as `[N, K]` (as weights lie in memory; the ISA draws it as K × N), D as `[M, N]`.

/// One digit of a lane, register or element number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digit {
    /// It counts 0..radix.
    radix: u32,
    /// Rows that one step moves.
    row: u32,
    /// Columns that one step moves.
    col: u32,
}

const NONE: Digit = Digit { radix: 1, row: 0, col: 0 };

const fn rows(radix: u32, row: u32) -> Digit {
    Digit { radix, row, col: 0 }
}

const fn cols(radix: u32, col: u32) -> Digit {
    Digit { radix, row: 0, col }
}

/// The map of one operand of one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Digits of the lane number, least first. wgmma counts the 128 lanes of its four warps on.
    lane: [Digit; 3],
    /// Digits of the register number, least first.
    register: [Digit; 3],
    /// The element within a 32-bit register.
    element: Digit,
}

/// Where an element is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Lane of the warp, or of the warpgroup.
    pub lane: u32,
    /// Register of the operand.
    pub register: u32,
    /// Element of the register, the lowest bits first.
    pub element: u32,
}

/// A of `mma.m16n8k32` with bytes: 16 × 32, four registers of four (PTX ISA §9.7.14.5.9).
pub const MMA_M16N8K32_A: Fragment =
    Fragment { lane: [cols(4, 4), rows(8, 1), NONE], register: [rows(2, 8), cols(2, 16), NONE], element: cols(4, 1) };

/// B of `mma.m16n8k32` with bytes, as `[N, K]`: 8 × 32, two registers of four.
pub const MMA_M16N8K32_B: Fragment =
    Fragment { lane: [cols(4, 4), rows(8, 1), NONE], register: [cols(2, 16), NONE, NONE], element: cols(4, 1) };

/// A of `mma.m16n8k16` with 16-bit elements: 16 × 16, four registers of two (PTX ISA §9.7.14.5.8).
pub const MMA_M16N8K16_A: Fragment =
    Fragment { lane: [cols(4, 2), rows(8, 1), NONE], register: [rows(2, 8), cols(2, 8), NONE], element: cols(2, 1) };

/// B of `mma.m16n8k16` with 16-bit elements, as `[N, K]`: 8 × 16, two registers of two.
pub const MMA_M16N8K16_B: Fragment =
    Fragment { lane: [cols(4, 2), rows(8, 1), NONE], register: [cols(2, 8), NONE, NONE], element: cols(2, 1) };

/// C and D of `mma.m16n8k32` and `mma.m16n8k16` with 32-bit elements: 16 × 8, four registers.
pub const MMA_M16N8_D: Fragment =
    Fragment { lane: [cols(4, 2), rows(8, 1), NONE], register: [cols(2, 1), rows(2, 8), NONE], element: NONE };

/// One matrix of `ldmatrix` (8 × 8 of 16 bits), in bytes: 8 × 16, one register of four (PTX ISA §9.7.14.5.15). Register
/// `i` of an x4 is matrix `i`.
pub const LDMATRIX: Fragment =
    Fragment { lane: [cols(4, 4), rows(8, 1), NONE], register: [NONE, NONE, NONE], element: cols(4, 1) };

/// A of `wgmma.m64nNk32` with bytes in registers: 64 × 32, four registers of four (PTX ISA §9.7.15.5.1).
pub const WGMMA_M64K32_A: Fragment = Fragment {
    lane: [cols(4, 4), rows(8, 1), rows(4, 16)],
    register: [rows(2, 8), cols(2, 16), NONE],
    element: cols(4, 1),
};

/// D of `wgmma.m64nN` with 32-bit elements: 64 × N, N / 2 registers (PTX ISA §9.7.15.5.1). `None` unless N is a
/// multiple of 8 from 8 to 256.
pub const fn wgmma_d(n: u32) -> Option<Fragment> {
    if !n.is_multiple_of(8) || n == 0 || n > 256 {
        return None;
    }
    Some(Fragment {
        lane: [cols(4, 2), rows(8, 1), rows(4, 16)],
        register: [cols(2, 1), rows(2, 8), cols(n / 8, 8)],
        element: NONE,
    })
}

impl Fragment {
    /// Lanes that hold a part.
    pub fn lanes(&self) -> u32 {
        count(&self.lane)
    }

    /// Registers a lane.
    pub fn registers(&self) -> u32 {
        count(&self.register)
    }

    /// Elements a register.
    pub fn elements(&self) -> u32 {
        self.element.radix
    }

    /// Rows of the whole.
    pub fn rows(&self) -> u32 {
        self.digits().map(|digit| (digit.radix - 1) * digit.row).sum::<u32>() + 1
    }

    /// Columns of the whole.
    pub fn cols(&self) -> u32 {
        self.digits().map(|digit| (digit.radix - 1) * digit.col).sum::<u32>() + 1
    }

    /// (row, column) of what a holder holds; `None` when there is no such holder.
    pub fn position(&self, holder: Holder) -> Option<(u32, u32)> {
        let Holder { lane, register, element } = holder;
        if lane >= self.lanes() || register >= self.registers() || element >= self.elements() {
            return None;
        }
        let mut at = (0, 0);
        for (mut number, digits) in
            [(lane, &self.lane[..]), (register, &self.register[..]), (element, &[self.element][..])]
        {
            for digit in digits {
                let value = number % digit.radix;
                number /= digit.radix;
                at = (at.0 + value * digit.row, at.1 + value * digit.col);
            }
        }
        Some(at)
    }

    /// Who holds (row, column); `None` outside.
    pub fn holder(&self, row: u32, col: u32) -> Option<Holder> {
        if row >= self.rows() || col >= self.cols() {
            return None;
        }
        let number = |digits: &[Digit]| {
            digits.iter().rev().fold(0, |number, digit| {
                // A digit of radix 1 moves nothing; any other moves one coordinate.
                let value = row.checked_div(digit.row).or(col.checked_div(digit.col)).unwrap_or(0) % digit.radix;
                number * digit.radix + value
            })
        };
        Some(Holder { lane: number(&self.lane), register: number(&self.register), element: number(&[self.element]) })
    }

    fn digits(&self) -> impl Iterator<Item = &Digit> {
        self.lane.iter().chain(&self.register).chain([&self.element])
    }
}

fn count(digits: &[Digit]) -> u32 {
    digits.iter().map(|digit| digit.radix).product()
}

/// A row of a tile and one of its 16-byte chunks: what a lane asks ldmatrix for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowChunk {
    /// The row.
    pub row: u32,
    /// The chunk of the row.
    pub chunk: u32,
}

/// What lane 0..32 asks `ldmatrix.x4` for, so that its four registers are [`MMA_M16N8K32_A`].
pub const fn ldmatrix_a(lane: u32) -> RowChunk {
    RowChunk { row: lane % 16, chunk: lane / 16 }
}

/// What lane 0..32 asks `ldmatrix.x4` for, so that its registers are two [`MMA_M16N8K32_B`]: rows 0–7 of `[N, K]`, then
/// 8–15.
pub const fn ldmatrix_b(lane: u32) -> RowChunk {
    RowChunk { row: lane / 16 * 8 + lane % 8, chunk: lane / 8 % 2 }
}

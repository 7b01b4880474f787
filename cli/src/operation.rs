//! What `verify` runs on the numbers of one product.

/// The operations, in the order in which a linear layer uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Rows of floats to codes and scales.
    QuantizeRows,
    /// The raw s32 product, by the plan that is chosen.
    GemmS8,
    /// The raw s32 product by every kernel that can run it, with K whole and with K in slices.
    EveryKernel,
    /// The whole layer.
    Linear,
    /// The product of 16-bit floats, scaled and added to, by the plan that is chosen.
    Gemm,
    /// The same by every kernel that can run it, in every direction of K.
    GemmEveryKernel,
    /// The product of e4m3 by e5m2, likewise by the plan that is chosen.
    GemmFp8,
    /// The same by every kernel.
    GemmFp8EveryKernel,
    /// The product of int8 by groups of K, by the plan that is chosen.
    Groups,
    /// The same by every kernel.
    GroupsEveryKernel,
    /// The product of e4m3 with weights scaled by blocks of 128 x 128, by the plan that is chosen.
    Blocks,
    /// The same by every kernel.
    BlocksEveryKernel,
    /// Floats to int8 codes by every scheme, and codes turned and added up.
    Quantize,
    /// Floats to e4m3 codes by every scheme.
    QuantizeFp8,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 10] = [
        Operation::QuantizeRows,
        Operation::GemmS8,
        Operation::EveryKernel,
        Operation::Linear,
        Operation::GemmEveryKernel,
        Operation::GemmFp8EveryKernel,
        Operation::GroupsEveryKernel,
        Operation::BlocksEveryKernel,
        Operation::Quantize,
        Operation::QuantizeFp8,
    ];
    /// All but those that look for faults of a single kernel, for the larger shapes.
    pub const CHOSEN: [Operation; 3] = [Operation::QuantizeRows, Operation::GemmS8, Operation::Linear];

    /// The products with their scales, whatever they multiply, and what makes their operands.
    pub const SCALED: [Operation; 6] = [
        Operation::Gemm,
        Operation::GemmFp8,
        Operation::Groups,
        Operation::Blocks,
        Operation::Quantize,
        Operation::QuantizeFp8,
    ];
    /// Those of them that the deepest layers run.
    pub const DEEP: [Operation; 4] = [Operation::Gemm, Operation::GemmFp8, Operation::Groups, Operation::Blocks];

    /// Whether a device of this compute capability (times ten) has it.
    pub fn served(self, capability: u32) -> bool {
        use Operation::{Blocks, BlocksEveryKernel, GemmFp8, GemmFp8EveryKernel, QuantizeFp8};
        !matches!(self, GemmFp8 | GemmFp8EveryKernel | Blocks | BlocksEveryKernel | QuantizeFp8) || capability >= 89
    }

    /// The door that it goes through.
    pub fn name(self) -> &'static str {
        match self {
            Operation::QuantizeRows => "quantize_rows",
            Operation::Quantize | Operation::QuantizeFp8 => "quantize",
            Operation::GemmS8 | Operation::EveryKernel => "gemm_s8",
            Operation::Linear => "linear",
            _ => "gemm",
        }
    }
}

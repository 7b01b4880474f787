//! THE list of kernel entry points. `build.rs` reads it to compile, `src/` to launch; nothing else names a kernel.
//!
//! A row says everything about one entry: where it comes from, the constants it is made with, the machines
//! it is compiled for, and what a launch must look like. Rows of one `source` and target share one PTX module.

#[path = "manifest/attention.rs"]
mod attention;
#[path = "manifest/attention_quantize.rs"]
mod attention_quantize;
#[path = "manifest/gemm.rs"]
mod gemm;
#[path = "manifest/merge.rs"]
mod merge;
#[path = "manifest/prefill_int8.rs"]
mod prefill_int8;
#[path = "manifest/probe.rs"]
mod probe;
#[path = "manifest/quantize.rs"]
mod quantize;

/// Key of a kernel entry point. A plan returns one of these; only this file knows the symbol behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Entry {
    QuantizeRowsF32,
    QuantizeRowsF16,
    QuantizeRowsBf16,
    QuantizeRowsZeroF32,
    QuantizeRowsZeroF16,
    QuantizeRowsZeroBf16,
    QuantizeRowsE4m3F32,
    QuantizeRowsE4m3F16,
    QuantizeRowsE4m3Bf16,
    QuantizeRowsE5m2F32,
    QuantizeRowsE5m2F16,
    QuantizeRowsE5m2Bf16,
    QuantizeGroupsS8F32,
    QuantizeGroupsS8F16,
    QuantizeGroupsS8Bf16,
    QuantizeGroupsE4m3F32,
    QuantizeGroupsE4m3F16,
    QuantizeGroupsE4m3Bf16,
    QuantizeGroupsE5m2F32,
    QuantizeGroupsE5m2F16,
    QuantizeGroupsE5m2Bf16,
    QuantizeColumnsS8F32,
    QuantizeColumnsS8F16,
    QuantizeColumnsS8Bf16,
    QuantizeColumnsE4m3F32,
    QuantizeColumnsE4m3F16,
    QuantizeColumnsE4m3Bf16,
    QuantizeColumnsE5m2F32,
    QuantizeColumnsE5m2F16,
    QuantizeColumnsE5m2Bf16,
    TransposeBytesB8,
    ColumnSumsS8,
    MergeF32,
    MergeF16,
    MergeBf16,
    KeyMeanFinish,
    KeyMeanF16,
    KeyMeanBf16,
    QuantizeHeadsF16,
    QuantizeHeadsBf16,
    QuantizeValuesF16,
    QuantizeValuesBf16,
    AttentionPrefillF16Mma64x32,
    AttentionPrefillF16Mma64x48,
    AttentionPrefillF16Mma64x64,
    AttentionPrefillF16Mma64x80,
    AttentionPrefillF16Mma64x96,
    AttentionPrefillF16Mma64x128,
    AttentionPrefillF16Mma64x192v128,
    AttentionPrefillF16Mma64x192,
    AttentionPrefillF16Mma64x256,
    AttentionPrefillF16Mma128x64,
    AttentionPrefillF16Mma128x128,
    AttentionPrefillBf16Mma64x32,
    AttentionPrefillBf16Mma64x48,
    AttentionPrefillBf16Mma64x64,
    AttentionPrefillBf16Mma64x80,
    AttentionPrefillBf16Mma64x96,
    AttentionPrefillBf16Mma64x128,
    AttentionPrefillBf16Mma64x192v128,
    AttentionPrefillBf16Mma64x192,
    AttentionPrefillBf16Mma64x256,
    AttentionPrefillBf16Mma128x64,
    AttentionPrefillBf16Mma128x128,
    PrefillInt8F16W64,
    PrefillInt8Bf16W64,
    PrefillInt8E4m3W64,
    PrefillInt8F16W96,
    PrefillInt8Bf16W96,
    PrefillInt8E4m3W96,
    PrefillInt8F16W128,
    PrefillInt8Bf16W128,
    PrefillInt8E4m3W128,
    PrefillInt8F16W192,
    PrefillInt8Bf16W192,
    PrefillInt8E4m3W192,
    PrefillInt8F16W256,
    PrefillInt8Bf16W256,
    PrefillInt8E4m3W256,
    GemmS8Mma128x128x64,
    GemmS8Mma64x64x64,
    GemmS8Mma16x64x128,
    GemmS8Wgmma128x128x128,
    GemmF16Mma128x128x32,
    GemmF16Mma64x64x32,
    GemmF16Mma16x64x64,
    GemmBf16Mma128x128x32,
    GemmBf16Mma64x64x32,
    GemmBf16Mma16x64x64,
    GemmF16MmaADown128x128x32,
    GemmF16MmaADown64x64x32,
    GemmF16MmaBDown128x128x32,
    GemmF16MmaBDown64x64x32,
    GemmF16MmaDown128x128x32,
    GemmF16MmaDown64x64x32,
    GemmBf16MmaADown128x128x32,
    GemmBf16MmaADown64x64x32,
    GemmBf16MmaBDown128x128x32,
    GemmBf16MmaBDown64x64x32,
    GemmBf16MmaDown128x128x32,
    GemmBf16MmaDown64x64x32,
    GemmE4m3E4m3Mma128x128x64,
    GemmE4m3E4m3Mma64x64x64,
    GemmE4m3E4m3Mma16x64x128,
    GemmE4m3E5m2Mma128x128x64,
    GemmE4m3E5m2Mma64x64x64,
    GemmE4m3E5m2Mma16x64x128,
    GemmE5m2E4m3Mma128x128x64,
    GemmE5m2E4m3Mma64x64x64,
    GemmE5m2E4m3Mma16x64x128,
    GemmE5m2E5m2Mma128x128x64,
    GemmE5m2E5m2Mma64x64x64,
    GemmE5m2E5m2Mma16x64x128,
    GemmS8MmaGroups128x128x64,
    GemmS8MmaGroups64x64x64,
    GemmS8MmaGroups16x64x128,
    GemmE4m3E4m3MmaGroups128x64x64,
    GemmE4m3E4m3MmaGroups64x64x64,
    GemmE4m3E4m3MmaGroups16x64x128,
    GemmE4m3E5m2MmaGroups128x64x64,
    GemmE4m3E5m2MmaGroups64x64x64,
    GemmE4m3E5m2MmaGroups16x64x128,
    GemmE5m2E4m3MmaGroups128x64x64,
    GemmE5m2E4m3MmaGroups64x64x64,
    GemmE5m2E4m3MmaGroups16x64x128,
    GemmE5m2E5m2MmaGroups128x64x64,
    GemmE5m2E5m2MmaGroups64x64x64,
    GemmE5m2E5m2MmaGroups16x64x128,
    ProbeMmaInt8,
    ProbeMmaF16,
    ProbeMmaF16Sums,
    ProbeMmaBf16,
    ProbeMmaTf32,
    ProbeMmaE4m3,
    ProbeMmaE5m2,
    ProbeSharedLdmatrix,
    ProbeSharedCpAsync,
    ProbeSharedCpAsyncArrive,
    ProbeSharedStmatrix,
    ProbeFloatArithmetic,
    ProbeFloatCompare,
    ProbeFloatTest,
    ProbeFloatDivide,
    ProbeFloatApproximate,
    ProbeFloatDouble,
    ProbeFloatXorsign,
    ProbeHalfArithmetic,
    ProbeHalfBf16,
    ProbeHalfApproximate,
    ProbeHalfXorsign,
    ProbeHalfBf16Sums,
    ProbeHalfApproximateBf16,
    ProbeIntegerArithmetic,
    ProbeIntegerDivide,
    ProbeIntegerBits,
    ProbeIntegerMask,
    ProbeIntegerWide,
    ProbeIntegerCarry,
    ProbeIntegerPrmt,
    ProbeIntegerLop3,
    ProbeIntegerPairs,
    ProbeConvertToInteger,
    ProbeConvertToFloat,
    ProbeConvertFromInteger,
    ProbeConvertDouble,
    ProbeConvertHalf,
    ProbeConvertFp8Wide,
    ProbeConvertFp8,
    ProbeConvertFp8Pack,
    ProbeConvertBf16,
    ProbeConvertFinite,
    ProbeWarpShuffle,
    ProbeWarpVote,
    ProbeWarpMatch,
    ProbeWarpRedux,
    ProbeWarpMovmatrix,
    ProbeWarpAtomic,
    ProbeWarpAtomicShared,
    ProbeWarpAtomicGlobal,
    ProbeWarpElect,
    ProbeWarpAtomicVector,
    ProbeHopperMbarrier,
    ProbeHopperBulk,
    ProbeHopperTma1d,
    ProbeHopperTma2d,
    ProbeHopperTma3d,
    ProbeHopperTma4d,
    ProbeHopperTma5d,
    ProbeWgmmaInt8,
    ProbeWgmmaF16,
    ProbeWgmmaF16Sums,
    ProbeWgmmaBf16,
    ProbeWgmmaTf32,
    ProbeWgmmaE4m3,
    ProbeWgmmaE4m3Sums,
    ProbeWgmmaE5m2,
    ProbeWgmmaE5m2Sums,
    ProbeWgmmaF16Trans,
    ProbeWgmmaBf16Trans,
    ProbeWgmmaInt8Wide,
    ProbeWgmmaF16Wide,
    ProbeWgmmaF16TransWide,
}

/// A compilation target: the PTX of a row runs on this architecture and, unless it is arch-specific, on later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Target {
    /// Ampere and everything after it.
    Sm80,
    /// Ada and everything after it.
    Sm89,
    /// Hopper only (`wgmma`, `setmaxnreg`).
    Sm90a,
}

/// Type of one field of a parameter block. The block has the C layout of its fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A TMA tensor map: 128 bytes, aligned to 64.
    TensorMap,
    /// A device pointer that the kernel reads.
    Ptr,
    /// A device pointer that the kernel writes (or reads and writes).
    PtrMut,
    /// `uint32_t`.
    U32,
    /// `int64_t`.
    I64,
    /// `float`.
    F32,
}

/// One parameter block: its C name and its fields. `kernels/params.cuh` is written from these.
#[derive(Debug, PartialEq, Eq)]
pub struct Params {
    /// Name of the C struct.
    pub name: &'static str,
    /// Names, types and one line of documentation, in order; tensor maps first.
    pub fields: &'static [(&'static str, Field, &'static str)],
}

/// One entry point.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its key.
    pub entry: Entry,
    /// Its symbol in the PTX.
    pub symbol: &'static str,
    /// Stem of the kernel file: `kernels/<folder>/<stem>.cuh`.
    pub source: &'static str,
    /// The device function template instance that the entry calls.
    pub call: &'static str,
    /// Named constants of that instance, in the template's order: what `plan` calculates with.
    pub constants: &'static [(&'static str, u32)],
    /// What it is compiled for.
    pub targets: &'static [Target],
    /// Threads a block.
    pub threads: u32,
    /// Blocks that should fit on one multiprocessor (`__launch_bounds__`).
    pub min_blocks: u32,
    /// Most registers a thread may use; CI holds ptxas to it.
    pub max_registers: u32,
    /// Dynamic shared memory in bytes; 0 where the plan decides at run time.
    pub shared_bytes: u32,
    /// Tensor-core instruction that must be in the machine code, if any; `A|B` is one of two.
    pub expect_sass: Option<&'static str>,
    /// Parameter block.
    pub params: &'static Params,
}

/// Parameters of `quantize_rows`.
pub const QUANTIZE_ROWS: Params = quantize::QUANTIZE_ROWS;

/// Parameters of `quantize_groups`.
pub const QUANTIZE_GROUPS: Params = quantize::QUANTIZE_GROUPS;

/// Parameters of `quantize_columns`.
pub const QUANTIZE_COLUMNS: Params = quantize::QUANTIZE_COLUMNS;

/// Parameters of `transpose_bytes`.
pub const TRANSPOSE_BYTES: Params = quantize::TRANSPOSE_BYTES;

/// Parameters of `column_sums`.
pub const COLUMN_SUMS: Params = quantize::COLUMN_SUMS;

/// Parameters of `merge`.
pub const MERGE: Params = merge::MERGE;

/// Parameters of `key_mean` and `key_mean_finish`.
pub const KEY_MEAN: Params = attention_quantize::KEY_MEAN;

/// Parameters of `quantize_heads`.
pub const QUANTIZE_HEADS: Params = attention_quantize::QUANTIZE_HEADS;

/// Parameters of `quantize_values`.
pub const QUANTIZE_VALUES: Params = attention_quantize::QUANTIZE_VALUES;

/// Parameters of attention of many queries.
pub const ATTENTION_PREFILL: Params = attention::ATTENTION_PREFILL;

/// Parameters of `prefill_int8`.
pub const PREFILL_INT8: Params = prefill_int8::PREFILL_INT8;

/// Parameters of every product by `mma.sync`.
pub const GEMM_MMA: Params = gemm::GEMM_MMA;

/// Parameters of `gemm_s8_wgmma`.
pub const GEMM_S8_WGMMA: Params = Params {
    name: "GemmS8WgmmaParams",
    fields: &[
        ("a_map", Field::TensorMap, "a as [M, K] int8, box TILE_M x TILE_K, 128-byte swizzle"),
        ("b_map", Field::TensorMap, "b as [N, K] int8, box TILE_N x TILE_K, 128-byte swizzle"),
        ("d", Field::PtrMut, "[M, N] out of type d_type, row stride ldd"),
        ("scale_row", Field::Ptr, "[M] float, unused for s32 output"),
        ("scale_col", Field::Ptr, "[N] float, unused for s32 output"),
        ("bias", Field::Ptr, "[N] float, or null"),
        ("ldd", Field::I64, "row stride of d in elements"),
        ("m", Field::U32, "rows of a"),
        ("n", Field::U32, "rows of b"),
        ("k", Field::U32, "columns of a and b"),
        ("d_type", Field::U32, "0 f32, 1 f16, 2 bf16, 3 raw s32"),
    ],
};

/// Every entry point of the crate.
pub const ROWS: &[Row] = &joined();

/// The kernels that compute something, then the probes.
const PARTS: &[&[Row]] = &[
    &quantize::ROWS,
    &quantize::BYTES,
    &merge::ROWS,
    &attention_quantize::ROWS,
    &attention::ROWS,
    &prefill_int8::ROWS,
    KERNELS,
    &gemm::ROWS,
    &gemm::GROUPS,
    &probe::ROWS,
];
const COUNT: usize = {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

const fn joined() -> [Row; COUNT] {
    let mut rows = [PARTS[0][0]; COUNT];
    let (mut part, mut first, mut i) = (0, 0, 0);
    while i < rows.len() {
        if i - first == PARTS[part].len() {
            first = i;
            part += 1;
        }
        rows[i] = PARTS[part][i - first];
        i += 1;
    }
    rows
}

const KERNELS: &[Row] = &[Row {
    entry: Entry::GemmS8Wgmma128x128x128,
    symbol: "gemm_s8_wgmma_128x128x128",
    source: "gemm/gemm_s8_wgmma",
    call: "gemm_s8_wgmma<128, 128, 128, 6>",
    constants: &[("TILE_M", 128), ("TILE_N", 128), ("TILE_K", 128), ("STAGES", 6)],
    targets: &[Target::Sm90a],
    threads: 384,
    min_blocks: 1,
    max_registers: 168,
    shared_bytes: 1024 + 6 * (128 + 128) * 128 + 8 * 2048 + 112,
    expect_sass: Some("IGMMA.64x128x32.S8.S8"),
    params: &GEMM_S8_WGMMA,
}];

impl Row {
    /// The value of a named constant of this row.
    pub fn constant(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(n, _)| *n == name).map(|&(_, v)| v)
    }
}

impl Entry {
    /// The row of this entry.
    pub fn row(self) -> &'static Row {
        ROWS.iter().find(|r| r.entry == self).expect("every entry has a row (tested)")
    }
}

impl Target {
    /// As file names and PTX write it: `sm_80`.
    pub const fn name(self) -> &'static str {
        match self {
            Target::Sm80 => "sm_80",
            Target::Sm89 => "sm_89",
            Target::Sm90a => "sm_90a",
        }
    }

    /// Compute capability times ten.
    pub const fn capability(self) -> u32 {
        match self {
            Target::Sm80 => 80,
            Target::Sm89 => 89,
            Target::Sm90a => 90,
        }
    }

    /// True when the PTX runs on exactly this architecture.
    pub const fn arch_specific(self) -> bool {
        matches!(self, Target::Sm90a)
    }
}

impl Field {
    /// Size in bytes in the parameter block.
    pub const fn size(self) -> usize {
        match self {
            Field::TensorMap => 128,
            Field::Ptr | Field::PtrMut | Field::I64 => 8,
            Field::U32 | Field::F32 => 4,
        }
    }

    /// Alignment in bytes in the parameter block.
    pub const fn align(self) -> usize {
        match self {
            Field::TensorMap => 64,
            other => other.size(),
        }
    }
}

impl Params {
    /// Byte offset of field `index`.
    pub fn offset(&self, index: usize) -> usize {
        let mut at = 0;
        for (i, (_, f, _)) in self.fields.iter().enumerate() {
            at = usize::next_multiple_of(at, f.align());
            if i == index {
                return at;
            }
            at += f.size();
        }
        at
    }

    /// Alignment of the whole block.
    pub fn align(&self) -> usize {
        self.fields.iter().map(|(_, f, _)| f.align()).max().unwrap_or(1)
    }

    /// Size of the whole block, padded to its alignment.
    pub fn size(&self) -> usize {
        let end = self.fields.len().checked_sub(1).map_or(0, |i| self.offset(i) + self.fields[i].1.size());
        end.next_multiple_of(self.align())
    }
}

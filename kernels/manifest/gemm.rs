//! The products by `mma.sync`: one kernel (`gemm/mma_loop.cuh`) for every element, tile and direction of K.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of every `gemm_…_mma`.
pub(super) const GEMM_MMA: Params = Params {
    name: "GemmMmaParams",
    fields: &[
        ("a", Field::Ptr, "[M, K], lda bytes from one row of memory to the next"),
        ("b", Field::Ptr, "[N, K], ldb bytes from one row of memory to the next"),
        ("c", Field::Ptr, "[M, N] of type d_type, row stride ldc elements; or null"),
        ("d", Field::PtrMut, "[M, N] out of type d_type, row stride ldd elements"),
        ("scale_row", Field::Ptr, "[M] float (one where row_step is 0), or null; unused for s32 output"),
        ("scale_col", Field::Ptr, "[N] float (one where col_step is 0), or null; unused for s32 output"),
        ("bias", Field::Ptr, "[N] float, or null"),
        ("zero_row", Field::Ptr, "[M] int32 (one where row_step is 0), or null"),
        ("column_sums", Field::Ptr, "[N] int32, the sums of b's rows, with zero_row; else null"),
        (
            "groups_a",
            Field::Ptr,
            "float, a scale for each group of K and row of a, or null; of kernels with groups, as all of groups",
        ),
        ("groups_b", Field::Ptr, "the same of b"),
        ("partials", Field::PtrMut, "[tiles, split_k, TILE_M * TILE_N] words when split_k > 1, 16-byte aligned"),
        ("tickets", Field::PtrMut, "one uint32 a tile, zero before the launch, when split_k > 1"),
        ("lda", Field::I64, "bytes, a multiple of a_unit"),
        ("ldb", Field::I64, "bytes, a multiple of b_unit"),
        ("ldc", Field::I64, "elements"),
        ("ldd", Field::I64, "elements"),
        ("batch_a", Field::I64, "bytes from one matrix of a batch to the next, a multiple of a_unit"),
        ("batch_b", Field::I64, "bytes, a multiple of b_unit"),
        ("batch_c", Field::I64, "elements"),
        ("batch_d", Field::I64, "elements"),
        ("batch_row", Field::I64, "elements of scale_row and of zero_row"),
        ("batch_col", Field::I64, "elements of scale_col"),
        ("batch_bias", Field::I64, "elements of bias"),
        ("batch_sums", Field::I64, "elements of column_sums"),
        ("groups_a_ld", Field::I64, "elements from a row's scales (or a block's of rows) to the next's"),
        ("groups_a_step", Field::I64, "elements from a group's scale to the next's"),
        ("groups_b_ld", Field::I64, "elements"),
        ("groups_b_step", Field::I64, "elements"),
        ("batch_groups_a", Field::I64, "elements of groups_a"),
        ("batch_groups_b", Field::I64, "elements of groups_b"),
        ("m", Field::U32, "rows of d"),
        ("n", Field::U32, "columns of d"),
        ("k", Field::U32, "bytes of K"),
        ("split_k", Field::U32, "slices of K"),
        ("k_slice", Field::U32, "bytes of K in one slice, a multiple of the tile's"),
        ("d_type", Field::U32, "0 f32, 1 f16, 2 bf16, 3 raw s32"),
        ("a_unit", Field::U32, "alignment of a: 16, 4, or an element's 2 or 1"),
        ("b_unit", Field::U32, "alignment of b, likewise"),
        ("row_step", Field::U32, "1, or 0 where one value serves all rows"),
        ("col_step", Field::U32, "1, or 0 where one value serves all columns"),
        ("groups_a_shift", Field::U32, "log2 of the rows of a that share scales; 31 where all do"),
        ("groups_b_shift", Field::U32, "the same of b"),
        ("k_group_shift", Field::U32, "log2 of the bytes of K in a group, 6 or 7"),
        ("alpha", Field::F32, "factor of the product; not of s32"),
        ("beta", Field::F32, "factor of c"),
    ],
};

/// One tile: its threads and what it needs. K of tiles is in bytes here. The large tile of bytes fits two blocks a
/// multiprocessor (128 registers); that of floats needs a few more on some devices (12 bytes would be spilled for sm_86 and
/// sm_89, 28 where K lies down the rows). For Hopper and Blackwell the assembler makes mma of fp8 out of conversions and mma
/// of f16, which takes the most. What one block instead of two costs is not yet measured on a GPU.
const fn row(m: u32, n: u32, k: u32, stages: u32, warps: u32, target: Target, bytes: bool) -> Row {
    let (min_blocks, max_registers) = match (m, target) {
        (128, Target::Sm89) => (1, 248),
        (128, _) if bytes => (2, 128),
        (128, _) => (1, 168),
        (64, Target::Sm89) => (3, 168),
        (64, _) => (4, 128),
        (_, Target::Sm89) => (2, 128),
        _ => (2, 88),
    };
    Row {
        entry: Entry::GemmS8Mma128x128x64,
        symbol: "",
        source: "",
        call: "",
        constants: &[],
        targets: &[Target::Sm80],
        threads: 32 * warps,
        min_blocks,
        max_registers,
        shared_bytes: stages * (m + n) * k,
        expect_sass: None,
        params: &GEMM_MMA,
    }
}

/// The same with sums by groups of K: twice the accumulators, and scales behind the ring. The large tile of fp8 is half as
/// wide: of 128 x 128, 16 bytes would be spilled for Hopper and 40 for Blackwell.
const fn grouped(m: u32, n: u32, k: u32, stages: u32, warps: u32, target: Target, bytes: bool) -> Row {
    let row = row(m, n, k, stages, warps, target, bytes);
    let (min_blocks, max_registers) = match (m, target) {
        (128, Target::Sm89) => (1, 200),
        (128, _) => (1, 248),
        (64, Target::Sm89) => (2, 240),
        (64, _) => (3, 168),
        _ => (row.min_blocks, row.max_registers),
    };
    Row { min_blocks, max_registers, shared_bytes: row.shared_bytes + stages * (k / 64) * (m + n) * 4, ..row }
}

/// Whether two names are one, in a constant.
const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.len() == 2 && b.len() == 2 && a[0] == b[0] && a[1] == b[1]
}

/// A table with a line a row, made by `row` or `grouped`: key, source, symbol suffix, element as the kernel names it, direction of K (and groups), tile with K in
/// elements and in bytes, stages, warps, targets, instruction (of fp8 one of two).
macro_rules! rows {
    ($make:ident; $($entry:ident $source:literal $symbol:literal $kind:literal $down:literal
        $m:literal $n:literal $k:literal $bytes:literal $stages:literal $warps_m:literal $warps_n:literal
        $target:ident $sass:literal;)*) => {
        [$(Row {
            entry: Entry::$entry,
            symbol: concat!("gemm_", $symbol, "_", $m, "x", $n, "x", $k),
            source: concat!("gemm/gemm_", $source),
            call: concat!(
                "gemm_mma<gemm::", $kind, ", ", $m, ", ", $n, ", ", $bytes, ", ", $stages, ", ", $warps_m, ", ", $warps_n,
                $down, ">"
            ),
            constants: &[
                ("TILE_M", $m),
                ("TILE_N", $n),
                ("TILE_K", $k),
                ("STAGES", $stages),
                ("WARPS_M", $warps_m),
                ("WARPS_N", $warps_n),
            ],
            targets: &[Target::$target],
            expect_sass: Some($sass),
            ..$make($m, $n, $bytes, $stages, $warps_m * $warps_n, Target::$target, equal($kind, "S8"))
        }),*]
    };
}

/// Every product by `mma.sync`. `ADown`, `BDown`, `Down`: K lies down the rows of a, of b, of both.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 33] = rows! {
    row;
    GemmS8Mma128x128x64 "s8_mma" "s8_mma" "S8" "" 128 128 64 64 3 2 4 Sm80 "IMMA.16832.S8.S8";
    GemmS8Mma64x64x64 "s8_mma" "s8_mma" "S8" "" 64 64 64 64 4 2 2 Sm80 "IMMA.16832.S8.S8";
    GemmS8Mma16x64x128 "s8_mma" "s8_mma" "S8" "" 16 64 128 128 4 1 4 Sm80 "IMMA.16832.S8.S8";
    GemmF16Mma128x128x32 "f16_mma" "f16_mma" "F16" "" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32";
    GemmF16Mma64x64x32 "f16_mma" "f16_mma" "F16" "" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32";
    GemmF16Mma16x64x64 "f16_mma" "f16_mma" "F16" "" 16 64 64 128 4 1 4 Sm80 "HMMA.16816.F32";
    GemmF16MmaADown128x128x32 "f16_mma_down" "f16_mma_a_down" "F16" ", false, true" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32";
    GemmF16MmaADown64x64x32 "f16_mma_down" "f16_mma_a_down" "F16" ", false, true" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32";
    GemmF16MmaBDown128x128x32 "f16_mma_down" "f16_mma_b_down" "F16" ", true, false" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32";
    GemmF16MmaBDown64x64x32 "f16_mma_down" "f16_mma_b_down" "F16" ", true, false" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32";
    GemmF16MmaDown128x128x32 "f16_mma_down" "f16_mma_down" "F16" ", false, false" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32";
    GemmF16MmaDown64x64x32 "f16_mma_down" "f16_mma_down" "F16" ", false, false" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32";
    GemmBf16Mma128x128x32 "bf16_mma" "bf16_mma" "Bf16" "" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16Mma64x64x32 "bf16_mma" "bf16_mma" "Bf16" "" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16Mma16x64x64 "bf16_mma" "bf16_mma" "Bf16" "" 16 64 64 128 4 1 4 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaADown128x128x32 "bf16_mma_down" "bf16_mma_a_down" "Bf16" ", false, true" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaADown64x64x32 "bf16_mma_down" "bf16_mma_a_down" "Bf16" ", false, true" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaBDown128x128x32 "bf16_mma_down" "bf16_mma_b_down" "Bf16" ", true, false" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaBDown64x64x32 "bf16_mma_down" "bf16_mma_b_down" "Bf16" ", true, false" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaDown128x128x32 "bf16_mma_down" "bf16_mma_down" "Bf16" ", false, false" 128 128 32 64 3 2 4 Sm80 "HMMA.16816.F32.BF16";
    GemmBf16MmaDown64x64x32 "bf16_mma_down" "bf16_mma_down" "Bf16" ", false, false" 64 64 32 64 4 2 2 Sm80 "HMMA.16816.F32.BF16";
    GemmE4m3E4m3Mma128x128x64 "fp8_mma" "e4m3_e4m3_mma" "E4m3E4m3" "" 128 128 64 64 3 2 4 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E4m3Mma64x64x64 "fp8_mma" "e4m3_e4m3_mma" "E4m3E4m3" "" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E4m3Mma16x64x128 "fp8_mma" "e4m3_e4m3_mma" "E4m3E4m3" "" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E5m2Mma128x128x64 "fp8_mma" "e4m3_e5m2_mma" "E4m3E5m2" "" 128 128 64 64 3 2 4 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE4m3E5m2Mma64x64x64 "fp8_mma" "e4m3_e5m2_mma" "E4m3E5m2" "" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE4m3E5m2Mma16x64x128 "fp8_mma" "e4m3_e5m2_mma" "E4m3E5m2" "" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE5m2E4m3Mma128x128x64 "fp8_mma" "e5m2_e4m3_mma" "E5m2E4m3" "" 128 128 64 64 3 2 4 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E4m3Mma64x64x64 "fp8_mma" "e5m2_e4m3_mma" "E5m2E4m3" "" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E4m3Mma16x64x128 "fp8_mma" "e5m2_e4m3_mma" "E5m2E4m3" "" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E5m2Mma128x128x64 "fp8_mma" "e5m2_e5m2_mma" "E5m2E5m2" "" 128 128 64 64 3 2 4 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
    GemmE5m2E5m2Mma64x64x64 "fp8_mma" "e5m2_e5m2_mma" "E5m2E5m2" "" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
    GemmE5m2E5m2Mma16x64x128 "fp8_mma" "e5m2_e5m2_mma" "E5m2E5m2" "" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
};

/// Products of 8-bit elements by groups of K.
#[rustfmt::skip]
pub(super) const GROUPS: [Row; 15] = rows! {
    grouped;
    GemmS8MmaGroups128x128x64 "s8_mma_groups" "s8_mma_groups" "S8" ", true, true, true" 128 128 64 64 3 2 4 Sm80 "IMMA.16832.S8.S8";
    GemmS8MmaGroups64x64x64 "s8_mma_groups" "s8_mma_groups" "S8" ", true, true, true" 64 64 64 64 4 2 2 Sm80 "IMMA.16832.S8.S8";
    GemmS8MmaGroups16x64x128 "s8_mma_groups" "s8_mma_groups" "S8" ", true, true, true" 16 64 128 128 4 1 4 Sm80 "IMMA.16832.S8.S8";
    GemmE4m3E4m3MmaGroups128x64x64 "fp8_mma_groups" "e4m3_e4m3_mma_groups" "E4m3E4m3" ", true, true, true" 128 64 64 64 3 4 2 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E4m3MmaGroups64x64x64 "fp8_mma_groups" "e4m3_e4m3_mma_groups" "E4m3E4m3" ", true, true, true" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E4m3MmaGroups16x64x128 "fp8_mma_groups" "e4m3_e4m3_mma_groups" "E4m3E4m3" ", true, true, true" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E4M3.E4M3|HMMA.16816.F32";
    GemmE4m3E5m2MmaGroups128x64x64 "fp8_mma_groups" "e4m3_e5m2_mma_groups" "E4m3E5m2" ", true, true, true" 128 64 64 64 3 4 2 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE4m3E5m2MmaGroups64x64x64 "fp8_mma_groups" "e4m3_e5m2_mma_groups" "E4m3E5m2" ", true, true, true" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE4m3E5m2MmaGroups16x64x128 "fp8_mma_groups" "e4m3_e5m2_mma_groups" "E4m3E5m2" ", true, true, true" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E4M3.E5M2|HMMA.16816.F32";
    GemmE5m2E4m3MmaGroups128x64x64 "fp8_mma_groups" "e5m2_e4m3_mma_groups" "E5m2E4m3" ", true, true, true" 128 64 64 64 3 4 2 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E4m3MmaGroups64x64x64 "fp8_mma_groups" "e5m2_e4m3_mma_groups" "E5m2E4m3" ", true, true, true" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E4m3MmaGroups16x64x128 "fp8_mma_groups" "e5m2_e4m3_mma_groups" "E5m2E4m3" ", true, true, true" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E5M2.E4M3|HMMA.16816.F32";
    GemmE5m2E5m2MmaGroups128x64x64 "fp8_mma_groups" "e5m2_e5m2_mma_groups" "E5m2E5m2" ", true, true, true" 128 64 64 64 3 4 2 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
    GemmE5m2E5m2MmaGroups64x64x64 "fp8_mma_groups" "e5m2_e5m2_mma_groups" "E5m2E5m2" ", true, true, true" 64 64 64 64 4 2 2 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
    GemmE5m2E5m2MmaGroups16x64x128 "fp8_mma_groups" "e5m2_e5m2_mma_groups" "E5m2E5m2" ", true, true, true" 16 64 128 128 4 1 4 Sm89 "QMMA.16832.F32.E5M2.E5M2|HMMA.16816.F32";
};

//! The probes: tiny kernels around single instructions, for comparing machines.
//!
//! `RESULTS` is how many output words a thread writes, and for tensor products how many products.

use super::{Entry, Field, Params, Row, Target};

/// Input and output of a probe, and how many threads the grid has.
const FIELDS: &[(&str, Field, &str)] = &[
    ("in", Field::Ptr, "input words"),
    ("out", Field::PtrMut, "output words"),
    ("n", Field::U32, "threads of the grid"),
];

/// Parameters of `probe_mma`.
const PROBE_MMA: Params = Params { name: "ProbeMmaParams", fields: FIELDS };
/// Parameters of `probe_shared`.
const PROBE_SHARED: Params = Params { name: "ProbeSharedParams", fields: FIELDS };
/// Parameters of `probe_float`.
const PROBE_FLOAT: Params = Params { name: "ProbeFloatParams", fields: FIELDS };
/// Parameters of `probe_half`.
const PROBE_HALF: Params = Params { name: "ProbeHalfParams", fields: FIELDS };
/// Parameters of `probe_integer`.
const PROBE_INTEGER: Params = Params { name: "ProbeIntegerParams", fields: FIELDS };
/// Parameters of `probe_convert`.
const PROBE_CONVERT: Params = Params { name: "ProbeConvertParams", fields: FIELDS };
/// Parameters of `probe_warp`.
const PROBE_WARP: Params = Params { name: "ProbeWarpParams", fields: FIELDS };
/// Parameters of `probe_wgmma`.
const PROBE_WGMMA: Params = Params { name: "ProbeWgmmaParams", fields: FIELDS };
/// Parameters of `probe_hopper`.
const PROBE_HOPPER: Params = Params {
    name: "ProbeHopperParams",
    fields: &[("map", Field::TensorMap, "what TMA copies boxes of"), FIELDS[0], FIELDS[1], FIELDS[2]],
};

/// What rows share: one warp, nothing to tune.
const MMA: Row = Row {
    entry: Entry::ProbeMmaInt8,
    symbol: "",
    source: "probe/probe_mma",
    call: "",
    constants: &[],
    targets: &[Target::Sm80],
    threads: 32,
    min_blocks: 1,
    max_registers: 128,
    shared_bytes: 0,
    expect_sass: None,
    params: &PROBE_MMA,
};
const SHARED: Row = Row { source: "probe/probe_shared", params: &PROBE_SHARED, ..MMA };
const WARP: Row = Row { source: "probe/probe_warp", params: &PROBE_WARP, ..MMA };
const FLOAT: Row = Row { source: "probe/probe_float", params: &PROBE_FLOAT, threads: 256, min_blocks: 2, ..MMA };
const HALF: Row = Row { source: "probe/probe_half", params: &PROBE_HALF, ..FLOAT };
const INTEGER: Row = Row { source: "probe/probe_integer", params: &PROBE_INTEGER, ..FLOAT };
const CONVERT: Row = Row { source: "probe/probe_convert", params: &PROBE_CONVERT, ..FLOAT };
const HOPPER: Row = Row { source: "probe/probe_hopper", params: &PROBE_HOPPER, targets: &[Target::Sm90a], ..MMA };
const WGMMA: Row =
    Row { source: "probe/probe_wgmma", params: &PROBE_WGMMA, threads: 128, shared_bytes: 1024 + 4 * 6336, ..HOPPER };

const MMA_89: Row = Row { targets: &[Target::Sm89], ..MMA };
const SHARED_90A: Row = Row { targets: &[Target::Sm90a], ..SHARED };
const WARP_90A: Row = Row { targets: &[Target::Sm90a], ..WARP };
const FLOAT_89: Row = Row { targets: &[Target::Sm89], ..FLOAT };
const HALF_89: Row = Row { targets: &[Target::Sm89], ..HALF };
const INTEGER_90A: Row = Row { targets: &[Target::Sm90a], ..INTEGER };
const HALF_90A: Row = Row { targets: &[Target::Sm90a], ..HALF };
const CONVERT_89: Row = Row { targets: &[Target::Sm89], ..CONVERT };
const CONVERT_90A: Row = Row { targets: &[Target::Sm90a], ..CONVERT };
const TMA: Row = Row { shared_bytes: 1024 + 4096, ..HOPPER };

/// A table with a line a row: what it shares, key, symbol, call, constants.
macro_rules! rows {
    ($($base:ident: $entry:ident $symbol:literal $call:literal $($name:ident $value:literal),+;)*) => {
        [$(Row {
            entry: Entry::$entry,
            symbol: $symbol,
            call: $call,
            constants: &[$((stringify!($name), $value)),+],
            ..$base
        }),*]
    };
}

/// Every probe.
pub(super) const ROWS: [Row; 74] = rows! {
    MMA: ProbeMmaInt8 "probe_mma_int8" "probe_mma<probe::Int8, 14>" RESULTS 14;
    MMA: ProbeMmaF16 "probe_mma_f16" "probe_mma<probe::F16, 2>" RESULTS 2;
    MMA: ProbeMmaF16Sums "probe_mma_f16_sums" "probe_mma<probe::F16Sums, 2>" RESULTS 2;
    MMA: ProbeMmaBf16 "probe_mma_bf16" "probe_mma<probe::Bf16, 2>" RESULTS 2;
    MMA: ProbeMmaTf32 "probe_mma_tf32" "probe_mma<probe::Tf32, 2>" RESULTS 2;
    MMA_89: ProbeMmaE4m3 "probe_mma_e4m3" "probe_mma<probe::E4m3, 2>" RESULTS 2;
    MMA_89: ProbeMmaE5m2 "probe_mma_e5m2" "probe_mma<probe::E5m2, 2>" RESULTS 2;
    SHARED: ProbeSharedLdmatrix "probe_shared_ldmatrix" "probe_shared<probe::Ldmatrix, 6>" RESULTS 6;
    SHARED: ProbeSharedCpAsync "probe_shared_cp_async" "probe_shared<probe::CpAsync, 10>" RESULTS 10;
    SHARED: ProbeSharedCpAsyncArrive "probe_shared_cp_async_arrive" "probe_shared<probe::CpAsyncArrive, 2>" RESULTS 2;
    SHARED_90A: ProbeSharedStmatrix "probe_shared_stmatrix" "probe_shared<probe::Stmatrix, 6>" RESULTS 6;
    FLOAT: ProbeFloatArithmetic "probe_float_arithmetic" "probe_float<probe::FloatArithmetic, 28>" RESULTS 28;
    FLOAT: ProbeFloatCompare "probe_float_compare" "probe_float<probe::FloatCompare, 32>" RESULTS 32;
    FLOAT: ProbeFloatTest "probe_float_test" "probe_float<probe::FloatTest, 12>" RESULTS 12;
    FLOAT: ProbeFloatDivide "probe_float_divide" "probe_float<probe::FloatDivide, 15>" RESULTS 15;
    FLOAT: ProbeFloatApproximate "probe_float_approximate" "probe_float<probe::FloatApproximate, 19>" RESULTS 19;
    FLOAT: ProbeFloatDouble "probe_float_double" "probe_float<probe::FloatDouble, 44>" RESULTS 44;
    FLOAT_89: ProbeFloatXorsign "probe_float_xorsign" "probe_float<probe::FloatXorsign, 4>" RESULTS 4;
    HALF: ProbeHalfArithmetic "probe_half_arithmetic" "probe_half<probe::HalfArithmetic, 39>" RESULTS 39;
    HALF: ProbeHalfBf16 "probe_half_bf16" "probe_half<probe::HalfBf16, 16>" RESULTS 16;
    HALF: ProbeHalfApproximate "probe_half_approximate" "probe_half<probe::HalfApproximate, 4>" RESULTS 4;
    HALF_89: ProbeHalfXorsign "probe_half_xorsign" "probe_half<probe::HalfXorsign, 6>" RESULTS 6;
    HALF_90A: ProbeHalfBf16Sums "probe_half_bf16_sums" "probe_half<probe::HalfBf16Sums, 9>" RESULTS 9;
    HALF_90A: ProbeHalfApproximateBf16 "probe_half_approximate_bf16" "probe_half<probe::HalfApproximateBf16, 4>" RESULTS 4;
    INTEGER: ProbeIntegerArithmetic "probe_integer_arithmetic" "probe_integer<probe::IntegerArithmetic, 54>" RESULTS 54;
    INTEGER: ProbeIntegerDivide "probe_integer_divide" "probe_integer<probe::IntegerDivide, 14>" RESULTS 14;
    INTEGER: ProbeIntegerBits "probe_integer_bits" "probe_integer<probe::IntegerBits, 44>" RESULTS 44;
    INTEGER: ProbeIntegerMask "probe_integer_mask" "probe_integer<probe::IntegerMask, 17>" RESULTS 17;
    INTEGER: ProbeIntegerWide "probe_integer_wide" "probe_integer<probe::IntegerWide, 28>" RESULTS 28;
    INTEGER: ProbeIntegerCarry "probe_integer_carry" "probe_integer<probe::IntegerCarry, 12>" RESULTS 12;
    INTEGER: ProbeIntegerPrmt "probe_integer_prmt" "probe_integer<probe::IntegerPrmt, 7>" RESULTS 7;
    INTEGER: ProbeIntegerLop3 "probe_integer_lop3" "probe_integer<probe::IntegerLop3, 256>" RESULTS 256;
    INTEGER_90A: ProbeIntegerPairs "probe_integer_pairs" "probe_integer<probe::IntegerPairs, 10>" RESULTS 10;
    CONVERT: ProbeConvertToInteger "probe_convert_to_integer" "probe_convert<probe::ConvertToInteger, 27>" RESULTS 27;
    CONVERT: ProbeConvertToFloat "probe_convert_to_float" "probe_convert<probe::ConvertToFloat, 25>" RESULTS 25;
    CONVERT: ProbeConvertFromInteger "probe_convert_from_integer" "probe_convert<probe::ConvertFromInteger, 36>" RESULTS 36;
    CONVERT: ProbeConvertDouble "probe_convert_double" "probe_convert<probe::ConvertDouble, 28>" RESULTS 28;
    CONVERT: ProbeConvertHalf "probe_convert_half" "probe_convert<probe::ConvertHalf, 23>" RESULTS 23;
    CONVERT_89: ProbeConvertFp8Wide "probe_convert_fp8_wide" "probe_convert<probe::ConvertFp8Wide, 4>" RESULTS 4;
    CONVERT_89: ProbeConvertFp8 "probe_convert_fp8" "probe_convert<probe::ConvertFp8, 4>" RESULTS 4;
    CONVERT_89: ProbeConvertFp8Pack "probe_convert_fp8_pack" "probe_convert<probe::ConvertFp8Pack, 4>" RESULTS 4;
    CONVERT_90A: ProbeConvertBf16 "probe_convert_bf16" "probe_convert<probe::ConvertBf16, 8>" RESULTS 8;
    CONVERT_90A: ProbeConvertFinite "probe_convert_finite" "probe_convert<probe::ConvertFinite, 10>" RESULTS 10;
    WARP: ProbeWarpShuffle "probe_warp_shuffle" "probe_warp<probe::Shuffle, 32>" RESULTS 32;
    WARP: ProbeWarpVote "probe_warp_vote" "probe_warp<probe::Vote, 13>" RESULTS 13;
    WARP: ProbeWarpMatch "probe_warp_match" "probe_warp<probe::Match, 11>" RESULTS 11;
    WARP: ProbeWarpRedux "probe_warp_redux" "probe_warp<probe::Redux, 9>" RESULTS 9;
    WARP: ProbeWarpMovmatrix "probe_warp_movmatrix" "probe_warp<probe::Movmatrix, 2>" RESULTS 2;
    WARP: ProbeWarpAtomic "probe_warp_atomic" "probe_warp<probe::Atomic, 66>" RESULTS 66;
    WARP: ProbeWarpAtomicShared "probe_warp_atomic_shared" "probe_warp<probe::AtomicShared, 72>" RESULTS 72;
    WARP: ProbeWarpAtomicGlobal "probe_warp_atomic_global" "probe_warp<probe::AtomicGlobal<74>, 74>" RESULTS 74;
    WARP_90A: ProbeWarpElect "probe_warp_elect" "probe_warp<probe::Elect, 2>" RESULTS 2;
    WARP_90A: ProbeWarpAtomicVector "probe_warp_atomic_vector" "probe_warp<probe::AtomicVector, 20>" RESULTS 20;
    HOPPER: ProbeHopperMbarrier "probe_hopper_mbarrier" "probe_hopper<probe::Mbarrier, 19>" RESULTS 19;
    HOPPER: ProbeHopperBulk "probe_hopper_bulk" "probe_hopper<probe::Bulk, 2>" RESULTS 2;
    TMA: ProbeHopperTma1d "probe_hopper_tma_1d" "probe_hopper<probe::Tma<1>, 0>" RESULTS 0;
    TMA: ProbeHopperTma2d "probe_hopper_tma_2d" "probe_hopper<probe::Tma<2>, 0>" RESULTS 0;
    TMA: ProbeHopperTma3d "probe_hopper_tma_3d" "probe_hopper<probe::Tma<3>, 0>" RESULTS 0;
    TMA: ProbeHopperTma4d "probe_hopper_tma_4d" "probe_hopper<probe::Tma<4>, 0>" RESULTS 0;
    TMA: ProbeHopperTma5d "probe_hopper_tma_5d" "probe_hopper<probe::Tma<5>, 0>" RESULTS 0;
    WGMMA: ProbeWgmmaInt8 "probe_wgmma_int8" "probe_wgmma<probe::Int8, 7, 4>" RESULTS 7, REGISTERS 4;
    WGMMA: ProbeWgmmaF16 "probe_wgmma_f16" "probe_wgmma<probe::F16, 5, 4>" RESULTS 5, REGISTERS 4;
    WGMMA: ProbeWgmmaF16Sums "probe_wgmma_f16_sums" "probe_wgmma<probe::F16Sums, 2, 4>" RESULTS 2, REGISTERS 4;
    WGMMA: ProbeWgmmaBf16 "probe_wgmma_bf16" "probe_wgmma<probe::Bf16, 3, 4>" RESULTS 3, REGISTERS 4;
    WGMMA: ProbeWgmmaTf32 "probe_wgmma_tf32" "probe_wgmma<probe::Tf32, 3, 4>" RESULTS 3, REGISTERS 4;
    WGMMA: ProbeWgmmaE4m3 "probe_wgmma_e4m3" "probe_wgmma<probe::E4m3, 4, 4>" RESULTS 4, REGISTERS 4;
    WGMMA: ProbeWgmmaE4m3Sums "probe_wgmma_e4m3_sums" "probe_wgmma<probe::E4m3Sums, 1, 4>" RESULTS 1, REGISTERS 4;
    WGMMA: ProbeWgmmaE5m2 "probe_wgmma_e5m2" "probe_wgmma<probe::E5m2, 2, 4>" RESULTS 2, REGISTERS 4;
    WGMMA: ProbeWgmmaE5m2Sums "probe_wgmma_e5m2_sums" "probe_wgmma<probe::E5m2Sums, 1, 4>" RESULTS 1, REGISTERS 4;
    WGMMA: ProbeWgmmaF16Trans "probe_wgmma_f16_trans" "probe_wgmma<probe::F16Trans, 4, 4>" RESULTS 4, REGISTERS 4;
    WGMMA: ProbeWgmmaBf16Trans "probe_wgmma_bf16_trans" "probe_wgmma<probe::Bf16Trans, 1, 4>" RESULTS 1, REGISTERS 4;
    WGMMA: ProbeWgmmaInt8Wide "probe_wgmma_int8_wide" "probe_wgmma<probe::Int8Wide, 1, 32>" RESULTS 1, REGISTERS 32;
    WGMMA: ProbeWgmmaF16Wide "probe_wgmma_f16_wide" "probe_wgmma<probe::F16Wide, 1, 32>" RESULTS 1, REGISTERS 32;
    WGMMA: ProbeWgmmaF16TransWide "probe_wgmma_f16_trans_wide" "probe_wgmma<probe::F16TransWide, 1, 32>" RESULTS 1, REGISTERS 32;
};

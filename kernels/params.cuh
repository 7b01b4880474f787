// Parameter blocks of the kernels, written from kernels/manifest.rs; an edit here is overwritten.
// One block is the one `const __grid_constant__` argument of its entry points.
#pragma once

#include <cstddef>
#include <cstdint>

/// A TMA tensor map, as cuTensorMapEncodeTiled makes it; opaque.
struct alignas(64) TensorMapBytes {
    unsigned char bytes[128];
};
static_assert(sizeof(TensorMapBytes) == 128, "size of a tensor map");

struct QuantizeRowsParams {
    /// [rows, cols] input, row stride ldx
    const void* x;
    /// [rows, ldc] int8 out, columns cols..ldc are written as zero
    void* codes;
    /// [rows] float out
    void* scales;
    /// status word, or null
    void* status;
    /// row stride of x in elements
    int64_t ldx;
    /// row stride of codes in bytes, a multiple of 16, as is the address of codes
    int64_t ldc;
    /// M
    uint32_t rows;
    /// K
    uint32_t cols;
    /// 1: the row is kept in shared memory and read once; 0: it is read twice
    uint32_t cached;
};
static_assert(sizeof(QuantizeRowsParams) == 64, "size of QuantizeRowsParams");
static_assert(alignof(QuantizeRowsParams) == 8, "alignment of QuantizeRowsParams");
static_assert(offsetof(QuantizeRowsParams, x) == 0, "offset of QuantizeRowsParams::x");
static_assert(offsetof(QuantizeRowsParams, codes) == 8, "offset of QuantizeRowsParams::codes");
static_assert(offsetof(QuantizeRowsParams, scales) == 16, "offset of QuantizeRowsParams::scales");
static_assert(offsetof(QuantizeRowsParams, status) == 24, "offset of QuantizeRowsParams::status");
static_assert(offsetof(QuantizeRowsParams, ldx) == 32, "offset of QuantizeRowsParams::ldx");
static_assert(offsetof(QuantizeRowsParams, ldc) == 40, "offset of QuantizeRowsParams::ldc");
static_assert(offsetof(QuantizeRowsParams, rows) == 48, "offset of QuantizeRowsParams::rows");
static_assert(offsetof(QuantizeRowsParams, cols) == 52, "offset of QuantizeRowsParams::cols");
static_assert(offsetof(QuantizeRowsParams, cached) == 56, "offset of QuantizeRowsParams::cached");

struct GemmS8MmaParams {
    /// [M, K] int8, row stride lda
    const void* a;
    /// [N, K] int8, row stride ldb
    const void* b;
    /// [M, N] out of type d_type, row stride ldd
    void* d;
    /// [M] float, unused for s32 output
    const void* scale_row;
    /// [N] float, unused for s32 output
    const void* scale_col;
    /// [N] float, or null
    const void* bias;
    /// [tiles, split_k, TILE_M * TILE_N] int32 scratch when split_k > 1, 16-byte aligned
    void* partials;
    /// one uint32 a tile, zero before the launch, when split_k > 1
    void* tickets;
    /// row stride of a in bytes, a multiple of 16
    int64_t lda;
    /// row stride of b in bytes, a multiple of 16
    int64_t ldb;
    /// row stride of d in elements
    int64_t ldd;
    /// rows of a
    uint32_t m;
    /// rows of b
    uint32_t n;
    /// columns of a and b
    uint32_t k;
    /// slices of K
    uint32_t split_k;
    /// bytes of K in one slice, a multiple of TILE_K
    uint32_t k_slice;
    /// 0 f32, 1 f16, 2 bf16, 3 raw s32
    uint32_t d_type;
};
static_assert(sizeof(GemmS8MmaParams) == 112, "size of GemmS8MmaParams");
static_assert(alignof(GemmS8MmaParams) == 8, "alignment of GemmS8MmaParams");
static_assert(offsetof(GemmS8MmaParams, a) == 0, "offset of GemmS8MmaParams::a");
static_assert(offsetof(GemmS8MmaParams, b) == 8, "offset of GemmS8MmaParams::b");
static_assert(offsetof(GemmS8MmaParams, d) == 16, "offset of GemmS8MmaParams::d");
static_assert(offsetof(GemmS8MmaParams, scale_row) == 24, "offset of GemmS8MmaParams::scale_row");
static_assert(offsetof(GemmS8MmaParams, scale_col) == 32, "offset of GemmS8MmaParams::scale_col");
static_assert(offsetof(GemmS8MmaParams, bias) == 40, "offset of GemmS8MmaParams::bias");
static_assert(offsetof(GemmS8MmaParams, partials) == 48, "offset of GemmS8MmaParams::partials");
static_assert(offsetof(GemmS8MmaParams, tickets) == 56, "offset of GemmS8MmaParams::tickets");
static_assert(offsetof(GemmS8MmaParams, lda) == 64, "offset of GemmS8MmaParams::lda");
static_assert(offsetof(GemmS8MmaParams, ldb) == 72, "offset of GemmS8MmaParams::ldb");
static_assert(offsetof(GemmS8MmaParams, ldd) == 80, "offset of GemmS8MmaParams::ldd");
static_assert(offsetof(GemmS8MmaParams, m) == 88, "offset of GemmS8MmaParams::m");
static_assert(offsetof(GemmS8MmaParams, n) == 92, "offset of GemmS8MmaParams::n");
static_assert(offsetof(GemmS8MmaParams, k) == 96, "offset of GemmS8MmaParams::k");
static_assert(offsetof(GemmS8MmaParams, split_k) == 100, "offset of GemmS8MmaParams::split_k");
static_assert(offsetof(GemmS8MmaParams, k_slice) == 104, "offset of GemmS8MmaParams::k_slice");
static_assert(offsetof(GemmS8MmaParams, d_type) == 108, "offset of GemmS8MmaParams::d_type");

struct GemmS8WgmmaParams {
    /// a as [M, K] int8, box TILE_M x TILE_K, 128-byte swizzle
    TensorMapBytes a_map;
    /// b as [N, K] int8, box TILE_N x TILE_K, 128-byte swizzle
    TensorMapBytes b_map;
    /// [M, N] out of type d_type, row stride ldd
    void* d;
    /// [M] float, unused for s32 output
    const void* scale_row;
    /// [N] float, unused for s32 output
    const void* scale_col;
    /// [N] float, or null
    const void* bias;
    /// row stride of d in elements
    int64_t ldd;
    /// rows of a
    uint32_t m;
    /// rows of b
    uint32_t n;
    /// columns of a and b
    uint32_t k;
    /// 0 f32, 1 f16, 2 bf16, 3 raw s32
    uint32_t d_type;
};
static_assert(sizeof(GemmS8WgmmaParams) == 320, "size of GemmS8WgmmaParams");
static_assert(alignof(GemmS8WgmmaParams) == 64, "alignment of GemmS8WgmmaParams");
static_assert(offsetof(GemmS8WgmmaParams, a_map) == 0, "offset of GemmS8WgmmaParams::a_map");
static_assert(offsetof(GemmS8WgmmaParams, b_map) == 128, "offset of GemmS8WgmmaParams::b_map");
static_assert(offsetof(GemmS8WgmmaParams, d) == 256, "offset of GemmS8WgmmaParams::d");
static_assert(offsetof(GemmS8WgmmaParams, scale_row) == 264, "offset of GemmS8WgmmaParams::scale_row");
static_assert(offsetof(GemmS8WgmmaParams, scale_col) == 272, "offset of GemmS8WgmmaParams::scale_col");
static_assert(offsetof(GemmS8WgmmaParams, bias) == 280, "offset of GemmS8WgmmaParams::bias");
static_assert(offsetof(GemmS8WgmmaParams, ldd) == 288, "offset of GemmS8WgmmaParams::ldd");
static_assert(offsetof(GemmS8WgmmaParams, m) == 296, "offset of GemmS8WgmmaParams::m");
static_assert(offsetof(GemmS8WgmmaParams, n) == 300, "offset of GemmS8WgmmaParams::n");
static_assert(offsetof(GemmS8WgmmaParams, k) == 304, "offset of GemmS8WgmmaParams::k");
static_assert(offsetof(GemmS8WgmmaParams, d_type) == 308, "offset of GemmS8WgmmaParams::d_type");

struct ProbeMmaParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeMmaParams) == 24, "size of ProbeMmaParams");
static_assert(alignof(ProbeMmaParams) == 8, "alignment of ProbeMmaParams");
static_assert(offsetof(ProbeMmaParams, in) == 0, "offset of ProbeMmaParams::in");
static_assert(offsetof(ProbeMmaParams, out) == 8, "offset of ProbeMmaParams::out");
static_assert(offsetof(ProbeMmaParams, n) == 16, "offset of ProbeMmaParams::n");

struct ProbeSharedParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeSharedParams) == 24, "size of ProbeSharedParams");
static_assert(alignof(ProbeSharedParams) == 8, "alignment of ProbeSharedParams");
static_assert(offsetof(ProbeSharedParams, in) == 0, "offset of ProbeSharedParams::in");
static_assert(offsetof(ProbeSharedParams, out) == 8, "offset of ProbeSharedParams::out");
static_assert(offsetof(ProbeSharedParams, n) == 16, "offset of ProbeSharedParams::n");

struct ProbeFloatParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeFloatParams) == 24, "size of ProbeFloatParams");
static_assert(alignof(ProbeFloatParams) == 8, "alignment of ProbeFloatParams");
static_assert(offsetof(ProbeFloatParams, in) == 0, "offset of ProbeFloatParams::in");
static_assert(offsetof(ProbeFloatParams, out) == 8, "offset of ProbeFloatParams::out");
static_assert(offsetof(ProbeFloatParams, n) == 16, "offset of ProbeFloatParams::n");

struct ProbeHalfParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeHalfParams) == 24, "size of ProbeHalfParams");
static_assert(alignof(ProbeHalfParams) == 8, "alignment of ProbeHalfParams");
static_assert(offsetof(ProbeHalfParams, in) == 0, "offset of ProbeHalfParams::in");
static_assert(offsetof(ProbeHalfParams, out) == 8, "offset of ProbeHalfParams::out");
static_assert(offsetof(ProbeHalfParams, n) == 16, "offset of ProbeHalfParams::n");

struct ProbeIntegerParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeIntegerParams) == 24, "size of ProbeIntegerParams");
static_assert(alignof(ProbeIntegerParams) == 8, "alignment of ProbeIntegerParams");
static_assert(offsetof(ProbeIntegerParams, in) == 0, "offset of ProbeIntegerParams::in");
static_assert(offsetof(ProbeIntegerParams, out) == 8, "offset of ProbeIntegerParams::out");
static_assert(offsetof(ProbeIntegerParams, n) == 16, "offset of ProbeIntegerParams::n");

struct ProbeConvertParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeConvertParams) == 24, "size of ProbeConvertParams");
static_assert(alignof(ProbeConvertParams) == 8, "alignment of ProbeConvertParams");
static_assert(offsetof(ProbeConvertParams, in) == 0, "offset of ProbeConvertParams::in");
static_assert(offsetof(ProbeConvertParams, out) == 8, "offset of ProbeConvertParams::out");
static_assert(offsetof(ProbeConvertParams, n) == 16, "offset of ProbeConvertParams::n");

struct ProbeWarpParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeWarpParams) == 24, "size of ProbeWarpParams");
static_assert(alignof(ProbeWarpParams) == 8, "alignment of ProbeWarpParams");
static_assert(offsetof(ProbeWarpParams, in) == 0, "offset of ProbeWarpParams::in");
static_assert(offsetof(ProbeWarpParams, out) == 8, "offset of ProbeWarpParams::out");
static_assert(offsetof(ProbeWarpParams, n) == 16, "offset of ProbeWarpParams::n");

struct ProbeHopperParams {
    /// what TMA copies boxes of
    TensorMapBytes map;
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeHopperParams) == 192, "size of ProbeHopperParams");
static_assert(alignof(ProbeHopperParams) == 64, "alignment of ProbeHopperParams");
static_assert(offsetof(ProbeHopperParams, map) == 0, "offset of ProbeHopperParams::map");
static_assert(offsetof(ProbeHopperParams, in) == 128, "offset of ProbeHopperParams::in");
static_assert(offsetof(ProbeHopperParams, out) == 136, "offset of ProbeHopperParams::out");
static_assert(offsetof(ProbeHopperParams, n) == 144, "offset of ProbeHopperParams::n");

struct ProbeWgmmaParams {
    /// input words
    const void* in;
    /// output words
    void* out;
    /// threads of the grid
    uint32_t n;
};
static_assert(sizeof(ProbeWgmmaParams) == 24, "size of ProbeWgmmaParams");
static_assert(alignof(ProbeWgmmaParams) == 8, "alignment of ProbeWgmmaParams");
static_assert(offsetof(ProbeWgmmaParams, in) == 0, "offset of ProbeWgmmaParams::in");
static_assert(offsetof(ProbeWgmmaParams, out) == 8, "offset of ProbeWgmmaParams::out");
static_assert(offsetof(ProbeWgmmaParams, n) == 16, "offset of ProbeWgmmaParams::n");

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

struct GemmMmaParams {
    /// [M, K], lda bytes from one row of memory to the next
    const void* a;
    /// [N, K], ldb bytes from one row of memory to the next
    const void* b;
    /// [M, N] of type d_type, row stride ldc elements; or null
    const void* c;
    /// [M, N] out of type d_type, row stride ldd elements
    void* d;
    /// [M] float (one where row_step is 0), or null; unused for s32 output
    const void* scale_row;
    /// [N] float (one where col_step is 0), or null; unused for s32 output
    const void* scale_col;
    /// [N] float, or null
    const void* bias;
    /// [M] int32 (one where row_step is 0), or null
    const void* zero_row;
    /// [N] int32, the sums of b's rows, with zero_row; else null
    const void* column_sums;
    /// [tiles, split_k, TILE_M * TILE_N] words when split_k > 1, 16-byte aligned
    void* partials;
    /// one uint32 a tile, zero before the launch, when split_k > 1
    void* tickets;
    /// bytes, a multiple of a_unit
    int64_t lda;
    /// bytes, a multiple of b_unit
    int64_t ldb;
    /// elements
    int64_t ldc;
    /// elements
    int64_t ldd;
    /// bytes from one matrix of a batch to the next, a multiple of a_unit
    int64_t batch_a;
    /// bytes, a multiple of b_unit
    int64_t batch_b;
    /// elements
    int64_t batch_c;
    /// elements
    int64_t batch_d;
    /// elements of scale_row and of zero_row
    int64_t batch_row;
    /// elements of scale_col
    int64_t batch_col;
    /// elements of bias
    int64_t batch_bias;
    /// elements of column_sums
    int64_t batch_sums;
    /// rows of d
    uint32_t m;
    /// columns of d
    uint32_t n;
    /// bytes of K
    uint32_t k;
    /// slices of K
    uint32_t split_k;
    /// bytes of K in one slice, a multiple of the tile's
    uint32_t k_slice;
    /// 0 f32, 1 f16, 2 bf16, 3 raw s32
    uint32_t d_type;
    /// alignment of a: 16, 4, or an element's 2 or 1
    uint32_t a_unit;
    /// alignment of b, likewise
    uint32_t b_unit;
    /// 1, or 0 where one value serves all rows
    uint32_t row_step;
    /// 1, or 0 where one value serves all columns
    uint32_t col_step;
    /// factor of the product; not of s32
    float alpha;
    /// factor of c
    float beta;
};
static_assert(sizeof(GemmMmaParams) == 232, "size of GemmMmaParams");
static_assert(alignof(GemmMmaParams) == 8, "alignment of GemmMmaParams");
static_assert(offsetof(GemmMmaParams, a) == 0, "offset of GemmMmaParams::a");
static_assert(offsetof(GemmMmaParams, b) == 8, "offset of GemmMmaParams::b");
static_assert(offsetof(GemmMmaParams, c) == 16, "offset of GemmMmaParams::c");
static_assert(offsetof(GemmMmaParams, d) == 24, "offset of GemmMmaParams::d");
static_assert(offsetof(GemmMmaParams, scale_row) == 32, "offset of GemmMmaParams::scale_row");
static_assert(offsetof(GemmMmaParams, scale_col) == 40, "offset of GemmMmaParams::scale_col");
static_assert(offsetof(GemmMmaParams, bias) == 48, "offset of GemmMmaParams::bias");
static_assert(offsetof(GemmMmaParams, zero_row) == 56, "offset of GemmMmaParams::zero_row");
static_assert(offsetof(GemmMmaParams, column_sums) == 64, "offset of GemmMmaParams::column_sums");
static_assert(offsetof(GemmMmaParams, partials) == 72, "offset of GemmMmaParams::partials");
static_assert(offsetof(GemmMmaParams, tickets) == 80, "offset of GemmMmaParams::tickets");
static_assert(offsetof(GemmMmaParams, lda) == 88, "offset of GemmMmaParams::lda");
static_assert(offsetof(GemmMmaParams, ldb) == 96, "offset of GemmMmaParams::ldb");
static_assert(offsetof(GemmMmaParams, ldc) == 104, "offset of GemmMmaParams::ldc");
static_assert(offsetof(GemmMmaParams, ldd) == 112, "offset of GemmMmaParams::ldd");
static_assert(offsetof(GemmMmaParams, batch_a) == 120, "offset of GemmMmaParams::batch_a");
static_assert(offsetof(GemmMmaParams, batch_b) == 128, "offset of GemmMmaParams::batch_b");
static_assert(offsetof(GemmMmaParams, batch_c) == 136, "offset of GemmMmaParams::batch_c");
static_assert(offsetof(GemmMmaParams, batch_d) == 144, "offset of GemmMmaParams::batch_d");
static_assert(offsetof(GemmMmaParams, batch_row) == 152, "offset of GemmMmaParams::batch_row");
static_assert(offsetof(GemmMmaParams, batch_col) == 160, "offset of GemmMmaParams::batch_col");
static_assert(offsetof(GemmMmaParams, batch_bias) == 168, "offset of GemmMmaParams::batch_bias");
static_assert(offsetof(GemmMmaParams, batch_sums) == 176, "offset of GemmMmaParams::batch_sums");
static_assert(offsetof(GemmMmaParams, m) == 184, "offset of GemmMmaParams::m");
static_assert(offsetof(GemmMmaParams, n) == 188, "offset of GemmMmaParams::n");
static_assert(offsetof(GemmMmaParams, k) == 192, "offset of GemmMmaParams::k");
static_assert(offsetof(GemmMmaParams, split_k) == 196, "offset of GemmMmaParams::split_k");
static_assert(offsetof(GemmMmaParams, k_slice) == 200, "offset of GemmMmaParams::k_slice");
static_assert(offsetof(GemmMmaParams, d_type) == 204, "offset of GemmMmaParams::d_type");
static_assert(offsetof(GemmMmaParams, a_unit) == 208, "offset of GemmMmaParams::a_unit");
static_assert(offsetof(GemmMmaParams, b_unit) == 212, "offset of GemmMmaParams::b_unit");
static_assert(offsetof(GemmMmaParams, row_step) == 216, "offset of GemmMmaParams::row_step");
static_assert(offsetof(GemmMmaParams, col_step) == 220, "offset of GemmMmaParams::col_step");
static_assert(offsetof(GemmMmaParams, alpha) == 224, "offset of GemmMmaParams::alpha");
static_assert(offsetof(GemmMmaParams, beta) == 228, "offset of GemmMmaParams::beta");

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

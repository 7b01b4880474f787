// One operand of a product on the tensor cores: how its tiles come to shared memory and go on to registers.
//
// A is [M, K] and B is [N, K]; "rows" are M or N here. In memory K lies along a row (K_ALONG) or down the rows:
//
//     K_ALONG     row r of the operand is a row of memory, tiles are [ROWS, TILE_K bytes]      any element
//     else        step k of K is a row of memory, tiles are [TILE_K / 2 steps, ROWS elements]  16-bit elements only,
//                 for ldmatrix transposes 16-bit elements
//
// Tiles are swizzled (tile/swizzle.cuh); both kinds take ROWS * TILE_K bytes.
#pragma once
#include <cstdint>

#include "ptx/ldmatrix.cuh"
#include "tile/copy.cuh"
#include "tile/fragment.cuh"
#include "tile/swizzle.cuh"

namespace gemm {

template <int ROWS, int TILE_K, int THREADS, bool K_ALONG>
struct Operand;

template <int ROWS, int TILE_K, int THREADS>
struct Operand<ROWS, TILE_K, THREADS, true> {
    using Places = tile::Swizzle<TILE_K>;
    tile::Copy<ROWS, TILE_K, THREADS> copy;

    // Rows first.. of `height`, `ld` bytes apart.
    __device__ __forceinline__ Operand(const void* matrix, int64_t ld, uint32_t height, uint32_t first, uint32_t tid)
        : copy(matrix, ld, height, first, tid) {}

    // Bytes k..k + TILE_K of the operand's rows, those from k_end on as zeros.
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        copy.start(tile, k, k_end, unit);
    }

    // Fragments of A: 16 rows from `row` + 16 i on, at bytes 32 * step of K.
    template <int N>
    __device__ __forceinline__ static void load_a(uint32_t (&a)[N][4], uint32_t tile, uint32_t row, uint32_t step,
                                                  uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_a(lane);
        const uint32_t chunk = tile + Places::offset(row + at.row, 2 * step + at.chunk);
#pragma unroll
        for (int i = 0; i < N; ++i) ptx::ldmatrix_x4(a[i], chunk + i * 16 * TILE_K);
    }

    // Fragments of B, two at a time: 16 rows from `row` + 16 j on.
    template <int N>
    __device__ __forceinline__ static void load_b(uint32_t (&b)[N][4], uint32_t tile, uint32_t row, uint32_t step,
                                                  uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_b(lane);
        const uint32_t chunk = tile + Places::offset(row + at.row, 2 * step + at.chunk);
#pragma unroll
        for (int j = 0; j < N; ++j) ptx::ldmatrix_x4(b[j], chunk + j * 16 * TILE_K);
    }
};

template <int ROWS, int TILE_K, int THREADS>
struct Operand<ROWS, TILE_K, THREADS, false> {
    static constexpr int STEPS = TILE_K / 2;
    using Places = tile::Swizzle<128>;
    using Copy = tile::CopyDown<STEPS, ROWS * 2, THREADS>;
    Copy copy;

    __device__ __forceinline__ Operand(const void* matrix, int64_t ld, uint32_t height, uint32_t first, uint32_t tid)
        : copy(matrix, ld, height * 2, first * 2, tid) {}

    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        copy.start(tile, k / 2, k_end / 2, unit);
    }

    // Place of eight rows from `row` on at step `step` of K.
    __device__ __forceinline__ static uint32_t place(uint32_t row, uint32_t step) {
        return row / 64 * Copy::PANEL_BYTES + Places::offset(step, row % 64 / 8);
    }

    template <int N>
    __device__ __forceinline__ static void load_a(uint32_t (&a)[N][4], uint32_t tile, uint32_t row, uint32_t step,
                                                  uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_a_trans(lane);
#pragma unroll
        for (int i = 0; i < N; ++i)
            ptx::ldmatrix_x4_trans(a[i], tile + place(row + 16 * i + 8 * at.chunk, 16 * step + at.row));
    }

    template <int N>
    __device__ __forceinline__ static void load_b(uint32_t (&b)[N][4], uint32_t tile, uint32_t row, uint32_t step,
                                                  uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_b_trans(lane);
#pragma unroll
        for (int j = 0; j < N; ++j)
            ptx::ldmatrix_x4_trans(b[j], tile + place(row + 16 * j + 8 * at.chunk, 16 * step + at.row));
    }
};

}  // namespace gemm

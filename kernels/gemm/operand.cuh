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

// `x`, which the compiler is to keep, not to work out again in every turn of a loop.
__device__ __forceinline__ uint32_t held(uint32_t x) {
    asm("" : "+r"(x));
    return x;
}

template <int ROWS, int TILE_K, int THREADS>
struct Operand<ROWS, TILE_K, THREADS, true> {
    using Places = tile::Swizzle<TILE_K>;
    tile::Copy<ROWS, TILE_K, THREADS> copy;

    // Rows first.. of `height`, `ld` bytes apart.
    __device__ __forceinline__ Operand(const void* matrix, int64_t ld, uint32_t height, uint32_t first, uint32_t tid)
        : copy(matrix, ld, height, first, tid) {}

    // Bytes k..k + TILE_K of the operand's rows, those from k_end on as zeros.
    template <bool ALIGNED>
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        copy.template start<ALIGNED>(tile, k, k_end, unit);
    }

    // Where this lane's address for ldmatrix stands in a tile, for the first fragment of a warp whose rows begin at `row`
    // (a multiple of 16). Fragments and steps are a constant away, or an exclusive or with one: a step moves to
    // neighbouring chunks, and 2 * step + chunk is 2 * step ^ chunk.
    __device__ __forceinline__ static uint32_t place_a(uint32_t row, uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_a(lane);
        return held(Places::offset(row + at.row, at.chunk));
    }
    __device__ __forceinline__ static uint32_t place_b(uint32_t row, uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_b(lane);
        return held(Places::offset(row + at.row, at.chunk));
    }

    // Fragments of A (16 rows each), or pairs of fragments of B, at bytes 32 * step of K.
    template <int N>
    __device__ __forceinline__ static void load(uint32_t (&fragments)[N][4], uint32_t tile, uint32_t place, uint32_t step) {
        const uint32_t first = tile + (place ^ 32 * step);
#pragma unroll
        for (int i = 0; i < N; ++i) ptx::ldmatrix_x4(fragments[i], first + i * 16 * TILE_K);
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

    template <bool ALIGNED>
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        copy.template start<ALIGNED>(tile, k / 2, k_end / 2, unit);
    }

    // Eight rows from `row` on at step `step` of K are a chunk; a fragment's 16 rows are two, and lie in one panel with the
    // warp's other fragments.
    __device__ __forceinline__ static uint32_t place(uint32_t row, uint32_t step) {
        return row / 64 * Copy::PANEL_BYTES + Places::offset(step, row % 64 / 8);
    }
    __device__ __forceinline__ static uint32_t place_a(uint32_t row, uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_a_trans(lane);
        return held(place(row + 8 * at.chunk, at.row));
    }
    __device__ __forceinline__ static uint32_t place_b(uint32_t row, uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_b_trans(lane);
        return held(place(row + 8 * at.chunk, at.row));
    }

    template <int N>
    __device__ __forceinline__ static void load(uint32_t (&fragments)[N][4], uint32_t tile, uint32_t place, uint32_t step) {
#pragma unroll
        for (int i = 0; i < N; ++i)
            ptx::ldmatrix_x4_trans(fragments[i], tile + (place ^ 32 * i) + step * 16 * 128);
    }
};

}  // namespace gemm

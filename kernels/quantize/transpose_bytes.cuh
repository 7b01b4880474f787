// A matrix of bytes, turned:
//
//     d[n, k] = x[k, n]
//
// Operands   x   [rows, cols] bytes, row stride ldx, any alignment
//            d   [cols, ldd] bytes, 16-byte aligned, ldd a multiple of 16; columns rows..ldd become zero
//
// Who does what   A block takes tiles of 128 by 128, blockIdx.x first. Warp w reads 16 rows of x from row 16 w on, a
// lane 4 bytes of each, and turns them in registers into a chunk of 16 bytes for each of 4 rows of d:
//
//     x:  k  |l0: 4 bytes|l1| ... |l31|          d:  4 l    |warp 0: 16 bytes|warp 1| ... |warp 7|
//            |    16 rows: warp 0     |              4 l + 1| ...
//
// Where x is not 4-byte aligned in every row, and at its right edge, bytes are read one at a time.
//
// Shared memory   tile    128 rows of 128 bytes, static (byte_tile.cuh)
// Preconditions   1 <= cols; rows, cols, ldd < 2^31.
// Floor   sm_80, that of this crate.
// Determinism   Bytes are moved; no arithmetic.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "byte_tile.cuh"
#include "params.cuh"

namespace quantize {

// Bytes n..n+3 of a row; what is past its end is 0.
__device__ __forceinline__ uint32_t four_bytes(const uint8_t* row, uint32_t n, uint32_t cols, bool aligned) {
    if (aligned && n + 4 <= cols) return *reinterpret_cast<const uint32_t*>(row + n);
    uint32_t word = 0;
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
        if (n + i < cols) word |= static_cast<uint32_t>(row[n + i]) << (8 * i);
    }
    return word;
}

// Turns a square of 4 by 4 bytes, a word a row.
__device__ __forceinline__ void turn(uint32_t (&to)[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t ab_low = __byte_perm(a, b, 0x5140), ab_high = __byte_perm(a, b, 0x7362);
    const uint32_t cd_low = __byte_perm(c, d, 0x5140), cd_high = __byte_perm(c, d, 0x7362);
    to[0] = __byte_perm(ab_low, cd_low, 0x5410);
    to[1] = __byte_perm(ab_low, cd_low, 0x7632);
    to[2] = __byte_perm(ab_high, cd_high, 0x5410);
    to[3] = __byte_perm(ab_high, cd_high, 0x7632);
}

}  // namespace quantize

template <int THREADS>
__device__ __forceinline__ void transpose_bytes(const TransposeBytesParams& p) {
    using Tile = quantize::ByteTile<128, 4, THREADS>;
    static_assert(THREADS == 256, "a warp makes one chunk of every row");
    __shared__ Tile tile;
    const auto* x = static_cast<const uint8_t*>(p.x);
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const bool aligned = ((reinterpret_cast<uint64_t>(x) | static_cast<uint64_t>(p.ldx)) & 3) == 0;
    const uint64_t across = (static_cast<uint64_t>(p.cols) + 127) / 128;
    const uint64_t tiles = across * ((static_cast<uint64_t>(p.ldd) + 127) / 128);

    for (uint64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const uint32_t left = static_cast<uint32_t>(t % across) * 128, top = static_cast<uint32_t>(t / across) * 128;
        const uint32_t n = left + 4 * lane, k = top + 16 * warp;
        uint32_t turned[4][4];
#pragma unroll
        for (uint32_t square = 0; square < 4; ++square) {
            uint32_t words[4];
#pragma unroll
            for (uint32_t i = 0; i < 4; ++i) {
                const uint32_t row = k + 4 * square + i;
                words[i] = row < p.rows ? quantize::four_bytes(x + row * p.ldx, n, p.cols, aligned) : 0;
            }
            quantize::turn(turned[square], words[0], words[1], words[2], words[3]);
        }
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
            tile.at(4 * lane + j, warp) = make_uint4(turned[0][j], turned[1][j], turned[2][j], turned[3][j]);
        }
        __syncthreads();
        tile.write(static_cast<int8_t*>(p.d), p.ldd, left, top, p.cols);
        __syncthreads();  // the tile may be written again
    }
}

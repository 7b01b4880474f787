// Columns of floats to rows of bytes, with one scale for each column, for each group of 64 or 128 elements of one, or
// with a scale that is given (code.cuh has the rules):
//
//     v[m, k] = x[k, m] * factor[k]        code[m, k] from v[m, k] / scale, as in quantize_rows and quantize_groups
//
// Operands   x       [cols, rows] f32, f16 or bf16: K lies down its rows; row stride ldx elements, any alignment
//            codes   [rows, ldc] bytes, 16-byte aligned, ldc a multiple of 16; columns cols..ldc become zero
//            scales  f32 [rows] with stride scale_row, or [rows, groups] with strides scale_row and scale_group
//            scale   one f32, if it is given; then scales is not used
//            zero    one int32 or null, with a given scale, for signed bytes: the code of 0, clamped to -128..127
//            factors [cols] f32, or null: then v is x
//            status  one word or null; bit 0 is set when v holds a NaN or an infinity
//
// Who does what   A block takes 32 columns of x, which are as many rows of codes, and 128 steps of K at a time: its 8
// warps 16 steps each, a lane one column, so that the 16 codes of a lane are one chunk of its row. Where one scale
// serves a whole column, a walk for the largest magnitude goes before. Otherwise `splits` blocks share the steps of K.
//
//     x:      k  |l0 |l1 | ... |l31 |          codes:   l0  |warp 0: 16 bytes|warp 1| ... |warp 7|
//                | 16 steps: warp 0  |                   l1  | ...
//
// Shared memory   tile    32 rows of 128 bytes     static: codes, turned (byte_tile.cuh)
//                 warps   8 * 32 words             static: magnitudes
//
// Numbers   As in quantize_rows (a scale a column) and quantize_groups (groups, and a given scale).
// Preconditions   1 <= rows; cols, ldc < 2^31; group 0, 64 or 128; splits is 1 for a scale a column; blocks are
// splits for every 32 columns.
// Floor   sm_80, that of this crate; sm_89 for 8-bit floats, for cvt.
// Determinism   The same bits for every number of splits, on every architecture.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "byte_tile.cuh"
#include "code.cuh"
#include "format/floats.cuh"
#include "given.cuh"
#include "params.cuh"
#include "vector.cuh"

namespace quantize {

constexpr uint32_t STEPS = 16;  // of K, that a lane takes at once

// Numbers k..k+15 of column `m`; what is not in the matrix is 0.
template <class X>
__device__ __forceinline__ void column(float (&to)[STEPS], const void* x, const float* factors, int64_t ldx, uint32_t k,
                                       uint32_t cols, uint32_t m, uint32_t rows) {
    using Bits = typename X::Bits;
    const auto* from = static_cast<const Bits*>(x) + static_cast<int64_t>(k) * ldx + m;
    Bits bits[STEPS];
#pragma unroll
    for (uint32_t i = 0; i < STEPS; ++i) bits[i] = k + i < cols && m < rows ? from[i * ldx] : 0;
#pragma unroll
    for (uint32_t i = 0; i < STEPS; ++i) to[i] = X::load(bits[i]);
    if (factors == nullptr) return;
#pragma unroll
    for (uint32_t i = 0; i < STEPS; ++i) {
        if (k + i < cols && m < rows) to[i] = __fmul_rn(to[i], factors[k + i]);
    }
}

// The largest of the words of `count` warps from warp `first` on, lane by lane.
__device__ __forceinline__ uint32_t warps_max(const uint32_t (&warps)[8][32], uint32_t first, uint32_t count) {
    uint32_t all = 0;
    for (uint32_t w = first; w < first + count; ++w) all = max(all, warps[w][threadIdx.x % 32]);
    return all;
}

}  // namespace quantize

template <class X, class Code, int THREADS>
__device__ __forceinline__ void quantize_columns(const QuantizeColumnsParams& p) {
    constexpr uint32_t STEPS = quantize::STEPS, TILE = THREADS / 32 * STEPS;
    using Tile = quantize::ByteTile<32, 1, THREADS>;
    static_assert(TILE == Tile::COLUMNS && THREADS == 256, "a warp makes one chunk of every row");
    __shared__ Tile tile;
    __shared__ uint32_t warps[8][32];

    const auto* factors = static_cast<const float*>(p.factors);
    auto* scales = static_cast<float*>(p.scales);
    auto* status = static_cast<uint32_t*>(p.status);
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t first = blockIdx.x / p.splits * 32, split = blockIdx.x % p.splits;
    const uint32_t m = first + lane;
    const bool given = p.scale != nullptr, grouped = !given && p.group != 0;

    quantize::Scale scale{};
    if (given) {
        scale = quantize::given(p.scale, p.zero);
    } else if (!grouped) {
        uint32_t seen[1];
        Code::start(seen);
        for (uint32_t k = warp * STEPS; k < p.cols; k += TILE) {
            float of[STEPS];
            quantize::column<X>(of, p.x, factors, p.ldx, k, p.cols, m, p.rows);
#pragma unroll
            for (uint32_t i = 0; i < STEPS; ++i) Code::see(seen, of[i]);
        }
        warps[warp][lane] = seen[0];
        __syncthreads();
        seen[0] = quantize::warps_max(warps, 0, 8);
        scale = Code::scale(seen);
        if (warp == 0 && m < p.rows) scales[m * p.scale_row] = scale.scale;
    }

    const uint32_t ldc = static_cast<uint32_t>(p.ldc);
    for (uint64_t start = split * TILE; start < ldc; start += static_cast<uint64_t>(p.splits) * TILE) {
        const uint32_t k = static_cast<uint32_t>(start) + warp * STEPS;
        float of[STEPS];
        quantize::column<X>(of, p.x, factors, p.ldx, k, p.cols, m, p.rows);
        uint32_t seen[1];
        Code::start(seen);
#pragma unroll
        for (uint32_t i = 0; i < STEPS; ++i) Code::see(seen, of[i]);
        if (seen[0] >= quantize::INFINITE && status != nullptr) atomicOr(status, 1u);
        if (grouped) {
            warps[warp][lane] = seen[0];
            __syncthreads();
            const uint32_t count = p.group / STEPS;  // warps of a group
            seen[0] = quantize::warps_max(warps, warp / count * count, count);
            scale = Code::scale(seen);
            if (warp % count == 0 && m < p.rows && k < p.cols) {
                scales[m * p.scale_row + k / p.group * p.scale_group] = scale.scale;
            }
        }
        uint32_t words[STEPS / 4] = {};
        if (scale.scale > 0.0f) quantize::pack<Code>(words, of, scale);
        if (k + STEPS > p.cols) {
#pragma unroll
            for (uint32_t w = 0; w < STEPS / 4; ++w) {
                words[w] = quantize::first_bytes(words[w], static_cast<int32_t>(p.cols - k - 4 * w));
            }
        }
        tile.at(lane, warp) = make_uint4(words[0], words[1], words[2], words[3]);
        __syncthreads();
        tile.write(static_cast<int8_t*>(p.codes), p.ldc, first, start, p.rows);
        __syncthreads();  // the tile and the magnitudes may be written again
    }
}

// Sums by groups of K: the product of each group of 64 or 128 bytes is made apart, and added to f32 sums times its scales.
//
//     sum[m, n] = sum over groups g, the first to the last, of   part_g[m, n] * (groups_a[m, g] * groups_b[n, g])
//
// Rows may share scales by blocks of 128 or all: row r takes those of line r >> shift. A side without scales has 1; with
// neither, sums are only made in two levels, which keeps what an accumulator of few bits would lose.
//
//     a tile's K     |  64 bytes  |  64 bytes  |        scales of a half, for all rows and columns of the tile:
//     groups of 128  |------------ 7 ----------|        | TILE_M of a | TILE_N of b |    f32, in the slot of the tile
//     groups of 64   |---- 14 ----|---- 15 ----|
//
// Scales come with the tile in which their group ends, by cp.async, one thread each. Fragments read a row's four lanes at
// one address and columns in pairs: no access meets a conflict.
//
// Numbers   t = groups_a * groups_b is rounded once, sum = fma(part, t, sum) once. An int32 part is below 2^24, so that its
// conversion is exact. K ends a group that is cut short.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "tile/fragment.cuh"

namespace gemm {

// One sum over all of K: there is nothing to copy and nothing to promote.
struct NoGroups {
    __device__ __forceinline__ NoGroups(const GemmMmaParams&, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t) {}
    __device__ __forceinline__ void start(uint32_t, uint32_t, uint32_t) const {}
};

template <int TILE_M, int TILE_N, int TILE_K, int STAGES, int THREADS>
struct Groups {
    static constexpr int HALVES = TILE_K / 64;
    static constexpr uint32_t HALF_BYTES = (TILE_M + TILE_N) * 4, SLOT_BYTES = HALVES * HALF_BYTES;
    static_assert(TILE_M + TILE_N <= THREADS, "a thread copies one scale of a half");

    const float* from;  // this thread's scale of group 0, or null
    int64_t step;       // elements from a group to the next
    uint32_t shift;     // log2 of the bytes in a group
    uint32_t slots;     // shared address of the first slot
    uint32_t tid;

    __device__ __forceinline__ Groups(const GemmMmaParams& p, uint32_t batch, uint32_t tile_row, uint32_t tile_col,
                                      uint32_t slots_, uint32_t tid_)
        : shift(p.k_group_shift), slots(slots_), tid(tid_) {
        const bool of_a = tid < TILE_M;
        const uint32_t row = of_a ? tile_row + tid : tile_col + tid - TILE_M;
        const auto* scales = static_cast<const float*>(of_a ? p.groups_a : p.groups_b);
        const bool given = scales && tid < TILE_M + TILE_N && row < (of_a ? p.m : p.n);
        step = of_a ? p.groups_a_step : p.groups_b_step;
        scales += batch * (of_a ? p.batch_groups_a : p.batch_groups_b);
        from = given ? scales + (row >> (of_a ? p.groups_a_shift : p.groups_b_shift)) *
                                    (of_a ? p.groups_a_ld : p.groups_b_ld)
                     : nullptr;
        // Nothing else ever writes these.
        if (!given && tid < TILE_M + TILE_N)
#pragma unroll
            for (int half = 0; half < STAGES * HALVES; ++half)
                ptx::st_shared(slots + half * HALF_BYTES + tid * 4, __float_as_uint(1.0f));
    }

    // Starts copying the scales of the groups that end in bytes k..k + TILE_K, the only ones that are read there.
    __device__ __forceinline__ void start(uint32_t slot, uint32_t k, uint32_t k_end) const {
        if (!from) return;
#pragma unroll
        for (int half = 0; half < HALVES; ++half) {
            const uint32_t at = k + 64 * half;
            if (!ends(at + 64, k_end)) continue;
            ptx::cp_async_4(slots + slot * SLOT_BYTES + half * HALF_BYTES + tid * 4, from + (at >> shift) * step, 4);
        }
    }

    // Whether a group ends with the 64 bytes before `end`; these lie in K.
    __device__ __forceinline__ bool ends(uint32_t end, uint32_t k_end) const {
        return end - 64 < k_end && ((end & ((1u << shift) - 1)) == 0 || end >= k_end);
    }

    // Adds the part of a group to the sums and clears it, for a warp whose rows and columns begin there in the tile.
    template <class Part, int FRAGMENTS_M, int FRAGMENTS_N>
    __device__ __forceinline__ void promote(uint32_t slot, uint32_t half, uint32_t warp_row, uint32_t warp_col,
                                            uint32_t lane, Part (&part)[FRAGMENTS_M][FRAGMENTS_N][4],
                                            float (&sum)[FRAGMENTS_M][FRAGMENTS_N][4]) const {
        const tile::RowColumn at = tile::accumulator(lane, 0);
        const uint32_t scales = slots + slot * SLOT_BYTES + half * HALF_BYTES;
        const uint32_t rows = scales + 4 * (warp_row + at.row), columns = scales + 4 * (TILE_M + warp_col + at.column);
        float b[FRAGMENTS_N][2];
#pragma unroll
        for (int j = 0; j < FRAGMENTS_N; ++j) ptx::ld_shared_v2(columns + 32 * j, b[j]);
#pragma unroll
        for (int i = 0; i < FRAGMENTS_M; ++i)
#pragma unroll
            for (int r = 0; r < 2; ++r) {
                const float a = __int_as_float(ptx::ld_shared(rows + 64 * i + 32 * r));
#pragma unroll
                for (int j = 0; j < FRAGMENTS_N; ++j)
#pragma unroll
                    for (int c = 0; c < 2; ++c) {
                        Part& x = part[i][j][2 * r + c];
                        float& s = sum[i][j][2 * r + c];
                        s = __fmaf_rn(static_cast<float>(x), __fmul_rn(a, b[j][c]), s);
                        x = 0;
                    }
            }
    }
};

}  // namespace gemm

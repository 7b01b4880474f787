// A warp's output on its way to memory: divided by the sums, rounded, and written in whole lines.
//
// Of 16 bits, the accumulators hold two neighbours a lane: a fragment's row is 16 bytes of four lanes. They go through shared
// memory, [rows, DV] swizzled as every tile is, and out as chunks of 16 bytes. Of f32, four lanes write a sector themselves.
#pragma once
#include <cstdint>

#include "ptx/shared.cuh"
#include "tile/swizzle.cuh"

namespace attention {

// Rows 16 * i + 8 * half + lane / 4 of the warp. `stage`: shared memory of its own, 2 * ROWS * DV bytes. `row_of(r)` is where row
// r starts, null for one that is not there.
template <class X, int ROWS, int FM, int FRAGMENTS, class RowOf>
__device__ __forceinline__ void store_rows(const float (&o)[FM][FRAGMENTS][4], const float (&inverse)[FM][2], uint32_t stage,
                                           uint32_t value_dim, bool wide, RowOf row_of) {
    constexpr int ROW_BYTES = FRAGMENTS * 16;
    using Places = tile::Swizzle<ROW_BYTES>;
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < FM; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const uint32_t r = 16 * i + 8 * half + lane / 4;
            if (wide) {
                auto* const to = reinterpret_cast<float*>(row_of(r));
                if (to == nullptr) continue;
#pragma unroll
                for (int j = 0; j < FRAGMENTS; ++j)
                    if (8 * j < value_dim)
                        *reinterpret_cast<float2*>(to + 8 * j + lane % 4 * 2) = make_float2(
                            o[i][j][2 * half] * inverse[i][half], o[i][j][2 * half + 1] * inverse[i][half]);
            } else {
                const uint32_t at = stage + r * ROW_BYTES + lane % 4 * 4, swizzle = Places::place(r, 0) * 16;
#pragma unroll
                for (int j = 0; j < FRAGMENTS; ++j)
                    ptx::st_shared(at + (16 * j ^ swizzle),
                                   X::pack(o[i][j][2 * half] * inverse[i][half], o[i][j][2 * half + 1] * inverse[i][half]));
            }
        }
    if (wide) return;
    __syncwarp();
#pragma unroll 1
    for (uint32_t r = lane / 8; r < ROWS; r += 4) {
        char* const to = row_of(r);
        if (to == nullptr) continue;
#pragma unroll
        for (uint32_t panel = 0; panel < (Places::CHUNKS + 7) / 8; ++panel) {
            const uint32_t chunk = panel * 8 + lane % 8;
            if (chunk * 8 < value_dim)
                *reinterpret_cast<int4*>(to + chunk * 16) = ptx::ld_shared_v4(stage + Places::offset(r, chunk));
        }
    }
}

}  // namespace attention

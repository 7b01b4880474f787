// Product of signed bytes on the tensor cores of Hopper (TMA and wgmma):
//
//     acc[m, n] = sum_k a[m, k] * b[n, k]          d[m, n] = what gemm/epilogue.cuh makes of acc
//
// Operands   a  [M, K] int8 through a_map, b  [N, K] int8 through b_map: boxes of TILE_M (TILE_N) rows x TILE_K bytes,
//            128-byte swizzle, zero outside the matrix; base 16-byte aligned, row strides multiples of 16
//            d  [M, N] f32, f16, bf16 or s32, row stride ldd elements, any alignment an element has
//            scale_row [M], scale_col [N], bias [N] or null: f32
//
// Who does what   A block of 9 warps makes one TILE_M x TILE_N tile of d.
//     warps 0-3, 4-7   two consumer warpgroups of 64 rows each; warp w holds rows 16w..16w+16, all 128 columns, as 16
//                      fragments of 16 x 8 (tile/fragment.cuh)
//     warp 8           the producer: one lane of it starts all copies
//
//          128 columns
//     +-------------------+              full[s]:  the tiles of slot s have arrived; the copy engine counts the bytes
//     | warps 0-3         |  64 rows     empty[s]: all 8 consumer warps are done with slot s
//     +-------------------+
//     | warps 4-7         |  64 rows     producer:  wait empty[s], expect bytes on full[s], start both copies
//     +-------------------+              consumer:  wait full[s], 4 products of depth 32, wait, arrive empty[s]
//
// Shared memory (bytes)   alignment             1024, lost at worst: a swizzled tile starts at a multiple of 1024
//                         ring, 4 stages      131072, a: 128 x 128, b: 128 x 128 each
//                         output stages        16384, 2048 a warp
//                         barriers                64, full[4], empty[4]
//                         sum                 148544 of the 232448 that a block of sm_90 may have
//
// Numbers   acc is exact while K * max|a| * max|b| < 2^31. Then gemm/epilogue.cuh.
// Preconditions   M, N >= 1; K < 2^31 - TILE_K; the grid is one block a tile; the maps say what is written above.
// Floor   sm_90a, and only it: wgmma.
// Determinism   The same bits as every other kernel of this product: sums of integers have no order.
// Tried and lost   Not yet measured on a GPU. Not tried: several tiles a block, clusters with multicast, a deeper queue
// of products.
#pragma once
#include <cstdint>

#include "gemm/epilogue.cuh"
#include "params.cuh"
#include "ptx/elect.cuh"
#include "ptx/fence.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "ptx/wgmma.cuh"
#include "tile/scheduler.cuh"
#include "tile/stage.cuh"
#include "tile/wgmma_descriptor.cuh"

extern __shared__ __align__(1024) unsigned char dynamic_shared[];

namespace gemm {

// Position in a ring of STAGES slots, and the parity of the phase its barriers are in.
template <int STAGES>
struct RingPosition {
    uint32_t slot = 0, parity = 0;

    __device__ __forceinline__ void advance() {
        if (++slot == STAGES) {
            slot = 0;
            parity ^= 1;
        }
    }
};

__device__ __forceinline__ void wait(uint32_t barrier, uint32_t parity) {
    while (!ptx::mbarrier_try_wait_parity(barrier, parity)) {
    }
}

}  // namespace gemm

template <int TILE_M, int TILE_N, int TILE_K, int STAGES>
__device__ __forceinline__ void gemm_s8_wgmma(const GemmS8WgmmaParams& p) {
    static_assert(TILE_M == 128 && TILE_N == 128, "two warpgroups of wgmma.m64n128");
    static_assert(TILE_K == 128, "a row of a tile is one swizzled line");
    constexpr uint32_t CONSUMER_WARPS = 8, WARPGROUP_ROWS = 64, STEP_K = 32, SLAB = 32;
    constexpr uint32_t A_BYTES = TILE_M * TILE_K, B_BYTES = TILE_N * TILE_K, SLOT_BYTES = A_BYTES + B_BYTES;
    using OutputStage = tile::Stage<SLAB>;

    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t m = p.m, n = p.n;
    const tile::Place place = tile::place_of(blockIdx.x, tile::div_ceil(m, TILE_M), tile::div_ceil(n, TILE_N), 1);
    const uint32_t tile_row = place.m * TILE_M, tile_col = place.n * TILE_N;
    const uint32_t tiles_k = tile::div_ceil(p.k, TILE_K);

    const uint32_t ring = (ptx::shared_address(dynamic_shared) + 1023) & ~1023u;
    const uint32_t output_stages = ring + STAGES * SLOT_BYTES;
    const uint32_t full = output_stages + CONSUMER_WARPS * OutputStage::BYTES, empty = full + 8 * STAGES;

    if (threadIdx.x == 0) {
        ptx::tma_prefetch_map(&p.a_map);
        ptx::tma_prefetch_map(&p.b_map);
        for (uint32_t s = 0; s < STAGES; ++s) {
            ptx::mbarrier_init(full + 8 * s, 1);
            ptx::mbarrier_init(empty + 8 * s, CONSUMER_WARPS);
        }
        ptx::fence_mbarrier_init();
        ptx::fence_proxy_async();
    }
    __syncthreads();

    if (warp == CONSUMER_WARPS) {
        if (!ptx::elect_one()) return;
        gemm::RingPosition<STAGES> at;
        for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
            // The phase before the first counts as ended: a fresh slot is empty.
            gemm::wait(empty + 8 * at.slot, at.parity ^ 1);
            const uint32_t tile_a = ring + at.slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
            ptx::mbarrier_arrive_expect_tx(full + 8 * at.slot, SLOT_BYTES);
            ptx::tma_load_2d(tile_a, &p.a_map, full + 8 * at.slot, tile_k * TILE_K, tile_row);
            ptx::tma_load_2d(tile_b, &p.b_map, full + 8 * at.slot, tile_k * TILE_K, tile_col);
            at.advance();
        }
        return;
    }

    int32_t acc[TILE_N / SLAB * (SLAB / 8) * 4] = {};
    const uint32_t warpgroup_rows = warp / 4 * WARPGROUP_ROWS * TILE_K;  // in bytes of a's tile
    gemm::RingPosition<STAGES> at;
    for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
        const uint32_t tile_a = ring + at.slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
        gemm::wait(full + 8 * at.slot, at.parity);
        ptx::wgmma_fence();
#pragma unroll
        for (uint32_t k = 0; k < TILE_K; k += STEP_K)
            ptx::wgmma_m64n128k32_s8(acc, tile::descriptor_swizzle_128(tile_a + warpgroup_rows + k),
                                     tile::descriptor_swizzle_128(tile_b + k));
        ptx::wgmma_commit_group();
        ptx::wgmma_wait_group<0>(acc);
        if (lane == 0) ptx::mbarrier_arrive(empty + 8 * at.slot);
        at.advance();
    }

    const OutputStage stage{output_stages + warp * OutputStage::BYTES};
    const gemm::Output out{p.d,   static_cast<const float*>(p.scale_row), static_cast<const float*>(p.scale_col),
                           static_cast<const float*>(p.bias), p.ldd, m, n, p.d_type};
    gemm::store_slabs<0, SLAB>(out, stage, tile_row + warp * 16, tile_col, lane,
                               reinterpret_cast<const int32_t(&)[TILE_N / SLAB][SLAB / 8][4]>(acc));
}

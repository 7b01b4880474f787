// Product of signed bytes on the tensor cores of Ampere and later (mma.sync):
//
//     acc[m, n] = sum_k a[m, k] * b[n, k]          d[m, n] = what gemm/epilogue.cuh makes of acc
//
// Operands   a  [M, K] int8, row stride lda bytes; b  [N, K] int8, row stride ldb bytes: both 16-byte aligned, strides
//            multiples of 16; bytes past K in a row are never read
//            d  [M, N] f32, f16, bf16 or s32, row stride ldd elements, any alignment an element has
//            scale_row [M], scale_col [N], bias [N] or null: f32
//
// Who holds what   A block makes TILE_M x TILE_N of d over one slice of K. Its warps stand WARPS_M x WARPS_N; each
// holds its part as 16 x 8 fragments of mma.m16n8k32 (tile/fragment.cuh):
//
//     128 x 128, 2 x 4 warps        64 x 64, 2 x 2 warps       16 x 64, 1 x 4 warps
//     +----+----+----+----+         +----+----+                +--+--+--+--+
//     | w0 | w1 | w2 | w3 |  64     | w0 | w1 |  32            |w0|w1|w2|w3|  16
//     +----+----+----+----+         +----+----+                +--+--+--+--+
//     | w4 | w5 | w6 | w7 |  64     | w2 | w3 |  32             16 columns each
//     +----+----+----+----+         +----+----+
//        32 columns each             32 columns each
//
// Shared memory (bytes)      128x128x64, 3 stages      64x64x64, 4 stages      16x64x128, 4 stages
//     a, one stage                   8192                     4096                     2048
//     b, one stage                   8192                     4096                     8192
//     ring of stages                49152                    32768                    40960
//     warps' output stages     16384 of the ring         8192 of the ring         4096 of the ring
// 49152 lets two blocks share a multiprocessor of 100 KB. Tiles are swizzled (tile/swizzle.cuh).
//
// The ring   Tiles of TILE_K bytes of K arrive by cp.async STAGES - 1 ahead. A barrier an iteration says both that the
// tile to be used has arrived for every warp and that the slot to be refilled has been used by every warp.
//
// Numbers   acc is exact while K * max|a| * max|b| < 2^31. Then gemm/epilogue.cuh.
// Preconditions   M, N >= 1; K < 2^31 - TILE_K, where 0 makes sums of 0; the grid is tiles * split_k blocks; k_slice is
// a multiple of TILE_K with split_k * k_slice >= K; with split_k > 1, partials hold split_k * TILE_M * TILE_N words a
// tile, 16-byte aligned, and tickets one zero a tile.
// Floor   sm_80, for mma.m16n8k32 and cp.async.
// Determinism   The same bits under every plan: tile shape, slices and order change only the order of integer sums.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "gemm/epilogue.cuh"
#include "gemm/split_k.cuh"
#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared.cuh"
#include "tile/copy.cuh"
#include "tile/fragment.cuh"
#include "tile/scheduler.cuh"
#include "tile/stage.cuh"
#include "tile/swizzle.cuh"

extern __shared__ __align__(128) unsigned char dynamic_shared[];

template <int TILE_M, int TILE_N, int TILE_K, int STAGES, int WARPS_M, int WARPS_N>
__device__ __forceinline__ void gemm_s8_mma(const GemmS8MmaParams& p) {
    using Places = tile::Swizzle<TILE_K>;
    constexpr int THREADS = WARPS_M * WARPS_N * 32;
    constexpr int WARP_M = TILE_M / WARPS_M, WARP_N = TILE_N / WARPS_N;
    constexpr int FRAGMENTS_M = WARP_M / 16, FRAGMENTS_N = WARP_N / 8;
    constexpr int STEPS_K = TILE_K / 32;
    constexpr uint32_t A_BYTES = TILE_M * TILE_K, B_BYTES = TILE_N * TILE_K, SLOT_BYTES = A_BYTES + B_BYTES;
    using OutputStage = tile::Stage<WARP_N>;
    static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0, "ldmatrix.x4 brings 16 rows of a or of b");
    static_assert(WARPS_M * WARPS_N * OutputStage::BYTES <= STAGES * SLOT_BYTES, "the output stages reuse the ring");

    const uint32_t tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
    const uint32_t m = p.m, n = p.n, split_k = p.split_k;
    const tile::Place place = tile::place_of(blockIdx.x, tile::div_ceil(m, TILE_M), tile::div_ceil(n, TILE_N), split_k);
    const uint32_t tile_row = place.m * TILE_M, tile_col = place.n * TILE_N;
    const uint32_t k_begin = min(place.slice * p.k_slice, p.k);
    const uint32_t k_end = min(k_begin + p.k_slice, p.k);
    const uint32_t tiles_k = tile::div_ceil(k_end - k_begin, TILE_K);

    const uint32_t ring = ptx::shared_address(dynamic_shared);
    const tile::Copy<TILE_M, TILE_K, THREADS> copy_a(p.a, p.lda, m, tile_row, tid);
    const tile::Copy<TILE_N, TILE_K, THREADS> copy_b(p.b, p.ldb, n, tile_col, tid);
    const auto start_copy = [&](uint32_t slot, uint32_t tile_k) {
        if (tile_k < tiles_k) {
            const uint32_t k = k_begin + tile_k * TILE_K;
            copy_a.start(ring + slot * SLOT_BYTES, k, k_end);
            copy_b.start(ring + slot * SLOT_BYTES + A_BYTES, k, k_end);
        }
        ptx::cp_async_commit_group();  // empty past the end, so that groups and tiles stay in step
    };
#pragma unroll
    for (uint32_t s = 0; s < STAGES - 1; ++s) start_copy(s, s);

    // This lane's rows for ldmatrix, in the first fragment of its warp; others are whole periods of the swizzle away.
    const uint32_t warp_row = warp / WARPS_N * WARP_M, warp_col = warp % WARPS_N * WARP_N;
    const tile::RowChunk lane_a = tile::ldmatrix_a(lane), lane_b = tile::ldmatrix_b(lane);
    const uint32_t row_a = warp_row + lane_a.row, row_b = warp_col + lane_b.row;

    int32_t acc[FRAGMENTS_M][FRAGMENTS_N][4] = {};
    uint32_t slot = 0, free_slot = STAGES - 1;
    for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
        ptx::cp_async_wait_group<STAGES - 2>();
        __syncthreads();
        start_copy(free_slot, tile_k + STAGES - 1);

        const uint32_t tile_a = ring + slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
#pragma unroll
        for (uint32_t step = 0; step < STEPS_K; ++step) {
            const uint32_t chunk_a = tile_a + Places::offset(row_a, 2 * step + lane_a.chunk);
            const uint32_t chunk_b = tile_b + Places::offset(row_b, 2 * step + lane_b.chunk);
            uint32_t a[FRAGMENTS_M][4], b[FRAGMENTS_N / 2][4];
#pragma unroll
            for (int i = 0; i < FRAGMENTS_M; ++i) ptx::ldmatrix_x4(a[i], chunk_a + i * 16 * TILE_K);
#pragma unroll
            for (int j = 0; j < FRAGMENTS_N / 2; ++j) ptx::ldmatrix_x4(b[j], chunk_b + j * 16 * TILE_K);
#pragma unroll
            for (int i = 0; i < FRAGMENTS_M; ++i)
#pragma unroll
                for (int j = 0; j < FRAGMENTS_N; ++j)
                    ptx::mma_m16n8k32_s8(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
        free_slot = slot;
        slot = slot + 1 == STAGES ? 0 : slot + 1;
    }

    const uint32_t row0 = tile_row + warp_row, col0 = tile_col + warp_col;
    if (split_k > 1) {
        using Partials = gemm::Partials<FRAGMENTS_M, FRAGMENTS_N, THREADS>;
        const Partials partials(p.partials, place.tile, split_k, tid, row0 + lane / 4, m);
        partials.store(place.slice, acc);
        if (!gemm::last_to_arrive(static_cast<uint32_t*>(p.tickets) + place.tile, split_k)) return;
#pragma unroll 1
        for (uint32_t slice = 0; slice < split_k; ++slice)
            if (slice != place.slice) partials.add(slice, acc);
    }

    // The ring is done with: the last groups are empty, and after the barrier no warp reads it.
    __syncthreads();
    const OutputStage stage{ring + warp * OutputStage::BYTES};
    const gemm::Output out{p.d,   static_cast<const float*>(p.scale_row), static_cast<const float*>(p.scale_col),
                           static_cast<const float*>(p.bias), p.ldd, m, n, p.d_type};
    gemm::store_slabs<16, 0>(out, stage, row0, col0, lane, acc);
}

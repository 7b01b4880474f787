// Product of signed bytes on the tensor cores of Hopper (TMA and wgmma):
//
//     acc[m, n] = sum_k a[m, k] * b[n, k]          d[m, n] = what gemm/epilogue.cuh makes of acc
//
// Operands   a  [M, K] int8 through a_map, b  [N, K] int8 through b_map: boxes of TILE_M (TILE_N) rows x TILE_K bytes,
//            128-byte swizzle, zero outside the matrix; base 16-byte aligned, row strides multiples of 16
//            d  [M, N] f32, f16, bf16 or s32, row stride ldd elements, any alignment an element has
//            scale_row [M], scale_col [N], bias [N] or null: f32
//
// Who does what   A block of 12 warps makes tiles blockIdx.x + i * gridDim.x of the walk of tile/scheduler.cuh, i = 0, 1, ...
//     warps 0-3, 4-7   two consumer warpgroups: the first makes the tiles of even i, the second those of odd i, each all of
//                      128 x 128: two products of 64 rows, warp w holding rows 16w..16w+16 of each, all columns, as 16
//                      fragments of 16 x 8 (tile/fragment.cuh)
//     warp 8           the producer: one lane of it starts all copies, tile after tile, through one ring
//     warps 9-11       fill the producer's warpgroup, so that it can give its registers to the others, and leave
//
//          time -->
//     warps 0-3   | multiply i = 0 | store 0 |     | multiply 2 | store 2 |     full[s]:  the tiles of slot s have arrived
//     warps 4-7                    | multiply i = 1 | store 1 |  | multiply 3   empty[s]: the 4 warps are done with slot s
//     copies      | of 0 | of 1         | of 2          | of 3  ...             turn[g]:  warpgroup g may multiply
//
//     The tensor cores go on while one warpgroup stores. A warpgroup takes its turn when the other has seen all its slots
//     full: a wait by parity must never be two phases behind.
//
//     producer:  wait empty[s], expect bytes on full[s], start both copies
//     consumer:  wait turn; for each slot: wait full[s], start 8 products of depth 32, wait for those of the slot before,
//                arrive empty[that slot]; give the turn at the last slot
//
// Shared memory (bytes)   alignment             1024, lost at worst: a swizzled tile starts at a multiple of 1024
//                         ring, 6 stages      196608, a: 128 x 128, b: 128 x 128 each
//                         output stages        16384, 2048 a warp
//                         barriers               112, full[6], empty[6], turn[2]
//                         sum                 214128 of the 232448 that a block of sm_90 may have
//
// Numbers   acc is exact while K * max|a| * max|b| < 2^31. Then gemm/epilogue.cuh.
// Preconditions   M, N >= 1; 1 <= K < 2^31 - TILE_K; tiles of a block x steps along K < 2^32;
//                 1 <= grid <= 2^31 - tiles; the maps say what is written above.
// Floor   sm_90a, and only it: wgmma, setmaxnreg.
// Determinism   The same bits as every other kernel of this product: sums of integers have no order.
// Tried and lost   H100 SXM, 2026-11-22, s32 output, TOPS at 4096^3 / 8192^3, each alone in a loop over two sets of
// buffers; this kernel 1389 / 1397 (by turns with cuBLASLt, as benches/results has it, 1328 / 1314):
//     one tile a block, the two warpgroups sharing it, 64 rows each, 4 stages, every slot waited for at once  1054 / 1100
//         the same, one slot's products left under way                                                        1054 / 1152
//         the same, persistent, 6 stages: both warpgroups store at once, and the tensor cores wait            1306 / 1302
//     128 x 256 tiles, persistent, 4 stages                                                                   1295 / 1327
//     128 x 192 tiles, persistent, 4 stages                                                                   1192 / 1303
//     192 x 192 tiles, three consumer warpgroups: spills                                                      1133 / 1273
//     by turns, but 9 warps and 168 registers for all: spills in the stores                                   1304 / 1364
//     by turns, no product left under way                                                                     1172 / 1048
//     by turns, tiles walked in groups of 16 rows (4: 1356 / 1384)                                            1129 / 1221
//     Not tried: clusters with multicast.
#pragma once
#include <cstdint>

#include "gemm/epilogue.cuh"
#include "params.cuh"
#include "ptx/elect.cuh"
#include "ptx/fence.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/setmaxnreg.cuh"
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
    static_assert(TILE_M == 128 && TILE_N == 128, "two products of wgmma.m64n128");
    static_assert(TILE_K == 128, "a row of a tile is one swizzled line");
    constexpr uint32_t CONSUMERS = 2, CONSUMER_WARPS = 4 * CONSUMERS, HALF_ROWS = 64, STEP_K = 32, SLAB = 32;
    constexpr uint32_t A_BYTES = TILE_M * TILE_K, B_BYTES = TILE_N * TILE_K, SLOT_BYTES = A_BYTES + B_BYTES;
    constexpr uint32_t PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;
    using OutputStage = tile::Stage<SLAB>;

    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t m = p.m, n = p.n;
    const uint32_t tiles_m = tile::div_ceil(m, TILE_M), tiles_n = tile::div_ceil(n, TILE_N), tiles = tiles_m * tiles_n;
    const uint32_t tiles_k = tile::div_ceil(p.k, TILE_K);

    const uint32_t ring = (ptx::shared_address(dynamic_shared) + 1023) & ~1023u;
    const uint32_t output_stages = ring + STAGES * SLOT_BYTES;
    const uint32_t full = output_stages + CONSUMER_WARPS * OutputStage::BYTES, empty = full + 8 * STAGES;
    const uint32_t turn = empty + 8 * STAGES;

    if (threadIdx.x == 0) {
        ptx::tma_prefetch_map(&p.a_map);
        ptx::tma_prefetch_map(&p.b_map);
        for (uint32_t s = 0; s < STAGES; ++s) {
            ptx::mbarrier_init(full + 8 * s, 1);
            ptx::mbarrier_init(empty + 8 * s, 4);
        }
        for (uint32_t g = 0; g < CONSUMERS; ++g) ptx::mbarrier_init(turn + 8 * g, 4);
        ptx::fence_mbarrier_init();
        ptx::fence_proxy_async();
    }
    __syncthreads();

    if (warp >= CONSUMER_WARPS) {
        ptx::setmaxnreg_dec<PRODUCER_REGISTERS>();
        if (warp > CONSUMER_WARPS || !ptx::elect_one()) return;
        gemm::RingPosition<STAGES> at;
        for (uint32_t id = blockIdx.x; id < tiles; id += gridDim.x) {
            const tile::Place place = tile::place_of(id, tiles_m, tiles_n, 1);
            for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
                // The phase before the first counts as ended: a fresh slot is empty.
                gemm::wait(empty + 8 * at.slot, at.parity ^ 1);
                const uint32_t tile_a = ring + at.slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
                ptx::mbarrier_arrive_expect_tx(full + 8 * at.slot, SLOT_BYTES);
                ptx::tma_load_2d(tile_a, &p.a_map, full + 8 * at.slot, tile_k * TILE_K, place.m * TILE_M);
                ptx::tma_load_2d(tile_b, &p.b_map, full + 8 * at.slot, tile_k * TILE_K, place.n * TILE_N);
                at.advance();
            }
        }
        return;
    }
    ptx::setmaxnreg_inc<CONSUMER_REGISTERS>();

    const OutputStage stage{output_stages + warp * OutputStage::BYTES};
    const gemm::Output out{p.d,   static_cast<const float*>(p.scale_row), static_cast<const float*>(p.scale_col),
                           static_cast<const float*>(p.bias), p.ldd, m, n, p.d_type};
    const uint32_t group = warp / 4;
    // The steps along K of all this block's tiles go through the ring one after the other: the first step of this
    // warpgroup's tile, and whose turn it is.
    uint32_t first_step = group * tiles_k, turn_parity = group == 0;
    for (uint32_t id = blockIdx.x + group * gridDim.x; id < tiles; id += CONSUMERS * gridDim.x) {
        const tile::Place place = tile::place_of(id, tiles_m, tiles_n, 1);
        gemm::RingPosition<STAGES> at{first_step % STAGES, first_step / STAGES % 2};
        int32_t acc[2][TILE_N / SLAB * (SLAB / 8) * 4] = {};
        uint32_t before = empty;  // empty[] of the slot whose products are under way
        gemm::wait(turn + 8 * group, turn_parity);
        for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
            const uint32_t tile_a = ring + at.slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
            gemm::wait(full + 8 * at.slot, at.parity);
            ptx::wgmma_fence();
#pragma unroll
            for (uint32_t k = 0; k < TILE_K; k += STEP_K)
#pragma unroll
                for (uint32_t half = 0; half < 2; ++half)
                    ptx::wgmma_m64n128k32_s8(acc[half],
                                             tile::descriptor_swizzle_128(tile_a + half * HALF_ROWS * TILE_K + k),
                                             tile::descriptor_swizzle_128(tile_b + k));
            ptx::wgmma_commit_group();
            ptx::wgmma_wait_group<1>(acc[0], acc[1]);
            if (lane == 0) {
                if (tile_k > 0) ptx::mbarrier_arrive(before);
                if (tile_k + 1 == tiles_k) ptx::mbarrier_arrive(turn + 8 * (group ^ 1));
            }
            before = empty + 8 * at.slot;
            at.advance();
        }
        ptx::wgmma_wait_group<0>(acc[0], acc[1]);
        if (lane == 0) ptx::mbarrier_arrive(before);
        first_step += CONSUMERS * tiles_k;
        turn_parity ^= 1;
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half)
            gemm::store_slabs<0, SLAB>(out, stage, place.m * TILE_M + half * HALF_ROWS + warp % 4 * 16,
                                       place.n * TILE_N, lane,
                                       reinterpret_cast<const int32_t(&)[TILE_N / SLAB][SLAB / 8][4]>(acc[half]));
    }
}

// A product on the tensor cores of Ampere and later (mma.sync), of any element that these multiply:
//
//     acc[m, n] = sum_k a[m, k] * b[n, k]          d[m, n] = what gemm/epilogue.cuh makes of acc
//
// or, of 8-bit elements by groups of K, the f32 sum that gemm/groups.cuh makes.
//
// Operands   a  [M, K], b  [N, K], of bytes, f16, bf16 or fp8, K along the rows or (16-bit elements) down them
//            (gemm/operand.cuh); any stride, any alignment that an element has: `a_unit` and `b_unit` say which. Nothing
//            outside [M, K] and [N, K] is read
//            c, d  [M, N] f32, f16, bf16 or (of bytes) s32, row strides ldc, ldd elements, aligned as an element is
//            scale_row [M] or one, scale_col [N] or one, bias [N]: f32; zero_row [M] or one, column_sums [N]: s32; or null
//            groups_a, groups_b  f32, a scale of each row and group of K (gemm/groups.cuh); or null
//            A batch: matrices and vectors so many bytes or elements apart, 0 where one serves all
//
// Who holds what   A block makes TILE_M x TILE_N of d over one slice of K. Its warps stand WARPS_M x WARPS_N; each
// holds its part as 16 x 8 fragments of mma (tile/fragment.cuh). A fragment is 32 bytes of K deep whatever the element:
//
//     128 x 128, 2 x 4 warps        64 x 64, 2 x 2 warps       16 x 64, 1 x 4 warps
//     +----+----+----+----+         +----+----+                +--+--+--+--+
//     | w0 | w1 | w2 | w3 |  64     | w0 | w1 |  32            |w0|w1|w2|w3|  16
//     +----+----+----+----+         +----+----+                +--+--+--+--+
//     | w4 | w5 | w6 | w7 |  64     | w2 | w3 |  32             16 columns each
//     +----+----+----+----+         +----+----+
//        32 columns each             32 columns each      fp8 with groups: 128 x 64, 4 x 2 warps of 32 x 32
//
// Shared memory (bytes)      128x128x64, 3 stages      64x64x64, 4 stages      16x64x128, 4 stages    (K in bytes)
//     a, one stage                   8192                     4096                     2048
//     b, one stage                   8192                     4096                     8192
//     ring of stages                49152                    32768                    40960
//     warps' output stages     16384 of the ring         8192 of the ring         4096 of the ring
//     scales of groups          3072                     2048                     2560        behind the ring, with groups
// 49152 lets two blocks of bytes share a multiprocessor of 100 KB. Tiles are swizzled (tile/swizzle.cuh).
//
// The ring   Tiles of TILE_K bytes of K arrive by cp.async STAGES - 1 ahead. A barrier an iteration says both that the
// tile to be used has arrived for every warp and that the slot to be refilled has been used by every warp. Operands that
// cp.async cannot take (alignment below 4) are copied by the threads themselves, into the same slots.
//
// Numbers   Of bytes, acc is exact while K * max|a| * max|b| < 2^31. Of floats, mma after mma is added to f32 from the
// first K to the last, in every tile alike; slices of K are added in their order (gemm/split_k.cuh). With groups, the part
// of a group is such an acc, and only parts are added.
// Preconditions   M, N >= 1; K bytes < 2^31 - TILE_K, where 0 makes sums of 0; the grid is tiles * split_k blocks for each
// matrix of the batch; k_slice is a multiple of TILE_K (with groups, of 128 too) with split_k * k_slice >= K; with
// split_k > 1, partials hold split_k * TILE_M * TILE_N words a tile, 16-byte aligned, and tickets one zero a tile.
// Floor   sm_80, for mma.m16n8k32 of bytes, mma.m16n8k16 of 16-bit floats and cp.async; sm_89 for mma of fp8.
// Determinism   The same bits under every plan of one k_slice; of bytes without groups, under every plan.
// Tried and lost   Not yet measured on a GPU; benches/README.md has figures of the kernel of bytes that this one replaced.
#pragma once
#include <cstdint>

#include "gemm/epilogue.cuh"
#include "gemm/groups.cuh"
#include "gemm/operand.cuh"
#include "gemm/split_k.cuh"
#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared.cuh"
#include "tile/scheduler.cuh"
#include "tile/stage.cuh"

extern __shared__ __align__(128) unsigned char dynamic_shared[];

namespace gemm {

// What mma multiplies, and what it sums in.
#define HALFBYTE_KIND(name, acc, instruction)                                                                          \
    struct name {                                                                                                      \
        using Acc = acc;                                                                                               \
        __device__ __forceinline__ static void mma(acc (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {    \
            ptx::instruction(d, a, b0, b1);                                                                            \
        }                                                                                                              \
    }
HALFBYTE_KIND(S8, int32_t, mma_m16n8k32_s8);
HALFBYTE_KIND(F16, float, mma_m16n8k16_f16);
HALFBYTE_KIND(Bf16, float, mma_m16n8k16_bf16);
HALFBYTE_KIND(E4m3E4m3, float, mma_m16n8k32_e4m3_e4m3);
HALFBYTE_KIND(E4m3E5m2, float, mma_m16n8k32_e4m3_e5m2);
HALFBYTE_KIND(E5m2E4m3, float, mma_m16n8k32_e5m2_e4m3);
HALFBYTE_KIND(E5m2E5m2, float, mma_m16n8k32_e5m2_e5m2);
#undef HALFBYTE_KIND

// A constant as a type.
template <bool VALUE>
struct Constant {
    static constexpr bool value = VALUE;
};

// One type or another.
template <bool FIRST, class A, class B>
struct Choice {
    using type = A;
};
template <class A, class B>
struct Choice<false, A, B> {
    using type = B;
};

// `base` moved by the `index`-th of matrices `stride` elements apart; null stays null.
template <class T>
__device__ __forceinline__ T* nth(T* base, uint32_t index, int64_t stride) {
    return base ? base + index * stride : base;
}

}  // namespace gemm

template <class Kind, int TILE_M, int TILE_N, int TILE_K, int STAGES, int WARPS_M, int WARPS_N, bool A_K_ALONG = true,
          bool B_K_ALONG = true, bool GROUPS = false>
__device__ __forceinline__ void gemm_mma(const GemmMmaParams& p) {
    using Acc = typename Kind::Acc;
    constexpr int THREADS = WARPS_M * WARPS_N * 32;
    constexpr int WARP_M = TILE_M / WARPS_M, WARP_N = TILE_N / WARPS_N;
    constexpr int FRAGMENTS_M = WARP_M / 16, FRAGMENTS_N = WARP_N / 8;
    constexpr int STEPS_K = TILE_K / 32;
    constexpr uint32_t A_BYTES = TILE_M * TILE_K, B_BYTES = TILE_N * TILE_K, SLOT_BYTES = A_BYTES + B_BYTES;
    using A = gemm::Operand<TILE_M, TILE_K, THREADS, A_K_ALONG>;
    using B = gemm::Operand<TILE_N, TILE_K, THREADS, B_K_ALONG>;
    using Groups = typename gemm::Choice<GROUPS, gemm::Groups<TILE_M, TILE_N, TILE_K, STAGES, THREADS>, gemm::NoGroups>::type;
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
    const A copy_a(static_cast<const int8_t*>(p.a) + place.batch * p.batch_a, p.lda, m, tile_row, tid);
    const B copy_b(static_cast<const int8_t*>(p.b) + place.batch * p.batch_b, p.ldb, n, tile_col, tid);
    const Groups groups(p, place.batch, tile_row, tile_col, ring + STAGES * SLOT_BYTES, tid);
    const uint32_t warp_row = warp / WARPS_N * WARP_M, warp_col = warp % WARPS_N * WARP_N;
    const uint32_t place_a = A::place_a(warp_row, lane), place_b = B::place_b(warp_col, lane);
    Acc acc[FRAGMENTS_M][FRAGMENTS_N][4] = {};
    float sums[FRAGMENTS_M][FRAGMENTS_N][4] = {};  // with groups; acc is then the part of one
    const auto multiply = [&](auto aligned) {
        constexpr bool ALIGNED = decltype(aligned)::value;
        const auto start_copy = [&](uint32_t slot, uint32_t tile_k) {
            if (tile_k < tiles_k) {
                const uint32_t k = k_begin + tile_k * TILE_K;
                copy_a.template start<ALIGNED>(ring + slot * SLOT_BYTES, k, k_end, p.a_unit);
                copy_b.template start<ALIGNED>(ring + slot * SLOT_BYTES + A_BYTES, k, k_end, p.b_unit);
                groups.start(slot, k, k_end);
            }
            ptx::cp_async_commit_group();  // empty past the end, so that groups and tiles stay in step
        };
#pragma unroll(ALIGNED ? STAGES - 1 : 1)
        for (uint32_t s = 0; s < STAGES - 1; ++s) start_copy(s, s);

        uint32_t slot = 0, free_slot = STAGES - 1;
        for (uint32_t tile_k = 0; tile_k < tiles_k; ++tile_k) {
            ptx::cp_async_wait_group<STAGES - 2>();
            __syncthreads();
            start_copy(free_slot, tile_k + STAGES - 1);

            const uint32_t tile_a = ring + slot * SLOT_BYTES, tile_b = tile_a + A_BYTES;
#pragma unroll
            for (uint32_t step = 0; step < STEPS_K; ++step) {
                uint32_t a[FRAGMENTS_M][4], b[FRAGMENTS_N / 2][4];
                A::load(a, tile_a, place_a, step);
                B::load(b, tile_b, place_b, step);
#pragma unroll
                for (int i = 0; i < FRAGMENTS_M; ++i)
#pragma unroll
                    for (int j = 0; j < FRAGMENTS_N; ++j)
                        Kind::mma(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
                if constexpr (GROUPS) {
                    const uint32_t end = k_begin + tile_k * TILE_K + 32 * (step + 1);
                    if (step % 2 == 1 && groups.ends(end, k_end))
                        groups.promote(slot, step / 2, warp_row, warp_col, lane, acc, sums);
                }
            }
            free_slot = slot;
            slot = slot + 1 == STAGES ? 0 : slot + 1;
        }
    };
    // Two loops, so that the one which most products take holds nothing of the other.
    if (p.a_unit == 16 && p.b_unit == 16)
        multiply(gemm::Constant<true>{});
    else
        multiply(gemm::Constant<false>{});

    const auto finish = [&](auto& total) {
        const uint32_t row0 = tile_row + warp_row, col0 = tile_col + warp_col;
        if (split_k > 1) {
            using Partials = gemm::Partials<FRAGMENTS_M, FRAGMENTS_N, THREADS>;
            const Partials partials(p.partials, place.tile, split_k, tid, row0 + lane / 4, m);
            partials.store(place.slice, total);
            if (!gemm::last_to_arrive(static_cast<uint32_t*>(p.tickets) + place.tile, split_k)) return;
            partials.sum(place.slice, split_k, total);
        }

        // The ring is done with: the last groups are empty, and after the barrier no warp reads it.
        __syncthreads();
        const OutputStage stage{ring + warp * OutputStage::BYTES};
        const uint32_t element = p.d_type == gemm::D_F16 || p.d_type == gemm::D_BF16 ? 2 : 4;
        gemm::FullOutput out;
        out.d = static_cast<int8_t*>(p.d) + place.batch * p.batch_d * element;
        out.scale_row = gemm::nth(static_cast<const float*>(p.scale_row), place.batch, p.batch_row);
        out.scale_col = gemm::nth(static_cast<const float*>(p.scale_col), place.batch, p.batch_col);
        out.bias = gemm::nth(static_cast<const float*>(p.bias), place.batch, p.batch_bias);
        out.ldd = p.ldd, out.m = m, out.n = n, out.d_type = p.d_type;
        out.c = gemm::nth(static_cast<const int8_t*>(p.c), place.batch, p.batch_c * element);
        out.zero_row = gemm::nth(static_cast<const int32_t*>(p.zero_row), place.batch, p.batch_row);
        out.column_sums = gemm::nth(static_cast<const int32_t*>(p.column_sums), place.batch, p.batch_sums);
        out.ldc = p.ldc, out.alpha = p.alpha, out.beta = p.beta;
        out.row_step = p.row_step, out.col_step = p.col_step;
        gemm::subtract_zeros(out, row0, col0, lane, total);
        gemm::store_slabs<16, 0>(out, stage, row0, col0, lane, total);
    };
    if constexpr (GROUPS)
        finish(sums);
    else
        finish(acc);
}

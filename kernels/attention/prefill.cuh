// Attention of many queries: out = softmax(scale * Q * K^T, changed and masked) * V, one pass over the keys.
//
// Operands   q  [tokens, heads, head_dim], k  [keys, kv_heads, head_dim], v  [keys, kv_heads, value_dim], out  [tokens, heads,
//            value_dim] of q's type or f32, each with strides by sequence (or page), token and head; a row's elements lie
//            side by side, rows start at multiples of 16 bytes (out of f32: 8). Head sizes are multiples of 8; inside they
//            are padded with zeros to D and DV. Query head h reads the keys of head h / (heads / kv_heads)
//            lse  float [heads, tokens] or null: natural log-sum-exp of a row's scores, its sink too
//            Masks and changes of scores: attention/{window,tree_mask,softcap,alibi,bias,sinks}.cuh; they are applied in the
//            order scale, soft-cap, ALiBi, bias, masks. Lengths: attention/sequence.cuh. Pages: [sequence, index] of a table
//
// Who holds what   A block makes TILE_M rows (attention/place.cuh), a warp 16 or 32 of them with all KEYS keys of a tile, so a
// row's scores stay within four lanes:
//
//     S [TILE_M, 64]             64 rows: 4 warps of 16      128 rows: 4 warps of 32 (head size 64), or 8 of 16 (128)
//     +-----------------+
//     | warp 0          |        registers of a lane: S 32 or 64, O DV / 2 or DV, and Q where D and rows are small
//     | warp 1          |
//     | ...             |
//     +-----------------+
//
// Shared memory (bytes)      Q 2 * TILE_M * D, in the end the output | K 128 * D | V 128 * DV
//     64 x 64, head 128      16384 + 16384 + 16384 = 48 KB: three blocks on 164 KB, two on 100
//     64 x 64, head 256      96 KB
//     128 x 64, head 128     32768 + 16384 + 16384 = 64 KB: one block, by its registers
//
// The pipeline   One tile of K and one of V. Each is on its way while the other is in use:
//
//     wait, barrier | V(t) ->  | S = Q K(t)                | wait, barrier | K(t+1) -> | softmax, O += P V(t) | wait, ...
//                                 K(t) is here, V(t-1) used                 V(t) is here, K(t) used
//
// Numbers   Scores and sums are f32; exponentials are ex2.approx of one fma (attention/state.cuh); P is rounded to q's type
// for its product with V, the sum is of what was not rounded. Output is divided once, at the end, and rounded once.
// Tiles of keys go from the first to the last; those that no row of the block sees are not visited: not read, not multiplied.
// A row with nothing to see gives 0 and -infinity. A NaN in a key or value that is masked, in a tile that is visited, reaches
// the rows that do not see it (0 * NaN); keys past the end are never read.
// Preconditions   tokens and keys below 2^30; scale > 0; pack divides heads / kv_heads; the grid is section-major as
// attention/place.cuh says.
// Floor   sm_80, for mma.m16n8k16, cp.async and bf16.
// Determinism   The same bits for a row under every grid; tiles of 64 and 128 rows differ by nothing in a row's own order
// but by which tiles are visited wholly masked for it, which change nothing.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "attention/alibi.cuh"
#include "attention/bias.cuh"
#include "attention/output.cuh"
#include "attention/place.cuh"
#include "attention/product16.cuh"
#include "attention/rows.cuh"
#include "attention/sinks.cuh"
#include "attention/softcap.cuh"
#include "attention/state.cuh"
#include "attention/tree_mask.cuh"
#include "attention/window.cuh"
#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"

extern __shared__ __align__(128) unsigned char dynamic_shared[];

namespace attention {

// Every change of scores but the scale, for one row's share of a lane; what comes out is in units of log2.
template <class X, int HALF>
__device__ __forceinline__ void change(const AttentionPrefillParams& p, float (&s)[KEYS / 8][4], const Block& block, uint32_t head,
                                       int32_t token, const Window& window, int32_t column) {
    const auto each = [&](auto change) {
#pragma unroll
        for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                float& score = s[j][2 * HALF + e];
                score = change(score, 8 * j + e);
            }
    };
    each([&](float score, int) { return score * p.scale; });
    if (p.softcap > 0.0f) {
        const Softcap softcap = {p.softcap, 2.0f * LOG2_E / p.softcap};
        each([&](float score, int) { return softcap(score); });
    }
    if (p.slopes != nullptr) {
        const Alibi alibi(static_cast<const float*>(p.slopes)[head], window.position(token), column);
        each([&](float score, int at) { return alibi(score, at); });
    }
    if (p.bias != nullptr && token < static_cast<int32_t>(block.queries.length)) {
        const int64_t row = block.sequence * p.bias_batch + head * p.bias_head + token * p.bias_row;
        const Bias<typename X::Number> bias(p.bias, p.flags & BIAS_F32, row, column, window.keys);
        each([&](float score, int at) { return score + bias(at); });
    }
    each([&](float score, int) { return score * LOG2_E; });
}

}  // namespace attention

template <class X, int D, int DV, int TILE_M, int WARPS>
__device__ __forceinline__ void attention_prefill(const AttentionPrefillParams& p) {
    using namespace attention;
    constexpr int THREADS = 32 * WARPS, WARP_M = TILE_M / WARPS, FM = WARP_M / 16;
    using Scores = Scores16<X, D, FM>;
    using Values = Values16<X, DV, FM>;
    using QueryCopy = RowCopy<TILE_M, Scores::ROW_BYTES, THREADS>;
    using KeyCopy = RowCopy<KEYS, Scores::ROW_BYTES, THREADS>;
    using ValueCopy = RowCopy<KEYS, Values::ROW_BYTES, THREADS>;

    Block block;
    if (!block_of<TILE_M>(p, block)) return;
    const uint32_t lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * WARP_M;
    const uint32_t rows = block.queries.length * p.pack, kv_head = block.head / (p.heads / p.kv_heads);
    const uint32_t b = block.sequence;
    // Row r of the block is this query of this head.
    const auto token_of = [&](uint32_t r) { return p.pack == 1 ? block.row + r : (block.row + r) / p.pack; };
    const auto head_of = [&](uint32_t r) { return p.pack == 1 ? block.head : block.head + (block.row + r) % p.pack; };

    const Window window = {static_cast<int32_t>(block.keys.length - block.queries.length), static_cast<int32_t>(p.left),
                           static_cast<int32_t>(p.right), static_cast<int32_t>(p.keep),
                           static_cast<int32_t>(block.keys.length)};
    const Tiles tiles(window, token_of(0), token_of(min(rows - block.row, TILE_M) - 1));
    const TreeMask tree = {p.mask == nullptr ? nullptr : static_cast<const uint32_t*>(p.mask) + b * p.mask_batch, p.mask_row,
                           static_cast<int32_t>(p.mask_columns), window.keys - static_cast<int32_t>(p.mask_columns)};
    const auto bits_of = [&](uint32_t r, int32_t tile) {
        return tree.bits(min(token_of(r), block.queries.length - 1), tile);
    };
    // The first tile from `at` on that a row of the block sees.
    const auto visited_from = [&](int32_t at) {
        for (at = tiles.from(at); at < tiles.end && !tree.silent(at); at = tiles.from(at + 1)) {
            bool seen = false;
            for (uint32_t r = threadIdx.x; r < TILE_M; r += THREADS) seen |= bits_of(r, at) != 0;
            if (__syncthreads_or(seen)) break;
        }
        return at;
    };

    const uint32_t query_tile = ptx::shared_address(dynamic_shared);
    const uint32_t key_tile = query_tile + TILE_M * Scores::ROW_BYTES, value_tile = key_tile + KEYS * Scores::ROW_BYTES;
    const auto at = [](const void* base, int64_t elements) {
        return static_cast<const char*>(base) + elements * static_cast<int64_t>(sizeof(uint16_t));
    };
    const QueryCopy query_copy(p.head_dim * 2);
    const KeyCopy key_copy(p.head_dim * 2);
    const ValueCopy value_copy(p.value_dim * 2);
    const bool paged = p.pages != nullptr;
    KeyRows<THREADS> key_rows = {paged ? static_cast<const uint32_t*>(p.pages) + b * p.pages_row : nullptr,
                                 block.keys.first, block.keys.length, p.page_size, p.page_count, 0, 0, p.status};
    const char* const keys = at(p.k, (paged ? 0 : b * p.k_batch) + kv_head * p.k_head);
    const char* const values = at(p.v, (paged ? 0 : b * p.v_batch) + kv_head * p.v_head);
    const auto start_keys = [&](int32_t tile) {
        key_rows.start(key_copy, key_tile, keys, p.k_token * 2, p.k_batch * 2, tile);
    };

    int32_t tile = visited_from(0);
    if (tile < tiles.end) {
#pragma unroll
        for (int pass = 0; pass < QueryCopy::PASSES; ++pass) {
            const uint32_t r = query_copy.row + pass * QueryCopy::ROWS_PER_PASS;
            const bool there = block.row + r < rows;
            const int64_t token = block.queries.first + token_of(r);
            query_copy.start(query_tile, pass,
                             at(p.q, there ? b * p.q_batch + token * p.q_token + head_of(r) * p.q_head : 0), there);
        }
        key_rows.look_up(tile);
        start_keys(tile);
    }
    ptx::cp_async_commit_group();

    const bool changed = p.softcap > 0.0f || p.slopes != nullptr || p.bias != nullptr;
    const float unit = changed ? 1.0f : p.scale * LOG2_E;
    State state[FM][2];
    float o[FM][DV / 8][4] = {};
#pragma unroll
    for (int i = 0; i < FM; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half)
            state[i][half] =
                p.sinks == nullptr
                    ? State::neutral()
                    : of_sink(static_cast<const float*>(p.sinks)[head_of(warp_row + 16 * i + 8 * half + lane / 4)], unit, lane);

    Scores scores(query_tile + warp_row * Scores::ROW_BYTES, lane);
    const Values product(lane);
    bool first = true;
    while (tile < tiles.end) {
        ptx::cp_async_wait_group<0>();
        __syncthreads();
        if (first) scores.begin();
        first = false;
        key_rows.start(value_copy, value_tile, values, p.v_token * 2, p.v_batch * 2, tile);
        ptx::cp_async_commit_group();
        const int32_t next = visited_from(tile + 1);
        if (next < tiles.end) key_rows.look_up(next);

        float s[FM][KEYS / 8][4];
        scores(s, key_tile);
        ptx::cp_async_wait_group<0>();
        __syncthreads();
        if (next < tiles.end) start_keys(next);
        ptx::cp_async_commit_group();

        const bool whole = tiles.whole(tile), silent = tree.silent(tile);
        const int32_t column = tile * KEYS + lane % 4 * 2;
        const auto merge = [&](auto half, int i) {
            constexpr int HALF = decltype(half)::value;
            const uint32_t r = warp_row + 16 * i + 8 * HALF + lane / 4;
            const int32_t token = token_of(r);
            if (changed) change<X, HALF>(p, s[i], block, head_of(r), token, window, column);
            if (!whole) window.mask<HALF>(s[i], token, column);
            if (!silent) TreeMask::mask<HALF>(s[i], bits_of(r, tile), lane % 4 * 2);
            const float factor = state[i][HALF].template merge<HALF>(s[i], unit);
#pragma unroll
            for (int j = 0; j < DV / 8; ++j) o[i][j][2 * HALF] *= factor, o[i][j][2 * HALF + 1] *= factor;
        };
#pragma unroll
        for (int i = 0; i < FM; ++i) {
            merge(RowHalf<0>{}, i);
            merge(RowHalf<1>{}, i);
        }
        product(o, s, value_tile);
        tile = next;
    }

    float inverse[FM][2];
#pragma unroll
    for (int i = 0; i < FM; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const uint32_t r = warp_row + 16 * i + 8 * half + lane / 4;
            state[i][half].gather();
            inverse[i][half] = state[i][half].inverse();
            if (p.lse != nullptr && lane % 4 == 0 && block.row + r < rows)
                static_cast<float*>(p.lse)[b * p.lse_batch + head_of(r) * p.lse_head + block.queries.first + token_of(r)] =
                    state[i][half].log_sum_exp(unit);
        }
    // The stage lies over the queries, which nobody reads any more since the last tile's second barrier.
    static_assert(DV <= D, "rows of the output fit where queries were");
    const uint32_t size = p.flags & OUT_F32 ? 4 : 2;
    store_rows<X, WARP_M>(o, inverse, query_tile + warp_row * Values::ROW_BYTES, p.value_dim, p.flags & OUT_F32,
                          [&](uint32_t r) -> char* {
                              if (block.row + warp_row + r >= rows) return nullptr;
                              const int64_t token = block.queries.first + token_of(warp_row + r);
                              return static_cast<char*>(p.out) +
                                     (b * p.o_batch + token * p.o_token + head_of(warp_row + r) * p.o_head) * size;
                          });
}

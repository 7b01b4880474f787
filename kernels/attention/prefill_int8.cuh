// Attention with scores from signed bytes and values in 16 bits, or in 8 (e4m3):
//
//     s(i, j) = scale * (q_scale[i] * k_scale[j] * sum_c q8[i, c] * k8[j, c] + shift[i])
//     softcap : s = cap * tanh(s / cap)    slope : s -= slope[h] * |p - j|, p = i + keys - queries    bias : s += bias[i, j]
//     out[i]  = sum_visible exp(s) v[j] / D      lse[i] = ln D      D = sum_visible exp(s) + exp(sink[h])
//
// K was quantized less its mean over the keys, and shift is q times that mean (quantize_heads). Softmax does not see a
// number that all scores of a query share: it is added to the log-sum-exp, taken from the sink, and put on the scores
// only where a soft cap bends them.
//
// Operands   q_codes, k_codes   int8 rows of D bytes, and their scales and shifts by position, as quantize_heads leaves them
//            v       f16 or bf16, rows of value_dim numbers by strides of batch, token and head in elements, any alignment;
//                    or e4m3 as quantize_values leaves them, with v_scales
//            out     f16 or bf16 (out_type), rows by strides; lse f32 by strides of batch and head, tokens side by side, or null
//            sinks, slopes   f32 [heads], or null; bias   f32 (attention/bias.cuh), or null; mask   (attention/tree_mask.cuh), or null
//            visible: j < keys, p - left <= j <= p + right, or j < keep_first and j <= p + right; and a bit of the mask
//
// Who does what   A block takes 64 queries of one head, a warp 16 of them with all channels, and walks the keys that one of
// its queries sees 64 at a time. With g = lane / 4, t = lane % 4, a lane holds
//
//     scores    rows g, g + 8, keys 8n + 2t, 8n + 2t + 1 of every n: they are the A operand of the product by V as they
//               stand, of 16 keys (m16n8k16), or of 32 in the order of quantize_values (m16n8k32)
//     output    the same rows, channels 8n + 2t, 8n + 2t + 1
//
// Shared memory (dynamic)   K      64 * D bytes          panels of 32 bytes of all keys
//                           V      64 * D * 2, or D * 64  panels of 32 channels of all keys; rows of 64 keys
//                           scales 256                    of the 64 keys
//                           Q      64 * D                 D = 256: 16 bytes of each thread and step
// K of the next keys comes while the product by V runs, V while the scores are made. The output goes through the same
// memory. All is swizzled so that no access meets a bank twice.
//
// Numbers   Scores are exact integers: they are summed from 12582912 = 1.5 * 2^23 on, whose bits as an f32 are those of
// the sum + 12582912 (|sum| <= 256 * 127^2 < 2^22), so nothing is converted. Then f32, base 2: times k_scale, times q_scale * scale *
// log2 e. P is rounded to the type of v, or, times 256, to e4m3; its sum is of the f32. 8-bit products of 64 keys are added up by
// themselves and then to the f32 sum.
// Preconditions   64 <= D, the width of the codes; value_dim a multiple of 8 up to D; tokens < 2^30; left, right at most 2^30;
// blocks are q_tiles (queries / 64 upwards) * heads * batch.
// Floor   sm_80; sm_89 with 8-bit values.
// Determinism   The same bits in every run: keys in their order.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "attention/alibi.cuh"
#include "attention/bias.cuh"
#include "attention/int8_tiles.cuh"
#include "attention/product16.cuh"
#include "attention/softcap.cuh"
#include "attention/state.cuh"
#include "attention/tokens.cuh"
#include "attention/tree_mask.cuh"
#include "attention/window.cuh"
#include "params.cuh"
#include "ptx/approx.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/cvt_fp8.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared.cuh"

extern __shared__ __align__(128) unsigned char dynamic_shared[];

namespace attention {

// 1.5 * 2^23 as an integer's bits.
constexpr int32_t MAGIC = 0x4B400000;

// 8-bit values.
struct E4m3 {};

template <class V>
constexpr bool BYTES = false;
template <>
constexpr bool BYTES<E4m3> = true;

}  // namespace attention

template <class V, int D>
__device__ __forceinline__ void prefill_int8(const PrefillInt8Params& p) {
    using namespace attention;
    constexpr bool FP8 = BYTES<V>;
    constexpr int STEPS = D / 32, PAIRS = D / 16;
    constexpr int UP = FP8 ? 8 : 0;
    // The codes of q stay in registers, but where these do not suffice: then each thread keeps its own in shared memory.
    constexpr bool HELD = D < 256;
    using Memory = Int8Tiles<D, FP8>;
    const uint32_t tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
    const uint32_t item = blockIdx.x / p.q_tiles, h = item % p.heads, b = item / p.heads, kv = h / (p.heads / p.kv_heads);
    // The last queries see most keys where they see none after them: they begin first.
    const uint32_t first = (p.q_tiles - 1 - blockIdx.x % p.q_tiles) * QUERIES;
    const Tokens q = tokens(p.q_cu, nullptr, b, p.queries, p.q_total), k = tokens(p.k_cu, p.k_lens, b, p.keys, p.k_total);
    if (first >= q.count) return;

    const Window window = {static_cast<int32_t>(k.count - q.count), static_cast<int32_t>(p.left), static_cast<int32_t>(p.right),
                           static_cast<int32_t>(p.keep_first), static_cast<int32_t>(k.count)};
    const Tiles tiles(window, first, min(first + QUERIES, q.count) - 1);
    const TreeMask tree = {p.mask == nullptr ? nullptr : static_cast<const uint32_t*>(p.mask) + b * p.mask_batch, p.mask_row,
                           static_cast<int32_t>(p.mask_columns), window.keys - static_cast<int32_t>(p.mask_columns)};
    const auto bits_of = [&](uint32_t i, int32_t tile) { return tree.bits(min(i, q.count - 1), tile); };
    // The first tile from `at` on that a query of the block sees.
    const auto visited_from = [&](int32_t at) {
        for (at = tiles.from(at); at < tiles.end && !tree.silent(at); at = tiles.from(at + 1))
            if (__syncthreads_or(tid < QUERIES && bits_of(first + tid, at) != 0)) break;
        return at;
    };

    const bool packed_q = p.q_cu != nullptr, packed_k = p.k_cu != nullptr;
    const uint64_t q_scale_row = (packed_q ? h : static_cast<uint64_t>(b) * p.heads + h) * p.q_pitch + q.position;
    const int32_t row = static_cast<int32_t>(first + warp * 16 + lane / 4);
    const float* const q_scales = static_cast<const float*>(p.q_scales) + q_scale_row;
    // What the scores of a row lack. Read where it is needed: it would cost registers meanwhile.
    const auto lacks = [&](int r) {
        const uint32_t i = row + 8 * r;
        const auto* const shifts = static_cast<const float*>(p.shift);
        return shifts != nullptr && i < q.count ? shifts[q_scale_row + i] * p.scale : 0.0f;
    };
    const auto* codes = static_cast<const uint8_t*>(p.q_codes) +
                        ((packed_q ? q.begin : static_cast<uint64_t>(b) * p.queries) * p.heads + h) * D + lane % 4 * 4;
    auto* const held = reinterpret_cast<uint4*>(dynamic_shared + Memory::BYTES) + tid;
    float factor[2];  // of a row: what makes scores of base 2
    uint32_t a[HELD ? STEPS : 1][4];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        const uint32_t i = row + 8 * r;
        factor[r] = i < q.count ? q_scales[i] * (p.scale * LOG2_E) : 0.0f;
    }
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
        uint32_t of[4];
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            const uint32_t i = row + e % 2 * 8;
            const uint64_t at = static_cast<uint64_t>(i) * p.heads * D + 32 * step + e / 2 * 16;
            of[e] = i < q.count ? *reinterpret_cast<const uint32_t*>(codes + at) : 0;
        }
        if constexpr (HELD) {
#pragma unroll
            for (int e = 0; e < 4; ++e) a[step][e] = of[e];
        } else {
            held[step * PREFILL_THREADS] = make_uint4(of[0], of[1], of[2], of[3]);
        }
    }

    const Memory memory(p, b, kv, k, packed_k, ptx::shared_address(dynamic_shared), tid);
    float out[2 * PAIRS][4] = {};
    State state[2] = {State::neutral(), State::neutral()};
    int32_t tile = visited_from(0);
    if (tile < tiles.end) memory.start_keys(tile);
    ptx::cp_async_commit_group();
    while (tile < tiles.end) {
        ptx::cp_async_wait_group<0>();
        __syncthreads();  // the keys are there, and every warp has used the values before
        memory.start_values(tile);
        ptx::cp_async_commit_group();

        int32_t sums[8][4];
        float s[8][4], alpha[2];
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[n][e] = MAGIC;
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            uint32_t rows[4];
            if constexpr (!HELD) {
                const uint4 of = held[step * PREFILL_THREADS];
                rows[0] = of.x, rows[1] = of.y, rows[2] = of.z, rows[3] = of.w;
            }
            const uint32_t(&q_codes)[4] = HELD ? a[HELD ? step : 0] : rows;
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                uint32_t keys[4];
                memory.keys(keys, lane, n, step);
                ptx::mma_m16n8k32_s8(sums[n], q_codes, keys[0], keys[1]);
                ptx::mma_m16n8k32_s8(sums[n + 1], q_codes, keys[2], keys[3]);
            }
        }
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            float scale[2];
            memory.scales(scale, lane, n);
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                s[n][e] = (__int_as_float(sums[n][e]) - __int_as_float(MAGIC)) * scale[e % 2] * factor[e / 2];
            }
        }
        const int32_t column = tile * KEYS + lane % 4 * 2;
        if (p.softcap > 0.0f) {
            const Softcap softcap = {p.softcap, 2.0f * LOG2_E / p.softcap};
            const float lack[2] = {lacks(0), lacks(1)};
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int e = 0; e < 4; ++e) s[n][e] = LOG2_E * softcap(fmaf(s[n][e], LN_2, lack[e / 2]));
        }
        if (p.slopes != nullptr) {
            const float slope = static_cast<const float*>(p.slopes)[h] * LOG2_E;
            const Alibi alibi[2] = {{slope, window.position(row), column}, {slope, window.position(row + 8), column}};
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int e = 0; e < 4; ++e) s[n][e] = alibi[e / 2](s[n][e], 8 * n + e % 2);
        }
        if (p.bias != nullptr) {
#pragma unroll
            for (int r = 0; r < 2; ++r) {
                const int32_t i = row + 8 * r;
                if (i >= static_cast<int32_t>(q.count)) continue;
                const int64_t at = b * p.bias_batch + h * p.bias_head + i * p.bias_row;
                const Bias<format::F32> bias(p.bias, true, at, column, window.keys);
#pragma unroll
                for (int n = 0; n < 8; ++n)
#pragma unroll
                    for (int e = 0; e < 2; ++e) s[n][2 * r + e] = fmaf(bias(8 * n + e), LOG2_E, s[n][2 * r + e]);
            }
        }
        // Asked of the warp's own rows: to keep what a block knows would cost registers.
        const int32_t above = row - static_cast<int32_t>(lane / 4);
        if (tile * KEYS < window.first(above + 15) || tile * KEYS + KEYS > window.last(above) + 1) {
            window.mask<0>(s, row, column);
            window.mask<1>(s, row + 8, column);
        }
        if (!tree.silent(tile)) {
            TreeMask::mask<0>(s, bits_of(row, tile), lane % 4 * 2);
            TreeMask::mask<1>(s, bits_of(row + 8, tile), lane % 4 * 2);
        }
        alpha[0] = state[0].template merge<0, UP>(s, 1.0f);
        alpha[1] = state[1].template merge<1, UP>(s, 1.0f);

        ptx::cp_async_wait_group<0>();
        __syncthreads();  // the values are there, and every warp has used the keys
        const int32_t next = visited_from(tile + 1);
        if (next < tiles.end) memory.start_keys(next);
        ptx::cp_async_commit_group();

        if constexpr (FP8) {
            uint32_t prob[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    const int n = 4 * i + e / 2 * 2, r = e % 2 * 2;
                    prob[i][e] = ptx::cvt_rn_satfinite_e4m3x2(s[n][r], s[n][r + 1]) |
                                 ptx::cvt_rn_satfinite_e4m3x2(s[n + 1][r], s[n + 1][r + 1]) << 16;
                }
#pragma unroll
            for (int c = 0; c < PAIRS; ++c) {
                if (16 * c >= p.value_dim) continue;
                float part[2][4] = {};
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    uint32_t v[4];
                    memory.values(v, lane, c, i);
                    ptx::mma_m16n8k32_e4m3_e4m3(part[0], prob[i], v[0], v[1]);
                    ptx::mma_m16n8k32_e4m3_e4m3(part[1], prob[i], v[2], v[3]);
                }
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    out[2 * c][e] = fmaf(out[2 * c][e], alpha[e / 2], part[0][e]);
                    out[2 * c + 1][e] = fmaf(out[2 * c + 1][e], alpha[e / 2], part[1][e]);
                }
            }
        } else {
#pragma unroll
            for (int n = 0; n < 2 * PAIRS; ++n)
#pragma unroll
                for (int e = 0; e < 4; ++e) out[n][e] *= alpha[e / 2];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const uint32_t prob[4] = {V::pack(s[2 * i][0], s[2 * i][1]), V::pack(s[2 * i][2], s[2 * i][3]),
                                          V::pack(s[2 * i + 1][0], s[2 * i + 1][1]),
                                          V::pack(s[2 * i + 1][2], s[2 * i + 1][3])};
#pragma unroll
                for (int c = 0; c < PAIRS; ++c) {
                    if (16 * c >= p.value_dim) continue;
                    uint32_t v[4];
                    memory.values(v, lane, c, i);
                    V::mma(out[2 * c], prob, v[0], v[1]);
                    V::mma(out[2 * c + 1], prob, v[2], v[3]);
                }
            }
        }
        tile = next;
    }

    // Everything is over the same sum, to which the sink belongs; the shift is back in the logarithm.
    const bool bent = p.softcap > 0.0f;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        state[r].gather();
        // What a row lacks may be no number; one that has seen nothing lacks nothing.
        const float lack = bent || state[r].sum == 0.0f ? 0.0f : lacks(r);
        float alpha = 1.0f;
        if (p.sinks != nullptr) {
            // As large as probabilities are: a sum of 2^UP.
            const float sink = (static_cast<const float*>(p.sinks)[h] - lack) * LOG2_E;
            const float most = fmaxf(state[r].max, sink), base = most == minus_infinity() ? 0.0f : most;
            alpha = ptx::ex2(state[r].max - base);
            state[r] = {most, fmaf(state[r].sum, alpha, ptx::ex2(sink - base + UP))};
        }
        inverse[r] = state[r].inverse() * alpha;
        const uint32_t i = row + 8 * r;
        if (p.lse != nullptr && lane % 4 == 0 && i < q.count) {
            const float lse = state[r].log_sum_exp(1.0f) + (lack - UP * LN_2);
            static_cast<float*>(p.lse)[q.batch * p.lse_batch + h * p.lse_head + q.begin + i] = lse;
        }
    }
    __syncthreads();  // no warp reads keys or values any more
    const Int8Output<D> store(p, b, h, q, first + warp * 16, ptx::shared_address(dynamic_shared) + warp * 32 * D);
#pragma unroll
    for (int n = 0; n < 2 * PAIRS; ++n) {
        if (8 * n >= p.value_dim) continue;
        float scale[2] = {1.0f, 1.0f};
        if constexpr (FP8) {
            const float* const from = static_cast<const float*>(p.v_scales) +
                                      (static_cast<uint64_t>(b) * p.kv_heads + kv) * p.value_dim + 8 * n + lane % 4 * 2;
            scale[0] = from[0], scale[1] = from[1];
        }
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const float low = out[n][2 * r] * inverse[r] * scale[0], high = out[n][2 * r + 1] * inverse[r] * scale[1];
            store.put(lane, n, r, p.out_type == 2 ? ptx::cvt_rn_bf16x2(low, high) : ptx::cvt_rn_f16x2(low, high));
        }
    }
    __syncwarp();
    store.write(lane, p.value_dim);
}

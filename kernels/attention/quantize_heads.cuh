// Rows of Q and K to signed bytes with a scale for each token and head, in one launch; K less its mean over the keys,
// which changes every score of a query by the same number, and that number for each query:
//
//     q8, scale_q from q[i, h, :]                       scale = largest / 127, code = clamp(rne(x / scale), +-127)
//     k8, scale_k from k[j, h, :] - mean[h, :]          the same
//     shift[i, h] = sum_c q[i, h, c] * mean[h / group, c]
//
// Operands   q, k      f16 or bf16, rows of `dim` numbers (a multiple of 8) by strides of batch, token and head, in
//                      elements, any alignment an element has; with q_tiles or k_tiles 0 not used
//            mean      f32 [batch, kv_heads, dim], or null: then as if it were 0
//            q_codes   int8 [batch * queries, heads, width] or packed [q_total, heads, width], 16-byte aligned; width is
//                      a multiple of 32, columns from dim on become zero. k_codes alike
//            q_scales  f32 [batch, heads, q_pitch] or packed [heads, q_pitch], tokens by position (tokens.cuh); shift and
//                      k_scales alike; shift may be null
//            q_cu, k_cu, k_lens   tokens.cuh
//            status    one word or null; bit 0 is set when a number is a NaN or an infinity, a difference from the mean
//                      too, bit 1 when a length is cut (sequence.cuh)
//
// Who does what   A block takes 32 tokens of one head of one sequence. `lanes` lanes, a power of two, share a row: each 8
// channels, its mean in registers for all tokens. The scales of the 32 tokens leave together.
//
// Shared memory   64 words, static: scales and shifts.
// Numbers   One subtraction in f32, rounded; then as code.cuh says (true division, no flush). A row with a NaN or an
// infinity has scale NaN and codes 0, a zero row scale 0 and codes 0. A shift is 8 fma in order a lane, then lanes by
// xor of 1, 2, 4, ..: 0 where the mean is null.
// Preconditions   1 <= batch, heads, kv_heads, a divisor of heads; dim a multiple of 8 up to 256; lanes >= width / 8;
// q_tiles, k_tiles are the tokens of a sequence / 32, upwards; blocks are batch * (heads * q_tiles + kv_heads * k_tiles).
// What lies beyond a sequence's tokens is not written.
// Floor   sm_80, that of this crate.
// Determinism   The same bits on every architecture.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "eight.cuh"
#include "format/floats.cuh"
#include "params.cuh"
#include "quantize/code.cuh"
#include "tokens.cuh"

namespace attention {

constexpr uint32_t HEAD_TOKENS = 32;  // of a block

// One of the two tensors: where it is and where its codes go.
struct Heads {
    const void* x;
    int64_t batch, token, head;
    void* codes;
    float* scales;
    float* shift;  // or null
    const void* cu_seqlens;
    const void* lens;
    uint32_t heads, most, total, pitch;
};

template <class X, int THREADS>
__device__ __forceinline__ void heads(const QuantizeHeadsParams& p, const Heads& of, bool smooth, uint32_t b, uint32_t h,
                                      uint32_t tile) {
    using Bits = typename X::Bits;
    __shared__ float scales[HEAD_TOKENS], shifts[HEAD_TOKENS];
    const uint32_t tid = threadIdx.x, lane = tid % p.lanes, c = 8 * lane, rows = THREADS / p.lanes;
    const Tokens tokens = attention::tokens(of.cu_seqlens, of.lens, b, of.most, of.total);
    const uint32_t first = tile * HEAD_TOKENS;
    if (tokens.bad && tile == 0 && tid == 0) raise(p.status, BAD_LENGTH);
    if (first >= tokens.count) return;
    const uint32_t count = min(HEAD_TOKENS, tokens.count - first);
    const bool packed = of.cu_seqlens != nullptr, whole = aligned<X>(of.x, of.batch, of.token, of.head);
    const bool inside = c < p.dim;

    alignas(16) float mean[8] = {};
    if (p.mean != nullptr && inside) {
        const uint32_t kv = h / (of.heads / p.kv_heads);
        const float* const from = static_cast<const float*>(p.mean) + (b * p.kv_heads + kv) * p.dim + c;
        if ((reinterpret_cast<uint64_t>(p.mean) & 15) == 0) {
            *reinterpret_cast<float4*>(mean) = reinterpret_cast<const float4*>(from)[0];
            *reinterpret_cast<float4*>(mean + 4) = reinterpret_cast<const float4*>(from)[1];
        } else {
#pragma unroll
            for (uint32_t i = 0; i < 8; ++i) mean[i] = from[i];
        }
    }
    const Bits* const x =
        static_cast<const Bits*>(of.x) + tokens.batch * of.batch + h * of.head + (tokens.begin + first) * of.token + c;
    const uint64_t start = (packed ? tokens.begin : static_cast<uint64_t>(b) * of.most) + first;
    int8_t* const codes = static_cast<int8_t*>(of.codes) + (start * of.heads + h) * p.width + c;

    for (uint32_t row = tid / p.lanes; row < HEAD_TOKENS; row += rows) {
        quantize::Vector<X> values;
        values.raw = make_uint4(0, 0, 0, 0);
        if (row < count && inside) values = eight<X>(x + row * of.token, whole);
        float v[8], shift = 0.0f;
        uint32_t seen[1];
        quantize::S8::start(seen);
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) {
            v[i] = X::load(values.bits[i]);
            if (smooth) v[i] = __fsub_rn(v[i], mean[i]);
            quantize::S8::see(seen, v[i]);
            shift = fmaf(v[i], mean[i], shift);
        }
        for (uint32_t apart = 1; apart < p.lanes; apart *= 2) {
            seen[0] = max(seen[0], __shfl_xor_sync(0xffffffff, seen[0], apart));
            shift = __fadd_rn(shift, __shfl_xor_sync(0xffffffff, shift, apart));
        }
        const quantize::Scale scale = quantize::S8::scale(seen);
        if (row < count && c < p.width) {
            uint32_t words[2] = {0, 0};
            if (scale.scale > 0.0f) quantize::pack<quantize::S8>(words, v, scale);
            quantize::store_words(codes + static_cast<uint64_t>(row) * of.heads * p.width, words);
        }
        if (lane == 0) {
            scales[row] = scale.scale;
            shifts[row] = shift;
        }
    }
    __syncthreads();
    if (tid >= count) return;
    const uint64_t at = (packed ? h : static_cast<uint64_t>(b) * of.heads + h) * of.pitch + tokens.position + first + tid;
    const float scale = scales[tid];
    of.scales[at] = scale;
    if (of.shift != nullptr) of.shift[at] = shifts[tid];
    if (scale != scale && p.status != nullptr) atomicOr(static_cast<uint32_t*>(p.status), 1u);
}

}  // namespace attention

template <class X, int THREADS>
__device__ __forceinline__ void quantize_heads(const QuantizeHeadsParams& p) {
    const uint32_t queries = p.batch * p.heads * p.q_tiles;
    if (blockIdx.x < queries) {
        const attention::Heads of{p.q, p.q_batch, p.q_token, p.q_head, p.q_codes, static_cast<float*>(p.q_scales),
                                  static_cast<float*>(p.shift), p.q_cu, nullptr, p.heads, p.queries, p.q_total, p.q_pitch};
        const uint32_t item = blockIdx.x / p.q_tiles;
        attention::heads<X, THREADS>(p, of, false, item / p.heads, item % p.heads, blockIdx.x % p.q_tiles);
    } else {
        const attention::Heads of{p.k, p.k_batch, p.k_token, p.k_head, p.k_codes, static_cast<float*>(p.k_scales),
                                  nullptr, p.k_cu, p.k_lens, p.kv_heads, p.keys, p.k_total, p.k_pitch};
        const uint32_t block = blockIdx.x - queries, item = block / p.k_tiles;
        attention::heads<X, THREADS>(p, of, true, item / p.kv_heads, item % p.kv_heads, block % p.k_tiles);
    }
}

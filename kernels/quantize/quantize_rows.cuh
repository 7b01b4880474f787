// Rows of floats to rows of bytes with one scale each, and for S8Zero a zero point each (code.cuh has the rules):
//
//     v[m, k] = x[m, k] * factor[k]        scale[m] from all v[m, .]        code[m, k] from v[m, k] / scale[m]
//
// Operands   x       [rows, cols] f32, f16 or bf16, row stride ldx elements; any alignment an element has
//            codes   [rows, ldc] bytes, 16-byte aligned, ldc a multiple of 16; columns cols..ldc become zero
//            scales  [rows] f32
//            zeros   [rows] int32, or null; of S8Zero
//            factors [cols] f32, or null: then v is x
//            status  one word or null; bit 0 is set when v holds a NaN or an infinity
//
// Who does what   A block takes row blockIdx.x, then every gridDim.x-th. Its threads walk the row side by side, 16
// bytes of x each when all rows of x are 16-byte aligned, else one element each:
//
//     |t0 |t1 |t2 | ... |t255|t0 |t1 | ... | tail: an element each |
//
// First walk: what the scale must know, by a redux in each warp and a word a warp in shared memory. Second: the codes.
//
// Shared memory   row     cached ? cols rounded up to 16 bytes : 0     dynamic, the row as it was stored
//                 warps   THREADS / 32 words (S8Zero: twice)           static
// `cached` reads x once; without it x is read twice and a row may be as long as one likes. Factors are read twice.
//
// Numbers   v is one product, rounded; scales and codes are as code.cuh says (-fmad=false, no flush). A scale of 0 (all
// zero, or so small that the division gives 0) makes a zero row with zero point 0. A row with a NaN or an infinity gets
// scale NaN, zero point 0 and codes 0. -0 counts as 0; as an 8-bit float it stays -0.
// Preconditions   1 <= rows; cols, ldc < 2^31; if cached, the launch gives cols elements of dynamic shared memory,
// rounded up to 16 bytes.
// Floor   sm_80, for redux.sync; sm_89 for 8-bit floats, for cvt.
// Determinism   The same bits for every grid, for cached or not, on every architecture: a maximum has no order.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "code.cuh"
#include "format/floats.cuh"
#include "params.cuh"
#include "vector.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace quantize {

// The largest of all threads' values, word by word, in every thread. A barrier must follow before the next call.
template <int THREADS, int WORDS>
__device__ __forceinline__ void block_max(uint32_t (&value)[WORDS]) {
    __shared__ uint32_t warps[WORDS][THREADS / 32];
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        const uint32_t warp_max = __reduce_max_sync(0xffffffff, value[i]);
        if (threadIdx.x % 32 == 0) warps[i][threadIdx.x / 32] = warp_max;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        value[i] = warps[i][0];
#pragma unroll
        for (int w = 1; w < THREADS / 32; ++w) value[i] = max(value[i], warps[i][w]);
    }
}

// With factors or without: the loops over a row stay free of the question.
template <class X, class Code, int THREADS, bool FACTORS>
__device__ __forceinline__ void rows(const QuantizeRowsParams& p) {
    using Bits = typename X::Bits;
    constexpr uint32_t VALUES = Vector<X>::VALUES;

    const auto* x = static_cast<const Bits*>(p.x);
    const auto* factors = FACTORS ? static_cast<const float*>(p.factors) : nullptr;
    auto* codes = static_cast<int8_t*>(p.codes);
    auto* scales = static_cast<float*>(p.scales);
    auto* zeros = static_cast<int32_t*>(p.zeros);
    auto* status = static_cast<uint32_t*>(p.status);
    Bits* const cache = reinterpret_cast<Bits*>(dynamic_shared);

    const uint32_t tid = threadIdx.x;
    const uint32_t cols = p.cols, codes_end = static_cast<uint32_t>(p.ldc);
    const uint32_t vectors = aligned_rows<X>(x, p.ldx) ? cols / VALUES : 0;  // of a row, read whole
    const bool cached = p.cached != 0;

    for (uint64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const Bits* const from = x + row * p.ldx;
        int8_t* const to = codes + row * p.ldc;

        uint32_t seen[Code::WORDS];
        Code::start(seen);
        for (uint32_t v = tid; v < vectors; v += THREADS) {
            Vector<X> values;
            values.raw = reinterpret_cast<const uint4*>(from)[v];
            float of[VALUES];
            numbers<X>(of, values, factors, v * VALUES, cols);
#pragma unroll
            for (uint32_t i = 0; i < VALUES; ++i) Code::see(seen, of[i]);
            if (cached) reinterpret_cast<uint4*>(cache)[v] = values.raw;
        }
        for (uint32_t c = vectors * VALUES + tid; c < cols; c += THREADS) {
            const Bits bits = from[c];
            Code::see(seen, number<X>(bits, factors, c));
            if (cached) cache[c] = bits;
        }
        const uint32_t cached_end = (cols + VALUES - 1) / VALUES * VALUES;
        if (cached && cols + tid < cached_end) cache[cols + tid] = 0;

        block_max<THREADS>(seen);  // its barrier also completes the cache
        const Scale scale = Code::scale(seen);
        if (tid == 0) {
            scales[row] = scale.scale;
            if (zeros != nullptr) zeros[row] = scale.zero;
            if (scale.scale != scale.scale && status != nullptr) atomicOr(status, 1u);
        }

        // Codes of whole vectors come from the cache or from x; of a last one that is not whole too, from the cache,
        // where its padding becomes 0. Past them from x, or they are zero. A NaN scale is not above zero.
        const uint32_t whole = Code::PADDED ? cached_end / VALUES : cols / VALUES;
        const uint32_t coded = !(scale.scale > 0.0f) ? 0 : cached ? whole : vectors;
        for (uint32_t v = tid; v < coded; v += THREADS) {
            Vector<X> values;
            values.raw = (cached ? reinterpret_cast<const uint4*>(cache) : reinterpret_cast<const uint4*>(from))[v];
            float of[VALUES];
            uint32_t words[VALUES / 4];
            numbers<X>(of, values, factors, v * VALUES, cols);
            pack<Code>(words, of, scale);
            store_words(to + v * VALUES, words);
        }
        for (uint32_t c = coded * VALUES + tid; c < codes_end; c += THREADS) {
            const bool inside = c < cols && scale.scale > 0.0f;
            to[c] = inside ? static_cast<int8_t>(Code::byte(number<X>(from[c], factors, c), scale)) : 0;
        }
        __syncthreads();  // the cache and block_max's words may be written again
    }
}

}  // namespace quantize

template <class X, class Code, int THREADS>
__device__ __forceinline__ void quantize_rows(const QuantizeRowsParams& p) {
    if (p.factors != nullptr) {
        quantize::rows<X, Code, THREADS, true>(p);
    } else {
        quantize::rows<X, Code, THREADS, false>(p);
    }
}

// Rows of floats to rows of signed bytes with one scale each:
//
//     scale[m] = max_k |x[m, k]| / 127          code[m, k] = clamp(round(x[m, k] / scale[m]), -127, 127)
//
// Operands   x       [rows, cols] f32, f16 or bf16, row stride ldx elements; any alignment an element has
//            codes   [rows, ldc] int8, 16-byte aligned, ldc a multiple of 16; columns cols..ldc become zero
//            scales  [rows] f32
//            status  one word or null; bit 0 is set when x holds a NaN or an infinity
//
// Who does what   A block takes row blockIdx.x, then every gridDim.x-th. Its threads walk the row side by side, 16
// bytes of x each when all rows of x are 16-byte aligned, else one element each:
//
//     |t0 |t1 |t2 | ... |t255|t0 |t1 | ... | tail: an element each |
//
// First walk: the largest |x|, by a redux in each warp and one word a warp in shared memory. Second walk: the codes.
//
// Shared memory   row     cached ? cols rounded up to 16 bytes : 0     dynamic, the row as it was stored
//                 warps   THREADS / 32 words                           static
// `cached` reads x once; without it x is read twice and a row may be as long as one likes.
//
// Numbers   The division by 127, the divisions x / scale and the rounding of the code are IEEE, to nearest, ties to
// even, subnormals kept (-fmad=false, no flush). A scale of 0 (all zero, or so small that the division gives 0) makes
// a zero row. A row with a NaN or an infinity gets scale NaN and codes 0. -0 counts as 0.
// Preconditions   1 <= rows; cols, ldc < 2^31; if cached, the launch gives cols elements of dynamic shared memory,
// rounded up to 16 bytes.
// Floor   sm_80, for redux.sync.
// Determinism   The same bits for every grid, for cached or not, on every architecture: a maximum has no order.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "format/floats.cuh"
#include "params.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace quantize {

// 16 bytes of x, as VALUES elements.
template <class X>
struct Vector {
    static constexpr int VALUES = 16 / sizeof(typename X::Bits);
    union {
        uint4 raw;
        typename X::Bits bits[VALUES];
    };
};

// Bits of |x|. As unsigned numbers they are in the order of the values; infinity and then NaN come last.
__device__ __forceinline__ uint32_t magnitude(float x) { return __float_as_uint(x) & 0x7fffffff; }
constexpr uint32_t INFINITE = 0x7f800000;

// The code in the low byte; scale > 0.
__device__ __forceinline__ uint32_t code(float x, float scale) {
    const int rounded = __float2int_rn(__fdiv_rn(x, scale));
    return static_cast<uint32_t>(min(max(rounded, -127), 127)) & 0xff;
}

// Writes the codes of a vector to `to`, 4 or 8 bytes, aligned to their size.
template <class X>
__device__ __forceinline__ void store_codes(int8_t* to, const Vector<X>& x, float scale) {
    uint32_t words[Vector<X>::VALUES / 4];
#pragma unroll
    for (int w = 0; w < Vector<X>::VALUES / 4; ++w) {
        words[w] = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) words[w] |= code(X::load(x.bits[4 * w + i]), scale) << (8 * i);
    }
    if constexpr (Vector<X>::VALUES == 4) {
        *reinterpret_cast<uint32_t*>(to) = words[0];
    } else {
        *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    }
}

// The largest of all threads' values, in every thread. A barrier must follow before the next call.
template <int THREADS>
__device__ __forceinline__ uint32_t block_max(uint32_t value) {
    __shared__ uint32_t warps[THREADS / 32];
    const uint32_t warp_max = __reduce_max_sync(0xffffffff, value);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = warp_max;
    __syncthreads();
    uint32_t all = warps[0];
#pragma unroll
    for (int w = 1; w < THREADS / 32; ++w) all = max(all, warps[w]);
    return all;
}

}  // namespace quantize

template <class X, int THREADS>
__device__ __forceinline__ void quantize_rows(const QuantizeRowsParams& p) {
    using Bits = typename X::Bits;
    using Vector = quantize::Vector<X>;
    constexpr uint32_t VALUES = Vector::VALUES;

    const auto* x = static_cast<const Bits*>(p.x);
    auto* codes = static_cast<int8_t*>(p.codes);
    auto* scales = static_cast<float*>(p.scales);
    auto* status = static_cast<uint32_t*>(p.status);
    Bits* const cache = reinterpret_cast<Bits*>(dynamic_shared);

    const uint32_t tid = threadIdx.x;
    const uint32_t cols = p.cols, codes_end = static_cast<uint32_t>(p.ldc);
    const bool aligned = ((reinterpret_cast<uint64_t>(x) | static_cast<uint64_t>(p.ldx) * sizeof(Bits)) & 15) == 0;
    const uint32_t vectors = aligned ? cols / VALUES : 0;  // of a row, read whole
    const bool cached = p.cached != 0;

    for (uint64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const Bits* const from = x + row * p.ldx;
        int8_t* const to = codes + row * p.ldc;

        uint32_t largest = 0;
        for (uint32_t v = tid; v < vectors; v += THREADS) {
            Vector values;
            values.raw = reinterpret_cast<const uint4*>(from)[v];
#pragma unroll
            for (uint32_t i = 0; i < VALUES; ++i) largest = max(largest, quantize::magnitude(X::load(values.bits[i])));
            if (cached) reinterpret_cast<uint4*>(cache)[v] = values.raw;
        }
        for (uint32_t c = vectors * VALUES + tid; c < cols; c += THREADS) {
            const Bits bits = from[c];
            largest = max(largest, quantize::magnitude(X::load(bits)));
            if (cached) cache[c] = bits;
        }
        const uint32_t cached_end = (cols + VALUES - 1) / VALUES * VALUES;
        if (cached && cols + tid < cached_end) cache[cols + tid] = 0;

        largest = quantize::block_max<THREADS>(largest);  // its barrier also completes the cache
        const bool finite = largest < quantize::INFINITE;
        const float scale = finite ? __fdiv_rn(__uint_as_float(largest), 127.0f) : __uint_as_float(0x7fffffff);
        if (tid == 0) {
            scales[row] = scale;
            if (!finite && status != nullptr) atomicOr(status, 1u);
        }

        // Codes of whole vectors come from the cache or from x; past them from x, or they are zero. A NaN scale is
        // not above zero.
        const uint32_t coded = !(scale > 0.0f) ? 0 : cached ? cached_end / VALUES : vectors;
        for (uint32_t v = tid; v < coded; v += THREADS) {
            Vector values;
            values.raw = (cached ? reinterpret_cast<const uint4*>(cache) : reinterpret_cast<const uint4*>(from))[v];
            quantize::store_codes(to + v * VALUES, values, scale);
        }
        for (uint32_t c = coded * VALUES + tid; c < codes_end; c += THREADS) {
            const bool inside = c < cols && scale > 0.0f;
            to[c] = inside ? static_cast<int8_t>(quantize::code(X::load(from[c]), scale)) : 0;
        }
        __syncthreads();  // the cache and block_max's words may be written again
    }
}

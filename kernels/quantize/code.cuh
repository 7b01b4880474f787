// The 8-bit codes of numbers, and the scales that they need. A kind of code says
//
//     WORDS           words that tell of a set of numbers what its scale must know; the larger word wins
//     start, see      those of no number, and with one more
//     scale           the scale of the set; NaN if a number was a NaN or an infinity
//     word, byte      the codes of four numbers, lowest byte first; of one. The scale is above 0
//     PADDED          whether the code of 0 is 0
//
//     S8       scale = largest / 127             code = clamp(rne(x / scale), -127, 127)
//     S8Zero   scale = (high - low) / 255        code = clamp(rne(x / scale) + zero, -128, 127)
//              zero = clamp(rne(-128 - low / scale), -128, 127), where low <= 0 <= high
//     E4m3     scale = largest / 448             code = cvt.rn.satfinite(x / scale)
//     E5m2     scale = largest / 57344           the same
//
// Every operation is IEEE single, to nearest, ties to even, subnormals kept; rne is to an integer. Where high - low is
// beyond the range, the halves of both and of 255 are taken, which gives what an unbounded range would.
#pragma once
#include <cstdint>

#include "ptx/cvt_fp8.cuh"

namespace quantize {

// Bits of |x|. As unsigned numbers they are in the order of the values; infinity and then NaN come last.
__device__ __forceinline__ uint32_t magnitude(float x) { return __float_as_uint(x) & 0x7fffffff; }
constexpr uint32_t INFINITE = 0x7f800000;
__device__ __forceinline__ float not_finite() { return __uint_as_float(0x7fffffff); }

// What a code is made with. `low` is the least code.
struct Scale {
    float scale;
    int32_t zero;
    int32_t low;
};

// What the kinds without a zero point share: their scale is that of the largest magnitude.
struct Symmetric {
    static constexpr int WORDS = 1;
    static constexpr bool PADDED = true;
    __device__ __forceinline__ static void start(uint32_t (&seen)[1]) { seen[0] = 0; }
    __device__ __forceinline__ static void see(uint32_t (&seen)[1], float x) { seen[0] = max(seen[0], magnitude(x)); }
    __device__ __forceinline__ static Scale of(uint32_t largest, float most) {
        const bool finite = largest < INFINITE;
        return {finite ? __fdiv_rn(__uint_as_float(largest), most) : not_finite(), 0, -127};
    }
};

// The code in the low byte. A NaN has that of 0; an infinite quotient that of the largest number.
__device__ __forceinline__ uint32_t s8(float x, const Scale& s) {
    const int rounded = __float2int_rn(__fdiv_rn(x, s.scale));
    return static_cast<uint32_t>(min(max(rounded, s.low - s.zero), 127 - s.zero) + s.zero) & 0xff;
}

__device__ __forceinline__ uint32_t s8_word(const float* x, const Scale& s) {
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) word |= s8(x[i], s) << (8 * i);
    return word;
}

struct S8 : Symmetric {
    __device__ __forceinline__ static Scale scale(const uint32_t (&seen)[1]) { return of(seen[0], 127.0f); }
    __device__ __forceinline__ static uint32_t word(const float* x, const Scale& s) { return s8_word(x, s); }
    __device__ __forceinline__ static uint32_t byte(float x, const Scale& s) { return s8(x, s); }
};

// Numbers as unsigned words in their order, from negative NaN to positive; ~ordered() turns the order.
__device__ __forceinline__ uint32_t ordered(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits ^ (static_cast<int32_t>(bits) < 0 ? 0xffffffff : 0x80000000);
}
__device__ __forceinline__ float unordered(uint32_t word) {
    return __uint_as_float(word ^ (static_cast<int32_t>(word) < 0 ? 0x80000000 : 0xffffffff));
}

struct S8Zero {
    static constexpr int WORDS = 2;
    static constexpr bool PADDED = false;
    __device__ __forceinline__ static void start(uint32_t (&seen)[2]) {
        seen[0] = ordered(0.0f);
        seen[1] = ~ordered(0.0f);
    }
    __device__ __forceinline__ static void see(uint32_t (&seen)[2], float x) {
        seen[0] = max(seen[0], ordered(x));
        seen[1] = max(seen[1], ~ordered(x));
    }
    __device__ __forceinline__ static Scale scale(const uint32_t (&seen)[2]) {
        constexpr uint32_t INFINITY_ORDERED = INFINITE ^ 0x80000000;
        if (max(seen[0], seen[1]) >= INFINITY_ORDERED) return {not_finite(), 0, -128};
        const float high = unordered(seen[0]), low = unordered(~seen[1]);
        const float range = __fsub_rn(high, low);
        const bool wide = magnitude(range) == INFINITE;
        const float scale = wide ? __fdiv_rn(__fsub_rn(0.5f * high, 0.5f * low), 127.5f) : __fdiv_rn(range, 255.0f);
        const int zero = scale > 0.0f ? __float2int_rn(__fsub_rn(-128.0f, __fdiv_rn(low, scale))) : 0;
        return {scale, min(max(zero, -128), 127), -128};
    }
    __device__ __forceinline__ static uint32_t word(const float* x, const Scale& s) { return s8_word(x, s); }
    __device__ __forceinline__ static uint32_t byte(float x, const Scale& s) { return s8(x, s); }
};

// The two 8-bit floats, by the conversion of two numbers.
#define HALFBYTE_FP8(name, most, convert)                                                                          \
    struct name : Symmetric {                                                                                      \
        __device__ __forceinline__ static Scale scale(const uint32_t (&seen)[1]) { return of(seen[0], most); }     \
        __device__ __forceinline__ static uint32_t word(const float* x, const Scale& s) {                          \
            const uint32_t low = convert(__fdiv_rn(x[0], s.scale), __fdiv_rn(x[1], s.scale));                      \
            return low | convert(__fdiv_rn(x[2], s.scale), __fdiv_rn(x[3], s.scale)) << 16;                        \
        }                                                                                                          \
        __device__ __forceinline__ static uint32_t byte(float x, const Scale& s) {                                 \
            return convert(__fdiv_rn(x, s.scale), 0.0f) & 0xff;                                                    \
        }                                                                                                          \
    };
HALFBYTE_FP8(E4m3, 448.0f, ptx::cvt_rn_satfinite_e4m3x2)
HALFBYTE_FP8(E5m2, 57344.0f, ptx::cvt_rn_satfinite_e5m2x2)
#undef HALFBYTE_FP8

// The codes of a vector of numbers, as words.
template <class Code, int VALUES>
__device__ __forceinline__ void pack(uint32_t (&to)[VALUES / 4], const float (&x)[VALUES], const Scale& s) {
#pragma unroll
    for (int w = 0; w < VALUES / 4; ++w) to[w] = Code::word(x + 4 * w, s);
}

// Writes 4 or 8 codes to `to`, which is aligned to as many bytes.
template <int WORDS>
__device__ __forceinline__ void store_words(int8_t* to, const uint32_t (&words)[WORDS]) {
    if constexpr (WORDS == 1) {
        *reinterpret_cast<uint32_t*>(to) = words[0];
    } else {
        *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    }
}

}  // namespace quantize

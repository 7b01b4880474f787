// Floating point numbers as they are stored: how each becomes an f32 (exactly) and is made from one (round to nearest,
// ties to even; overflow to infinity; NaN stays NaN). Subnormals are kept.
#pragma once
#include <cstdint>

namespace format {

struct F32 {
    using Bits = uint32_t;
    __device__ __forceinline__ static float load(Bits bits) { return __uint_as_float(bits); }
    __device__ __forceinline__ static Bits store(float x) { return __float_as_uint(x); }
};

struct F16 {
    using Bits = uint16_t;
    __device__ __forceinline__ static float load(Bits bits) {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    __device__ __forceinline__ static Bits store(float x) {
        Bits bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return bits;
    }
};

struct Bf16 {
    using Bits = uint16_t;
    __device__ __forceinline__ static float load(Bits bits) {
        return __uint_as_float(static_cast<uint32_t>(bits) << 16);
    }
    __device__ __forceinline__ static Bits store(float x) {
        Bits bits;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return bits;
    }
};

}  // namespace format

// 16 bytes of a matrix of floats: how they are read, and what they stand for.
#pragma once
#include <cstdint>

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

// Whether every row of x starts at a multiple of 16 bytes; ldx in elements.
template <class X>
__device__ __forceinline__ bool aligned_rows(const void* x, int64_t ldx) {
    const uint64_t bits = reinterpret_cast<uint64_t>(x) | static_cast<uint64_t>(ldx) * sizeof(typename X::Bits);
    return (bits & 15) == 0;
}

// An element in column c: its number, times the factor of its channel if there are factors.
template <class X>
__device__ __forceinline__ float number(typename X::Bits bits, const float* factors, uint32_t c) {
    const float x = X::load(bits);
    return factors == nullptr ? x : __fmul_rn(x, factors[c]);
}

// The elements from column c on; past the last column there is no factor.
template <class X>
__device__ __forceinline__ void numbers(float (&to)[Vector<X>::VALUES], const Vector<X>& x, const float* factors,
                                        uint32_t c, uint32_t cols) {
#pragma unroll
    for (uint32_t i = 0; i < Vector<X>::VALUES; ++i) to[i] = X::load(x.bits[i]);
    if (factors == nullptr) return;
#pragma unroll
    for (uint32_t i = 0; i < Vector<X>::VALUES; ++i) {
        if (c + i < cols) to[i] = __fmul_rn(to[i], factors[c + i]);
    }
}

}  // namespace quantize

// 8 numbers of 16 bits that lie side by side.
#pragma once
#include <cstdint>

#include "quantize/vector.cuh"

namespace attention {

// Whether rows that lie by these strides (elements) all begin at a multiple of 16 bytes.
template <class X>
__device__ __forceinline__ bool aligned(const void* x, int64_t batch, int64_t token, int64_t head) {
    return quantize::aligned_rows<X>(x, batch | token | head);
}

// The numbers from `from` on as they are stored: at once where they are aligned, else one by one.
template <class X>
__device__ __forceinline__ quantize::Vector<X> eight(const typename X::Bits* from, bool whole) {
    quantize::Vector<X> of;
    if (whole) {
        of.raw = *reinterpret_cast<const uint4*>(from);
    } else {
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) of.bits[i] = from[i];
    }
    return of;
}

}  // namespace attention

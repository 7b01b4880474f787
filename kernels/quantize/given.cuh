// A scale that is given, and codes of which some are padding.
#pragma once
#include <cstdint>

#include "code.cuh"

namespace quantize {

// One scale and its zero point, or none: then -128 is not made.
__device__ __forceinline__ Scale given(const void* scale, const void* zero) {
    const float of = *static_cast<const float*>(scale);
    if (zero == nullptr) return {of, 0, -127};
    return {of, min(max(*static_cast<const int32_t*>(zero), -128), 127), -128};
}

// The first `count` bytes of `word`; the others become zero.
__device__ __forceinline__ uint32_t first_bytes(uint32_t word, int32_t count) {
    return count >= 4 ? word : count <= 0 ? 0 : word & ((1u << (8 * count)) - 1);
}

}  // namespace quantize

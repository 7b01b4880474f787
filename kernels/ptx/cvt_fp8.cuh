// cvt.rn.satfinite: two floats to two 8-bit ones, to nearest, ties to even; what is beyond the range, infinities too,
// becomes the largest number, NaN becomes 0x7f. Floor sm_89. PTX ISA, cvt.
#pragma once
#include <cstdint>

namespace ptx {

// `low` in bits 0 to 7, `high` in bits 8 to 15.
__device__ __forceinline__ uint32_t cvt_rn_satfinite_e4m3x2(float low, float high) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ uint32_t cvt_rn_satfinite_e5m2x2(float low, float high) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
}

}  // namespace ptx

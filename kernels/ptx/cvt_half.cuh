// Two f32 to a register of two 16-bit floats, each to the nearest, ties to even. PTX ISA §9.7.9.22 (cvt).
#pragma once
#include <cstdint>

namespace ptx {

// `low` comes to the lower half.
__device__ __forceinline__ uint32_t cvt_rn_f16x2(float low, float high) {
    uint32_t d;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}
__device__ __forceinline__ uint32_t cvt_rn_bf16x2(float low, float high) {
    uint32_t d;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}

}  // namespace ptx

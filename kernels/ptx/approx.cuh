// ex2, lg2, rcp: approximations of the special function unit. PTX ISA §9.7.3.
#pragma once
#include <cstdint>

namespace ptx {

// 2^x within 2 ulp; 0 below 2^-126; of -infinity 0.
__device__ __forceinline__ float ex2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// log2(x); of 0 -infinity.
__device__ __forceinline__ float lg2(float x) {
    float y;
    asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// 1 / x within an ulp; of infinity 0.
__device__ __forceinline__ float rcp(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

}  // namespace ptx

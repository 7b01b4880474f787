// Soft-capping: s becomes cap * tanh(s / cap), which bends scores to within the cap and leaves small ones alone.
// Reference: Bello et al. (2016), as in Gemma 2.
//
// tanh(x) = 1 - 2 / (e^2x + 1): one ex2 and one rcp, within 2^-22 of 1; tanh.approx would be off by 2^-11, which a cap of 50
// turns into 2 % of a probability.
#pragma once
#include "ptx/approx.cuh"

namespace attention {

struct Softcap {
    float cap, to_exponent;  // 2 log2(e) / cap

    __device__ __forceinline__ float operator()(float score) const {
        return fmaf(-2.0f * cap, ptx::rcp(ptx::ex2(score * to_exponent) + 1.0f), cap);
    }
};

}  // namespace attention

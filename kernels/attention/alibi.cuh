// ALiBi: a score loses slope * |p - j|, the farther its key j from the query's place p, the more. The slopes are the caller's,
// one a head. Reference: Press et al., "Train Short, Test Long" (2022).
#pragma once
#include <cstdint>

namespace attention {

struct Alibi {
    float slope;
    float distance;  // p - j of this lane's first element of the tile; positions below 2^24 are exact

    __device__ __forceinline__ Alibi(float slope_, int32_t position, int32_t column)
        : slope(slope_), distance(static_cast<float>(position - column)) {}
    // Of the element `at` columns further.
    __device__ __forceinline__ float operator()(float score, int at) const {
        return fmaf(-slope, fabsf(distance - static_cast<float>(at)), score);
    }
};

}  // namespace attention

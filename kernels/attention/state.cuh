// The algebra of attention: a partial result of a row is (max, sum, output), a softmax that is not divided yet.
//
//     of one key        (s, 1, v)
//     neutral           (-inf, 0, 0)
//     merged            m = max(m1, m2)      sum = sum1 * e^(m1 - m) + sum2 * e^(m2 - m)      output likewise
//     finished          output / sum         log-sum-exp m + ln(sum)
//
// Online softmax is a fold over tiles of keys with this operation; a learned sink is a partial result that has no output.
// Reference: Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018); Dao, FlashAttention-2 (2023).
//
// Scores come in units of `unit` powers of two: the exponential of s is 2^(s * unit), one fma and one ex2. Where nothing
// but a scale is applied, that scale hides in `unit`. A row's scores lie in four lanes; its max is the same in all four, its
// sum is this lane's own part until it is finished.
#pragma once
#include <cstdint>

#include "ptx/approx.cuh"

namespace attention {

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

// The largest of the four lanes that share a row; their sum.
__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
}

// Which of the two rows of a fragment, g (0) or g + 8 (1), as a type.
template <int VALUE>
struct RowHalf {
    static constexpr int value = VALUE;
};

// A row's max and this lane's part of its sum.
struct State {
    float max, sum;

    __device__ __forceinline__ static State neutral() { return {minus_infinity(), 0.0f}; }

    // Takes in scores of this lane, elements 2 * HALF and 2 * HALF + 1 of each fragment, which become 2^UP * e^(s - max). Returns
    // what the row's output is to be multiplied by. A row that has seen nothing but -inf keeps the sum 0.
    template <int HALF, int UP = 0, int FRAGMENTS>
    __device__ __forceinline__ float merge(float (&scores)[FRAGMENTS][4], float unit) {
        float best = max;
#pragma unroll
        for (int j = 0; j < FRAGMENTS; ++j) best = fmaxf(best, fmaxf(scores[j][2 * HALF], scores[j][2 * HALF + 1]));
        best = quad_max(best);
        // -inf less -inf would be no number.
        const float at = best == minus_infinity() ? 0.0f : best;
        const float factor = ptx::ex2((max - at) * unit), shift = at * -unit;
        max = best;
        sum *= factor;
#pragma unroll
        for (int j = 0; j < FRAGMENTS; ++j)
#pragma unroll
            for (int e = 2 * HALF; e < 2 * HALF + 2; ++e) {
                float exponent = fmaf(scores[j][e], unit, shift);
                // By itself: added to a large shift it would be rounded away, or to the double.
                if constexpr (UP != 0) exponent += UP;
                scores[j][e] = ptx::ex2(exponent);
                sum += scores[j][e];
            }
        return factor;
    }

    // The sum of the whole row, in all its lanes.
    __device__ __forceinline__ void gather() { sum = quad_sum(sum); }
    // Of a gathered state: what the output is to be multiplied by, and the natural log-sum-exp.
    __device__ __forceinline__ float inverse() const { return sum == 0.0f ? 0.0f : 1.0f / sum; }
    __device__ __forceinline__ float log_sum_exp(float unit) const {
        return sum == 0.0f ? minus_infinity() : fmaf(max * unit, LN_2, ptx::lg2(sum) * LN_2);
    }
};

}  // namespace attention

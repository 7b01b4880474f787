// A learned sink: one more score in a head's softmax that has no value, so that a row may attend to nothing. In the algebra
// (attention/state.cuh) it is the partial result (sink, 1, 0), with which a row begins instead of the neutral one.
// Reference: gpt-oss (2025); Xiao et al., "Efficient Streaming Language Models with Attention Sinks" (2023), whose kept first
// keys are those of attention/window.cuh.
#pragma once
#include "attention/state.cuh"

namespace attention {

// `sink` in natural units; the sum is that of lane 0 of the row's four. One of -inf leaves no trace: the first score rescales its
// sum by e^-inf, and without one the row is 0 over 1, its logarithm -inf.
__device__ __forceinline__ State of_sink(float sink, float unit, uint32_t lane) {
    return {sink * LOG2_E / unit, lane % 4 == 0 ? 1.0f : 0.0f};
}

}  // namespace attention

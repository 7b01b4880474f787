// An additive bias: a matrix [queries, keys] for each sequence and head, in f32 or in the type of the queries, is added to the
// scores. Any strides by sequence, head and query (0 where one serves all); keys lie side by side. Rows and columns past the
// ends are not read.
#pragma once
#include <cstdint>

namespace attention {

// `X` of format/floats.cuh: the type of the queries.
template <class X>
struct Bias {
    const void* row;
    bool wide;         // f32
    int32_t left;      // keys of the row from this lane's first element of the tile on; may be <= 0

    __device__ __forceinline__ Bias(const void* bias, bool wide_, int64_t row_offset, int32_t column, int32_t keys)
        : row(static_cast<const char*>(bias) + (row_offset + column) * (wide_ ? 4 : sizeof(typename X::Bits))),
          wide(wide_),
          left(keys - column) {}
    // Of the element `at` columns further.
    __device__ __forceinline__ float operator()(int at) const {
        if (at >= left) return 0.0f;
        return wide ? static_cast<const float*>(row)[at] : X::load(static_cast<const typename X::Bits*>(row)[at]);
    }
};

}  // namespace attention

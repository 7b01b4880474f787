// Sums of the rows of a matrix of signed bytes: of weights as they are stored these are the column sums that correct a
// product for zero points of its other operand.
//
//     sums[n] = sum_k codes[n, k]
//
// Operands   codes   [rows, cols] int8, row stride ldc, any alignment
//            sums    [rows] int32
//
// Who does what   A warp takes a row, then those as many warps on as the grid has; its lanes 16 bytes each where all
// rows are 16-byte aligned, else one, and what is left of a row one each.
//
// Shared memory   None.
// Numbers   Exact: dp4a by ones, and a redux of the lanes.
// Preconditions   1 <= rows; cols <= 16,777,215, so that no sum is beyond int32.
// Floor   sm_80, for redux.sync.
// Determinism   Integers.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "params.cuh"

template <int THREADS>
__device__ __forceinline__ void column_sums(const ColumnSumsParams& p) {
    constexpr int ONES = 0x01010101;
    const auto* codes = static_cast<const int8_t*>(p.codes);
    auto* sums = static_cast<int32_t*>(p.sums);
    const uint32_t lane = threadIdx.x % 32, cols = p.cols;
    const bool aligned = ((reinterpret_cast<uint64_t>(codes) | static_cast<uint64_t>(p.ldc)) & 15) == 0;
    const uint32_t vectors = aligned ? cols / 16 : 0;
    constexpr uint64_t WARPS = THREADS / 32;
    for (uint64_t row = blockIdx.x * WARPS + threadIdx.x / 32; row < p.rows; row += gridDim.x * WARPS) {
        const int8_t* const from = codes + row * p.ldc;
        int sum = 0;
        for (uint32_t v = lane; v < vectors; v += 32) {
            const int4 x = reinterpret_cast<const int4*>(from)[v];
            sum = __dp4a(x.x, ONES, sum);
            sum = __dp4a(x.y, ONES, sum);
            sum = __dp4a(x.z, ONES, sum);
            sum = __dp4a(x.w, ONES, sum);
        }
        for (uint32_t c = 16 * vectors + lane; c < cols; c += 32) sum += from[c];
        sum = __reduce_add_sync(0xffffffff, sum);
        if (lane == 0) sums[row] = sum;
    }
}

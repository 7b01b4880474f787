// Rows of floats to rows of bytes with one scale for each group of 64 or 128 columns, or with a scale that is given
// (code.cuh has the rules):
//
//     v[m, k] = x[m, k] * factor[k]     code[m, k] from v[m, k] / scale[m, k / group], or from v[m, k] / scale + zero
//
// Operands   x       [rows, cols] f32, f16 or bf16, row stride ldx elements; any alignment an element has
//            codes   [rows, ldc] bytes, 16-byte aligned, ldc a multiple of 16; columns cols..ldc become zero
//            scales  [rows, groups] f32 with strides scale_row and scale_group, where group is not 0; the last group
//                    may be short
//            scale   one f32, where group is 0
//            zero    one int32 or null, where group is 0, for signed bytes: the code of 0, clamped to -128..127
//            factors [cols] f32, or null: then v is x
//            status  one word or null; bit 0 is set when v holds a NaN or an infinity
//
// Who does what   A warp takes 32 vectors of 16 bytes of a row, which are 1 to 8 groups, then those as many warps on as
// the grid has. A lane holds one vector: its numbers stay in registers from the scale to the codes.
//
//     |l0 |l1 | ... |l31 |   f16: lanes 0 to 15 are a group of 128, f32: all 32
//
// The lanes of a group find their largest magnitude by shuffles. Rows of x that are not all 16-byte aligned, and the
// last vector of a row, are read one element at a time.
//
// Shared memory   None.
// Numbers   As in quantize_rows: a group with a NaN or an infinity gets scale NaN and codes 0, and one whose scale is 0
// codes 0. With a given scale a NaN gets the code of 0 (as an 8-bit float 0x7f), an infinity that of the largest
// number; a scale that is not above 0 makes codes 0. Without a zero point -128 is not made.
// Preconditions   1 <= rows; cols, ldc < 2^31; group 0, 64 or 128.
// Floor   sm_80, that of this crate; sm_89 for 8-bit floats, for cvt.
// Determinism   The same bits for every grid, on every architecture.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "code.cuh"
#include "format/floats.cuh"
#include "given.cuh"
#include "params.cuh"
#include "vector.cuh"

template <class X, class Code, int THREADS>
__device__ __forceinline__ void quantize_groups(const QuantizeGroupsParams& p) {
    using Bits = typename X::Bits;
    using Vector = quantize::Vector<X>;
    constexpr uint32_t VALUES = Vector::VALUES, WARPS = THREADS / 32;

    const auto* x = static_cast<const Bits*>(p.x);
    const auto* factors = static_cast<const float*>(p.factors);
    auto* codes = static_cast<int8_t*>(p.codes);
    auto* scales = static_cast<float*>(p.scales);
    auto* status = static_cast<uint32_t*>(p.status);

    const uint32_t lane = threadIdx.x % 32;
    const uint32_t cols = p.cols, vectors = static_cast<uint32_t>(p.ldc) / VALUES;
    const uint32_t strips = (vectors + 31) / 32;  // of 32 vectors, in a row
    const uint32_t lanes = p.group / VALUES;      // of a group
    const bool aligned = quantize::aligned_rows<X>(x, p.ldx);
    const bool grouped = p.group != 0;
    if (strips == 0) return;
    quantize::Scale scale{};
    if (!grouped) scale = quantize::given(p.scale, p.zero);

    // Warp by warp through the strips of all rows, without a division for each.
    const uint64_t first = blockIdx.x * static_cast<uint64_t>(WARPS) + threadIdx.x / 32;
    const uint64_t all = gridDim.x * static_cast<uint64_t>(WARPS);
    const uint64_t rows_on = all / strips;
    const uint32_t strips_on = static_cast<uint32_t>(all % strips);
    uint64_t row = first / strips;
    uint32_t strip = static_cast<uint32_t>(first % strips);
    while (row < p.rows) {
        const Bits* const from = x + row * p.ldx;
        const uint32_t vector = 32 * strip + lane, column = vector * VALUES;
        Vector values;
        if (aligned && column + VALUES <= cols) {
            values.raw = reinterpret_cast<const uint4*>(from)[vector];
        } else {
#pragma unroll
            for (uint32_t i = 0; i < VALUES; ++i) values.bits[i] = column + i < cols ? from[column + i] : 0;
        }
        float of[VALUES];
        quantize::numbers<X>(of, values, factors, column, cols);
        uint32_t seen[1];
        quantize::Symmetric::start(seen);
#pragma unroll
        for (uint32_t i = 0; i < VALUES; ++i) quantize::Symmetric::see(seen, of[i]);

        const bool tells = seen[0] >= quantize::INFINITE;
        if (grouped) {
            for (uint32_t apart = lanes / 2; apart > 0; apart /= 2) {
                seen[0] = max(seen[0], __shfl_xor_sync(0xffffffff, seen[0], apart));
            }
            scale = Code::scale(seen);
            if (lane % lanes == 0 && column < cols) {
                scales[row * p.scale_row + column / p.group * p.scale_group] = scale.scale;
            }
        }
        if (tells && status != nullptr) atomicOr(status, 1u);

        if (vector < vectors) {
            uint32_t words[VALUES / 4] = {};
            if (scale.scale > 0.0f) quantize::pack<Code>(words, of, scale);
            if (column + VALUES > cols) {
#pragma unroll
                for (uint32_t w = 0; w < VALUES / 4; ++w) {
                    words[w] = quantize::first_bytes(words[w], static_cast<int32_t>(cols - column - 4 * w));
                }
            }
            quantize::store_words(codes + row * p.ldc + column, words);
        }
        row += rows_on;
        strip += strips_on;
        if (strip >= strips) {
            strip -= strips;
            ++row;
        }
    }
}

// The end of every product: the sums of a warp to the output, 16 rows x 16 or 32 columns at a time.
//
//     d[m, n] = convert( alpha * (acc * (scale_row[m] * scale_col[n])) + beta * c[m, n] + bias[n] )
//
// where acc is f32, or int32 less zero_row[m] * column_sums[n] (the zero point of a row of a, times the sum of b's row).
//
// Numbers   Each step is rounded once to nearest, ties to even, never fused; what is absent is left out:
//     1. t = scale_row[m] * scale_col[n]      f32; one that is absent is 1
//     2. v = float(acc) * t                   f32; the conversion of an int32 acc rounds when |acc| > 2^24
//     3. v = alpha * v                        f32
//     4. v = v + beta * c[m, n]               f32, the product rounded before the sum
//     5. v = v + bias[n]                      f32
//     6. d = f32, f16 or bf16 of v            overflow becomes infinity
// A raw s32 output is acc itself. Every kernel and every plan ends here, so equal sums are equal outputs. Steps 3 and 4
// and all that may be absent in 2 belong to `FullOutput`; `Output` is what a plain scaled product needs.
//
// Stores   When 4 outputs in a row are aligned to their own size (base and ldd), a lane stores 4 outputs at a time
// and 8 lanes a row of 32; else a lane stores one output and 32 lanes the row. Both write whole 32-byte sectors
// wherever the output covers them. c is read in the same way, so that d may be c itself.
#pragma once
#include <cstdint>

#include "format/floats.cuh"
#include "tile/stage.cuh"

namespace gemm {

// Where outputs go and what they are made with; the d_type values of the parameter blocks.
enum : uint32_t { D_F32 = 0, D_F16 = 1, D_BF16 = 2, D_S32 = 3 };

struct Output {
    static constexpr bool FULL = false;

    void* d;                 // [m, n], row stride ldd elements
    const float* scale_row;  // [m]; unused by D_S32, as all below
    const float* scale_col;  // [n]
    const float* bias;       // [n] or null
    int64_t ldd;
    uint32_t m, n;
    uint32_t d_type;
};

// With all that a product may bring. Any pointer but d may be null.
struct FullOutput : Output {
    static constexpr bool FULL = true;

    const void* c;                // [m, n] of d's type, row stride ldc elements; may be d
    const int32_t* zero_row;      // [m], of integer sums only
    const int32_t* column_sums;   // [n], with zero_row
    int64_t ldc;
    float alpha, beta;
    uint32_t row_step, col_step;  // 1, or 0 where one value of scale_row and zero_row (of scale_col) serves all
};

// int32 as it is, so that raw output goes the way of the others.
struct S32 {
    using Bits = uint32_t;
};

// What one column does to a sum.
struct Column {
    float scale, bias;

    template <class D, class Out>
    __device__ __forceinline__ static Column of(const Out& out, uint32_t column) {
        if constexpr (__is_same(D, S32)) {
            return {1.0f, 0.0f};
        } else {
            const bool inside = column < out.n;
            float scale = 1.0f;
            if constexpr (Out::FULL) {
                if (inside && out.scale_col) scale = out.scale_col[column * out.col_step];
            } else {
                scale = inside ? out.scale_col[column] : 0.0f;
            }
            return {scale, inside && out.bias ? out.bias[column] : 0.0f};
        }
    }
};

template <class D, class Out>
__device__ __forceinline__ float row_scale(const Out& out, uint32_t row) {
    if constexpr (__is_same(D, S32)) {
        return 1.0f;
    } else if constexpr (Out::FULL) {
        return out.scale_row ? out.scale_row[row * out.row_step] : 1.0f;
    } else {
        return out.scale_row[row];
    }
}

// Takes from a warp's sums, whose first element is (row0, col0), what the zero points of a's rows added. Few products
// have zero points, so this stands apart from the stores, which have no registers to spare.
template <int FRAGMENTS_M, int FRAGMENTS_N>
__device__ __forceinline__ void subtract_zeros(const FullOutput& out, uint32_t row0, uint32_t col0, uint32_t lane,
                                               int32_t (&acc)[FRAGMENTS_M][FRAGMENTS_N][4]) {
    if (!out.zero_row) return;
#pragma unroll
    for (int j = 0; j < FRAGMENTS_N; ++j)
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            const tile::RowColumn at = tile::accumulator(lane, r);
            const uint32_t column = col0 + 8 * j + at.column;
            const int32_t sum = column < out.n ? out.column_sums[column] : 0;
#pragma unroll
            for (int i = 0; i < FRAGMENTS_M; ++i) {
                const uint32_t row = row0 + 16 * i + at.row;
                if (row < out.m) acc[i][j][r] -= out.zero_row[row * out.row_step] * sum;
            }
        }
}
template <int FRAGMENTS_M, int FRAGMENTS_N>
__device__ __forceinline__ void subtract_zeros(const FullOutput&, uint32_t, uint32_t, uint32_t,
                                               float (&)[FRAGMENTS_M][FRAGMENTS_N][4]) {}

// A sum's own bits, and back.
__device__ __forceinline__ int32_t bits_of(int32_t acc) { return acc; }
__device__ __forceinline__ int32_t bits_of(float acc) { return __float_as_int(acc); }

// The output of one sum, whose bits are `word`; c holds the bits of the element of c.
template <class D, class Acc, class Out>
__device__ __forceinline__ typename D::Bits finish(const Out& out, int32_t word, float scale_row, const Column& column,
                                                   typename D::Bits c) {
    if constexpr (__is_same(D, S32)) {
        return static_cast<uint32_t>(word);
    } else {
        const float sum = __is_same(Acc, int32_t) ? __int2float_rn(word) : __int_as_float(word);
        float value = __fmul_rn(sum, __fmul_rn(scale_row, column.scale));
        if constexpr (Out::FULL) {
            value = __fmul_rn(out.alpha, value);
            if (out.c) value = __fadd_rn(value, __fmul_rn(out.beta, D::load(c)));
        }
        return D::store(out.bias ? __fadd_rn(value, column.bias) : value);
    }
}

// Four outputs to an address that is a multiple of their size.
__device__ __forceinline__ void store_four(uint32_t* to, const uint32_t (&v)[4]) {
    *reinterpret_cast<uint4*>(to) = make_uint4(v[0], v[1], v[2], v[3]);
}
__device__ __forceinline__ void store_four(uint16_t* to, const uint16_t (&v)[4]) {
    const uint32_t low = v[0] | static_cast<uint32_t>(v[1]) << 16, high = v[2] | static_cast<uint32_t>(v[3]) << 16;
    *reinterpret_cast<uint2*>(to) = make_uint2(low, high);
}

__device__ __forceinline__ void load_four(uint32_t (&v)[4], const uint32_t* from) {
    const uint4 four = *reinterpret_cast<const uint4*>(from);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}
__device__ __forceinline__ void load_four(uint16_t (&v)[4], const uint16_t* from) {
    const uint2 four = *reinterpret_cast<const uint2*>(from);
    v[0] = four.x & 0xFFFF, v[1] = four.x >> 16, v[2] = four.y & 0xFFFF, v[3] = four.y >> 16;
}

// Stores a warp's stage as the outputs from (row0, col0) on; what lies outside the output is dropped.
template <class D, class Acc, class Out, int COLUMNS>
__device__ __forceinline__ void store_as(const Out& out, const tile::Stage<COLUMNS>& stage, uint32_t row0,
                                         uint32_t col0, uint32_t lane) {
    using Bits = typename D::Bits;
    using Stage = tile::Stage<COLUMNS>;
    auto* const d = static_cast<Bits*>(out.d);
    const Bits* c = nullptr;
    bool aligned = reinterpret_cast<uint64_t>(d) % (4 * sizeof(Bits)) == 0 && out.ldd % 4 == 0;
    if constexpr (Out::FULL) {
        c = static_cast<const Bits*>(out.c);
        aligned = aligned && reinterpret_cast<uint64_t>(c) % (4 * sizeof(Bits)) == 0 && out.ldc % 4 == 0;
    }
    const bool whole_quads = col0 + COLUMNS <= out.n || out.n % 4 == 0;

    const int32_t rows = static_cast<int32_t>(out.m - row0);

    if (aligned && whole_quads) {
        constexpr int ROWS_PER_PASS = 32 / Stage::QUADS;
        const uint32_t first = lane / Stage::QUADS, quad = lane % Stage::QUADS, col = col0 + 4 * quad;
        if (col >= out.n) return;
        Column columns[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) columns[i] = Column::of<D>(out, col + i);
        Bits* const to = d + (row0 + first) * out.ldd + col;
        // All loads at once: they wait for each other no more than for one.
        float scales[Stage::ROWS / ROWS_PER_PASS];
#pragma unroll
        for (int pass = 0; pass < Stage::ROWS / ROWS_PER_PASS; ++pass) {
            const int32_t r = first + pass * ROWS_PER_PASS;
            scales[pass] = r < rows ? row_scale<D>(out, row0 + r) : 0.0f;
        }
#pragma unroll
        for (int pass = 0; pass < Stage::ROWS / ROWS_PER_PASS; ++pass) {
            const int32_t r = first + pass * ROWS_PER_PASS;
            if (r >= rows) break;
            const float scale = scales[pass];
            const int4 acc = stage.quad(r, quad);
            const int32_t words[4] = {acc.x, acc.y, acc.z, acc.w};
            Bits old[4] = {};
            if constexpr (Out::FULL) {
                if (c) load_four(old, c + (row0 + r) * out.ldc + col);
            }
            Bits v[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) v[i] = finish<D, Acc>(out, words[i], scale, columns[i], old[i]);
            store_four(to + pass * (ROWS_PER_PASS * out.ldd), v);
        }
    } else {
        constexpr int ROWS_PER_PASS = 32 / COLUMNS;
        const uint32_t first = lane / COLUMNS, column = lane % COLUMNS, col = col0 + column;
        if (col >= out.n) return;
        const Column one = Column::of<D>(out, col);
        Bits* to = d + (row0 + first) * out.ldd + col;
#pragma unroll 1
        for (int32_t r = first; r < min(rows, Stage::ROWS); r += ROWS_PER_PASS) {
            Bits old = 0;
            if constexpr (Out::FULL) {
                if (c) old = c[(row0 + r) * out.ldc + col];
            }
            *to = finish<D, Acc>(out, stage.word(r, column), row_scale<D>(out, row0 + r), one, old);
            to += ROWS_PER_PASS * out.ldd;
        }
    }
}

// Stores what a warp holds, SLABS times 16 x COLUMNS: slab s, fragment f, registers 0..3 are `acc[s][f]`; slab s starts
// at (row0 + s * ROW_STEP, col0 + s * COL_STEP). The loop over slabs is not unrolled, only the choice of registers in
// it is: one copy of the stores serves all slabs.
template <int ROW_STEP, int COL_STEP, class Out, int SLABS, int COLUMNS, class Acc>
__device__ __forceinline__ void store_slabs(const Out& out, const tile::Stage<COLUMNS>& stage, uint32_t row0,
                                            uint32_t col0, uint32_t lane, const Acc (&acc)[SLABS][COLUMNS / 8][4]) {
#pragma unroll 1
    for (int slab = 0; slab < SLABS; ++slab) {
#pragma unroll
        for (int s = 0; s < SLABS; ++s) {
            if (s != slab) continue;
#pragma unroll
            for (int f = 0; f < COLUMNS / 8; ++f) {
                stage.write(lane, f, 0, bits_of(acc[s][f][0]), bits_of(acc[s][f][1]));
                stage.write(lane, f, 2, bits_of(acc[s][f][2]), bits_of(acc[s][f][3]));
            }
        }
        __syncwarp();
        const uint32_t row = row0 + slab * ROW_STEP, col = col0 + slab * COL_STEP;
        switch (out.d_type) {
            case D_F32: store_as<format::F32, Acc>(out, stage, row, col, lane); break;
            case D_F16: store_as<format::F16, Acc>(out, stage, row, col, lane); break;
            case D_BF16: store_as<format::Bf16, Acc>(out, stage, row, col, lane); break;
            default:
                if constexpr (__is_same(Acc, int32_t)) store_as<S32, Acc>(out, stage, row, col, lane);
                break;
        }
        __syncwarp();
    }
}

}  // namespace gemm

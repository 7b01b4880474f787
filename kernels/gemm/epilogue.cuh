// The end of every int8 product: int32 sums to the output, 16 rows x 16 or 32 columns of a warp at a time.
//
//     d[m, n] = convert( float(acc) * (scale_row[m] * scale_col[n]) + bias[n] )
//
// Numbers   Four steps, each rounded once to nearest, ties to even, never fused:
//     1. t = scale_row[m] * scale_col[n]      f32
//     2. v = float(acc) * t                   f32; the conversion of acc rounds when |acc| > 2^24
//     3. v = v + bias[n]                      f32; left out when there is no bias
//     4. d = f32, f16 or bf16 of v            overflow becomes infinity
// A raw s32 output is acc itself. Every kernel and every plan ends here, so equal sums are equal outputs.
//
// Stores   When 4 outputs in a row are aligned to their own size (base and ldd), a lane stores 4 outputs at a time
// and 8 lanes a row of 32; else a lane stores one output and 32 lanes the row. Both write whole 32-byte sectors
// wherever the output covers them.
#pragma once
#include <cstdint>

#include "format/floats.cuh"
#include "tile/stage.cuh"

namespace gemm {

// Where outputs go and what they are made with; the d_type values of the parameter blocks.
enum : uint32_t { D_F32 = 0, D_F16 = 1, D_BF16 = 2, D_S32 = 3 };

struct Output {
    void* d;                 // [m, n], row stride ldd elements
    const float* scale_row;  // [m]; unused by D_S32, as all below
    const float* scale_col;  // [n]
    const float* bias;       // [n] or null
    int64_t ldd;
    uint32_t m, n;
    uint32_t d_type;
};

// int32 as it is, so that raw output goes the way of the others.
struct S32 {
    using Bits = uint32_t;
};

// What one column does to a sum.
struct Column {
    float scale, bias;
    bool biased;

    template <class D>
    __device__ __forceinline__ static Column of(const Output& out, uint32_t column) {
        if constexpr (__is_same(D, S32)) {
            return {1.0f, 0.0f, false};
        } else {
            const bool inside = column < out.n, biased = out.bias != nullptr;
            return {inside ? out.scale_col[column] : 0.0f, inside && biased ? out.bias[column] : 0.0f, biased};
        }
    }

    template <class D>
    __device__ __forceinline__ typename D::Bits finish(int32_t acc, float scale_row) const {
        if constexpr (__is_same(D, S32)) {
            return static_cast<uint32_t>(acc);
        } else {
            const float value = __fmul_rn(__int2float_rn(acc), __fmul_rn(scale_row, scale));
            return D::store(biased ? __fadd_rn(value, bias) : value);
        }
    }
};

template <class D>
__device__ __forceinline__ float row_scale(const Output& out, uint32_t row) {
    if constexpr (__is_same(D, S32)) {
        return 1.0f;
    } else {
        return out.scale_row[row];
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

// Stores a warp's stage as the outputs from (row0, col0) on; what lies outside the output is dropped.
template <class D, int COLUMNS>
__device__ __forceinline__ void store_as(const Output& out, const tile::Stage<COLUMNS>& stage, uint32_t row0,
                                         uint32_t col0, uint32_t lane) {
    using Bits = typename D::Bits;
    using Stage = tile::Stage<COLUMNS>;
    auto* const d = static_cast<Bits*>(out.d);
    const bool aligned = reinterpret_cast<uint64_t>(d) % (4 * sizeof(Bits)) == 0 && out.ldd % 4 == 0;
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
            const Bits v[4] = {columns[0].finish<D>(acc.x, scale), columns[1].finish<D>(acc.y, scale),
                               columns[2].finish<D>(acc.z, scale), columns[3].finish<D>(acc.w, scale)};
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
            *to = one.finish<D>(stage.word(r, column), row_scale<D>(out, row0 + r));
            to += ROWS_PER_PASS * out.ldd;
        }
    }
}

// Stores what a warp holds, SLABS times 16 x COLUMNS: slab s, fragment f, registers 0..3 are `acc[s][f]`; slab s starts
// at (row0 + s * ROW_STEP, col0 + s * COL_STEP). The loop over slabs is not unrolled, only the choice of registers in
// it is: one copy of the stores serves all slabs.
template <int ROW_STEP, int COL_STEP, int SLABS, int COLUMNS>
__device__ __forceinline__ void store_slabs(const Output& out, const tile::Stage<COLUMNS>& stage, uint32_t row0,
                                            uint32_t col0, uint32_t lane,
                                            const int32_t (&acc)[SLABS][COLUMNS / 8][4]) {
#pragma unroll 1
    for (int slab = 0; slab < SLABS; ++slab) {
#pragma unroll
        for (int s = 0; s < SLABS; ++s) {
            if (s != slab) continue;
#pragma unroll
            for (int f = 0; f < COLUMNS / 8; ++f) {
                stage.write(lane, f, 0, acc[s][f][0], acc[s][f][1]);
                stage.write(lane, f, 2, acc[s][f][2], acc[s][f][3]);
            }
        }
        __syncwarp();
        const uint32_t row = row0 + slab * ROW_STEP, col = col0 + slab * COL_STEP;
        switch (out.d_type) {
            case D_F32: store_as<format::F32>(out, stage, row, col, lane); break;
            case D_F16: store_as<format::F16>(out, stage, row, col, lane); break;
            case D_BF16: store_as<format::Bf16>(out, stage, row, col, lane); break;
            default: store_as<S32>(out, stage, row, col, lane); break;
        }
        __syncwarp();
    }
}

}  // namespace gemm

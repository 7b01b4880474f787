// The two products of attention on 16-bit floats: scores S = Q * K^T and output O += P * V, by mma.m16n8k16 in f32.
//
// A warp holds FM times 16 rows. The accumulator of S is the A operand of P * V as it stands, two fragments of S a step of 16
// keys, when each pair of neighbours is rounded into one register (tile/fragment.cuh):
//
//     S fragment 2k    s[0] s[1] | s[2] s[3]          a[0] = row g, keys 2t..    a[1] = row g + 8
//     S fragment 2k+1  s[0] s[1] | s[2] s[3]          a[2] = row g, keys 8+2t..  a[3] = row g + 8
//
// V lies with keys down its rows; ldmatrix.trans turns it.
#pragma once
#include <cstdint>

#include "attention/window.cuh"
#include "format/floats.cuh"
#include "gemm/operand.cuh"
#include "ptx/cvt_half.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "tile/fragment.cuh"
#include "tile/swizzle.cuh"

namespace attention {

struct F16 {
    using Number = format::F16;
    __device__ __forceinline__ static uint32_t pack(float low, float high) { return ptx::cvt_rn_f16x2(low, high); }
    __device__ __forceinline__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
        ptx::mma_m16n8k16_f16(d, a, b0, b1);
    }
};
struct Bf16 {
    using Number = format::Bf16;
    __device__ __forceinline__ static uint32_t pack(float low, float high) { return ptx::cvt_rn_bf16x2(low, high); }
    __device__ __forceinline__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
        ptx::mma_m16n8k16_bf16(d, a, b0, b1);
    }
};

// S = Q * K^T. The queries stay in registers where these suffice; else they are read anew for every tile of keys.
template <class X, int D, int FM>
struct Scores16 {
    static constexpr int ROW_BYTES = 2 * D, STEPS = D / 16;
    static constexpr bool HELD = FM * D <= 96;
    using Places = tile::Swizzle<ROW_BYTES>;

    uint32_t queries, query_place, key_place;  // the warp's rows in shared memory; this lane's places in them and in keys
    uint32_t held[HELD ? STEPS : 1][FM][4];

    __device__ __forceinline__ Scores16(uint32_t queries_, uint32_t lane) : queries(queries_) {
        const tile::RowChunk a = tile::ldmatrix_a(lane), b = tile::ldmatrix_b(lane);
        query_place = gemm::held(Places::offset(a.row, a.chunk));
        key_place = gemm::held(Places::offset(b.row, b.chunk));
    }

    __device__ __forceinline__ void load(uint32_t (&a)[FM][4], uint32_t step) const {
#pragma unroll
        for (int i = 0; i < FM; ++i)
            ptx::ldmatrix_x4(a[i], queries + Places::step(query_place, step) + i * 16 * ROW_BYTES);
    }
    // Once the queries have arrived.
    __device__ __forceinline__ void begin() {
        if constexpr (HELD)
#pragma unroll
            for (int step = 0; step < STEPS; ++step) load(held[step], step);
    }

    __device__ __forceinline__ void operator()(float (&s)[FM][KEYS / 8][4], uint32_t keys) const {
#pragma unroll
        for (int i = 0; i < FM; ++i)
#pragma unroll
            for (int j = 0; j < KEYS / 8; ++j) s[i][j][0] = s[i][j][1] = s[i][j][2] = s[i][j][3] = 0.0f;
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            uint32_t a[FM][4];
            if constexpr (HELD)
                memcpy(a, held[step], sizeof(a));
            else
                load(a, step);
#pragma unroll
            for (int pair = 0; pair < KEYS / 16; ++pair) {
                uint32_t b[4];
                ptx::ldmatrix_x4(b, keys + Places::step(key_place, step) + pair * 16 * ROW_BYTES);
#pragma unroll
                for (int i = 0; i < FM; ++i) {
                    X::mma(s[i][2 * pair], a[i], b[0], b[1]);
                    X::mma(s[i][2 * pair + 1], a[i], b[2], b[3]);
                }
            }
        }
    }
};

// O += P * V.
template <class X, int DV, int FM>
struct Values16 {
    static constexpr int ROW_BYTES = 2 * DV;
    using Places = tile::Swizzle<ROW_BYTES>;

    uint32_t place;

    __device__ __forceinline__ explicit Values16(uint32_t lane) {
        const tile::RowChunk at = tile::ldmatrix_b_trans(lane);
        place = gemm::held(Places::offset(at.row, at.chunk));
    }

    __device__ __forceinline__ void operator()(float (&o)[FM][DV / 8][4], const float (&p)[FM][KEYS / 8][4],
                                               uint32_t values) const {
#pragma unroll
        for (int step = 0; step < KEYS / 16; ++step) {
            uint32_t a[FM][4];
#pragma unroll
            for (int i = 0; i < FM; ++i)
#pragma unroll
                for (int r = 0; r < 4; ++r)
                    a[i][r] = X::pack(p[i][2 * step + r / 2][r % 2 * 2], p[i][2 * step + r / 2][r % 2 * 2 + 1]);
#pragma unroll
            for (int pair = 0; pair < DV / 16; ++pair) {
                uint32_t b[4];
                ptx::ldmatrix_x4_trans(b, values + Places::step(place, pair) + step * 16 * ROW_BYTES);
#pragma unroll
                for (int i = 0; i < FM; ++i) {
                    X::mma(o[i][2 * pair], a[i], b[0], b[1]);
                    X::mma(o[i][2 * pair + 1], a[i], b[2], b[3]);
                }
            }
        }
    }
};

}  // namespace attention

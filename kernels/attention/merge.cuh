// Partial results of attention joined: each part attended to some of the keys.
//
//     m = max_p lse[p]     w_p = exp(lse[p] - m)     out = sum_p w_p part[p] / sum_p w_p     lse = m + ln(sum_p w_p)
//
// Operands   parts    [parts, tokens, heads, dv] f32, f16 or bf16, strides part_stride, part_token, part_head elements
//            lse      [parts, heads, tokens] f32, strides lse_part, lse_head; tokens side by side
//            out      [tokens, heads, dv] as the parts or f32, strides out_token, out_head
//            lse_out  [heads, tokens] f32, stride lse_out_head; tokens side by side; or null
// Any alignment that an element has. A part whose lse is -inf has seen no key; its numbers are not read.
//
// Who does what   A row is a token and a head, tokens first. A team of 1, 2, 4 .. 32 lanes takes a row, then that as
// many teams on as the grid has. Each lane takes a piece of the row and adds up its parts: 16 bytes where all rows of
// parts and out start at a multiple of 16 bytes and dv is whole pieces, else an element:
//
//     |lane 0|lane 1| .. |lane 7|    a team of 8, 8 halves each: dv = 64
//
// Every lane of a team reads all of the row's lse, twice, from the same addresses. The numbers of four parts are asked
// for before the first is needed.
//
// Shared memory   None.
// Numbers   The maximum is exact. Each weight is expf of a rounded difference; weights are added in the order of the
// parts, and so are products with them, by one fma each; the sum is scaled by its reciprocal (rcp.rn) and rounded to
// the type of out. One part is copied as it is (but -0, which becomes 0). Only parts of -inf: 0 and -inf. An lse that
// is NaN or +inf makes the row NaN.
// Preconditions   1 <= parts, dv; tokens * heads < 2^32; out overlaps nothing.
// Floor   sm_80, as everything here; nothing of it is needed.
// Determinism   The same bits for every grid, stride and alignment: the order of the parts is the order of the sum.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "format/floats.cuh"
#include "params.cuh"

namespace merge_rows {

// Elements of 16 bytes.
template <class X>
constexpr int WHOLE = 16 / sizeof(typename X::Bits);

// Parts whose numbers are asked for together.
constexpr int AT_ONCE = 4;

// WIDTH numbers as they lie in memory: 16 bytes of them, or one.
template <class X, int WIDTH>
struct Piece {
    using Raw = uint4;
    union {
        uint4 raw;
        typename X::Bits bits[WIDTH];
    };
};
template <class X>
struct Piece<X, 1> {
    using Raw = typename X::Bits;
    union {
        typename X::Bits raw;
        typename X::Bits bits[1];
    };
};

// WIDTH numbers, 16 bytes at a time, or one.
template <class X, int WIDTH>
__device__ __forceinline__ void store(typename X::Bits* to, const float (&from)[WIDTH]) {
    if constexpr (WIDTH == 1) {
        *to = X::store(from[0]);
    } else {
        Piece<X, WHOLE<X>> piece;
#pragma unroll
        for (int first = 0; first < WIDTH; first += WHOLE<X>) {
#pragma unroll
            for (int i = 0; i < WHOLE<X>; ++i) piece.bits[i] = X::store(from[first + i]);
            *reinterpret_cast<uint4*>(to + first) = piece.raw;
        }
    }
}

// Whether every row of parts and out is whole pieces from a multiple of 16 bytes on.
template <class X>
__device__ __forceinline__ bool aligned(const MergeParams& p) {
    constexpr uint64_t SIZE = sizeof(typename X::Bits);
    const uint64_t parts = static_cast<uint64_t>(p.part_stride | p.part_token | p.part_head) * SIZE;
    const uint64_t out = static_cast<uint64_t>(p.out_token | p.out_head) * (p.out_f32 != 0 ? 4 : SIZE);
    const uint64_t at = reinterpret_cast<uint64_t>(p.parts) | reinterpret_cast<uint64_t>(p.out);
    return ((at | parts | out) & 15) == 0 && p.dv % WHOLE<X> == 0;
}

template <class X, int WIDTH, int THREADS>
__device__ __forceinline__ void rows(const MergeParams& p) {
    using Bits = typename X::Bits;
    const float none = __uint_as_float(0xff800000u);  // -inf
    const auto* parts = static_cast<const Bits*>(p.parts);
    auto* lse_out = static_cast<float*>(p.lse_out);

    const uint32_t pieces = p.dv / WIDTH;
    const uint32_t shift = pieces > 1 ? min(5, 32 - __clz(pieces - 1)) : 0;  // log2 of a team
    const uint32_t team = 1u << shift, lane = threadIdx.x & (team - 1);
    const uint64_t rows = static_cast<uint64_t>(p.tokens) * p.heads;
    const uint64_t teams = static_cast<uint64_t>(gridDim.x) * THREADS >> shift;
    const uint64_t first_row = (static_cast<uint64_t>(blockIdx.x) * THREADS + threadIdx.x) >> shift;
    for (uint64_t row = first_row; row < rows; row += teams) {
        const uint32_t head = static_cast<uint32_t>(row) / p.tokens;
        const uint32_t token = static_cast<uint32_t>(row) - head * p.tokens;
        const float* const lse = static_cast<const float*>(p.lse) + head * p.lse_head + token;
        const Bits* const from = parts + token * p.part_token + head * p.part_head;
        const int64_t to = token * p.out_token + head * p.out_head;

        float most = none;
        for (uint32_t part = 0; part < p.count; ++part) most = fmaxf(most, lse[part * p.lse_part]);

        float sum = 0.0f;
        for (uint32_t piece = lane; piece < pieces; piece += team) {
            float all[WIDTH] = {};
            sum = 0.0f;
            for (uint32_t first = 0; first < p.count; first += AT_ONCE) {
                float known[AT_ONCE];
                Piece<X, WIDTH> numbers[AT_ONCE];
#pragma unroll
                for (uint32_t i = 0; i < AT_ONCE; ++i) {
                    known[i] = first + i < p.count ? lse[(first + i) * p.lse_part] : none;
                }
#pragma unroll
                for (uint32_t i = 0; i < AT_ONCE; ++i) {
                    const Bits* const at = from + (first + i) * p.part_stride + piece * WIDTH;
                    numbers[i].raw = {};
                    if (known[i] != none) numbers[i].raw = *reinterpret_cast<const typename Piece<X, WIDTH>::Raw*>(at);
                }
#pragma unroll
                for (uint32_t i = 0; i < AT_ONCE; ++i) {
                    const float weight = known[i] == none ? 0.0f : expf(known[i] - most);
                    sum += weight;
#pragma unroll
                    for (int e = 0; e < WIDTH; ++e) all[e] = fmaf(weight, X::load(numbers[i].bits[e]), all[e]);
                }
            }
            // The greatest weight is 1; without any there was no key. NaN is not 0.
            const float scale = sum == 0.0f ? 0.0f : __frcp_rn(sum);
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) all[i] *= scale;
            if (p.out_f32 != 0) {
                store<format::F32>(static_cast<uint32_t*>(p.out) + to + piece * WIDTH, all);
            } else {
                store<X>(static_cast<Bits*>(p.out) + to + piece * WIDTH, all);
            }
        }
        if (lane == 0 && lse_out != nullptr) lse_out[head * p.lse_out_head + token] = most + logf(sum);
    }
}

}  // namespace merge_rows

template <class X, int THREADS>
__device__ __forceinline__ void merge(const MergeParams& p) {
    if (merge_rows::aligned<X>(p)) {
        merge_rows::rows<X, merge_rows::WHOLE<X>, THREADS>(p);
    } else {
        merge_rows::rows<X, 1, THREADS>(p);
    }
}

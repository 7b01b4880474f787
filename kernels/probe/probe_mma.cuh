// mma.sync, one product a block: what the fragments mean and how sums are made. PTX ISA §9.7.14.5.
//
// Operands   in    [blocks, 10, 32] words: registers a0-a3, b0, b1, c0-c3 of each lane
//            out   [blocks, 4, 32] words: registers d0-d3
// Floor   sm_80.
// Determinism   Exact for S8; for floats when every sum is exact, whatever its order.
#pragma once
#include <cstdint>

#include "params.cuh"

namespace probe {

struct S8 {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], const uint32_t (&r)[10]) {
        asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%10, %11, %12, %13};"
            : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
            : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]), "r"(r[6]), "r"(r[7]), "r"(r[8]),
              "r"(r[9]));
    }
};

struct F16 {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], const uint32_t (&r)[10]) {
        float f[4];
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%10, %11, %12, %13};"
            : "=f"(f[0]), "=f"(f[1]), "=f"(f[2]), "=f"(f[3])
            : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]), "f"(__uint_as_float(r[6])),
              "f"(__uint_as_float(r[7])), "f"(__uint_as_float(r[8])), "f"(__uint_as_float(r[9])));
        for (int i = 0; i < 4; ++i) d[i] = __float_as_uint(f[i]);
    }
};

struct Bf16 {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], const uint32_t (&r)[10]) {
        float f[4];
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%10, %11, %12, %13};"
            : "=f"(f[0]), "=f"(f[1]), "=f"(f[2]), "=f"(f[3])
            : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]), "f"(__uint_as_float(r[6])),
              "f"(__uint_as_float(r[7])), "f"(__uint_as_float(r[8])), "f"(__uint_as_float(r[9])));
        for (int i = 0; i < 4; ++i) d[i] = __float_as_uint(f[i]);
    }
};

}  // namespace probe

template <class Type>
__device__ __forceinline__ void probe_mma(const ProbeMmaParams& p) {
    const auto* in = static_cast<const uint32_t*>(p.in) + blockIdx.x * 320;
    auto* out = static_cast<uint32_t*>(p.out) + blockIdx.x * 128;
    uint32_t r[10], d[4];
#pragma unroll
    for (int i = 0; i < 10; ++i) r[i] = in[32 * i + threadIdx.x];
    Type::run(d, r);
#pragma unroll
    for (int i = 0; i < 4; ++i) out[32 * i + threadIdx.x] = d[i];
}

// mma.sync: what the fragments mean and how sums are made, for every shape and type. PTX ISA §9.7.14.5.
//
// Operands   in    [blocks, 10, 32] words: registers a0-a3, b0, b1, c0-c3 of each lane; an instruction takes the
//                  first ones that it has
//            out   [RESULTS, blocks, 4, 32] words: registers d0-d3 by instruction, zero where it has two
// Floor   sm_80; sm_89 for fp8.
// Determinism   Exact for integers; for floats when every sum is exact. Else what the tensor cores do, which the
//               PTX ISA leaves open.
#pragma once
#include <cstdint>

#include "params.cuh"

namespace probe {

// The operands of one lane and where its results go.
struct Fragments {
    uint32_t r[10];
    uint32_t* at;
    uint32_t step;

    __device__ __forceinline__ void put(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3) {
        at[0] = d0, at[32] = d1, at[64] = d2, at[96] = d3;
        at += step;
    }
};

#define A4 "r"(f.r[0]), "r"(f.r[1]), "r"(f.r[2]), "r"(f.r[3])
#define A2 "r"(f.r[0]), "r"(f.r[1])
#define B2 "r"(f.r[4]), "r"(f.r[5])
#define B1 "r"(f.r[4])
#define C4 "r"(f.r[6]), "r"(f.r[7]), "r"(f.r[8]), "r"(f.r[9])
#define C2 "r"(f.r[6]), "r"(f.r[7])
// Name: registers of A and of D.
#define MMA_4_4(op)                                                                                               \
    {                                                                                                             \
        uint32_t d0, d1, d2, d3;                                                                                  \
        asm volatile("mma.sync.aligned." op " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};" \
                     : "=r"(d0), "=r"(d1), "=r"(d2), "=r"(d3)                                                     \
                     : A4, B2, C4);                                                                               \
        f.put(d0, d1, d2, d3);                                                                                    \
    }
#define MMA_2_4(op)                                                                                    \
    {                                                                                                  \
        uint32_t d0, d1, d2, d3;                                                                       \
        asm volatile("mma.sync.aligned." op " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"    \
                     : "=r"(d0), "=r"(d1), "=r"(d2), "=r"(d3)                                          \
                     : A2, B1, C4);                                                                    \
        f.put(d0, d1, d2, d3);                                                                         \
    }
#define MMA_4_2(op)                                                                                    \
    {                                                                                                  \
        uint32_t d0, d1;                                                                               \
        asm volatile("mma.sync.aligned." op " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%8, %9};"         \
                     : "=r"(d0), "=r"(d1)                                                              \
                     : A4, B2, C2);                                                                    \
        f.put(d0, d1, 0, 0);                                                                           \
    }
#define MMA_2_2(op)                                                                                    \
    {                                                                                                  \
        uint32_t d0, d1;                                                                               \
        asm volatile("mma.sync.aligned." op " {%0, %1}, {%2, %3}, {%4}, {%5, %6};"                     \
                     : "=r"(d0), "=r"(d1)                                                              \
                     : A2, B1, C2);                                                                    \
        f.put(d0, d1, 0, 0);                                                                           \
    }

struct Int8 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k32.row.col.s32.s8.s8.s32") MMA_4_4("m16n8k32.row.col.s32.s8.u8.s32")
        MMA_4_4("m16n8k32.row.col.s32.u8.s8.s32") MMA_4_4("m16n8k32.row.col.s32.u8.u8.s32")
        MMA_4_4("m16n8k32.row.col.satfinite.s32.s8.s8.s32") MMA_4_4("m16n8k32.row.col.satfinite.s32.s8.u8.s32")
        MMA_4_4("m16n8k32.row.col.satfinite.s32.u8.s8.s32") MMA_4_4("m16n8k32.row.col.satfinite.s32.u8.u8.s32")
        MMA_2_4("m16n8k16.row.col.s32.s8.s8.s32") MMA_2_4("m16n8k16.row.col.s32.s8.u8.s32")
        MMA_2_4("m16n8k16.row.col.s32.u8.s8.s32") MMA_2_4("m16n8k16.row.col.s32.u8.u8.s32")
        MMA_2_4("m16n8k16.row.col.satfinite.s32.s8.s8.s32") MMA_2_4("m16n8k16.row.col.satfinite.s32.u8.u8.s32")
    }
};

struct F16 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k16.row.col.f32.f16.f16.f32") MMA_2_4("m16n8k8.row.col.f32.f16.f16.f32")
    }
};

struct F16Sums {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_2("m16n8k16.row.col.f16.f16.f16.f16") MMA_2_2("m16n8k8.row.col.f16.f16.f16.f16")
    }
};

struct Bf16 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k16.row.col.f32.bf16.bf16.f32") MMA_2_4("m16n8k8.row.col.f32.bf16.bf16.f32")
    }
};

struct Tf32 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k8.row.col.f32.tf32.tf32.f32") MMA_2_4("m16n8k4.row.col.f32.tf32.tf32.f32")
    }
};

// sm_89. The operand's bytes are one of the types, so each has a probe of its own.
struct E4m3 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k32.row.col.f32.e4m3.e4m3.f32") MMA_4_4("m16n8k32.row.col.f32.e4m3.e5m2.f32")
    }
};
struct E5m2 {
    static __device__ __forceinline__ void run(Fragments& f) {
        MMA_4_4("m16n8k32.row.col.f32.e5m2.e5m2.f32") MMA_4_4("m16n8k32.row.col.f32.e5m2.e4m3.f32")
    }
};

}  // namespace probe

template <class Type, int RESULTS>
__device__ __forceinline__ void probe_mma(const ProbeMmaParams& p) {
    const auto* in = static_cast<const uint32_t*>(p.in) + blockIdx.x * 320;
    probe::Fragments f;
#pragma unroll
    for (int i = 0; i < 10; ++i) f.r[i] = in[32 * i + threadIdx.x];
    f.at = static_cast<uint32_t*>(p.out) + blockIdx.x * 128 + threadIdx.x;
    f.step = gridDim.x * 128;
    Type::run(f);
}

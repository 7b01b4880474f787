// wgmma: types, accumulators, signs, transposition; operands from registers, and from shared memory in every layout.
// PTX ISA §9.7.15.
//
// Operands   in    [blocks, 16] words: descriptor of A and of B (two words each, start address relative to the image),
//                  scale-d, first word of A's registers in the image, 0, 0, accumulators c0-c3, 0 (4); then the image of
//                  shared memory, IMAGE words
//            out   [RESULTS, blocks, REGISTERS, 128] words: accumulators by thread
// Shared memory   the image, dynamic, aligned here to 1024, the period of the swizzle.
// Floor   sm_90a.
// Determinism   Exact for integers; for floats when every sum is exact. Else what the tensor cores do, which the
//               PTX ISA leaves open.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "ptx/fence.cuh"
#include "ptx/shared.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace probe {

constexpr uint32_t IMAGE = 6336;

// One case, and where its results go.
struct Product {
    uint64_t a, b;
    uint32_t scale;
    uint32_t r[4], c[4];
    uint32_t* at;
    uint32_t step;

    // One accumulator register after the other.
    template <int N>
    __device__ __forceinline__ void put(const uint32_t (&d)[N]) {
#pragma unroll
        for (int i = 0; i < N; ++i) at[128 * i] = d[i];
        at += step;
    }
};

// All in one block, from the fence to the wait: nothing can be moved in between.
#define WGMMA(op, registers, a, b, tail)                                                                       \
    "{ .reg .pred p; setp.ne.b32 p, %6, 0; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned." op         \
    " {" registers "}, " a ", " b ", p" tail "; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"
#define D4 "%0, %1, %2, %3"
#define A4 "{%7, %8, %9, %10}"
// Four or two accumulator registers, A by descriptor or (R) in registers.
#define WGMMA_4(op, tail)                                                                                      \
    {                                                                                                          \
        uint32_t d[4] = {v.c[0], v.c[1], v.c[2], v.c[3]};                                                      \
        asm volatile(WGMMA(op, D4, "%4", "%5", tail)                                                           \
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                          \
                     : "l"(v.a), "l"(v.b), "r"(v.scale)                                                        \
                     : "memory");                                                                              \
        v.put(d);                                                                                              \
    }
#define WGMMA_4R(op, tail)                                                                                     \
    {                                                                                                          \
        uint32_t d[4] = {v.c[0], v.c[1], v.c[2], v.c[3]};                                                      \
        asm volatile(WGMMA(op, D4, A4, "%5", tail)                                                             \
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                          \
                     : "l"(v.a), "l"(v.b), "r"(v.scale), "r"(v.r[0]), "r"(v.r[1]), "r"(v.r[2]), "r"(v.r[3])    \
                     : "memory");                                                                              \
        v.put(d);                                                                                              \
    }
#define WGMMA_2(op, tail)                                                                                      \
    {                                                                                                          \
        uint32_t d[4] = {v.c[0], v.c[1], 0, 0};                                                                \
        asm volatile(WGMMA(op, "%0, %1", "%4", "%5", tail)                                                     \
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                          \
                     : "l"(v.a), "l"(v.b), "r"(v.scale)                                                        \
                     : "memory");                                                                              \
        v.put(d);                                                                                              \
    }

struct Int8 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k32.s32.s8.s8", "") WGMMA_4("m64n8k32.s32.s8.u8", "") WGMMA_4("m64n8k32.s32.u8.s8", "")
        WGMMA_4("m64n8k32.s32.u8.u8", "") WGMMA_4("m64n8k32.s32.s8.s8.satfinite", "") WGMMA_4R("m64n8k32.s32.s8.s8", "")
        WGMMA_4R("m64n8k32.s32.u8.s8", "")
    }
};

struct F16 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k16.f32.f16.f16", ", 1, 1, 0, 0") WGMMA_4("m64n8k16.f32.f16.f16", ", -1, 1, 0, 0")
        WGMMA_4("m64n8k16.f32.f16.f16", ", 1, -1, 0, 0") WGMMA_4R("m64n8k16.f32.f16.f16", ", 1, 1, 0")
        WGMMA_4R("m64n8k16.f32.f16.f16", ", -1, 1, 0")
    }
};

struct F16Sums {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_2("m64n8k16.f16.f16.f16", ", 1, 1, 0, 0") WGMMA_2("m64n8k16.f16.f16.f16", ", -1, -1, 0, 0")
    }
};

struct Bf16 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k16.f32.bf16.bf16", ", 1, 1, 0, 0") WGMMA_4("m64n8k16.f32.bf16.bf16", ", 1, -1, 0, 0")
        WGMMA_4R("m64n8k16.f32.bf16.bf16", ", 1, 1, 0")
    }
};

struct Tf32 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k8.f32.tf32.tf32", ", 1, 1") WGMMA_4("m64n8k8.f32.tf32.tf32", ", -1, 1")
        WGMMA_4R("m64n8k8.f32.tf32.tf32", ", 1, 1")
    }
};

struct E4m3 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k32.f32.e4m3.e4m3", ", 1, 1") WGMMA_4("m64n8k32.f32.e4m3.e5m2", ", 1, 1")
        WGMMA_4R("m64n8k32.f32.e4m3.e4m3", ", 1, 1") WGMMA_4("m64n8k32.f32.e4m3.e4m3", ", -1, 1")
    }
};

struct E4m3Sums {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_2("m64n8k32.f16.e4m3.e4m3", ", 1, 1") }
};

struct E5m2 {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k32.f32.e5m2.e5m2", ", 1, 1") WGMMA_4("m64n8k32.f32.e5m2.e4m3", ", 1, 1")
    }
};

struct E5m2Sums {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_2("m64n8k32.f16.e5m2.e5m2", ", 1, 1") }
};

// 16-bit operands along M or N instead of K: A, B, both.
struct F16Trans {
    static __device__ __forceinline__ void run(Product& v) {
        WGMMA_4("m64n8k16.f32.f16.f16", ", 1, 1, 1, 0") WGMMA_4("m64n8k16.f32.f16.f16", ", 1, 1, 0, 1")
        WGMMA_4("m64n8k16.f32.f16.f16", ", 1, 1, 1, 1") WGMMA_4R("m64n8k16.f32.f16.f16", ", 1, 1, 1")
    }
};
struct Bf16Trans {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_4("m64n8k16.f32.bf16.bf16", ", 1, 1, 1, 1") }
};

// Wider: 64 x 64.
#define WGMMA_32(op, tail)                                                                                      \
    {                                                                                                           \
        uint32_t d[32];                                                                                         \
        _Pragma("unroll") for (int i = 0; i < 32; ++i) d[i] = v.c[i % 4];                                       \
        asm volatile(                                                                                           \
            "{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned." op \
            " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
            "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p" tail                          \
            "; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"                             \
            : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),   \
              "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]),          \
              "+r"(d[15]), "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]),        \
              "+r"(d[22]), "+r"(d[23]), "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]),        \
              "+r"(d[29]), "+r"(d[30]), "+r"(d[31])                                                             \
            : "l"(v.a), "l"(v.b), "r"(v.scale)                                                                  \
            : "memory");                                                                                        \
        v.put(d);                                                                                               \
    }

struct Int8Wide {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_32("m64n64k32.s32.s8.s8", "") }
};
struct F16Wide {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_32("m64n64k16.f32.f16.f16", ", 1, 1, 0, 0") }
};
struct F16TransWide {
    static __device__ __forceinline__ void run(Product& v) { WGMMA_32("m64n64k16.f32.f16.f16", ", 1, 1, 1, 1") }
};

}  // namespace probe

template <class Probe, int RESULTS, int REGISTERS>
__device__ __forceinline__ void probe_wgmma(const ProbeWgmmaParams& p) {
    const auto* in = static_cast<const uint32_t*>(p.in);
    const uint32_t* one = in + 16 * blockIdx.x;
    const uint32_t* image = in + 16 * gridDim.x;
    const uint32_t base = ptx::shared_address(dynamic_shared), at = (base + 1023) & ~1023u;
    for (uint32_t i = threadIdx.x; i < probe::IMAGE; i += blockDim.x)
        *reinterpret_cast<uint32_t*>(dynamic_shared + (at - base) + 4 * i) = image[i];
    ptx::fence_proxy_async();
    __syncthreads();
    probe::Product v;
    v.a = (one[0] | static_cast<uint64_t>(one[1]) << 32) + (at >> 4);
    v.b = (one[2] | static_cast<uint64_t>(one[3]) << 32) + (at >> 4);
    v.scale = one[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) v.r[i] = image[one[5] + 4 * threadIdx.x + i], v.c[i] = one[8 + i];
    v.at = static_cast<uint32_t*>(p.out) + blockIdx.x * REGISTERS * 128 + threadIdx.x;
    v.step = gridDim.x * REGISTERS * 128;
    Probe::run(v);
}

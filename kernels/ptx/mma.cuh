// mma.sync: one warp's product of two fragments. PTX ISA §9.7.14.5.
#pragma once
#include <cstdint>

namespace ptx {

// D[16 x 8] += A[16 x 32] * B[32 x 8], signed bytes into int32, wrapping on overflow.
// The fragments' places are in tile/fragment.cuh.
__device__ __forceinline__ void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// D[16 x 8] += A[16 x 16] * B[16 x 8] of 16-bit floats, or A[16 x 32] * B[32 x 8] of 8-bit ones, into f32: the products
// are exact, their sum is cut and rounded as the hardware does it. Fragments stand as those of bytes do.
#define HALFBYTE_MMA_F32(name, shape, a_type, b_type)                                                              \
    __device__ __forceinline__ void name(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {         \
        asm("mma.sync.aligned." shape ".row.col.f32." a_type "." b_type ".f32 "                                    \
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                      \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                       \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                       \
    }
HALFBYTE_MMA_F32(mma_m16n8k16_f16, "m16n8k16", "f16", "f16")
HALFBYTE_MMA_F32(mma_m16n8k16_bf16, "m16n8k16", "bf16", "bf16")
HALFBYTE_MMA_F32(mma_m16n8k32_e4m3_e4m3, "m16n8k32", "e4m3", "e4m3")
HALFBYTE_MMA_F32(mma_m16n8k32_e4m3_e5m2, "m16n8k32", "e4m3", "e5m2")
HALFBYTE_MMA_F32(mma_m16n8k32_e5m2_e4m3, "m16n8k32", "e5m2", "e4m3")
HALFBYTE_MMA_F32(mma_m16n8k32_e5m2_e5m2, "m16n8k32", "e5m2", "e5m2")
#undef HALFBYTE_MMA_F32

}  // namespace ptx

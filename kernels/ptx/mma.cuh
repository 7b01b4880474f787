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

}  // namespace ptx

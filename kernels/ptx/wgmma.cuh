// wgmma: a warpgroup's product of two tiles in shared memory. PTX ISA §9.7.15.
// A product starts at wgmma_m64n128k32_s8 and ends at a wgmma_wait_group: between the two its accumulators and its
// shared memory belong to the tensor cores. So the wait names the accumulators of both products too: no use
// of them can move before it.
#pragma once
#include <cstdint>

namespace ptx {

// Before the first product, and after touching accumulators by other means: orders register and shared-memory
// accesses of the warpgroup before the products that follow.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Closes the group of all products since the last group.
__device__ __forceinline__ void wgmma_commit_group() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most PENDING of the youngest groups are unfinished.
template <int PENDING>
__device__ __forceinline__ void wgmma_wait_group(int32_t (&d)[64], int32_t (&e)[64]) {
    asm volatile("wgmma.wait_group.sync.aligned %128;"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
          "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
          "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
          "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
          "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
          "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
          "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
          "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63]),
          "+r"(e[0]), "+r"(e[1]), "+r"(e[2]), "+r"(e[3]), "+r"(e[4]), "+r"(e[5]), "+r"(e[6]), "+r"(e[7]),
          "+r"(e[8]), "+r"(e[9]), "+r"(e[10]), "+r"(e[11]), "+r"(e[12]), "+r"(e[13]), "+r"(e[14]), "+r"(e[15]),
          "+r"(e[16]), "+r"(e[17]), "+r"(e[18]), "+r"(e[19]), "+r"(e[20]), "+r"(e[21]), "+r"(e[22]), "+r"(e[23]),
          "+r"(e[24]), "+r"(e[25]), "+r"(e[26]), "+r"(e[27]), "+r"(e[28]), "+r"(e[29]), "+r"(e[30]), "+r"(e[31]),
          "+r"(e[32]), "+r"(e[33]), "+r"(e[34]), "+r"(e[35]), "+r"(e[36]), "+r"(e[37]), "+r"(e[38]), "+r"(e[39]),
          "+r"(e[40]), "+r"(e[41]), "+r"(e[42]), "+r"(e[43]), "+r"(e[44]), "+r"(e[45]), "+r"(e[46]), "+r"(e[47]),
          "+r"(e[48]), "+r"(e[49]), "+r"(e[50]), "+r"(e[51]), "+r"(e[52]), "+r"(e[53]), "+r"(e[54]), "+r"(e[55]),
          "+r"(e[56]), "+r"(e[57]), "+r"(e[58]), "+r"(e[59]), "+r"(e[60]), "+r"(e[61]), "+r"(e[62]), "+r"(e[63])
        : "n"(PENDING)
        : "memory");
}

// D[64 x 128] += A[64 x 32] * B[128 x 32]^T, signed bytes into int32, wrapping on overflow. A and B are matrix
// descriptors (tile/wgmma_descriptor.cuh). Warp w of the warpgroup holds rows 16w..16w+16 of D: as 16 fragments of
// mma.m16n8 side by side, so d[4j + i] is register i of columns 8j..8j+8.
__device__ __forceinline__ void wgmma_m64n128k32_s8(int32_t (&d)[64], uint64_t a, uint64_t b) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        " %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        " %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, p;\n"
        "}"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
          "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
          "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
          "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
          "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
          "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
          "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
          "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63])
        : "l"(a), "l"(b)
        : "memory");
}

}  // namespace ptx

// ldmatrix: 8 x 8 matrices of 16-bit elements from shared memory into a warp. PTX ISA §9.7.14.5.15.
#pragma once
#include <cstdint>

namespace ptx {

// Four matrices. Lane 8i + r hands over the address of row r (16 bytes, 16-byte aligned) of matrix i;
// afterwards d[i] of lane l holds bytes 4(l % 4)..+4 of row l / 4 of matrix i.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&d)[4], uint32_t row_address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(row_address)
                 : "memory");
}

// The same with each matrix transposed: d[i] of lane l holds columns l / 4 of rows 2(l % 4) and 2(l % 4) + 1 of matrix i.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&d)[4], uint32_t row_address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(row_address)
                 : "memory");
}

}  // namespace ptx

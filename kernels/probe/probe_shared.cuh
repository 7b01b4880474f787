// Ways between global memory, shared memory and registers, one warp: ldmatrix and cp.async.
// PTX ISA §9.7.14.5.15, §9.7.9.25.3.
//
// Operands   in    32 rows of 4 words, then one word a lane: the row it asks for (ldmatrix), bytes to copy (cp.async)
//            out   [4, 32] words: registers d0-d3 of ldmatrix; words 0-3 of each lane's 16 bytes after cp.async
// Floor   sm_80.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/shared.cuh"

namespace probe {

struct Ldmatrix {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], uint32_t address) { ptx::ldmatrix_x4(d, address); }
};

struct LdmatrixTrans {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], uint32_t address) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                     : "r"(address)
                     : "memory");
    }
};

struct CpAsync {};

template <class Probe>
struct Shared {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], uint4* tile, const uint4* rows, uint32_t choice) {
        tile[threadIdx.x] = rows[threadIdx.x];
        __syncthreads();
        Probe::run(d, ptx::shared_address(tile + choice));
    }
};

template <>
struct Shared<CpAsync> {
    static __device__ __forceinline__ void run(uint32_t (&d)[4], uint4* tile, const uint4* rows, uint32_t choice) {
        tile[threadIdx.x] = make_uint4(~0u, ~0u, ~0u, ~0u);
        ptx::cp_async_16(ptx::shared_address(tile + threadIdx.x), rows + threadIdx.x, choice);
        ptx::cp_async_commit_group();
        ptx::cp_async_wait_group<0>();
        __syncthreads();
        const uint4 chunk = tile[threadIdx.x];
        d[0] = chunk.x, d[1] = chunk.y, d[2] = chunk.z, d[3] = chunk.w;
    }
};

}  // namespace probe

template <class Probe>
__device__ __forceinline__ void probe_shared(const ProbeSharedParams& p) {
    __shared__ uint4 tile[32];
    const auto* rows = static_cast<const uint4*>(p.in);
    uint32_t d[4];
    probe::Shared<Probe>::run(d, tile, rows, static_cast<const uint32_t*>(p.in)[128 + threadIdx.x]);
#pragma unroll
    for (int i = 0; i < 4; ++i) static_cast<uint32_t*>(p.out)[32 * i + threadIdx.x] = d[i];
}

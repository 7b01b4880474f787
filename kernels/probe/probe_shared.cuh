// Ways between global memory, shared memory and registers, one warp: ldmatrix, stmatrix, cp.async.
// PTX ISA §9.7.14.5.15, §9.7.14.5.16, §9.7.9.25.3.
//
// Operands   in    32 rows of 4 words, then two words a lane: a row (all lanes' differ), and a number of bytes
//            out   [RESULTS, 4, 32] words: registers d0-d3 of ldmatrix, zero where it has fewer; words 0-3 of each lane's
//                  row after the others
// Floor   sm_80; sm_90 for stmatrix.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "ptx/shared.cuh"

namespace probe {

struct Rows {
    uint4* tile;
    const uint4* rows;
    // A row's address in shared memory; a number up to 16.
    uint32_t address, bytes;
    uint32_t* at;

    __device__ __forceinline__ void put(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3) {
        at[0] = d0, at[32] = d1, at[64] = d2, at[96] = d3;
        at += 128;
    }
    // Fills the tile, and writes down what became of it.
    __device__ __forceinline__ void fill(uint4 row) {
        __syncthreads();
        tile[threadIdx.x] = row;
        __syncthreads();
    }
    __device__ __forceinline__ void put_tile() {
        __syncthreads();
        const uint4 row = tile[threadIdx.x];
        put(row.x, row.y, row.z, row.w);
    }
};

struct Ldmatrix {
    static __device__ __forceinline__ void run(Rows& v) {
        v.fill(v.rows[threadIdx.x]);
#define LDMATRIX(kind, registers, ...)                                                                            \
    {                                                                                                             \
        uint32_t d[4] = {0, 0, 0, 0};                                                                             \
        asm volatile("ldmatrix.sync.aligned.m8n8." kind ".shared.b16 {" registers "}, [%4];"                      \
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                             \
                     : "r"(v.address)                                                                             \
                     : "memory");                                                                                 \
        v.put(d[0], d[1], d[2], d[3]);                                                                            \
    }
        LDMATRIX("x1", "%0") LDMATRIX("x2", "%0, %1") LDMATRIX("x4", "%0, %1, %2, %3")
        LDMATRIX("x1.trans", "%0") LDMATRIX("x2.trans", "%0, %1") LDMATRIX("x4.trans", "%0, %1, %2, %3")
#undef LDMATRIX
    }
};

struct Stmatrix {
    static __device__ __forceinline__ void run(Rows& v) {
        const uint4 r = v.rows[threadIdx.x];
#define STMATRIX(kind, registers)                                                                                 \
    v.fill(make_uint4(~0u, ~0u, ~0u, ~0u));                                                                       \
    asm volatile("stmatrix.sync.aligned.m8n8." kind ".shared.b16 [%4], {" registers "};" ::"r"(r.x), "r"(r.y),    \
                 "r"(r.z), "r"(r.w), "r"(v.address)                                                               \
                 : "memory");                                                                                     \
    v.put_tile();
        STMATRIX("x1", "%0") STMATRIX("x2", "%0, %1") STMATRIX("x4", "%0, %1, %2, %3")
        STMATRIX("x1.trans", "%0") STMATRIX("x2.trans", "%0, %1") STMATRIX("x4.trans", "%0, %1, %2, %3")
#undef STMATRIX
    }
};

// Each lane copies from its row to the same place of another row.
struct CpAsync {
    static __device__ __forceinline__ void run(Rows& v) {
        const uint64_t row = __cvta_generic_to_global(v.rows + threadIdx.x);
        const uint32_t word = threadIdx.x % 4 * 4, pair = threadIdx.x % 2 * 8;
#define CP_ASYNC(kind, shift, size, rest, ...)                                                                    \
    v.fill(make_uint4(~0u, ~0u, ~0u, ~0u));                                                                       \
    asm volatile("cp.async." kind ".shared.global [%0], [%1], " size rest ";" ::"r"(v.address + shift),           \
                 "l"(row + shift) __VA_OPT__(, ) __VA_ARGS__                                                      \
                 : "memory");                                                                                     \
    asm volatile("cp.async.commit_group;" ::: "memory");                                                          \
    asm volatile("cp.async.wait_group 0;" ::: "memory");                                                          \
    v.put_tile();
        CP_ASYNC("ca", word, "4", "") CP_ASYNC("ca", pair, "8", "") CP_ASYNC("ca", 0, "16", "") CP_ASYNC("cg", 0, "16", "")
        CP_ASYNC("ca", word, "4", ", %2", "r"(v.bytes % 5)) CP_ASYNC("ca", pair, "8", ", %2", "r"(v.bytes % 9))
        CP_ASYNC("ca", 0, "16", ", %2", "r"(v.bytes)) CP_ASYNC("cg", 0, "16", ", %2", "r"(v.bytes))
#undef CP_ASYNC
        // Two groups; the wait for all but one lets the second be late.
        v.fill(make_uint4(~0u, ~0u, ~0u, ~0u));
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(v.address), "l"(row) : "memory");
        asm volatile("cp.async.commit_group;" ::: "memory");
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(v.address + 8), "l"(row + 8) : "memory");
        asm volatile("cp.async.commit_group;" ::: "memory");
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        // Half a row: the other half may be under way.
        const uint2 first = *reinterpret_cast<const uint2*>(v.tile + threadIdx.x);
        v.put(first.x, first.y, 0, 0);
        asm volatile("cp.async.wait_all;" ::: "memory");
        v.put_tile();
    }
};

// Arrivals that copies make: the phase ends when all lanes' copies have landed.
struct CpAsyncArrive {
    static __device__ __forceinline__ void run(Rows& v) {
        __shared__ uint64_t word;
        const uint32_t barrier = ptx::shared_address(&word);
        if (threadIdx.x == 0)
            asm volatile("mbarrier.init.shared.b64 [%0], 32;" ::"r"(barrier) : "memory");
        v.fill(make_uint4(~0u, ~0u, ~0u, ~0u));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(v.address),
                     "l"(__cvta_generic_to_global(v.rows + threadIdx.x))
                     : "memory");
        asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
        uint32_t done = 0;
        // Far more turns than it takes: a machine that never gets there must not hang.
        for (uint32_t turn = 0; turn < 1 << 20 && !done; ++turn)
            asm volatile(
                "{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                : "=r"(done)
                : "r"(barrier)
                : "memory");
        v.put(done, 0, 0, 0);
        v.put_tile();
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_shared(const ProbeSharedParams& p) {
    __shared__ uint4 tile[32];
    const auto* words = static_cast<const uint32_t*>(p.in);
    probe::Rows v{tile, static_cast<const uint4*>(p.in),
                  ptx::shared_address(tile + words[128 + threadIdx.x]), words[160 + threadIdx.x],
                  static_cast<uint32_t*>(p.out) + threadIdx.x};
    Probe::run(v);
}

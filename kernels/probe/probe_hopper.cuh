// What came with Hopper: phases of an mbarrier, a TMA tile at the edges, wgmma from swizzled shared memory.
// PTX ISA §9.7.13.15, §9.7.9.25.5, §9.7.15.
//
// Operands   map   u8 matrix, box of 16 rows of 128, 128-byte swizzle
//            in    words, see each probe
//            out   words, see each probe
// Shared memory   dynamic, aligned here to 1024, the period of the swizzle.
// Floor   sm_90a.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "ptx/fence.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "ptx/wgmma.cuh"
#include "tile/swizzle.cuh"
#include "tile/wgmma_descriptor.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace probe {

__device__ __forceinline__ uint32_t test_wait_parity(uint32_t barrier, uint32_t parity) {
    uint32_t done;
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    return done;
}

// out[6, 32]: are the phases of parity 0 and 1 over: at first; with one arrival missing; when all have arrived; in the
// next phase with all arrivals but bytes missing; when they have come
struct Mbarrier {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        __shared__ uint64_t word;
        const uint32_t barrier = ptx::shared_address(&word), lane = threadIdx.x;
        uint32_t* out = static_cast<uint32_t*>(p.out) + lane;
        if (lane == 0) ptx::mbarrier_init(barrier, 32);
        __syncthreads();
        out[0] = test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
        __syncthreads();
        if (lane != 7) ptx::mbarrier_arrive(barrier);
        __syncthreads();
        out[32] = test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
        __syncthreads();
        if (lane == 7) ptx::mbarrier_arrive(barrier);
        __syncthreads();
        out[64] = test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
        __syncthreads();
        if (lane == 3) {
            ptx::mbarrier_arrive_expect_tx(barrier, 48);
        } else {
            ptx::mbarrier_arrive(barrier);
        }
        __syncthreads();
        out[96] = test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
        __syncthreads();
        if (lane == 0)
            asm volatile("mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [%0], 48;" ::"r"(barrier) : "memory");
        __syncthreads();
        out[128] = test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
        out[160] = ptx::mbarrier_try_wait_parity(barrier, 1);
    }
};

// in[blocks, 2]: column and row of each block's box; out[blocks, 512]: its 2048 bytes as they lie in shared memory
struct Tma {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        __shared__ uint64_t word;
        const auto* in = static_cast<const int32_t*>(p.in) + 2 * blockIdx.x;
        const uint32_t barrier = ptx::shared_address(&word), lane = threadIdx.x;
        const uint32_t tile = (ptx::shared_address(dynamic_shared) + 1023) & ~1023u;
        if (lane == 0) {
            ptx::mbarrier_init(barrier, 1);
            ptx::fence_mbarrier_init();
            ptx::mbarrier_arrive_expect_tx(barrier, 16 * 128);
            ptx::tma_load_2d(tile, &p.map, barrier, in[0], in[1]);
        }
        __syncthreads();
        while (!ptx::mbarrier_try_wait_parity(barrier, 0)) {
        }
        for (uint32_t i = lane; i < 512; i += blockDim.x)
            static_cast<int32_t*>(p.out)[512 * blockIdx.x + i] = ptx::ld_shared(tile + 4 * i);
    }
};

// in: A [64, 128] and B [128, 128] bytes; out[2, 64, 128]: register i of thread t of A * B^T over all of K, and over
// bytes 32..64 of K alone
struct Wgmma {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        const auto* in = static_cast<const int4*>(p.in);
        const uint32_t base = ptx::shared_address(dynamic_shared), a = (base + 1023) & ~1023u, b = a + 64 * 128;
        for (uint32_t i = threadIdx.x; i < (64 + 128) * 8; i += blockDim.x) {
            const uint32_t to = a + tile::Swizzle<128>::offset(i / 8, i % 8) - base;
            *reinterpret_cast<int4*>(dynamic_shared + to) = in[i];
        }
        ptx::fence_proxy_async();
        __syncthreads();
#pragma unroll
        for (uint32_t pass = 0; pass < 2; ++pass) {
            int32_t d[64];
            // Written for good before the fence: a constant would be moved in behind it.
#pragma unroll
            for (int i = 0; i < 64; ++i) asm volatile("mov.b32 %0, 0;" : "=r"(d[i]));
            ptx::wgmma_fence();
#pragma unroll
            for (uint32_t k = 0; k < 128; k += 32)
                if (pass == 0 || k == 32)
                    ptx::wgmma_m64n128k32_s8(d, tile::descriptor_swizzle_128(a + k),
                                             tile::descriptor_swizzle_128(b + k));
            ptx::wgmma_commit_group();
            ptx::wgmma_wait_group<0>(d);
            auto* out = static_cast<int32_t*>(p.out) + pass * 64 * 128 + threadIdx.x;
#pragma unroll
            for (int i = 0; i < 64; ++i) out[128 * i] = d[i];
        }
    }
};

}  // namespace probe

template <class Probe>
__device__ __forceinline__ void probe_hopper(const ProbeHopperParams& p) {
    Probe::run(p);
}

// What came with Hopper: phases of an mbarrier, bulk copies, TMA tiles of one to five dimensions at their edges.
// PTX ISA §9.7.13.15, §9.7.9.25.5.
//
// Operands   map   the tensor (TMA only)
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

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace probe {

__device__ __forceinline__ uint32_t test_wait_parity(uint32_t barrier, uint32_t parity) {
    uint32_t done;
    asm volatile(
        "{ .reg .pred p; mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    return done;
}

// Both parities: bit 0 and bit 1.
__device__ __forceinline__ uint32_t parities(uint32_t barrier) {
    return test_wait_parity(barrier, 0) | test_wait_parity(barrier, 1) << 1;
}

// Waits for parity 0, but not for ever: a machine that never gets there must not hang. 1 if it came.
__device__ __forceinline__ uint32_t wait(uint32_t barrier) {
    for (uint32_t turn = 0; turn < 1 << 16; ++turn)
        if (ptx::mbarrier_try_wait_parity(barrier, 0)) return 1;
    return 0;
}

// out[RESULTS, 32]: which parities' phases are over, and more, after each step below. The barrier takes 32 arrivals.
struct Mbarrier {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        __shared__ uint64_t word;
        const uint32_t barrier = ptx::shared_address(&word), lane = threadIdx.x;
        uint32_t* out = static_cast<uint32_t*>(p.out) + lane;
        const auto put = [&](uint32_t value) {
            __syncthreads();
            *out = value;
            out += 32;
        };
        const auto step = [&] {
            __syncthreads();
            const uint32_t both = parities(barrier);
            put(both);
        };
        if (lane == 0) ptx::mbarrier_init(barrier, 32);
        step();
        // One arrival is missing; then it comes.
        if (lane != 7) ptx::mbarrier_arrive(barrier);
        step();
        if (lane == 7) ptx::mbarrier_arrive(barrier);
        step();
        // All arrive, but 48 bytes are missing; then they come in two parts.
        if (lane == 3) {
            ptx::mbarrier_arrive_expect_tx(barrier, 48);
        } else {
            ptx::mbarrier_arrive(barrier);
        }
        step();
        if (lane == 0)
            asm volatile("mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [%0], 16;" ::"r"(barrier) : "memory");
        step();
        if (lane == 0)
            asm volatile("mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [%0], 32;" ::"r"(barrier) : "memory");
        step();
        put(ptx::mbarrier_try_wait_parity(barrier, 1));
        // Bytes expected without an arrival hold the phase too.
        if (lane == 0) asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], 8;" ::"r"(barrier) : "memory");
        __syncthreads();
        ptx::mbarrier_arrive(barrier);
        step();
        if (lane == 0)
            asm volatile("mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [%0], 8;" ::"r"(barrier) : "memory");
        step();
        // Bytes may come before they are expected.
        if (lane == 0)
            asm volatile("mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [%0], 24;" ::"r"(barrier) : "memory");
        step();
        if (lane == 0) {
            ptx::mbarrier_arrive_expect_tx(barrier, 24);
        } else {
            ptx::mbarrier_arrive(barrier);
        }
        step();
        // One lane arrives for many; the state it got tells its phase from the next one.
        uint64_t state = 0;
        if (lane == 0)
            asm volatile("mbarrier.arrive.shared::cta.b64 %0, [%1], 20;" : "=l"(state) : "r"(barrier) : "memory");
        step();
        uint32_t mine = 0;
        const auto test = [&] {
            __syncthreads();
            if (lane == 0)
                asm volatile(
                    "{ .reg .pred p; mbarrier.test_wait.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                    : "=r"(mine)
                    : "r"(barrier), "l"(state)
                    : "memory");
            put(mine);
        };
        test();
        if (lane < 12) ptx::mbarrier_arrive(barrier);
        test();
        if (lane == 0)
            asm volatile(
                "{ .reg .pred p; mbarrier.try_wait.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                : "=r"(mine)
                : "r"(barrier), "l"(state)
                : "memory");
        put(mine);
        step();
        // Invalid and made again, with one arrival.
        __syncthreads();
        if (lane == 0) {
            asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
            ptx::mbarrier_init(barrier, 1);
        }
        step();
        if (lane == 0) ptx::mbarrier_arrive(barrier);
        step();
        if (lane == 0) ptx::mbarrier_arrive(barrier);
        step();
    }
};

// in[256]; out[2, 256]: all but the first 16 bytes of it, behind 32 bytes of ones; then whether the copies came.
struct Bulk {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        __shared__ uint64_t word;
        __shared__ __align__(16) uint32_t tile[256];
        const uint32_t barrier = ptx::shared_address(&word), lane = threadIdx.x, at = ptx::shared_address(tile);
        for (uint32_t i = lane; i < 256; i += 32) tile[i] = ~0u;
        ptx::fence_proxy_async();
        __syncthreads();
        if (lane == 0) {
            const uint64_t from = __cvta_generic_to_global(p.in);
            ptx::mbarrier_init(barrier, 1);
            ptx::fence_mbarrier_init();
            ptx::mbarrier_arrive_expect_tx(barrier, 16 + 976);
            asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                             at + 32),
                         "l"(from + 16), "r"(16), "r"(barrier)
                         : "memory");
            asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                             at + 48),
                         "l"(from + 32), "r"(976), "r"(barrier)
                         : "memory");
        }
        __syncthreads();
        const uint32_t came = wait(barrier);
        auto* out = static_cast<uint32_t*>(p.out);
        for (uint32_t i = lane; i < 256; i += 32) out[i] = tile[i], out[256 + i] = came;
    }
};

// The box at `c` of a tensor of `rank` dimensions.
template <int RANK>
__device__ __forceinline__ void tma_load(uint32_t to, const void* map, uint32_t barrier, const int32_t* c) {
#define TMA(rank, places, ...)                                                                                   \
    asm volatile("cp.async.bulk.tensor." rank ".shared::cluster.global.tile.mbarrier::complete_tx::bytes "       \
                 "[%0], [%1, {" places "}], [%2];" ::"r"(to), "l"(map), "r"(barrier), __VA_ARGS__                \
                 : "memory");
    if constexpr (RANK == 1) TMA("1d", "%3", "r"(c[0]))
    if constexpr (RANK == 2) TMA("2d", "%3, %4", "r"(c[0]), "r"(c[1]))
    if constexpr (RANK == 3) TMA("3d", "%3, %4, %5", "r"(c[0]), "r"(c[1]), "r"(c[2]))
    if constexpr (RANK == 4) TMA("4d", "%3, %4, %5, %6", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]))
    if constexpr (RANK == 5) TMA("5d", "%3, %4, %5, %6, %7", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]))
#undef TMA
}

// in[0]: words of a box, then 5 coordinates for each block; out[blocks, words]: its box as it lies in shared memory
template <int RANK>
struct Tma {
    static __device__ __forceinline__ void run(const ProbeHopperParams& p) {
        __shared__ uint64_t word;
        const auto* in = static_cast<const int32_t*>(p.in);
        const uint32_t barrier = ptx::shared_address(&word), lane = threadIdx.x, words = in[0];
        const uint32_t tile = (ptx::shared_address(dynamic_shared) + 1023) & ~1023u;
        if (lane == 0) {
            ptx::mbarrier_init(barrier, 1);
            ptx::fence_mbarrier_init();
            ptx::mbarrier_arrive_expect_tx(barrier, 4 * words);
            tma_load<RANK>(tile, &p.map, barrier, in + 1 + 5 * blockIdx.x);
        }
        __syncthreads();
        const bool came = wait(barrier);
        for (uint32_t i = lane; i < words; i += blockDim.x)
            static_cast<int32_t*>(p.out)[words * blockIdx.x + i] = came ? ptx::ld_shared(tile + 4 * i) : 0x0bad0bad;
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_hopper(const ProbeHopperParams& p) {
    Probe::run(p);
}

// Instructions by which the lanes of a warp meet: shuffles, reductions, atomics. PTX ISA §9.7.9.6, §9.7.13.
//
// Operands   in    a[32], b[32] words
//            out   words, zero before the launch, see each probe
// Floor   sm_80, for redux.sync.
// Determinism   Exact: what depends on the order of lanes is not written.
#pragma once
#include <cstdint>

#include "params.cuh"

namespace probe {

constexpr uint32_t WARP = 0xffffffff;

// out[8, 32]: from lane b; from 3 below; from 5 above; from lane ^ 9; the same within groups of 8 lanes (b, 3, 5, 2)
struct Shuffle {
    static __device__ __forceinline__ void run(uint32_t* out, uint32_t lane, uint32_t a, uint32_t b) {
        out[lane] = __shfl_sync(WARP, a, b);
        out[32 + lane] = __shfl_up_sync(WARP, a, 3);
        out[64 + lane] = __shfl_down_sync(WARP, a, 5);
        out[96 + lane] = __shfl_xor_sync(WARP, a, 9);
        out[128 + lane] = __shfl_sync(WARP, a, b, 8);
        out[160 + lane] = __shfl_up_sync(WARP, a, 3, 8);
        out[192 + lane] = __shfl_down_sync(WARP, a, 5, 8);
        out[224 + lane] = __shfl_xor_sync(WARP, a, 2, 8);
    }
};

// out[8, 32]: sum, least and greatest unsigned, least and greatest signed, and, or, xor
struct Redux {
    static __device__ __forceinline__ void run(uint32_t* out, uint32_t lane, uint32_t a, uint32_t b) {
        out[lane] = __reduce_add_sync(WARP, a);
        out[32 + lane] = __reduce_min_sync(WARP, a);
        out[64 + lane] = __reduce_max_sync(WARP, a);
        out[96 + lane] = __reduce_min_sync(WARP, static_cast<int32_t>(a));
        out[128 + lane] = __reduce_max_sync(WARP, static_cast<int32_t>(a));
        out[160 + lane] = __reduce_and_sync(WARP, a | b);
        out[192 + lane] = __reduce_or_sync(WARP, a & b);
        out[224 + lane] = __reduce_xor_sync(WARP, a);
    }
};

// out[0..8]: add, or, xor, greatest unsigned, least signed, increment modulo 21, or then and, two compare-and-swaps;
// out[8..40]: how often the add of 1 to out[40] returned each of 0..32; out[41]: exchanges
struct Atomic {
    static __device__ __forceinline__ void run(uint32_t* out, uint32_t lane, uint32_t a, uint32_t b) {
        atomicAdd(out, a);
        atomicOr(out + 1, a & b);
        atomicXor(out + 2, a);
        atomicMax(out + 3, a);
        atomicMin(reinterpret_cast<int32_t*>(out + 4), static_cast<int32_t>(a));
        atomicInc(out + 5, 20);
        atomicOr(out + 6, a | b);
        __syncwarp();
        atomicAnd(out + 6, a | ~b);
        atomicCAS(out + 7, 0u, 1u);
        __syncwarp();
        atomicCAS(out + 7, 1u, 0xabcdu);
        atomicExch(out + 41, 0x1234u);
        const uint32_t ticket = atomicAdd(out + 40, 1u);
        atomicAdd(out + 8 + ticket, 1u);
    }
};

}  // namespace probe

template <class Probe>
__device__ __forceinline__ void probe_warp(const ProbeWarpParams& p) {
    const auto* in = static_cast<const uint32_t*>(p.in);
    const uint32_t lane = threadIdx.x;
    Probe::run(static_cast<uint32_t*>(p.out), lane, in[lane], in[32 + lane]);
}

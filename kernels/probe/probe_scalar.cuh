// Instructions of one thread whose edges matter: byte permutation, conversions, division. PTX ISA §9.7.7, §9.7.9.22.
//
// Operands   in    a[n], b[n], c[n] words
//            out   [results, n] words, see each probe
// Preconditions   n = 256 times the number of blocks.
// Floor   sm_80.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"

namespace probe {

// d = prmt(a, b, c)
struct Prmt {
    static constexpr int RESULTS = 1;
    static __device__ __forceinline__ void run(uint32_t (&d)[RESULTS], uint32_t a, uint32_t b, uint32_t c) {
        asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d[0]) : "r"(a), "r"(b), "r"(c));
    }
};

// a as f32: to s32, to s8 saturating, to f16, to bf16; the low half of b as f16: to f32; c as s32: to f32
struct Convert {
    static constexpr int RESULTS = 6;
    static __device__ __forceinline__ void run(uint32_t (&d)[RESULTS], uint32_t a, uint32_t b, uint32_t c) {
        const float x = __uint_as_float(a);
        uint16_t half, brain;
        float wide, whole;
        asm("cvt.rni.s32.f32 %0, %1;" : "=r"(d[0]) : "f"(x));
        asm("cvt.rni.sat.s8.f32 %0, %1;" : "=r"(d[1]) : "f"(x));
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(brain) : "f"(x));
        asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(static_cast<uint16_t>(b)));
        asm("cvt.rn.f32.s32 %0, %1;" : "=f"(whole) : "r"(c));
        d[2] = half, d[3] = brain, d[4] = __float_as_uint(wide), d[5] = __float_as_uint(whole);
    }
};

// a / b as f32, rounded to nearest
struct Divide {
    static constexpr int RESULTS = 1;
    static __device__ __forceinline__ void run(uint32_t (&d)[RESULTS], uint32_t a, uint32_t b, uint32_t) {
        d[0] = __float_as_uint(__fdiv_rn(__uint_as_float(a), __uint_as_float(b)));
    }
};

}  // namespace probe

template <class Probe>
__device__ __forceinline__ void probe_scalar(const ProbeScalarParams& p) {
    const auto* in = static_cast<const uint32_t*>(p.in);
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, n = p.n;
    uint32_t d[Probe::RESULTS];
    Probe::run(d, in[i], in[n + i], in[2 * n + i]);
#pragma unroll
    for (int r = 0; r < Probe::RESULTS; ++r) static_cast<uint32_t*>(p.out)[r * n + i] = d[r];
}

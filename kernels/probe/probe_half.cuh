// Half precision and bfloat16, single and in pairs. PTX ISA §9.7.4.
//
// Operands   in    a[n], b[n], c[n], e[n] words: pairs of halves; single ones are the low halves
//            out   [RESULTS, n] words, in the order of the instructions below
// Preconditions   n = 256 times the number of blocks.
// Floor   sm_80; sm_90 for sums and products of bfloat16.
// Determinism   Exact, but for ex2 and tanh.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "probe/scalar.cuh"

namespace probe {

struct HalfArithmetic {
    static __device__ __forceinline__ void run(Values& v) {
        H_HH("add.rn.f16") H_HH("add.ftz.f16") H_HH("add.sat.f16") H_HH("sub.rn.f16") H_HH("sub.ftz.sat.f16")
        H_HH("mul.rn.f16") H_HH("mul.ftz.f16") H_HH("mul.sat.f16") H_HHH("fma.rn.f16") H_HHH("fma.rn.ftz.f16")
        H_HHH("fma.rn.sat.f16") H_HHH("fma.rn.relu.f16") H_H("neg.f16") H_H("abs.f16") H_H("neg.ftz.f16")
        H_HH("min.f16") H_HH("max.f16") H_HH("min.NaN.f16") H_HH("max.ftz.NaN.f16")
        W_WW("add.rn.f16x2") W_WW("add.ftz.sat.f16x2") W_WW("sub.rn.f16x2") W_WW("mul.rn.f16x2") W_WW("mul.ftz.f16x2")
        W_WWW("fma.rn.f16x2") W_WWW("fma.rn.ftz.sat.f16x2") W_WWW("fma.rn.relu.f16x2")
        W_WW("min.f16x2") W_WW("max.f16x2") W_WW("min.ftz.NaN.f16x2") W_WW("max.NaN.f16x2")
        W_W("neg.f16x2") W_W("abs.f16x2")
        W_HH("set.eq.u32.f16") W_HH("set.lt.u32.f16") W_HH("set.geu.u32.f16") W_HH("set.nan.u32.f16")
        W_WW("set.lt.f16x2.f16x2") W_WW("set.neu.f16x2.f16x2")
    }
};

struct HalfBf16 {
    static __device__ __forceinline__ void run(Values& v) {
        H_HHH("fma.rn.bf16") H_HHH("fma.rn.relu.bf16") H_H("neg.bf16") H_H("abs.bf16")
        H_HH("min.bf16") H_HH("max.bf16") H_HH("min.NaN.bf16") H_HH("max.NaN.bf16")
        W_WWW("fma.rn.bf16x2") W_WWW("fma.rn.relu.bf16x2") W_W("neg.bf16x2") W_W("abs.bf16x2")
        W_WW("min.bf16x2") W_WW("max.bf16x2") W_WW("min.NaN.bf16x2") W_WW("max.NaN.bf16x2")
    }
};

// sm_90.
struct HalfBf16Sums {
    static __device__ __forceinline__ void run(Values& v) {
        H_HH("add.rn.bf16") H_HH("sub.rn.bf16") H_HH("mul.rn.bf16")
        W_WW("add.rn.bf16x2") W_WW("sub.rn.bf16x2") W_WW("mul.rn.bf16x2")
        W_HH("set.lt.u32.bf16") W_HH("set.equ.u32.bf16") W_WW("set.ge.bf16x2.bf16x2")
    }
};

// sm_86.
struct HalfXorsign {
    static __device__ __forceinline__ void run(Values& v) {
        H_HH("min.xorsign.abs.f16") H_HH("max.NaN.xorsign.abs.f16") W_WW("min.xorsign.abs.f16x2")
        W_WW("max.NaN.xorsign.abs.f16x2") H_HH("max.xorsign.abs.bf16") W_WW("min.NaN.xorsign.abs.bf16x2")
    }
};

struct HalfApproximate {
    static __device__ __forceinline__ void run(Values& v) {
        H_H("ex2.approx.f16") H_H("tanh.approx.f16") W_W("ex2.approx.f16x2") W_W("tanh.approx.f16x2")
    }
};

// sm_90.
struct HalfApproximateBf16 {
    static __device__ __forceinline__ void run(Values& v) {
        H_H("ex2.approx.ftz.bf16") H_H("tanh.approx.bf16") W_W("ex2.approx.ftz.bf16x2") W_W("tanh.approx.bf16x2")
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_half(const ProbeHalfParams& p) {
    probe::values<Probe, RESULTS>(p.in, p.out, p.n);
}

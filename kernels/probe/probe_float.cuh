// f32 and f64 arithmetic: every rounding, flushing of subnormals, saturation, NaN; approximations. PTX ISA §9.7.3.
//
// Operands   in    a[n], b[n], c[n], e[n] words: f32, or as pairs f64
//            out   [RESULTS, n] words, in the order of the instructions below; an f64 is two
// Preconditions   n = 256 times the number of blocks.
// Floor   sm_80.
// Determinism   Exact, but for the approximations, which keep within bounds that the PTX ISA states.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "probe/scalar.cuh"

namespace probe {

struct FloatArithmetic {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("add.rn.f32") W_WW("add.rz.f32") W_WW("add.rm.f32") W_WW("add.rp.f32")
        W_WW("add.rn.ftz.f32") W_WW("add.rz.ftz.f32") W_WW("add.rn.sat.f32") W_WW("add.rn.ftz.sat.f32")
        W_WW("sub.rn.f32") W_WW("sub.rm.f32") W_WW("sub.rp.ftz.f32") W_WW("sub.rz.sat.f32")
        W_WW("mul.rn.f32") W_WW("mul.rz.f32") W_WW("mul.rm.f32") W_WW("mul.rp.f32")
        W_WW("mul.rn.ftz.f32") W_WW("mul.rp.ftz.f32") W_WW("mul.rn.sat.f32") W_WW("mul.rn.ftz.sat.f32")
        W_WWW("fma.rn.f32") W_WWW("fma.rz.f32") W_WWW("fma.rm.f32") W_WWW("fma.rp.f32")
        W_WWW("fma.rn.ftz.f32") W_WWW("fma.rz.ftz.f32") W_WWW("fma.rn.sat.f32") W_WWW("fma.rn.ftz.sat.f32")
    }
};

struct FloatCompare {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("min.f32") W_WW("max.f32") W_WW("min.ftz.f32") W_WW("max.ftz.f32")
        W_WW("min.NaN.f32") W_WW("max.NaN.f32") W_WW("min.ftz.NaN.f32") W_WW("max.ftz.NaN.f32")
        W_W("abs.f32") W_W("neg.f32") W_W("abs.ftz.f32") W_W("neg.ftz.f32") W_WW("copysign.f32")
        W_WW("set.eq.u32.f32") W_WW("set.ne.u32.f32") W_WW("set.lt.u32.f32") W_WW("set.le.u32.f32")
        W_WW("set.gt.u32.f32") W_WW("set.ge.u32.f32") W_WW("set.equ.u32.f32") W_WW("set.neu.u32.f32")
        W_WW("set.ltu.u32.f32") W_WW("set.leu.u32.f32") W_WW("set.gtu.u32.f32") W_WW("set.geu.u32.f32")
        W_WW("set.num.u32.f32") W_WW("set.nan.u32.f32") W_WW("set.eq.ftz.u32.f32") W_WW("set.lt.ftz.f32.f32")
        W_WWW("slct.f32.f32") W_WWW("slct.ftz.f32.f32") W_WWW("slct.b32.s32")
    }
};

// sm_86: the sign is the product's, the size the smaller or greater.
struct FloatXorsign {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("min.xorsign.abs.f32") W_WW("max.xorsign.abs.f32") W_WW("min.NaN.xorsign.abs.f32")
        W_WW("max.ftz.NaN.xorsign.abs.f32")
    }
};

// Properties of a, and of (b, a) as f64.
struct FloatTest {
    static __device__ __forceinline__ void run(Values& v) {
#define TEST(kind, type, letter, value)                                                                          \
    PROBE(uint32_t, "r", "{ .reg .pred p; testp." kind "." type " p, %1; selp.u32 %0, 1, 0, p; }", letter(value))
#define TESTS(kind) TEST(kind, "f32", "r", v.a) TEST(kind, "f64", "d", v.dx())
        TESTS("finite") TESTS("infinite") TESTS("number") TESTS("notanumber") TESTS("normal") TESTS("subnormal")
#undef TESTS
#undef TEST
    }
};

struct FloatDivide {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("div.rn.f32") W_WW("div.rz.f32") W_WW("div.rm.f32") W_WW("div.rp.f32") W_WW("div.rn.ftz.f32")
        W_W("rcp.rn.f32") W_W("rcp.rz.f32") W_W("rcp.rm.f32") W_W("rcp.rp.f32") W_W("rcp.rn.ftz.f32")
        W_W("sqrt.rn.f32") W_W("sqrt.rz.f32") W_W("sqrt.rm.f32") W_W("sqrt.rp.f32") W_W("sqrt.rn.ftz.f32")
    }
};

// Within the bounds of §9.7.3, not exact.
struct FloatApproximate {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("div.approx.f32") W_WW("div.approx.ftz.f32") W_WW("div.full.f32") W_WW("div.full.ftz.f32")
        W_W("rcp.approx.f32") W_W("rcp.approx.ftz.f32") W_W("sqrt.approx.f32") W_W("sqrt.approx.ftz.f32")
        W_W("rsqrt.approx.f32") W_W("rsqrt.approx.ftz.f32") W_W("sin.approx.f32") W_W("cos.approx.f32")
        W_W("sin.approx.ftz.f32") W_W("cos.approx.ftz.f32") W_W("lg2.approx.f32") W_W("lg2.approx.ftz.f32")
        W_W("ex2.approx.f32") W_W("ex2.approx.ftz.f32") W_W("tanh.approx.f32")
    }
};

struct FloatDouble {
    static __device__ __forceinline__ void run(Values& v) {
        D_DD("add.rn.f64") D_DD("add.rz.f64") D_DD("add.rm.f64") D_DD("add.rp.f64")
        D_DD("mul.rn.f64") D_DD("mul.rz.f64") D_DD("mul.rm.f64") D_DD("mul.rp.f64")
        D_DDD("fma.rn.f64") D_DDD("fma.rz.f64") D_DDD("fma.rm.f64") D_DDD("fma.rp.f64")
        D_DD("div.rn.f64") D_DD("div.rz.f64") D_D("rcp.rn.f64") D_D("rcp.rp.f64")
        D_D("sqrt.rn.f64") D_D("sqrt.rm.f64") D_DD("min.f64") D_DD("max.f64") D_D("abs.f64") D_D("neg.f64")
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_float(const ProbeFloatParams& p) {
    probe::values<Probe, RESULTS>(p.in, p.out, p.n);
}

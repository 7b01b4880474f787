// Conversions: every rounding, saturation, .relu, flushing. PTX ISA §9.7.9.21, §9.7.9.22.
//
// Operands   in    a[n], b[n], c[n], e[n] words
//            out   [RESULTS, n] words, in the order of the instructions below; 64-bit results are two
// Preconditions   n = 256 times the number of blocks.
// Floor   sm_80; sm_89 for fp8; sm_90 where bfloat16 meets integers.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "probe/scalar.cuh"

namespace probe {

// a as f32, to integers.
struct ConvertToInteger {
    static __device__ __forceinline__ void run(Values& v) {
        W_W("cvt.rni.s32.f32") W_W("cvt.rzi.s32.f32") W_W("cvt.rmi.s32.f32") W_W("cvt.rpi.s32.f32")
        W_W("cvt.rni.u32.f32") W_W("cvt.rzi.u32.f32") W_W("cvt.rmi.u32.f32") W_W("cvt.rpi.u32.f32")
        W_W("cvt.rni.ftz.s32.f32") W_W("cvt.rpi.ftz.s32.f32") W_W("cvt.rzi.sat.s32.f32")
        W_W("cvt.rni.s8.f32") W_W("cvt.rni.sat.s8.f32") W_W("cvt.rzi.u8.f32") W_W("cvt.rni.sat.u8.f32")
        H_W("cvt.rni.s16.f32") H_W("cvt.rzi.sat.s16.f32") H_W("cvt.rmi.u16.f32") H_W("cvt.rpi.sat.u16.f32")
        L_W("cvt.rni.s64.f32") L_W("cvt.rzi.s64.f32") L_W("cvt.rmi.u64.f32") L_W("cvt.rpi.u64.f32")
    }
};

// a (and b) as f32, to other floats.
struct ConvertToFloat {
    static __device__ __forceinline__ void run(Values& v) {
        H_W("cvt.rn.f16.f32") H_W("cvt.rz.f16.f32") H_W("cvt.rm.f16.f32") H_W("cvt.rp.f16.f32")
        H_W("cvt.rn.ftz.f16.f32") H_W("cvt.rn.sat.f16.f32") H_W("cvt.rn.relu.f16.f32") H_W("cvt.rz.relu.f16.f32")
        H_W("cvt.rn.bf16.f32") H_W("cvt.rz.bf16.f32") H_W("cvt.rn.relu.bf16.f32")
        W_WW("cvt.rn.f16x2.f32") W_WW("cvt.rz.f16x2.f32") W_WW("cvt.rn.relu.f16x2.f32")
        W_WW("cvt.rn.bf16x2.f32") W_WW("cvt.rz.bf16x2.f32") W_WW("cvt.rz.relu.bf16x2.f32")
        W_W("cvt.rna.tf32.f32") W_W("cvt.rni.f32.f32") W_W("cvt.rzi.f32.f32") W_W("cvt.rmi.f32.f32")
        W_W("cvt.rpi.f32.f32") W_W("cvt.sat.f32.f32") W_W("cvt.ftz.f32.f32") W_W("cvt.rni.ftz.sat.f32.f32")
    }
};

// Integers in a, and in (b, a), to floats and among themselves.
struct ConvertFromInteger {
    static __device__ __forceinline__ void run(Values& v) {
        W_W("cvt.rn.f32.s32") W_W("cvt.rz.f32.s32") W_W("cvt.rm.f32.s32") W_W("cvt.rp.f32.s32")
        W_W("cvt.rn.f32.u32") W_W("cvt.rz.f32.u32") W_W("cvt.rm.f32.u32") W_W("cvt.rp.f32.u32")
        W_W("cvt.rn.f32.s8") W_W("cvt.rn.f32.u8") W_H("cvt.rn.f32.s16") W_H("cvt.rn.f32.u16")
        W_L("cvt.rn.f32.s64") W_L("cvt.rz.f32.s64") W_L("cvt.rm.f32.u64") W_L("cvt.rp.f32.u64")
        H_W("cvt.rn.f16.s32") H_W("cvt.rz.f16.u32") H_H("cvt.rm.f16.s16") H_H("cvt.rp.f16.u16")
        W_W("cvt.sat.s8.s32") W_W("cvt.sat.u8.s32") W_W("cvt.sat.s8.u32") W_W("cvt.sat.u8.u32")
        H_W("cvt.sat.s16.s32") H_W("cvt.sat.u16.s32") W_L("cvt.sat.s32.s64") W_L("cvt.sat.u32.s64")
        W_W("cvt.s32.s8") W_W("cvt.u32.u8") W_H("cvt.s32.s16") W_W("cvt.sat.u32.s32")
        W_WW("cvt.pack.sat.s16.s32") W_WW("cvt.pack.sat.u16.s32")
        W_WWW("cvt.pack.sat.s8.s32.b32") W_WWW("cvt.pack.sat.u8.s32.b32")
    }
};

// (b, a) as f64, a as f32 or integer to f64.
struct ConvertDouble {
    static __device__ __forceinline__ void run(Values& v) {
        W_D("cvt.rn.f32.f64") W_D("cvt.rz.f32.f64") W_D("cvt.rm.f32.f64") W_D("cvt.rp.f32.f64")
        W_D("cvt.rni.s32.f64") W_D("cvt.rzi.s32.f64") W_D("cvt.rmi.u32.f64") W_D("cvt.rpi.sat.u32.f64")
        H_D("cvt.rn.f16.f64") H_D("cvt.rz.f16.f64")
        L_D("cvt.rni.s64.f64") L_D("cvt.rzi.u64.f64") D_D("cvt.rni.f64.f64") D_D("cvt.rpi.f64.f64")
        D_W("cvt.f64.f32") D_W("cvt.rn.f64.s32") D_L("cvt.rn.f64.s64") D_L("cvt.rz.f64.u64") D_H("cvt.f64.f16")
    }
};

// Every value of 16 bits: a is 0..65536.
struct ConvertHalf {
    static __device__ __forceinline__ void run(Values& v) {
        W_H("cvt.f32.f16") W_H("cvt.ftz.f32.f16") W_H("cvt.sat.f32.f16")
        W_H("cvt.rni.s32.f16") W_H("cvt.rzi.s32.f16") W_H("cvt.rmi.u32.f16") W_H("cvt.rpi.u32.f16")
        W_H("cvt.rni.sat.s8.f16") W_H("cvt.rzi.sat.u8.f16") H_H("cvt.rni.s16.f16") H_H("cvt.rzi.sat.u16.f16")
        H_H("cvt.rni.f16.f16") H_H("cvt.rzi.f16.f16") H_H("cvt.rmi.f16.f16") H_H("cvt.rpi.f16.f16")
        H_H("cvt.sat.f16.f16") H_H("cvt.rn.f16.s16") H_H("cvt.rz.f16.u16") H_H("cvt.rn.f16.s8") H_H("cvt.rn.f16.u8")
        W_H("cvt.f32.bf16") H_H("neg.f16") H_H("abs.bf16")
    }
};

// sm_90, every value of 16 bits.
struct ConvertBf16 {
    static __device__ __forceinline__ void run(Values& v) {
        W_H("cvt.rni.s32.bf16") W_H("cvt.rzi.u32.bf16") H_H("cvt.rmi.s16.bf16") H_H("cvt.rpi.u16.bf16")
        H_H("cvt.rn.bf16.s16") H_H("cvt.rz.bf16.u16") H_H("cvt.rni.bf16.bf16") H_H("cvt.rpi.bf16.bf16")
    }
};

// sm_90: a (and b) as f32, clamped to what is finite; to tf32.
struct ConvertFinite {
    static __device__ __forceinline__ void run(Values& v) {
        H_W("cvt.rn.satfinite.f16.f32") H_W("cvt.rz.satfinite.f16.f32") H_W("cvt.rn.satfinite.bf16.f32")
        W_WW("cvt.rn.satfinite.f16x2.f32") W_WW("cvt.rn.satfinite.relu.f16x2.f32") W_WW("cvt.rz.satfinite.bf16x2.f32")
        W_W("cvt.rn.tf32.f32") W_W("cvt.rz.tf32.f32") W_W("cvt.rn.relu.tf32.f32") W_W("cvt.rz.relu.tf32.f32")
    }
};

// sm_89: pairs of fp8 to halves, every pair.
struct ConvertFp8Wide {
    static __device__ __forceinline__ void run(Values& v) {
        W_H("cvt.rn.f16x2.e4m3x2") W_H("cvt.rn.f16x2.e5m2x2")
        W_H("cvt.rn.relu.f16x2.e4m3x2") W_H("cvt.rn.relu.f16x2.e5m2x2")
    }
};

// sm_89: a, and its complement's bits, as two halves; every value of 16 bits.
struct ConvertFp8 {
    static __device__ __forceinline__ void run(Values& v) {
        H_W("cvt.rn.satfinite.e4m3x2.f16x2") H_W("cvt.rn.satfinite.e5m2x2.f16x2")
        H_W("cvt.rn.satfinite.relu.e4m3x2.f16x2") H_W("cvt.rn.satfinite.relu.e5m2x2.f16x2")
    }
};

// sm_89: a and b as f32.
struct ConvertFp8Pack {
    static __device__ __forceinline__ void run(Values& v) {
        H_WW("cvt.rn.satfinite.e4m3x2.f32") H_WW("cvt.rn.satfinite.e5m2x2.f32")
        H_WW("cvt.rn.satfinite.relu.e4m3x2.f32") H_WW("cvt.rn.satfinite.relu.e5m2x2.f32")
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_convert(const ProbeConvertParams& p) {
    probe::values<Probe, RESULTS>(p.in, p.out, p.n);
}

// Integers: carries, halves of products, saturation, bit fields, shifts beyond the width, byte permutation, dot
// products, all tables of lop3. PTX ISA §9.7.1, §9.7.2, §9.7.8, §9.7.9.7.
//
// Operands   in    a[n], b[n], c[n], e[n] words
//            out   [RESULTS, n] words, in the order of the instructions below; 64-bit results are two
// Preconditions   n = 256 times the number of blocks.
// Floor   sm_80.
// Determinism   Exact.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "probe/scalar.cuh"

namespace probe {

struct IntegerArithmetic {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("add.sat.s32") W_WW("sub.sat.s32") W_WW("mul.lo.s32") W_WW("mul.hi.s32") W_WW("mul.hi.u32")
        L_WW("mul.wide.s32") L_WW("mul.wide.u32") W_WW("mul24.lo.s32") W_WW("mul24.lo.u32") W_WWW("mad24.lo.s32")
        W_WWW("mad24.lo.u32") W_WWW("mad.lo.s32") W_WWW("mad.hi.s32") W_WWW("mad.hi.u32") W_WWW("mad.hi.sat.s32")
        L_WWL("mad.wide.s32") L_WWL("mad.wide.u32") W_WWW("sad.s32") W_WWW("sad.u32")
        W_WW("min.s32") W_WW("max.s32") W_WW("min.u32") W_WW("max.u32") W_W("abs.s32") W_W("neg.s32")
        H_HH("add.s16") H_HH("mul.lo.s16") H_HH("mul.hi.s16") H_HH("mul.hi.u16") W_HH("mul.wide.s16")
        W_HH("mul.wide.u16") H_HHH("mad.lo.s16") H_HHH("sad.s16") H_HHH("sad.u16") H_HH("min.s16") H_HH("max.u16")
        H_H("abs.s16") H_H("neg.s16")
        W_WWW("dp4a.s32.s32") W_WWW("dp4a.s32.u32") W_WWW("dp4a.u32.s32") W_WWW("dp4a.u32.u32")
        W_WWW("dp2a.lo.s32.s32") W_WWW("dp2a.lo.s32.u32") W_WWW("dp2a.lo.u32.s32") W_WWW("dp2a.lo.u32.u32")
        W_WWW("dp2a.hi.s32.s32") W_WWW("dp2a.hi.s32.u32") W_WWW("dp2a.hi.u32.s32") W_WWW("dp2a.hi.u32.u32")
    }
};

// Divisors are made odd, hence not zero; the least number by -1 is left out.
struct IntegerDivide {
    static __device__ __forceinline__ void run(Values& v) {
        v.b |= 1;
        v.a = v.a == 0x80000000u && v.b == ~0u ? 7u : v.a;
        W_WW("div.s32") W_WW("div.u32") W_WW("rem.s32") W_WW("rem.u32")
        v.a &= 0x7fff;
        H_HH("div.s16") H_HH("rem.u16")
        v.c |= 1, v.e &= 0x7fffffff;
        L_LL("div.s64") L_LL("div.u64") L_LL("rem.s64") L_LL("rem.u64")
    }
};

struct IntegerBits {
    static __device__ __forceinline__ void run(Values& v) {
        W_W("popc.b32") W_W("clz.b32") W_W("brev.b32") W_W("bfind.s32") W_W("bfind.u32")
        W_W("bfind.shiftamt.s32") W_W("bfind.shiftamt.u32") W_WWW("bfe.s32") W_WWW("bfe.u32") W_WWWW("bfi.b32")
        W_WWW("shf.l.wrap.b32") W_WWW("shf.l.clamp.b32") W_WWW("shf.r.wrap.b32") W_WWW("shf.r.clamp.b32")
        W_WW("shl.b32") W_WW("shr.s32") W_WW("shr.u32") W_W("not.b32") W_W("cnot.b32")
        PROBE(uint16_t, "h", "shl.b16 %0, %1, %2;", "h"(v.ha()), "r"(v.b))
        PROBE(uint16_t, "h", "shr.s16 %0, %1, %2;", "h"(v.ha()), "r"(v.b))
        PROBE(uint16_t, "h", "shr.u16 %0, %1, %2;", "h"(v.ha()), "r"(v.b))
        H_H("cnot.b16")
        W_L("popc.b64") W_L("clz.b64") W_L("bfind.s64") W_L("bfind.u64") W_L("bfind.shiftamt.u64")
        L_L("brev.b64") L_LWW("bfe.s64") L_LWW("bfe.u64") L_LW("shl.b64") L_LW("shr.s64") L_LW("shr.u64") L_L("cnot.b64")
        PROBE_WIDE("bfi.b64 %0, %1, %2, %3, %4;", "l"(v.x()), "l"(v.y()), "r"(v.c), "r"(v.e))
    }
};

struct IntegerWide {
    static __device__ __forceinline__ void run(Values& v) {
        L_LL("add.s64") L_LL("sub.s64") L_LL("mul.lo.s64") L_LL("mul.hi.s64") L_LL("mul.hi.u64") L_LLL("mad.lo.s64")
        L_LLL("mad.hi.s64") L_LLL("mad.hi.u64") L_LLL("sad.s64") L_LLL("sad.u64") L_LL("min.s64") L_LL("max.u64")
        L_L("abs.s64") L_L("neg.s64")
    }
};

// Chains of 96 bits from (c, b, a) and (a, e, c).
struct IntegerCarry {
    static __device__ __forceinline__ void run(Values& v) {
#define CHAIN(text)                                                                                         \
    {                                                                                                       \
        uint32_t d[3];                                                                                      \
        asm volatile(text : "=&r"(d[0]), "=&r"(d[1]), "=&r"(d[2]) : "r"(v.a), "r"(v.b), "r"(v.c), "r"(v.e)); \
        v.put(d[0]), v.put(d[1]), v.put(d[2]);                                                              \
    }
        CHAIN("{ add.cc.u32 %0, %3, %5; addc.cc.u32 %1, %4, %6; addc.u32 %2, %5, %3; }")
        CHAIN("{ sub.cc.u32 %0, %3, %5; subc.cc.u32 %1, %4, %6; subc.u32 %2, %5, %3; }")
        CHAIN("{ mad.lo.cc.u32 %0, %3, %4, %5; madc.hi.cc.u32 %1, %3, %4, %6; addc.u32 %2, 0, 0; }")
        CHAIN("{ mad.hi.cc.s32 %0, %3, %4, %5; madc.lo.cc.s32 %1, %5, %6, %3; addc.u32 %2, 0, 0; }")
#undef CHAIN
    }
};

// Masks, extensions from any bit, the n-th bit that is set, the upper part of 24-bit products.
struct IntegerMask {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("bmsk.clamp.b32") W_WW("bmsk.wrap.b32") W_WW("szext.clamp.s32") W_WW("szext.wrap.s32")
        W_WW("szext.clamp.u32") W_WW("szext.wrap.u32")
        PROBE(uint32_t, "r", "bmsk.clamp.b32 %0, %1, %2;", "r"(v.c), "r"(v.e))
        PROBE(uint32_t, "r", "bmsk.wrap.b32 %0, %1, %2;", "r"(v.c), "r"(v.e))
        PROBE(uint32_t, "r", "szext.clamp.s32 %0, %1, %2;", "r"(v.a), "r"(v.c))
        PROBE(uint32_t, "r", "szext.wrap.u32 %0, %1, %2;", "r"(v.a), "r"(v.c))
        PROBE(uint32_t, "r", "fns.b32 %0, %1, %2, %3;", "r"(v.a), "r"(v.c % 32), "r"(v.e - 20))
        PROBE(uint32_t, "r", "fns.b32 %0, %1, %2, %3;", "r"(v.a), "r"(v.e % 32), "r"((v.c & 7) - 3))
        W_WW("mul24.hi.s32") W_WW("mul24.hi.u32") W_WWW("mad24.hi.s32") W_WWW("mad24.hi.u32") W_WWW("mad24.hi.sat.s32")
    }
};

// sm_90: two 16-bit numbers a register, and results that are not negative.
struct IntegerPairs {
    static __device__ __forceinline__ void run(Values& v) {
        W_WW("add.u16x2") W_WW("add.s16x2") W_WW("min.u16x2") W_WW("max.u16x2") W_WW("min.s16x2") W_WW("max.s16x2")
        W_WW("min.relu.s16x2") W_WW("max.relu.s16x2") W_WW("min.relu.s32") W_WW("max.relu.s32")
    }
};

struct IntegerPrmt {
    static __device__ __forceinline__ void run(Values& v) {
        W_WWW("prmt.b32") W_WWW("prmt.b32.f4e") W_WWW("prmt.b32.b4e") W_WWW("prmt.b32.rc8") W_WWW("prmt.b32.ecl")
        W_WWW("prmt.b32.ecr") W_WWW("prmt.b32.rc16")
    }
};

// Table t is result t.
struct IntegerLop3 {
    // Tables FIRST to FIRST + COUNT.
    template <int FIRST, int COUNT>
    static __device__ __forceinline__ void tables(Values& v) {
        if constexpr (COUNT == 1) {
            uint32_t d;
            asm volatile("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(v.a), "r"(v.b), "r"(v.c), "n"(FIRST));
            v.put(d);
        } else {
            tables<FIRST, COUNT / 2>(v);
            tables<FIRST + COUNT / 2, COUNT / 2>(v);
        }
    }
    static __device__ __forceinline__ void run(Values& v) { tables<0, 256>(v); }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_integer(const ProbeIntegerParams& p) {
    probe::values<Probe, RESULTS>(p.in, p.out, p.n);
}

// Instructions by which the lanes of a warp meet, and atomics. PTX ISA §9.7.9.6, §9.7.13,
// §9.7.14.5.17 (movmatrix).
//
// Operands   in    a[n], b[n], c[n], e[n] words, 32 a warp
//            out   [RESULTS, n] words, zero before the launch, in the order of the instructions below
// Preconditions   n = 32 times the number of blocks; the grid has one for WarpAtomic.
// Floor   sm_80, for redux.sync; sm_90 for elect.sync.
// Determinism   Exact: what depends on the order of lanes is not written.
#pragma once
#include <cstdint>

#include "params.cuh"
#include "probe/scalar.cuh"
#include "ptx/shared.cuh"

namespace probe {

// Results: what a lane gets of a, then its predicate.
#define SHUFFLE(mode, from, clamp)                                                              \
    {                                                                                           \
        uint32_t d, p;                                                                          \
        asm volatile(                                                                           \
            "{ .reg .pred p; shfl.sync." mode ".b32 %0|p, %2, %3, " clamp ", 0xffffffff; "      \
            "selp.u32 %1, 1, 0, p; }"                                                           \
            : "=r"(d), "=r"(p)                                                                  \
            : "r"(v.a), "r"(from));                                                             \
        v.put(d), v.put(p);                                                                     \
    }

// Groups of 32, 16 and 8 lanes; b is any number.
struct Shuffle {
    static __device__ __forceinline__ void run(Values& v) {
        SHUFFLE("idx", v.b, "0x1f") SHUFFLE("up", v.b, "0") SHUFFLE("down", v.b, "0x1f") SHUFFLE("bfly", v.b, "0x1f")
        SHUFFLE("idx", v.b, "0x181f") SHUFFLE("up", v.b, "0x1800") SHUFFLE("down", v.b, "0x181f")
        SHUFFLE("bfly", v.b, "0x181f") SHUFFLE("idx", v.b, "0x100f") SHUFFLE("up", 3, "0") SHUFFLE("down", 5, "0x1f")
        SHUFFLE("bfly", 9, "0x1f") SHUFFLE("up", 3, "0x1800") SHUFFLE("down", 5, "0x181f") SHUFFLE("bfly", 2, "0x181f")
        SHUFFLE("down", v.b, "0x1003")
    }
};

// The predicate is bit 0 of c, then "any of bits 0-4 of c", which nearly all lanes have.
struct Vote {
    static __device__ __forceinline__ void run(Values& v) {
#define VOTE(mode, bits, test)                                                                                   \
    {                                                                                                            \
        uint32_t d;                                                                                              \
        asm volatile("{ .reg .pred p, q; .reg .b32 t; and.b32 t, %1, " bits "; setp." test ".u32 p, t, 0; "      \
                     "vote.sync." mode ".pred q, p, 0xffffffff; selp.u32 %0, 1, 0, q; }"                         \
                     : "=r"(d)                                                                                   \
                     : "r"(v.c));                                                                                \
        v.put(d);                                                                                                \
    }
#define BALLOT(bits, test)                                                                                       \
    {                                                                                                            \
        uint32_t d;                                                                                              \
        asm volatile("{ .reg .pred p; .reg .b32 t; and.b32 t, %1, " bits "; setp." test ".u32 p, t, 0; "         \
                     "vote.sync.ballot.b32 %0, p, 0xffffffff; }"                                                 \
                     : "=r"(d)                                                                                   \
                     : "r"(v.c));                                                                                \
        v.put(d);                                                                                                \
    }
        VOTE("all", "1", "ne") VOTE("any", "1", "ne") VOTE("uni", "1", "ne") VOTE("all", "31", "ne")
        VOTE("any", "31", "eq") VOTE("uni", "31", "ne") VOTE("all", "0", "eq") VOTE("any", "0", "ne")
        VOTE("uni", "0", "ne") BALLOT("1", "ne") BALLOT("31", "eq") BALLOT("0", "eq")
#undef VOTE
#undef BALLOT
        uint32_t active;
        asm volatile("activemask.b32 %0;" : "=r"(active));
        v.put(active);
    }
};

struct Match {
    static __device__ __forceinline__ void run(Values& v) {
        const uint32_t few = v.c & 3, same = v.c & 0, wide = v.c & 5;
        const uint64_t few_wide = static_cast<uint64_t>(wide) << 32 | few;
#define MATCH_ALL(type, letter, value)                                                                          \
    {                                                                                                           \
        uint32_t d, p;                                                                                          \
        asm volatile("{ .reg .pred p; match.all.sync." type " %0|p, %2, 0xffffffff; selp.u32 %1, 1, 0, p; }"    \
                     : "=r"(d), "=r"(p)                                                                         \
                     : letter(value));                                                                          \
        v.put(d), v.put(p);                                                                                     \
    }
        PROBE(uint32_t, "r", "match.any.sync.b32 %0, %1, 0xffffffff;", "r"(few))
        PROBE(uint32_t, "r", "match.any.sync.b32 %0, %1, 0xffffffff;", "r"(v.a))
        PROBE(uint32_t, "r", "match.any.sync.b64 %0, %1, 0xffffffff;", "l"(few_wide))
        MATCH_ALL("b32", "r", few) MATCH_ALL("b32", "r", same) MATCH_ALL("b64", "l", few_wide)
        MATCH_ALL("b64", "l", few_wide & 0)
#undef MATCH_ALL
    }
};

struct Redux {
    static __device__ __forceinline__ void run(Values& v) {
#define REDUX(op) PROBE(uint32_t, "r", "redux.sync." op " %0, %1, 0xffffffff;", "r"(v.a))
        REDUX("add.u32") REDUX("min.u32") REDUX("max.u32") REDUX("add.s32") REDUX("min.s32") REDUX("max.s32")
        REDUX("xor.b32")
        PROBE(uint32_t, "r", "redux.sync.and.b32 %0, %1, 0xffffffff;", "r"(v.a | v.b | v.c))
        PROBE(uint32_t, "r", "redux.sync.or.b32 %0, %1, 0xffffffff;", "r"(v.a & v.b & v.c))
#undef REDUX
    }
};

// An 8x8 matrix of halves in a, and one in b; element (row, column) lies in lane 4 row + column / 2.
struct Movmatrix {
    static __device__ __forceinline__ void run(Values& v) {
#define MOVMATRIX "movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;"
        PROBE(uint32_t, "r", MOVMATRIX, "r"(v.a)) PROBE(uint32_t, "r", MOVMATRIX, "r"(v.b))
#undef MOVMATRIX
    }
};

// sm_90. The elected lane's number, and who was elected: whichever it is, it is one lane and all agree on it.
struct Elect {
    static __device__ __forceinline__ void run(Values& v) {
        uint32_t d, p;
        asm volatile("{ .reg .pred p; elect.sync %0|p, 0xffffffff; selp.u32 %1, 1, 0, p; }" : "=r"(d), "=r"(p));
        v.put(d), v.put(p);
    }
};

// One warp: 32 lanes at one word, in sums that know no order. Word 0-6: add a, or a & b, xor a, greatest a, least a as
// s32, increment modulo 21, or then and; 7: two compare-and-swaps; 8-40: how often the add of 1 to word 64 returned each
// of 0..32; 65: exchange.
struct Atomic {
    static __device__ __forceinline__ void run(Values& v) {
        uint32_t* out = v.at - threadIdx.x;
        atomicAdd(out, v.a);
        atomicOr(out + 1, v.a & v.b);
        atomicXor(out + 2, v.a);
        atomicMax(out + 3, v.a);
        atomicMin(reinterpret_cast<int32_t*>(out + 4), static_cast<int32_t>(v.a));
        atomicInc(out + 5, 20);
        atomicOr(out + 6, v.a | v.b);
        __syncwarp();
        atomicAnd(out + 6, v.a | ~v.b);
        atomicCAS(out + 7, 0u, 1u);
        __syncwarp();
        atomicCAS(out + 7, 1u, 0xabcdu);
        atomicExch(out + 65, 0x1234u);
        const uint32_t ticket = atomicAdd(out + 64, 1u);
        atomicAdd(out + 8 + ticket, 1u);
    }
};

// A cell of 8 bytes holds x; one atomic of operand b or y (compare-and-swap with what is there every second time).
// Results: what it returned, what the cell holds then; with 64 bits two words each.
#define ATOM(space, cell, op, type, letter, bits, ...)                                       \
    {                                                                                        \
        asm volatile("st." space ".b64 [%0], %1;" ::cell, "l"(v.x()) : "memory");            \
        type old, now;                                                                       \
        asm volatile("atom." space "." op : "=" letter(old) : cell, __VA_ARGS__ : "memory"); \
        asm volatile("ld." space bits " %0, [%1];" : "=" letter(now) : cell : "memory");     \
        v.put(old), v.put(now);                                                              \
    }
#define ATOM_W(space, cell, op) ATOM(space, cell, op " %0, [%1], %2;", uint32_t, "r", ".b32", "r"(v.b))
#define ATOM_L(space, cell, op) ATOM(space, cell, op " %0, [%1], %2;", uint64_t, "l", ".b64", "l"(v.y()))
#define ATOM_D(space, cell, op)                                                               \
    {                                                                                         \
        asm volatile("st." space ".b64 [%0], %1;" ::cell, "l"(v.x()) : "memory");             \
        double old, now;                                                                      \
        asm volatile("atom." space "." op " %0, [%1], %2;" : "=d"(old) : cell, "d"(v.dy()) : "memory"); \
        asm volatile("ld." space ".f64 %0, [%1];" : "=d"(now) : cell : "memory");             \
        v.put(old), v.put(now);                                                               \
    }
#define ATOMS(space, cell)                                                                               \
    ATOM_W(space, cell, "add.u32") ATOM_W(space, cell, "add.f32") ATOM_W(space, cell, "add.noftz.f16x2") \
    ATOM_W(space, cell, "and.b32") ATOM_W(space, cell, "or.b32") ATOM_W(space, cell, "xor.b32")          \
    ATOM_W(space, cell, "exch.b32") ATOM_W(space, cell, "min.s32") ATOM_W(space, cell, "max.s32")        \
    ATOM_W(space, cell, "min.u32") ATOM_W(space, cell, "max.u32") ATOM_W(space, cell, "inc.u32")         \
    ATOM_W(space, cell, "dec.u32")                                                                       \
    ATOM(space, cell, "cas.b32 %0, [%1], %2, %3;", uint32_t, "r", ".b32", "r"(v.e & 1 ? v.a : v.b), "r"(v.c)) \
    ATOM_L(space, cell, "add.u64") ATOM_D(space, cell, "add.f64") ATOM_L(space, cell, "and.b64")         \
    ATOM_L(space, cell, "or.b64") ATOM_L(space, cell, "xor.b64") ATOM_L(space, cell, "exch.b64")         \
    ATOM_L(space, cell, "min.s64") ATOM_L(space, cell, "max.s64") ATOM_L(space, cell, "min.u64")         \
    ATOM_L(space, cell, "max.u64")                                                                       \
    ATOM(space, cell, "cas.b64 %0, [%1], %2, %3;", uint64_t, "l", ".b64", "l"(v.e & 1 ? v.x() : v.y()), "l"(v.y()))

struct AtomicShared {
    static __device__ __forceinline__ void run(Values& v) {
        __shared__ uint64_t cells[32];
        const uint32_t cell = ptx::shared_address(cells + threadIdx.x);
        ATOMS("shared", "r"(cell))
    }
};

// The cells are the last two results.
template <int RESULTS>
struct AtomicGlobal {
    static __device__ __forceinline__ void run(Values& v) {
        const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
        const uint64_t cell = __cvta_generic_to_global(v.at - i + (RESULTS - 2) * v.n + 2 * i);
        ATOMS("global", "l"(cell))
    }
};

// sm_90. Four numbers at once are added to those in a cell of 16 bytes: what was there, what is there then. The cells
// are the last four results.
struct AtomicVector {
    static __device__ __forceinline__ void run(Values& v) {
        const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
        const uint64_t cell = __cvta_generic_to_global(v.at - i + 16 * v.n + 4 * i);
#define VECTOR(op)                                                                                                    \
    {                                                                                                                 \
        uint32_t d[4];                                                                                                \
        asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(cell), "r"(v.a), "r"(v.b), "r"(v.c), "r"(v.e)   \
                     : "memory");                                                                                     \
        asm volatile(op " {%0, %1, %2, %3}, [%4], {%5, %6, %7, %8};"                                                  \
                     : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])                                                 \
                     : "l"(cell), "r"(v.b), "r"(v.c), "r"(v.e), "r"(v.a)                                              \
                     : "memory");                                                                                     \
        v.put(d[0]), v.put(d[1]), v.put(d[2]), v.put(d[3]);                                                           \
        asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"                                                       \
                     : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])                                                 \
                     : "l"(cell)                                                                                      \
                     : "memory");                                                                                     \
        v.put(d[0]), v.put(d[1]), v.put(d[2]), v.put(d[3]);                                                           \
    }
        VECTOR("atom.global.v4.f32.add") VECTOR("atom.global.v4.f16x2.add.noftz")
#undef VECTOR
    }
};

}  // namespace probe

template <class Probe, int RESULTS>
__device__ __forceinline__ void probe_warp(const ProbeWarpParams& p) {
    probe::values<Probe, RESULTS>(p.in, p.out, p.n);
}

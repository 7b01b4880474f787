// What the probes of one-thread instructions share: four operand words a thread, one output word a result.
#pragma once
#include <cstdint>

namespace probe {

// Operands of one thread, and where its results go: result r of value i is word r * n + i of the output.
struct Values {
    uint32_t a, b, c, e;
    uint32_t* at;
    uint32_t n;

    __device__ __forceinline__ void put(uint32_t word) {
        *at = word;
        at += n;
    }
    // Low word, then high word.
    __device__ __forceinline__ void put(uint64_t words) {
        put(static_cast<uint32_t>(words));
        put(static_cast<uint32_t>(words >> 32));
    }
    // Unpacked by hand: of a 64-bit register that an f64 was written to, ptxas would make a 32-bit word by converting.
    __device__ __forceinline__ void put(double value) {
        uint32_t low, high;
        asm("mov.b64 {%0, %1}, %2;" : "=r"(low), "=r"(high) : "d"(value));
        put(low);
        put(high);
    }
    __device__ __forceinline__ double dx() const { return __longlong_as_double(x()); }
    __device__ __forceinline__ double dy() const { return __longlong_as_double(y()); }
    __device__ __forceinline__ double dz() const { return __longlong_as_double(x() ^ y()); }
    __device__ __forceinline__ uint64_t x() const { return a | static_cast<uint64_t>(b) << 32; }
    __device__ __forceinline__ uint64_t y() const { return c | static_cast<uint64_t>(e) << 32; }
    __device__ __forceinline__ uint16_t ha() const { return static_cast<uint16_t>(a); }
    __device__ __forceinline__ uint16_t hb() const { return static_cast<uint16_t>(b); }
    __device__ __forceinline__ uint16_t hc() const { return static_cast<uint16_t>(c); }
};

// in[4, n]: words a, b, c, e of each value. n is the number of threads of the grid.
template <class Probe, int RESULTS>
__device__ __forceinline__ void values(const void* in, void* out, uint32_t n) {
    const auto* words = static_cast<const uint32_t*>(in);
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    Values v{words[i], words[n + i], words[2 * n + i], words[3 * n + i], static_cast<uint32_t*>(out) + i, n};
    Probe::run(v);
}

}  // namespace probe

// One instruction and its result. First letter of the name: the result (W 32 bits, H 16, L 64, D an f64); then the
// operands: W a, b, c; H their low halves; L and D the pairs (b, a) and (e, c). W serves f32 as well.
#define PROBE(type, letter, text, ...)                        \
    {                                                         \
        type d;                                               \
        asm volatile(text : "=" letter(d) : __VA_ARGS__);     \
        v.put(static_cast<uint32_t>(d));                      \
    }
#define PROBE_WIDE(text, ...)                                 \
    {                                                         \
        unsigned long long d;                                 \
        asm volatile(text : "=l"(d) : __VA_ARGS__);           \
        v.put(static_cast<uint64_t>(d));                      \
    }
#define W_W(op) PROBE(uint32_t, "r", op " %0, %1;", "r"(v.a))
#define W_WW(op) PROBE(uint32_t, "r", op " %0, %1, %2;", "r"(v.a), "r"(v.b))
#define W_WWW(op) PROBE(uint32_t, "r", op " %0, %1, %2, %3;", "r"(v.a), "r"(v.b), "r"(v.c))
#define W_WWWW(op) PROBE(uint32_t, "r", op " %0, %1, %2, %3, %4;", "r"(v.a), "r"(v.b), "r"(v.c), "r"(v.e))
#define W_H(op) PROBE(uint32_t, "r", op " %0, %1;", "h"(v.ha()))
#define W_HH(op) PROBE(uint32_t, "r", op " %0, %1, %2;", "h"(v.ha()), "h"(v.hb()))
#define W_HHW(op) PROBE(uint32_t, "r", op " %0, %1, %2, %3;", "h"(v.ha()), "h"(v.hb()), "r"(v.c))
#define W_L(op) PROBE(uint32_t, "r", op " %0, %1;", "l"(v.x()))
#define W_LL(op) PROBE(uint32_t, "r", op " %0, %1, %2;", "l"(v.x()), "l"(v.y()))
#define H_H(op) PROBE(uint16_t, "h", op " %0, %1;", "h"(v.ha()))
#define H_HH(op) PROBE(uint16_t, "h", op " %0, %1, %2;", "h"(v.ha()), "h"(v.hb()))
#define H_HHH(op) PROBE(uint16_t, "h", op " %0, %1, %2, %3;", "h"(v.ha()), "h"(v.hb()), "h"(v.hc()))
#define H_W(op) PROBE(uint16_t, "h", op " %0, %1;", "r"(v.a))
#define H_WW(op) PROBE(uint16_t, "h", op " %0, %1, %2;", "r"(v.a), "r"(v.b))
#define H_L(op) PROBE(uint16_t, "h", op " %0, %1;", "l"(v.x()))
#define L_W(op) PROBE_WIDE(op " %0, %1;", "r"(v.a))
#define L_WW(op) PROBE_WIDE(op " %0, %1, %2;", "r"(v.a), "r"(v.b))
#define L_WWL(op) PROBE_WIDE(op " %0, %1, %2, %3;", "r"(v.a), "r"(v.b), "l"(v.y()))
#define L_H(op) PROBE_WIDE(op " %0, %1;", "h"(v.ha()))
#define L_L(op) PROBE_WIDE(op " %0, %1;", "l"(v.x()))
#define L_LL(op) PROBE_WIDE(op " %0, %1, %2;", "l"(v.x()), "l"(v.y()))
#define L_LLL(op) PROBE_WIDE(op " %0, %1, %2, %3;", "l"(v.x()), "l"(v.y()), "l"(v.x() ^ v.y()))
#define L_LW(op) PROBE_WIDE(op " %0, %1, %2;", "l"(v.x()), "r"(v.c))
#define L_LWW(op) PROBE_WIDE(op " %0, %1, %2, %3;", "l"(v.x()), "r"(v.c), "r"(v.e))
#define PROBE_DOUBLE(text, ...)                      \
    {                                                \
        double d;                                    \
        asm volatile(text : "=d"(d) : __VA_ARGS__);  \
        v.put(d);                                    \
    }
#define D_D(op) PROBE_DOUBLE(op " %0, %1;", "d"(v.dx()))
#define D_DD(op) PROBE_DOUBLE(op " %0, %1, %2;", "d"(v.dx()), "d"(v.dy()))
#define D_DDD(op) PROBE_DOUBLE(op " %0, %1, %2, %3;", "d"(v.dx()), "d"(v.dy()), "d"(v.dz()))
#define D_W(op) PROBE_DOUBLE(op " %0, %1;", "r"(v.a))
#define D_H(op) PROBE_DOUBLE(op " %0, %1;", "h"(v.ha()))
#define D_L(op) PROBE_DOUBLE(op " %0, %1;", "l"(v.x()))
#define W_D(op) PROBE(uint32_t, "r", op " %0, %1;", "d"(v.dx()))
#define H_D(op) PROBE(uint16_t, "h", op " %0, %1;", "d"(v.dx()))
#define L_D(op) PROBE_WIDE(op " %0, %1;", "d"(v.dx()))

// Where the tokens of a sequence lie, in memory and in what quantizers make of them.
//
// Sequences of a batch lie `most` tokens each, or one after the other (packed): then cu_seqlens says where each begins
// and where the last ends. `lens` may make each shorter. Nothing that either says leads past the tokens there are.
//
// What attention wants by runs of 64 tokens (scales, values turned) has positions: those of a sequence begin at a
// multiple of 64. Of packed ones the first is floor64(begin) + 64 * b, which needs no sum over the sequences before
// and never meets the next: floor64(x + n) + 64 >= floor64(x) + ceil64(n).
#pragma once
#include <cstdint>

#include "attention/sequence.cuh"

namespace attention {

struct Tokens {
    uint32_t begin;     // packed: the first token; else 0
    uint32_t count;     // tokens
    uint32_t position;  // packed: the first position; else 0
    uint32_t batch;     // packed: 0; else the sequence, by which strides of a batch count
    bool bad;           // lengths were not as they should be, and are cut (attention/sequence.cuh)
};

__device__ __forceinline__ Tokens tokens(const void* cu_seqlens, const void* lens, uint32_t b, uint32_t most,
                                         uint32_t total) {
    Tokens of{0, most, 0, b, false};
    const Run run = run_of(cu_seqlens, lens, b, most, total, of.bad);
    of.count = run.length;
    if (cu_seqlens != nullptr) {
        of.begin = run.first;
        of.position = of.begin / 64 * 64 + 64 * b;
        of.batch = 0;
    }
    return of;
}

}  // namespace attention

// How long the sequences of a batch are: all alike, of given lengths (padding), or one after the other (varlen).
//
//     all alike      sequence b holds max_queries queries and max_keys keys
//     padding        of which lens_q[b] and lens_k[b] count; what lies past them is neither read nor written
//     varlen         tokens cu_q[b]..cu_q[b + 1] of one run of total_q, and likewise keys (lens_k may shorten them)
//
// Lengths that live on the device can be wrong. They are cut to what the plan and the buffers allow, so that nothing past an
// end is touched, and bit 1 of the status word says so.
#pragma once
#include <cstdint>

#include "params.cuh"

namespace attention {

// Bits of the status word.
constexpr uint32_t BAD_LENGTH = 2, BAD_PAGE = 4;

__device__ __forceinline__ void raise(void* status, uint32_t bit) {
    if (status != nullptr) atomicOr(static_cast<uint32_t*>(status), bit);
}

// A run of tokens.
struct Run {
    uint32_t first, length;
};

// Tokens of sequence b; one that begins past the end has none. `bad` is set where the lengths are not as they should be.
__device__ __forceinline__ Run run_of(const void* cu, const void* lens, uint32_t b, uint32_t most, uint32_t total, bool& bad) {
    Run run = {0, most};
    if (cu != nullptr) {
        const uint32_t begin = static_cast<const uint32_t*>(cu)[b], end = static_cast<const uint32_t*>(cu)[b + 1];
        run.first = begin;
        run.length = min(max(min(end, total), begin) - begin, most);
        bad |= run.length != end - begin;
    }
    if (lens != nullptr) {
        const uint32_t length = static_cast<const uint32_t*>(lens)[b];
        bad |= length > run.length;
        run.length = min(length, run.length);
    }
    return run;
}

}  // namespace attention

// A mask of bits over the last keys of a sequence: row i says by bit c whether query i sees key sk - columns + c. Keys before
// them are not masked by it. Trees of guessed tokens are such masks, with columns = sq; with columns >= sk it is any mask.
//
//     prefix  |  last `columns` keys       words of 32 bits, the first key in the lowest bit,
//     1 1 1 1 |  1 0 0 0                   rows `mask_row` words apart
//     1 1 1 1 |  1 1 0 0
//     1 1 1 1 |  1 0 1 0                   a sibling does not see its sibling
#pragma once
#include <cstdint>

#include "attention/window.cuh"

namespace attention {

struct TreeMask {
    const uint32_t* words;  // of this sequence; or null
    int64_t row;            // words from a query's to the next's
    int32_t columns;
    int32_t begin;          // the key of bit 0; may be negative

    // True where the mask says nothing about a tile.
    __device__ __forceinline__ bool silent(int32_t tile) const { return words == nullptr || tile * KEYS + KEYS <= begin; }

    // The bits of a query for the keys of a tile, the first key in the lowest.
    __device__ __forceinline__ uint64_t bits(int32_t token, int32_t tile) const {
        const int32_t bit = tile * KEYS - begin, word = bit >> 5;
        uint32_t window[3];
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            const int32_t at = word + i;
            window[i] = at < 0 ? 0xffffffff : at * 32 < columns ? words[token * row + at] : 0;
        }
        const uint32_t low = __funnelshift_r(window[0], window[1], bit), high = __funnelshift_r(window[1], window[2], bit);
        return static_cast<uint64_t>(high) << 32 | low;
    }

    // Sets the scores to -inf of the keys that `bits` does not have; `column` is that of this lane's first element in the tile.
    template <int HALF, int FRAGMENTS>
    __device__ __forceinline__ static void mask(float (&scores)[FRAGMENTS][4], uint64_t bits, uint32_t column) {
        const uint32_t halves[2] = {static_cast<uint32_t>(bits) >> column, static_cast<uint32_t>(bits >> 32) >> column};
#pragma unroll
        for (int j = 0; j < FRAGMENTS; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e)
                if (!(halves[j / 4] >> (j % 4 * 8 + e) & 1)) scores[j][2 * HALF + e] = minus_infinity();
    }
};

}  // namespace attention

// Which keys a query may see by where they stand: causal masks, windows, kept first keys, and the end of the sequence.
//
// Queries and keys are aligned at their ends: query i stands at key p = i + sk - sq. It sees key j where
//
//     p - left <= j <= p + right        (causal: right = 0; no limit: UNLIMITED)
//     or j < keep and j <= p + right    (the first keys that a sliding window keeps)
//     and j < sk                        (nothing past the end is ever read)
//
//           keys ->                              sq = 3, sk = 7, left = 2, right = 0, keep = 1
//     i = 0  # . # # # . .                       p = 4
//     i = 1  # . . # # # .
//     i = 2  # . . . # # #
//
// A tile of keys is visited if a row of the block sees one of its keys: those of a range, and before it the kept ones.
#pragma once
#include <cstdint>

#include "attention/state.cuh"
#include "tile/scheduler.cuh"

namespace attention {

// Keys of a tile.
constexpr int32_t KEYS = 64;

// No limit. Positions are below 2^30, so sums of two stay within 32 bits.
constexpr int32_t UNLIMITED = 1 << 30;

struct Window {
    int32_t offset;  // sk - sq
    int32_t left, right, keep;
    int32_t keys;  // sk

    __device__ __forceinline__ int32_t position(int32_t token) const { return token + offset; }
    // The last key that a query may see, and the first but for kept ones; may lie outside the sequence.
    __device__ __forceinline__ int32_t last(int32_t token) const { return min(keys - 1, position(token) + right); }
    __device__ __forceinline__ int32_t first(int32_t token) const { return position(token) - left; }

    // Sets the scores to -inf of the keys that a query does not see: `column` is the key of the first element of this lane.
    template <int HALF, int FRAGMENTS>
    __device__ __forceinline__ void mask(float (&scores)[FRAGMENTS][4], int32_t token, int32_t column) const {
        const int32_t high = last(token) - column, low = first(token) - column, kept = keep - column;
#pragma unroll
        for (int j = 0; j < FRAGMENTS; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                const int32_t at = 8 * j + e;
                if (at > high || (at < low && at >= kept)) scores[j][2 * HALF + e] = minus_infinity();
            }
    }
};

// The tiles of keys that a block visits, from the first to the last.
struct Tiles {
    int32_t kept;         // tiles of kept keys, from 0 on
    int32_t begin, end;   // and of those in the window
    int32_t whole_begin;  // first key of tiles that every row sees wholly (but for kept ones), and the key past them
    int32_t whole_end;

    // Of queries first..=last.
    __device__ __forceinline__ Tiles(const Window& window, int32_t first, int32_t last) {
        const int32_t past = max(window.last(last) + 1, 0);
        begin = max(window.first(first), 0) / KEYS;
        end = tile::div_ceil(past, KEYS);
        kept = min(tile::div_ceil(min(window.keep, past), KEYS), static_cast<uint32_t>(begin));
        whole_begin = window.first(last);
        whole_end = window.last(first) + 1;
    }
    // The first tile from `at` on that is to be visited; `end` or more: none.
    __device__ __forceinline__ int32_t from(int32_t at) const { return at < kept ? at : max(at, begin); }
    __device__ __forceinline__ bool whole(int32_t tile) const {
        return tile * KEYS >= whole_begin && tile * KEYS + KEYS <= whole_end;
    }
};

}  // namespace attention

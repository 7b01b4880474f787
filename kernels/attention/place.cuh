// Which rows of which head a block works on.
//
// A row is a query of a head. Where `pack` query heads share a head of keys, a block may take them together, so that few
// queries fill a tile (multi-query attention with 48 heads reads its keys once, not 48 times):
//
//     pack = 1    row r is query r                    pack = 4    rows 0 1 2 3 are query 0 of four heads, 4 5 6 7 query 1
//
// Blocks are numbered so that those that run at the same time share keys and values in L2: `section` heads at a time, tile
// after tile of each. With a causal mask the last tiles, which see most keys, come first (longest processing time first).
// With varlen a block finds its sequence itself: the tiles of all sequences stand in a row, at most total / TILE_M + batch.
#pragma once
#include <cstdint>

#include "attention/sequence.cuh"
#include "tile/scheduler.cuh"

namespace attention {

constexpr uint32_t DESCENDING = 1, OUT_F32 = 2, BIAS_F32 = 4;  // bits of `flags`

struct Block {
    uint32_t sequence;
    uint32_t head;      // first of the heads that it takes together
    uint32_t row;       // first row
    Run queries, keys;  // of the sequence
};

// False if there is nothing to do.
template <int TILE_M>
__device__ __forceinline__ bool block_of(const AttentionPrefillParams& p, Block& block) {
    const uint32_t groups = p.heads / p.pack;
    const bool varlen = p.cu_q != nullptr;
    const uint32_t pairs = varlen ? groups : groups * p.batch;
    const uint32_t in_section = blockIdx.x % (p.section * p.tiles), first = blockIdx.x / (p.section * p.tiles) * p.section;
    const uint32_t width = min(p.section, pairs - first), pair = first + in_section % width;
    uint32_t tile = in_section / width;
    if (p.flags & DESCENDING) tile = p.tiles - 1 - tile;

    bool bad = false;
    block.head = pair % groups * p.pack;
    block.sequence = pair / groups;
    if (varlen) {
        // Each lane counts the tiles of one sequence; the last one that begins at or before `tile` is ours.
        const uint32_t lane = threadIdx.x % 32;
        uint32_t before = 0, base = 0;
        for (;; base += 32) {
            const uint32_t b = base + lane;
            uint32_t tiles = 0;
            if (b < p.batch) {
                const Run run = run_of(p.cu_q, p.lens_q, b, p.max_q, p.total_q, bad);
                tiles = tile::div_ceil(run.length * p.pack, TILE_M);
            }
            uint32_t until = tiles;
#pragma unroll
            for (int step = 1; step < 32; step *= 2) {
                const uint32_t other = __shfl_up_sync(0xffffffff, until, step);
                if (lane >= step) until += other;
            }
            const uint32_t here = __ballot_sync(0xffffffff, before + until > tile);
            if (here != 0) {
                const int owner = __ffs(here) - 1;
                block.sequence = base + owner;
                tile -= before + __shfl_sync(0xffffffff, until - tiles, owner);
                break;
            }
            before += __shfl_sync(0xffffffff, until, 31);
            if (base + 32 >= p.batch) {
                // No tile is left for this block; where all lengths were cut to 0, nobody else would tell.
                if (__any_sync(0xffffffff, bad) && threadIdx.x == 0) raise(p.status, BAD_LENGTH);
                return false;
            }
        }
        bad = __any_sync(0xffffffff, bad);
    }
    block.row = tile * TILE_M;
    block.queries = run_of(p.cu_q, p.lens_q, block.sequence, p.max_q, p.total_q, bad);
    block.keys = run_of(p.cu_k, p.lens_k, block.sequence, p.max_k, p.total_k, bad);
    if (bad && threadIdx.x == 0) raise(p.status, BAD_LENGTH);
    return block.row < block.queries.length * p.pack;
}

}  // namespace attention

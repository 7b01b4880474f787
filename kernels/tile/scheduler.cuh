// Which tile of the product a block works on.
#pragma once
#include <cstdint>

namespace tile {

// Tiles are walked in groups of GROUP_ROWS rows of tiles, down the rows of a group first:
//
//     0  2 | 4  ...          GROUP_ROWS = 2: blocks that run at the same time form a patch of the output that is about
//     1  3 | 5               as high as wide, so that they share both rows of a and rows of b in L2.
//     -----+---
//     n  ...
//
// The slices of K of one tile are neighbours: their partial sums meet while they are still in L2.
struct Place {
    uint32_t m, n;      // tile coordinates
    uint32_t slice;     // slice of K, 0..split_k
    uint32_t tile;      // number of the tile in this walk, 0..tiles_m * tiles_n, of all matrices of a batch before it too
    uint32_t batch;     // matrix of the batch
};

constexpr uint32_t GROUP_ROWS = 8;

__host__ __device__ constexpr uint32_t div_ceil(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }

// The place of block `id` of tiles_m * tiles_n * split_k for each matrix of a batch, one matrix after the other.
__host__ __device__ __forceinline__ Place place_of(uint32_t id, uint32_t tiles_m, uint32_t tiles_n, uint32_t split_k) {
    Place place;
    place.tile = id / split_k;
    place.slice = id % split_k;
    place.batch = place.tile / (tiles_m * tiles_n);
    const uint32_t in_matrix = place.tile % (tiles_m * tiles_n);
    const uint32_t group_tiles = GROUP_ROWS * tiles_n;
    const uint32_t first_row = in_matrix / group_tiles * GROUP_ROWS;
    const uint32_t rows = tiles_m - first_row < GROUP_ROWS ? tiles_m - first_row : GROUP_ROWS;
    const uint32_t in_group = in_matrix % group_tiles;
    place.m = first_row + in_group % rows;
    place.n = in_group / rows;
    return place;
}

}  // namespace tile

// A warp's way from accumulator fragments to rows: 16 x COLUMNS int32 through shared memory.
//
// The accumulators of mma hold two neighbouring columns a lane; stores to global memory want whole rows. Each warp has
// a stage of its own, so it needs no block-wide barrier. Four int32 (a quad, 16 bytes) stay together; quad q of row
// r stands at place q ^ s(r) of its row, where
//
//     COLUMNS = 32    8 quads a row    s(r) = 2 * (r % 4)
//     COLUMNS = 16    4 quads a row    s(r) = 2 * (r / 2 % 2)
//
// Fragments are written 8 bytes a lane, 16 lanes at a time: 4 rows x 2 quads, which s spreads over all 8 places of a
// line of banks. Rows are read 16 bytes a lane, 8 lanes at a time (one row of 8 quads or two of 4), or 4 bytes a lane,
// 32 lanes at a time (one row or two): whole lines both. No access meets a bank conflict.
#pragma once
#include <cstdint>

#include "ptx/shared.cuh"
#include "tile/fragment.cuh"

namespace tile {

template <int COLUMNS>
struct Stage {
    static_assert(COLUMNS == 16 || COLUMNS == 32, "see s(r)");
    static constexpr int ROWS = 16;
    static constexpr int QUADS = COLUMNS / 4;
    static constexpr int BYTES = ROWS * COLUMNS * 4;
    static constexpr int FRAGMENTS = COLUMNS / 8;

    uint32_t base;  // shared address, 16-byte aligned, this warp's own

    __host__ __device__ static constexpr uint32_t place(uint32_t row, uint32_t quad) {
        return quad ^ (2 * (row / (8 / QUADS) % (QUADS / 2)));
    }

    // Byte offset of an element; the four of a quad are neighbours.
    __host__ __device__ static constexpr uint32_t offset(uint32_t row, uint32_t column) {
        return ((row * QUADS + place(row, column / 4)) * 4 + column % 4) * 4;
    }

    // Registers i and i + 1 (i even) of the fragment of columns 8 * fragment..+8.
    __device__ __forceinline__ void write(uint32_t lane, uint32_t fragment, uint32_t i, int32_t d0, int32_t d1) const {
        const RowColumn at = accumulator(lane, i);
        ptx::st_shared_v2(base + offset(at.row, fragment * 8 + at.column), d0, d1);
    }

    __device__ __forceinline__ int4 quad(uint32_t row, uint32_t quad) const {
        return ptx::ld_shared_v4(base + offset(row, quad * 4));
    }

    __device__ __forceinline__ int32_t word(uint32_t row, uint32_t column) const {
        return ptx::ld_shared(base + offset(row, column));
    }
};

}  // namespace tile

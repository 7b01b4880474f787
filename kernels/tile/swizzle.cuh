// Where the 16-byte chunks of a tile sit in shared memory, so that nothing that touches them meets a bank conflict.
//
// Shared memory is 32 banks of 4 bytes: 8 chunks side by side use every bank once; call them a line. A warp moves
// 16-byte accesses 8 lanes at a time, so it is free of conflicts when each 8 lanes touch 8 different places of a line.
// A tile is rows of ROW_BYTES (64 or 128). Written straight, the same chunk of 8 rows (what ldmatrix reads) would
// fall on one or two places. So a row's chunks are permuted: chunk c of row r stands at place c ^ f(r), where
//
//     ROW_BYTES = 128    one row a line      f(r) = r % 8           8 rows take all 8 places
//     ROW_BYTES = 64     two rows a line     f(r) = (r / 2) % 4     even rows take places 0-3 of a line, odd rows 4-7
//
// Whole rows (what copies write) stay whole lines, and f has period 8 in r. For 128-byte rows this is also the
// 128-byte swizzle of TMA and wgmma.
#pragma once
#include <cstdint>

namespace tile {

template <int ROW_BYTES>
struct Swizzle {
    static_assert(ROW_BYTES == 64 || ROW_BYTES == 128, "a row is half a line or a line");
    static constexpr int CHUNKS = ROW_BYTES / 16;
    static constexpr int ROWS_PER_LINE = 8 / CHUNKS;
    // f repeats after this many rows.
    static constexpr int PERIOD = 8;

    // Place of `chunk` within its row.
    __host__ __device__ static constexpr uint32_t place(uint32_t row, uint32_t chunk) {
        return chunk ^ ((row / ROWS_PER_LINE) % CHUNKS);
    }

    // Byte offset of (row, chunk) in the tile.
    __host__ __device__ static constexpr uint32_t offset(uint32_t row, uint32_t chunk) {
        return row * ROW_BYTES + place(row, chunk) * 16;
    }
};

}  // namespace tile

// Where the 16-byte chunks of a tile sit in shared memory, so that nothing that touches them meets a bank conflict.
//
// Shared memory is 32 banks of 4 bytes: 8 chunks side by side use every bank once; call them a line. A warp moves
// 16-byte accesses 8 lanes at a time, so it is free of conflicts when each 8 lanes touch 8 different places of a line.
// A tile is rows of ROW_BYTES, a multiple of 32. Written straight, the same chunk of 8 rows (what ldmatrix reads) would
// fall on few places. So a row's chunks are permuted: chunk c of row r stands at place c ^ f(r), where
//
//     chunks a row    places 8 rows take        f(r)
//     8, 16, 24, 32   one                       r % 8           changes 8 chunks among themselves
//     4, 12           two, by turns             (r / 2) % 4     4 chunks
//     2, 6, 10        four, by turns            (r / 4) % 2     2 chunks
//
// Eight neighbours of a tile written straight (what copies write) stay a whole line, and f has period 8 in r. For 128-byte
// rows this is also the 128-byte swizzle of TMA and wgmma.
#pragma once
#include <cstdint>

namespace tile {

template <int ROW_BYTES>
struct Swizzle {
    static_assert(ROW_BYTES % 32 == 0, "chunks in pairs");
    static constexpr int CHUNKS = ROW_BYTES / 16;
    // Chunks that change places with each other.
    static constexpr int GROUP = CHUNKS % 8 == 0 ? 8 : CHUNKS % 4 == 0 ? 4 : 2;
    // Rows that f leaves alike.
    static constexpr int ROWS_ALIKE = 8 / GROUP;
    // f repeats after this many rows.
    static constexpr int PERIOD = 8;

    // Place of `chunk` within its row.
    __host__ __device__ static constexpr uint32_t place(uint32_t row, uint32_t chunk) {
        return chunk ^ ((row / ROWS_ALIKE) % GROUP);
    }
    // Byte offset of (row, chunk) in the tile.
    __host__ __device__ static constexpr uint32_t offset(uint32_t row, uint32_t chunk) {
        return row * ROW_BYTES + place(row, chunk) * 16;
    }
    // The byte offset of (row, chunk + 2 * step) where `at` is that of (row, chunk) and chunk is 0 or 1.
    __host__ __device__ static constexpr uint32_t step(uint32_t at, uint32_t step) {
        return (at ^ 2 * step % GROUP * 16) + 2 * step / GROUP * GROUP * 16;
    }
};

}  // namespace tile

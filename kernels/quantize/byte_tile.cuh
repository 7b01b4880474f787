// A tile of bytes that lie the other way round in memory: written to shared memory 16 bytes of one row by each thread,
// and from there to the matrix row by row.
//
//     rows of 8 chunks of 16 bytes; row r has chunk c at place c ^ (r / APART % 8)
//
// A warp writes one chunk of 32 rows, APART apart, and reads 4 whole rows: either way 8 lanes at a time touch 8 places
// that differ modulo 8, all banks once.
#pragma once
#include <cstdint>

namespace quantize {

template <int ROWS, int APART, int THREADS>
struct ByteTile {
    static constexpr uint32_t COLUMNS = 128;
    uint4 chunks[ROWS * 8];

    __device__ __forceinline__ uint4& at(uint32_t row, uint32_t chunk) {
        return chunks[row * 8 + (chunk ^ (row / APART % 8))];
    }

    // The rows of the tile below `rows`, from row `first` and column `column` of the matrix on; its rows have ld
    // bytes, a multiple of 16, as is its address.
    __device__ __forceinline__ void write(int8_t* matrix, int64_t ld, uint64_t first, uint64_t column, uint64_t rows) {
        const uint32_t chunk = threadIdx.x % 8;
        if (column + 16 * chunk >= static_cast<uint64_t>(ld)) return;
#pragma unroll
        for (uint32_t row = threadIdx.x / 8; row < ROWS; row += THREADS / 8) {
            if (first + row < rows) {
                *reinterpret_cast<uint4*>(matrix + (first + row) * ld + column + 16 * chunk) = at(row, chunk);
            }
        }
    }
};

}  // namespace quantize

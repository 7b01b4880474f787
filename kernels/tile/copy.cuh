// Copies tiles of a row-major byte matrix into swizzled shared memory with cp.async.
#pragma once
#include <cstdint>

#include "ptx/cp_async.cuh"
#include "tile/swizzle.cuh"

namespace tile {

// One thread's share in copying [ROWS, ROW_BYTES] tiles by THREADS threads: chunk tid % CHUNKS of the rows
// tid / CHUNKS + i * ROWS_PER_PASS. Consecutive threads read consecutive chunks of a row and write whole lines.
template <int ROWS, int ROW_BYTES, int THREADS>
struct Copy {
    using Places = Swizzle<ROW_BYTES>;
    static constexpr int ROWS_PER_PASS = THREADS / Places::CHUNKS;
    static constexpr int PASSES = ROWS / ROWS_PER_PASS;
    static_assert(ROWS % ROWS_PER_PASS == 0, "every thread copies the same number of chunks");
    static_assert(ROWS_PER_PASS % Places::PERIOD == 0, "a thread's rows share one swizzle");

    const int8_t* rows[PASSES];  // its rows' first bytes; row 0 of the matrix for those past its end
    int32_t rows_left;           // rows of the matrix from its first row on; may be <= 0
    uint32_t first_byte;         // offset of its chunk in a row
    uint32_t place;              // offset of its first chunk in the tile

    // Rows first_row.. of a matrix of `height` rows of stride `ld` bytes; matrix and ld are multiples of 16.
    __device__ __forceinline__ Copy(const void* matrix, int64_t ld, uint32_t height, uint32_t first_row, uint32_t tid) {
        const uint32_t row = tid / Places::CHUNKS, chunk = tid % Places::CHUNKS;
        rows_left = static_cast<int32_t>(height - first_row) - static_cast<int32_t>(row);
#pragma unroll
        for (int pass = 0; pass < PASSES; ++pass) {
            const uint32_t at = first_row + row + pass * ROWS_PER_PASS;
            rows[pass] = static_cast<const int8_t*>(matrix) + (pass * ROWS_PER_PASS < rows_left ? at : 0) * ld;
        }
        first_byte = chunk * 16;
        place = Places::offset(row, chunk);
    }

    // Starts copying bytes k..k+ROW_BYTES of the tile's rows to `tile` (a shared address). Bytes from k_end on and
    // rows past the matrix become zero; nothing of them is read, and every address lies in the matrix.
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end) const {
        const int32_t left = static_cast<int32_t>(k_end - k) - static_cast<int32_t>(first_byte);
        const uint32_t bytes = min(max(left, 0), 16);
        const uint32_t from = left > 0 ? k + first_byte : 0;
#pragma unroll
        for (int pass = 0; pass < PASSES; ++pass)
            ptx::cp_async_16(tile + place + pass * ROWS_PER_PASS * ROW_BYTES, rows[pass] + from,
                             pass * ROWS_PER_PASS < rows_left ? bytes : 0);
    }
};

}  // namespace tile

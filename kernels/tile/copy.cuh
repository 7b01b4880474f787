// Copies tiles of a row-major byte matrix into swizzled shared memory: with cp.async where the matrix is aligned for it.
#pragma once
#include <cstdint>

#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "tile/swizzle.cuh"

namespace tile {

// Copies `bytes` (0..16) bytes to 16-byte aligned shared memory and writes zeros after them, where cp.async of 16 bytes
// cannot. `unit` is the alignment of `from`: 4 or a multiple; or 2 or 1, where the thread reads the bytes itself and waits for them.
__device__ __forceinline__ void copy_unaligned(uint32_t to, const int8_t* from, uint32_t bytes, uint32_t unit) {
    // Eight lanes in a row write a line; each eight of a warp begin at another word, so that together they meet every bank.
    const uint32_t first = threadIdx.x / 8;
#pragma unroll 1
    for (uint32_t i = first; i < first + 4; ++i) {
        const uint32_t at = i % 4 * 4;
        const uint32_t left = at < bytes ? min(bytes - at, 4u) : 0;
        // An aligned operand comes here where the other one is not.
        if (unit % 4 == 0) {
            ptx::cp_async_4(to + at, from + (left ? at : 0), left);
            continue;
        }
        uint32_t word = 0;
#pragma unroll 1
        for (uint32_t byte = 0; byte < left; byte += unit)
            word |= (unit == 2 ? *reinterpret_cast<const uint16_t*>(from + at + byte)
                               : *reinterpret_cast<const uint8_t*>(from + at + byte))
                    << (8 * byte);
        ptx::st_shared(to + at, word);
    }
}

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
    int64_t ld;                  // bytes from a row to the next
    int32_t rows_left;           // rows of the matrix from its first row on; may be <= 0
    uint32_t first_byte;         // offset of its chunk in a row
    uint32_t place;              // offset of its first chunk in the tile

    // Rows first_row.. of a matrix of `height` rows of stride `ld` bytes.
    __device__ __forceinline__ Copy(const void* matrix, int64_t ld_, uint32_t height, uint32_t first_row, uint32_t tid)
        : ld(ld_) {
        const uint32_t row = tid / Places::CHUNKS, chunk = tid % Places::CHUNKS;
        rows_left = static_cast<int32_t>(height - first_row) - static_cast<int32_t>(row);
#pragma unroll
        for (int pass = 0; pass < PASSES; ++pass) {
            const uint32_t at = first_row + row + pass * ROWS_PER_PASS;
            rows[pass] = static_cast<const int8_t*>(matrix) + (pass * ROWS_PER_PASS < rows_left ? at : 0) * ld;
        }
        first_byte = chunk * 16;
        place = Places::offset(row, chunk);
        // Kept in a register: the other copies, which begin elsewhere, make nvcc work it out again in every turn.
        asm("" : "+r"(place));
    }

    // Starts copying bytes k..k+ROW_BYTES of the tile's rows to `tile` (a shared address). Bytes from k_end on and
    // rows past the matrix become zero; nothing of them is read, and every address lies in the matrix. Matrix and ld are
    // multiples of 16 (ALIGNED), or of `unit`, as copy_unaligned says.
    template <bool ALIGNED>
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        const int32_t left = static_cast<int32_t>(k_end - k) - static_cast<int32_t>(first_byte);
        const uint32_t bytes = min(max(left, 0), 16);
        const uint32_t from = left > 0 ? k + first_byte : 0;
        if constexpr (ALIGNED) {
#pragma unroll
            for (int pass = 0; pass < PASSES; ++pass)
                ptx::cp_async_16(tile + place + pass * ROWS_PER_PASS * ROW_BYTES, rows[pass] + from,
                                 pass * ROWS_PER_PASS < rows_left ? bytes : 0);
        } else {
#pragma unroll 1
            for (int row = 0; row < ROWS; row += ROWS_PER_PASS)
                copy_unaligned(tile + place + row * ROW_BYTES, rows[0] + (row < rows_left ? row * ld : 0) + from,
                               row < rows_left ? bytes : 0, unit);
        }
    }
};

// The same for a matrix whose rows are the steps of K: [STEPS, COLUMN_BYTES] tiles as panels of 128 bytes a row, one
// panel after the other. Chunk tid % 8 of the rows tid / 8 + i * ROWS_PER_PASS of every panel.
template <int STEPS, int COLUMN_BYTES, int THREADS>
struct CopyDown {
    using Places = Swizzle<128>;
    static constexpr int ROWS_PER_PASS = THREADS / Places::CHUNKS;
    static constexpr int PASSES = (STEPS + ROWS_PER_PASS - 1) / ROWS_PER_PASS;
    static constexpr int PANELS = COLUMN_BYTES / 128, PANEL_BYTES = STEPS * 128;
    static_assert(COLUMN_BYTES % 128 == 0, "whole panels");
    static_assert(ROWS_PER_PASS % Places::PERIOD == 0, "a thread's rows share one swizzle");

    const int8_t* matrix;  // row 0 from the tile's first column on
    int64_t ld;            // bytes from a step of K to the next
    int32_t columns_left;  // bytes of a row from this thread's chunk of the first panel on; may be <= 0
    uint32_t row, chunk;

    // Bytes first_byte.. of rows of `width` bytes.
    __device__ __forceinline__ CopyDown(const void* matrix_, int64_t ld_, uint32_t width, uint32_t first_byte, uint32_t tid)
        : matrix(static_cast<const int8_t*>(matrix_)), ld(ld_), row(tid / Places::CHUNKS), chunk(tid % Places::CHUNKS) {
        columns_left = static_cast<int32_t>(width - first_byte) - static_cast<int32_t>(chunk * 16);
        matrix += first_byte < width ? first_byte : 0;
    }

    // Starts copying rows k..k+STEPS to `tile`. Rows from k_end on and columns past the matrix become zero.
    template <bool ALIGNED>
    __device__ __forceinline__ void start(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t unit) const {
        if constexpr (ALIGNED) {
#pragma unroll
            for (int row = 0; row < STEPS; row += ROWS_PER_PASS)
#pragma unroll
                for (int panel = 0; panel < PANELS; ++panel) one<true>(tile, k, k_end, row, panel, unit);
        } else {
#pragma unroll 1
            for (int i = 0; i < PASSES * PANELS; ++i)
                one<false>(tile, k, k_end, i / PANELS * ROWS_PER_PASS, i % PANELS, unit);
        }
    }

private:
    template <bool ALIGNED>
    __device__ __forceinline__ void one(uint32_t tile, uint32_t k, uint32_t k_end, uint32_t pass, int32_t panel,
                                        uint32_t unit) const {
        const uint32_t step = row + pass;
        if (STEPS % ROWS_PER_PASS != 0 && step >= STEPS) return;
        const bool inside = k + step < k_end;
        const int32_t left = columns_left - panel * 128;
        const uint32_t to = tile + panel * PANEL_BYTES + Places::offset(step, chunk);
        const int8_t* const from =
            matrix + (inside ? (k + step) * ld : 0) + (left > 0 ? panel * 128 + chunk * 16 : 0);
        const uint32_t bytes = inside ? min(max(left, 0), 16) : 0;
        if constexpr (ALIGNED)
            ptx::cp_async_16(to, from, bytes);
        else
            copy_unaligned(to, from, bytes, unit);
    }
};

}  // namespace tile

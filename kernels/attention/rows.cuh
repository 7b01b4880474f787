// Copies rows of heads (queries, keys, values) into swizzled shared memory, from memory of any strides or from pages.
//
// Eight lanes copy a row, chunk after chunk of 16 bytes: each 128 bytes of it are one request's whole lines, and eight
// neighbours in shared memory are one line of banks (tile/swizzle.cuh). Chunks past the row's end become zero, and so do rows
// that are not there; nothing of them is read.
#pragma once
#include <cstdint>

#include "attention/sequence.cuh"
#include "ptx/cp_async.cuh"
#include "tile/scheduler.cuh"
#include "tile/swizzle.cuh"

namespace attention {

// One thread's share of a tile [ROWS, ROW_BYTES]: chunks tid % 8 + 8 * panel of rows tid / 8 + pass * ROWS_PER_PASS.
template <int ROWS, int ROW_BYTES, int THREADS>
struct RowCopy {
    using Places = tile::Swizzle<ROW_BYTES>;
    static constexpr int ROWS_PER_PASS = THREADS / 8, PASSES = ROWS / ROWS_PER_PASS;
    static constexpr int PANELS = (Places::CHUNKS + 7) / 8;
    static_assert(ROWS % ROWS_PER_PASS == 0 && ROWS_PER_PASS % Places::PERIOD == 0, "a thread's rows share one swizzle");

    uint32_t row, byte;  // of its first chunk
    uint32_t place;      // of it in the tile
    uint32_t bytes;      // of a row that exist, a multiple of 16

    __device__ __forceinline__ explicit RowCopy(uint32_t bytes_)
        : row(threadIdx.x / 8), byte(threadIdx.x % 8 * 16), place(Places::offset(row, threadIdx.x % 8)), bytes(bytes_) {}

    // Starts the copy of a pass's row, which begins at `from`, if it is `there`.
    __device__ __forceinline__ void start(uint32_t tile, int pass, const char* from, bool there) const {
#pragma unroll
        for (int panel = 0; panel < PANELS; ++panel) {
            if (Places::CHUNKS % 8 != 0 && panel == PANELS - 1 && byte >= Places::CHUNKS % 8 * 16) continue;
            const bool reads = there && panel * 128 + byte < bytes;
            ptx::cp_async_16(tile + place + pass * ROWS_PER_PASS * ROW_BYTES + panel * 128,
                             from + (reads ? panel * 128 + byte : 0), reads ? 16 : 0);
        }
    }
};

// Where the keys of a tile lie: side by side, or in pages.
template <int THREADS>
struct KeyRows {
    static constexpr int ROWS_PER_PASS = THREADS / 8;

    const uint32_t* table;  // pages of this sequence; or null
    uint32_t first;         // row of the sequence's first key, where there are no pages
    uint32_t keys, page_size, pages;
    uint32_t page, slot;    // of the row of pass lane % 8, in the tile last looked up; no page: NONE
    void* status;
    static constexpr uint32_t NONE = 0xffffffff;

    // Looks up the pages of a tile: one load of a warp for all its rows.
    __device__ __forceinline__ void look_up(int32_t tile) {
        if (table == nullptr) return;
        const uint32_t pass = threadIdx.x % 8, key = tile * KEYS + threadIdx.x / 8 + pass * ROWS_PER_PASS;
        page = NONE;
        if (pass < KEYS / ROWS_PER_PASS && key < keys) {
            const uint32_t index = key / page_size;
            slot = key - index * page_size;
            page = table[index];
            if (page >= pages) {
                page = NONE;
                raise(status, BAD_PAGE);
            }
        }
    }

    // Starts the copy of a tile of keys or values, whose rows are `token` bytes apart and pages `page_stride`.
    template <class Copy>
    __device__ __forceinline__ void start(const Copy& copy, uint32_t to, const char* base, int64_t token,
                                          int64_t page_stride, int32_t tile) const {
#pragma unroll
        for (int pass = 0; pass < Copy::PASSES; ++pass) {
            const uint32_t key = tile * KEYS + copy.row + pass * ROWS_PER_PASS;
            bool there = key < keys;
            const char* from = base;
            if (table == nullptr) {
                if (there) from += (first + key) * token;
            } else {
                const int owner = (threadIdx.x % 32 & ~7) | pass;
                const uint32_t its_page = __shfl_sync(0xffffffff, page, owner), its_slot = __shfl_sync(0xffffffff, slot, owner);
                there = its_page != NONE;
                if (there) from += its_page * page_stride + its_slot * token;
            }
            copy.start(to, pass, from, there);
        }
    }
};

}  // namespace attention

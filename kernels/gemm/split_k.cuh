// Sums the slices of K that several blocks computed of one tile, always in the order of the slices.
//
// Every block of the tile writes its sums to `partials` and takes a ticket. The one that takes the last ticket knows
// that all others have written; it sums all slices and goes on to the epilogue. int32 has no order, so that block keeps
// its own slice in registers; of f32 it reads back all of them, its own too, from the first to the last.
// Nobody waits, so the blocks of a tile need not run at the same time.
#pragma once
#include <cstdint>

#include "gemm/epilogue.cuh"
#include "ptx/atom.cuh"

namespace gemm {

// Partial sums as they stand in registers: [tiles, split_k, fragment of a warp, thread, 4] words, so that a warp writes
// 512 bytes in a row and nobody calculates places. Threads whose rows all lie below the output skip theirs.
template <int FRAGMENTS_M, int FRAGMENTS_N, int THREADS>
struct Partials {
    static constexpr int FRAGMENTS = FRAGMENTS_M * FRAGMENTS_N;

    int4* thread;    // this thread's first element of slice 0 of this tile
    int32_t rows;    // of the output, from this thread's first row on; may be <= 0

    // `row` is this thread's first row in the output of m rows.
    __device__ __forceinline__ Partials(void* partials, uint32_t tile, uint32_t split_k, uint32_t tid, uint32_t row,
                                        uint32_t m) {
        thread = static_cast<int4*>(partials) + static_cast<uint64_t>(tile) * split_k * FRAGMENTS * THREADS + tid;
        rows = static_cast<int32_t>(m - row);
    }

    template <class Acc>
    __device__ __forceinline__ void store(uint32_t slice, const Acc (&acc)[FRAGMENTS_M][FRAGMENTS_N][4]) const {
        int4* const to = thread + slice * FRAGMENTS * THREADS;
#pragma unroll
        for (int i = 0; i < FRAGMENTS_M; ++i) {
            if (16 * i >= rows) break;
#pragma unroll
            for (int j = 0; j < FRAGMENTS_N; ++j) {
                const Acc(&d)[4] = acc[i][j];
                to[(i * FRAGMENTS_N + j) * THREADS] =
                    make_int4(bits_of(d[0]), bits_of(d[1]), bits_of(d[2]), bits_of(d[3]));
            }
        }
    }

    // The sum of all slices; `acc` is that of `own` before. Reads through L2: other multiprocessors wrote them.
    __device__ __forceinline__ void sum(uint32_t own, uint32_t split_k, int32_t (&acc)[FRAGMENTS_M][FRAGMENTS_N][4]) const {
#pragma unroll 1
        for (uint32_t slice = 0; slice < split_k; ++slice)
            if (slice != own) add(slice, acc);
    }
    __device__ __forceinline__ void sum(uint32_t, uint32_t split_k, float (&acc)[FRAGMENTS_M][FRAGMENTS_N][4]) const {
#pragma unroll
        for (int i = 0; i < FRAGMENTS_M; ++i)
#pragma unroll
            for (int j = 0; j < FRAGMENTS_N; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = -0.0f;
#pragma unroll 1
        for (uint32_t slice = 0; slice < split_k; ++slice) add(slice, acc);
    }

private:
    template <class Acc>
    __device__ __forceinline__ void add(uint32_t slice, Acc (&acc)[FRAGMENTS_M][FRAGMENTS_N][4]) const {
        const int4* const from = thread + slice * FRAGMENTS * THREADS;
#pragma unroll
        for (int i = 0; i < FRAGMENTS_M; ++i) {
            if (16 * i >= rows) break;
#pragma unroll
            for (int j = 0; j < FRAGMENTS_N; ++j) {
                Acc(&d)[4] = acc[i][j];
                const int4 other = __ldcg(from + (i * FRAGMENTS_N + j) * THREADS);
                if constexpr (__is_same(Acc, float)) {
                    d[0] = __fadd_rn(d[0], __int_as_float(other.x)), d[1] = __fadd_rn(d[1], __int_as_float(other.y));
                    d[2] = __fadd_rn(d[2], __int_as_float(other.z)), d[3] = __fadd_rn(d[3], __int_as_float(other.w));
                } else {
                    d[0] += other.x, d[1] += other.y, d[2] += other.z, d[3] += other.w;
                }
            }
        }
    }
};

// True in all threads of the block that comes last of `blocks`: everything the others stored before is then visible.
// `ticket` is a word in global memory, zero before the first block.
__device__ __forceinline__ bool last_to_arrive(uint32_t* ticket, uint32_t blocks) {
    __syncthreads();  // every thread's stores come before the ticket
    const bool last = threadIdx.x == 0 && ptx::atom_add_acq_rel_gpu(ticket, 1) == blocks - 1;
    return __syncthreads_or(last);  // the other blocks' tickets come before every thread's loads
}

}  // namespace gemm

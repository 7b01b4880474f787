// Code of whole warps, and atomic operations of every kind.

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace cg = cooperative_groups;

// Sum, greatest and prefix sums of 32 numbers by shuffles; lanes that hold the same number; votes.
extern "C" __global__ void shuffles(const int* in, int* sum, int* prefix, unsigned* same, unsigned* votes) {
    int t = threadIdx.x, lane = t & 31, x = in[t], s = x;
    for (int d = 16; d; d >>= 1) s += __shfl_xor_sync(~0u, s, d);
    sum[t] = s;
    int p = x;
    for (int d = 1; d < 32; d <<= 1) {
        int y = __shfl_up_sync(~0u, p, d);
        if (lane >= d) p += y;
    }
    prefix[t] = p;
    same[t] = __match_any_sync(~0u, x);
    int all;
    unsigned equal = __match_all_sync(~0u, x > 1000, &all);
    votes[t] = __ballot_sync(~0u, x & 1) ^ (__any_sync(~0u, x == 7) ? 1 : 0) ^ (__all_sync(~0u, x < 100) ? 2 : 0) ^ (all ? equal & 4 : 0);
    // Four segments of eight lanes.
    votes[t] += __shfl_sync(~0u, lane, 3, 8) + __shfl_down_sync(~0u, lane, 2, 8);
}

// Groups of eight threads and the threads that are together after a branch.
extern "C" __global__ void groups(const int* in, int* out, unsigned* places) {
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<8>(block);
    int t = block.thread_rank(), x = in[t];
    for (int d = tile.size() / 2; d > 0; d /= 2) x += tile.shfl_down(x, d);
    out[t] = tile.shfl(x, 0);
    tile.sync();
    if (in[t] & 1) {
        cg::coalesced_group together = cg::coalesced_threads();
        places[t] = together.thread_rank() + 100 * together.size();
    } else {
        places[t] = 0;
    }
    block.sync();
}

extern "C" __global__ void reductions(const int* in, int* out) {
    int t = threadIdx.x, x = in[t];
    out[t] = __reduce_add_sync(~0u, x) ^ __reduce_max_sync(~0u, x) << 8 ^ __reduce_min_sync(~0u, x) << 16
        ^ __reduce_xor_sync(~0u, (unsigned)x) << 4 ^ __reduce_and_sync(~0u, (unsigned)x) ^ __reduce_or_sync(~0u, (unsigned)x) << 2;
}

struct Cells {
    unsigned add, inc, dec, min, max, all, any, flip, swap, cas;
    int low, high;
    unsigned long long add64, min64, max64;
    float sum;
    double sum64;
    __half2 halves;
    __nv_bfloat162 pairs;
    __half half;
    unsigned short word;
};

extern "C" __global__ void atomics(Cells* cells, unsigned* order) {
    unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&cells->add, t);
    atomicInc(&cells->inc, 9);
    atomicDec(&cells->dec, 9);
    atomicMin(&cells->min, t + 5);
    atomicMax(&cells->max, t);
    atomicMin(&cells->low, -(int)t);
    atomicMax(&cells->high, (int)t - 1000);
    atomicAnd(&cells->all, ~(1u << (t & 15)));
    atomicOr(&cells->any, 1u << (t & 31));
    atomicXor(&cells->flip, t * 2654435761u);
    order[atomicExch(&cells->swap, t + 1)] = 1;
    unsigned old = atomicAdd(&cells->cas, 0), seen;
    do {
        seen = old;
        old = atomicCAS(&cells->cas, seen, seen + (seen & 1 ? 3 : 1));
    } while (old != seen);
    atomicAdd(&cells->add64, (1ull << 33) + t);
    atomicMin(&cells->min64, ~0ull - t);
    atomicMax(&cells->max64, (unsigned long long)t << 40);
    atomicAdd(&cells->sum, 0.25f * t);
    atomicAdd(&cells->sum64, 1.0 / 1024 * t);
    atomicAdd(&cells->halves, __floats2half2_rn(1.0f, 0.5f));
    atomicAdd(&cells->pairs, __floats2bfloat162_rn(1.0f, -1.0f));
    atomicAdd(&cells->half, __float2half(0.125f));
    unsigned short now = atomicCAS(&cells->word, (unsigned short)0, (unsigned short)0), before;
    do {
        before = now;
        now = atomicCAS(&cells->word, before, (unsigned short)(before + 3));
    } while (now != before);
    atomicAdd_block(&cells->add, 1);
    atomicAdd_system(&cells->add, 1);
}

// A lock that lanes of one warp take one after the other.
extern "C" __global__ void lock(int* mutex, int* shared_count) {
    bool done = false;
    while (!done) {
        if (atomicCAS(mutex, 0, 1) == 0) {
            __threadfence();
            *(volatile int*)shared_count = *(volatile int*)shared_count + 1;
            __threadfence();
            atomicExch(mutex, 0);
            done = true;
        }
    }
}

// What quantizing for attention must know of a sequence's keys and values: the mean of K by head and channel, and the
// scales of V.
//
//     mean[b, h, c]  = sum_j k[b, j, h, c] / keys of b             0 without keys
//     scale[b, h, c] = max_j |v[b, j, h, c]| / 448                 NaN if one is a NaN or an infinity
//
// Operands   k, v      f16 or bf16, rows of `dim` and `value_dim` numbers (multiples of 8) by strides of batch, token and
//                      head, in elements, any alignment an element has; either may be null
//            partials  slices * batch * heads * (dim of k + value_dim of v) words, those of k first; with one slice null
//            mean      f32 [batch, heads, dim]
//            scales    f32 [batch, heads, value_dim]
//            cu_seqlens, lens   tokens.cuh
//            status    one word or null; bit 0 is set when v holds a NaN or an infinity
//
// Who does what   A block takes one slice of `slice` tokens of one head of one sequence, of k or of v. Thread t has 8
// channels of every so many-th token:
//
//     channels/8 = 8:   token 0 |t0 |t1 | .. |t7 |     token 1 |t8 | .. |t15|     ...     token 32 |t0 | ..
//
// What the threads have is joined in shared memory, token by token. With one slice that is the result; else it is a
// partial one, and a second launch (Finish) joins those of a channel, slice by slice, a thread a channel.
//
// Shared memory   2048 words, static: 8 of each thread, first 4 of every thread, then the others, so that neither 16
// bytes of a lane each nor a word of a lane each meet a bank twice.
// Numbers   Sums in f32, each addition rounded; a thread adds its tokens from first to last, then threads by token, then
// slices. One division. Magnitudes are compared as words, NaN above infinity.
// Preconditions   1 <= batch, heads, slices; dim, value_dim multiples of 8 up to 256; slices * slice >= keys; blocks are
// slices * batch * heads for each of k and v.
// Floor   sm_80, that of this crate.
// Determinism   The same bits for the same slices; no atomics but for the status.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "eight.cuh"
#include "format/floats.cuh"
#include "params.cuh"
#include "quantize/code.cuh"
#include "tokens.cuh"

namespace attention {

struct Sum {
    using Word = float;
    __device__ __forceinline__ static Word of(float x) { return x; }
    __device__ __forceinline__ static Word from(uint32_t bits) { return __uint_as_float(bits); }
    __device__ __forceinline__ static uint32_t bits(Word x) { return __float_as_uint(x); }
    __device__ __forceinline__ static Word join(Word a, Word b) { return __fadd_rn(a, b); }
    __device__ __forceinline__ static void finish(const KeyMeanParams& p, uint32_t at, Word all, uint32_t keys) {
        static_cast<float*>(p.mean)[at] = keys > 0 ? __fdiv_rn(all, static_cast<float>(keys)) : 0.0f;
    }
};

struct Largest {
    using Word = uint32_t;
    __device__ __forceinline__ static Word of(float x) { return quantize::magnitude(x); }
    __device__ __forceinline__ static Word from(uint32_t bits) { return bits; }
    __device__ __forceinline__ static uint32_t bits(Word x) { return x; }
    __device__ __forceinline__ static Word join(Word a, Word b) { return max(a, b); }
    __device__ __forceinline__ static void finish(const KeyMeanParams& p, uint32_t at, Word all, uint32_t) {
        const float scale = quantize::Symmetric::of(all, 448.0f).scale;
        static_cast<float*>(p.scales)[at] = scale;
        if (scale != scale && p.status != nullptr) atomicOr(static_cast<uint32_t*>(p.status), 1u);
    }
};

// One slice of the rows of `x`, of which there are `item`s; `partials` are those of k or of v.
template <class X, class Join, int THREADS>
__device__ __forceinline__ void slice(const KeyMeanParams& p, const void* x, int64_t batch, int64_t token, int64_t head,
                                      uint32_t dim, uint32_t item, uint32_t* words, uint32_t* partials) {
    using Bits = typename X::Bits;
    using Word = typename Join::Word;
    constexpr uint32_t AHEAD = 4;  // loads under way
    const uint32_t tid = threadIdx.x, vectors = dim / 8, rows = THREADS / vectors, row = tid / vectors;
    const uint32_t part = blockIdx.x % p.slices, b = item / p.heads, h = item % p.heads;
    const Tokens of = tokens(p.cu_seqlens, p.lens, b, p.keys, p.total);
    const uint32_t end = min(of.count, (part + 1) * p.slice);
    const bool whole = aligned<X>(x, batch, token, head);
    const Bits* const from =
        static_cast<const Bits*>(x) + of.batch * batch + h * head + of.begin * token + 8 * (tid % vectors);

    Word sums[8] = {};
    for (uint32_t j = part * p.slice + row; j < end && row < rows; j += AHEAD * rows) {
        quantize::Vector<X> values[AHEAD];
#pragma unroll
        for (uint32_t a = 0; a < AHEAD; ++a) {
            values[a].raw = make_uint4(0, 0, 0, 0);
            if (j + a * rows < end) values[a] = eight<X>(from + (j + a * rows) * token, whole);
        }
#pragma unroll
        for (uint32_t a = 0; a < AHEAD; ++a) {
#pragma unroll
            for (uint32_t i = 0; i < 8; ++i) sums[i] = Join::join(sums[i], Join::of(X::load(values[a].bits[i])));
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) words[(i / 4 * THREADS + tid) * 4 + i % 4] = Join::bits(sums[i]);
    __syncthreads();
    if (tid >= dim) return;
    // A lane a word of 4 that lie together: first those of the lower halves of all vectors, then of the upper.
    const uint32_t upper = tid / (dim / 2), vector = tid % (dim / 2) / 4, i = tid % 4;
    Word all = Word(0);
    for (uint32_t r = 0; r < rows; ++r) {
        all = Join::join(all, Join::from(words[(upper * THREADS + r * vectors + vector) * 4 + i]));
    }
    const uint32_t at = item * dim + 8 * vector + 4 * upper + i;
    if (p.slices == 1) {
        Join::finish(p, at, all, of.count);
    } else {
        partials[static_cast<uint64_t>(part) * p.batch * p.heads * dim + at] = Join::bits(all);
    }
}

// Stands for an element where the slices are joined.
struct Finish {};

template <class X, int THREADS>
struct KeyMean {
    __device__ __forceinline__ static void run(const KeyMeanParams& p) {
        __shared__ __align__(16) uint32_t words[8 * THREADS];
        const uint32_t items = p.batch * p.heads, item = blockIdx.x / p.slices, keys = p.k != nullptr ? items : 0;
        auto* partials = static_cast<uint32_t*>(p.partials);
        if (item < keys) {
            slice<X, Sum, THREADS>(p, p.k, p.k_batch, p.k_token, p.k_head, p.dim, item, words, partials);
        } else {
            partials += static_cast<uint64_t>(p.slices) * keys * p.dim;
            slice<X, Largest, THREADS>(p, p.v, p.v_batch, p.v_token, p.v_head, p.value_dim, item - keys, words,
                                       partials);
        }
    }
};

// A thread a channel of k, then of v.
template <int THREADS>
struct KeyMean<Finish, THREADS> {
    template <class Join>
    __device__ __forceinline__ static typename Join::Word all(const uint32_t* partials, uint32_t slices,
                                                              uint32_t channels, uint32_t at) {
        typename Join::Word all = 0;
        for (uint32_t s = 0; s < slices; ++s) {
            all = Join::join(all, Join::from(partials[static_cast<uint64_t>(s) * channels + at]));
        }
        return all;
    }

    __device__ __forceinline__ static void run(const KeyMeanParams& p) {
        const uint32_t items = p.batch * p.heads;
        const uint32_t keys = p.k != nullptr ? items * p.dim : 0, values = p.v != nullptr ? items * p.value_dim : 0;
        const auto* partials = static_cast<const uint32_t*>(p.partials);
        const uint32_t at = blockIdx.x * THREADS + threadIdx.x;
        if (at < keys) {
            const Tokens of = tokens(p.cu_seqlens, p.lens, at / (p.heads * p.dim), p.keys, p.total);
            Sum::finish(p, at, all<Sum>(partials, p.slices, keys, at), of.count);
        } else if (at - keys < values) {
            partials += static_cast<uint64_t>(p.slices) * keys;
            Largest::finish(p, at - keys, all<Largest>(partials, p.slices, values, at - keys), 0);
        }
    }
};

}  // namespace attention

template <class X, int THREADS>
__device__ __forceinline__ void key_mean(const KeyMeanParams& p) {
    attention::KeyMean<X, THREADS>::run(p);
}

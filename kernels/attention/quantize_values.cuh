// V to 8-bit floats (e4m3) with one scale for each channel of a sequence, keys along the rows, in the order in which the
// product by P wants them:
//
//     v8[h, c, j] from v[j, h, c] / scale[h, c]            cvt.rn.satfinite
//
// Operands   v       f16 or bf16, rows of `dim` numbers by strides of batch, token and head, in elements
//            scales  f32 [batch, heads, dim], by key_mean
//            codes   [batch, heads, dim, pitch] or packed [heads, dim, pitch], 16-byte aligned, pitch a multiple of 64;
//                    keys by position (tokens.cuh); from the last key to the next multiple of 64 they become zero
//            cu_seqlens, lens   tokens.cuh
//
// Order of 16 keys   The sums of q k of a thread t of 4 are keys 2t, 2t + 1, 8 + 2t, 8 + 2t + 1 of each 16, and one word
// of the A operand of mma.m16n8k32 holds 4 codes that lie together in K. So a word of B holds just these keys:
//
//     byte  0 1 2 3 | 4 5  6  7 | 8 9 10 11 | 12 13 14 15
//     key   0 1 8 9 | 2 3 10 11 | 4 5 12 13 |  6  7 14 15
//
// Who does what   A block takes 32 channels and 128 keys of one head: its 8 warps 16 keys each, a lane one channel, so
// that the 16 codes of a lane are one chunk of its row, which byte_tile.cuh turns.
//
// Shared memory   tile 32 rows of 128 bytes, static.
// Numbers   As code.cuh says. A scale of 0 or NaN makes codes 0.
// Preconditions   1 <= batch, heads, dim, keys; blocks are batch * heads * (dim / 32 upwards) * (keys / 128 upwards).
// Floor   sm_89, for cvt.
// Determinism   The same bits on every architecture.
// Tried and lost   Not yet measured on a GPU.
#pragma once
#include <cstdint>

#include "format/floats.cuh"
#include "params.cuh"
#include "quantize/byte_tile.cuh"
#include "quantize/code.cuh"
#include "tokens.cuh"

template <class X, int THREADS>
__device__ __forceinline__ void quantize_values(const QuantizeValuesParams& p) {
    using Bits = typename X::Bits;
    using Tile = quantize::ByteTile<32, 1, THREADS>;
    static_assert(THREADS == 256, "a warp makes one chunk of every row, a thread writes one");
    __shared__ __align__(16) Tile tile;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t steps = (p.keys + Tile::COLUMNS - 1) / Tile::COLUMNS, strips = (p.dim + 31) / 32;
    const uint32_t first = blockIdx.x % steps * Tile::COLUMNS, strip = blockIdx.x / steps % strips * 32;
    const uint32_t item = blockIdx.x / steps / strips, b = item / p.heads, h = item % p.heads;
    const attention::Tokens of = attention::tokens(p.cu_seqlens, p.lens, b, p.keys, p.total);
    if (first >= of.count) return;

    const uint32_t c = strip + lane, key = first + 16 * warp;
    const Bits* const from = static_cast<const Bits*>(p.v) + of.batch * p.v_batch + h * p.v_head +
                             static_cast<int64_t>(of.begin + key) * p.v_token + c;
    Bits bits[16];
#pragma unroll
    for (uint32_t i = 0; i < 16; ++i) bits[i] = key + i < of.count && c < p.dim ? from[i * p.v_token] : 0;
    const quantize::Scale scale{c < p.dim ? static_cast<const float*>(p.scales)[item * p.dim + c] : 0.0f, 0, 0};
    uint32_t words[4] = {0, 0, 0, 0};
    if (scale.scale > 0.0f) {
#pragma unroll
        for (uint32_t t = 0; t < 4; ++t) {
            const float x[4] = {X::load(bits[2 * t]), X::load(bits[2 * t + 1]), X::load(bits[8 + 2 * t]),
                                X::load(bits[9 + 2 * t])};
            words[t] = quantize::E4m3::word(x, scale);
        }
    }
    tile.at(lane, warp) = make_uint4(words[0], words[1], words[2], words[3]);
    __syncthreads();

    const uint32_t row = threadIdx.x / 8, chunk = threadIdx.x % 8, at = first + 16 * chunk;
    if (strip + row >= p.dim || at >= (of.count + 63) / 64 * 64) return;
    const uint64_t rows = static_cast<uint64_t>(p.cu_seqlens != nullptr ? h : item) * p.dim;
    auto* to = static_cast<int8_t*>(p.codes) + (rows + strip + row) * p.pitch + of.position + at;
    *reinterpret_cast<uint4*>(to) = tile.at(row, chunk);
}

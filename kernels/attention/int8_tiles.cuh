// The tiles of prefill_int8 in shared memory: how keys and values come, how warps read them, how the output leaves.
//
//     K      panels of 32 bytes of 64 keys
//     V      16 bits: panels of 32 channels of 64 keys; 8 bits: a row of 64 keys for each channel. 64 bytes both
//     out    panels of 32 channels of a warp's 16 rows, of 64 bytes
// All are swizzled (tile/swizzle.cuh).
#pragma once
#include <cstdint>

#include "attention/tokens.cuh"
#include "attention/window.cuh"
#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/shared.cuh"
#include "tile/copy.cuh"
#include "tile/fragment.cuh"
#include "tile/swizzle.cuh"

namespace attention {

constexpr uint32_t QUERIES = 64, PREFILL_THREADS = 128;

template <int D, bool FP8>
struct Int8Tiles {
    using Keys = tile::Swizzle<32>;
    using Rows = tile::Swizzle<64>;
    static constexpr uint32_t K_BYTES = KEYS * D, V_BYTES = KEYS * D * (FP8 ? 1 : 2);
    static constexpr uint32_t K_PANEL = KEYS * 32, V_PANEL = KEYS * 64;
    static constexpr uint32_t BYTES = K_BYTES + V_BYTES + KEYS * 4;

    const int8_t* k;       // this head's first key, at this thread's chunk
    const float* k_scales;
    const int8_t* v;       // this head's first value; of 8 bits its first channel at the first position
    const PrefillInt8Params& p;
    uint32_t count, shared, tid;

    __device__ __forceinline__ Int8Tiles(const PrefillInt8Params& p_, uint32_t b, uint32_t kv, const Tokens& of, bool packed,
                                         uint32_t shared_, uint32_t tid_)
        : p(p_), count(of.count), shared(shared_), tid(tid_) {
        const uint64_t head = packed ? kv : static_cast<uint64_t>(b) * p.kv_heads + kv;
        const uint64_t first = packed ? of.begin : static_cast<uint64_t>(b) * p.keys;
        k = static_cast<const int8_t*>(p.k_codes) + (first * p.kv_heads + kv) * D + tid % 2 * 16;
        k_scales = static_cast<const float*>(p.k_scales) + head * p.k_pitch + of.position;
        if constexpr (FP8) {
            v = static_cast<const int8_t*>(p.v) + head * p.value_dim * p.k_pitch + of.position;
        } else {
            v = static_cast<const int8_t*>(p.v) + 2 * (of.batch * p.v_batch + kv * p.v_head + of.begin * p.v_token);
        }
    }

    // Keys 64 * tile.. and their scales; what lies past the last key becomes zero.
    __device__ __forceinline__ void start_keys(uint32_t tile) const {
        const uint32_t row = tid / 2, key = tile * KEYS + row, chunk = tid % 2;
        const int8_t* const from = k + static_cast<uint64_t>(key < count ? key : 0) * p.kv_heads * D;
#pragma unroll
        for (int panel = 0; panel < D / 32; ++panel) {
            ptx::cp_async_16(shared + panel * K_PANEL + Keys::offset(row, chunk), from + 32 * panel,
                             key < count ? 16 : 0);
        }
        if (tid < KEYS / 4) {
            const uint32_t at = tile * KEYS + 4 * tid, left = at < count ? min(count - at, 4u) : 0;
            ptx::cp_async_16(shared + K_BYTES + V_BYTES + 16 * tid, k_scales + (left ? at : 0), 4 * left);
        }
    }

    __device__ __forceinline__ void start_values(uint32_t tile) const {
        const uint32_t to = shared + K_BYTES, value_dim = p.value_dim;
        if constexpr (FP8) {
#pragma unroll
            for (uint32_t pass = 0; pass < D / 32; ++pass) {
                if (32 * pass >= value_dim) continue;
                const uint32_t channel = pass * 32 + tid / 4;
                const uint64_t row = channel < value_dim ? channel : 0;
                const int8_t* const from = v + row * p.k_pitch + tile * KEYS + tid % 4 * 16;
                ptx::cp_async_16(to + Rows::offset(channel, tid % 4), from, channel < value_dim ? 16 : 0);
            }
        } else {
            const bool aligned =
                ((reinterpret_cast<uint64_t>(p.v) | 2 * (p.v_batch | p.v_token | p.v_head)) & 15) == 0;
#pragma unroll
            for (uint32_t panel = 0; panel < D / 32; ++panel) {
                if (32 * panel >= value_dim) continue;
#pragma unroll
                for (uint32_t pass = 0; pass < 2; ++pass) {
                    const uint32_t row = pass * 32 + tid / 4, key = tile * KEYS + row, channel = panel * 32 + tid % 4 * 8;
                    const bool there = key < count && channel < value_dim;
                    const int8_t* const from = v + (there ? 2 * (key * p.v_token + channel) : 0);
                    const uint32_t at = to + panel * V_PANEL + Rows::offset(row, tid % 4);
                    if (aligned)
                        ptx::cp_async_16(at, from, there ? 16 : 0);
                    else
                        tile::copy_unaligned(at, from, there ? 16 : 0, 2);
                }
            }
        }
    }

    // B of the scores: keys 8n..8n+15, bytes 32 * step of their rows.
    __device__ __forceinline__ void keys(uint32_t (&b)[4], uint32_t lane, uint32_t n, uint32_t step) const {
        const tile::RowChunk at = tile::ldmatrix_b(lane);
        ptx::ldmatrix_x4(b, shared + step * K_PANEL + Keys::offset(at.row, at.chunk) + n * 8 * 32);
    }

    // Scales of keys 8n + 2t and 8n + 2t + 1.
    __device__ __forceinline__ void scales(float (&of)[2], uint32_t lane, uint32_t n) const {
        ptx::ld_shared_v2(shared + K_BYTES + V_BYTES + (8 * n + lane % 4 * 2) * 4, of);
    }

    // B of the output: channels 16 * pair.., and keys 16 * step.. (32 * step of 8 bits).
    __device__ __forceinline__ void values(uint32_t (&b)[4], uint32_t lane, uint32_t pair, uint32_t step) const {
        const uint32_t from = shared + K_BYTES;
        if constexpr (FP8) {
            const tile::RowChunk at = tile::ldmatrix_b(lane);
            ptx::ldmatrix_x4(b, from + (Rows::offset(at.row, at.chunk) ^ 32 * step) + pair * 16 * 64);
        } else {
            const tile::RowChunk at = tile::ldmatrix_b_trans(lane);
            const uint32_t place = Rows::offset(at.row, at.chunk) ^ pair % 2 * 32;
            ptx::ldmatrix_x4_trans(b, from + pair / 2 * V_PANEL + place + step * 16 * 64);
        }
    }
};

// The 16 rows of a warp on their way out, in 16 bits.
template <int D>
struct Int8Output {
    using Rows = tile::Swizzle<64>;
    uint16_t* out;  // the warp's first row
    int64_t row;    // elements from a row to the next
    uint32_t count, stage;
    bool aligned;

    __device__ __forceinline__ Int8Output(const PrefillInt8Params& p, uint32_t b, uint32_t h, const Tokens& of,
                                          uint32_t first, uint32_t stage_)
        : row(p.out_token), count(of.count > first ? of.count - first : 0), stage(stage_) {
        out = static_cast<uint16_t*>(p.out) + of.batch * p.out_batch + h * p.out_head +
              static_cast<int64_t>(of.begin + first) * p.out_token;
        aligned = ((reinterpret_cast<uint64_t>(p.out) | 2 * (p.out_batch | p.out_token | p.out_head)) & 15) == 0;
    }

    // Channels 8n + 2t and 8n + 2t + 1 of row g + 8r.
    __device__ __forceinline__ void put(uint32_t lane, uint32_t n, uint32_t r, uint32_t pair) const {
        ptx::st_shared(stage + n / 4 * 1024 + Rows::offset(lane / 4 + 8 * r, n % 4) + lane % 4 * 4, pair);
    }

    // All rows that are there; the warp has put them.
    __device__ __forceinline__ void write(uint32_t lane, uint32_t value_dim) const {
        const uint32_t chunk = lane % 4;
        for (uint32_t panel = 0; 32 * panel < value_dim; ++panel) {
            const uint32_t channel = 32 * panel + 8 * chunk;
#pragma unroll
            for (uint32_t i = lane / 4; i < 16; i += 8) {
                if (i >= count || channel >= value_dim) continue;
                const int4 of = ptx::ld_shared_v4(stage + panel * 1024 + Rows::offset(i, chunk));
                uint16_t* const to = out + i * row + channel;
                if (aligned) {
                    *reinterpret_cast<int4*>(to) = of;
                } else {
                    const int words[4] = {of.x, of.y, of.z, of.w};
#pragma unroll
                    for (int w = 0; w < 4; ++w) {
                        to[2 * w] = static_cast<uint16_t>(words[w]);
                        to[2 * w + 1] = static_cast<uint16_t>(static_cast<uint32_t>(words[w]) >> 16);
                    }
                }
            }
        }
    }
};

}  // namespace attention

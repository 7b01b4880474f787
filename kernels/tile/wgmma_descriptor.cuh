// Matrix descriptors of wgmma for tiles in the 128-byte swizzle. PTX ISA §9.7.15.5.1.
#pragma once
#include <cstdint>

namespace tile {

// A tile of rows of 128 bytes along K (tile/swizzle.cuh, ROW_BYTES = 128) at a shared address; `tile` is a multiple of
// 1024 plus the byte of K to start at (a multiple of 32 below 128: the hardware swizzles address bits, so a step in K
// is a step of the start address). In units of 16 bytes:
//
//     bits 0-13   start address                    bits 32-45  from 8 rows to the next 8: 8 * 128 = 1024 bytes
//     bits 16-29  1: unused by this swizzle        bits 62-63  1: 128-byte swizzle
__device__ __forceinline__ uint64_t descriptor_swizzle_128(uint32_t tile) {
    return static_cast<uint64_t>((tile & 0x3ffff) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

}  // namespace tile

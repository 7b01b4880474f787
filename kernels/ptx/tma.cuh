// cp.async.bulk.tensor: a box of a tensor into shared memory by the copy engine. PTX ISA §9.7.9.25.5.
#pragma once
#include <cstdint>

namespace ptx {

// Copies the box at (column, row) that `map` describes (64-byte aligned, in constant, parameter or global memory).
// What lies outside the tensor becomes zero. All bytes of the box are signalled to `barrier`.
__device__ __forceinline__ void tma_load_2d(uint32_t shared, const void* map, uint32_t barrier, int32_t column,
                                            int32_t row) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4}], [%2];"
        :
        : "r"(shared), "l"(map), "r"(barrier), "r"(column), "r"(row)
        : "memory");
}

// Brings the map itself into the cache of descriptors.
__device__ __forceinline__ void tma_prefetch_map(const void* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

}  // namespace ptx

// cp.async: copies from global to shared memory that a thread does not wait for. PTX ISA §9.7.9.25.3.
#pragma once
#include <cstdint>

namespace ptx {

// Copies `bytes` (0..16) bytes and writes zeros after them, 16 bytes in all. Both addresses are 16-byte aligned.
// `.cg`: through L2 only, the tile is not wanted in L1.
__device__ __forceinline__ void cp_async_16(uint32_t shared, const void* global, uint32_t bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared), "l"(__cvta_generic_to_global(global)), "r"(bytes)
                 : "memory");
}

// The same of 4 bytes (0..4 of them read), at multiples of 4. Only `.ca` moves so few.
__device__ __forceinline__ void cp_async_4(uint32_t shared, const void* global, uint32_t bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 :
                 : "r"(shared), "l"(__cvta_generic_to_global(global)), "r"(bytes)
                 : "memory");
}

// Closes the group of all copies this thread started since the last group. A group may be empty.
__device__ __forceinline__ void cp_async_commit_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most PENDING of this thread's youngest groups are unfinished.
template <int PENDING>
__device__ __forceinline__ void cp_async_wait_group() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

}  // namespace ptx

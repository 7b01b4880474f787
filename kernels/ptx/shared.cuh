// ld.shared, st.shared: accesses to shared memory by its own addresses, of exactly the width that is written here.
// PTX ISA §9.7.9.8, §9.7.9.11.
#pragma once
#include <cstdint>

namespace ptx {

// The address of `pointer`, which points into shared memory, in the shared window.
__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void st_shared(uint32_t address, uint32_t x) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(x) : "memory");
}

// 8-byte aligned.
__device__ __forceinline__ void st_shared_v2(uint32_t address, int32_t x, int32_t y) {
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(address), "r"(x), "r"(y) : "memory");
}

// 16-byte aligned.
__device__ __forceinline__ int4 ld_shared_v4(uint32_t address) {
    int4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address)
                 : "memory");
    return v;
}

// 8-byte aligned.
__device__ __forceinline__ void ld_shared_v2(uint32_t address, float (&v)[2]) {
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v[0]), "=f"(v[1]) : "r"(address) : "memory");
}

__device__ __forceinline__ int32_t ld_shared(uint32_t address) {
    int32_t v;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
    return v;
}

}  // namespace ptx

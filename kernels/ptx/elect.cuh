// elect.sync: picks one lane of a warp. PTX ISA §9.7.13.14.
#pragma once
#include <cstdint>

namespace ptx {

// True in exactly one lane. The whole warp must be here.
__device__ __forceinline__ bool elect_one() {
    uint32_t elected;
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "elect.sync _|p, 0xffffffff;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(elected));
    return elected != 0;
}

}  // namespace ptx

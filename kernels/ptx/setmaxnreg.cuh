// setmaxnreg: registers of a thread, moved between warpgroups. PTX ISA, "setmaxnreg" (sm_90a).
#pragma once

namespace ptx {

// All warps of a warpgroup together. The kernel must have been compiled for a known number of registers, and REGISTERS is a
// multiple of 8 from 24 to 256; a warpgroup that asks for more waits until others have given theirs back.
template <int REGISTERS>
__device__ __forceinline__ void setmaxnreg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ __forceinline__ void setmaxnreg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

}  // namespace ptx

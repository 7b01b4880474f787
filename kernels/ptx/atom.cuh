// atom: read, change and write a word of memory in one step. PTX ISA §9.7.13.5; on ordering §8.
#pragma once
#include <cstdint>

namespace ptx {

// Adds to a word of global memory and returns what it held. Releases what came before it, by this thread and by those
// that met it at a barrier, to whoever sees the sum by such an atom; acquires likewise. For all threads of the GPU.
__device__ __forceinline__ uint32_t atom_add_acq_rel_gpu(uint32_t* word, uint32_t value) {
    uint32_t old;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(__cvta_generic_to_global(word)), "r"(value)
                 : "memory");
    return old;
}

}  // namespace ptx

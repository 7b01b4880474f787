// Fences between the ways of reaching memory. PTX ISA §9.7.13.4.
#pragma once

namespace ptx {

// Makes mbarrier.init of this thread visible to the cluster (and to copies that signal it).
__device__ __forceinline__ void fence_mbarrier_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Orders this thread's ordinary accesses before later ones of the asynchronous proxy (TMA, wgmma).
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async;" ::: "memory"); }

}  // namespace ptx

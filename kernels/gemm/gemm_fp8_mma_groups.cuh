// Products of e4m3 and e5m2 in any pairing by mma.sync, in two levels of f32 sums, scaled by K group (gemm/mma_loop.cuh).
#pragma once
#include "gemm/mma_loop.cuh"

// Products of f16 by mma.sync, in f32, K along the rows (gemm/mma_loop.cuh).
#pragma once
#include "gemm/mma_loop.cuh"

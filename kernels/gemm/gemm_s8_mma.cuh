// Products of signed bytes by mma.sync, exact in s32 (gemm/mma_loop.cuh).
#pragma once
#include "gemm/mma_loop.cuh"

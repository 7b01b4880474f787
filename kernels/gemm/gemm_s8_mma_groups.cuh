// The product of bytes by mma.sync, exact within a group of K and scaled by group (gemm/mma_loop.cuh).
#pragma once
#include "gemm/mma_loop.cuh"

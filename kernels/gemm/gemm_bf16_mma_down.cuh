// Products of bf16 whose K lies down the rows of one operand or of both (gemm/mma_loop.cuh).
#pragma once
#include "gemm/mma_loop.cuh"

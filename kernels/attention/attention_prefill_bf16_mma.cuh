// Attention of many queries in bf16 by mma.sync (attention/prefill.cuh).
#pragma once
#include "attention/prefill.cuh"

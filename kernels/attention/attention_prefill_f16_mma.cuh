// Attention of many queries in f16 by mma.sync (attention/prefill.cuh).
#pragma once
#include "attention/prefill.cuh"

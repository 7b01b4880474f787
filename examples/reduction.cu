// The sum of n numbers by one block: each thread adds up its own, then half of the threads at a time add what the other
// half has, in shared memory.
//
//     nvcc -ptx -arch=compute_80 -lineinfo reduction.cu -o reduction.ptx

constexpr int THREADS = 256;

extern "C" __global__ void sum(const float* x, int n, float* out) {
    __shared__ float part[THREADS];
    int t = threadIdx.x;
    float own = 0;
    for (int i = t; i < n; i += THREADS) own += x[i];
    part[t] = own;
    __syncthreads();
#pragma unroll 1  // so that each line of it is one instruction, and a race one report
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();
    }
    if (t == 0) *out = part[0];
}

// The same with the barrier in the loop forgotten: a warp may read what another has not yet added to.
extern "C" __global__ void sum_racy(const float* x, int n, float* out) {
    __shared__ float part[THREADS];
    int t = threadIdx.x;
    float own = 0;
    for (int i = t; i < n; i += THREADS) own += x[i];
    part[t] = own;
    __syncthreads();
#pragma unroll 1
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) *out = part[0];
}

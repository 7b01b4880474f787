// Variables of every kind: constant, device, managed, static in a function, shared, dynamic shared, local arrays.

#include <cstdint>

struct Node {
    int value;
    const Node* next;
};

__constant__ float weights[4] = {0.5f, -1.0f, 2.0f};
__constant__ int offsets[3][2] = {{1, 2}, {3}, {5, 6}};
__device__ unsigned counter = 40;
__device__ double table[5] = {1, 1.0 / 3, 1e300, -0.0};
__device__ const Node last = {31, nullptr};
__device__ const Node middle = {21, &last};
__device__ const Node first = {11, &middle};
__device__ const char* const words[2] = {"zero", "one"};
__device__ uint8_t bytes[7] = {1, 2, 3, 250};
__device__ int* where = (int*)&table[2];
__managed__ int managed = 6;

extern "C" __global__ void read(float* f, int* i, double* d) {
    int t = threadIdx.x;
    f[t] = weights[t & 3];
    i[t] = offsets[t % 3][t & 1] + bytes[t % 7] * 100;
    d[t] = table[t % 5];
}

extern "C" __global__ void follow(int* out) {
    int t = threadIdx.x;
    const Node* node = &first;
    for (int n = t % 3; n > 0; n--) node = node->next;
    out[t] = node->value + words[t & 1][t % 4] * 1000 + (where == (int*)(table + 2) ? 1000000 : 0) + managed * 10000000;
}

__device__ __noinline__ unsigned next() {
    static unsigned calls = 100;
    return atomicAdd(&calls, 1);
}

extern "C" __global__ void count(unsigned* out) {
    if (threadIdx.x == 0) {
        counter += 2;
        out[0] = counter;
        out[1] = next();
        out[2] = next();
    }
}

// A histogram in a local array with indices known only at run time, then a sum through both kinds of shared memory.
extern "C" __global__ void arrays(const uint8_t* in, int n, unsigned* out) {
    __shared__ unsigned sums[8];
    extern __shared__ unsigned every[];
    unsigned own[8] = {};
    int t = threadIdx.x;
    if (t < 8) sums[t] = 0;
    for (int i = t; i < n; i += blockDim.x) own[in[i] & 7] += in[i] >> 3;
    for (int k = 0; k < 8; k++) every[k * blockDim.x + t] = own[k];
    __syncthreads();
    for (int k = 0; k < 8; k++) atomicAdd(&sums[k], every[k * blockDim.x + (blockDim.x - 1 - t)]);
    __syncthreads();
    if (t < 8) out[t] = sums[t];
}

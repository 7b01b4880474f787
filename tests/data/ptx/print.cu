// printf and assert.

#include <cassert>
#include <cstdio>

extern "C" __global__ void print(const float* x, int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t < n) printf("x[%d] = %8.3f (%s) %c %llx %5u%%\n", t, x[t], x[t] < 0 ? "below" : "not below", 'a' + t, 1ull << (t + 30), 10u * t);
    if (t == n) printf("%e %g %-6d| %+d %#o %p %*.*f\n", 1.0 / 3, 1e-7, t, t, 64, (void*)0x1234, 9, 2, 2.5);
    if (t == n + 1) printf("done\n");
}

__device__ __noinline__ void check(const float* x, int t) { assert(x[t] >= 0 && "numbers are not negative"); }

extern "C" __global__ void checked(const float* x) { check(x, threadIdx.x); }

extern "C" __global__ void stopped(int t) {
    if (threadIdx.x == t) __trap();
}

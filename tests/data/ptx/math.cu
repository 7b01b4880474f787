// Functions of the CUDA math library, of integers, halves, floats and doubles.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void floats(const float* x, float* out, int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    float v = x[t];
    float results[] = {sinf(v), cosf(v), tanf(v), expf(v), exp2f(v), logf(fabsf(v)), log2f(fabsf(v)), powf(fabsf(v), 1.7f),
        erff(v), tanhf(v), atanf(v), sqrtf(fabsf(v)), rsqrtf(fabsf(v)), 1.0f / v, cbrtf(v), sinpif(v),
        fmodf(v, 0.7f), remainderf(v, 0.7f), rintf(v), truncf(v), floorf(v), log1pf(fabsf(v)), expm1f(v), asinhf(v)};
    for (int i = 0; i < 24; i++) out[i * n + t] = results[i];
}

extern "C" __global__ void doubles(const double* x, double* out, int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    double v = x[t];
    double results[] = {sin(v), cos(v), exp(v), log(fabs(v)), pow(fabs(v), 1.7), erf(v), tanh(v), atan(v), sqrt(fabs(v)), 1.0 / v,
        fma(v, v, 1.0), cbrt(v), fmod(v, 0.7), rint(v)};
    for (int i = 0; i < 14; i++) out[i * n + t] = results[i];
}

extern "C" __global__ void integers(const long long* a, const long long* b, unsigned long long* out, int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    long long x = a[t], y = b[t];
    unsigned long long u = x, v = y;
    unsigned long long results[] = {(unsigned long long)(x / y), (unsigned long long)(x % y), u / v, u % v, __umul64hi(u, v),
        (unsigned long long)__mul64hi(x, y), __umulhi((unsigned)x, (unsigned)y), (unsigned)__mulhi((int)x, (int)y),
        (unsigned long long)__popcll(x), (unsigned long long)__clzll(x), (unsigned long long)__ffsll(x), __brevll(x),
        __byte_perm((unsigned)x, (unsigned)y, 0x2516), __funnelshift_l((unsigned)x, (unsigned)y, 7),
        (unsigned long long)__sad((int)x, (int)y, 5u), (unsigned)__dp4a((int)x, (int)y, 100), __vadd4((unsigned)x, (unsigned)y),
        __vmaxs2((unsigned)x, (unsigned)y)};
    for (int i = 0; i < 18; i++) out[i * n + t] = results[i];
}

extern "C" __global__ void halves(const __half2* a, const __half2* b, __half2* out, int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    __half2 x = a[t], y = b[t];
    __half2 results[] = {__hadd2(x, y), __hsub2(x, y), __hmul2(x, y), __hfma2(x, y, x), __hmax2(x, y), __hmin2(x, y), __habs2(x),
        __hneg2(y), h2exp(x), h2sqrt(__habs2(x)), h2rcp(x), __h2div(x, y)};
    for (int i = 0; i < 12; i++) out[i * n + t] = results[i];
}

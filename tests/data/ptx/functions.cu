// Functions that are really called: structures by value, recursion, function pointers, virtual functions, a switch.

struct Pair {
    int a;
    double b;
    char c[5];
};

__device__ __noinline__ Pair changed(Pair p, int k) {
    p.a *= k;
    p.b += k;
    p.c[0] = p.c[4];
    return p;
}

__device__ __noinline__ bool odd(int x) { return x & 1; }
__device__ __noinline__ short narrow(short x, unsigned char y) { return x * y; }

template <typename T> __device__ __noinline__ T power(T x, int n) {
    T y = 1;
    for (int i = 0; i < n; i++) y *= x;
    return y;
}

__device__ __noinline__ unsigned long long fibonacci(int n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

// Sorts by recursion on a local array that the caller owns.
__device__ __noinline__ void sort(int* x, int first, int last) {
    if (first >= last) return;
    int pivot = x[(first + last) / 2], i = first, j = last;
    while (i <= j) {
        while (x[i] < pivot) i++;
        while (x[j] > pivot) j--;
        if (i <= j) {
            int t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
    }
    sort(x, first, j);
    sort(x, i, last);
}

struct Shape {
    __device__ virtual int area(int x) const { return x + 1; }
};
struct Square : Shape {
    int side;
    __device__ Square(int side) : side(side) {}
    __device__ int area(int x) const override { return side * side * x; }
};
__device__ __noinline__ int area_of(const Shape* shape, int x) { return shape->area(x); }

typedef int (*Function)(int);
__device__ int increment(int x) { return x + 1; }
__device__ int twice(int x) { return 2 * x; }
__device__ int negate(int x) { return -x; }
__device__ Function table[3] = {increment, twice, negate};

extern "C" __global__ void structures(int* out, double* sums) {
    int t = threadIdx.x;
    Pair p = {t, 1.5, {1, 2, 3, 4, (char)(t + 7)}};
    Pair q = changed(p, t % 5);
    out[t] = q.a + 1000 * q.c[0] + 100000 * p.c[0] + (odd(t) ? 10000000 : 0);
    sums[t] = q.b + p.b;
}

extern "C" __global__ void templates(float* f, double* d, unsigned* u, int* s) {
    int t = threadIdx.x;
    f[t] = power(1.5f, t % 7);
    d[t] = power(0.25, t % 9);
    u[t] = power(3u, t);
    s[t] = narrow((short)(t * 1000), (unsigned char)(t * 50));
}

extern "C" __global__ void recursion(unsigned long long* numbers, int* sorted) {
    int t = threadIdx.x;
    numbers[t] = fibonacci(t % 13);
    int x[16];
    unsigned state = t + 1;
    for (int i = 0; i < 16; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = state >> 24;
    }
    sort(x, 0, 15);
    for (int i = 0; i < 16; i++) sorted[16 * t + i] = x[i];
}

extern "C" __global__ void pointers(int* out) {
    int t = threadIdx.x;
    Shape shape;
    Square square(t);
    const Shape* chosen = odd(t) ? &square : &shape;
    out[t] = area_of(chosen, 7) + 1000000 * table[t % 3](t);
}

// A machine of sixteen instructions, each a byte. (nvcc 13.0 makes a tree of comparisons of any switch, no table.)
extern "C" __global__ void machine(const unsigned char* program, int length, int* out) {
    int t = threadIdx.x, a = t, b = 1;
    for (int i = 0; i < length; i++) {
        switch ((program[i] + (t & 1)) & 15) {
        case 0: a += b; break;
        case 1: a -= b; break;
        case 2: a *= 3; break;
        case 3: a ^= b; break;
        case 4: b += 7; break;
        case 5: b = a; break;
        case 6: a = b; break;
        case 7: a <<= 1; break;
        case 8: a >>= 2; break;
        case 9: b = ~b; break;
        case 10: a = a % 1000; break;
        case 11: b = b * b; break;
        case 12: a = min(a, b); break;
        case 13: b = max(a, b); break;
        case 14: i += a & 1; break;
        case 15: out[t] ^= a; break;
        }
    }
    out[t] += a + 31 * b;
}

extern "C" __global__ void branches(int* out) {
    int t = threadIdx.x, x = 100 * t;
    switch (t) {
    case 0: x += 5; break;
    case 1: x *= 3; break;
    case 2: x -= 7 * t; break;
    case 3: x = 9;  // and on
    case 4: x ^= 77; break;
    case 5: x <<= 3; break;
    case 6: x = ~x; break;
    case 7: x = x % 13; break;
    case 9: return;
    default: x = -1;
    }
    out[t] = x;
}

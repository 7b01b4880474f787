/* A CUDA driver library without a GPU: device memory is host memory, kernels do not run, and every call that
 * matters is a line in a log. Tests build it with `cc -shared` and load it in a child process.
 *
 * Environment:
 *   FAKE_CUDA_LOG         file that the lines are appended to
 *   FAKE_CUDA_INIT        code that cuInit returns
 *   FAKE_CUDA_VERSION     what cuDriverGetVersion says; default 13000
 *   FAKE_CUDA_COUNT       number of GPUs; default 1
 *   FAKE_CUDA_CAPABILITY  compute capability times ten; default 90
 *   FAKE_CUDA_JIT         code that loading a module returns, with a compiler's log
 *   FAKE_CUDA_TRAP        kernels with commas between and around them, `,a,b,`; after the launch of one every call of this
 *                         process fails with code 715 (illegal instruction), as after a trap
 * Work counts as not ended while a file named like the log with ".busy" appended exists.
 *
 * With -DWITHOUT_POOLS the library lacks cuMemAllocAsync, as drivers before CUDA 11.2 do; with
 * -DWITHOUT_HOPPER it lacks cuLaunchKernelEx and cuTensorMapEncodeTiled, as drivers before 11.8 do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;

struct stream { int id, capturing; };
struct event { int id, captured; };
struct function { char name[96]; int bytes; };
struct config {
    unsigned grid[3], block[3], shared;
    struct stream *stream;
    struct attribute { unsigned id, pad, value[16]; } *attributes;
    unsigned count;
};

/* Calls that need a context fail without one, as the driver's do, and after a trap. */
#define NEED_CONTEXT do { if (!current) { line("no context in %s", __func__); return 201; } if (trapped) return 715; } while (0)

static int next_stream = 1, next_event = 1, next_graph = 1;
static __thread void *current;
static int trapped;
static __thread struct stream per_thread = {-2, 0};
static int the_context, the_graph;

static void line(const char *format, ...) {
    const char *path = getenv("FAKE_CUDA_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    va_list args;
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fputc('\n', file);
    fclose(file);
}

static int setting(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

static int busy(void) {
    char path[4096];
    const char *log = getenv("FAKE_CUDA_LOG");
    if (!log) return 0;
    snprintf(path, sizeof path, "%s.busy", log);
    return access(path, F_OK) == 0;
}

static int id(const struct stream *stream) { return (uintptr_t)stream <= 2 ? (int)(intptr_t)stream * -1 : stream->id; }
static struct stream *real(struct stream *stream) { return (uintptr_t)stream == 2 ? &per_thread : stream; }
static int capturing(const struct stream *stream) { stream = real((struct stream *)stream); return (uintptr_t)stream > 2 && stream->capturing; }
static const char *mode(const struct stream *stream) { return capturing(stream) ? "captured " : ""; }

/* Asking for the text of an error means that one was about to be printed through cudarc. */
CUresult cuGetErrorName(CUresult code, const char **text) { (void)code; (void)text; line("error text asked for"); abort(); }
CUresult cuGetErrorString(CUresult code, const char **text) { (void)code; (void)text; line("error text asked for"); abort(); }

CUresult cuInit(unsigned flags) { (void)flags; return setting("FAKE_CUDA_INIT", 0); }
CUresult cuDriverGetVersion(int *version) { *version = setting("FAKE_CUDA_VERSION", 13000); return 0; }
CUresult cuDeviceGetCount(int *count) { *count = setting("FAKE_CUDA_COUNT", 1); return 0; }
CUresult cuDeviceGet(int *device, int ordinal) { *device = 40 + ordinal; return 0; }
CUresult cuDeviceGetName(char *name, int bytes, int device) { snprintf(name, bytes, "Fake GPU %d", device - 40); return 0; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)80 << 30; return 0; }

CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = setting("FAKE_CUDA_CAPABILITY", 90);
    (void)device;
    switch (attribute) {
    case 16: *value = 132; return 0;                /* multiprocessors */
    case 38: *value = 50 << 20; return 0;           /* L2 */
    case 39: *value = 2048; return 0;               /* threads a multiprocessor */
    case 75: *value = capability / 10; return 0;
    case 76: *value = capability % 10; return 0;
    case 81: *value = 228 * 1024; return 0;         /* shared memory a multiprocessor */
    case 82: *value = 65536; return 0;              /* registers a multiprocessor */
    case 97: *value = 227 * 1024; return 0;         /* shared memory a block, on request */
    case 115: *value = 1; return 0;                 /* memory pools */
    default: return 1;
    }
}

CUresult cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = &the_context; line("retain context"); return 0; }
CUresult cuDevicePrimaryCtxRelease_v2(int device) { (void)device; line("release context"); return 0; }
CUresult cuCtxGetCurrent(void **context) { *context = current; return 0; }
CUresult cuCtxSetCurrent(void *context) { current = context; return 0; }
CUresult cuCtxSynchronize(void) { NEED_CONTEXT; return 0; }

CUresult cuStreamCreate(struct stream **stream, unsigned flags) {
    (void)flags;
    NEED_CONTEXT;
    *stream = calloc(1, sizeof **stream);
    (*stream)->id = next_stream++;
    line("create stream %d", (*stream)->id);
    return 0;
}
CUresult cuStreamDestroy_v2(struct stream *stream) { line("destroy stream %d", stream->id); free(stream); return 0; }
CUresult cuStreamSynchronize(struct stream *stream) { NEED_CONTEXT; line("synchronize %d", id(stream)); return capturing(stream) ? 900 : 0; }
CUresult cuStreamQuery(struct stream *stream) { (void)stream; NEED_CONTEXT; return busy() ? 600 : 0; }
CUresult cuStreamIsCapturing(struct stream *stream, unsigned *status) { NEED_CONTEXT; *status = capturing(stream); return 0; }
CUresult cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags) {
    (void)flags;
    NEED_CONTEXT;
    line("%swait %d for event %d", mode(stream), id(stream), event->id);
    if (event->captured) line("stream %d joins a capture", id(stream));
    return capturing(stream) ? 905 : 0;
}
CUresult cuStreamBeginCapture_v2(struct stream *stream, unsigned how) {
    NEED_CONTEXT;
    if ((uintptr_t)stream <= 1) return 900;
    real(stream)->capturing = 1;
    line("begin capture %d mode %u", id(stream), how);
    return 0;
}
CUresult cuStreamEndCapture(struct stream *stream, void **graph) {
    NEED_CONTEXT;
    real(stream)->capturing = 0;
    *graph = &the_graph;
    line("end capture %d", id(stream));
    return 0;
}
CUresult cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
    (void)graph; (void)flags;
    NEED_CONTEXT;
    *exec = (void *)(intptr_t)next_graph++;
    return 0;
}
CUresult cuGraphLaunch(void *exec, struct stream *stream) { NEED_CONTEXT; line("graph %d on %d", (int)(intptr_t)exec, id(stream)); return 0; }
CUresult cuGraphExecDestroy(void *exec) { NEED_CONTEXT; line("destroy graph %d", (int)(intptr_t)exec); return 0; }
CUresult cuGraphDestroy(void *graph) { (void)graph; return 0; }

CUresult cuEventCreate(struct event **event, unsigned flags) {
    (void)flags;
    NEED_CONTEXT;
    *event = calloc(1, sizeof **event);
    (*event)->id = next_event++;
    return 0;
}
CUresult cuEventDestroy_v2(struct event *event) { free(event); return 0; }
CUresult cuEventRecord(struct event *event, struct stream *stream) {
    NEED_CONTEXT;
    event->captured = capturing(stream);
    line("%srecord event %d on %d", mode(stream), event->id, id(stream));
    return 0;
}
CUresult cuEventSynchronize(struct event *event) { (void)event; return 0; }
CUresult cuEventQuery(struct event *event) { (void)event; return busy() ? 600 : 0; }
CUresult cuEventElapsedTime(float *milliseconds, struct event *start, struct event *end) {
    (void)start; (void)end;
    *milliseconds = 1.5f;
    return 0;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) { (void)address; (void)bytes; return 801; }
CUresult cuMemFree_v2(CUdeviceptr address) { (void)address; return 801; }
#ifndef WITHOUT_POOLS
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, struct stream *stream) {
    NEED_CONTEXT;
    if (bytes >> 36) return 2;
    void *memory = aligned_alloc(256, (bytes + 255) & ~(size_t)255);
    if (!memory) return 2;
    memset(memory, 0xAB, bytes);
    *address = (CUdeviceptr)(uintptr_t)memory;
    line("alloc %zu on %d", bytes, id(stream));
    return 0;
}
#endif
CUresult cuMemFreeAsync(CUdeviceptr address, struct stream *stream) {
    NEED_CONTEXT;
    if (capturing(stream)) { line("captured free on %d", id(stream)); return 1; }
    free((void *)(uintptr_t)address);
    line("free on %d", id(stream));
    return 0;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, struct stream *stream) {
    NEED_CONTEXT;
    memcpy((void *)(uintptr_t)to, from, bytes);
    line("upload %zu on %d", bytes, id(stream));
    return 0;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, struct stream *stream) {
    NEED_CONTEXT;
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    line("download %zu on %d", bytes, id(stream));
    return 0;
}
CUresult cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t bytes, struct stream *stream) {
    NEED_CONTEXT;
    if (!capturing(stream)) memset((void *)(uintptr_t)address, value, bytes);
    line("%sfill %zu with %u on %d", mode(stream), bytes, value, id(stream));
    return 0;
}

CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned count, unsigned *keys, void **values) {
    int code = setting("FAKE_CUDA_JIT", 0);
    NEED_CONTEXT;
    for (unsigned i = 0; i < count; i++)
        if (code && keys[i] == 5) snprintf(values[i], 64, "ptxas application ptx input, line 9; error: no such thing\n");
    if (code) return code;
    *module = strdup(image);
    line("load module");
    return 0;
}
CUresult cuModuleUnload(void *module) { NEED_CONTEXT; line("unload module"); free(module); return 0; }
CUresult cuModuleGetFunction(struct function **function, void *module, const char *name) {
    char key[128];
    snprintf(key, sizeof key, ".entry %s(", name);
    const char *entry = strstr(module, key), *size = entry ? strchr(entry, '[') : NULL;
    if (!size) return 500;
    *function = calloc(1, sizeof **function);
    snprintf((*function)->name, sizeof (*function)->name, "%s", name);
    (*function)->bytes = atoi(size + 1);
    return 0;
}
CUresult cuFuncGetAttribute(int *value, int attribute, struct function *function) { (void)function; *value = attribute == 1 ? 1024 : 0; return 0; }
CUresult cuFuncSetAttribute(struct function *function, int attribute, int value) {
    line("attribute %d of %s is %d", attribute, function->name, value);
    return 0;
}

static void launched(struct function *f, const unsigned *grid, const unsigned *block, const unsigned *cluster,
                     unsigned shared, struct stream *stream, void **arguments) {
    char bytes[8193], listed[128];
    const unsigned char *block_of_params = arguments[0];
    for (int i = 0; i < f->bytes && i < 4096; i++) sprintf(bytes + 2 * i, "%02x", block_of_params[i]);
    line("%slaunch %s grid %u,%u,%u block %u,%u,%u cluster %u,%u,%u shared %u on %d aligned %d params %s", mode(stream),
         f->name, grid[0], grid[1], grid[2], block[0], block[1], block[2], cluster[0], cluster[1], cluster[2], shared,
         id(stream), (int)((uintptr_t)block_of_params % 64 == 0), bytes);
    snprintf(listed, sizeof listed, ",%s,", f->name);
    trapped |= getenv("FAKE_CUDA_TRAP") && strstr(getenv("FAKE_CUDA_TRAP"), listed);
}

CUresult cuLaunchKernel(struct function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, struct stream *stream, void **arguments, void **extra) {
    unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz}, cluster[3] = {0, 0, 0};
    (void)extra;
    NEED_CONTEXT;
    launched(f, grid, block, cluster, shared, stream, arguments);
    return 0;
}

#ifndef WITHOUT_HOPPER
CUresult cuLaunchKernelEx(const struct config *config, struct function *f, void **arguments, void **extra) {
    unsigned cluster[3] = {1, 1, 1};
    (void)extra;
    NEED_CONTEXT;
    for (unsigned i = 0; i < config->count; i++)
        if (config->attributes[i].id == 4) memcpy(cluster, config->attributes[i].value, sizeof cluster);
    launched(f, config->grid, config->block, cluster, config->shared, config->stream, arguments);
    return 0;
}

/* The map is a readable record of what was asked for: numbers in the order of the arguments. */
CUresult cuTensorMapEncodeTiled(void *map, unsigned dtype, unsigned rank, void *address, const uint64_t *dims,
                                const uint64_t *strides, const uint32_t *box, const uint32_t *steps,
                                unsigned interleave, unsigned swizzle, unsigned promotion, unsigned fill) {
    uint64_t words[16] = {dtype, rank, (uintptr_t)address, dims[0], dims[1], strides[0], box[0], box[1],
                          steps[0], steps[1], interleave, swizzle, promotion, fill, 0, 0};
    if ((uintptr_t)map % 64) return 1;
    memcpy(map, words, sizeof words);
    return 0;
}
#endif

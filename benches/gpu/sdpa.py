"""PyTorch's scaled_dot_product_attention, one pass at a time, for the benchmark beside it.

Says first which back ends it has. Then, a line each: `shape BATCH TOKENS HEADS KV_HEADS HEAD_DIM VALUE_DIM CAUSAL SETS` makes so many
sets of random bf16 operands; a back end's name runs it over all sets and answers with microseconds a run, or why not; `end` ends.
"""

import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

BACKENDS = {"pytorch_flash": SDPBackend.FLASH_ATTENTION, "pytorch_cudnn": SDPBackend.CUDNN_ATTENTION}
sets, causal, grouped = [], False, False


def timed(backend):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with sdpa_kernel(backend):
        begin.record()
        for q, k, v in sets:
            scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=grouped)
        end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1000 / len(sets)


print(*BACKENDS, flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "end":
        break
    try:
        if words[0] == "shape":
            batch, tokens, heads, kv_heads, size, value_size, is_causal, count = map(int, words[1:])
            causal, grouped = bool(is_causal), heads != kv_heads

            def tensor(heads, size):
                made = torch.randn(batch, tokens, heads, size, dtype=torch.bfloat16, device="cuda")
                return made.transpose(1, 2)

            sets = [(tensor(heads, size), tensor(kv_heads, size), tensor(kv_heads, value_size)) for _ in range(count)]
            print("ready", flush=True)
        else:
            print(timed(BACKENDS[words[0]]), flush=True)
    except RuntimeError as error:
        print("not served:", str(error).splitlines()[0], flush=True)

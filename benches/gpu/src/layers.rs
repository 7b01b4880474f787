//! The linear layers of large models, at their true sizes.

/// Rows of activations: one token, a small batch, a prompt, a long one.
pub const TOKENS: [usize; 4] = [1, 16, 512, 2048];

/// (model and layer, N, K). GPT-3 175B has the sizes of OPT-175B. Multi-query attention (PaLM: 48 heads of 256 and one
/// of keys and of values) and grouped queries (Llama-2 70B: 64 and 8 heads of 128) are in the N of q, k and v; gates
/// stand beside what they gate.
pub const LAYERS: [(&str, usize, usize); 23] = [
    ("bert-base qkv", 2304, 768),
    ("bert-base ffn up", 3072, 768),
    ("bert-base ffn down", 768, 3072),
    ("opt-175b qkv", 36_864, 12_288),
    ("opt-175b out", 12_288, 12_288),
    ("opt-175b ffn up", 49_152, 12_288),
    ("opt-175b ffn down", 12_288, 49_152),
    ("bloom-176b qkv", 43_008, 14_336),
    ("bloom-176b out", 14_336, 14_336),
    ("bloom-176b ffn up", 57_344, 14_336),
    ("bloom-176b ffn down", 14_336, 57_344),
    ("palm-540b qkv", 12_800, 18_432),
    ("palm-540b out", 18_432, 12_288),
    ("palm-540b ffn up", 147_456, 18_432),
    ("palm-540b ffn down", 18_432, 73_728),
    ("llama-7b qkv", 12_288, 4096),
    ("llama-7b out", 4096, 4096),
    ("llama-7b ffn up", 22_016, 4096),
    ("llama-7b ffn down", 4096, 11_008),
    ("llama-70b qkv", 10_240, 8192),
    ("llama-70b out", 8192, 8192),
    ("llama-70b ffn up", 57_344, 8192),
    ("llama-70b ffn down", 8192, 28_672),
];

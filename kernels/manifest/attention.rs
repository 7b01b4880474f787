//! Attention: one kernel (`attention/prefill.cuh`) for every 16-bit type, head size and tile.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of every `attention_prefill_…`.
pub(super) const ATTENTION_PREFILL: Params = Params {
    name: "AttentionPrefillParams",
    fields: &[
        ("q", Field::Ptr, "[tokens, heads, head_dim], 16-byte aligned rows"),
        ("k", Field::Ptr, "[keys, kv_heads, head_dim], 16-byte aligned rows"),
        ("v", Field::Ptr, "[keys, kv_heads, value_dim], 16-byte aligned rows"),
        ("out", Field::PtrMut, "[tokens, heads, value_dim] of q's type (16-byte aligned rows) or f32 (8-byte)"),
        ("lse", Field::PtrMut, "[heads, tokens] float, or null"),
        ("cu_q", Field::Ptr, "[batch + 1] uint32, first tokens of sequences, or null where all are alike"),
        ("cu_k", Field::Ptr, "[batch + 1] uint32, first keys of sequences, or null"),
        ("lens_q", Field::Ptr, "[batch] uint32, queries of each sequence, or null"),
        ("lens_k", Field::Ptr, "[batch] uint32, keys of each sequence, or null"),
        ("pages", Field::Ptr, "[batch, pages of a sequence] uint32, or null where keys lie side by side"),
        ("slopes", Field::Ptr, "[heads] float, ALiBi, or null"),
        ("sinks", Field::Ptr, "[heads] float, scores without a value, or null"),
        ("bias", Field::Ptr, "[queries, keys] of f32 or q's type for each sequence and head, or null"),
        ("mask", Field::Ptr, "[queries, words] uint32 for each sequence, bits of the last mask_columns keys, or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("q_batch", Field::I64, "elements from a sequence to the next; 0 with cu_q"),
        ("q_token", Field::I64, "elements, a multiple of 8"),
        ("q_head", Field::I64, "elements, a multiple of 8"),
        ("k_batch", Field::I64, "elements from a sequence (0 with cu_k) or a page to the next, a multiple of 8"),
        ("k_token", Field::I64, "elements, a multiple of 8"),
        ("k_head", Field::I64, "elements, a multiple of 8"),
        ("v_batch", Field::I64, "as k_batch"),
        ("v_token", Field::I64, "elements, a multiple of 8"),
        ("v_head", Field::I64, "elements, a multiple of 8"),
        ("o_batch", Field::I64, "elements; 0 with cu_q"),
        ("o_token", Field::I64, "elements, a multiple of 8 (f32: 2)"),
        ("o_head", Field::I64, "elements, a multiple of 8 (f32: 2)"),
        ("lse_batch", Field::I64, "elements; 0 with cu_q"),
        ("lse_head", Field::I64, "elements"),
        ("pages_row", Field::I64, "elements from the pages of a sequence to those of the next"),
        ("bias_batch", Field::I64, "elements, 0 where one serves all sequences"),
        ("bias_head", Field::I64, "elements, 0 where one serves all heads"),
        ("bias_row", Field::I64, "elements from a query to the next, 0 where one serves all"),
        ("mask_batch", Field::I64, "words, 0 where one serves all sequences"),
        ("mask_row", Field::I64, "words from a query to the next"),
        ("batch", Field::U32, "sequences"),
        ("heads", Field::U32, "query heads, a multiple of kv_heads"),
        ("kv_heads", Field::U32, "heads of keys and values"),
        ("head_dim", Field::U32, "elements of a row of q and k, a multiple of 8, at most D"),
        ("value_dim", Field::U32, "elements of a row of v and out, a multiple of 8, at most DV"),
        ("max_q", Field::U32, "most queries of a sequence"),
        ("max_k", Field::U32, "most keys of a sequence"),
        ("total_q", Field::U32, "tokens of all sequences, with cu_q"),
        ("total_k", Field::U32, "keys of all sequences, with cu_k"),
        ("page_size", Field::U32, "keys of a page"),
        ("page_count", Field::U32, "pages that exist"),
        ("left", Field::U32, "keys before its own that a query sees, or 2^30"),
        ("right", Field::U32, "keys after its own that a query sees, or 2^30"),
        ("keep", Field::U32, "first keys that every window keeps"),
        ("mask_columns", Field::U32, "keys that the mask is about"),
        ("pack", Field::U32, "query heads of one head of keys that a block takes together"),
        ("section", Field::U32, "heads (of all sequences, without cu_q) whose blocks run together"),
        ("tiles", Field::U32, "tiles of rows of a sequence; with cu_q of all"),
        ("flags", Field::U32, "1: last tiles first, 2: out is f32, 4: bias is f32"),
        ("scale", Field::F32, "factor of a score, above 0"),
        ("softcap", Field::F32, "above 0, or 0 for none"),
    ],
};

/// Registers by head size: O, S, and Q where it is held. As many blocks a multiprocessor as registers and shared memory allow
/// without a spill on any architecture.
const fn row(d: u32, dv: u32, rows: u32, warps: u32) -> Row {
    let (min_blocks, max_registers) = match (d, rows) {
        (64, 128) => (2, 248),
        (_, 128) => (1, 208),
        (..=48, _) => (4, 128),
        (..=128, _) => (3, 168),
        (..=192, _) => (2, 248),
        _ => (1, 255),
    };
    Row {
        entry: Entry::AttentionPrefillF16Mma64x128,
        symbol: "",
        source: "",
        call: "",
        constants: &[],
        targets: &[Target::Sm80],
        threads: 32 * warps,
        min_blocks,
        max_registers,
        shared_bytes: rows * 2 * d + 64 * 2 * d + 64 * 2 * dv,
        expect_sass: None,
        params: &ATTENTION_PREFILL,
    }
}

/// Rows: `entry "type" Type "name of sizes" D DV rows warps instruction`.
macro_rules! rows {
    ($($entry:ident $kind:literal $type:literal $name:literal $d:literal $dv:literal $rows:literal $warps:literal $sass:literal;)*) => {[$(
        Row {
            entry: Entry::$entry,
            symbol: concat!("attention_prefill_", $kind, "_mma_", $rows, "x", $name),
            source: concat!("attention/attention_prefill_", $kind, "_mma"),
            call: concat!("attention_prefill<attention::", $type, ", ", $d, ", ", $dv, ", ", $rows, ", ", $warps, ">"),
            constants: &[("D", $d), ("DV", $dv), ("TILE_M", $rows), ("WARPS", $warps)],
            expect_sass: Some($sass),
            ..row($d, $dv, $rows, $warps)
        },
    )*]};
}

/// Attention of many queries in 16 bits.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 22] = rows! {
    AttentionPrefillF16Mma64x32 "f16" "F16" "32" 32 32 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x48 "f16" "F16" "48" 48 48 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x64 "f16" "F16" "64" 64 64 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x80 "f16" "F16" "80" 80 80 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x96 "f16" "F16" "96" 96 96 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x128 "f16" "F16" "128" 128 128 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x192v128 "f16" "F16" "192v128" 192 128 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x192 "f16" "F16" "192" 192 192 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma64x256 "f16" "F16" "256" 256 256 64 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma128x64 "f16" "F16" "64" 64 64 128 4 "HMMA.16816.F32";
    AttentionPrefillF16Mma128x128 "f16" "F16" "128" 128 128 128 8 "HMMA.16816.F32";
    AttentionPrefillBf16Mma64x32 "bf16" "Bf16" "32" 32 32 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x48 "bf16" "Bf16" "48" 48 48 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x64 "bf16" "Bf16" "64" 64 64 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x80 "bf16" "Bf16" "80" 80 80 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x96 "bf16" "Bf16" "96" 96 96 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x128 "bf16" "Bf16" "128" 128 128 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x192v128 "bf16" "Bf16" "192v128" 192 128 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x192 "bf16" "Bf16" "192" 192 192 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma64x256 "bf16" "Bf16" "256" 256 256 64 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma128x64 "bf16" "Bf16" "64" 64 64 128 4 "HMMA.16816.F32.BF16";
    AttentionPrefillBf16Mma128x128 "bf16" "Bf16" "128" 128 128 128 8 "HMMA.16816.F32.BF16";
};

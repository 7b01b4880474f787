//! The kernels that make the operands of attention in 8 bits.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of `key_mean` and `key_mean_finish`.
pub(super) const KEY_MEAN: Params = Params {
    name: "KeyMeanParams",
    fields: &[
        ("k", Field::Ptr, "rows of dim numbers, or null"),
        ("v", Field::Ptr, "rows of value_dim numbers, or null"),
        ("partials", Field::PtrMut, "a word for each slice, head and channel, those of k first; null with one slice"),
        ("mean", Field::PtrMut, "[batch, heads, dim] float out, or null without k"),
        ("scales", Field::PtrMut, "[batch, heads, value_dim] float out, or null without v"),
        ("cu_seqlens", Field::Ptr, "[batch + 1] uint32: where packed sequences begin and end; or null"),
        ("lens", Field::Ptr, "[batch] uint32: tokens of each sequence, at most keys; or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("k_batch", Field::I64, "elements of k from a sequence to the next"),
        ("k_token", Field::I64, "from a token to the next"),
        ("k_head", Field::I64, "from a head to the next"),
        ("v_batch", Field::I64, "the same of v"),
        ("v_token", Field::I64, "the same of v"),
        ("v_head", Field::I64, "the same of v"),
        ("batch", Field::U32, "sequences"),
        ("heads", Field::U32, "heads of k and v"),
        ("keys", Field::U32, "most tokens of a sequence"),
        ("total", Field::U32, "packed: tokens of all; else not used"),
        ("dim", Field::U32, "channels of k, a multiple of 8 up to 256"),
        ("value_dim", Field::U32, "channels of v, a multiple of 8 up to 256"),
        ("slices", Field::U32, "parts in which a sequence is walked"),
        ("slice", Field::U32, "tokens of a part"),
    ],
};

/// Parameters of `quantize_heads`.
pub(super) const QUANTIZE_HEADS: Params = Params {
    name: "QuantizeHeadsParams",
    fields: &[
        ("q", Field::Ptr, "rows of dim numbers; not used where q_tiles is 0"),
        ("k", Field::Ptr, "rows of dim numbers; not used where k_tiles is 0"),
        ("mean", Field::Ptr, "[batch, kv_heads, dim] float, or null"),
        ("q_codes", Field::PtrMut, "[batch, queries, heads, width] or packed [q_total, heads, width] int8 out"),
        ("k_codes", Field::PtrMut, "[batch, keys, kv_heads, width] or packed [k_total, kv_heads, width] int8 out"),
        ("q_scales", Field::PtrMut, "[batch, heads, q_pitch] or packed [heads, q_pitch] float out"),
        ("k_scales", Field::PtrMut, "[batch, kv_heads, k_pitch] or packed [kv_heads, k_pitch] float out"),
        ("shift", Field::PtrMut, "as q_scales: q times the mean; or null"),
        ("q_cu", Field::Ptr, "[batch + 1] uint32: where packed queries begin and end; or null"),
        ("k_cu", Field::Ptr, "[batch + 1] uint32: where packed keys begin and end; or null"),
        ("k_lens", Field::Ptr, "[batch] uint32: keys of each sequence, at most keys; or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("q_batch", Field::I64, "elements of q from a sequence to the next"),
        ("q_token", Field::I64, "from a token to the next"),
        ("q_head", Field::I64, "from a head to the next"),
        ("k_batch", Field::I64, "the same of k"),
        ("k_token", Field::I64, "the same of k"),
        ("k_head", Field::I64, "the same of k"),
        ("batch", Field::U32, "sequences"),
        ("heads", Field::U32, "heads of q"),
        ("kv_heads", Field::U32, "heads of k, a divisor of heads"),
        ("queries", Field::U32, "most queries of a sequence"),
        ("keys", Field::U32, "most keys of a sequence"),
        ("q_total", Field::U32, "packed: queries of all; else not used"),
        ("k_total", Field::U32, "packed: keys of all; else not used"),
        ("q_pitch", Field::U32, "positions of queries in a row of scales"),
        ("k_pitch", Field::U32, "positions of keys in a row of scales"),
        ("dim", Field::U32, "channels, a multiple of 8 up to 256"),
        ("width", Field::U32, "bytes of a row of codes: a multiple of 32, at least dim"),
        ("lanes", Field::U32, "that share a row: the power of two from width / 8 on"),
        ("q_tiles", Field::U32, "blocks for the queries of a head: of 32"),
        ("k_tiles", Field::U32, "blocks for the keys of a head: of 32"),
    ],
};

/// Parameters of `quantize_values`.
pub(super) const QUANTIZE_VALUES: Params = Params {
    name: "QuantizeValuesParams",
    fields: &[
        ("v", Field::Ptr, "rows of dim numbers"),
        ("scales", Field::Ptr, "[batch, heads, dim] float"),
        ("codes", Field::PtrMut, "[batch, heads, dim, pitch] or packed [heads, dim, pitch] e4m3 out"),
        ("cu_seqlens", Field::Ptr, "[batch + 1] uint32: where packed sequences begin and end; or null"),
        ("lens", Field::Ptr, "[batch] uint32: tokens of each sequence, at most keys; or null"),
        ("v_batch", Field::I64, "elements of v from a sequence to the next"),
        ("v_token", Field::I64, "from a token to the next"),
        ("v_head", Field::I64, "from a head to the next"),
        ("batch", Field::U32, "sequences"),
        ("heads", Field::U32, "heads of v"),
        ("keys", Field::U32, "most tokens of a sequence"),
        ("total", Field::U32, "packed: tokens of all; else not used"),
        ("dim", Field::U32, "channels"),
        ("pitch", Field::U32, "positions of keys in a row of codes, a multiple of 64"),
    ],
};

/// A row of them; the others are made from it.
const ROW: Row = Row {
    entry: Entry::KeyMeanFinish,
    symbol: "key_mean_finish",
    source: "attention/key_mean",
    call: "key_mean<attention::Finish, 256>",
    constants: &[("THREADS", 256)],
    targets: &[Target::Sm80],
    threads: 256,
    min_blocks: 4,
    max_registers: 64,
    shared_bytes: 0,
    expect_sass: None,
    params: &KEY_MEAN,
};

/// A table with a line a row: key, stem, element as the kernel names it, suffix of the symbol, target, parameters.
macro_rules! rows {
    ($($entry:ident $stem:literal $float:literal $suffix:literal $target:ident $params:ident;)*) => {
        [ROW, $(Row {
            entry: Entry::$entry,
            symbol: concat!($stem, "_", $suffix),
            source: concat!("attention/", $stem),
            call: concat!($stem, "<format::", $float, ", 256>"),
            targets: &[Target::$target],
            params: &$params,
            ..ROW
        }),*]
    };
}

/// All of them.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 7] = rows! {
    KeyMeanF16 "key_mean" "F16" "f16" Sm80 KEY_MEAN;
    KeyMeanBf16 "key_mean" "Bf16" "bf16" Sm80 KEY_MEAN;
    QuantizeHeadsF16 "quantize_heads" "F16" "f16" Sm80 QUANTIZE_HEADS;
    QuantizeHeadsBf16 "quantize_heads" "Bf16" "bf16" Sm80 QUANTIZE_HEADS;
    QuantizeValuesF16 "quantize_values" "F16" "f16" Sm89 QUANTIZE_VALUES;
    QuantizeValuesBf16 "quantize_values" "Bf16" "bf16" Sm89 QUANTIZE_VALUES;
};

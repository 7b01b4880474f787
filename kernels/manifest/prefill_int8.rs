//! Attention with scores from signed bytes.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of `prefill_int8`.
pub(super) const PREFILL_INT8: Params = Params {
    name: "PrefillInt8Params",
    fields: &[
        ("q_codes", Field::Ptr, "rows of D int8, as quantize_heads leaves them"),
        ("k_codes", Field::Ptr, "the same of k"),
        ("q_scales", Field::Ptr, "float by head and position"),
        ("k_scales", Field::Ptr, "float by head and position"),
        ("shift", Field::Ptr, "float by head and position: q times the mean taken from k; or null"),
        ("v", Field::Ptr, "rows of value_dim numbers; or e4m3 as quantize_values leaves them"),
        ("v_scales", Field::Ptr, "[batch, kv_heads, value_dim] float with e4m3; else null"),
        ("out", Field::PtrMut, "rows of value_dim numbers of type out_type"),
        ("lse", Field::PtrMut, "float by batch and head, tokens side by side; or null"),
        ("q_cu", Field::Ptr, "[batch + 1] uint32: where packed queries begin and end; or null"),
        ("k_cu", Field::Ptr, "[batch + 1] uint32: where packed keys begin and end; or null"),
        ("k_lens", Field::Ptr, "[batch] uint32: keys of each sequence, at most keys; or null"),
        ("sinks", Field::Ptr, "[heads] float, or null"),
        ("slopes", Field::Ptr, "[heads] float, or null"),
        ("bias", Field::Ptr, "[queries, keys] float for each sequence and head, or null"),
        ("mask", Field::Ptr, "[queries, words] uint32 for each sequence, bits of the last mask_columns keys, or null"),
        ("v_batch", Field::I64, "elements of v from a sequence to the next; not of e4m3"),
        ("v_token", Field::I64, "from a token to the next"),
        ("v_head", Field::I64, "from a head to the next"),
        ("out_batch", Field::I64, "the same of out"),
        ("out_token", Field::I64, "the same of out"),
        ("out_head", Field::I64, "the same of out"),
        ("lse_batch", Field::I64, "elements of lse from a sequence to the next; packed: not used"),
        ("lse_head", Field::I64, "from a head to the next"),
        ("bias_batch", Field::I64, "elements of bias, 0 where one serves all sequences"),
        ("bias_head", Field::I64, "elements, 0 where one serves all heads"),
        ("bias_row", Field::I64, "elements from a query to the next, 0 where one serves all"),
        ("mask_batch", Field::I64, "words of mask, 0 where one serves all sequences"),
        ("mask_row", Field::I64, "words from a query to the next"),
        ("batch", Field::U32, "sequences"),
        ("heads", Field::U32, "heads of q"),
        ("kv_heads", Field::U32, "heads of k and v, a divisor of heads"),
        ("queries", Field::U32, "most queries of a sequence"),
        ("keys", Field::U32, "most keys of a sequence"),
        ("q_total", Field::U32, "packed: queries of all; else not used"),
        ("k_total", Field::U32, "packed: keys of all; else not used"),
        ("q_pitch", Field::U32, "positions of queries in a row of scales"),
        ("k_pitch", Field::U32, "positions of keys in a row of scales, and of codes of v"),
        ("value_dim", Field::U32, "channels of v and out, a multiple of 8 up to D"),
        ("q_tiles", Field::U32, "blocks for the queries of a head: of 64"),
        ("left", Field::U32, "keys before its position that a query sees, at most 2^30"),
        ("right", Field::U32, "keys after its position that a query sees, at most 2^30"),
        ("keep_first", Field::U32, "first keys that are seen whatever left says"),
        ("mask_columns", Field::U32, "keys that the mask is about"),
        ("out_type", Field::U32, "1 f16, 2 bf16"),
        ("scale", Field::F32, "of a product of a query and a key"),
        ("softcap", Field::F32, "above 0, or 0 where scores are not bent"),
    ],
};

/// The rows of a width of codes: f16, bf16 and e4m3 values.
const fn width(
    [f16, bf16, e4m3]: [(Entry, &'static str, &'static str); 3],
    width: &'static [(&'static str, u32); 1],
    [wide, narrow]: [(u32, u32); 2],
) -> [Row; 3] {
    // Codes of q that registers do not hold.
    let queries = if width[0].1 == 256 { 64 * 256 } else { 0 };
    let row = Row {
        entry: f16.0,
        symbol: f16.1,
        source: "attention/prefill_int8",
        call: f16.2,
        constants: width,
        targets: &[Target::Sm80],
        threads: 128,
        min_blocks: wide.0,
        max_registers: wide.1,
        shared_bytes: 64 * 3 * width[0].1 + 256 + queries,
        expect_sass: Some("IMMA.16832.S8.S8"),
        params: &PREFILL_INT8,
    };
    let bytes = Row {
        targets: &[Target::Sm89],
        min_blocks: narrow.0,
        max_registers: narrow.1,
        shared_bytes: 64 * 2 * width[0].1 + 256 + queries,
        ..row
    };
    [
        row,
        Row { entry: bf16.0, symbol: bf16.1, call: bf16.2, ..row },
        Row { entry: e4m3.0, symbol: e4m3.1, call: e4m3.2, ..bytes },
    ]
}

/// A table with a line a width: the width, blocks of a multiprocessor and registers of 16-bit values and of e4m3 (which
/// later machines convert before they multiply), and the keys.
macro_rules! rows {
    ($($width:literal $wide:tt $narrow:tt $f16:ident $bf16:ident $e4m3:ident;)*) => {{
        let all = [$(width(
            [
                (
                    Entry::$f16,
                    concat!("prefill_int8_f16_", $width),
                    concat!("prefill_int8<attention::F16, ", $width, ">"),
                ),
                (
                    Entry::$bf16,
                    concat!("prefill_int8_bf16_", $width),
                    concat!("prefill_int8<attention::Bf16, ", $width, ">"),
                ),
                (
                    Entry::$e4m3,
                    concat!("prefill_int8_e4m3_", $width),
                    concat!("prefill_int8<attention::E4m3, ", $width, ">"),
                ),
            ],
            &[("WIDTH", $width)],
            [$wide, $narrow],
        )),*];
        let mut rows = [all[0][0]; 3 * 5];
        let mut i = 0;
        while i < rows.len() {
            rows[i] = all[i / 3][i % 3];
            i += 1;
        }
        rows
    }};
}

/// All of them.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 15] = rows! {
    64 (4, 128) (3, 168) PrefillInt8F16W64 PrefillInt8Bf16W64 PrefillInt8E4m3W64;
    96 (3, 168) (2, 255) PrefillInt8F16W96 PrefillInt8Bf16W96 PrefillInt8E4m3W96;
    128 (3, 168) (2, 255) PrefillInt8F16W128 PrefillInt8Bf16W128 PrefillInt8E4m3W128;
    192 (2, 255) (2, 255) PrefillInt8F16W192 PrefillInt8Bf16W192 PrefillInt8E4m3W192;
    256 (2, 255) (2, 255) PrefillInt8F16W256 PrefillInt8Bf16W256 PrefillInt8E4m3W256;
};

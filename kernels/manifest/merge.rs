//! The kernel that joins partial results of attention.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of `merge`.
pub(super) const MERGE: Params = Params {
    name: "MergeParams",
    fields: &[
        ("parts", Field::Ptr, "[parts, tokens, heads, dv], strides part_stride, part_token and part_head"),
        ("lse", Field::Ptr, "[parts, heads, tokens] float, strides lse_part and lse_head, tokens side by side"),
        ("out", Field::PtrMut, "[tokens, heads, dv] out, strides out_token and out_head"),
        ("lse_out", Field::PtrMut, "[heads, tokens] float out, stride lse_out_head, tokens side by side; or null"),
        ("part_stride", Field::I64, "elements from a part to the next"),
        ("part_token", Field::I64, "elements from a token of a part to the next"),
        ("part_head", Field::I64, "elements from a head of a part to the next"),
        ("lse_part", Field::I64, "elements from the lse of a part to those of the next"),
        ("lse_head", Field::I64, "elements from the lse of a head to those of the next"),
        ("out_token", Field::I64, "elements from a token of out to the next"),
        ("out_head", Field::I64, "elements from a head of out to the next"),
        ("lse_out_head", Field::I64, "elements from the lse_out of a head to those of the next"),
        ("count", Field::U32, "parts, at least 1"),
        ("tokens", Field::U32, "tokens; tokens * heads < 2^32"),
        ("heads", Field::U32, "heads"),
        ("dv", Field::U32, "numbers of a row, at least 1"),
        ("out_f32", Field::U32, "1: out is float; 0: of the type of the parts"),
    ],
};

macro_rules! rows {
    ($($entry:ident $float:literal $suffix:literal;)*) => {
        [$(Row {
            entry: Entry::$entry,
            symbol: concat!("merge_", $suffix),
            source: "attention/merge",
            call: concat!("merge<format::", $float, ", 128>"),
            constants: &[("THREADS", 128)],
            targets: &[Target::Sm80],
            threads: 128,
            min_blocks: 8,
            max_registers: 64,
            shared_bytes: 0,
            expect_sass: None,
            params: &MERGE,
        }),*]
    };
}

/// One for each type of the parts.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 3] = rows! {
    MergeF32 "F32" "f32";
    MergeF16 "F16" "f16";
    MergeBf16 "Bf16" "bf16";
};

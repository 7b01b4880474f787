//! The kernels that make the operands of quantized products.

use super::{Entry, Field, Params, Row, Target};

/// Parameters of `quantize_rows`.
pub(super) const QUANTIZE_ROWS: Params = Params {
    name: "QuantizeRowsParams",
    fields: &[
        ("x", Field::Ptr, "[rows, cols] input, row stride ldx"),
        ("codes", Field::PtrMut, "[rows, ldc] bytes out, columns cols..ldc are written as zero"),
        ("scales", Field::PtrMut, "[rows] float out"),
        ("zeros", Field::PtrMut, "[rows] int32 out, or null"),
        ("factors", Field::Ptr, "[cols] float, or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("ldx", Field::I64, "row stride of x in elements"),
        ("ldc", Field::I64, "row stride of codes in bytes, a multiple of 16, as is the address of codes"),
        ("rows", Field::U32, "M"),
        ("cols", Field::U32, "K"),
        ("cached", Field::U32, "1: the row is kept in shared memory and read once; 0: it is read twice"),
    ],
};

/// Parameters of `quantize_groups`.
pub(super) const QUANTIZE_GROUPS: Params = Params {
    name: "QuantizeGroupsParams",
    fields: &[
        ("x", Field::Ptr, "[rows, cols] input, row stride ldx"),
        ("codes", Field::PtrMut, "[rows, ldc] bytes out, columns cols..ldc are written as zero"),
        (
            "scales",
            Field::PtrMut,
            "[rows, groups] float out, with strides scale_row and scale_group; null without groups",
        ),
        ("scale", Field::Ptr, "one float, without groups; else null"),
        ("zero", Field::Ptr, "one int32 or null, without groups; else null"),
        ("factors", Field::Ptr, "[cols] float, or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("ldx", Field::I64, "row stride of x in elements"),
        ("ldc", Field::I64, "row stride of codes in bytes, a multiple of 16, as is the address of codes"),
        ("scale_row", Field::I64, "elements from the scale of a row to that of the next"),
        ("scale_group", Field::I64, "elements from the scale of a group to that of the next"),
        ("rows", Field::U32, "M"),
        ("cols", Field::U32, "K"),
        ("group", Field::U32, "columns of a group, 64 or 128; 0 where the scale is given"),
    ],
};

/// Parameters of `quantize_columns`.
pub(super) const QUANTIZE_COLUMNS: Params = Params {
    name: "QuantizeColumnsParams",
    fields: &[
        ("x", Field::Ptr, "[cols, rows] input, row stride ldx"),
        ("codes", Field::PtrMut, "[rows, ldc] bytes out, columns cols..ldc are written as zero"),
        (
            "scales",
            Field::PtrMut,
            "[rows, groups or 1] float out, strides scale_row and scale_group; null with a scale",
        ),
        ("scale", Field::Ptr, "one float that is given, or null"),
        ("zero", Field::Ptr, "one int32 or null, with a scale; else null"),
        ("factors", Field::Ptr, "[cols] float, or null"),
        ("status", Field::PtrMut, "status word, or null"),
        ("ldx", Field::I64, "row stride of x in elements"),
        ("ldc", Field::I64, "row stride of codes in bytes, a multiple of 16, as is the address of codes"),
        ("scale_row", Field::I64, "elements from the scale of a row to that of the next"),
        ("scale_group", Field::I64, "elements from the scale of a group to that of the next"),
        ("rows", Field::U32, "M"),
        ("cols", Field::U32, "K"),
        ("group", Field::U32, "steps of K of a group, 64 or 128; 0 where one scale serves a whole column"),
        ("splits", Field::U32, "blocks that share the steps of K; 1 where one scale serves a whole column"),
    ],
};

/// Parameters of `transpose_bytes`.
pub(super) const TRANSPOSE_BYTES: Params = Params {
    name: "TransposeBytesParams",
    fields: &[
        ("x", Field::Ptr, "[rows, cols] bytes, row stride ldx"),
        ("d", Field::PtrMut, "[cols, ldd] bytes out, columns rows..ldd are written as zero"),
        ("ldx", Field::I64, "row stride of x"),
        ("ldd", Field::I64, "row stride of d, a multiple of 16, as is the address of d"),
        ("rows", Field::U32, "K"),
        ("cols", Field::U32, "N"),
    ],
};

/// Parameters of `column_sums`.
pub(super) const COLUMN_SUMS: Params = Params {
    name: "ColumnSumsParams",
    fields: &[
        ("codes", Field::Ptr, "[rows, cols] int8, row stride ldc"),
        ("sums", Field::PtrMut, "[rows] int32 out"),
        ("ldc", Field::I64, "row stride of codes"),
        ("rows", Field::U32, "N"),
        ("cols", Field::U32, "K"),
    ],
};

/// A row of `quantize_rows`; the others are made from it.
const ROW: Row = Row {
    entry: Entry::QuantizeRowsF32,
    symbol: "",
    source: "quantize/quantize_rows",
    call: "",
    constants: &[("THREADS", 256)],
    targets: &[Target::Sm80],
    threads: 256,
    min_blocks: 4,
    max_registers: 64,
    shared_bytes: 0,
    expect_sass: None,
    params: &QUANTIZE_ROWS,
};

/// A row of `quantize_columns`, whose lanes hold twice as many numbers.
const COLUMNS: Row = Row { min_blocks: 3, max_registers: 80, ..ROW };

/// A table with a line a row: key, stem, what the symbol says of the code, the code and the element as the kernel names
/// them, suffix of the symbol, target, parameters, and the row that gives the rest.
macro_rules! rows {
    ($($entry:ident $stem:literal $symbol:literal $code:literal $float:literal $suffix:literal
        $target:ident $params:ident $base:ident;)*) => {
        [$(Row {
            entry: Entry::$entry,
            symbol: concat!($stem, $symbol, "_", $suffix),
            source: concat!("quantize/", $stem),
            call: concat!($stem, "<format::", $float, ", quantize::", $code, ", 256>"),
            targets: &[Target::$target],
            params: &$params,
            ..$base
        }),*]
    };
}

/// Every quantizer of floats.
#[rustfmt::skip]
pub(super) const ROWS: [Row; 30] = rows! {
    QuantizeRowsF32 "quantize_rows" "" "S8" "F32" "f32" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsF16 "quantize_rows" "" "S8" "F16" "f16" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsBf16 "quantize_rows" "" "S8" "Bf16" "bf16" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsZeroF32 "quantize_rows" "_zero" "S8Zero" "F32" "f32" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsZeroF16 "quantize_rows" "_zero" "S8Zero" "F16" "f16" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsZeroBf16 "quantize_rows" "_zero" "S8Zero" "Bf16" "bf16" Sm80 QUANTIZE_ROWS ROW;
    QuantizeRowsE4m3F32 "quantize_rows" "_e4m3" "E4m3" "F32" "f32" Sm89 QUANTIZE_ROWS ROW;
    QuantizeRowsE4m3F16 "quantize_rows" "_e4m3" "E4m3" "F16" "f16" Sm89 QUANTIZE_ROWS ROW;
    QuantizeRowsE4m3Bf16 "quantize_rows" "_e4m3" "E4m3" "Bf16" "bf16" Sm89 QUANTIZE_ROWS ROW;
    QuantizeRowsE5m2F32 "quantize_rows" "_e5m2" "E5m2" "F32" "f32" Sm89 QUANTIZE_ROWS ROW;
    QuantizeRowsE5m2F16 "quantize_rows" "_e5m2" "E5m2" "F16" "f16" Sm89 QUANTIZE_ROWS ROW;
    QuantizeRowsE5m2Bf16 "quantize_rows" "_e5m2" "E5m2" "Bf16" "bf16" Sm89 QUANTIZE_ROWS ROW;
    QuantizeGroupsS8F32 "quantize_groups" "_s8" "S8" "F32" "f32" Sm80 QUANTIZE_GROUPS ROW;
    QuantizeGroupsS8F16 "quantize_groups" "_s8" "S8" "F16" "f16" Sm80 QUANTIZE_GROUPS ROW;
    QuantizeGroupsS8Bf16 "quantize_groups" "_s8" "S8" "Bf16" "bf16" Sm80 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE4m3F32 "quantize_groups" "_e4m3" "E4m3" "F32" "f32" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE4m3F16 "quantize_groups" "_e4m3" "E4m3" "F16" "f16" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE4m3Bf16 "quantize_groups" "_e4m3" "E4m3" "Bf16" "bf16" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE5m2F32 "quantize_groups" "_e5m2" "E5m2" "F32" "f32" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE5m2F16 "quantize_groups" "_e5m2" "E5m2" "F16" "f16" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeGroupsE5m2Bf16 "quantize_groups" "_e5m2" "E5m2" "Bf16" "bf16" Sm89 QUANTIZE_GROUPS ROW;
    QuantizeColumnsS8F32 "quantize_columns" "_s8" "S8" "F32" "f32" Sm80 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsS8F16 "quantize_columns" "_s8" "S8" "F16" "f16" Sm80 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsS8Bf16 "quantize_columns" "_s8" "S8" "Bf16" "bf16" Sm80 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE4m3F32 "quantize_columns" "_e4m3" "E4m3" "F32" "f32" Sm89 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE4m3F16 "quantize_columns" "_e4m3" "E4m3" "F16" "f16" Sm89 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE4m3Bf16 "quantize_columns" "_e4m3" "E4m3" "Bf16" "bf16" Sm89 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE5m2F32 "quantize_columns" "_e5m2" "E5m2" "F32" "f32" Sm89 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE5m2F16 "quantize_columns" "_e5m2" "E5m2" "F16" "f16" Sm89 QUANTIZE_COLUMNS COLUMNS;
    QuantizeColumnsE5m2Bf16 "quantize_columns" "_e5m2" "E5m2" "Bf16" "bf16" Sm89 QUANTIZE_COLUMNS COLUMNS;
};

/// What moves and adds bytes.
pub(super) const BYTES: [Row; 2] = [
    Row {
        entry: Entry::TransposeBytesB8,
        symbol: "transpose_bytes_b8",
        source: "quantize/transpose_bytes",
        call: "transpose_bytes<256>",
        params: &TRANSPOSE_BYTES,
        ..ROW
    },
    Row {
        entry: Entry::ColumnSumsS8,
        symbol: "column_sums_s8",
        source: "quantize/column_sums",
        call: "column_sums<256>",
        params: &COLUMN_SUMS,
        ..ROW
    },
];

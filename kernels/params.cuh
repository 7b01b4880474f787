// Parameter blocks of the kernels, written from kernels/manifest.rs; an edit here is overwritten.
// One block is the one `const __grid_constant__` argument of its entry points.
#pragma once

#include <cstddef>
#include <cstdint>

/// A TMA tensor map, as cuTensorMapEncodeTiled makes it; opaque.
struct alignas(64) TensorMapBytes {
    unsigned char bytes[128];
};
static_assert(sizeof(TensorMapBytes) == 128, "size of a tensor map");

#define HALFBYTE_AT(block, field, at) static_assert(offsetof(block, field) == at, #block "::" #field)

struct QuantizeRowsParams {
    const void* x;  ///< [rows, cols] input, row stride ldx
    void* codes;  ///< [rows, ldc] bytes out, columns cols..ldc are written as zero
    void* scales;  ///< [rows] float out
    void* zeros;  ///< [rows] int32 out, or null
    const void* factors;  ///< [cols] float, or null
    void* status;  ///< status word, or null
    int64_t ldx;  ///< row stride of x in elements
    int64_t ldc;  ///< row stride of codes in bytes, a multiple of 16, as is the address of codes
    uint32_t rows;  ///< M
    uint32_t cols;  ///< K
    uint32_t cached;  ///< 1: the row is kept in shared memory and read once; 0: it is read twice
};
static_assert(sizeof(QuantizeRowsParams) == 80, "size of QuantizeRowsParams");
static_assert(alignof(QuantizeRowsParams) == 8, "alignment of QuantizeRowsParams");
HALFBYTE_AT(QuantizeRowsParams, x, 0); HALFBYTE_AT(QuantizeRowsParams, codes, 8);
HALFBYTE_AT(QuantizeRowsParams, scales, 16); HALFBYTE_AT(QuantizeRowsParams, zeros, 24);
HALFBYTE_AT(QuantizeRowsParams, factors, 32); HALFBYTE_AT(QuantizeRowsParams, status, 40);
HALFBYTE_AT(QuantizeRowsParams, ldx, 48); HALFBYTE_AT(QuantizeRowsParams, ldc, 56);
HALFBYTE_AT(QuantizeRowsParams, rows, 64); HALFBYTE_AT(QuantizeRowsParams, cols, 68);
HALFBYTE_AT(QuantizeRowsParams, cached, 72);

struct QuantizeGroupsParams {
    const void* x;  ///< [rows, cols] input, row stride ldx
    void* codes;  ///< [rows, ldc] bytes out, columns cols..ldc are written as zero
    void* scales;  ///< [rows, groups] float out, with strides scale_row and scale_group; null without groups
    const void* scale;  ///< one float, without groups; else null
    const void* zero;  ///< one int32 or null, without groups; else null
    const void* factors;  ///< [cols] float, or null
    void* status;  ///< status word, or null
    int64_t ldx;  ///< row stride of x in elements
    int64_t ldc;  ///< row stride of codes in bytes, a multiple of 16, as is the address of codes
    int64_t scale_row;  ///< elements from the scale of a row to that of the next
    int64_t scale_group;  ///< elements from the scale of a group to that of the next
    uint32_t rows;  ///< M
    uint32_t cols;  ///< K
    uint32_t group;  ///< columns of a group, 64 or 128; 0 where the scale is given
};
static_assert(sizeof(QuantizeGroupsParams) == 104, "size of QuantizeGroupsParams");
static_assert(alignof(QuantizeGroupsParams) == 8, "alignment of QuantizeGroupsParams");
HALFBYTE_AT(QuantizeGroupsParams, x, 0); HALFBYTE_AT(QuantizeGroupsParams, codes, 8);
HALFBYTE_AT(QuantizeGroupsParams, scales, 16); HALFBYTE_AT(QuantizeGroupsParams, scale, 24);
HALFBYTE_AT(QuantizeGroupsParams, zero, 32); HALFBYTE_AT(QuantizeGroupsParams, factors, 40);
HALFBYTE_AT(QuantizeGroupsParams, status, 48); HALFBYTE_AT(QuantizeGroupsParams, ldx, 56);
HALFBYTE_AT(QuantizeGroupsParams, ldc, 64); HALFBYTE_AT(QuantizeGroupsParams, scale_row, 72);
HALFBYTE_AT(QuantizeGroupsParams, scale_group, 80); HALFBYTE_AT(QuantizeGroupsParams, rows, 88);
HALFBYTE_AT(QuantizeGroupsParams, cols, 92); HALFBYTE_AT(QuantizeGroupsParams, group, 96);

struct QuantizeColumnsParams {
    const void* x;  ///< [cols, rows] input, row stride ldx
    void* codes;  ///< [rows, ldc] bytes out, columns cols..ldc are written as zero
    void* scales;  ///< [rows, groups or 1] float out, strides scale_row and scale_group; null with a scale
    const void* scale;  ///< one float that is given, or null
    const void* zero;  ///< one int32 or null, with a scale; else null
    const void* factors;  ///< [cols] float, or null
    void* status;  ///< status word, or null
    int64_t ldx;  ///< row stride of x in elements
    int64_t ldc;  ///< row stride of codes in bytes, a multiple of 16, as is the address of codes
    int64_t scale_row;  ///< elements from the scale of a row to that of the next
    int64_t scale_group;  ///< elements from the scale of a group to that of the next
    uint32_t rows;  ///< M
    uint32_t cols;  ///< K
    uint32_t group;  ///< steps of K of a group, 64 or 128; 0 where one scale serves a whole column
    uint32_t splits;  ///< blocks that share the steps of K; 1 where one scale serves a whole column
};
static_assert(sizeof(QuantizeColumnsParams) == 104, "size of QuantizeColumnsParams");
static_assert(alignof(QuantizeColumnsParams) == 8, "alignment of QuantizeColumnsParams");
HALFBYTE_AT(QuantizeColumnsParams, x, 0); HALFBYTE_AT(QuantizeColumnsParams, codes, 8);
HALFBYTE_AT(QuantizeColumnsParams, scales, 16); HALFBYTE_AT(QuantizeColumnsParams, scale, 24);
HALFBYTE_AT(QuantizeColumnsParams, zero, 32); HALFBYTE_AT(QuantizeColumnsParams, factors, 40);
HALFBYTE_AT(QuantizeColumnsParams, status, 48); HALFBYTE_AT(QuantizeColumnsParams, ldx, 56);
HALFBYTE_AT(QuantizeColumnsParams, ldc, 64); HALFBYTE_AT(QuantizeColumnsParams, scale_row, 72);
HALFBYTE_AT(QuantizeColumnsParams, scale_group, 80); HALFBYTE_AT(QuantizeColumnsParams, rows, 88);
HALFBYTE_AT(QuantizeColumnsParams, cols, 92); HALFBYTE_AT(QuantizeColumnsParams, group, 96);
HALFBYTE_AT(QuantizeColumnsParams, splits, 100);

struct TransposeBytesParams {
    const void* x;  ///< [rows, cols] bytes, row stride ldx
    void* d;  ///< [cols, ldd] bytes out, columns rows..ldd are written as zero
    int64_t ldx;  ///< row stride of x
    int64_t ldd;  ///< row stride of d, a multiple of 16, as is the address of d
    uint32_t rows;  ///< K
    uint32_t cols;  ///< N
};
static_assert(sizeof(TransposeBytesParams) == 40, "size of TransposeBytesParams");
static_assert(alignof(TransposeBytesParams) == 8, "alignment of TransposeBytesParams");
HALFBYTE_AT(TransposeBytesParams, x, 0); HALFBYTE_AT(TransposeBytesParams, d, 8);
HALFBYTE_AT(TransposeBytesParams, ldx, 16); HALFBYTE_AT(TransposeBytesParams, ldd, 24);
HALFBYTE_AT(TransposeBytesParams, rows, 32); HALFBYTE_AT(TransposeBytesParams, cols, 36);

struct ColumnSumsParams {
    const void* codes;  ///< [rows, cols] int8, row stride ldc
    void* sums;  ///< [rows] int32 out
    int64_t ldc;  ///< row stride of codes
    uint32_t rows;  ///< N
    uint32_t cols;  ///< K
};
static_assert(sizeof(ColumnSumsParams) == 32, "size of ColumnSumsParams");
static_assert(alignof(ColumnSumsParams) == 8, "alignment of ColumnSumsParams");
HALFBYTE_AT(ColumnSumsParams, codes, 0); HALFBYTE_AT(ColumnSumsParams, sums, 8); HALFBYTE_AT(ColumnSumsParams, ldc, 16);
HALFBYTE_AT(ColumnSumsParams, rows, 24); HALFBYTE_AT(ColumnSumsParams, cols, 28);

struct MergeParams {
    const void* parts;  ///< [parts, tokens, heads, dv], strides part_stride, part_token and part_head
    const void* lse;  ///< [parts, heads, tokens] float, strides lse_part and lse_head, tokens side by side
    void* out;  ///< [tokens, heads, dv] out, strides out_token and out_head
    void* lse_out;  ///< [heads, tokens] float out, stride lse_out_head, tokens side by side; or null
    int64_t part_stride;  ///< elements from a part to the next
    int64_t part_token;  ///< elements from a token of a part to the next
    int64_t part_head;  ///< elements from a head of a part to the next
    int64_t lse_part;  ///< elements from the lse of a part to those of the next
    int64_t lse_head;  ///< elements from the lse of a head to those of the next
    int64_t out_token;  ///< elements from a token of out to the next
    int64_t out_head;  ///< elements from a head of out to the next
    int64_t lse_out_head;  ///< elements from the lse_out of a head to those of the next
    uint32_t count;  ///< parts, at least 1
    uint32_t tokens;  ///< tokens; tokens * heads < 2^32
    uint32_t heads;  ///< heads
    uint32_t dv;  ///< numbers of a row, at least 1
    uint32_t out_f32;  ///< 1: out is float; 0: of the type of the parts
};
static_assert(sizeof(MergeParams) == 120, "size of MergeParams");
static_assert(alignof(MergeParams) == 8, "alignment of MergeParams");
HALFBYTE_AT(MergeParams, parts, 0); HALFBYTE_AT(MergeParams, lse, 8); HALFBYTE_AT(MergeParams, out, 16);
HALFBYTE_AT(MergeParams, lse_out, 24); HALFBYTE_AT(MergeParams, part_stride, 32);
HALFBYTE_AT(MergeParams, part_token, 40); HALFBYTE_AT(MergeParams, part_head, 48);
HALFBYTE_AT(MergeParams, lse_part, 56); HALFBYTE_AT(MergeParams, lse_head, 64); HALFBYTE_AT(MergeParams, out_token, 72);
HALFBYTE_AT(MergeParams, out_head, 80); HALFBYTE_AT(MergeParams, lse_out_head, 88); HALFBYTE_AT(MergeParams, count, 96);
HALFBYTE_AT(MergeParams, tokens, 100); HALFBYTE_AT(MergeParams, heads, 104); HALFBYTE_AT(MergeParams, dv, 108);
HALFBYTE_AT(MergeParams, out_f32, 112);

struct KeyMeanParams {
    const void* k;  ///< rows of dim numbers, or null
    const void* v;  ///< rows of value_dim numbers, or null
    void* partials;  ///< a word for each slice, head and channel, those of k first; null with one slice
    void* mean;  ///< [batch, heads, dim] float out, or null without k
    void* scales;  ///< [batch, heads, value_dim] float out, or null without v
    const void* cu_seqlens;  ///< [batch + 1] uint32: where packed sequences begin and end; or null
    const void* lens;  ///< [batch] uint32: tokens of each sequence, at most keys; or null
    void* status;  ///< status word, or null
    int64_t k_batch;  ///< elements of k from a sequence to the next
    int64_t k_token;  ///< from a token to the next
    int64_t k_head;  ///< from a head to the next
    int64_t v_batch;  ///< the same of v
    int64_t v_token;  ///< the same of v
    int64_t v_head;  ///< the same of v
    uint32_t batch;  ///< sequences
    uint32_t heads;  ///< heads of k and v
    uint32_t keys;  ///< most tokens of a sequence
    uint32_t total;  ///< packed: tokens of all; else not used
    uint32_t dim;  ///< channels of k, a multiple of 8 up to 256
    uint32_t value_dim;  ///< channels of v, a multiple of 8 up to 256
    uint32_t slices;  ///< parts in which a sequence is walked
    uint32_t slice;  ///< tokens of a part
};
static_assert(sizeof(KeyMeanParams) == 144, "size of KeyMeanParams");
static_assert(alignof(KeyMeanParams) == 8, "alignment of KeyMeanParams");
HALFBYTE_AT(KeyMeanParams, k, 0); HALFBYTE_AT(KeyMeanParams, v, 8); HALFBYTE_AT(KeyMeanParams, partials, 16);
HALFBYTE_AT(KeyMeanParams, mean, 24); HALFBYTE_AT(KeyMeanParams, scales, 32);
HALFBYTE_AT(KeyMeanParams, cu_seqlens, 40); HALFBYTE_AT(KeyMeanParams, lens, 48);
HALFBYTE_AT(KeyMeanParams, status, 56); HALFBYTE_AT(KeyMeanParams, k_batch, 64);
HALFBYTE_AT(KeyMeanParams, k_token, 72); HALFBYTE_AT(KeyMeanParams, k_head, 80);
HALFBYTE_AT(KeyMeanParams, v_batch, 88); HALFBYTE_AT(KeyMeanParams, v_token, 96);
HALFBYTE_AT(KeyMeanParams, v_head, 104); HALFBYTE_AT(KeyMeanParams, batch, 112); HALFBYTE_AT(KeyMeanParams, heads, 116);
HALFBYTE_AT(KeyMeanParams, keys, 120); HALFBYTE_AT(KeyMeanParams, total, 124); HALFBYTE_AT(KeyMeanParams, dim, 128);
HALFBYTE_AT(KeyMeanParams, value_dim, 132); HALFBYTE_AT(KeyMeanParams, slices, 136);
HALFBYTE_AT(KeyMeanParams, slice, 140);

struct QuantizeHeadsParams {
    const void* q;  ///< rows of dim numbers; not used where q_tiles is 0
    const void* k;  ///< rows of dim numbers; not used where k_tiles is 0
    const void* mean;  ///< [batch, kv_heads, dim] float, or null
    void* q_codes;  ///< [batch, queries, heads, width] or packed [q_total, heads, width] int8 out
    void* k_codes;  ///< [batch, keys, kv_heads, width] or packed [k_total, kv_heads, width] int8 out
    void* q_scales;  ///< [batch, heads, q_pitch] or packed [heads, q_pitch] float out
    void* k_scales;  ///< [batch, kv_heads, k_pitch] or packed [kv_heads, k_pitch] float out
    void* shift;  ///< as q_scales: q times the mean; or null
    const void* q_cu;  ///< [batch + 1] uint32: where packed queries begin and end; or null
    const void* k_cu;  ///< [batch + 1] uint32: where packed keys begin and end; or null
    const void* k_lens;  ///< [batch] uint32: keys of each sequence, at most keys; or null
    void* status;  ///< status word, or null
    int64_t q_batch;  ///< elements of q from a sequence to the next
    int64_t q_token;  ///< from a token to the next
    int64_t q_head;  ///< from a head to the next
    int64_t k_batch;  ///< the same of k
    int64_t k_token;  ///< the same of k
    int64_t k_head;  ///< the same of k
    uint32_t batch;  ///< sequences
    uint32_t heads;  ///< heads of q
    uint32_t kv_heads;  ///< heads of k, a divisor of heads
    uint32_t queries;  ///< most queries of a sequence
    uint32_t keys;  ///< most keys of a sequence
    uint32_t q_total;  ///< packed: queries of all; else not used
    uint32_t k_total;  ///< packed: keys of all; else not used
    uint32_t q_pitch;  ///< positions of queries in a row of scales
    uint32_t k_pitch;  ///< positions of keys in a row of scales
    uint32_t dim;  ///< channels, a multiple of 8 up to 256
    uint32_t width;  ///< bytes of a row of codes: a multiple of 32, at least dim
    uint32_t lanes;  ///< that share a row: the power of two from width / 8 on
    uint32_t q_tiles;  ///< blocks for the queries of a head: of 32
    uint32_t k_tiles;  ///< blocks for the keys of a head: of 32
};
static_assert(sizeof(QuantizeHeadsParams) == 200, "size of QuantizeHeadsParams");
static_assert(alignof(QuantizeHeadsParams) == 8, "alignment of QuantizeHeadsParams");
HALFBYTE_AT(QuantizeHeadsParams, q, 0); HALFBYTE_AT(QuantizeHeadsParams, k, 8);
HALFBYTE_AT(QuantizeHeadsParams, mean, 16); HALFBYTE_AT(QuantizeHeadsParams, q_codes, 24);
HALFBYTE_AT(QuantizeHeadsParams, k_codes, 32); HALFBYTE_AT(QuantizeHeadsParams, q_scales, 40);
HALFBYTE_AT(QuantizeHeadsParams, k_scales, 48); HALFBYTE_AT(QuantizeHeadsParams, shift, 56);
HALFBYTE_AT(QuantizeHeadsParams, q_cu, 64); HALFBYTE_AT(QuantizeHeadsParams, k_cu, 72);
HALFBYTE_AT(QuantizeHeadsParams, k_lens, 80); HALFBYTE_AT(QuantizeHeadsParams, status, 88);
HALFBYTE_AT(QuantizeHeadsParams, q_batch, 96); HALFBYTE_AT(QuantizeHeadsParams, q_token, 104);
HALFBYTE_AT(QuantizeHeadsParams, q_head, 112); HALFBYTE_AT(QuantizeHeadsParams, k_batch, 120);
HALFBYTE_AT(QuantizeHeadsParams, k_token, 128); HALFBYTE_AT(QuantizeHeadsParams, k_head, 136);
HALFBYTE_AT(QuantizeHeadsParams, batch, 144); HALFBYTE_AT(QuantizeHeadsParams, heads, 148);
HALFBYTE_AT(QuantizeHeadsParams, kv_heads, 152); HALFBYTE_AT(QuantizeHeadsParams, queries, 156);
HALFBYTE_AT(QuantizeHeadsParams, keys, 160); HALFBYTE_AT(QuantizeHeadsParams, q_total, 164);
HALFBYTE_AT(QuantizeHeadsParams, k_total, 168); HALFBYTE_AT(QuantizeHeadsParams, q_pitch, 172);
HALFBYTE_AT(QuantizeHeadsParams, k_pitch, 176); HALFBYTE_AT(QuantizeHeadsParams, dim, 180);
HALFBYTE_AT(QuantizeHeadsParams, width, 184); HALFBYTE_AT(QuantizeHeadsParams, lanes, 188);
HALFBYTE_AT(QuantizeHeadsParams, q_tiles, 192); HALFBYTE_AT(QuantizeHeadsParams, k_tiles, 196);

struct QuantizeValuesParams {
    const void* v;  ///< rows of dim numbers
    const void* scales;  ///< [batch, heads, dim] float
    void* codes;  ///< [batch, heads, dim, pitch] or packed [heads, dim, pitch] e4m3 out
    const void* cu_seqlens;  ///< [batch + 1] uint32: where packed sequences begin and end; or null
    const void* lens;  ///< [batch] uint32: tokens of each sequence, at most keys; or null
    int64_t v_batch;  ///< elements of v from a sequence to the next
    int64_t v_token;  ///< from a token to the next
    int64_t v_head;  ///< from a head to the next
    uint32_t batch;  ///< sequences
    uint32_t heads;  ///< heads of v
    uint32_t keys;  ///< most tokens of a sequence
    uint32_t total;  ///< packed: tokens of all; else not used
    uint32_t dim;  ///< channels
    uint32_t pitch;  ///< positions of keys in a row of codes, a multiple of 64
};
static_assert(sizeof(QuantizeValuesParams) == 88, "size of QuantizeValuesParams");
static_assert(alignof(QuantizeValuesParams) == 8, "alignment of QuantizeValuesParams");
HALFBYTE_AT(QuantizeValuesParams, v, 0); HALFBYTE_AT(QuantizeValuesParams, scales, 8);
HALFBYTE_AT(QuantizeValuesParams, codes, 16); HALFBYTE_AT(QuantizeValuesParams, cu_seqlens, 24);
HALFBYTE_AT(QuantizeValuesParams, lens, 32); HALFBYTE_AT(QuantizeValuesParams, v_batch, 40);
HALFBYTE_AT(QuantizeValuesParams, v_token, 48); HALFBYTE_AT(QuantizeValuesParams, v_head, 56);
HALFBYTE_AT(QuantizeValuesParams, batch, 64); HALFBYTE_AT(QuantizeValuesParams, heads, 68);
HALFBYTE_AT(QuantizeValuesParams, keys, 72); HALFBYTE_AT(QuantizeValuesParams, total, 76);
HALFBYTE_AT(QuantizeValuesParams, dim, 80); HALFBYTE_AT(QuantizeValuesParams, pitch, 84);

struct AttentionPrefillParams {
    const void* q;  ///< [tokens, heads, head_dim], 16-byte aligned rows
    const void* k;  ///< [keys, kv_heads, head_dim], 16-byte aligned rows
    const void* v;  ///< [keys, kv_heads, value_dim], 16-byte aligned rows
    void* out;  ///< [tokens, heads, value_dim] of q's type (16-byte aligned rows) or f32 (8-byte)
    void* lse;  ///< [heads, tokens] float, or null
    const void* cu_q;  ///< [batch + 1] uint32, first tokens of sequences, or null where all are alike
    const void* cu_k;  ///< [batch + 1] uint32, first keys of sequences, or null
    const void* lens_q;  ///< [batch] uint32, queries of each sequence, or null
    const void* lens_k;  ///< [batch] uint32, keys of each sequence, or null
    const void* pages;  ///< [batch, pages of a sequence] uint32, or null where keys lie side by side
    const void* slopes;  ///< [heads] float, ALiBi, or null
    const void* sinks;  ///< [heads] float, scores without a value, or null
    const void* bias;  ///< [queries, keys] of f32 or q's type for each sequence and head, or null
    const void* mask;  ///< [queries, words] uint32 for each sequence, bits of the last mask_columns keys, or null
    void* status;  ///< status word, or null
    int64_t q_batch;  ///< elements from a sequence to the next; 0 with cu_q
    int64_t q_token;  ///< elements, a multiple of 8
    int64_t q_head;  ///< elements, a multiple of 8
    int64_t k_batch;  ///< elements from a sequence (0 with cu_k) or a page to the next, a multiple of 8
    int64_t k_token;  ///< elements, a multiple of 8
    int64_t k_head;  ///< elements, a multiple of 8
    int64_t v_batch;  ///< as k_batch
    int64_t v_token;  ///< elements, a multiple of 8
    int64_t v_head;  ///< elements, a multiple of 8
    int64_t o_batch;  ///< elements; 0 with cu_q
    int64_t o_token;  ///< elements, a multiple of 8 (f32: 2)
    int64_t o_head;  ///< elements, a multiple of 8 (f32: 2)
    int64_t lse_batch;  ///< elements; 0 with cu_q
    int64_t lse_head;  ///< elements
    int64_t pages_row;  ///< elements from the pages of a sequence to those of the next
    int64_t bias_batch;  ///< elements, 0 where one serves all sequences
    int64_t bias_head;  ///< elements, 0 where one serves all heads
    int64_t bias_row;  ///< elements from a query to the next, 0 where one serves all
    int64_t mask_batch;  ///< words, 0 where one serves all sequences
    int64_t mask_row;  ///< words from a query to the next
    uint32_t batch;  ///< sequences
    uint32_t heads;  ///< query heads, a multiple of kv_heads
    uint32_t kv_heads;  ///< heads of keys and values
    uint32_t head_dim;  ///< elements of a row of q and k, a multiple of 8, at most D
    uint32_t value_dim;  ///< elements of a row of v and out, a multiple of 8, at most DV
    uint32_t max_q;  ///< most queries of a sequence
    uint32_t max_k;  ///< most keys of a sequence
    uint32_t total_q;  ///< tokens of all sequences, with cu_q
    uint32_t total_k;  ///< keys of all sequences, with cu_k
    uint32_t page_size;  ///< keys of a page
    uint32_t page_count;  ///< pages that exist
    uint32_t left;  ///< keys before its own that a query sees, or 2^30
    uint32_t right;  ///< keys after its own that a query sees, or 2^30
    uint32_t keep;  ///< first keys that every window keeps
    uint32_t mask_columns;  ///< keys that the mask is about
    uint32_t pack;  ///< query heads of one head of keys that a block takes together
    uint32_t section;  ///< heads (of all sequences, without cu_q) whose blocks run together
    uint32_t tiles;  ///< tiles of rows of a sequence; with cu_q of all
    uint32_t flags;  ///< 1: last tiles first, 2: out is f32, 4: bias is f32
    float scale;  ///< factor of a score, above 0
    float softcap;  ///< above 0, or 0 for none
};
static_assert(sizeof(AttentionPrefillParams) == 368, "size of AttentionPrefillParams");
static_assert(alignof(AttentionPrefillParams) == 8, "alignment of AttentionPrefillParams");
HALFBYTE_AT(AttentionPrefillParams, q, 0); HALFBYTE_AT(AttentionPrefillParams, k, 8);
HALFBYTE_AT(AttentionPrefillParams, v, 16); HALFBYTE_AT(AttentionPrefillParams, out, 24);
HALFBYTE_AT(AttentionPrefillParams, lse, 32); HALFBYTE_AT(AttentionPrefillParams, cu_q, 40);
HALFBYTE_AT(AttentionPrefillParams, cu_k, 48); HALFBYTE_AT(AttentionPrefillParams, lens_q, 56);
HALFBYTE_AT(AttentionPrefillParams, lens_k, 64); HALFBYTE_AT(AttentionPrefillParams, pages, 72);
HALFBYTE_AT(AttentionPrefillParams, slopes, 80); HALFBYTE_AT(AttentionPrefillParams, sinks, 88);
HALFBYTE_AT(AttentionPrefillParams, bias, 96); HALFBYTE_AT(AttentionPrefillParams, mask, 104);
HALFBYTE_AT(AttentionPrefillParams, status, 112); HALFBYTE_AT(AttentionPrefillParams, q_batch, 120);
HALFBYTE_AT(AttentionPrefillParams, q_token, 128); HALFBYTE_AT(AttentionPrefillParams, q_head, 136);
HALFBYTE_AT(AttentionPrefillParams, k_batch, 144); HALFBYTE_AT(AttentionPrefillParams, k_token, 152);
HALFBYTE_AT(AttentionPrefillParams, k_head, 160); HALFBYTE_AT(AttentionPrefillParams, v_batch, 168);
HALFBYTE_AT(AttentionPrefillParams, v_token, 176); HALFBYTE_AT(AttentionPrefillParams, v_head, 184);
HALFBYTE_AT(AttentionPrefillParams, o_batch, 192); HALFBYTE_AT(AttentionPrefillParams, o_token, 200);
HALFBYTE_AT(AttentionPrefillParams, o_head, 208); HALFBYTE_AT(AttentionPrefillParams, lse_batch, 216);
HALFBYTE_AT(AttentionPrefillParams, lse_head, 224); HALFBYTE_AT(AttentionPrefillParams, pages_row, 232);
HALFBYTE_AT(AttentionPrefillParams, bias_batch, 240); HALFBYTE_AT(AttentionPrefillParams, bias_head, 248);
HALFBYTE_AT(AttentionPrefillParams, bias_row, 256); HALFBYTE_AT(AttentionPrefillParams, mask_batch, 264);
HALFBYTE_AT(AttentionPrefillParams, mask_row, 272); HALFBYTE_AT(AttentionPrefillParams, batch, 280);
HALFBYTE_AT(AttentionPrefillParams, heads, 284); HALFBYTE_AT(AttentionPrefillParams, kv_heads, 288);
HALFBYTE_AT(AttentionPrefillParams, head_dim, 292); HALFBYTE_AT(AttentionPrefillParams, value_dim, 296);
HALFBYTE_AT(AttentionPrefillParams, max_q, 300); HALFBYTE_AT(AttentionPrefillParams, max_k, 304);
HALFBYTE_AT(AttentionPrefillParams, total_q, 308); HALFBYTE_AT(AttentionPrefillParams, total_k, 312);
HALFBYTE_AT(AttentionPrefillParams, page_size, 316); HALFBYTE_AT(AttentionPrefillParams, page_count, 320);
HALFBYTE_AT(AttentionPrefillParams, left, 324); HALFBYTE_AT(AttentionPrefillParams, right, 328);
HALFBYTE_AT(AttentionPrefillParams, keep, 332); HALFBYTE_AT(AttentionPrefillParams, mask_columns, 336);
HALFBYTE_AT(AttentionPrefillParams, pack, 340); HALFBYTE_AT(AttentionPrefillParams, section, 344);
HALFBYTE_AT(AttentionPrefillParams, tiles, 348); HALFBYTE_AT(AttentionPrefillParams, flags, 352);
HALFBYTE_AT(AttentionPrefillParams, scale, 356); HALFBYTE_AT(AttentionPrefillParams, softcap, 360);

struct PrefillInt8Params {
    const void* q_codes;  ///< rows of D int8, as quantize_heads leaves them
    const void* k_codes;  ///< the same of k
    const void* q_scales;  ///< float by head and position
    const void* k_scales;  ///< float by head and position
    const void* shift;  ///< float by head and position: q times the mean taken from k; or null
    const void* v;  ///< rows of value_dim numbers; or e4m3 as quantize_values leaves them
    const void* v_scales;  ///< [batch, kv_heads, value_dim] float with e4m3; else null
    void* out;  ///< rows of value_dim numbers of type out_type
    void* lse;  ///< float by batch and head, tokens side by side; or null
    const void* q_cu;  ///< [batch + 1] uint32: where packed queries begin and end; or null
    const void* k_cu;  ///< [batch + 1] uint32: where packed keys begin and end; or null
    const void* k_lens;  ///< [batch] uint32: keys of each sequence, at most keys; or null
    const void* sinks;  ///< [heads] float, or null
    const void* slopes;  ///< [heads] float, or null
    const void* bias;  ///< [queries, keys] float for each sequence and head, or null
    const void* mask;  ///< [queries, words] uint32 for each sequence, bits of the last mask_columns keys, or null
    int64_t v_batch;  ///< elements of v from a sequence to the next; not of e4m3
    int64_t v_token;  ///< from a token to the next
    int64_t v_head;  ///< from a head to the next
    int64_t out_batch;  ///< the same of out
    int64_t out_token;  ///< the same of out
    int64_t out_head;  ///< the same of out
    int64_t lse_batch;  ///< elements of lse from a sequence to the next; packed: not used
    int64_t lse_head;  ///< from a head to the next
    int64_t bias_batch;  ///< elements of bias, 0 where one serves all sequences
    int64_t bias_head;  ///< elements, 0 where one serves all heads
    int64_t bias_row;  ///< elements from a query to the next, 0 where one serves all
    int64_t mask_batch;  ///< words of mask, 0 where one serves all sequences
    int64_t mask_row;  ///< words from a query to the next
    uint32_t batch;  ///< sequences
    uint32_t heads;  ///< heads of q
    uint32_t kv_heads;  ///< heads of k and v, a divisor of heads
    uint32_t queries;  ///< most queries of a sequence
    uint32_t keys;  ///< most keys of a sequence
    uint32_t q_total;  ///< packed: queries of all; else not used
    uint32_t k_total;  ///< packed: keys of all; else not used
    uint32_t q_pitch;  ///< positions of queries in a row of scales
    uint32_t k_pitch;  ///< positions of keys in a row of scales, and of codes of v
    uint32_t value_dim;  ///< channels of v and out, a multiple of 8 up to D
    uint32_t q_tiles;  ///< blocks for the queries of a head: of 64
    uint32_t left;  ///< keys before its position that a query sees, at most 2^30
    uint32_t right;  ///< keys after its position that a query sees, at most 2^30
    uint32_t keep_first;  ///< first keys that are seen whatever left says
    uint32_t mask_columns;  ///< keys that the mask is about
    uint32_t out_type;  ///< 1 f16, 2 bf16
    float scale;  ///< of a product of a query and a key
    float softcap;  ///< above 0, or 0 where scores are not bent
};
static_assert(sizeof(PrefillInt8Params) == 304, "size of PrefillInt8Params");
static_assert(alignof(PrefillInt8Params) == 8, "alignment of PrefillInt8Params");
HALFBYTE_AT(PrefillInt8Params, q_codes, 0); HALFBYTE_AT(PrefillInt8Params, k_codes, 8);
HALFBYTE_AT(PrefillInt8Params, q_scales, 16); HALFBYTE_AT(PrefillInt8Params, k_scales, 24);
HALFBYTE_AT(PrefillInt8Params, shift, 32); HALFBYTE_AT(PrefillInt8Params, v, 40);
HALFBYTE_AT(PrefillInt8Params, v_scales, 48); HALFBYTE_AT(PrefillInt8Params, out, 56);
HALFBYTE_AT(PrefillInt8Params, lse, 64); HALFBYTE_AT(PrefillInt8Params, q_cu, 72);
HALFBYTE_AT(PrefillInt8Params, k_cu, 80); HALFBYTE_AT(PrefillInt8Params, k_lens, 88);
HALFBYTE_AT(PrefillInt8Params, sinks, 96); HALFBYTE_AT(PrefillInt8Params, slopes, 104);
HALFBYTE_AT(PrefillInt8Params, bias, 112); HALFBYTE_AT(PrefillInt8Params, mask, 120);
HALFBYTE_AT(PrefillInt8Params, v_batch, 128); HALFBYTE_AT(PrefillInt8Params, v_token, 136);
HALFBYTE_AT(PrefillInt8Params, v_head, 144); HALFBYTE_AT(PrefillInt8Params, out_batch, 152);
HALFBYTE_AT(PrefillInt8Params, out_token, 160); HALFBYTE_AT(PrefillInt8Params, out_head, 168);
HALFBYTE_AT(PrefillInt8Params, lse_batch, 176); HALFBYTE_AT(PrefillInt8Params, lse_head, 184);
HALFBYTE_AT(PrefillInt8Params, bias_batch, 192); HALFBYTE_AT(PrefillInt8Params, bias_head, 200);
HALFBYTE_AT(PrefillInt8Params, bias_row, 208); HALFBYTE_AT(PrefillInt8Params, mask_batch, 216);
HALFBYTE_AT(PrefillInt8Params, mask_row, 224); HALFBYTE_AT(PrefillInt8Params, batch, 232);
HALFBYTE_AT(PrefillInt8Params, heads, 236); HALFBYTE_AT(PrefillInt8Params, kv_heads, 240);
HALFBYTE_AT(PrefillInt8Params, queries, 244); HALFBYTE_AT(PrefillInt8Params, keys, 248);
HALFBYTE_AT(PrefillInt8Params, q_total, 252); HALFBYTE_AT(PrefillInt8Params, k_total, 256);
HALFBYTE_AT(PrefillInt8Params, q_pitch, 260); HALFBYTE_AT(PrefillInt8Params, k_pitch, 264);
HALFBYTE_AT(PrefillInt8Params, value_dim, 268); HALFBYTE_AT(PrefillInt8Params, q_tiles, 272);
HALFBYTE_AT(PrefillInt8Params, left, 276); HALFBYTE_AT(PrefillInt8Params, right, 280);
HALFBYTE_AT(PrefillInt8Params, keep_first, 284); HALFBYTE_AT(PrefillInt8Params, mask_columns, 288);
HALFBYTE_AT(PrefillInt8Params, out_type, 292); HALFBYTE_AT(PrefillInt8Params, scale, 296);
HALFBYTE_AT(PrefillInt8Params, softcap, 300);

struct GemmS8WgmmaParams {
    TensorMapBytes a_map;  ///< a as [M, K] int8, box TILE_M x TILE_K, 128-byte swizzle
    TensorMapBytes b_map;  ///< b as [N, K] int8, box TILE_N x TILE_K, 128-byte swizzle
    void* d;  ///< [M, N] out of type d_type, row stride ldd
    const void* scale_row;  ///< [M] float, unused for s32 output
    const void* scale_col;  ///< [N] float, unused for s32 output
    const void* bias;  ///< [N] float, or null
    int64_t ldd;  ///< row stride of d in elements
    uint32_t m;  ///< rows of a
    uint32_t n;  ///< rows of b
    uint32_t k;  ///< columns of a and b
    uint32_t d_type;  ///< 0 f32, 1 f16, 2 bf16, 3 raw s32
};
static_assert(sizeof(GemmS8WgmmaParams) == 320, "size of GemmS8WgmmaParams");
static_assert(alignof(GemmS8WgmmaParams) == 64, "alignment of GemmS8WgmmaParams");
HALFBYTE_AT(GemmS8WgmmaParams, a_map, 0); HALFBYTE_AT(GemmS8WgmmaParams, b_map, 128);
HALFBYTE_AT(GemmS8WgmmaParams, d, 256); HALFBYTE_AT(GemmS8WgmmaParams, scale_row, 264);
HALFBYTE_AT(GemmS8WgmmaParams, scale_col, 272); HALFBYTE_AT(GemmS8WgmmaParams, bias, 280);
HALFBYTE_AT(GemmS8WgmmaParams, ldd, 288); HALFBYTE_AT(GemmS8WgmmaParams, m, 296);
HALFBYTE_AT(GemmS8WgmmaParams, n, 300); HALFBYTE_AT(GemmS8WgmmaParams, k, 304);
HALFBYTE_AT(GemmS8WgmmaParams, d_type, 308);

struct GemmMmaParams {
    const void* a;  ///< [M, K], lda bytes from one row of memory to the next
    const void* b;  ///< [N, K], ldb bytes from one row of memory to the next
    const void* c;  ///< [M, N] of type d_type, row stride ldc elements; or null
    void* d;  ///< [M, N] out of type d_type, row stride ldd elements
    const void* scale_row;  ///< [M] float (one where row_step is 0), or null; unused for s32 output
    const void* scale_col;  ///< [N] float (one where col_step is 0), or null; unused for s32 output
    const void* bias;  ///< [N] float, or null
    const void* zero_row;  ///< [M] int32 (one where row_step is 0), or null
    const void* column_sums;  ///< [N] int32, the sums of b's rows, with zero_row; else null
    /// float, a scale for each group of K and row of a, or null; of kernels with groups, as all of groups
    const void* groups_a;
    const void* groups_b;  ///< the same of b
    void* partials;  ///< [tiles, split_k, TILE_M * TILE_N] words when split_k > 1, 16-byte aligned
    void* tickets;  ///< one uint32 a tile, zero before the launch, when split_k > 1
    int64_t lda;  ///< bytes, a multiple of a_unit
    int64_t ldb;  ///< bytes, a multiple of b_unit
    int64_t ldc;  ///< elements
    int64_t ldd;  ///< elements
    int64_t batch_a;  ///< bytes from one matrix of a batch to the next, a multiple of a_unit
    int64_t batch_b;  ///< bytes, a multiple of b_unit
    int64_t batch_c;  ///< elements
    int64_t batch_d;  ///< elements
    int64_t batch_row;  ///< elements of scale_row and of zero_row
    int64_t batch_col;  ///< elements of scale_col
    int64_t batch_bias;  ///< elements of bias
    int64_t batch_sums;  ///< elements of column_sums
    int64_t groups_a_ld;  ///< elements from a row's scales (or a block's of rows) to the next's
    int64_t groups_a_step;  ///< elements from a group's scale to the next's
    int64_t groups_b_ld;  ///< elements
    int64_t groups_b_step;  ///< elements
    int64_t batch_groups_a;  ///< elements of groups_a
    int64_t batch_groups_b;  ///< elements of groups_b
    uint32_t m;  ///< rows of d
    uint32_t n;  ///< columns of d
    uint32_t k;  ///< bytes of K
    uint32_t split_k;  ///< slices of K
    uint32_t k_slice;  ///< bytes of K in one slice, a multiple of the tile's
    uint32_t d_type;  ///< 0 f32, 1 f16, 2 bf16, 3 raw s32
    uint32_t a_unit;  ///< alignment of a: 16, 4, or an element's 2 or 1
    uint32_t b_unit;  ///< alignment of b, likewise
    uint32_t row_step;  ///< 1, or 0 where one value serves all rows
    uint32_t col_step;  ///< 1, or 0 where one value serves all columns
    uint32_t groups_a_shift;  ///< log2 of the rows of a that share scales; 31 where all do
    uint32_t groups_b_shift;  ///< the same of b
    uint32_t k_group_shift;  ///< log2 of the bytes of K in a group, 6 or 7
    float alpha;  ///< factor of the product; not of s32
    float beta;  ///< factor of c
};
static_assert(sizeof(GemmMmaParams) == 312, "size of GemmMmaParams");
static_assert(alignof(GemmMmaParams) == 8, "alignment of GemmMmaParams");
HALFBYTE_AT(GemmMmaParams, a, 0); HALFBYTE_AT(GemmMmaParams, b, 8); HALFBYTE_AT(GemmMmaParams, c, 16);
HALFBYTE_AT(GemmMmaParams, d, 24); HALFBYTE_AT(GemmMmaParams, scale_row, 32); HALFBYTE_AT(GemmMmaParams, scale_col, 40);
HALFBYTE_AT(GemmMmaParams, bias, 48); HALFBYTE_AT(GemmMmaParams, zero_row, 56);
HALFBYTE_AT(GemmMmaParams, column_sums, 64); HALFBYTE_AT(GemmMmaParams, groups_a, 72);
HALFBYTE_AT(GemmMmaParams, groups_b, 80); HALFBYTE_AT(GemmMmaParams, partials, 88);
HALFBYTE_AT(GemmMmaParams, tickets, 96); HALFBYTE_AT(GemmMmaParams, lda, 104); HALFBYTE_AT(GemmMmaParams, ldb, 112);
HALFBYTE_AT(GemmMmaParams, ldc, 120); HALFBYTE_AT(GemmMmaParams, ldd, 128); HALFBYTE_AT(GemmMmaParams, batch_a, 136);
HALFBYTE_AT(GemmMmaParams, batch_b, 144); HALFBYTE_AT(GemmMmaParams, batch_c, 152);
HALFBYTE_AT(GemmMmaParams, batch_d, 160); HALFBYTE_AT(GemmMmaParams, batch_row, 168);
HALFBYTE_AT(GemmMmaParams, batch_col, 176); HALFBYTE_AT(GemmMmaParams, batch_bias, 184);
HALFBYTE_AT(GemmMmaParams, batch_sums, 192); HALFBYTE_AT(GemmMmaParams, groups_a_ld, 200);
HALFBYTE_AT(GemmMmaParams, groups_a_step, 208); HALFBYTE_AT(GemmMmaParams, groups_b_ld, 216);
HALFBYTE_AT(GemmMmaParams, groups_b_step, 224); HALFBYTE_AT(GemmMmaParams, batch_groups_a, 232);
HALFBYTE_AT(GemmMmaParams, batch_groups_b, 240); HALFBYTE_AT(GemmMmaParams, m, 248); HALFBYTE_AT(GemmMmaParams, n, 252);
HALFBYTE_AT(GemmMmaParams, k, 256); HALFBYTE_AT(GemmMmaParams, split_k, 260); HALFBYTE_AT(GemmMmaParams, k_slice, 264);
HALFBYTE_AT(GemmMmaParams, d_type, 268); HALFBYTE_AT(GemmMmaParams, a_unit, 272);
HALFBYTE_AT(GemmMmaParams, b_unit, 276); HALFBYTE_AT(GemmMmaParams, row_step, 280);
HALFBYTE_AT(GemmMmaParams, col_step, 284); HALFBYTE_AT(GemmMmaParams, groups_a_shift, 288);
HALFBYTE_AT(GemmMmaParams, groups_b_shift, 292); HALFBYTE_AT(GemmMmaParams, k_group_shift, 296);
HALFBYTE_AT(GemmMmaParams, alpha, 300); HALFBYTE_AT(GemmMmaParams, beta, 304);

struct ProbeMmaParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeMmaParams) == 24, "size of ProbeMmaParams");
static_assert(alignof(ProbeMmaParams) == 8, "alignment of ProbeMmaParams");
HALFBYTE_AT(ProbeMmaParams, in, 0); HALFBYTE_AT(ProbeMmaParams, out, 8); HALFBYTE_AT(ProbeMmaParams, n, 16);

struct ProbeSharedParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeSharedParams) == 24, "size of ProbeSharedParams");
static_assert(alignof(ProbeSharedParams) == 8, "alignment of ProbeSharedParams");
HALFBYTE_AT(ProbeSharedParams, in, 0); HALFBYTE_AT(ProbeSharedParams, out, 8); HALFBYTE_AT(ProbeSharedParams, n, 16);

struct ProbeFloatParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeFloatParams) == 24, "size of ProbeFloatParams");
static_assert(alignof(ProbeFloatParams) == 8, "alignment of ProbeFloatParams");
HALFBYTE_AT(ProbeFloatParams, in, 0); HALFBYTE_AT(ProbeFloatParams, out, 8); HALFBYTE_AT(ProbeFloatParams, n, 16);

struct ProbeHalfParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeHalfParams) == 24, "size of ProbeHalfParams");
static_assert(alignof(ProbeHalfParams) == 8, "alignment of ProbeHalfParams");
HALFBYTE_AT(ProbeHalfParams, in, 0); HALFBYTE_AT(ProbeHalfParams, out, 8); HALFBYTE_AT(ProbeHalfParams, n, 16);

struct ProbeIntegerParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeIntegerParams) == 24, "size of ProbeIntegerParams");
static_assert(alignof(ProbeIntegerParams) == 8, "alignment of ProbeIntegerParams");
HALFBYTE_AT(ProbeIntegerParams, in, 0); HALFBYTE_AT(ProbeIntegerParams, out, 8); HALFBYTE_AT(ProbeIntegerParams, n, 16);

struct ProbeConvertParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeConvertParams) == 24, "size of ProbeConvertParams");
static_assert(alignof(ProbeConvertParams) == 8, "alignment of ProbeConvertParams");
HALFBYTE_AT(ProbeConvertParams, in, 0); HALFBYTE_AT(ProbeConvertParams, out, 8); HALFBYTE_AT(ProbeConvertParams, n, 16);

struct ProbeWarpParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeWarpParams) == 24, "size of ProbeWarpParams");
static_assert(alignof(ProbeWarpParams) == 8, "alignment of ProbeWarpParams");
HALFBYTE_AT(ProbeWarpParams, in, 0); HALFBYTE_AT(ProbeWarpParams, out, 8); HALFBYTE_AT(ProbeWarpParams, n, 16);

struct ProbeHopperParams {
    TensorMapBytes map;  ///< what TMA copies boxes of
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeHopperParams) == 192, "size of ProbeHopperParams");
static_assert(alignof(ProbeHopperParams) == 64, "alignment of ProbeHopperParams");
HALFBYTE_AT(ProbeHopperParams, map, 0); HALFBYTE_AT(ProbeHopperParams, in, 128);
HALFBYTE_AT(ProbeHopperParams, out, 136); HALFBYTE_AT(ProbeHopperParams, n, 144);

struct ProbeWgmmaParams {
    const void* in;  ///< input words
    void* out;  ///< output words
    uint32_t n;  ///< threads of the grid
};
static_assert(sizeof(ProbeWgmmaParams) == 24, "size of ProbeWgmmaParams");
static_assert(alignof(ProbeWgmmaParams) == 8, "alignment of ProbeWgmmaParams");
HALFBYTE_AT(ProbeWgmmaParams, in, 0); HALFBYTE_AT(ProbeWgmmaParams, out, 8); HALFBYTE_AT(ProbeWgmmaParams, n, 16);

#undef HALFBYTE_AT

// What the registers of mma.m16n8k32 (signed bytes) mean, and which lane of ldmatrix.x4 asks for which row.
// PTX ISA §9.7.14.5.9 (figures of m16n8k32 with 8-bit operands) and §9.7.14.5.15. With g = lane / 4, t = lane % 4:
//
//     A, 16 rows x 32 bytes     a[0] row g      bytes 4t..4t+4         a[2] row g      bytes 16+4t..
//                               a[1] row g + 8  bytes 4t..             a[3] row g + 8  bytes 16+4t..
//     B, 8 columns x 32 bytes   b[0] column g   bytes 4t..             b[1] column g   bytes 16+4t..
//     D, 16 rows x 8 columns    d[0], d[1] row g, columns 2t, 2t + 1   d[2], d[3] row g + 8, the same columns
//
// A register of A or B is thus one 8-row x 16-byte matrix of ldmatrix, and one ldmatrix.x4 brings A whole, or two
// neighbouring B (16 columns).
#pragma once
#include <cstdint>

namespace tile {

// Row and 16-byte chunk, in the fragment's own frame.
struct RowChunk {
    uint32_t row, chunk;
};

// Address that `lane` hands to ldmatrix.x4 for A: matrices (rows 0-7, chunk 0), (8-15, 0), (0-7, 1), (8-15, 1).
__host__ __device__ constexpr RowChunk ldmatrix_a(uint32_t lane) { return {lane % 16, lane / 16}; }

// The same for two B: (columns 0-7, chunk 0), (0-7, 1), (8-15, 0), (8-15, 1): b[0], b[1] of one, then of the other.
__host__ __device__ constexpr RowChunk ldmatrix_b(uint32_t lane) { return {lane / 16 * 8 + lane % 8, lane / 8 % 2}; }

// The same where the tile holds M (or N) of 16-bit elements along its rows and K down them, for ldmatrix.x4.trans: row is
// then a step of K, chunk eight neighbours of M or N. A: matrices (K 0-7, chunk 0), (0-7, 1), (8-15, 0), (8-15, 1).
__host__ __device__ constexpr RowChunk ldmatrix_a_trans(uint32_t lane) {
    return {lane / 16 * 8 + lane % 8, lane / 8 % 2};
}

// B: (K 0-7, chunk 0), (8-15, 0), (0-7, 1), (8-15, 1).
__host__ __device__ constexpr RowChunk ldmatrix_b_trans(uint32_t lane) { return {lane % 16, lane / 16}; }

// Row and column of an element.
struct RowColumn {
    uint32_t row, column;
};

// Place of register `i` of D; registers 2j and 2j + 1 are neighbours in a row.
__host__ __device__ constexpr RowColumn accumulator(uint32_t lane, uint32_t i) {
    return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2};
}

}  // namespace tile

//! Plans: golden decisions, budgets, coverage, scratch.

mod attention;
mod attention_int8;
mod attention_quantize;
mod bytes;
mod gemm;
mod gemm_s8;
mod linear;
mod merge;
mod quantize;
mod quantize_rows;
mod tuning;

use halfbyte::plan::DeviceFacts;

const fn facts(capability: u32, sm_count: u32, shared_kib: u32, threads_per_sm: u32, l2_mib: u32) -> DeviceFacts {
    DeviceFacts {
        capability,
        sm_count,
        // The opt-in limit is the multiprocessor's shared memory less one KiB (CUDA C++ Programming Guide).
        shared_per_block: (shared_kib - 1) * 1024,
        shared_per_sm: shared_kib * 1024,
        registers_per_sm: 65_536,
        threads_per_sm,
        l2_bytes: l2_mib << 20,
    }
}

/// An A100's.
const SM80: DeviceFacts = facts(80, 108, 164, 2048, 40);
/// An RTX 3090's.
const SM86: DeviceFacts = facts(86, 82, 100, 1536, 6);
/// An RTX 4090's.
const SM89: DeviceFacts = facts(89, 128, 100, 1536, 72);
/// An H100's.
const SM90: DeviceFacts = facts(90, 132, 228, 2048, 50);
/// A B200's.
const SM100: DeviceFacts = facts(100, 148, 228, 2048, 126);
/// An RTX 5060's: few multiprocessors.
const SM120: DeviceFacts = facts(120, 30, 100, 1536, 32);

const ALL: [DeviceFacts; 6] = [SM80, SM86, SM89, SM90, SM100, SM120];

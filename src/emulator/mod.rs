//! A machine that runs PTX: the crate's kernels, or anybody's, on any computer.
//!
//! ```
//! use halfbyte::emulator::{Arch, LaunchConfig, Machine, Module};
//!
//! // One thread a number: y[i] = 2 · x[i].
//! let module = Module::parse(
//!     ".version 7.0
//!      .target sm_80
//!      .address_size 64
//!      .visible .entry twice(.param .u64 x, .param .u64 y) {
//!          .reg .b32 %r<3>;
//!          .reg .b64 %rd<6>;
//!          ld.param.u64 %rd1, [x];
//!          ld.param.u64 %rd2, [y];
//!          mov.u32 %r1, %tid.x;
//!          mul.wide.u32 %rd3, %r1, 4;
//!          add.s64 %rd4, %rd1, %rd3;
//!          add.s64 %rd5, %rd2, %rd3;
//!          ld.global.u32 %r2, [%rd4];
//!          shl.b32 %r2, %r2, 1;
//!          st.global.u32 [%rd5], %r2;
//!          ret;
//!      }",
//! )?;
//! let machine = Machine::new(Arch::Sm80);
//! let x = machine.alloc(4 * 32, "x")?;
//! let y = machine.alloc(4 * 32, "y")?;
//! let numbers: Vec<u8> = (0..32u32).flat_map(u32::to_le_bytes).collect();
//! machine.write(x, &numbers)?;
//!
//! let params = [x.to_le_bytes(), y.to_le_bytes()].concat();
//! machine.launch(&module, "twice", &LaunchConfig::linear(1, 32), &params)?;
//! let mut out = [0; 4];
//! machine.read(y + 4 * 31, &mut out)?;
//! assert_eq!(u32::from_le_bytes(out), 62);
//!
//! // 33 threads: the last one reads past the end of x, and the report says so.
//! let fault = machine.launch(&module, "twice", &LaunchConfig::linear(1, 33), &params).unwrap_err();
//! assert!(fault.to_string().contains("`x`"));
//! # Ok::<(), halfbyte::emulator::Fault>(())
//! ```
//!
//! # What it models
//!
//! - The PTX that nvcc 13.0 makes of ordinary kernels for sm_80, sm_89 and sm_90a: integer, float, half and packed
//!   arithmetic with their roundings; all memory spaces; divergence; block, named and warp barriers; shuffles, votes and
//!   atomics; `cp.async`; `ldmatrix` and `stmatrix`; `mma` and `wgmma`; mbarriers; TMA tile loads with swizzle.
//! - One device an architecture: its multiprocessors, shared memory, and how many blocks are resident at once.
//!   Blocks run on all cores, by turns where they wait for each other.
//! - Asynchronous work lands as late as the PTX ISA allows ([`AsyncOrder::Late`]), so that a missing wait shows in the
//!   results; also early, or in seeded random order.
//! - Every access is checked against the exact size of its buffer and for alignment, always. A [`Fault`] names the
//!   kernel, the instruction, the source line (from `-lineinfo`), the block, warp and lanes, the address and the buffer.
//!
//! - Functions of the module: called by name or by address, recursive, with any parameters; `printf` (see
//!   [`Machine::take_output`]) and `assert`.
//!
//! An instruction or a modifier that it does not know is an error that names it. Not known are: `malloc` and `free` of device
//! code, clusters of several blocks and multicast, TMA and bulk stores, `wmma`, `mma.sp`, int4 and f64
//! products, and video instructions.
//!
//! Floating tensor products are summed in f64 and rounded once, because the hardware's order is not specified;
//! approximate functions keep within the bounds that the PTX ISA gives. What a GPU really did is recorded in
//! `tests/golden`.

mod arch;
mod code;
mod copy;
mod fault;
pub mod ir;
mod machine;
mod ptx;
mod report;
mod simd;
mod tensor;

pub use arch::Arch;
pub use code::{Module, Pointer, Role, Variable, visit_registers};
pub use copy::{Fill, Problem, ProblemKind, Swizzle, TensorMap, TensorMapDtype};
pub use fault::{Fault, FaultKind, Site};
pub use machine::{
    AsyncOrder, Count, Counters, InstructionCount, Kind, LaunchConfig, Machine, MachineOptions, Operand, Place,
};
pub use report::{Report, ReportKind};
pub use simd::Simd;

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
//! # A kernel of your own
//!
//! 1. Compile it to PTX: `nvcc -ptx -arch=compute_80 -lineinfo kernel.cu` (`-arch=compute_90a` for wgmma and TMA).
//!    `-lineinfo` lets faults, reports and counters name lines of the source. `extern "C"` keeps names as they are.
//! 2. [`Module::parse`] reads the text, [`Module::entries`] lists its kernels and what each asks for.
//! 3. [`Machine::new`] makes a device; [`Machine::with`] takes [`MachineOptions`]: the architecture, host threads, the
//!    order of asynchronous work, the step limit, checked mode, the stack for recursion.
//! 4. [`Machine::alloc`] with a name, which reports use; [`Machine::write`], [`Machine::read`], [`Machine::fill`].
//!    Addresses are numbers, and pointers inside buffers work. [`Machine::symbol`] finds a `__device__` or
//!    `__constant__` variable.
//! 5. [`Machine::launch`] with the entry's name, a [`LaunchConfig`] and the bytes of the parameters: each at a multiple
//!    of its alignment, as the members of a C structure ([`ir::Code::params`] has the offsets). It returns when the
//!    grid has ended.
//! 6. [`Counters`] tell what ran: warp instructions, barriers and, with [`LaunchConfig::count`], instructions, sectors
//!    of global memory and passes of shared memory for each line.
//!
//! **Checked** ([`MachineOptions::checked`]), [`Counters::reports`] lists what is wrong although nothing failed: races,
//! reads of bytes never written and the other [`ReportKind`]s, each with both places. `examples/find_a_race.rs` finds a
//! forgotten `__syncthreads` in a reduction that way.
//!
//! **Faults** stop a launch in any mode, with a [`Fault`] that names the kernel, the instruction, the source line,
//! block, warp and lanes, and the address and buffer: accesses outside every allocation (by a single byte) or
//! misaligned, deadlocks, wrong barriers, lanes that are apart where the instruction needs them together, `trap`,
//! `assert`, endless kernels, calls of what is no function, and an overflow of the stack. No input makes the emulator
//! panic.
//!
//! **`printf`** goes to [`Machine::take_output`]. **`assert`** is a fault of kind [`FaultKind::Assert`] with its text,
//! file and line, the block and the thread.
//!
//! # What it models
//!
//! - The PTX that nvcc 13.0 makes of ordinary kernels for sm_80, sm_89 and sm_90a: integer, float, half and packed
//!   arithmetic with their roundings; all memory spaces; divergence; block, named and warp barriers; shuffles, votes,
//!   matches and warp reductions; atomics of every type, order and scope; `cp.async`; `ldmatrix`, `stmatrix` and
//!   `movmatrix`; `mma` and `wgmma`; mbarriers; TMA tile loads with swizzle.
//! - Functions of the module, called by name or by address (virtual functions too), recursive ones included, with
//!   parameters of any size; tables of `switch`; variables of every space and scope with their initial values.
//! - One device an architecture: its multiprocessors, shared memory, and how many blocks are resident at once.
//!   Blocks run on all cores, by turns where they wait for each other. A cluster is one block.
//! - Asynchronous work lands as late as the PTX ISA allows ([`AsyncOrder::Late`]), so that a missing wait shows in the
//!   results; also early, or in seeded random order.
//! - Memory is coherent: orders and scopes of loads, stores and atomics make no difference to results. Cache hints,
//!   prefetches, `griddepcontrol` and `setmaxnreg` do nothing. `%clock` counts instructions.
//! - What a kernel asks of a machine is counted on request ([`LaunchConfig::count`], [`Counters`]): instructions by
//!   kind, sectors of global memory, bank conflicts, tensor-core products, divergence, by source line. The numbers are
//!   exact for the PTX and the same in every run; what they leave out stands at [`Counters`].
//!
//! # Checked mode
//!
//! [`MachineOptions::checked`] makes a machine look for what gives right results today and wrong ones tomorrow. Each
//! [`Report`] names kernel, source line, block, warp and lanes, the buffer, and of two instructions both:
//!
//! - reads of bytes that nothing ever wrote, padding too ([`ReportKind::Uninitialized`]);
//! - writes to operands that the launch only reads, and accesses outside the operands ([`Machine::launch_with`]);
//! - accesses of the same bytes that nothing orders ([`ReportKind::Race`]), and missing proxy fences;
//! - asynchronous copies and products that nobody waits for when the thread or block exits
//!   ([`ReportKind::AsyncGroup`]);
//! - mbarriers initialized twice, overwritten, or left with bytes that do not add up, and collectives that name lanes
//!   which have exited ([`ReportKind::Barrier`]).
//!
//! What the hardware would trap or hang on is a [`Fault`] in either mode: accesses out of bounds or misaligned,
//! `.aligned` instructions in divergent code, barriers and mbarriers used against their rules, deadlocks, with a list
//! of who waits where.
//!
//! ```
//! use halfbyte::emulator::{Arch, LaunchConfig, Machine, MachineOptions, Module, Operand, ReportKind};
//!
//! let module = Module::parse(
//!     ".version 7.0
//!      .target sm_80
//!      .address_size 64
//!      .visible .entry next(.param .u64 x) {
//!          .reg .b32 %r<3>;
//!          .reg .b64 %rd<4>;
//!          ld.param.u64 %rd1, [x];
//!          mov.u32 %r1, %tid.x;
//!          mul.wide.u32 %rd2, %r1, 4;
//!          add.s64 %rd3, %rd1, %rd2;
//!          ld.global.u32 %r2, [%rd3];
//!          add.u32 %r2, %r2, 1;
//!          st.global.u32 [%rd3], %r2;
//!          ret;
//!      }",
//! )?;
//! let machine = Machine::with(MachineOptions { checked: true, ..MachineOptions::new(Arch::Sm80) });
//! let x = machine.alloc(4 * 32, "x")?;
//! machine.write(x, &[0; 4 * 31])?; // one number too few
//! let given = [Operand { name: "x", address: x, bytes: 4 * 32, write: false }];
//! let counters = machine.launch_with(&module, "next", &LaunchConfig::linear(1, 32), &x.to_le_bytes(), &given)?;
//! let kinds: Vec<ReportKind> = counters.reports.iter().map(|report| report.kind).collect();
//! assert_eq!(kinds, [ReportKind::Uninitialized, ReportKind::WriteToInput]);
//! assert!(counters.reports[0].to_string().contains("byte 124 of `x`"));
//! # Ok::<(), halfbyte::emulator::Fault>(())
//! ```
//!
//! Registers are not tracked: a value that was read of bytes never written is reported where it is read. A copy is such
//! a read. Findings do not stop a kernel; those of a launch are in [`Counters::reports`], one for each pair of
//! instructions.
//!
//! # How exact it is
//!
//! The emulator is held to what an H100 gave for every instruction with a meaning of its own: the table in
//! `tests/golden/README.md` says which, bit for bit. So are floating tensor products, whose order and width the PTX ISA
//! leaves open; approximate functions keep within the bounds that it gives.
//!
//! # What is not supported
//!
//! Each of these is an error that names the instruction or declaration, with its line, when the text is parsed; what a
//! launch asks for is a fault of the launch. Nothing is guessed and nothing is skipped.
//!
//! - Functions without a body other than `vprintf` and `__assertfail`: `malloc` and `free` of device code, launches
//!   from kernels (dynamic parallelism), and external variables and functions, because one text is not linked with
//!   others.
//! - Clusters of more than one block, and with them `multimem`, `st.async`, `red.async`, `clusterlaunchcontrol`.
//! - Bulk and tensor copies out of shared memory, `cp.reduce.async.bulk`, `tensormap.replace`,
//!   `fence.proxy.tensormap`; `st.bulk`; `mbarrier.arrive_drop` and `mbarrier.pending_count`.
//! - `wmma` (nvcc makes it of `nvcuda::wmma`; use `mma`), `mma.sp`, `wgmma.mma_async.sp`, products of int4, bits and
//!   f64, and `tcgen05` of sm_100.
//! - Textures and surfaces: `tex`, `tld4`, `txq`, `suld`, `sust`, `sured`, `suq`, and variables of their types.
//! - Arithmetic that sm_100 and later have: `.f32x2`, sums of mixed precision, three-input `min` and `max`, conversions
//!   to and from 4- and 6-bit floats and `.ue8m0x2`, and by `.rs`; and `fma` with `.oob`.
//! - Video instructions (`vadd`, `vset`, …; nvcc does not make them for these architectures).
//! - Registers of 128 bits and vectors of registers, `ld` and `st` of more than 16 bytes, atomics of `.b128`.
//! - `alloca`, `stacksave` and `stackrestore`; variadic functions of the module; initial values that are parts of an
//!   address (`0xFF(name)`).
//! - `shfl`, `vote` and `match` without `.sync`, which no architecture from sm_70 on has; `redux` of floats.

mod arch;
mod check;
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

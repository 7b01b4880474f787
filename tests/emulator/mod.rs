//! The emulator from outside: PTX text in, memory out.

mod asynchronous;
mod atomics;
mod calls;
mod control;
mod convert;
mod counters;
mod cuda;
mod cuda_math;
mod example;
mod faults;
mod findings;
mod float;
mod grid;
mod harness;
mod hostile;
mod integer;
mod memory;
mod misuse;
mod races;
mod races_global;
mod races_proxy;
mod spaces;
mod tensor;
mod unsupported;
mod warp;
mod words;

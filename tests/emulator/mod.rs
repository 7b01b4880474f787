//! The emulator from outside: PTX text in, memory out.

mod asynchronous;
mod calls;
mod control;
mod convert;
mod counters;
mod faults;
mod findings;
mod float;
mod grid;
mod harness;
mod hostile;
mod integer;
mod memory;
mod misuse;
mod tensor;
mod warp;
mod words;

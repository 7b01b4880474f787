//! The emulator from outside: PTX text in, memory out.

mod harness;
mod integer;

//! All integration tests, one binary: folders mirror `src/`.

mod device;
#[cfg(feature = "emulator")]
mod emulator;
mod format;
#[cfg(feature = "emulator")]
mod golden;
mod house;
#[cfg(feature = "emulator")]
mod kernels;
mod layout;
#[cfg(feature = "emulator")]
mod op;
mod plan;
mod reference;
#[cfg(feature = "emulator")]
mod support;

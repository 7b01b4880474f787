//! All integration tests, one binary: folders mirror `src/`.

#[cfg(feature = "emulator")]
mod emulator;
mod format;
#[cfg(feature = "emulator")]
mod golden;
mod house;
#[cfg(feature = "emulator")]
mod kernels;
mod layout;
mod plan;
mod reference;

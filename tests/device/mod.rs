//! Devices, buffers, streams; and the whole CUDA path on a driver library that is a fake.

#[cfg(all(feature = "cuda", unix))]
mod cuda_capture;
#[cfg(all(feature = "cuda", unix))]
mod cuda_launches;
#[cfg(all(feature = "cuda", unix))]
mod cuda_order;
#[cfg(all(feature = "cuda", unix))]
mod cuda_run;
#[cfg(all(feature = "cuda", unix))]
mod fake_driver;
#[cfg(feature = "emulator")]
mod memory;
#[cfg(all(feature = "cuda", unix))]
mod no_driver;
#[cfg(feature = "emulator")]
mod work;

//! The GPUs of this machine, asked without making a context.

use std::ffi::{CStr, c_char, c_int, c_uint};

use super::driver::{Driver, check, driver, version_text};
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// Attributes of a device (CUDA driver API, `CUdevice_attribute`).
#[derive(Clone, Copy)]
enum Attribute {
    L2CacheSize = 38,
    MaxThreadsPerMultiprocessor = 39,
    MultiprocessorCount = 16,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxRegistersPerMultiprocessor = 82,
    MaxSharedMemoryPerBlockOptin = 97,
}

/// A GPU that the driver serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
pub struct CudaInfo {
    /// Its number, for [`Device::cuda`](crate::device::Device::cuda).
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// What plans may know of it.
    pub facts: DeviceFacts,
    /// The greatest CUDA version that the driver serves, as (major, minor).
    pub driver: (u32, u32),
}

/// The GPUs of this machine. Makes no context and never panics, with or without a driver.
///
/// # Errors
/// [`Error::NoDevice`]: no driver, one that does not work, or no GPU; the text says which.
#[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
pub fn cuda_devices() -> Result<Vec<CudaInfo>> {
    let driver = driver()?;
    (0..driver.count).map(|ordinal| info(driver, ordinal)).collect()
}

/// One GPU.
pub(super) fn find(ordinal: usize) -> Result<(&'static Driver, CudaInfo)> {
    let driver = driver()?;
    match i32::try_from(ordinal) {
        Ok(number) if number < driver.count => Ok((driver, info(driver, number)?)),
        _ => Err(Error::NoDevice(format!("there is no CUDA device {ordinal}: the driver serves {}", driver.count))),
    }
}

fn info(driver: &Driver, ordinal: c_int) -> Result<CudaInfo> {
    let functions = &driver.functions;
    let mut device = 0;
    // SAFETY: the driver is initialized; the pointer is to a live integer.
    check("cuDeviceGet", unsafe { (functions.device)(&raw mut device, ordinal) })?;
    let mut name = [0 as c_char; 256];
    // SAFETY: the driver writes at most the given number of bytes, a terminating zero among them.
    check("cuDeviceGetName", unsafe { (functions.device_name)(name.as_mut_ptr(), name.len() as c_int - 1, device) })?;
    // SAFETY: the last byte is zero, whatever the driver wrote before it.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    let mut memory = 0;
    // SAFETY: the pointer is to a live integer.
    check("cuDeviceTotalMem", unsafe { (functions.device_memory)(&raw mut memory, device) })?;
    let attribute = |attribute: Attribute| {
        let mut value = 0;
        // SAFETY: the pointer is to a live integer, the attribute one that every driver knows.
        check("cuDeviceGetAttribute", unsafe {
            (functions.device_attribute)(&raw mut value, attribute as c_uint, device)
        })?;
        u32::try_from(value)
            .map_err(|_| Error::NoDevice(format!("{name} reports {value} for attribute {}", attribute as u32)))
    };
    let (major, minor) = (attribute(Attribute::ComputeCapabilityMajor)?, attribute(Attribute::ComputeCapabilityMinor)?);
    let facts = DeviceFacts {
        capability: major.saturating_mul(10).saturating_add(minor),
        sm_count: attribute(Attribute::MultiprocessorCount)?,
        shared_per_block: attribute(Attribute::MaxSharedMemoryPerBlockOptin)?,
        shared_per_sm: attribute(Attribute::MaxSharedMemoryPerMultiprocessor)?,
        registers_per_sm: attribute(Attribute::MaxRegistersPerMultiprocessor)?,
        threads_per_sm: attribute(Attribute::MaxThreadsPerMultiprocessor)?,
        l2_bytes: attribute(Attribute::L2CacheSize)?,
    };
    let version = driver.version.max(0) as u32;
    Ok(CudaInfo {
        ordinal: ordinal as usize,
        name,
        memory_bytes: memory as u64,
        facts,
        driver: (version / 1000, version % 1000 / 10),
    })
}

impl CudaInfo {
    /// The driver's CUDA version as people write it: "12.4".
    pub fn driver_text(&self) -> String {
        version_text((self.driver.0 * 1000 + self.driver.1 * 10) as i32)
    }
}

//! Kernels in a CUDA context: machine code if the program has it, else PTX that the driver compiles.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::sync::Arc;

use cudarc::driver::CudaContext;

use super::codes;
use super::driver::{Driver, check, failed, version_text};
use crate::kernels::Module;
use crate::manifest::Row;
use crate::{Error, Result};

/// Options of `cuModuleLoadDataEx` (`CUjit_option`).
const INFO_LOG: c_uint = 3;
const INFO_LOG_BYTES: c_uint = 4;
const ERROR_LOG: c_uint = 5;
const ERROR_LOG_BYTES: c_uint = 6;

/// Attributes of a function (`CUfunction_attribute`).
const STATIC_SHARED_BYTES: c_uint = 1;
const MAX_DYNAMIC_SHARED_BYTES: c_uint = 8;

/// A loaded module; unloaded when the last kernel of it is gone.
pub(super) struct CudaModule {
    handle: *mut c_void,
    context: Arc<CudaContext>,
    driver: &'static Driver,
}

/// A kernel that can be launched.
pub(super) struct CudaKernel {
    handle: *mut c_void,
    /// Keeps the handle valid.
    _module: Arc<CudaModule>,
}

// SAFETY: module handles may be used by any thread that has their context current; the driver locks.
unsafe impl Send for CudaModule {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for CudaModule {}
// SAFETY: function handles may be used by any thread that has their context current; the driver locks.
unsafe impl Send for CudaKernel {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for CudaKernel {}

impl CudaModule {
    /// Loads a module, from machine code for this GPU if there is some, else from PTX.
    ///
    /// # Errors
    /// A driver older than the PTX needs; what the driver's compiler says.
    pub fn load(context: &Arc<CudaContext>, driver: &'static Driver, module: &Module) -> Result<Arc<CudaModule>> {
        context.bind_to_thread().map_err(failed("cuCtxSetCurrent"))?;
        if let Some(fatbin) = module.fatbin {
            let mut handle = std::ptr::null_mut();
            // SAFETY: the image is a whole fatbin, as the build made it; no options are given.
            let code = unsafe {
                (driver.functions.module_load)(
                    &raw mut handle,
                    fatbin.as_ptr().cast(),
                    0,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
            match code {
                // A fatbin for other GPUs: compile the PTX that it was made from.
                codes::NO_BINARY_FOR_GPU => {}
                code => {
                    check("cuModuleLoadDataEx", code)?;
                    return Ok(Arc::new(CudaModule { handle, context: Arc::clone(context), driver }));
                }
            }
        }
        check_driver(module, driver.version)?;
        let text = CString::new(module.ptx)
            .map_err(|_| Error::Unsupported(format!("the PTX of {} has a zero byte in it", module.source)))?;
        let (mut info, mut error) = ([0u8; 4096], [0u8; 4096]);
        let mut keys = [INFO_LOG, INFO_LOG_BYTES, ERROR_LOG, ERROR_LOG_BYTES];
        let mut values: [*mut c_void; 4] = [
            info.as_mut_ptr().cast(),
            info.len() as *mut c_void,
            error.as_mut_ptr().cast(),
            error.len() as *mut c_void,
        ];
        let mut handle = std::ptr::null_mut();
        // SAFETY: the image is zero-terminated text; the logs are live for the call and as long as the options say.
        let code = unsafe {
            (driver.functions.module_load)(
                &raw mut handle,
                text.as_ptr().cast(),
                keys.len() as c_uint,
                keys.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        if code != 0 {
            let log = [error, info].iter().map(|log| log_text(log)).find(|log| !log.is_empty());
            return Err(Error::Unsupported(format!(
                "the driver cannot load {} for {}: {} (code {code}){}{}",
                module.source,
                module.target.name(),
                codes::name(code),
                if log.is_some() { ": " } else { "" },
                log.unwrap_or_default()
            )));
        }
        Ok(Arc::new(CudaModule { handle, context: Arc::clone(context), driver }))
    }

    /// A kernel of the module, allowed as much dynamic shared memory as the device has.
    ///
    /// # Errors
    /// No such entry, or an error of the driver.
    pub fn kernel(self: &Arc<Self>, row: &Row, shared_per_block: u32) -> Result<CudaKernel> {
        self.context.bind_to_thread().map_err(failed("cuCtxSetCurrent"))?;
        let functions = &self.driver.functions;
        let symbol = CString::new(row.symbol).map_err(|_| Error::Unsupported(format!("no entry {:?}", row.symbol)))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the module is loaded, the name is zero-terminated.
        check("cuModuleGetFunction", unsafe {
            (functions.module_function)(&raw mut handle, self.handle, symbol.as_ptr())
        })?;
        let mut fixed = 0;
        // SAFETY: the pointer is to a live integer, the handle came from the call above.
        check("cuFuncGetAttribute", unsafe {
            (functions.function_attribute)(&raw mut fixed, STATIC_SHARED_BYTES, handle)
        })?;
        let dynamic = c_int::try_from(shared_per_block).unwrap_or(c_int::MAX).saturating_sub(fixed).max(0);
        // SAFETY: the handle came from the call above; the driver checks the value.
        check("cuFuncSetAttribute", unsafe {
            (functions.set_function_attribute)(handle, MAX_DYNAMIC_SHARED_BYTES, dynamic)
        })?;
        Ok(CudaKernel { handle, _module: Arc::clone(self) })
    }
}

impl Drop for CudaModule {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: the handle is loaded and, as no kernel of it is left, not used again. An error here means a
            // context that is gone, and the module with it.
            unsafe { (self.driver.functions.module_unload)(self.handle) };
        }
    }
}

impl CudaKernel {
    /// The driver's handle, valid while the kernel lives.
    pub fn handle(&self) -> *mut c_void {
        self.handle
    }
}

/// The text of a log, up to its first zero.
fn log_text(log: &[u8]) -> String {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).trim().to_string()
}

/// The `.version` of a PTX text.
fn ptx_version(ptx: &str) -> Option<(u32, u32)> {
    let line = ptx.lines().map(str::trim_start).find_map(|line| line.strip_prefix(".version"))?;
    let (major, minor) = line.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The CUDA version whose driver first reads a PTX version (PTX ISA, "Release Notes").
fn cuda_for_ptx((major, minor): (u32, u32)) -> i32 {
    let (major, minor) = match (major, minor) {
        (7, minor) => (11, minor),
        (8, minor @ 0..=5) => (12, minor),
        (8, minor) => (12, minor + 1),
        (major, minor) => (major + 4, minor),
    };
    (major * 1000 + minor * 10) as i32
}

/// An error if the driver is too old for the PTX.
fn check_driver(module: &Module, version: i32) -> Result<()> {
    let Some(ptx) = ptx_version(module.ptx).filter(|&(major, minor)| major < 100 && minor < 100) else {
        return Err(Error::Unsupported(format!("the PTX of {} does not say its version", module.source)));
    };
    let need = cuda_for_ptx(ptx);
    if version >= need {
        return Ok(());
    }
    Err(Error::NoDevice(format!(
        "{} for {} is PTX {}.{}, which needs a driver for CUDA {} or newer; this one serves {}",
        module.source,
        module.target.name(),
        ptx.0,
        ptx.1,
        version_text(need),
        version_text(version)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Target;

    #[test]
    fn ptx_versions_have_their_drivers() {
        // PTX ISA, table "PTX Release History".
        for (ptx, cuda) in
            [((7, 0), 11000), ((7, 8), 11080), ((8, 0), 12000), ((8, 4), 12040), ((8, 5), 12050), ((8, 6), 12070)]
        {
            assert_eq!(cuda_for_ptx(ptx), cuda, "{ptx:?}");
        }
        assert_eq!(cuda_for_ptx((8, 7)), 12080);
        assert_eq!(cuda_for_ptx((8, 8)), 12090);
        assert_eq!(cuda_for_ptx((9, 0)), 13000);
        assert_eq!(cuda_for_ptx((9, 1)), 13010);
    }

    #[test]
    fn an_old_driver_is_told_both_versions() {
        let module = Module {
            source: "gemm/gemm_s8_wgmma",
            target: Target::Sm90a,
            ptx: "//\n.version 8.0\n.target sm_90a\n",
            fatbin: None,
        };
        assert_eq!(
            check_driver(&module, 11040).unwrap_err().to_string(),
            "gemm/gemm_s8_wgmma for sm_90a is PTX 8.0, which needs a driver for CUDA 12.0 or newer; this one serves 11.4"
        );
        assert!(check_driver(&module, 12000).is_ok());
        assert_eq!(ptx_version(".versio 8.0"), None);
        assert_eq!(ptx_version(" .version 7.x"), None);
    }
}

//! Kernels in a CUDA context: machine code if the program has it, else PTX that the driver compiles.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::sync::Arc;

use cudarc::driver::CudaContext;

use super::codes;
use super::driver::{Driver, check, failed, version_text};
use super::shared::bind_quietly;
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
            // The driver reads it in 8-byte words; embedded bytes lie anywhere.
            let mut words = vec![0u64; fatbin.len().div_ceil(8)];
            bytemuck::cast_slice_mut(&mut words)[..fatbin.len()].copy_from_slice(fatbin);
            let mut handle = std::ptr::null_mut();
            // SAFETY: the image is a whole fatbin, as the build made it; no options are given.
            let code = unsafe {
                (driver.functions.module_load)(
                    &raw mut handle,
                    words.as_ptr().cast(),
                    0,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
            match code {
                // Machine code for other GPUs, or PTX in the fatbin that is too new: the text decides below.
                codes::NO_BINARY_FOR_GPU | codes::UNSUPPORTED_PTX_VERSION => {}
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
        bind_quietly(&self.context);
        // SAFETY: the handle is loaded and, as no kernel of it is left, not used again. An error here means a
        // context that is gone, and the module with it.
        unsafe { (self.driver.functions.module_unload)(self.handle) };
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

/// An error if the driver is too old for the PTX. PTX that is too new for the crate's table is left to the driver.
fn check_driver(module: &Module, version: i32) -> Result<()> {
    let Some(need) = module.cuda_version().and_then(|need| i32::try_from(need).ok()).filter(|&need| version < need)
    else {
        return Ok(());
    };
    Err(Error::NoDevice(format!(
        "{} for {} is PTX {}.{}, which needs a driver for CUDA {} or newer; this one serves {}",
        module.source,
        module.target.name(),
        module.version.0,
        module.version.1,
        version_text(need),
        version_text(version)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Target;

    #[test]
    fn an_old_driver_is_told_both_versions() {
        let module = Module {
            source: "gemm/gemm_s8_wgmma",
            target: Target::Sm90a,
            ptx: "",
            fatbin: None,
            version: (8, 0),
            key: "",
        };
        assert_eq!(
            check_driver(&module, 11040).unwrap_err().to_string(),
            "gemm/gemm_s8_wgmma for sm_90a is PTX 8.0, which needs a driver for CUDA 12.0 or newer; this one serves 11.4"
        );
        assert_eq!(check_driver(&module, 12000), Ok(()));
        assert_eq!(check_driver(&Module { version: (99, 0), ..module }, 12000), Ok(()));
    }

    #[test]
    fn a_log_ends_at_its_first_zero() {
        assert_eq!(log_text(b"ptxas error: x\n\0\0junk"), "ptxas error: x");
        assert_eq!(log_text(b"full"), "full");
    }
}

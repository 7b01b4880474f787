//! The CUDA driver library: is it there, what can it do, and the functions that are called without cudarc.
//!
//! cudarc panics where the library or one of its symbols is missing, and so does printing its error type. So the
//! library is opened here first, every symbol that will be needed is looked for, and cudarc is only touched when
//! all is there and a GPU was found. The functions in the table take plain pointers and integers: their binary
//! interface is fixed by the symbol name, whichever CUDA version cudarc's own bindings were made for.

use std::error::Error as _;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use libloading::Library;

use super::codes;
use crate::{Error, Result};

#[cfg(not(windows))]
const LIBRARIES: &[&str] = &["libcuda.so.1", "libcuda.so"];
#[cfg(windows)]
const LIBRARIES: &[&str] = &["nvcuda.dll"];

/// What cudarc calls on our behalf.
const NEEDED: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventQuery",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuMemAllocAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFree_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamIsCapturing",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// Oldest CUDA whose driver has all of them.
const OLDEST: &str = "11.4";

/// `CUlaunchAttribute` (CUDA driver API, "Data types"): an identifier and a union of 64 bytes, with pointers among
/// its members.
#[repr(C, align(8))]
pub(super) struct LaunchAttribute {
    pub id: c_uint,
    pub pad: c_uint,
    pub value: [u32; 16],
}

/// `CUlaunchConfig` (CUDA driver API, "Data types").
#[repr(C)]
pub(super) struct LaunchConfig {
    pub grid: [c_uint; 3],
    pub block: [c_uint; 3],
    pub shared_bytes: c_uint,
    pub stream: *mut c_void,
    pub attributes: *mut LaunchAttribute,
    pub attribute_count: c_uint,
}

/// `CUtensorMap`: opaque, aligned to 64 bytes.
#[repr(C, align(64))]
pub(super) struct TensorMapBytes(pub [u8; 128]);

macro_rules! table {
    (
        needed: { $($name:ident: $symbol:literal = fn($($arg:ty),* $(,)?);)* }
        newer: { $($new_name:ident: $new_symbol:literal = fn($($new_arg:ty),* $(,)?);)* }
    ) => {
        /// Functions of the driver. All of them return a `CUresult`.
        pub(super) struct Functions {
            $(pub $name: unsafe extern "system" fn($($arg),*) -> c_int,)*
            $(pub $new_name: Option<unsafe extern "system" fn($($new_arg),*) -> c_int>,)*
        }

        impl Functions {
            /// Looks all of them up; an error names the first one that is missing.
            fn find(library: &Library) -> std::result::Result<Functions, &'static str> {
                Ok(Functions {
                    // SAFETY: the driver API documents the signature of each symbol as written in the table
                    // below; the pointers are only used while the library is open, which is for ever.
                    $($name: unsafe { *library.get(concat!($symbol, "\0").as_bytes()).map_err(|_| $symbol)? },)*
                    // SAFETY: as above.
                    $($new_name: unsafe { library.get(concat!($new_symbol, "\0").as_bytes()).ok().map(|f| *f) },)*
                })
            }
        }
    };
}

table! {
    needed: {
        init: "cuInit" = fn(c_uint);
        driver_version: "cuDriverGetVersion" = fn(*mut c_int);
        device_count: "cuDeviceGetCount" = fn(*mut c_int);
        device: "cuDeviceGet" = fn(*mut c_int, c_int);
        device_name: "cuDeviceGetName" = fn(*mut c_char, c_int, c_int);
        device_memory: "cuDeviceTotalMem_v2" = fn(*mut usize, c_int);
        device_attribute: "cuDeviceGetAttribute" = fn(*mut c_int, c_uint, c_int);
        module_load: "cuModuleLoadDataEx" =
            fn(*mut *mut c_void, *const c_void, c_uint, *mut c_uint, *mut *mut c_void);
        module_unload: "cuModuleUnload" = fn(*mut c_void);
        module_function: "cuModuleGetFunction" = fn(*mut *mut c_void, *mut c_void, *const c_char);
        function_attribute: "cuFuncGetAttribute" = fn(*mut c_int, c_uint, *mut c_void);
        set_function_attribute: "cuFuncSetAttribute" = fn(*mut c_void, c_uint, c_int);
        launch: "cuLaunchKernel" = fn(
            *mut c_void, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint,
            *mut c_void, *mut *mut c_void, *mut *mut c_void,
        );
        stream_query: "cuStreamQuery" = fn(*mut c_void);
        event_elapsed: "cuEventElapsedTime" = fn(*mut f32, *mut c_void, *mut c_void);
    }
    newer: {
        launch_ex: "cuLaunchKernelEx" =
            fn(*const LaunchConfig, *mut c_void, *mut *mut c_void, *mut *mut c_void);
        encode_tiled: "cuTensorMapEncodeTiled" = fn(
            *mut TensorMapBytes, c_uint, c_uint, *mut c_void, *const u64, *const u64,
            *const u32, *const u32, c_uint, c_uint, c_uint, c_uint,
        );
    }
}

/// The driver, open and with at least one GPU.
pub(super) struct Driver {
    pub functions: Functions,
    /// The greatest CUDA version that it serves: 1000 × major + 10 × minor.
    pub version: i32,
    /// Number of GPUs.
    pub count: i32,
    /// Keeps the functions mapped.
    _library: Library,
}

/// Why there is no driver to work with.
#[derive(Clone)]
enum Absent {
    NoLibrary(String),
    NoSymbol { library: &'static str, symbol: &'static str },
    Failed { library: &'static str, call: &'static str, code: i32 },
    NoDevice { library: &'static str },
}

impl From<Absent> for Error {
    fn from(absent: Absent) -> Error {
        Error::NoDevice(match absent {
            Absent::NoLibrary(text) => format!("no CUDA driver found: {text}"),
            Absent::NoSymbol { library, symbol } => {
                format!("the CUDA driver {library} lacks {symbol}: a driver for CUDA {OLDEST} or newer is needed")
            }
            Absent::Failed { library, call, code } => {
                format!(
                    "the CUDA driver {library} does not work: {call} failed with {} (code {code})",
                    codes::name(code)
                )
            }
            Absent::NoDevice { library } => format!("the CUDA driver {library} finds no GPU"),
        })
    }
}

/// The loader's words. They name the file in most cases, but not in all.
fn reason(name: &str, error: &libloading::Error) -> String {
    let text = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
    if text.contains(name) { text } else { format!("{name}: {text}") }
}

fn open() -> std::result::Result<(Library, &'static str), String> {
    let mut first = None;
    for &name in LIBRARIES {
        // SAFETY: loading the driver runs its initializers, as every CUDA program does; it has no other effect.
        match unsafe { Library::new(name) } {
            Ok(library) => return Ok((library, name)),
            Err(error) => _ = first.get_or_insert_with(|| reason(name, &error)),
        }
    }
    Err(first.unwrap_or_default())
}

fn probe() -> std::result::Result<Driver, Absent> {
    let (library, name) = open().map_err(Absent::NoLibrary)?;
    let functions = Functions::find(&library).map_err(|symbol| Absent::NoSymbol { library: name, symbol })?;
    for &symbol in NEEDED {
        // SAFETY: the symbol is only looked for, never called through this type.
        if unsafe { library.get::<*const c_void>(symbol.as_bytes()) }.is_err() {
            return Err(Absent::NoSymbol { library: name, symbol });
        }
    }
    let failed = |call, code| match code {
        0 => Ok(()),
        codes::NO_DEVICE => Err(Absent::NoDevice { library: name }),
        code => Err(Absent::Failed { library: name, call, code }),
    };
    let (mut version, mut count) = (0, 0);
    // SAFETY: the signatures are the driver's; the pointers are to live integers.
    unsafe {
        failed("cuInit", (functions.init)(0))?;
        failed("cuDriverGetVersion", (functions.driver_version)(&raw mut version))?;
        failed("cuDeviceGetCount", (functions.device_count)(&raw mut count))?;
    }
    if count < 1 {
        return Err(Absent::NoDevice { library: name });
    }
    Ok(Driver { functions, version, count, _library: library })
}

/// The driver, opened at the first call.
///
/// # Errors
/// [`Error::NoDevice`] says which of these it was: no library, one without a symbol that is needed, one that
/// does not start, or no GPU.
pub(super) fn driver() -> Result<&'static Driver> {
    static DRIVER: OnceLock<std::result::Result<Driver, Absent>> = OnceLock::new();
    match DRIVER.get_or_init(probe) {
        Ok(driver) => Ok(driver),
        Err(absent) => Err(absent.clone().into()),
    }
}

/// The result of a call of the driver.
pub(super) fn check(what: &'static str, code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::Driver { what, name: codes::name(code).to_string(), code }),
    }
}

/// The error of a call through cudarc. Its own text is never asked for: that calls the driver again.
pub(super) fn failed(what: &'static str) -> impl Fn(cudarc::driver::DriverError) -> Error {
    move |error| {
        let code = error.0 as i32;
        Error::Driver { what, name: codes::name(code).to_string(), code }
    }
}

/// A version as the driver counts them: "12.4" of 12040.
pub(super) fn version_text(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

//! The device that is an NVIDIA GPU.

mod codes;
mod convert;
mod driver;
mod info;
mod memory;
mod module;
mod queue;
mod shared;

use std::ffi::c_void;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use cudarc::driver::CudaContext;

pub use info::{CudaInfo, cuda_devices};
pub(crate) use memory::CudaAllocation;
pub(crate) use queue::CudaQueue;
use shared::Shared;

use self::driver::{TensorMapBytes, check, failed};
use super::Device;
use super::backend::{Backend, Queue};
use super::tensor_map::{Swizzle, TensorMap};
use crate::format::DType;
use crate::manifest::Entry;
use crate::plan::DeviceFacts;
use crate::{Error, Result};

/// The devices that are alive, so that a context is wrapped once and its modules are loaded once.
static ALIVE: Mutex<Vec<Weak<Cuda>>> = Mutex::new(Vec::new());

/// A CUDA context as a device.
pub(crate) struct Cuda {
    shared: Arc<Shared>,
    /// Made by this crate, which may then make streams in it.
    own: bool,
    default: OnceLock<Arc<CudaQueue>>,
}

impl Device {
    /// The GPU with this number, in its primary context. While a device for it is alive, the same one is given.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: no driver, one that does not work, or no such GPU; [`Error::Driver`]: the context cannot
    /// be made. Never panics for want of a driver.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn cuda(ordinal: usize) -> Result<Device> {
        let (_, info) = info::find(ordinal)?;
        let make = || {
            let context = CudaContext::new(info.ordinal).map_err(failed("cuDevicePrimaryCtxRetain"))?;
            Ok((context, info.clone()))
        };
        register(|cuda| cuda.own && cuda.shared.context.ordinal() == ordinal, make, true)
    }

    /// The GPU of a context that the caller made. No streams are made in it and its event tracking is left as it
    /// is; its streams come in through [`Stream::from_cudarc`](super::Stream::from_cudarc).
    ///
    /// # Errors
    /// An error of the driver.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn from_cudarc(context: Arc<CudaContext>) -> Result<Device> {
        let make = || Ok((Arc::clone(&context), info::find(context.ordinal())?.1));
        register(|cuda| Arc::ptr_eq(&cuda.shared.context, &context), make, false)
    }

    /// cudarc's context of a GPU; `None` for the emulator.
    #[cfg_attr(docsrs, doc(cfg(feature = "cuda")))]
    pub fn cudarc_context(&self) -> Option<&Arc<CudaContext>> {
        self.backend.as_cuda().map(|cuda| &cuda.shared.context)
    }
}

/// The living device that `is` looks for, or a new one.
fn register(
    is: impl Fn(&Cuda) -> bool,
    make: impl FnOnce() -> Result<(Arc<CudaContext>, CudaInfo)>,
    own: bool,
) -> Result<Device> {
    let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
    alive.retain(|cuda| cuda.strong_count() > 0);
    if let Some(cuda) = alive.iter().filter_map(Weak::upgrade).find(|cuda| is(cuda)) {
        return Ok(Device { backend: cuda });
    }
    let (context, info) = make()?;
    let shared = Shared::new(info.name, info.facts, driver::driver()?, context);
    let cuda = Arc::new(Cuda { shared, own, default: OnceLock::new() });
    alive.push(Arc::downgrade(&cuda));
    Ok(Device { backend: cuda })
}

impl Backend for Cuda {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn facts(&self) -> &DeviceFacts {
        &self.shared.facts
    }

    fn is_emulator(&self) -> bool {
        false
    }

    fn default_queue(&self) -> Result<Arc<dyn Queue>> {
        if let Some(queue) = self.default.get() {
            return Ok(Arc::clone(queue) as Arc<dyn Queue>);
        }
        let context = &self.shared.context;
        let stream = match self.own {
            true => context.new_stream().map_err(failed("cuStreamCreate"))?,
            false => context.default_stream(),
        };
        let queue = self.default.get_or_init(|| Arc::new(CudaQueue::new(&self.shared, stream, false)));
        Ok(Arc::clone(queue) as Arc<dyn Queue>)
    }

    fn new_queue(&self) -> Result<Arc<dyn Queue>> {
        if !self.own {
            return Err(Error::Unsupported(
                "no stream is made in a context that was made elsewhere: make it there and use Stream::from_cudarc"
                    .into(),
            ));
        }
        let stream = self.shared.context.new_stream().map_err(failed("cuStreamCreate"))?;
        Ok(Arc::new(CudaQueue::new(&self.shared, stream, false)))
    }

    fn load(&self, entry: Entry) -> Result<()> {
        self.shared.load(entry)
    }

    fn tensor_map(&self, map: &TensorMap) -> Result<[u8; 128]> {
        let encode = self
            .shared
            .driver
            .functions
            .encode_tiled
            .ok_or_else(|| Error::NoDevice("tensor maps need a driver for CUDA 12.0 or newer".into()))?;
        // CUtensorMapDataType.
        let dtype = match map.dtype {
            DType::U8 | DType::I8 | DType::E4m3 | DType::E5m2 => 0,
            DType::U32 => 2,
            DType::I32 => 3,
            DType::F16 => 6,
            DType::F32 => 7,
            DType::Bf16 => 9,
        };
        // CUtensorMapSwizzle.
        let swizzle = match map.shape.swizzle {
            Swizzle::None => 0,
            Swizzle::B32 => 1,
            Swizzle::B64 => 2,
            Swizzle::B128 => 3,
        };
        const NO_INTERLEAVE: u32 = 0;
        const PROMOTE_TO_256_BYTES: u32 = 3;
        // CUtensorMapFloatOOBfill: zeros, or NaN.
        let fill = u32::from(map.shape.nan);
        let steps = [1; 5];
        let strides: [u64; 4] = std::array::from_fn(|i| map.shape.strides[i + 1]);
        let mut bytes = TensorMapBytes([0; 128]);
        // SAFETY: the rank was checked to be 1 to 5; the arrays have the lengths that rank 5 demands (four strides),
        // and live through the call; the driver only computes with the address.
        check("cuTensorMapEncodeTiled", unsafe {
            encode(
                &raw mut bytes,
                dtype,
                map.shape.rank as u32,
                map.address as *mut c_void,
                map.shape.dims.as_ptr(),
                strides.as_ptr(),
                map.shape.tile.as_ptr(),
                steps.as_ptr(),
                NO_INTERLEAVE,
                swizzle,
                PROMOTE_TO_256_BYTES,
                fill,
            )
        })?;
        Ok(bytes.0)
    }

    fn as_cuda(&self) -> Option<&Cuda> {
        Some(self)
    }
}

//! A CUDA stream: waits, work, marks.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cudarc::driver::sys::{CUevent_flags, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaEvent, CudaGraph, CudaStream, DriverError, result};
use half::{bf16, f16};

use super::driver::{LaunchAttribute, LaunchConfig, check, failed};
use super::memory::CudaAllocation;
use super::shared::{self, Shared};
use crate::device::backend::{Allocation, Call, Queue, Replay, Timer, retain};
use crate::device::memory::{Memory, Operand};
use crate::format::DType;
use crate::{Error, Result};

/// Identifier of the cluster attribute (`CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION`).
const CLUSTER_DIMENSION: u32 = 4;

type Retained = Vec<(Arc<Memory>, bool)>;

/// A stream of a CUDA device.
pub(crate) struct CudaQueue {
    shared: Arc<Shared>,
    stream: Arc<CudaStream>,
    /// The memory that a capture through this queue uses so far.
    capture: Mutex<Option<Retained>>,
    /// Somebody took responsibility for captures that this queue did not begin.
    captured_elsewhere: bool,
}

/// How work is being given to the stream.
enum Mode {
    Run,
    Capture,
}

impl CudaQueue {
    pub(super) fn new(shared: &Arc<Shared>, stream: Arc<CudaStream>, captured_elsewhere: bool) -> CudaQueue {
        shared.saw(&stream);
        CudaQueue { shared: Arc::clone(shared), stream, capture: Mutex::new(None), captured_elsewhere }
    }

    /// cudarc's stream.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    fn capture(&self) -> MutexGuard<'_, Option<Retained>> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_capturing(&self) -> Result<bool> {
        shared::is_capturing(&self.stream).map_err(failed("cuStreamIsCapturing"))
    }

    /// An error if the stream is being captured.
    fn refuse_capture(&self, what: &str) -> Result<()> {
        if self.is_capturing()? {
            return Err(not_captured(what));
        }
        Ok(())
    }

    /// Gives `work` to the stream, in order with other uses of its operands. `host_only` names work that cannot be
    /// recorded.
    fn submit(
        &self,
        host_only: Option<&str>,
        operands: &[Operand<'_>],
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.shared.context.bind_to_thread().map_err(failed("cuCtxSetCurrent"))?;
        let _order = self.shared.order();
        let mode = match (self.is_capturing()?, host_only) {
            (true, Some(what)) => return Err(not_captured(what)),
            (true, None) => Mode::Capture,
            (false, _) => Mode::Run,
        };
        let known = || operands.iter().filter_map(|o| Some((o.memory?.allocation.as_cuda()?, o.write)));
        match mode {
            Mode::Capture => {
                for (memory, write) in known() {
                    memory.refuse_pending(&self.stream, write)?;
                }
                match self.capture().as_mut() {
                    Some(list) => retain(list, operands)?,
                    None if self.captured_elsewhere => {}
                    None => {
                        return Err(Error::Unsupported(
                            "the stream is being captured by somebody else: capture with Graph::capture, which keeps \
                             the operands alive, or take that upon yourself with Stream::captured_elsewhere"
                                .into(),
                        ));
                    }
                }
                work()
            }
            Mode::Run => {
                let tracks = self.shared.tracks();
                if tracks {
                    for (memory, write) in known() {
                        memory.before(&self.stream, write)?;
                    }
                }
                work()?;
                for (memory, write) in known() {
                    memory.after(&self.stream, write)?;
                }
                Ok(())
            }
        }
    }

    /// Gives a copy from or to the host to the stream, and waits for it: when this returns, the host's memory is not
    /// touched any more.
    fn copy(&self, what: &str, operand: &Operand<'_>, copy: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut queued = false;
        let submitted = self.submit(Some(what), std::slice::from_ref(operand), || {
            copy()?;
            queued = true;
            Ok(())
        });
        if !queued {
            return submitted;
        }
        self.stream.synchronize().map_err(failed("cuStreamSynchronize")).and(submitted)
    }

    fn launch_kernel(&self, kernel: *mut c_void, call: &Call<'_>) -> Result<()> {
        let functions = &self.shared.driver.functions;
        let block = [call.entry.row().threads, 1, 1];
        let mut argument = call.params.as_ptr().cast_mut().cast::<c_void>();
        let arguments = &raw mut argument;
        let stream = self.stream.cu_stream().cast();
        let clusters = call.cluster != [1; 3];
        if let Some(launch) = functions.launch_ex {
            let mut value = [0; 16];
            value[..3].copy_from_slice(&call.cluster);
            let mut attribute = LaunchAttribute { id: CLUSTER_DIMENSION, pad: 0, value };
            let config = LaunchConfig {
                grid: call.grid,
                block,
                shared_bytes: call.shared_bytes,
                stream,
                attributes: &raw mut attribute,
                attribute_count: clusters.into(),
            };
            // SAFETY: the kernel belongs to this context and is loaded. It takes one argument, the parameter block
            // that was encoded from its row of the manifest; the driver copies it before it returns. The memory in
            // it belongs to operands that are alive, or was vouched for when its raw view was made; the planned
            // launch keeps to their bounds.
            return check("cuLaunchKernelEx", unsafe {
                launch(&raw const config, kernel, arguments, std::ptr::null_mut())
            });
        }
        if clusters {
            return Err(Error::NoDevice("clusters need a driver for CUDA 11.8 or newer".into()));
        }
        let ([gx, gy, gz], [bx, by, bz]) = (call.grid, block);
        // SAFETY: as above.
        check("cuLaunchKernel", unsafe {
            (functions.launch)(
                kernel,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                call.shared_bytes,
                stream,
                arguments,
                std::ptr::null_mut(),
            )
        })
    }
}

fn not_captured(what: &str) -> Error {
    Error::Unsupported(format!("{what} is not possible while the stream is being captured"))
}

impl Queue for CudaQueue {
    fn alloc(&self, dtype: DType, len: usize) -> Result<Box<dyn Allocation>> {
        self.shared.release_held();
        let _order = self.shared.order();
        self.refuse_capture("an allocation")?;
        let (shared, stream) = (&self.shared, &self.stream);
        macro_rules! alloc {
            ($type:ty) => {{
                // SAFETY: every bit pattern is a value of this type.
                let slice = unsafe { stream.alloc::<$type>(len) };
                slice.and_then(|slice| CudaAllocation::new(shared, slice))
            }};
        }
        let allocation = match dtype {
            DType::F32 => alloc!(f32),
            DType::F16 => alloc!(f16),
            DType::Bf16 => alloc!(bf16),
            DType::I8 => alloc!(i8),
            // cudarc has no slices of 8-bit floats unless another of its features is on.
            DType::U8 | DType::E4m3 | DType::E5m2 => alloc!(u8),
            DType::I32 => alloc!(i32),
            DType::U32 => alloc!(u32),
        };
        let bytes = len.saturating_mul(dtype.size());
        Ok(Box::new(allocation.map_err(failed("cuMemAllocAsync")).map_err(|error| shared.alloc_error(error, bytes))?))
    }

    fn write(&self, target: &Operand<'_>, data: &[u8]) -> Result<()> {
        self.copy("a copy from the host", target, || {
            // SAFETY: the target is as long as `data` and lives in this context; `data` is borrowed until the
            // stream has been waited for.
            unsafe { result::memcpy_htod_async(target.address, data, self.stream.cu_stream()) }
                .map_err(failed("cuMemcpyHtoDAsync"))
        })
    }

    fn read(&self, source: &Operand<'_>, out: &mut [u8]) -> Result<()> {
        self.copy("a copy to the host", source, || {
            // SAFETY: the source is as long as `out` and lives in this context; `out` is borrowed until the
            // stream has been waited for.
            unsafe { result::memcpy_dtoh_async(out, source.address, self.stream.cu_stream()) }
                .map_err(failed("cuMemcpyDtoHAsync"))
        })
    }

    fn fill_zero(&self, target: &Operand<'_>) -> Result<()> {
        self.submit(None, std::slice::from_ref(target), || {
            // SAFETY: the range lies in memory of this context that the operand borrows for writing; zero bytes
            // are a value of every element type.
            unsafe { result::memset_d8_async(target.address, 0, target.bytes, self.stream.cu_stream()) }
                .map_err(failed("cuMemsetD8Async"))
        })
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        let kernel = self.shared.kernels.get(call.entry)?.handle();
        self.submit(None, call.operands, || self.launch_kernel(kernel, call))
    }

    fn synchronize(&self) -> Result<()> {
        self.refuse_capture("waiting")?;
        self.stream.synchronize().map_err(failed("cuStreamSynchronize"))
    }

    fn begin_capture(&self) -> Result<()> {
        if shared::is_per_thread(&self.stream) {
            return Err(Error::Unsupported(
                "the per-thread default stream is another stream in each thread: capture one that is not".into(),
            ));
        }
        // No other thread's work is between its look at the mode of the stream and the stream itself.
        let _order = self.shared.order();
        self.refuse_capture("another capture")?;
        let mut capture = self.capture();
        // Relaxed: other threads of the program go on as they like; what this stream may not do is refused above.
        self.stream
            .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)
            .map_err(failed("cuStreamBeginCapture"))?;
        *capture = Some(Vec::new());
        Ok(())
    }

    fn end_capture(&self) -> Result<Box<dyn Replay>> {
        let (retained, graph) = {
            let _order = self.shared.order();
            let retained = self.capture().take().unwrap_or_default();
            (retained, self.stream.end_capture(CUgraphInstantiate_flags(0)))
        };
        self.shared.release_held();
        let graph = graph.map_err(failed("cuStreamEndCapture"))?;
        let graph = graph.ok_or_else(|| Error::Unsupported("the capture was broken off by the driver".into()))?;
        Ok(Box::new(CudaReplay {
            graph: SendGraph(graph),
            shared: Arc::clone(&self.shared),
            stream: Arc::clone(&self.stream),
            retained,
        }))
    }

    fn start_timer(&self) -> Result<Box<dyn Timer>> {
        self.refuse_capture("timing")?;
        let start = record_timed(&self.stream).map_err(failed("cuEventRecord"))?;
        Ok(Box::new(CudaTimer { start, shared: Arc::clone(&self.shared), stream: Arc::clone(&self.stream) }))
    }

    fn as_cuda(&self) -> Option<&CudaQueue> {
        Some(self)
    }
}

/// A recorded graph and what it works on. The graph is first, so that it is gone before its memory.
struct CudaReplay {
    graph: SendGraph,
    shared: Arc<Shared>,
    stream: Arc<CudaStream>,
    retained: Retained,
}

struct SendGraph(CudaGraph);

// SAFETY: graph handles are not tied to a thread; they must not be used by two at once, and `CudaReplay` uses its
// graph only through `&mut self` and in `drop`.
unsafe impl Send for SendGraph {}

impl Replay for CudaReplay {
    fn replay(&mut self) -> Result<()> {
        self.shared.context.bind_to_thread().map_err(failed("cuCtxSetCurrent"))?;
        let _order = self.shared.order();
        if shared::is_capturing(&self.stream).map_err(failed("cuStreamIsCapturing"))? {
            return Err(not_captured("a replay"));
        }
        let tracks = self.shared.tracks();
        let known = || self.retained.iter().filter_map(|(memory, write)| Some((memory.allocation.as_cuda()?, *write)));
        if tracks {
            for (memory, write) in known() {
                memory.before(&self.stream, write)?;
            }
        }
        self.graph.0.launch().map_err(failed("cuGraphLaunch"))?;
        for (memory, write) in known() {
            memory.after(&self.stream, write)?;
        }
        Ok(())
    }
}

impl Drop for CudaReplay {
    fn drop(&mut self) {
        // cudarc destroys the graph in whatever context is current.
        shared::bind_quietly(&self.shared.context);
    }
}

struct CudaTimer {
    start: CudaEvent,
    shared: Arc<Shared>,
    stream: Arc<CudaStream>,
}

fn record_timed(stream: &Arc<CudaStream>) -> std::result::Result<CudaEvent, DriverError> {
    stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))
}

impl Timer for CudaTimer {
    fn stop(self: Box<Self>) -> Result<Duration> {
        let end = record_timed(&self.stream).map_err(failed("cuEventRecord"))?;
        end.synchronize().map_err(failed("cuEventSynchronize"))?;
        let mut milliseconds = 0.0;
        // SAFETY: both events belong to this context, were made with timing, and have been reached.
        check("cuEventElapsedTime", unsafe {
            (self.shared.driver.functions.event_elapsed)(
                &raw mut milliseconds,
                self.start.cu_event().cast(),
                end.cu_event().cast(),
            )
        })?;
        Ok(Duration::try_from_secs_f64(f64::from(milliseconds) / 1e3).unwrap_or_default())
    }
}

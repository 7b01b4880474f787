//! What captures, threads and left-over errors must not do to the order of work on CUDA.

use halfbyte::Error;
use halfbyte::cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use halfbyte::cudarc::driver::{CudaContext, DriverError};
use halfbyte::device::{Buffer, Device, Graph, Stream};

use super::fake_driver::{Library, in_child};

/// The capture modes' most permissive.
const RELAXED: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

#[test]
fn the_per_thread_stream_can_be_captured() {
    let test = "device::cuda_capture::the_per_thread_stream_can_be_captured";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let context = CudaContext::new(0).unwrap();
        let device = Device::from_cudarc(context.clone()).unwrap();
        let raw = context.per_thread_stream();
        let stream = Stream::from_cudarc(&device, raw.clone()).unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        // Which thread's stream a graph would retain memory for cannot be said.
        let error = Graph::capture(&stream, |stream| stream.fill_zero(&mut buffer)).unwrap_err();
        assert!(error.to_string().contains("per-thread default stream"), "{error}");
        // A capture by somebody else is noticed: nothing goes into it unseen.
        raw.begin_capture(RELAXED).unwrap();
        log.take();
        let error = stream.fill_zero(&mut buffer).unwrap_err();
        assert!(error.to_string().contains("captured by somebody else"), "{error}");
        assert!(stream.alloc::<u8>(1).is_err() && stream.download(&buffer).is_err());
        assert_eq!(log.take(), [""; 0]);
        // Another thread's stream is not the one that is being captured.
        std::thread::scope(|scope| _ = scope.spawn(|| stream.fill_zero(&mut buffer).unwrap()));
        raw.end_capture(CUgraphInstantiate_flags(0)).unwrap();
    });
}

#[test]
fn the_per_thread_stream_marks_what_it_allocates() {
    let test = "device::cuda_capture::the_per_thread_stream_marks_what_it_allocates";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let context = CudaContext::new(0).unwrap();
        let device = Device::from_cudarc(context.clone()).unwrap();
        let stream = Stream::from_cudarc(&device, context.per_thread_stream()).unwrap();
        log.take();
        let mut buffer = stream.alloc::<u8>(16).unwrap();
        let seen = log.take();
        let mark = seen.iter().find(|line| line.starts_with("record event ")).expect("a mark of the allocation");
        let event = mark.split(' ').nth(2).unwrap();
        std::thread::scope(|scope| _ = scope.spawn(|| stream.fill_zero(&mut buffer).unwrap()));
        assert_eq!(log.take()[0], format!("wait -2 for event {event}"), "the other thread's stream waits for it");
    });
}

#[test]
fn memory_dropped_in_a_capture_is_freed_after_it() {
    let test = "device::cuda_capture::memory_dropped_in_a_capture_is_freed_after_it";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let (unused, mut used) = (stream.zeros::<u8>(16).unwrap(), stream.zeros::<u8>(16).unwrap());
        log.take();
        Graph::capture(&stream, |stream| {
            drop(unused);
            stream.fill_zero(&mut used)
        })
        .unwrap();
        let seen = log.take();
        assert_eq!(seen[..3], ["begin capture 1 mode 2", "captured fill 16 with 0 on 1", "end capture 1"]);
        assert_eq!(seen.iter().filter(|line| *line == "free on 1").count(), 1, "{seen:?}");
        assert!(!seen.iter().any(|line| line.starts_with("captured free")), "{seen:?}");
        // Where somebody else captures, the end of it is seen at the next allocation.
        let raw = stream.cudarc().unwrap().clone();
        raw.begin_capture(RELAXED).unwrap();
        drop(used);
        raw.end_capture(CUgraphInstantiate_flags(0)).unwrap();
        log.take();
        stream.alloc::<u8>(1).unwrap();
        let seen = log.take();
        assert_eq!(
            seen.iter().filter(|line| !line.starts_with("wait")).take(2).collect::<Vec<_>>(),
            ["free on 1", "alloc 1 on 1"]
        );
        // Nor can memory go to cudarc, whose events would become a part of the capture.
        let buffer = stream.zeros::<u8>(1).unwrap();
        raw.begin_capture(RELAXED).unwrap();
        assert!(buffer.into_cudarc().unwrap_err().to_string().contains("while its stream is being captured"));
        raw.end_capture(CUgraphInstantiate_flags(0)).unwrap();
        let slice = raw.clone_htod(&vec![1u8]).unwrap();
        raw.begin_capture(RELAXED).unwrap();
        assert!(Buffer::from_cudarc(&device, slice).is_err());
    });
}

#[test]
fn a_stream_that_waits_does_not_join_a_capture() {
    let test = "device::cuda_capture::a_stream_that_waits_does_not_join_a_capture";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        Graph::capture(&stream, |_| {
            // While there was one stream, uses of it were not marked. Now is too late to do so.
            let second = device.new_stream()?;
            let error = second.fill_zero(&mut buffer).unwrap_err();
            assert!(matches!(error, Error::Driver { code: 905, .. }), "{error:?}");
            Ok(())
        })
        .unwrap();
        let seen = log.take();
        assert!(!seen.iter().any(|line| line.contains("joins") || line.starts_with("captured")), "{seen:?}");
    });
}

#[test]
fn memory_is_freed_by_a_thread_without_a_context() {
    let test = "device::cuda_capture::memory_is_freed_by_a_thread_without_a_context";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let device = Device::from_cudarc(CudaContext::new(0).unwrap()).unwrap();
        let stream = device.stream().unwrap();
        let mut kept = stream.zeros::<u8>(16).unwrap();
        let dropped = stream.zeros::<u8>(16).unwrap();
        log.take();
        std::thread::spawn(move || drop(dropped)).join().unwrap();
        assert_eq!(log.take(), ["free on 0"]);
        stream.fill_zero(&mut kept).unwrap();
        // The same for everything that a graph and a device leave behind.
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        let graph = Graph::capture(&stream, |stream| stream.fill_zero(&mut buffer)).unwrap();
        halfbyte::op::QuantizeRows::new(&device).unwrap();
        log.take();
        std::thread::spawn(move || drop((graph, buffer, stream, device))).join().unwrap();
        let seen = log.take();
        assert!(!seen.iter().any(|line| line.starts_with("no context")), "{seen:?}");
        let end = ["destroy graph 1", "free on 1", "destroy stream 1", "unload module", "release context"];
        for line in end {
            assert_eq!(seen.iter().filter(|seen| *seen == line).count(), 1, "{line}: {seen:?}");
        }
    });
}

#[test]
fn an_error_left_by_others_does_not_free_too_early() {
    let test = "device::cuda_capture::an_error_left_by_others_does_not_free_too_early";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let (stream, reader) = (device.stream().unwrap(), device.new_stream().unwrap());
        let buffer = stream.zeros::<u8>(16).unwrap();
        reader.download(&buffer).unwrap();
        let context = device.cudarc_context().unwrap();
        context.record_err::<()>(Err(DriverError(CUresult::CUDA_ERROR_INVALID_VALUE)));
        log.take();
        drop(buffer);
        let seen = log.take();
        assert!(seen[0].starts_with("wait 1 for event "), "{seen:?}");
        assert_eq!(seen.last().unwrap(), "free on 1");
        let error = stream.zeros::<u8>(1).unwrap_err();
        assert!(matches!(error, Error::Driver { code: 1, .. }), "it is still there for whom it concerns: {error:?}");
    });
}

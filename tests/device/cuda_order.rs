//! The order of work on CUDA: events between streams, graphs, memory that others made.

use halfbyte::Error;
use halfbyte::cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use halfbyte::cudarc::driver::{CudaContext, CudaSlice};
use halfbyte::device::{Buffer, Device, Graph, Status, Stream};
use std::time::Duration;

use super::fake_driver::{Library, in_child};

/// The capture modes' most permissive.
const RELAXED: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

#[test]
fn memory_goes_there_and_back() {
    in_child("device::cuda_order::memory_goes_there_and_back", Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        assert_eq!(device, Device::cuda(0).unwrap(), "one GPU is one device");
        let stream = device.stream().unwrap();
        let mut buffer = stream.upload(&[1i32, 2, 3, 4]).unwrap();
        let middle = buffer.view_mut().slice(1..3).unwrap();
        stream.write(middle, &[7, 8]).unwrap();
        assert_eq!(stream.download(&buffer).unwrap(), [1, 7, 8, 4]);
        stream.fill_zero(buffer.view_mut().slice(3..).unwrap()).unwrap();
        assert_eq!(stream.download(&buffer).unwrap(), [1, 7, 8, 0]);
        let mut status = Status::new(&stream).unwrap();
        stream.write(status.word_mut(), &[1]).unwrap();
        assert!(status.read_and_clear(&stream).unwrap().nonfinite_input);
        assert!(status.read_and_clear(&stream).unwrap().is_clear());
        assert_eq!(stream.time(|_| Ok(())).unwrap(), Duration::from_micros(1500));
        assert_eq!(
            stream.alloc::<f32>(1 << 35).unwrap_err(),
            Error::OutOfMemory { bytes: 1 << 37, device: "Fake GPU 0".into() }
        );
        log.take();
        drop(buffer);
        let seen = log.take();
        assert_eq!(seen.last().unwrap(), "free on 1");
        assert!(!seen.iter().any(|line| line.starts_with("synchronize")), "dropping does not wait: {seen:?}");
        drop((status, stream, device));
        let seen = log.take();
        assert_eq!(seen[seen.len() - 3..], ["free on 1", "destroy stream 1", "release context"]);
    });
}

#[test]
fn streams_wait_for_each_others_uses() {
    in_child("device::cuda_order::streams_wait_for_each_others_uses", Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let (first, second, third) =
            (device.stream().unwrap(), device.new_stream().unwrap(), device.new_stream().unwrap());
        let mut buffer = first.zeros::<u8>(16).unwrap();
        log.take();
        // Reads wait for the write, but not for each other; each leaves a mark of its own.
        second.download(&buffer).unwrap();
        third.download(&buffer).unwrap();
        let reads = log.take();
        let event = |line: &str| line.split(' ').nth(2).unwrap().to_string();
        let [wait2, load2, mark2, _, wait3, load3, mark3, _] = &reads[..] else { panic!("{reads:?}") };
        assert!(wait2.starts_with("wait 2 for event ") && wait3.starts_with("wait 3 for event "), "{reads:?}");
        assert_eq!(wait2.split(' ').nth(4), wait3.split(' ').nth(4), "both wait for the write");
        assert_eq!((load2.as_str(), load3.as_str()), ("download 16 on 2", "download 16 on 3"));
        assert!(mark2.starts_with("record event ") && mark2.ends_with(" on 2"), "{reads:?}");
        assert!(mark3.starts_with("record event ") && mark3.ends_with(" on 3"), "{reads:?}");
        // A write waits for both reads, though the last reader was only one of them.
        first.fill_zero(&mut buffer).unwrap();
        let write = log.take();
        assert_eq!(write[0], format!("wait 1 for event {}", event(mark2)));
        assert_eq!(write[1], format!("wait 1 for event {}", event(mark3)));
        assert_eq!(write[2], "fill 16 with 0 on 1");
        assert!(write[3].starts_with("record event ") && write.len() == 4, "{write:?}");
        // So does giving the memory back, in the stream that it came from.
        second.download(&buffer).unwrap();
        let mark = log.take().into_iter().find(|line| line.starts_with("record")).unwrap();
        drop(buffer);
        let seen = log.take();
        assert_eq!(seen[0], format!("wait 1 for event {}", event(&mark)));
        assert_eq!(seen.last().unwrap(), "free on 1");
    });
}

#[test]
fn a_graph_keeps_what_it_uses() {
    in_child("device::cuda_order::a_graph_keeps_what_it_uses", Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        log.take();
        let refused = "is not possible while the stream is being captured";
        let mut graph = Graph::capture(&stream, |stream| {
            assert!(stream.alloc::<u8>(1).unwrap_err().to_string().contains(refused));
            assert!(stream.synchronize().unwrap_err().to_string().contains(refused));
            assert!(stream.write(&mut buffer, &[0; 16]).unwrap_err().to_string().contains(refused));
            assert!(stream.download(&buffer).unwrap_err().to_string().contains(refused));
            assert!(Graph::capture(stream, |_| Ok(())).is_err());
            stream.fill_zero(&mut buffer)
        })
        .unwrap();
        assert_eq!(log.take(), ["begin capture 1 mode 2", "captured fill 16 with 0 on 1", "end capture 1"]);
        stream.write(&mut buffer, &[5; 16]).unwrap();
        log.take();
        graph.replay().unwrap();
        assert_eq!(log.take(), ["graph 1 on 1"]);
        let still = "the buffer belongs to a graph, which must be dropped first";
        assert_eq!(buffer.into_cudarc().unwrap_err().to_string(), still);
        assert_eq!(log.take(), [""; 0], "the graph still holds the memory");
        graph.replay().unwrap();
        drop(graph);
        let seen = log.take();
        assert_eq!(seen[..2], ["graph 1 on 1", "destroy graph 1"]);
        assert_eq!(seen.last().unwrap(), "free on 1");
    });
}

#[test]
fn a_capture_cannot_wait() {
    in_child("device::cuda_order::a_capture_cannot_wait", Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let (stream, other) = (device.stream().unwrap(), device.new_stream().unwrap());
        let mut buffer = other.zeros::<u8>(16).unwrap();
        log.set_busy(true);
        let error = Graph::capture(&stream, |stream| stream.fill_zero(&mut buffer)).unwrap_err();
        assert!(error.to_string().contains("is pending on another stream"), "{error}");
        log.set_busy(false);
        log.take();
        Graph::capture(&stream, |stream| stream.fill_zero(&mut buffer)).unwrap();
        let log = log.take();
        assert_eq!(log[..3], ["begin capture 1 mode 2", "captured fill 16 with 0 on 1", "end capture 1"]);
    });
}

#[test]
fn a_failed_capture_leaves_the_stream_usable() {
    let test = "device::cuda_order::a_failed_capture_leaves_the_stream_usable";
    in_child(test, Library::Fake(&[]), &[], |_| {
        let stream = Device::cuda(0).unwrap().stream().unwrap();
        let error = Graph::capture(&stream, |_| Err(Error::Value("mine".into()))).unwrap_err();
        assert_eq!(error, Error::Value("mine".into()));
        stream.synchronize().unwrap();
    });
}

#[test]
fn captures_of_others_need_a_promise() {
    in_child("device::cuda_order::captures_of_others_need_a_promise", Library::Fake(&[]), &[], |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.new_stream().unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        let raw = stream.cudarc().unwrap().clone();
        raw.begin_capture(RELAXED).unwrap();
        let error = stream.fill_zero(&mut buffer).unwrap_err();
        assert!(error.to_string().contains("captured by somebody else"), "{error}");
        // SAFETY: the buffer outlives the graph below, and nothing else uses it.
        let promised = unsafe { stream.captured_elsewhere() }.unwrap();
        log.take();
        promised.fill_zero(&mut buffer).unwrap();
        assert_eq!(log.take(), ["captured fill 16 with 0 on 1"]);
        let graph = raw.end_capture(CUgraphInstantiate_flags(0)).unwrap().unwrap();
        graph.launch().unwrap();
        drop(graph);
    });
}

#[test]
fn contexts_of_others_are_left_as_they_are() {
    let test = "device::cuda_order::contexts_of_others_are_left_as_they_are";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let context = CudaContext::new(0).unwrap();
        log.take();
        let device = Device::from_cudarc(context.clone()).unwrap();
        assert_eq!(device, Device::from_cudarc(context.clone()).unwrap(), "one context is one device");
        assert_ne!(device, Device::cuda(0).unwrap());
        let stream = device.stream().unwrap();
        let mut buffer = stream.upload(&[1.0f32, 2.0]).unwrap();
        stream.fill_zero(&mut buffer).unwrap();
        assert!(device.new_stream().is_err());
        assert!(!context.is_in_multi_stream_mode() && context.is_event_tracking());
        let seen = log.take();
        assert!(!seen.iter().any(|line| line.contains("create stream") || line.contains("event")), "{seen:?}");
        assert!(seen.contains(&"upload 8 on 0".to_string()), "the legacy default stream: {seen:?}");
        // CUDA cannot capture that stream.
        let error = Graph::capture(&stream, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Driver { code: 900, .. }), "{error:?}");
    });
}

#[test]
fn slices_come_in_and_go_out_with_their_pending_work() {
    let test = "device::cuda_order::slices_come_in_and_go_out_with_their_pending_work";
    in_child(test, Library::Fake(&[]), &[], |log| {
        let context = CudaContext::new(0).unwrap();
        let device = Device::from_cudarc(context.clone()).unwrap();
        let theirs = context.new_stream().unwrap();
        let other = context.new_stream().unwrap();
        let slice: CudaSlice<i32> = theirs.clone_htod(&vec![1, 2, 3]).unwrap();
        let buffer = Buffer::from_cudarc(&device, slice).unwrap();
        let stream = Stream::from_cudarc(&device, other.clone()).unwrap();
        log.take();
        assert_eq!(stream.download(&buffer).unwrap(), [1, 2, 3]);
        let seen = log.take();
        assert!(seen[0].starts_with("record event ") && seen[0].ends_with(" on 1"), "{seen:?}");
        assert!(seen[1].starts_with("wait 2 for event "), "the copy in came first: {seen:?}");
        let slice = buffer.into_cudarc().unwrap();
        let seen = log.take();
        assert!(seen[0].starts_with("wait 1 for event "), "the home stream waits for the reader: {seen:?}");
        assert_eq!(other.clone_dtoh(&slice).unwrap(), [1, 2, 3]);
        assert!(log.take()[0].starts_with("wait 2 for event "), "cudarc knows of the pending work");

        let elsewhere = CudaContext::new(0).unwrap();
        let error = Buffer::from_cudarc(&device, elsewhere.default_stream().clone_htod(&[1i32]).unwrap()).unwrap_err();
        assert!(matches!(error, Error::WrongDevice { what: "the slice", .. }), "{error:?}");
        let error = Stream::from_cudarc(&device, elsewhere.default_stream()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the stream lives on another context of CUDA device 0, but this operation runs on Fake GPU 0"
        );
        assert!(stream.alloc::<i32>(0).unwrap().into_cudarc().is_err());
    });
}

//! Streams, status words and graphs with real kernels.

use halfbyte::Error;
use halfbyte::device::{Buffer, Device, Graph, Launch, Matrix, MatrixMut, Region, Status, Stream, View, ViewMut};
use halfbyte::emulator::Arch;
use halfbyte::op::{Attention, AttentionInt8, AttentionQuantize, Merge, QuantizeRows, QuantizeRowsArgs, Step};
use halfbyte::plan::attention::AttentionPlan;
use halfbyte::plan::attention_int8::AttentionInt8Plan;
use halfbyte::plan::attention_quantize::AttentionQuantizePlan;
use halfbyte::plan::merge::MergePlan;
use halfbyte::plan::quantize_rows::QuantizeRowsPlan;

use crate::support::devices;

/// Three rows of four columns, quantized with leading dimensions 4 and 16.
struct Case {
    op: QuantizeRows,
    plan: QuantizeRowsPlan,
    x: Buffer<f32>,
    codes: Buffer<i8>,
    scales: Buffer<f32>,
    status: Status,
}

impl Case {
    fn new(device: &Device, stream: &Stream, x: &[f32; 12]) -> Case {
        let op = QuantizeRows::new(device).unwrap();
        Case {
            plan: op.plan::<f32>(3, 4).unwrap(),
            op,
            x: stream.upload(x).unwrap(),
            codes: stream.alloc(48).unwrap(),
            scales: stream.alloc(3).unwrap(),
            status: Status::new(stream).unwrap(),
        }
    }

    fn args(&mut self) -> QuantizeRowsArgs<'_, f32> {
        QuantizeRowsArgs {
            x: self.x.view().matrix(3, 4, 4).unwrap(),
            codes: self.codes.view_mut().matrix(3, 16, 16).unwrap(),
            scales: self.scales.view_mut(),
            status: Some(&mut self.status),
        }
    }

    fn run(&mut self, stream: &Stream) -> halfbyte::Result<()> {
        let (op, plan) = (self.op.clone(), self.plan);
        op.run(&plan, stream, self.args())
    }

    /// The first four codes of each row.
    fn codes(&self, stream: &Stream) -> Vec<i8> {
        stream.download(&self.codes).unwrap().chunks(16).flat_map(|row| row[..4].to_vec()).collect()
    }
}

/// Rows whose scales are 1, 2 and 0.5, so that codes are plain quotients.
const X: [f32; 12] = [127.0, -1.0, 0.4, 0.6, 254.0, 2.0, -3.0, 5.0, 63.5, 0.25, 0.75, -63.5];
/// Worked out by hand; ties go to even.
const CODES: [i8; 12] = [127, -1, 0, 1, 127, 1, -2, 2, 127, 0, 2, -127];

#[test]
fn a_kernel_raises_status_flags() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut case = Case::new(&device, &stream, &X);
        case.run(&stream).unwrap();
        assert_eq!(case.codes(&stream), CODES, "{device}");
        assert_eq!(stream.download(&case.scales).unwrap(), [1.0, 2.0, 0.5]);
        assert!(case.status.read_and_clear(&stream).unwrap().is_clear());
        stream.write(case.x.view_mut().slice(5..6).unwrap(), &[f32::INFINITY]).unwrap();
        case.run(&stream).unwrap();
        let flags = case.status.read_and_clear(&stream).unwrap();
        assert!(flags.nonfinite_input && !flags.is_clear());
        assert!(case.status.read_and_clear(&stream).unwrap().is_clear(), "reading takes the flags down");
    }
}

#[test]
fn a_graph_replays_its_launches() {
    for device in devices() {
        let stream = device.new_stream().unwrap();
        let mut case = Case::new(&device, &stream, &[0.0; 12]);
        stream.fill_zero(&mut case.codes).unwrap();
        let mut graph = Graph::capture(&stream, |stream| case.run(stream)).unwrap();
        assert_eq!(case.codes(&stream), [0; 12], "capturing runs nothing");
        stream.write(&mut case.x, &X).unwrap();
        graph.replay().unwrap();
        assert_eq!(case.codes(&stream), CODES);
        stream.write(&mut case.x, &X.map(|x| -x)).unwrap();
        graph.replay().unwrap();
        assert_eq!(case.codes(&stream), CODES.map(|code| -code));
        // The graph holds its buffers: replaying after they were dropped touches live memory.
        drop(case);
        graph.replay().unwrap();
        stream.synchronize().unwrap();
    }
}

#[test]
fn a_capture_refuses_what_it_cannot_record() {
    for device in devices() {
        let stream = device.new_stream().unwrap();
        let mut buffer = stream.zeros::<u8>(16).unwrap();
        let address = buffer.address();
        Graph::capture(&stream, |stream| {
            for refused in [
                stream.alloc::<u8>(1).err(),
                stream.synchronize().err(),
                stream.download(&buffer).err(),
                stream.write(&mut buffer, &[1; 16]).err(),
                stream.time(|_| Ok(())).err(),
                Graph::capture(stream, |_| Ok(())).err(),
            ] {
                let text = refused.expect("refused").to_string();
                assert!(text.contains("is not possible while the stream is being captured"), "{text}");
            }
            // SAFETY: the view is never used: a graph refuses raw memory.
            let raw = unsafe { ViewMut::<u8>::from_raw(stream.device(), address, 16) }.unwrap();
            let text = stream.fill_zero(raw).unwrap_err().to_string();
            assert!(text.contains("a graph cannot keep it alive"), "{text}");
            Ok(())
        })
        .unwrap();
        let failed = Graph::capture(&stream, |_| Err(Error::Value("mine".into()))).unwrap_err();
        assert_eq!(failed, Error::Value("mine".into()));
        stream.synchronize().expect("a failed capture leaves the stream as it was");
    }
}

#[test]
fn the_default_stream_is_one_stream() {
    let device = Device::emulator(Arch::Sm80);
    let mut buffer = device.stream().unwrap().upload(&[1u8; 4]).unwrap();
    let mut graph = Graph::capture(&device.stream().unwrap(), |_| {
        assert!(device.stream().unwrap().alloc::<u8>(1).is_err());
        device.stream().unwrap().fill_zero(&mut buffer)
    })
    .unwrap();
    let stream = device.stream().unwrap();
    assert_eq!(stream.download(&buffer).unwrap(), [1; 4], "recorded, not done");
    graph.replay().unwrap();
    assert_eq!(stream.download(&buffer).unwrap(), [0; 4]);
}

#[test]
fn launches_tell_what_they_are() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut case = Case::new(&device, &stream, &X);
        let (op, plan, x) = (case.op.clone(), case.plan, case.x.address());
        let mut seen = Vec::new();
        op.launches(&plan, case.args(), |step| {
            if let Step::Launch(launch) = step {
                let geometry = plan.geometry().unwrap();
                assert_eq!((launch.entry(), launch.grid(), launch.cluster()), (geometry.entry, geometry.grid, [1; 3]));
                assert_eq!((launch.block(), launch.shared_bytes()), ([256, 1, 1], geometry.shared_bytes));
                assert_eq!(launch.device(), Some(&device));
                seen.push(format!("{launch:?}"));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen.len(), 1);
        for part in [format!("x: {x:#x}"), "ldx: 4".into(), "ldc: 16".into(), "rows: 3, cols: 4".into()] {
            assert!(seen[0].contains(&part), "{part} in {}", seen[0]);
        }
    }
}

#[test]
fn time_is_taken_on_the_device() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut case = Case::new(&device, &stream, &X);
        assert!(stream.time(|stream| case.run(stream)).unwrap() > std::time::Duration::ZERO);
        let error = stream.time(|_| Err(Error::Value("mine".into()))).unwrap_err();
        assert_eq!(error, Error::Value("mine".into()));
    }
}

#[test]
fn two_threads_share_a_device() {
    for device in devices() {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let stream = device.new_stream().unwrap();
                    let mut case = Case::new(&device, &stream, &X);
                    for _ in 0..10 {
                        stream.fill_zero(&mut case.codes).unwrap();
                        case.run(&stream).unwrap();
                        assert_eq!(case.codes(&stream), CODES);
                    }
                });
            }
        });
    }
}

#[test]
fn types_cross_threads_as_they_promise() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn both<T: Send + Sync>() {
        send::<T>();
        sync::<T>();
    }
    both::<Device>();
    both::<Stream>();
    both::<Buffer<f32>>();
    both::<View<'static, half::f16>>();
    both::<ViewMut<'static, i8>>();
    both::<Matrix<'static, f32>>();
    both::<MatrixMut<'static, f32>>();
    both::<Status>();
    both::<Launch<'static>>();
    both::<(Attention, AttentionPlan)>();
    both::<(AttentionInt8, AttentionInt8Plan)>();
    both::<(AttentionQuantize, AttentionQuantizePlan)>();
    both::<(Merge, MergePlan)>();
    // A graph may be moved, but is replayed by one thread at a time.
    send::<Graph>();
    #[cfg(feature = "cuda")]
    both::<halfbyte::device::CudaInfo>();
}

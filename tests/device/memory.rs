//! Buffers, views and matrices: contents, bounds, overlap, the wrong device.

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::device::{Element, Region, View, ViewMut};
use halfbyte::format::{F8E4M3, F8E5M2};

use crate::support::devices;

/// A round trip of values that include the odd bit patterns of the type.
fn round_trip<T: Element + PartialEq + std::fmt::Debug>(values: &[T]) {
    for device in devices() {
        let stream = device.stream().unwrap();
        let buffer = stream.upload(values).unwrap();
        assert_eq!((buffer.len(), buffer.is_empty(), buffer.device()), (values.len(), values.is_empty(), &device));
        assert_eq!(buffer.alignment() % 256, 0, "buffers are aligned to 256 bytes");
        let got = stream.download(&buffer).unwrap();
        assert_eq!(bytemuck::cast_slice::<T, u8>(&got), bytemuck::cast_slice::<T, u8>(values), "{device}");
        let zeros = stream.zeros::<T>(values.len()).unwrap();
        let zeros = stream.download(&zeros).unwrap();
        assert!(bytemuck::cast_slice::<T, u8>(&zeros).iter().all(|&byte| byte == 0));
    }
}

#[test]
fn every_type_keeps_its_bits() {
    round_trip(&[f32::NAN, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY]);
    round_trip(&[f16::NAN, f16::NEG_ZERO, f16::from_bits(1), f16::MAX]);
    round_trip(&[bf16::NAN, bf16::NEG_ZERO, bf16::from_bits(1), bf16::MAX]);
    round_trip(&[0x7f, 0xff, 0x80, 0x01].map(F8E4M3::from_bits));
    round_trip(&[0x7d, 0xfc, 0x80, 0x01].map(F8E5M2::from_bits));
    round_trip(&[-128i8, -1, 0, 127]);
    round_trip(&[0u8, 1, 255]);
    round_trip(&[i32::MIN, -1, i32::MAX]);
    round_trip(&[0u32, u32::MAX]);
    round_trip::<f32>(&[]);
}

#[test]
fn views_are_checked_ranges() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut buffer = stream.upload(&(0..10).collect::<Vec<i32>>()).unwrap();
        let base = buffer.address();
        let view = buffer.view().slice(2..6).unwrap();
        assert_eq!((view.len(), view.address()), (4, base + 8));
        assert_eq!(stream.download(view.slice(1..=2).unwrap()).unwrap(), [3, 4]);
        assert_eq!(stream.download(view.slice(4..).unwrap()).unwrap(), [0; 0]);
        for bad in [view.slice(3..5).err(), view.slice(..=usize::MAX).err(), view.slice(5..).err()] {
            assert!(matches!(bad, Some(Error::Shape(_))), "{bad:?}");
        }
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = view.slice(3..2);
        assert!(matches!(reversed, Err(Error::Shape(_))));

        let (head, tail) = buffer.view_mut().split_at(4).unwrap();
        assert_eq!((head.len(), tail.len(), tail.address()), (4, 6, base + 16));
        stream.write(head, &[9; 4]).unwrap();
        stream.fill_zero(tail.slice(1..3).unwrap()).unwrap();
        assert_eq!(stream.download(&buffer).unwrap(), [9, 9, 9, 9, 4, 0, 0, 7, 8, 9]);
        assert!(buffer.view_mut().split_at(11).is_err());
        assert_eq!(stream.write(&mut buffer, &[1, 2]).unwrap_err().to_string(), "2 elements cannot be copied to 10");
    }
}

#[test]
fn casts_check_length_and_alignment() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut bytes = stream.upload(&[1u8, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let words = bytes.view().cast::<u32>().unwrap();
        assert_eq!(stream.download(words).unwrap(), [0x0403_0201, 0x0807_0605]);
        let odd = bytes.view().slice(1..5).unwrap();
        assert!(matches!(odd.cast::<u32>(), Err(Error::Misaligned { align: 4, .. })));
        assert_eq!(odd.alignment(), 1);
        let long = bytes.view().slice(..6).unwrap().cast::<u32>();
        assert_eq!(long.unwrap_err().to_string(), "6 bytes are not a whole number of u32");
        stream.write(bytes.view_mut().cast::<i32>().unwrap().slice(1..).unwrap(), &[-1]).unwrap();
        assert_eq!(stream.download(&bytes).unwrap(), [1, 2, 3, 4, 255, 255, 255, 255]);
    }
}

#[test]
fn matrices_check_their_extent() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut buffer = stream.upload(&(0..23).collect::<Vec<i32>>()).unwrap();
        let view = buffer.view();
        let matrix = view.matrix(3, 7, 8).unwrap();
        assert_eq!((matrix.rows(), matrix.cols(), matrix.ld(), matrix.view().len()), (3, 7, 8, 23));
        assert_eq!(
            view.matrix(3, 8, 8).unwrap_err(),
            Error::TooShort { what: "the view", have: 23, need: 24, unit: "elements" }
        );
        let text = view.matrix(2, 9, 8).unwrap_err().to_string();
        assert_eq!(text, "the leading dimension 8 is less than the 9 columns");
        assert!(matches!(view.matrix(usize::MAX, 2, usize::MAX), Err(Error::Shape(_))));
        for (rows, cols) in [(0, 8), (usize::MAX, 0)] {
            assert_eq!(view.matrix(rows, cols, usize::MAX).unwrap().view().len(), 0);
        }
        let sub = matrix.sub(1..3, 2..4).unwrap();
        assert_eq!(stream.download(sub).unwrap(), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
        assert!(matrix.sub(1..4, 0..1).is_err() && matrix.sub(0..1, 6..8).is_err());
        assert_eq!(matrix.sub(3..3, 7..7).unwrap().rows(), 0);
        let mut whole = buffer.view_mut().matrix(3, 7, 8).unwrap();
        assert_eq!(whole.reborrow().sub(2..3, 6..7).unwrap().into_view().len(), 1);
        assert_eq!(whole.as_matrix().cols(), 7);
    }
}

#[test]
fn overlap_is_by_bytes_on_one_device() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let buffer = stream.zeros::<u8>(256).unwrap();
        let other = stream.zeros::<u8>(256).unwrap();
        let view = buffer.view();
        assert!(view.aliases(&view.slice(255..).unwrap()));
        assert!(!view.slice(..100).unwrap().aliases(&view.slice(100..).unwrap()));
        assert!(!view.slice(5..5).unwrap().aliases(&view), "nothing overlaps nothing");
        assert!(!view.aliases(&other));
        assert!(view.slice(0..4).unwrap().cast::<f32>().unwrap().aliases(&view.slice(3..4).unwrap()));
        let whole = view.matrix(8, 16, 32).unwrap();
        let beside = view.slice(16..).unwrap().matrix(7, 16, 32).unwrap();
        assert!(!whole.aliases(&beside), "columns of one matrix lie apart");
        assert!(whole.aliases(&view.slice(15..).unwrap().matrix(7, 16, 32).unwrap()));
    }
}

#[test]
fn raw_views_are_checked_as_far_as_can_be() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let mut buffer = stream.upload(&[1.0f32, 2.0, 3.0]).unwrap();
        let address = buffer.address();
        // SAFETY: the buffer is alive and not written meanwhile.
        let view = unsafe { View::<f32>::from_raw(&device, address + 4, 2) }.unwrap();
        assert_eq!(stream.download(view).unwrap(), [2.0, 3.0]);
        assert!(view.aliases(&buffer));
        // SAFETY: nothing is made of these: the constructor refuses them.
        unsafe {
            assert!(matches!(View::<f32>::from_raw(&device, address + 2, 1), Err(Error::Misaligned { align: 4, .. })));
            assert!(matches!(View::<f32>::from_raw(&device, u64::MAX - 3, 2), Err(Error::Shape(_))));
            assert!(matches!(ViewMut::<u8>::from_raw(&device, 0, usize::MAX), Err(Error::Shape(_))));
        }
        // SAFETY: the buffer is alive, and borrowed by nothing else.
        let view = unsafe { ViewMut::<f32>::from_raw(buffer.device(), address, 1) }.unwrap();
        stream.write(view, &[9.0]).unwrap();
        assert_eq!(stream.download(&buffer.view_mut()).unwrap(), [9.0, 2.0, 3.0]);
    }
}

#[test]
fn too_much_memory_is_an_error() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let text = stream.alloc::<f32>(usize::MAX / 4).unwrap_err().to_string();
        assert!(text.contains("elements of f32 are more than can be addressed"), "{text}");
        let error = stream.alloc::<u8>(1 << 50).unwrap_err();
        assert_eq!(error, Error::OutOfMemory { bytes: 1 << 50, device: device.to_string() });
    }
}

#[test]
fn devices_do_not_mix() {
    use halfbyte::device::{Device, Status};
    use halfbyte::emulator::Arch;

    let (here, there) = (Device::emulator(Arch::Sm80), Device::emulator(Arch::Sm80));
    assert_ne!(here, there);
    assert_eq!(here, here.clone());
    let (mine, theirs) = (here.stream().unwrap(), there.stream().unwrap());
    let mut buffer = theirs.zeros::<u8>(4).unwrap();
    let wrong = |what| Error::WrongDevice { what, have: "emulator sm_80".into(), want: "emulator sm_80".into() };
    assert_eq!(mine.download(&buffer).unwrap_err(), wrong("the source of a copy"));
    assert_eq!(mine.write(&mut buffer, &[0; 4]).unwrap_err(), wrong("the target of a copy"));
    assert_eq!(mine.fill_zero(&mut buffer).unwrap_err(), wrong("the memory to clear"));
    assert!(Status::new(&theirs).unwrap().read_and_clear(&mine).is_err());
    assert!(!buffer.aliases(&mine.zeros::<u8>(4).unwrap()), "equal addresses on two devices are two places");
}

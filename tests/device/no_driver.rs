//! Machines without a usable driver get an error that says why, and nothing panics.

use halfbyte::Error;
use halfbyte::device::{Device, cuda_devices};

use super::fake_driver::{Library, in_child};

/// The error of both ways to a GPU, which must be the same.
fn reason() -> String {
    let listed = cuda_devices().unwrap_err();
    let made = Device::cuda(0).unwrap_err();
    assert_eq!(listed, made);
    assert!(matches!(listed, Error::NoDevice(_)), "{listed:?}");
    // Debug output and a second try must not wake cudarc either.
    assert_eq!(format!("{:?}", Device::cuda(0).unwrap_err()), format!("{listed:?}"));
    listed.to_string()
}

#[test]
fn a_library_that_does_not_load() {
    in_child("device::no_driver::a_library_that_does_not_load", Library::Broken, &[], |_| {
        let text = reason();
        assert!(text.starts_with("no CUDA driver found: ") && text.contains("libcuda.so.1"), "{text}");
    });
}

#[test]
fn a_driver_without_a_gpu() {
    let test = "device::no_driver::a_driver_without_a_gpu";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_INIT", "100")], |log| {
        assert_eq!(reason(), "the CUDA driver libcuda.so.1 finds no GPU");
        assert_eq!(log.take(), [""; 0]);
    });
}

#[test]
fn a_driver_that_counts_no_gpu() {
    let test = "device::no_driver::a_driver_that_counts_no_gpu";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_COUNT", "0")], |log| {
        assert_eq!(reason(), "the CUDA driver libcuda.so.1 finds no GPU");
        assert_eq!(log.take(), [""; 0]);
    });
}

#[test]
fn a_stub_library() {
    in_child("device::no_driver::a_stub_library", Library::Fake(&[]), &[("FAKE_CUDA_INIT", "34")], |_| {
        assert_eq!(
            reason(),
            "the CUDA driver libcuda.so.1 does not work: cuInit failed with CUDA_ERROR_STUB_LIBRARY (code 34)"
        );
    });
}

#[test]
fn a_driver_without_a_symbol() {
    let test = "device::no_driver::a_driver_without_a_symbol";
    in_child(test, Library::Fake(&["WITHOUT_POOLS"]), &[], |_| {
        assert_eq!(
            reason(),
            "the CUDA driver libcuda.so.1 lacks cuMemAllocAsync: a driver for CUDA 11.4 or newer is needed"
        );
    });
}

#[test]
fn a_gpu_that_does_not_exist() {
    in_child("device::no_driver::a_gpu_that_does_not_exist", Library::Fake(&[]), &[], |log| {
        for ordinal in [1, usize::MAX] {
            let error = Device::cuda(ordinal).unwrap_err();
            assert_eq!(error.to_string(), format!("there is no CUDA device {ordinal}: the driver serves 1"));
        }
        assert_eq!(log.take(), [""; 0]);
    });
}

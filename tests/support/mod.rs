//! What tests of several rooms share: the devices to run on, and a count of allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::LazyLock;

use halfbyte::device::Device;
use halfbyte::emulator::{Arch, Machine, MachineOptions};

/// True when all kernels are to run in checked mode wherever a test does not care: `HALFBYTE_TEST_CHECKED=1`.
pub fn checked() -> bool {
    static CHECKED: LazyLock<bool> =
        LazyLock::new(|| std::env::var("HALFBYTE_TEST_CHECKED").is_ok_and(|value| value == "1"));
    *CHECKED
}

fn emulator(arch: Arch) -> Device {
    Device::emulator_with(Machine::with(MachineOptions { checked: checked(), ..MachineOptions::new(arch) }))
}

/// An emulator of every architecture, and the GPU if there is one. The same devices on every call.
pub fn devices() -> Vec<Device> {
    static EMULATORS: LazyLock<Vec<Device>> =
        LazyLock::new(|| [Arch::Sm80, Arch::Sm89, Arch::Sm90a].map(emulator).to_vec());
    EMULATORS.iter().cloned().chain(gpu()).collect()
}

/// The first GPU. `None`, told once, where there is none; a failure then if `HALFBYTE_REQUIRE_GPU=1`.
pub fn gpu() -> Option<Device> {
    static GPU: LazyLock<Option<Device>> = LazyLock::new(|| {
        let missing = match first_gpu() {
            Ok(device) => return Some(device),
            Err(missing) => missing,
        };
        let required = std::env::var("HALFBYTE_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "HALFBYTE_REQUIRE_GPU=1, but {missing}");
        println!("skipped on a GPU: {missing}");
        None
    });
    GPU.clone()
}

#[cfg(feature = "cuda")]
fn first_gpu() -> halfbyte::Result<Device> {
    Device::cuda(0)
}

#[cfg(not(feature = "cuda"))]
fn first_gpu() -> Result<Device, &'static str> {
    Err("this build is without the feature `cuda`")
}

/// The system's allocator, counting.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Allocations and reallocations of this thread so far.
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting touches a
// thread-local integer that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

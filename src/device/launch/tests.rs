//! Builders refuse what a kernel does not take; blocks are laid out as the manifest says.

use super::*;
use crate::device::{Buffer, Stream, Swizzle};
use crate::emulator::Arch;

fn stream() -> Stream {
    Device::emulator(Arch::Sm90a).stream().unwrap()
}

fn geometry(entry: Entry) -> Geometry {
    Geometry { entry, grid: [3, 1, 1], cluster: [1; 3], shared_bytes: 64 }
}

/// A whole launch of `quantize_rows`, up to its last argument.
fn quantize<'a>(x: &'a Buffer<f32>, out: &'a mut Buffer<i8>, scales: &'a mut Buffer<f32>) -> LaunchBuilder<'a> {
    let mut launch = Launch::new(geometry(Entry::QuantizeRowsF32));
    launch.ptr(x).ptr_mut(out).ptr_mut(scales).null().null().null().i64(-5).i64(32).u32(7).u32(u32::MAX);
    launch
}

#[test]
fn blocks_have_the_layout_of_the_manifest() {
    let stream = stream();
    let x = stream.zeros::<f32>(4).unwrap();
    let (mut codes, mut scales) = (stream.zeros::<i8>(4).unwrap(), stream.zeros::<f32>(4).unwrap());
    let addresses = [x.address(), codes.address(), scales.address(), 0, 0, 0, -5i64 as u64, 32];
    let mut builder = quantize(&x, &mut codes, &mut scales);
    let launch = builder.u32(1).finish().unwrap();
    let mut block = [0xEE; 96];
    let used = launch.encode(&mut block, |_| unreachable!("no tensor map")).unwrap();
    let params = Entry::QuantizeRowsF32.row().params;
    assert_eq!(used.len(), params.size());
    for (i, want) in addresses.iter().enumerate() {
        assert_eq!(used[params.offset(i)..][..8], want.to_le_bytes(), "field {i}");
    }
    for (i, want) in [7, u32::MAX, 1].iter().enumerate() {
        assert_eq!(used[params.offset(8 + i)..][..4], want.to_le_bytes(), "field {}", 8 + i);
    }
    let writes: Vec<bool> = launch.operands().iter().map(|operand| operand.write).collect();
    assert_eq!(writes, [false, true, true], "inputs are reads, outputs are writes");
    let mut small = [0; 79];
    let short = launch.encode(&mut small, |_| unreachable!("no tensor map"));
    assert!(matches!(short, Err(Error::TooShort { have: 79, need: 80, .. })));
}

#[test]
fn arguments_have_kind_and_number() {
    let stream = stream();
    let x = stream.zeros::<f32>(4).unwrap();
    let (mut codes, mut scales) = (stream.zeros::<i8>(4).unwrap(), stream.zeros::<f32>(4).unwrap());
    let text = |builder: &mut LaunchBuilder<'_>| builder.finish().unwrap_err().to_string();
    assert_eq!(
        text(&mut quantize(&x, &mut codes, &mut scales)),
        "quantize_rows_f32 takes 11 arguments, but 10 were given"
    );
    assert_eq!(
        text(quantize(&x, &mut codes, &mut scales).i64(1)),
        "argument `cached` of quantize_rows_f32 is U32, but I64 was given"
    );
    assert_eq!(
        text(quantize(&x, &mut codes, &mut scales).u32(1).u32(1)),
        "quantize_rows_f32 takes 11 arguments, not more"
    );
    let mut swapped = Launch::new(geometry(Entry::QuantizeRowsF32));
    swapped.ptr(&x).ptr(&scales);
    assert_eq!(text(&mut swapped), "argument `codes` of quantize_rows_f32 is PtrMut, but Ptr was given");
}

#[test]
fn operands_are_of_one_device() {
    let (here, there) = (stream(), stream());
    let (x, y) = (here.zeros::<f32>(4).unwrap(), there.zeros::<f32>(4).unwrap());
    let mut codes = there.zeros::<i8>(4).unwrap();
    let mut scales = here.zeros::<f32>(4).unwrap();
    let error = quantize(&x, &mut codes, &mut scales).u32(1).finish().unwrap_err();
    assert!(matches!(error, Error::WrongDevice { what: "codes", .. }), "{error:?}");
    // A launch that is right in itself, on a stream of another device.
    let (mut codes, mut scales) = (there.zeros::<i8>(4).unwrap(), there.zeros::<f32>(4).unwrap());
    let launch = quantize(&y, &mut codes, &mut scales).u32(1).finish().unwrap();
    assert!(matches!(here.launch(&launch), Err(Error::WrongDevice { what: "a launch", .. })));
    let unloaded = there.launch(&launch).unwrap_err();
    assert_eq!(unloaded.to_string(), "quantize_rows_f32 was not loaded on this device");
}

#[test]
fn geometry_fits_a_device() {
    let stream = stream();
    let x = stream.zeros::<f32>(4).unwrap();
    let (mut codes, mut scales) = (stream.zeros::<i8>(4).unwrap(), stream.zeros::<f32>(4).unwrap());
    let mut finish = |change: fn(&mut Geometry)| {
        let mut builder = quantize(&x, &mut codes, &mut scales);
        change(&mut builder.launch.geometry);
        builder.u32(1).finish().map(|_| ())
    };
    assert_eq!(finish(|_| ()), Ok(()));
    for change in [
        (|g| g.grid = [0, 1, 1]) as fn(&mut Geometry),
        |g| g.grid = [1 << 31, 1, 1],
        |g| g.grid = [1, 65536, 1],
        |g| g.cluster = [2, 1, 1],
        |g| g.cluster = [0, 1, 1],
        |g| (g.grid, g.cluster) = ([9, 1, 1], [9, 1, 1]),
    ] {
        assert!(matches!(finish(change), Err(Error::Shape(_))));
    }
    let mut builder = quantize(&x, &mut codes, &mut scales);
    builder.launch.geometry.shared_bytes = 227 * 1024 + 1;
    let launch = builder.u32(1).finish().unwrap();
    assert_eq!(
        stream.launch(&launch).unwrap_err().to_string(),
        "quantize_rows_f32 asks for 232449 bytes of shared memory, but a block of emulator sm_90a has at most 232448"
    );
}

#[test]
fn tensor_maps_come_first_and_are_checked() {
    let stream = stream();
    let a = stream.zeros::<i8>(64 * 128).unwrap();
    let matrix = a.view().matrix(64, 100, 128).unwrap();
    let desc = TensorMapDesc { box_rows: 128, box_cols: 128, swizzle: Swizzle::B128 };
    let mut d = stream.zeros::<i32>(64).unwrap();
    let entry = Entry::GemmS8Wgmma128x128x128;
    let mut builder = Launch::new(geometry(entry));
    builder.tensor_map(&matrix, desc).tensor_map(&matrix, desc).ptr_mut(&mut d).null().null().null();
    let launch = builder.i64(8).u32(64).u32(8).u32(100).u32(3).finish().unwrap();
    let mut block = [0; 512];
    let mut seen = Vec::new();
    let used = launch
        .encode(&mut block, |map| {
            seen.push(*map);
            Ok([seen.len() as u8; 128])
        })
        .unwrap();
    assert_eq!((used.len(), entry.row().params.offset(2)), (320, 256));
    assert!(used[..128].iter().all(|&b| b == 1) && used[128..256].iter().all(|&b| b == 2));
    let shape = TensorShape::matrix(100, 64, 128, desc);
    let want = TensorMap { dtype: crate::format::DType::I8, address: a.address(), shape };
    assert_eq!(seen, [want, want]);
    // One row has no stride that a limit could be about.
    let mut builder = Launch::new(geometry(entry));
    let row = a.view().matrix(1, 100, 1 << 50).unwrap();
    builder.tensor_map(&row, desc).tensor_map(&row, desc).ptr_mut(&mut d).null().null().null();
    let launch = builder.i64(8).u32(1).u32(1).u32(100).u32(3).finish().unwrap();
    launch
        .encode(&mut block, |map| {
            assert_eq!(map.shape, TensorShape::matrix(100, 1, 112, desc));
            Ok([0; 128])
        })
        .unwrap();
    let odd = a.view().slice(8..).unwrap().matrix(4, 100, 128).unwrap();
    let mut builder = Launch::new(geometry(entry));
    builder.tensor_map(&odd, desc);
    assert!(matches!(builder.finish(), Err(Error::Misaligned { align: 16, .. })));
}

#[test]
fn a_tensor_lies_in_its_memory() {
    let stream = stream();
    let a = stream.zeros::<f32>(4 * 64).unwrap();
    let shape = |slices| TensorShape {
        rank: 3,
        dims: [30, 2, slices, 1, 1],
        strides: [0, 128, 256, 0, 0],
        tile: [8, 2, 1, 1, 1],
        swizzle: Swizzle::B32,
        nan: true,
    };
    let build = |slices| {
        let mut builder = Launch::new(geometry(Entry::ProbeHopperTma3d));
        builder.tensor(&a, shape(slices)).ptr(&a).null().u32(1);
        builder.finish().map(|_| ())
    };
    assert_eq!(build(4), Ok(()));
    let error = build(5).unwrap_err().to_string();
    assert_eq!(error, "tensor map: [30, 2, 5, 1, 1] elements do not lie in 1024 bytes");
}

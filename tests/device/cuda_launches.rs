//! What reaches the CUDA driver when operations run: modules, geometry, parameter bytes, tensor maps.

use halfbyte::device::{Device, Region, Stream};
use halfbyte::manifest::Entry;
use halfbyte::op::{GemmS8, GemmS8Args, QuantizeRows, QuantizeRowsArgs};
use halfbyte::plan::gemm_s8::{GemmS8Plan, GemmS8Problem, Output, candidates};
use halfbyte::{Error, Result};

use super::fake_driver::{Library, Log, in_child};

/// Little-endian bytes as the driver's log writes them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A parameter block written by hand: 64-bit words, then 32-bit words, then zeros up to `size`.
fn block(wide: &[u64], narrow: &[u32], size: usize) -> String {
    let mut bytes: Vec<u8> = wide.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend(narrow.iter().flat_map(|w| w.to_le_bytes()));
    assert!(bytes.len() <= size);
    bytes.resize(size, 0);
    hex(&bytes)
}

/// The lines of the log that start with `start`.
fn lines(log: &Log, start: &str) -> Vec<String> {
    log.take().into_iter().filter(|line| line.starts_with(start)).collect()
}

/// The first plan for the problem that uses `entry`.
fn plan_with(device: &Device, problem: &GemmS8Problem, entry: Entry) -> GemmS8Plan {
    let mut plans = candidates(problem, device.facts());
    plans.find(|plan| plan.geometry().is_some_and(|g| g.entry == entry)).expect("a plan with this entry")
}

/// Runs one raw product of random bytes and returns the driver's line for it, with the addresses of a, b and d.
fn run_gemm(device: &Device, stream: &Stream, plan: &GemmS8Plan, log: &Log) -> Result<(String, [u64; 3])> {
    let GemmS8Problem { m, n, k, .. } = *plan.problem();
    let ld = k.next_multiple_of(16);
    let (a, b) = (stream.zeros::<i8>(m * ld)?, stream.zeros::<i8>(n * ld)?);
    let mut d = stream.alloc::<i32>(m * n)?;
    let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
    let addresses = [a.address(), b.address(), d.address()];
    let args = GemmS8Args {
        a: a.view().matrix(m, k, ld)?,
        b: b.view().matrix(n, k, ld)?,
        scale_row: None,
        scale_col: None,
        bias: None,
        d: d.view_mut().matrix(m, n, n)?,
        scratch: Some(scratch.view_mut()),
    };
    log.take();
    GemmS8::new(device)?.run(plan, stream, args)?;
    let mut launches = lines(log, "launch ");
    assert_eq!(launches.len(), 1);
    Ok((launches.remove(0), addresses))
}

#[test]
fn a_parameter_block_reaches_the_driver() {
    let test = "device::cuda_launches::a_parameter_block_reaches_the_driver";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_CAPABILITY", "80")], |log| {
        let device = Device::cuda(0).unwrap();
        assert_eq!((device.name(), device.is_emulator(), device.facts().capability), ("Fake GPU 0", false, 80));
        let stream = device.stream().unwrap();
        let op = QuantizeRows::new(&device).unwrap();
        let plan = op.plan::<f32>(3, 20).unwrap();
        let x = stream.upload(&[1.0f32; 68]).unwrap();
        let mut codes = stream.alloc::<i8>(96).unwrap();
        let mut scales = stream.alloc::<f32>(3).unwrap();
        let [xa, ca, sa] = [x.address(), codes.address(), scales.address()];
        let setup = log.take();
        let count = |what: &str| setup.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(count("load module"), 1, "three entries of one source are one module");
        for name in ["quantize_rows_f32", "quantize_rows_f16", "quantize_rows_bf16"] {
            let line = format!("attribute 8 of {name} is {}", 227 * 1024 - 1024);
            assert_eq!(count(&line), 1, "dynamic shared memory up to the limit less the static part: {setup:?}");
        }
        QuantizeRows::new(&device).unwrap();
        assert_eq!(log.take(), [""; 0], "a second operation loads nothing");

        let args = QuantizeRowsArgs {
            x: x.view().matrix(3, 20, 24).unwrap(),
            codes: codes.view_mut().matrix(3, 32, 32).unwrap(),
            scales: scales.view_mut(),
            status: None,
        };
        op.run(&plan, &stream, args).unwrap();
        let geometry = plan.geometry().unwrap();
        let params = block(&[xa, ca, sa, 0, 0, 0, 24, 32], &[3, 20, plan.cached().into()], 80);
        let want = format!(
            "launch quantize_rows_f32 grid {},1,1 block 256,1,1 cluster 1,1,1 shared {} on 1 aligned 1 params {params}",
            geometry.grid[0], geometry.shared_bytes
        );
        assert_eq!(log.take(), [want], "one stream: no events");
        // Codes and scales were not written by any kernel: the driver's fill shows that addresses mean bytes.
        assert_eq!(stream.download(codes.view().slice(..2).unwrap()).unwrap(), [0xABu8 as i8; 2]);
    });
}

#[test]
fn tensor_maps_reach_the_driver() {
    let test = "device::cuda_launches::tensor_maps_reach_the_driver";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_CAPABILITY", "90")], |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let problem = GemmS8Problem { m: 200, n: 72, k: 100, out: Output::I32 };
        let entry = Entry::GemmS8Wgmma128x128x128;
        let plan = plan_with(&device, &problem, entry);
        let (line, [a, b, d]) = run_gemm(&device, &stream, &plan, &log).unwrap();
        // The fake driver writes the arguments of cuTensorMapEncodeTiled as 64-bit words: type (0 is bytes), rank,
        // address, columns, rows, row stride, box columns, box rows, steps, interleave, swizzle (3 is 128 bytes),
        // promotion, fill (0 is zeros).
        let map = |address, rows| [0, 2, address, 100, rows, 112, 128, 128, 1, 1, 0, 3, 3, 0, 0, 0];
        let mut wide = Vec::new();
        wide.extend(map(a, 200));
        wide.extend(map(b, 72));
        wide.extend([d, 0, 0, 0, 72]);
        let params = block(&wide, &[200, 72, 100, 3], 320);
        let geometry = plan.geometry().unwrap();
        let [gx, gy, gz] = geometry.grid;
        assert_eq!(
            line,
            format!(
                "launch {} grid {gx},{gy},{gz} block {},1,1 cluster 1,1,1 shared {} on 1 aligned 1 params {params}",
                entry.row().symbol,
                entry.row().threads,
                geometry.shared_bytes
            )
        );
    });
}

#[test]
fn drivers_before_11_8_launch_without_attributes() {
    let test = "device::cuda_launches::drivers_before_11_8_launch_without_attributes";
    let settings = [("FAKE_CUDA_CAPABILITY", "80"), ("FAKE_CUDA_VERSION", "11040")];
    in_child(test, Library::Fake(&["WITHOUT_HOPPER"]), &settings, |log| {
        let device = Device::cuda(0).unwrap();
        let stream = device.stream().unwrap();
        let problem = GemmS8Problem { m: 5, n: 6, k: 64, out: Output::I32 };
        let plan = plan_with(&device, &problem, Entry::GemmS8Mma16x64x128);
        let (line, _) = run_gemm(&device, &stream, &plan, &log).unwrap();
        assert!(line.starts_with("launch gemm_s8_mma_16x64x128 grid 1,"), "{line}");
        assert!(line.contains(" cluster 0,0,0 "), "cuLaunchKernel has no clusters: {line}");
    });
}

#[test]
fn a_driver_too_old_for_the_ptx() {
    let test = "device::cuda_launches::a_driver_too_old_for_the_ptx";
    let settings = [("FAKE_CUDA_CAPABILITY", "90"), ("FAKE_CUDA_VERSION", "11040")];
    in_child(test, Library::Fake(&[]), &settings, |log| {
        let device = Device::cuda(0).unwrap();
        QuantizeRows::new(&device).expect("its PTX needs CUDA 11.0");
        log.take();
        let error = GemmS8::new(&device).unwrap_err();
        assert!(matches!(error, Error::NoDevice(_)));
        assert_eq!(
            error.to_string(),
            "gemm/gemm_s8_wgmma for sm_90a is PTX 8.0, which needs a driver for CUDA 12.0 or newer; this one serves 11.4"
        );
    });
}

#[test]
fn an_architecture_that_nothing_serves() {
    let test = "device::cuda_launches::an_architecture_that_nothing_serves";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_CAPABILITY", "75")], |_| {
        let device = Device::cuda(0).unwrap();
        assert_eq!(
            QuantizeRows::new(&device).unwrap_err().to_string(),
            "quantize_rows_f32 serves sm_80 and later, not compute capability 7.5"
        );
        assert!(matches!(GemmS8::new(&device), Err(Error::Unsupported(_))));
    });
}

#[test]
fn the_compilers_words_are_in_the_error() {
    let test = "device::cuda_launches::the_compilers_words_are_in_the_error";
    in_child(test, Library::Fake(&[]), &[("FAKE_CUDA_JIT", "218")], |_| {
        let error = QuantizeRows::new(&Device::cuda(0).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the driver cannot load quantize/quantize_rows for sm_80: CUDA_ERROR_INVALID_PTX (code 218): \
             ptxas application ptx input, line 9; error: no such thing"
        );
    });
}

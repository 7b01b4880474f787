//! The program as its users meet it: what it prints, what it returns, and how it refuses.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn halfbyte(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_halfbyte")).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn verify_prints_a_line_a_case_and_the_counts() {
    let output = halfbyte(&["--device", "emulator:sm_80", "--only", "edge"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    // 6 shapes, each quantized, multiplied, multiplied by every kernel, run as a layer, multiplied as floats and by
    // groups, and quantized by every scheme.
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 42, "{text}");
    assert!(text.contains("42 cases: 42 passed, 0 failed"), "{text}");
    assert!(!text.contains('\x1b'), "a pipe gets plain lines");
}

/// Values in 8 bits where the device has them; the loss of every case is told.
#[test]
fn verify_attends_in_8_bits() {
    for (arch, want) in [("emulator:sm_80", 5), ("emulator:sm_89", 10)] {
        let output = halfbyte(&["verify", "--json", "--device", arch, "--only", "attention_int8"]);
        let lines = json_lines(&output);
        let (_, cases) = lines.split_last().expect("a summary");
        assert!(output.status.success() && cases.len() == want, "{} cases on {arch}", cases.len());
        for case in cases {
            assert!(case["worst"].as_f64().is_some_and(|worst| worst <= 1.0), "{case:?}");
            assert!(case["quantization_error"].as_f64().is_some_and(|lost| (0.001..0.1).contains(&lost)), "{case:?}");
            assert_eq!(case["references"], "exact+f64", "{case:?}");
        }
        assert!(cases.iter().any(|case| case["worst"].as_f64().is_some_and(|worst| worst > 0.1)), "bounds are wishes");
    }
}

#[test]
fn verify_merges_partial_results() {
    let output = halfbyte(&["verify", "--json", "--device", "emulator:sm_80", "--only", "merge"]);
    let lines = json_lines(&output);
    let (_, cases) = lines.split_last().expect("a summary");
    assert!(output.status.success() && cases.len() == 30, "{} cases", cases.len());
    for case in cases {
        assert_eq!((&case["op"], &case["references"]), (&"merge".into(), &"f64".into()), "{case:?}");
        assert!(case["worst"].as_f64().is_some_and(|worst| worst <= 1.0), "{case:?}");
    }
    assert!(cases.iter().any(|case| case["worst"].as_f64().is_some_and(|worst| worst > 0.1)), "bounds are wishes");
}

#[test]
fn verify_attends() {
    let output = halfbyte(&["verify", "--json", "--device", "emulator:sm_80", "--only", "attention "]);
    let lines = json_lines(&output);
    let (_, cases) = lines.split_last().expect("a summary");
    assert!(output.status.success() && cases.len() == 34, "{} cases, {lines:?}", cases.len());
    for case in cases {
        assert_eq!((&case["op"], &case["references"]), (&"attention".into(), &"f64+candle".into()), "{case:?}");
        assert!(case["worst"].as_f64().is_some_and(|worst| worst <= 1.0), "{case:?}");
    }
    assert!(cases.iter().any(|case| case["worst"].as_f64().is_some_and(|worst| worst > 0.1)), "bounds are wishes");
}

#[test]
fn verify_speaks_json_and_reaches_every_kernel() {
    let output = halfbyte(&["verify", "--json", "--device", "emulator:sm_90a", "--only", "M=130"]);
    assert!(output.status.success());
    let lines = json_lines(&output);
    let (summary, cases) = lines.split_last().expect("a summary");
    assert_eq!(summary["passed"], 10);
    assert_eq!(summary["failed"], 0);
    assert_eq!(cases.len(), 10);
    assert!(cases.iter().all(|case| case["failure"].is_null() && case["device"] == "emulator:sm_90a"));
    // wgmma, and three tiles of mma: whole, in 2 slices, and in 4 where the depth of 1100 gives so many.
    assert!(cases.iter().any(|case| case["kernel"] == "9 plans of 4 kernels"), "{cases:?}");
    // Floats of 16 bits in four directions of K by two tiles, along the rows by a third; 8-bit floats by three.
    let by = |kernels: &str| cases.iter().any(|case| case["kernel"].as_str().is_some_and(|k| k.ends_with(kernels)));
    assert!(by("of 9 kernels") && by("runs of 3 kernels"), "{cases:?}");
    assert!(cases.iter().any(|case| case["references"] == "exact+f64+candle"));
}

#[test]
fn checked_runs_say_so_and_find_nothing() {
    let output = halfbyte(&["verify", "--checked", "--device", "emulator:sm_90a", "--only", "M=129"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("emulator:sm_90a checked")).count(), 10, "{text}");
    assert!(text.contains("10 cases: 10 passed, 0 failed, 0 findings, in "), "{text}");
    let output = halfbyte(&["--checked", "--json", "--only", "M=5 "]);
    let lines = json_lines(&output);
    let (summary, cases) = lines.split_last().expect("a summary");
    assert_eq!(
        (cases.len(), &summary["findings"]),
        (17, &Value::from(0)),
        "both architectures with kernels of their own, one of them with 8-bit floats"
    );
    assert!(cases.iter().all(|case| case["checked"] == true && case["findings"] == Value::Array(vec![])));
}

#[test]
fn real_weights_are_verified_with_their_loss() {
    let output =
        halfbyte(&["--json", "--device", "emulator:sm_80", "--only", "linear f16 x s8 -> f16 M=16 N=384 K=384"]);
    assert!(output.status.success());
    let lines = json_lines(&output);
    let cases = &lines[..lines.len() - 1];
    assert_eq!(cases.len(), 4, "query, key, value and the output of attention");
    for case in cases {
        let loss = case["quantization_error"].as_f64().expect("a loss");
        assert!(loss > 0.001 && loss < 0.05, "{case}");
    }
}

#[test]
fn nothing_to_run_is_a_failure() {
    let output = halfbyte(&["--only", "no such case"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("no case matches"));
}

#[test]
fn bad_input_is_refused_with_its_values() {
    let folder = std::env::temp_dir().join(format!("halfbyte-program-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let hostile = folder.join("hostile.safetensors");
    std::fs::write(&hostile, u64::MAX.to_le_bytes()).expect("a file");
    let missing = folder.join("missing.safetensors");
    let (hostile, missing) = (hostile.display().to_string(), missing.display().to_string());
    let cases: [(&[&str], &str); 6] = [
        (&["--checked", "--device", "cuda:1"], "--checked runs on the emulator, but --device is cuda:1"),
        (&["--model", &hostile], "header"),
        (&["--model", &missing], "missing.safetensors"),
        (&["--device", "emulator:sm_70"], "sm_70"),
        (&["--device", "cuda:4096"], ""),
        (&["quantise"], "quantise"),
    ];
    for (args, word) in cases {
        let output = halfbyte(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word) && !text.contains("panicked"), "{args:?}: {text}");
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

#[test]
fn lists_name_devices_and_kernels() {
    let devices = json_lines(&halfbyte(&["devices", "--json"]));
    for arch in ["emulator:sm_80", "emulator:sm_89", "emulator:sm_90a"] {
        assert!(devices.iter().any(|line| line["device"] == arch), "{arch}");
    }
    let kernels = json_lines(&halfbyte(&["kernels", "--json"]));
    assert_eq!(kernels.len(), halfbyte::manifest::ROWS.len());
    for line in &kernels {
        assert!(line["driver"].is_string() && line["threads"].as_u64() > Some(0), "{line}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_halfbyte"))
        .args(["--device", "emulator:sm_80", "--only", "edge"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut text = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("text");
    assert!(!child.wait().expect("it ends").success());
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn profile_counts_what_a_product_needs() {
    let output = halfbyte(&["profile", "linear", "M=64", "N=128", "K=256", "--json", "--gpu", "A100-SXM-80GB"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = json_lines(&output);
    let [report] = &lines[..] else { panic!("one object, not {}", lines.len()) };
    assert_eq!((&report["op"], &report["types"]), (&"linear".into(), &"f16 x s8 -> f16".into()));
    assert_eq!(report["shape"], serde_json::json!({"M": 64, "N": 128, "K": 256}));
    assert_eq!((&report["device"], &report["gpu"]["memory_gb_s"]), (&"emulator:sm_80".into(), &2039.0.into()));
    let kernels = report["kernels"].as_array().expect("kernels");
    assert_eq!(kernels.len(), 2);
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no count"));
    for kernel in kernels {
        let (total, ideal) = (&kernel["total"], &kernel["ideal"]);
        assert_eq!(total["tensor_macs"], ideal["tensor_macs"], "no tile is ragged here");
        assert!(32 * number(&total["sectors_read"]) >= number(&ideal["bytes_read"]), "{kernel}");
        // Nothing is written twice; a scale of a row is a sector of its own.
        let written = 32 * number(&total["sectors_written"]);
        assert!((number(&ideal["bytes_written"])..=number(&ideal["bytes_written"]) + 64 * 28).contains(&written));
        assert_eq!(total["wavefronts"], total["wavefronts_ideal"]);
        let lines = kernel["lines"].as_array().expect("lines");
        let sum = |field: &str| lines.iter().map(|line| number(&line["count"][field])).sum::<u64>();
        for field in ["executions", "sectors_read", "sectors_written", "wavefronts", "tensor_macs", "lanes"] {
            assert_eq!(sum(field), number(&total[field]), "{field}");
        }
        assert!(lines.iter().all(|line| line["source"][0].is_string() && line["source"][1].is_u64()));
        let mix = kernel["mix"].as_array().expect("a mix");
        assert_eq!(mix.iter().map(|part| number(&part[1])).sum::<u64>(), number(&total["executions"]));
        let roof = &kernel["roofline"];
        let at_least = roof["estimate_s"].as_f64().expect("a time");
        assert!(["memory_s", "tensor_s", "shared_s"].iter().all(|name| roof[name].as_f64() <= Some(at_least)));
    }
    let [quantize, product] = [&kernels[0], &kernels[1]];
    assert_eq!(
        quantize["ideal"],
        serde_json::json!({"bytes_read": 64 * 256 * 2, "bytes_written": 64 * (256 + 4), "tensor_macs": 0})
    );
    let read = (64 + 128) * (256 + 4) + 4 * 128;
    assert_eq!(
        product["ideal"],
        serde_json::json!({"bytes_read": read, "bytes_written": 64 * 128 * 2, "tensor_macs": 64 * 128 * 256})
    );
    assert!(kernels.iter().all(|k| k["roofline"]["memory_s"].as_f64() > Some(0.0)));
}

/// Each element at its own size and its own peak; of groups of K the scales too.
#[test]
fn profile_counts_products_of_every_element() {
    for (args, types, bytes, peak) in [
        (&["--dtype", "f16"][..], "f16 x f16 -> f16", (64 + 128) * 256 * 2 + 4 * (64 + 128), 312.0),
        (&["--dtype", "s8", "--out", "s32"], "s8 x s8 -> s32", (64 + 128) * 256, 624.0),
        (
            &["--dtype", "s8", "--k-group", "128"],
            "s8 x s8 -> f16, K in groups of 128",
            (64 + 128) * 256 + 4 * 2 * (64 + 128),
            624.0,
        ),
    ] {
        let shape = ["profile", "gemm", "64x128x256", "--json", "--gpu", "A100-SXM-80GB"];
        let output = halfbyte(&[&shape, args].concat());
        let report = &json_lines(&output)[0];
        assert_eq!(report["types"], types);
        let kernel = &report["kernels"][0];
        assert_eq!(kernel["ideal"]["bytes_read"], bytes, "{types}");
        assert_eq!(kernel["ideal"]["tensor_macs"], 64 * 128 * 256);
        assert_eq!(kernel["total"]["tensor_macs"], 64 * 128 * 256, "no tile is ragged here");
        assert_eq!(kernel["total"]["wavefronts"], kernel["total"]["wavefronts_ideal"], "{types}");
        assert_eq!(kernel["roofline"]["tensor_tops"], peak, "{types}");
    }
}

/// Every launch of attention in 8 bits: scores in bytes, values at their own size, each at its own peak.
#[test]
fn profile_counts_the_quantizers_of_attention() {
    // 64 queries and 128 channels fill their tiles, the last tile of keys holds 8.
    for (args, kernels, peak) in [
        (
            &["--gpu", "A100-SXM-80GB"][..],
            &["key_mean_f16", "key_mean_finish", "quantize_heads_f16", "prefill_int8_f16_128"][..],
            416.0,
        ),
        (
            &["--gpu", "L40S", "--e4m3-values"],
            &["key_mean_f16", "key_mean_finish", "quantize_heads_f16", "quantize_values_f16", "prefill_int8_e4m3_128"],
            733.0,
        ),
    ] {
        let output = halfbyte(&[&["profile", "attention_int8", "1x64x200x2x1x128", "--json"], args].concat());
        let report = &json_lines(&output)[0];
        let launched = report["kernels"].as_array().expect("kernels");
        assert_eq!(launched.iter().map(|kernel| kernel["kernel"].as_str().unwrap()).collect::<Vec<_>>(), kernels);
        for kernel in launched {
            assert_eq!(kernel["total"]["wavefronts"], kernel["total"]["wavefronts_ideal"], "{}", kernel["kernel"]);
            let read = 32 * kernel["total"]["sectors_read"].as_u64().expect("a count");
            assert!(read >= kernel["ideal"]["bytes_read"].as_u64().expect("a count"), "{}", kernel["plan"]);
        }
        let prefill = launched.last().expect("the kernel itself");
        assert_eq!(prefill["ideal"]["tensor_macs"], 64 * 200 * 2 * (128 + 128));
        assert_eq!(prefill["total"]["tensor_macs"], 64 * 256 * 2 * (128 + 128));
        assert_eq!(prefill["roofline"]["tensor_tops"], peak);
    }
}

#[test]
fn profile_is_a_table_that_fits_a_page() {
    let args = ["profile", "gemm_s8", "64x128x256", "--device", "emulator:sm_90a", "--kernel", "wgmma", "--lines", "5"];
    let output = halfbyte(&args);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "gemm_s8 M=64 N=128 K=256",
        "gemm_s8_wgmma",
        "on H100-SXM",
        "<- binds",
        "estimates, not measurements",
        "tensor",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert_eq!(text, stdout(&halfbyte(&args)), "the same in every run");
    for op in [
        &["quantize_rows", "3x70", "--dtype", "bf16"][..],
        &["quantize", "3x70", "--scheme", "zeros"],
        &["quantize", "M=3", "K=700", "--codes", "e5m2", "--arch", "sm_89", "--k-down", "--scheme", "given"],
        &["gemm_s8", "1x64x300", "--split-k", "2", "--out", "s32"],
        &["gemm", "5x70x100", "--k-down", "--dtype", "bf16", "--out", "f32", "--kernel", "64x64"],
        &["gemm", "5x70x300", "--dtype", "s8", "--out", "s32", "--split-k", "2"],
        &["gemm", "5x70x300", "--dtype", "e5m2", "--k-group", "64", "--arch", "sm_89"],
        &["merge", "3x5x2x40", "--dtype", "bf16"],
        &["attention", "B=1", "Q=70", "K=130", "H=4", "G=2", "D=72", "--causal", "--window", "40"],
        &["attention", "2x9x30x2x1x64", "--dtype", "bf16", "--out", "f32"],
        &["attention_int8", "B=1", "Q=70", "K=130", "H=4", "G=2", "D=72", "--causal", "--window", "40"],
        &["attention_int8", "2x9x300x2x1x64", "--dtype", "bf16", "--out", "f16", "--arch", "sm_89", "--e4m3-values"],
        &["merge", "P=3", "T=5", "H=2", "D=64", "--out", "f32"],
    ] {
        let output = halfbyte(&[&["profile"], op].concat());
        assert!(output.status.success(), "{op:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn profile_says_what_its_json_holds() {
    let help = stdout(&halfbyte(&["profile", "--help"]));
    let output = halfbyte(&["profile", "gemm_s8", "64x64x64", "--json", "--arch", "sm_89"]);
    let report = &json_lines(&output)[0];
    assert_eq!((&report["device"], &report["gpu"]["name"]), (&"emulator:sm_89".into(), &"L40S".into()));
    let kernel = &report["kernels"][0];
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let all = [report, kernel, &kernel["ideal"], &kernel["roofline"], &kernel["lines"][0], &kernel["total"]]
        .map(names)
        .concat();
    let words: Vec<&str> = help.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for name in all {
        assert!(words.contains(&name.as_str()), "`{name}` is not in the help");
    }
    assert_eq!(names(&kernel["total"]).len(), halfbyte::emulator::Count::NAMES.len());
}

#[test]
fn profile_refuses_what_it_cannot_do() {
    let cases: [(&[&str], &str); 35] = [
        (&["gemm", "4x4x64", "--dtype", "f32"], "--dtype f32"),
        (&["gemm", "4x4x64", "--out", "e4m3"], "--out e4m3"),
        (&["gemm", "4x4x64", "--dtype", "e4m3"], "8.9"),
        (&["gemm", "4x4x64", "--k-group", "64"], "f16 by groups of K"),
        (&["gemm", "4x4x64", "--kernel", "wgmma"], "gemm_f16_mma_64x64x32 with K whole"),
        (&["linear", "4x4x64", "--k-group", "64"], "--k-group"),
        (&["convolution", "1x2x3"], "quantize_rows, quantize, gemm_s8, gemm, linear, merge, attention, attention_int8"),
        (&["quantize", "4x64", "--scheme", "columns"], "rows, zeros, groups64, groups128, given"),
        (&["quantize", "4x64", "--codes", "s4"], "s8, e4m3, e5m2"),
        (&["quantize", "4x64", "--codes", "e4m3"], "8.9"),
        (&["quantize", "4x64", "--scheme", "zeros", "--k-down"], "K down the rows"),
        (&["gemm_s8", "4x4x64", "--codes", "s8"], "--codes"),
        (&["linear", "M=5", "N=6"], "K is missing"),
        (&["gemm_s8", "5x6"], "2 sizes, not 3"),
        (&["gemm_s8", "0x6x7"], "empty"),
        (&["gemm_s8", "2000000000x6x2000000000"], "bytes of operands"),
        (&["gemm_s8", "4x4x131073"], "131073"),
        (&["gemm_s8", "4x4x64", "--gpu", "toaster"], "toaster"),
        (&["gemm_s8", "4x4x64", "--arch", "sm_90a", "--gpu", "A10"], "A10 is sm_80"),
        (&["gemm_s8", "4x4x64", "--kernel", "wgmma"], "gemm_s8_mma_64x64x64 with K whole"),
        (&["gemm_s8", "4x4x512", "--split-k", "99"], "gemm_s8_mma_64x64x64 with K whole or in at most 8 slices"),
        (&["gemm_s8", "4x4x64", "--device", "cuda"], "emulator"),
        (&["linear", "4x4x64", "--out", "s32"], "s32"),
        (&["quantize_rows", "4x64", "--split-k", "2"], "--split-k"),
        (&["merge", "2x3x4"], "3 sizes, not 4"),
        (&["merge", "2x3x4x8", "--dtype", "s8"], "--dtype s8"),
        (&["merge", "2x3x4x8", "--out", "bf16"], "--out bf16"),
        (&["merge", "2x3x4x8", "--split-k", "2"], "merge takes no --kernel or --split-k"),
        (&["merge", "2x3x4x8", "--causal"], "merge takes no --causal"),
        (&["attention", "1x2x3x4x3x64"], "4 query heads cannot share 3"),
        (&["attention", "1x2x3x4x2x60"], "head_dim = 60"),
        (&["attention", "1x2x3x4x2x64", "--dtype", "f32"], "--dtype f32"),
        (&["attention_int8", "1x2x3x4x2x64", "--out", "f32"], "--out f32"),
        (&["attention_int8", "1x2x3x4x2x64", "--e4m3-values"], "8.9"),
        (&["attention", "1x2x3x4x2x64", "--e4m3-values"], "attention takes no --e4m3-values"),
    ];
    for (args, word) in cases {
        let output = halfbyte(&[&["profile"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word) && !text.contains("panicked"), "{args:?}: {text}");
    }
}

/// Runs the probes whose names begin with `warp_` on a driver whose device traps in these kernels. What the program
/// printed, and what the driver was asked to do.
fn probe_with_traps(name: &str, traps: &str) -> (Output, Vec<String>, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/device/fake_cuda.c");
    let library = folder.join("libcuda.so.1");
    let built = Command::new("cc").args(["-shared", "-fPIC", source, "-o"]).arg(&library).output();
    let built = built.expect("these tests need the C compiler driver `cc`, which Rust links with");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // Both names that it is looked for by mean one library, with one state.
    std::os::unix::fs::symlink("libcuda.so.1", folder.join("libcuda.so")).expect("a link");
    let (log, out) = (folder.join("log"), folder.join("out"));
    let output = Command::new(env!("CARGO_BIN_EXE_halfbyte"))
        .args(["probe", "--device", "cuda", "--only", "warp_", "--out"])
        .arg(&out)
        .env("LD_LIBRARY_PATH", &folder)
        .env("FAKE_CUDA_LOG", &log)
        .env("FAKE_CUDA_TRAP", traps)
        .output()
        .expect("the program starts");
    let calls = fs::read_to_string(log).expect("a log").lines().map(str::to_owned).collect();
    (output, calls, out)
}

/// After a trap a process can do nothing more with a GPU: another one runs the probes that are left.
#[test]
fn a_probe_that_traps_does_not_stop_the_others() {
    const PROBES: [&str; 10] = [
        "warp_shuffle",
        "warp_vote",
        "warp_match",
        "warp_redux",
        "warp_movmatrix",
        "warp_atomic",
        "warp_atomic_shared",
        "warp_atomic_global",
        "warp_elect",
        "warp_atomic_vector",
    ];
    let cases: [(&str, &[&str], usize); 4] = [
        ("no_trap", &[], 1),
        ("trap_at_first", &["warp_shuffle"], 2),
        // Two in a row, and one in a process that has run others.
        ("traps_between", &["warp_vote", "warp_match", "warp_atomic_shared"], 4),
        ("trap_at_last", &["warp_atomic_vector"], 1),
    ];
    for (name, traps, processes) in cases {
        let list: String = traps.iter().map(|probe| format!(",probe_{probe},")).collect();
        let (output, calls, out) = probe_with_traps(name, &list);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(i32::from(!traps.is_empty())), "{name}: {text}");
        // Each probe once, in order, in the report and on the device.
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.iter().map(|line| line[1]).collect::<Vec<_>>(), PROBES, "{name}: {text}");
        let launched = calls.iter().filter_map(|call| call.strip_prefix("launch probe_")?.split(' ').next());
        assert_eq!(launched.collect::<Vec<_>>(), PROBES, "{name}");
        assert_eq!(calls.iter().filter(|call| *call == "retain context").count(), processes, "{name}: {calls:?}");
        for line in lines {
            assert_eq!(line[0], "cuda:0", "{name}: {text}");
            let trapped = traps.contains(&line[1]);
            assert_eq!(line[2] == "FAILED:", trapped, "{name}: {line:?}");
            let file = out.join("fake-gpu-0").join(line[1]).with_extension("bin");
            assert_eq!(file.exists(), !trapped, "{name}: {}", file.display());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{name}: {errors}");
    }
}

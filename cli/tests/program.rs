//! The program as its users meet it: what it prints, what it returns, and how it refuses.

use std::io::Read;
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
    // 6 shapes, each quantized, multiplied, multiplied by every kernel, and run as a layer.
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 24, "{text}");
    assert!(text.contains("24 cases: 24 passed, 0 failed"), "{text}");
    assert!(!text.contains('\x1b'), "a pipe gets plain lines");
}

#[test]
fn verify_speaks_json_and_reaches_every_kernel() {
    let output = halfbyte(&["verify", "--json", "--device", "emulator:sm_90a", "--only", "M=130"]);
    assert!(output.status.success());
    let lines = json_lines(&output);
    let (summary, cases) = lines.split_last().expect("a summary");
    assert_eq!(summary["passed"], 4);
    assert_eq!(summary["failed"], 0);
    assert_eq!(cases.len(), 4);
    assert!(cases.iter().all(|case| case["failure"].is_null() && case["device"] == "emulator:sm_90a"));
    // wgmma, and three tiles of mma: whole, in 2 slices, and in 4 where the depth of 1100 gives so many.
    assert!(cases.iter().any(|case| case["kernel"] == "9 plans of 4 kernels"), "{cases:?}");
    assert!(cases.iter().any(|case| case["references"] == "exact+f64+candle"));
}

#[test]
fn checked_runs_say_so_and_find_nothing() {
    let output = halfbyte(&["verify", "--checked", "--device", "emulator:sm_90a", "--only", "M=129"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("emulator:sm_90a checked")).count(), 4, "{text}");
    assert!(text.contains("4 cases: 4 passed, 0 failed, 0 findings, in "), "{text}");
    let output = halfbyte(&["--checked", "--json", "--only", "M=5 "]);
    let lines = json_lines(&output);
    let (summary, cases) = lines.split_last().expect("a summary");
    assert_eq!(
        (cases.len(), &summary["findings"]),
        (8, &Value::from(0)),
        "both architectures with kernels of their own"
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

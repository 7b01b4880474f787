//! Runs a test in a child process whose CUDA driver is the fake one of `fake_cuda.c`.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

/// Tells the child which test it is in.
const CHILD: &str = "HALFBYTE_TEST_CHILD";

/// What the child finds when it looks for a CUDA driver.
pub enum Library {
    /// The fake driver, built with these C macros.
    Fake(&'static [&'static str]),
    /// Files of the right names that are no libraries.
    Broken,
}

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake_cuda").join(name);
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
    path
}

/// The folder with the library; built once a test run.
fn library(kind: &Library) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let name = match kind {
        Library::Fake(macros) => format!("fake{}", macros.concat()),
        Library::Broken => "broken".to_string(),
    };
    let mut built = BUILT.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(path) = built.get(&name) {
        return path.clone();
    }
    let path = folder(&name);
    match kind {
        Library::Broken => {
            for file in ["libcuda.so.1", "libcuda.so"] {
                fs::write(path.join(file), "not a library").unwrap();
            }
        }
        Library::Fake(macros) => {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/device/fake_cuda.c");
            let output = Command::new("cc")
                .args(["-shared", "-fPIC", "-o"])
                .arg(path.join("libcuda.so.1"))
                .args(macros.iter().map(|name| format!("-D{name}")))
                .arg(&source)
                .output()
                .unwrap_or_else(|e| panic!("these tests need the C compiler driver `cc`, which Rust links with: {e}"));
            assert!(output.status.success(), "cc failed: {}", String::from_utf8_lossy(&output.stderr));
            // Under both names: cudarc looks for the shorter first, and a machine with a GPU has that one. One file, so
            // that whoever opens either shares the state of one library.
            let _ = fs::remove_file(path.join("libcuda.so"));
            std::os::unix::fs::symlink("libcuda.so.1", path.join("libcuda.so")).unwrap();
        }
    }
    built.insert(name, path.clone());
    path
}

/// The log of the fake driver in the child.
pub struct Log(PathBuf);

impl Log {
    /// The lines so far; the log starts anew.
    pub fn take(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let _ = fs::remove_file(&self.0);
        text.lines().map(str::to_string).collect()
    }

    /// Makes the driver say that work has not ended, until told otherwise.
    pub fn set_busy(&self, busy: bool) {
        let path = PathBuf::from(format!("{}.busy", self.0.display()));
        match busy {
            true => fs::write(path, "").unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
}

/// Runs `body` in a child process that sees `library` as its CUDA driver; fails if the child fails. `test` is the
/// path of the calling test in this binary.
pub fn in_child(test: &str, library_kind: Library, settings: &[(&str, &str)], body: impl FnOnce(Log)) {
    if env::var(CHILD).is_ok_and(|name| name == test) {
        return body(Log(env::var("FAKE_CUDA_LOG").unwrap().into()));
    }
    let log = folder("logs").join(test.replace("::", "."));
    let _ = fs::remove_file(&log);
    let _ = fs::remove_file(format!("{}.busy", log.display()));
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .env("FAKE_CUDA_LOG", &log)
        .env("LD_LIBRARY_PATH", library(&library_kind))
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child failed:\n{text}");
    assert!(text.contains("1 passed"), "the child ran no test named {test}:\n{text}");
    assert!(!text.contains("panicked"), "the child printed a panic:\n{text}");
}

//! The rules of the house: which room may use which, what a row of the manifest must be, what the embedded PTX
//! must be, how long a file may grow; and the parts of `build.rs`.

use halfbyte::manifest;

#[path = "../../build/mod.rs"]
#[allow(dead_code)] // Each program uses its share of it.
mod build;

mod arrow;
mod budget;
mod choose;
mod compile;
mod keys;
mod mutants;
mod normalize;
mod prebuilt;
mod ptx;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the crate.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` whose name ends with `ending`, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().is_some_and(|name| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// An empty folder of its own for one test; gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch folder can be made");
        Scratch(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is below the scratch folder")).expect("a folder can be made");
        fs::write(&path, text).expect("a scratch file can be written");
        path
    }
}

/// A test that writes programs and runs them holds this: while a file of ours is open for writing in a child that
/// another test has just forked, the kernel refuses to run it.
#[cfg(unix)]
static PROGRAMS: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// A shell script that can be run.
#[cfg(unix)]
fn program(scratch: &Scratch, name: &str, body: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = scratch.write(name, &format!("#!/bin/sh\n{body}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    path
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! One mutant: its sources, its PTX, and what the tests say of it.

use super::build::compile::Compiler;
use super::build::nvcc::Nvcc;
use super::build::unit::{Unit, units};
use super::table::Mutant;
use halfbyte::emulator::Module;
use halfbyte::kernels;
use halfbyte::manifest::ROWS;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What every trial needs.
#[derive(Debug)]
pub struct Bench {
    /// The compiler.
    pub nvcc: Nvcc,
    /// The program of the integration tests.
    pub program: PathBuf,
    /// The names of all its tests.
    pub tests: Vec<String>,
    /// The folder of the crate.
    pub repository: PathBuf,
    /// Where trials write.
    pub scratch: PathBuf,
    /// Time for one run of the tests. One that takes longer does not end, which is as good as a failure.
    pub patience: Duration,
}

/// One run of tests.
#[derive(Debug, PartialEq)]
pub enum Run {
    /// All passed.
    Passed,
    /// These failed: name and the first line of the message.
    Failed(Vec<(String, String)>),
}

/// What became of a mutant.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// These tests failed, with the first line of their messages.
    Caught(Vec<(String, String)>),
    /// Every test passed.
    Survived,
    /// It is no mutant: the edit does not apply, or what it makes is no kernel; or the kernel as it is fails.
    Invalid(String),
}

impl Bench {
    /// The tests whose names start with one of these.
    pub fn named(&self, prefixes: &[String]) -> Vec<String> {
        let wanted = |test: &&String| prefixes.iter().any(|prefix| test.starts_with(prefix.as_str()));
        self.tests.iter().filter(wanted).cloned().collect()
    }

    /// Where a trial of this name writes.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.scratch.join(name.replace('/', "-"))
    }

    /// Compiles the sources, with a mutant or as they are, and writes a folder of all modules for the test program.
    /// Returns the folder and the PTX of `source`.
    pub fn compile(&self, name: &str, source: &str, mutant: Option<&Mutant>) -> Result<(PathBuf, Vec<String>), String> {
        let folder = self.folder(name);
        let _ = fs::remove_dir_all(&folder);
        let kernels = folder.join("kernels");
        copy(&self.repository.join("kernels"), &kernels)?;
        if let Some(mutant) = mutant {
            mutant.apply(&kernels)?;
        }
        let units: Vec<Unit> = units(ROWS)?.into_iter().filter(|unit| unit.source == source).collect();
        if units.is_empty() {
            return Err(format!("kernels/manifest.rs has no row of `{source}`"));
        }
        let out = folder.join("ptx");
        let compiler = Compiler { nvcc: &self.nvcc, repository: &folder, out: &out, params: kernels::params_header() };
        let built = compiler.all(&units, 1)?;
        for built in &built {
            // A mutant that the emulator refuses would fail every test and show nothing.
            Module::parse(&built.ptx).map_err(|e| format!("the emulator refuses its PTX: {e}"))?;
        }
        for module in kernels::modules().iter().filter(|module| module.source != source) {
            super::build::compile::write(&out.join(module.file()), module.ptx)?;
        }
        Ok((out, built.into_iter().map(|built| built.ptx).collect()))
    }

    /// Runs tests by their full names on the PTX of a folder, of which `source` is what is tested.
    pub fn test(&self, ptx: &Path, source: &str, tests: &[String]) -> Result<Run, String> {
        // Two lists may be tried on one folder at a time.
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let path = ptx.join(format!("tests-{}.log", RUNS.fetch_add(1, Ordering::Relaxed)));
        let log = File::create(&path).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        let mut command = Command::new(&self.program);
        command.args(["--exact", "--test-threads=1"]).args(tests).current_dir(&self.repository);
        command
            .env("HALFBYTE_TEST_PTX", ptx)
            .env("HALFBYTE_TEST_SOURCE", source)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        let both = log.try_clone().map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        let mut child = command
            .stdout(log)
            .stderr(both)
            .spawn()
            .map_err(|e| format!("cannot run {}: {e}", self.program.display()))?;
        let began = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|e| format!("cannot wait for the tests: {e}"))? {
                Some(status) => break Some(status),
                None if began.elapsed() > self.patience => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let said = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let said = String::from_utf8_lossy(&said);
        let mut failed = failures(&said);
        match status {
            // The test that runs has its name printed, and no result.
            None => {
                let last = said.lines().rev().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... "));
                let message = format!("no end after {} s", self.patience.as_secs());
                failed.push((last.unwrap_or("unknown").to_owned(), message));
            }
            Some(status) if status.success() && failed.is_empty() && said.contains("test result: ok.") => {
                return Ok(Run::Passed);
            }
            Some(status) if failed.is_empty() => {
                let tail: Vec<&str> = said.lines().rev().take(5).collect();
                return Err(format!("the test program ended with {status}: {tail:?}"));
            }
            Some(_) => {}
        }
        Ok(Run::Failed(failed))
    }

    /// Tries one mutant: compiles it and runs the lists of tests in turn, until one fails. A list judges nobody before
    /// the kernel as it is has passed it.
    pub fn trial(&self, name: &str, source: &str, mutant: &Mutant, lists: &[TestList], base: &Base) -> Outcome {
        let tried = || -> Result<Outcome, String> {
            let (folder, ptx) = self.compile(name, source, Some(mutant))?;
            if code(&ptx) == code(&base.ptx) {
                return Err("it compiles to the same instructions as the kernel itself".to_owned());
            }
            for list in lists.iter().filter(|list| !list.tests.is_empty()) {
                list.sound(self, source, base)?;
                if let Run::Failed(failed) = self.test(&folder, source, &list.tests)? {
                    return Ok(Outcome::Caught(failed));
                }
            }
            Ok(Outcome::Survived)
        };
        tried().unwrap_or_else(Outcome::Invalid)
    }
}

/// A kernel as it is.
#[derive(Debug)]
pub struct Base {
    /// Its name.
    pub kernel: String,
    /// The folder of its modules.
    pub folder: PathBuf,
    /// Its PTX.
    pub ptx: Vec<String>,
}

/// Tests that run together.
#[derive(Debug)]
pub struct TestList {
    tests: Vec<String>,
    /// What the kernel as it is made of them, once they were asked for.
    sound: OnceLock<Result<(), String>>,
}

impl TestList {
    /// Of their full names.
    pub const fn new(tests: Vec<String>) -> TestList {
        TestList { tests, sound: OnceLock::new() }
    }

    /// An error unless the kernel as it is passes them; they run once.
    fn sound(&self, bench: &Bench, source: &str, base: &Base) -> Result<(), String> {
        let run = || match bench.test(&base.folder, source, &self.tests)? {
            Run::Passed => Ok(()),
            Run::Failed(failed) => Err(format!("{} fails without any mutant: {failed:?}", base.kernel)),
        };
        self.sound.get_or_init(run).clone()
    }
}

/// The PTX without what only says where it comes from.
fn code(ptx: &[String]) -> Vec<&str> {
    let instructions = |ptx: &'_ String| ptx.find("\t.section").unwrap_or(ptx.len());
    ptx.iter()
        .flat_map(|ptx| ptx[..instructions(ptx)].lines())
        .filter(|line| !line.trim_start().starts_with(".loc"))
        .collect()
}

/// The tests that failed, in the order in which they ran, and the first line of what each said.
fn failures(said: &str) -> Vec<(String, String)> {
    let mut messages = BTreeMap::new();
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        // "thread 'NAME' (ID) panicked at FILE:LINE:COLUMN:", and the message on the next line.
        let Some((name, _)) = line.strip_prefix("thread '").and_then(|rest| rest.split_once('\'')) else { continue };
        if line.contains(" panicked at ") {
            let mut message = lines.find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
            // A heading says nothing yet.
            if message.ends_with([':', '.']) {
                message = format!("{message} {}", lines.next().unwrap_or_default().trim());
            }
            messages.entry(name.to_owned()).or_insert(message);
        }
    }
    let failed = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let with = |name: String| (name.clone(), messages.get(&name).cloned().unwrap_or_default());
    said.lines().filter_map(failed).map(with).collect()
}

/// Copies the sources of a folder of kernels.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|e| format!("cannot make {}: {e}", to.display()))?;
    for entry in fs::read_dir(from).map_err(|e| format!("cannot read {}: {e}", from.display()))? {
        let path = entry.map_err(|e| format!("cannot read {}: {e}", from.display()))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() && name != "prebuilt" {
            copy(&path, &to.join(name))?;
        } else if path.extension().is_some_and(|e| e == "cuh") {
            fs::copy(&path, to.join(name)).map_err(|e| format!("cannot copy {}: {e}", path.display()))?;
        }
    }
    Ok(())
}

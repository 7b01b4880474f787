//! Plants the faults of `tests/mutants/` in copies of the kernels, one at a time, and says which test notices:
//!
//!     NVCC=/path/of/nvcc cargo run --release --example mutants
//!
//! The tests are the ordinary ones: the test program runs the PTX of a folder instead of its own
//! (`HALFBYTE_TEST_PTX`), so that a mutant costs one call of nvcc and no build. It fails if a fault goes unnoticed for
//! which the table gives no reason, if one is noticed that the table says cannot be, or if one is no fault at all.

mod result;
mod select;
#[allow(dead_code)] // The tests of the house use it too.
mod table;
mod trial;

use halfbyte::manifest;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[path = "../../build/mod.rs"]
#[allow(dead_code)] // This program uses its share of it.
mod build;

use build::compile::parallel;
use build::nvcc::{self, Search};
use result::{Score, Trial};
use select::Selection;
use table::{Kind, Table};
use trial::{Base, Bench, TestList};

const USAGE: &str = "usage: mutants [options]
  --list           print the table and stop
  --only TEXT      only mutants whose `kernel/id` or kind holds this; may be given several times
  --since REVISION only mutants of kernels that differ from this git revision, and those of --tenth
  --tenth N        every tenth mutant, from the N-th on; N counts round
  --most N         at most so many of a changed kernel, others with every --tenth
  --all            run every test for each mutant, and name all that notice it
  --jobs N         trials at once (default: one a core)
  --limit SECONDS  start no trial after this time; those left are counted
  --json FILE      write the result here (default: target/mutants/result.json)
  --nvcc FILE      the compiler (default: NVCC, CUDA_HOME, CUDA_PATH, PATH)
  --tests FILE     the program of the integration tests (default: cargo builds it)
  --keep           keep the sources, the PTX and the tests' output of every mutant";

/// Time for one run of a list of tests: several times what the longest takes.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, Default)]
struct Options {
    list: bool,
    all: bool,
    keep: bool,
    selection: Selection,
    jobs: Option<usize>,
    limit: Option<Duration>,
    json: Option<PathBuf>,
    nvcc: Option<OsString>,
    tests: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        let number = |text: String| text.parse::<usize>().map_err(|_| format!("{name} {text}: not a number"));
        match name.as_str() {
            "--list" => options.list = true,
            "--most" => options.selection.most = Some(number(value()?)?),
            "--all" => options.all = true,
            "--keep" => options.keep = true,
            "--only" => options.selection.only.push(value()?),
            "--since" => options.selection.since = Some(value()?),
            "--tenth" => options.selection.tenth = Some(number(value()?)?),
            "--jobs" => options.jobs = Some(number(value()?)?),
            "--limit" => options.limit = Some(Duration::from_secs(number(value()?)? as u64)),
            "--json" => options.json = Some(value()?.into()),
            "--nvcc" => options.nvcc = Some(value()?.into()),
            "--tests" => options.tests = Some(value()?.into()),
            _ => return Err(format!("{name} is no option")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<bool, String> {
    let began = Instant::now();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tables = table::load(&repository.join("tests/mutants"))?;
    let chosen = options.selection.choose(&tables, repository)?;
    if options.list {
        for (table, mutant) in &chosen {
            println!("{:<48} {:<13} {}", result::name(table, mutant), result::kind(mutant.kind), mutant.what);
        }
        println!("{} mutants of {} kernels", chosen.len(), tables.len());
        return Ok(true);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(cores);
    let bench = bench(options, repository)?;

    let of_use: Vec<&Table> =
        tables.iter().filter(|t| chosen.iter().any(|(table, _)| table.kernel == t.kernel)).collect();
    let plain = parallel(&of_use, jobs, |table| Plain::new(&bench, table, options.all))?;
    println!("{} kernels compiled as they are ({:.0?})", of_use.len(), began.elapsed());

    let width = chosen.iter().map(|(table, mutant)| result::name(table, mutant).len()).max().unwrap_or(0);
    let printing = Mutex::new(());
    let trials = parallel(&chosen, jobs, |&(table, mutant)| {
        if options.limit.is_some_and(|limit| began.elapsed() > limit) {
            return Ok(None);
        }
        let started = Instant::now();
        let name = result::name(table, mutant);
        let of = of_use.iter().position(|t| t.kernel == table.kernel).ok_or("a kernel without a table")?;
        let outcome = bench.trial(&name, &table.source, mutant, plain[of].lists(mutant.kind), &plain[of].base);
        if !options.keep {
            let _ = std::fs::remove_dir_all(bench.folder(&name));
        }
        let trial = Trial::new(table, mutant, outcome, started.elapsed());
        let _one = printing.lock().map_err(|_| "printing panicked")?;
        println!("{}", trial.line(width));
        Ok(Some(trial))
    })?;
    let trials: Vec<Trial> = trials.into_iter().flatten().collect();

    let score = Score::new(trials, chosen.len(), began.elapsed());
    println!("{score}");
    let json = options.json.clone().unwrap_or_else(|| bench.scratch.join("result.json"));
    build::compile::write(&json, &score.json()?)?;
    println!("written: {}", json.display());
    Ok(score.holds())
}

/// A kernel as it is, and the lists of tests for its mutants.
struct Plain {
    base: Base,
    /// For what is about results and order.
    right: [TestList; 2],
    /// For what is about traffic.
    fast: [TestList; 2],
}

impl Plain {
    fn new(bench: &Bench, table: &Table, all: bool) -> Result<Plain, String> {
        for wanted in table.smoke.iter().chain(&table.tests).chain(&table.counters) {
            if !bench.tests.iter().any(|test| test.starts_with(wanted)) {
                return Err(format!("{}: no test `{wanted}`", table.kernel));
            }
        }
        // They are run by name: the beginning of one would run nothing.
        if let Some(name) = table.smoke.iter().find(|name| !bench.tests.contains(name)) {
            return Err(format!("{}: smoke tests are named in full, and there is none called `{name}`", table.kernel));
        }
        let (folder, ptx) = bench.compile(&table.kernel, &table.source, None)?;
        let (tests, counters) = (bench.named(&table.tests), bench.named(&table.counters));
        let (right, fast) = if all {
            ([tests.clone(), Vec::new()], [[counters, tests].concat(), Vec::new()])
        } else {
            let rest = tests.iter().filter(|test| !table.smoke.contains(test)).cloned().collect();
            ([table.smoke.clone(), rest], [counters, tests])
        };
        let base = Base { kernel: table.kernel.clone(), folder, ptx };
        Ok(Plain { base, right: right.map(TestList::new), fast: fast.map(TestList::new) })
    }

    fn lists(&self, kind: Kind) -> &[TestList] {
        if kind == Kind::Traffic { &self.fast } else { &self.right }
    }
}

fn bench(options: &Options, repository: &Path) -> Result<Bench, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let search = Search {
        nvcc: options.nvcc.clone().or_else(|| variable("NVCC")),
        cuda_home: variable("CUDA_HOME"),
        cuda_path: variable("CUDA_PATH"),
        path: variable("PATH"),
    };
    let nvcc = nvcc::find(&search)?.ok_or("no nvcc was found through NVCC, CUDA_HOME, CUDA_PATH or PATH")?;
    let program = match &options.tests {
        Some(program) => program.canonicalize().map_err(|e| format!("{}: {e}", program.display()))?,
        None => build_tests(repository)?,
    };
    let listed = Command::new(&program).args(["--list", "--format", "terse"]).output();
    let listed = listed.map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    let tests: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| line.strip_suffix(": test").map(str::to_owned))
        .collect();
    let target = variable("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let scratch = std::path::absolute(target.join("mutants")).map_err(|e| e.to_string())?;
    Ok(Bench { nvcc, program, tests, repository: repository.to_path_buf(), scratch, patience: PATIENCE })
}

/// Has cargo build the integration tests and returns the program.
fn build_tests(repository: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["test", "--release", "--test", "halfbyte", "--no-run", "--message-format=json-render-diagnostics"];
    let output = Command::new(&cargo)
        .args(arguments)
        .current_dir(repository)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", cargo.display()))?;
    if !output.status.success() {
        return Err(format!("cargo {arguments:?} failed ({})", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let programs = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs =
        programs.filter(|message| message["target"]["name"] == "halfbyte" && message["target"]["kind"][0] == "test");
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo named no test program".to_owned())
}

//! Compiles units to PTX, several at a time.

use super::hash;
use super::normalize::{self, Places};
use super::nvcc::Nvcc;
use super::prebuilt::Built;
use super::sources::{self, FLAGS};
use super::unit::Unit;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every PTX ISA version of CUDA 11 and later; the least that a unit may state is the first that ptxas accepts.
const VERSIONS: [(u32, u32); 21] = [
    (7, 0),
    (7, 1),
    (7, 2),
    (7, 3),
    (7, 4),
    (7, 5),
    (7, 6),
    (7, 7),
    (7, 8),
    (8, 0),
    (8, 1),
    (8, 2),
    (8, 3),
    (8, 4),
    (8, 5),
    (8, 6),
    (8, 7),
    (8, 8),
    (9, 0),
    (9, 1),
    (9, 2),
];

/// What a compilation needs to know.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// The compiler.
    pub nvcc: &'a Nvcc,
    /// The folder of the crate.
    pub repository: &'a Path,
    /// Where everything is written.
    pub out: &'a Path,
    /// Text of `kernels/params.cuh`, from the manifest.
    pub params: &'a str,
}

/// Runs `work` for every item on up to `jobs` threads; results keep the order, the first error wins.
pub fn parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<R, String>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = work(item);
            if let Ok(mut results) = results.lock() {
                results[at] = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(worker);
        }
    });
    let results = results.into_inner().map_err(|_| "a compiling thread panicked".to_owned())?;
    results.into_iter().map(|r| r.unwrap_or_else(|| Err("a compiling thread ended early".to_owned()))).collect()
}

impl Compiler<'_> {
    /// Compiles every unit.
    pub fn all(&self, units: &[Unit], jobs: usize) -> Result<Vec<Built>, String> {
        let include = self.out.join("include");
        write(&include.join(sources::PARAMS), self.params)?;
        parallel(units, jobs, |unit| self.unit(unit))
    }

    /// Compiles one unit, unless the last run compiled it from the same.
    fn unit(&self, unit: &Unit) -> Result<Built, String> {
        let key = sources::key(&self.repository.join("kernels"), unit, self.params, &self.nvcc.version)?;
        let path = self.out.join(unit.file("ptx"));
        let stamp = self.out.join(unit.file("stamp"));
        if let (Ok(ptx), Ok(stamped)) = (fs::read_to_string(&path), fs::read_to_string(&stamp))
            && stamped == format!("{key} {}", hash::of(&ptx))
        {
            return Ok(Built { ptx, key });
        }
        let title = format!("kernels/{}.cuh for {}", unit.source, unit.target.name());
        let raw = self.nvcc(unit)?;
        let ptx = normalize::normalize(&raw, &title, &self.places())?;
        let ptx = self.lower(unit, &ptx)?;
        write(&path, &ptx)?;
        write(&stamp, &format!("{key} {}", hash::of(&ptx)))?;
        Ok(Built { ptx, key })
    }

    fn nvcc(&self, unit: &Unit) -> Result<String, String> {
        let shim = self.out.join(unit.file("cu"));
        let raw = self.out.join(unit.file("raw.ptx"));
        write(&shim, &unit.shim())?;
        let mut command = Command::new(&self.nvcc.path);
        // Flags from outside would make kernels that nobody has tested.
        command.env_remove("NVCC_PREPEND_FLAGS").env_remove("NVCC_APPEND_FLAGS");
        command.args(FLAGS).args(unit.target_flags());
        command.arg("-I").arg(self.out.join("include")).arg("-I").arg(self.repository.join("kernels"));
        run(command.arg("-o").arg(&raw).arg(&shim))?;
        fs::read_to_string(&raw).map_err(|e| format!("cannot read {}: {e}", raw.display()))
    }

    fn places(&self) -> Places {
        let both = |path: &Path| [Some(path.to_path_buf()), path.canonicalize().ok()].into_iter().flatten().collect();
        Places { repository: both(self.repository), out: both(self.out), cuda: self.nvcc.toolkit() }
    }

    /// States the least PTX ISA version with which the unit assembles, so that older drivers load it.
    fn lower(&self, unit: &Unit, ptx: &str) -> Result<String, String> {
        let ptxas = self.nvcc.tool("ptxas")?;
        let stated = normalize::version(ptx).ok_or_else(|| format!("the PTX of {} states no version", unit.source))?;
        let trial = self.out.join(unit.file("trial.ptx"));
        for version in VERSIONS.into_iter().filter(|&v| v < stated).chain([stated]) {
            let lowered = normalize::with_version(ptx, version);
            write(&trial, &lowered)?;
            match assemble(&ptxas, unit.target.name(), &trial, &self.out.join(unit.file("cubin"))) {
                Ok(()) => return Ok(lowered),
                Err(message) if version == stated => return Err(message),
                Err(_) => {}
            }
        }
        Err(format!("no PTX version was tried for {}", unit.source))
    }
}

/// Assembles PTX to machine code for an architecture such as `sm_86`.
pub fn assemble(ptxas: &Path, arch: &str, ptx: &Path, cubin: &Path) -> Result<(), String> {
    run(Command::new(ptxas).arg(format!("-arch={arch}")).arg(ptx).arg("-o").arg(cubin))
}

/// Runs a program; what it printed is the error if it fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let program = PathBuf::from(command.get_program());
    let output = command.output().map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = said.trim_end();
    Err(format!("{name} failed ({}):\n{said}\n(command: {command:?})", output.status))
}

/// Writes a file unless it holds just this text already, so that nothing that depends on it is built again.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

//! Finds nvcc and asks for its version.

use super::PINNED;
use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An nvcc that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Nvcc {
    /// The program.
    pub path: PathBuf,
    /// Its version: "13.0.88".
    pub version: String,
}

/// Where to look: the variables of the same names.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// `NVCC`: the program itself. If it is set, no other is taken.
    pub nvcc: Option<OsString>,
    /// `CUDA_HOME`.
    pub cuda_home: Option<OsString>,
    /// `CUDA_PATH`.
    pub cuda_path: Option<OsString>,
    /// `PATH`.
    pub path: Option<OsString>,
}

impl Nvcc {
    /// True for the release whose PTX is tested.
    pub fn is_pinned(&self) -> bool {
        let (major, minor) = PINNED;
        self.version.starts_with(&format!("{major}.{minor}."))
    }

    /// A program that comes with nvcc, such as `ptxas`.
    pub fn tool(&self, name: &str) -> Result<PathBuf, String> {
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let folders = [self.path.parent(), real.parent()];
        let found = folders.into_iter().flatten().map(|f| f.join(format!("{name}{EXE_SUFFIX}"))).find(|p| p.is_file());
        found.ok_or_else(|| format!("{name} is not beside {}, where every CUDA toolkit has it", self.path.display()))
    }

    /// The folder of the toolkit, as given and with links followed.
    pub fn toolkit(&self) -> Vec<PathBuf> {
        let real = self.path.canonicalize().ok();
        [Some(self.path.as_path()), real.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(|path| path.parent()?.parent())
            .filter(|root| root.join("include").is_dir() || root.join("nvvm").is_dir())
            .map(Path::to_path_buf)
            .collect()
    }

    /// Runs `path --version`.
    fn ask(path: &Path) -> Result<Nvcc, String> {
        let output =
            Command::new(path).arg("--version").output().map_err(|e| format!("cannot run {}: {e}", path.display()))?;
        let banner = String::from_utf8_lossy(&output.stdout);
        let version = parse_version(&banner).ok_or_else(|| {
            format!("`{} --version` does not state a CUDA version: {}", path.display(), banner.trim())
        })?;
        Ok(Nvcc { path: path.to_path_buf(), version })
    }
}

/// The version in the banner of `nvcc --version`: "…, release 13.0, V13.0.88" is "13.0.88".
pub fn parse_version(banner: &str) -> Option<String> {
    let line = banner.lines().find(|line| line.contains("release"))?;
    let version = line.rsplit_once(", V")?.1.trim();
    let parts: Vec<&str> = version.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    (parts.len() == 3 && numbers).then(|| version.to_owned())
}

/// The first pinned nvcc of those found, else the first that runs, else none. It is an error only if `NVCC` is set and
/// does not run.
pub fn find(search: &Search) -> Result<Option<Nvcc>, String> {
    if let Some(program) = &search.nvcc {
        let path = on_path(Path::new(program), search);
        return Nvcc::ask(&path).map(Some).map_err(|e| format!("NVCC: {e}"));
    }
    let homes = [&search.cuda_home, &search.cuda_path].into_iter().flatten().map(|home| Path::new(home).join("bin"));
    let path = search.path.iter().flat_map(std::env::split_paths);
    let mut first = None;
    for folder in homes.chain(path) {
        let program = folder.join(format!("nvcc{EXE_SUFFIX}"));
        if !program.is_file() {
            continue;
        }
        match Nvcc::ask(&program) {
            Ok(nvcc) if nvcc.is_pinned() => return Ok(Some(nvcc)),
            Ok(nvcc) => first = first.or(Some(nvcc)),
            Err(_) => {}
        }
    }
    Ok(first)
}

/// A bare name is looked up in `PATH`, since what comes with nvcc is looked for beside it.
fn on_path(program: &Path, search: &Search) -> PathBuf {
    let bare = program.components().count() == 1;
    let folders = search.path.iter().filter(|_| bare).flat_map(std::env::split_paths);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file()).unwrap_or_else(|| program.to_path_buf())
}

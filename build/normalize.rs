//! Makes nvcc's PTX the same on every machine, and old enough for old drivers.
//!
//! nvcc writes into it where the files lay, when it was built itself, and names hashed from paths. None of
//! that changes a kernel, but all of it would change the committed files.

use super::hash::lf;
use std::path::{Component, Path, PathBuf};

/// Where things lie on this machine.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The folder of the crate.
    pub repository: Vec<PathBuf>,
    /// The folder of generated files.
    pub out: Vec<PathBuf>,
    /// The CUDA toolkit.
    pub cuda: Vec<PathBuf>,
}

/// How many values a `.b8` line gets.
const BYTES_A_LINE: usize = 32;

/// The PTX with `title` as its only heading, paths that mean the same everywhere, hashed names zeroed, line ends LF.
pub fn normalize(ptx: &str, title: &str, places: &Places) -> Result<String, String> {
    let text = lf(ptx);
    let start = text.lines().position(|line| line.trim_start().starts_with(".version"));
    let start = start.ok_or_else(|| format!("the PTX of {title} has no `.version`"))?;
    let mut out = format!("// {title}\n");
    let mut bytes: Vec<u8> = Vec::new();
    for line in text.lines().skip(start) {
        if let Some(values) = line.trim_start().strip_prefix(".b8 ") {
            for value in values.split(',') {
                let value = value.trim();
                bytes.push(value.parse().map_err(|_| format!("the PTX of {title} has a `.b8` of `{value}`"))?);
            }
            continue;
        }
        write_bytes(&mut out, &mut bytes);
        match file_line(line, places) {
            Some(file) => out.push_str(&file),
            None => out.push_str(&zero_hashes(line)),
        }
        out.push('\n');
    }
    write_bytes(&mut out, &mut bytes);
    let end = out.trim_end().len();
    out.truncate(end);
    out.push('\n');
    let roots = [&places.repository, &places.out, &places.cuda];
    for root in roots.into_iter().flatten().filter_map(|r| r.to_str()).filter(|r| r.len() > 1) {
        if let Some(line) = out.lines().find(|line| line.contains(root)) {
            return Err(format!("the PTX of {title} still speaks of this machine: {line}"));
        }
    }
    Ok(out)
}

/// A `.file` line with its path rewritten; none if the line is another one.
fn file_line(line: &str, places: &Places) -> Option<String> {
    let rest = line.trim_start().strip_prefix(".file")?;
    let (index, rest) = rest.trim_start().split_once('"')?;
    let (path, _) = rest.split_once('"')?;
    Some(format!("\t.file\t{} \"{}\"", index.trim(), place(path, places)))
}

/// What a path is called on every machine.
fn place(path: &str, places: &Places) -> String {
    let path = clean(Path::new(path));
    let below =
        |roots: &[PathBuf]| roots.iter().find_map(|root| path.strip_prefix(clean(root)).ok().map(Path::to_path_buf));
    let slashed = |path: &Path| path.to_string_lossy().replace('\\', "/");
    if let Some(rest) = below(&places.out) {
        // The generated files: the entries of a unit, and the copy of the parameter blocks.
        return if rest.extension().is_some_and(|e| e == "cu") {
            "<manifest>".to_owned()
        } else {
            format!("kernels/{}", rest.file_name().unwrap_or_default().to_string_lossy())
        };
    }
    if let Some(rest) = below(&places.repository) {
        return slashed(&rest);
    }
    if let Some(rest) = below(&places.cuda) {
        // Toolkits differ in what stands before `include`; wheels have nothing, installers `targets/<triple>`.
        let rest = slashed(&rest);
        let tail = rest.split_once("include/").map_or(rest.as_str(), |(_, tail)| tail);
        return format!("<cuda>/{tail}");
    }
    format!("<system>/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The path without `.`, `..` and doubled separators; links are not followed.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Ends a run of `.b8` lines: zeroes hashed names in it and wraps it anew, since nvcc wraps by width.
fn write_bytes(out: &mut String, bytes: &mut Vec<u8>) {
    zero_hashes_in(bytes);
    for line in bytes.chunks(BYTES_A_LINE) {
        let values: Vec<String> = line.iter().map(u8::to_string).collect();
        out.push_str(".b8 ");
        out.push_str(&values.join(","));
        out.push('\n');
    }
    bytes.clear();
}

/// `_INTERNAL_<8 hex>_` with zeros for the digits: a hash of the path, in names of functions local to a file.
fn zero_hashes(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    zero_hashes_in(&mut bytes);
    // Only ASCII digits were put in the place of ASCII digits.
    String::from_utf8(bytes).unwrap_or_else(|_| line.to_owned())
}

fn zero_hashes_in(bytes: &mut [u8]) {
    const MARK: &[u8] = b"_INTERNAL_";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(MARK.len()).position(|w| w == MARK) {
        let digits = at + found + MARK.len();
        if let Some(hash) = bytes.get_mut(digits..digits + 9)
            && hash[8] == b'_'
            && hash[..8].iter().all(u8::is_ascii_hexdigit)
        {
            hash[..8].fill(b'0');
        }
        at = digits;
    }
}

/// The PTX ISA version that a module states.
pub fn version(ptx: &str) -> Option<(u32, u32)> {
    let line = ptx.lines().find_map(|line| line.trim_start().strip_prefix(".version"))?;
    let (major, minor) = line.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The same module stating another PTX ISA version.
pub fn with_version(ptx: &str, (major, minor): (u32, u32)) -> String {
    let mut out = String::with_capacity(ptx.len());
    for line in ptx.split_inclusive('\n') {
        if line.starts_with(".version") {
            out.push_str(&format!(".version {major}.{minor}\n"));
        } else {
            out.push_str(line);
        }
    }
    out
}

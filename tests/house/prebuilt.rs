//! Prebuilt PTX that is missing, stale, cut short or edited is refused, and the error says what to do.

use super::build::params;
use super::build::prebuilt::{Built, INDEX, load};
use super::build::sources;
use super::build::unit::{Unit, units};
use super::manifest::ROWS;
use super::{Scratch, files, read, root};
use halfbyte::kernels;
use std::fs;

/// A copy of `kernels/`, to spoil.
fn copy(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let kernels = root().join("kernels");
    for ending in [".cuh", ".ptx", ".txt"] {
        for path in files(&kernels, ending) {
            let below =
                path.strip_prefix(&kernels).expect("it is below").to_str().expect("our names are ASCII").to_owned();
            scratch.write(&below, &read(&path));
        }
    }
    scratch
}

fn try_load(scratch: &Scratch) -> Result<(String, Vec<Built>), String> {
    let units = units(ROWS).expect("the manifest is sound");
    let header = params::header(ROWS).expect("the manifest is sound");
    let key = |unit: &Unit, compiler: &str| sources::key(&scratch.0, unit, &header, compiler);
    load(&scratch.0.join("prebuilt"), &units, key)
}

/// The error names the file and the command.
fn refused(scratch: &Scratch, file: &str) {
    let error = try_load(scratch).expect_err("spoiled files are refused");
    assert!(error.contains(file), "{error} names {file}");
    assert!(error.contains("cargo run --release --example export_kernels"), "{error} names the command");
}

#[test]
fn the_committed_files_are_current() {
    let (compiler, built) = try_load(&copy("prebuilt-current")).expect("kernels/prebuilt/ is current");
    assert!(compiler.starts_with("13.0."), "{compiler}");
    assert_eq!(built.len(), units(ROWS).expect("the manifest is sound").len());
}

#[test]
fn a_checkout_with_crlf_is_current() {
    let scratch = copy("prebuilt-crlf");
    for path in [".cuh", ".ptx", ".txt"].iter().flat_map(|ending| files(&scratch.0, ending)) {
        fs::write(&path, read(&path).replace('\n', "\r\n")).expect("a file of ours");
    }
    assert_eq!(try_load(&scratch), try_load(&copy("prebuilt-lf")));
}

#[test]
fn missing_files_are_refused() {
    let scratch = copy("prebuilt-missing");
    let file = units(ROWS).expect("the manifest is sound")[0].file("ptx");
    fs::remove_file(scratch.0.join("prebuilt").join(&file)).expect("it was there");
    refused(&scratch, &file);
    fs::remove_file(scratch.0.join("prebuilt").join(INDEX)).expect("it was there");
    refused(&scratch, INDEX);
}

#[test]
fn files_cut_short_or_edited_are_refused() {
    let scratch = copy("prebuilt-cut");
    let file = units(ROWS).expect("the manifest is sound")[0].file("ptx");
    let path = scratch.0.join("prebuilt").join(&file);
    let text = read(&path);
    fs::write(&path, &text[..text.len() / 2]).expect("a file of ours");
    refused(&scratch, &file);
    fs::write(&path, "").expect("a file of ours");
    refused(&scratch, &file);
    fs::write(&path, text.replacen("ret;", "trap;", 1)).expect("a file of ours");
    refused(&scratch, &file);
    fs::write(&path, text).expect("a file of ours");
    assert!(try_load(&scratch).is_ok());
}

#[test]
fn an_index_cut_short_or_edited_is_refused() {
    let scratch = copy("prebuilt-index");
    let path = scratch.0.join("prebuilt").join(INDEX);
    let text = read(&path);
    let last = units(ROWS).expect("the manifest is sound").pop().expect("there are units").file("ptx");
    for spoiled in [
        text[..text.rfind(&last).expect("it is listed")].to_owned(),
        text[..text.rfind(&last).expect("it is listed") + last.len() + 10].to_owned(),
        text.replace("compiler ", "compiler 12."),
        text.replace("compiler ", ""),
        String::new(),
    ] {
        fs::write(&path, spoiled).expect("a file of ours");
        refused(&scratch, "prebuilt");
    }
}

#[test]
fn changed_sources_make_them_stale() {
    let units = units(ROWS).expect("the manifest is sound");
    for unit in &units {
        let scratch = copy("prebuilt-stale");
        let source = format!("{}.cuh", unit.source);
        scratch.write(&source, &(read(&scratch.0.join(&source)) + "\n// edited\n"));
        // A source that serves several targets is refused at the first.
        let first = units.iter().find(|other| other.source == unit.source).expect("it is one of them");
        refused(&scratch, &first.file("ptx"));
    }
}

#[test]
fn an_export_is_checked_file_by_file() {
    let scratch = Scratch::new("export");
    let dir = &scratch.0;
    scratch.write("index.txt", "compiler 12.0.0\ngone/old.sm_80.ptx 0 0\n../kept.ptx 0 0\n/kept.ptx 0 0\n");
    let old = scratch.write("gone/old.sm_80.ptx", "");
    kernels::export(dir).expect("a folder of ours");
    assert!(!old.exists(), "what an older export left is gone");
    fs::remove_dir(dir.join("gone")).expect("it is empty");
    kernels::check(dir).expect("it was just written");

    let module = &kernels::modules()[0];
    let path = dir.join(module.file());
    let says = |what: &str| {
        let error = kernels::check(dir).expect_err("it was spoiled").to_string();
        assert!(error.contains(what), "{error} says {what}");
    };
    fs::write(&path, module.ptx.replacen(".address_size 64", ".address_size 32", 1)).expect("a file of ours");
    says(&format!("{} differs from the embedded PTX at line 4", path.display()));
    fs::write(&path, &module.ptx[..module.ptx.len() - 2]).expect("a file of ours");
    says("differs");
    fs::remove_file(&path).expect("it was there");
    says("cannot read");
    fs::write(&path, module.ptx.replace('\n', "\r\n")).expect("a file of ours");
    kernels::check(dir).expect("only the line ends differ");
    let stray = scratch.write("gemm/stray.ptx", "");
    says(&format!("{} belongs to no module", stray.display()));
}

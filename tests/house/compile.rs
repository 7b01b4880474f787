//! Compiling, with programs that stand in for nvcc and ptxas: what is passed to them, what is made of what they print.
#![cfg(unix)]

use super::build::compile::Compiler;
use super::build::nvcc::Nvcc;
use super::build::unit::{Unit, units};
use super::manifest::ROWS;
use super::{PROGRAMS, Scratch, program, read};
use std::fs;
use std::sync::MutexGuard;

/// A crate with the sources of one unit and a toolkit whose ptxas knows PTX 7.4 and later.
struct House {
    scratch: Scratch,
    unit: Unit,
    nvcc: Nvcc,
    _alone: MutexGuard<'static, ()>,
}

impl House {
    fn new(name: &str) -> House {
        let alone = PROGRAMS.lock().unwrap_or_else(|e| e.into_inner());
        let scratch = Scratch::new(name);
        let unit = units(ROWS).expect("the manifest is sound").remove(0);
        scratch.write(&format!("repo/kernels/{}.cuh", unit.source), "#include \"params.cuh\"\n");
        fs::create_dir_all(scratch.0.join("cuda/nvvm")).expect("a folder of ours");
        // It writes what follows -o, and down how it was called; its last argument is the source.
        let path = program(
            &scratch,
            "cuda/bin/nvcc",
            "for a; do [ \"$o\" = -o ] && out=$a; o=$a; done\n\
             echo \"$*\" >>\"$0.calls\"\n\
             printf '// Compiler Build ID: 1\\n.version 9.0\\n.target sm_80\\n\\t.file\\t1 \"%s\"\\n' \"$a\" >\"$out\"",
        );
        program(
            &scratch,
            "cuda/bin/ptxas",
            "for a; do case $a in *.trial.ptx) ptx=$a;; esac; done\n\
             grep -q '^.version \\(7.[4-9]\\|[89]\\)' \"$ptx\" || { echo too old >&2; exit 1; }",
        );
        House { scratch, unit, nvcc: Nvcc { path, version: "13.0.88".to_owned() }, _alone: alone }
    }

    fn compile(&self) -> Result<String, String> {
        let (repository, out) = (self.scratch.0.join("repo"), self.scratch.0.join("out"));
        let compiler = Compiler { nvcc: &self.nvcc, repository: &repository, out: &out, params: "int params;\n" };
        let built = compiler.all(std::slice::from_ref(&self.unit), 2)?;
        assert_eq!(read(&out.join(self.unit.file("ptx"))), built[0].ptx);
        assert_eq!(read(&out.join("include/params.cuh")), "int params;\n");
        Ok(built[0].ptx.clone())
    }

    /// How nvcc was called, one line a call.
    fn calls(&self) -> Vec<String> {
        read(&self.nvcc.path.with_extension("calls")).lines().map(str::to_owned).collect()
    }
}

#[test]
fn ptx_is_normalized_and_states_the_least_version() {
    let house = House::new("compile");
    let title = format!("kernels/{}.cuh for {}", house.unit.source, house.unit.target.name());
    let expected = format!("// {title}\n.version 7.4\n.target sm_80\n\t.file\t1 \"<manifest>\"\n");
    assert_eq!(house.compile().as_deref(), Ok(expected.as_str()));
    let calls = house.calls();
    assert_eq!(calls.len(), 1);
    for flag in ["-std=c++17", "-O3", "-lineinfo", "-fmad=false", "-ptx", "-arch=compute_80"] {
        assert!(calls[0].split(' ').any(|argument| argument == flag), "{flag} in {}", calls[0]);
    }
    // The generated parameter blocks come before those of the source tree.
    let (generated, kernels) = (calls[0].find("/out/include"), calls[0].find("/repo/kernels"));
    assert!(generated.is_some() && generated < kernels, "{}", calls[0]);
}

#[test]
fn what_is_unchanged_is_not_compiled_again() {
    let house = House::new("compile-again");
    let first = house.compile();
    assert_eq!(house.compile(), first);
    assert_eq!(house.calls().len(), 1);
    house.scratch.write(&format!("repo/kernels/{}.cuh", house.unit.source), "int edited;\n");
    assert_eq!(house.compile(), first);
    assert_eq!(house.calls().len(), 2, "an edited source");
    house.scratch.write(&format!("out/{}", house.unit.file("ptx")), "spoiled");
    assert_eq!(house.compile(), first);
    assert_eq!(house.calls().len(), 3, "a spoiled output");
}

#[test]
fn what_the_tools_say_is_the_error() {
    let house = House::new("compile-fails");
    program(&house.scratch, "cuda/bin/ptxas", "echo 'line 7; error: no such instruction' >&2; exit 255");
    assert!(house.compile().is_err_and(|e| e.contains("no such instruction") && e.contains("ptxas failed")));
    program(&house.scratch, "cuda/bin/nvcc", "echo 'x.cuh(3): error: expected a ;'; exit 2");
    assert!(house.compile().is_err_and(|e| e.contains("expected a ;") && e.contains("nvcc failed")));
    fs::remove_file(house.scratch.0.join("cuda/bin/ptxas")).expect("it was written");
    program(
        &house.scratch,
        "cuda/bin/nvcc",
        "for a; do [ \"$o\" = -o ] && out=$a; o=$a; done; echo .version 9.0 >\"$out\"",
    );
    assert!(house.compile().is_err_and(|e| e.contains("ptxas is not beside")));
}

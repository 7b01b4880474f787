//! Which compiler is found, and when the prebuilt PTX is taken instead.

use super::build::choose::{Choice, Mode, choose};
use super::build::fatbin::{self, Tools};
use super::build::nvcc::{Nvcc, Search, find, parse_version};
use super::manifest::Target;
#[cfg(unix)]
use super::{PROGRAMS, Scratch, program};
use std::path::PathBuf;

const BANNER: &str = "nvcc: NVIDIA (R) Cuda compiler driver\nBuilt on Wed_Aug_20_01:58:59_PM_PDT_2025\n\
                      Cuda compilation tools, release 13.0, V13.0.88\nBuild cuda_13.0.r13.0/compiler.36424714_0\n";

fn nvcc(version: &str) -> Nvcc {
    Nvcc { path: PathBuf::from("/opt/cuda/bin/nvcc"), version: version.to_owned() }
}

#[test]
fn versions() {
    assert_eq!(parse_version(BANNER).as_deref(), Some("13.0.88"));
    for bad in ["", "release", "Cuda compilation tools, release 13.0", "release 13.0, V13.0", "release 13.0, V13.x.1"] {
        assert_eq!(parse_version(bad), None, "{bad}");
    }
    assert!(nvcc("13.0.48").is_pinned());
    for other in ["13.5.37", "12.9.86", "13.1.0", "130.0.1"] {
        assert!(!nvcc(other).is_pinned(), "{other}");
    }
}

#[test]
fn modes() {
    assert_eq!(Mode::parse(None), Ok(Mode::Auto));
    assert_eq!(Mode::parse(Some("source")), Ok(Mode::Source));
    assert_eq!(Mode::parse(Some("prebuilt")), Ok(Mode::Prebuilt));
    assert!(Mode::parse(Some("sources")).is_err_and(|e| e.contains("`sources`")));
}

#[test]
fn choices() {
    let (pinned, other) = (nvcc("13.0.88"), nvcc("13.5.37"));
    assert_eq!(choose(Mode::Auto, false, Some(pinned.clone())), Ok(Choice::Compile(pinned.clone())));
    assert_eq!(choose(Mode::Auto, false, None), Ok(Choice::Prebuilt(None)));
    assert_eq!(choose(Mode::Prebuilt, true, Some(pinned.clone())), Ok(Choice::Prebuilt(None)));
    assert_eq!(choose(Mode::Source, false, Some(pinned.clone())), Ok(Choice::Compile(pinned)));
    let note = choose(Mode::Auto, false, Some(other.clone()));
    assert!(matches!(&note, Ok(Choice::Prebuilt(Some(note))) if note.contains("13.5.37")), "{note:?}");
    assert_eq!(choose(Mode::Auto, true, Some(other.clone())), Ok(Choice::Compile(other.clone())));
    assert_eq!(choose(Mode::Source, true, Some(other.clone())), Ok(Choice::Compile(other.clone())));
    assert!(
        choose(Mode::Source, false, Some(other))
            .is_err_and(|e| e.contains("13.5.37") && e.contains("HALFBYTE_ANY_NVCC"))
    );
    assert!(choose(Mode::Source, false, None).is_err_and(|e| e.contains("NVCC") && e.contains("CUDA_HOME")));
}

/// A program that answers `--version` as nvcc does.
#[cfg(unix)]
fn fake(scratch: &Scratch, folder: &str, version: &str) -> PathBuf {
    program(scratch, &format!("{folder}/nvcc"), &format!("echo 'Cuda compilation tools, release x, V{version}'"))
}

#[cfg(unix)]
#[test]
fn the_pinned_compiler_is_preferred() {
    let _alone = PROGRAMS.lock().unwrap_or_else(|e| e.into_inner());
    let scratch = Scratch::new("find-nvcc");
    let old = fake(&scratch, "old/bin", "12.4.131");
    let new = fake(&scratch, "new/bin", "13.0.88");
    let home = |name: &str| Some(scratch.0.join(name).into_os_string());
    let path = |names: &[&str]| std::env::join_paths(names.iter().map(|name| scratch.0.join(name))).ok();
    let found = |search: &Search| find(search).map(|nvcc| nvcc.map(|nvcc| nvcc.path));

    assert_eq!(found(&Search::default()), Ok(None));
    assert_eq!(
        found(&Search { path: path(&["none", "old/bin", "new/bin"]), ..Search::default() }),
        Ok(Some(new.clone()))
    );
    assert_eq!(found(&Search { path: path(&["old/bin"]), ..Search::default() }), Ok(Some(old.clone())));
    assert_eq!(
        found(&Search { cuda_home: home("old"), cuda_path: home("new"), ..Search::default() }),
        Ok(Some(new.clone()))
    );
    assert_eq!(found(&Search { cuda_home: home("gone"), ..Search::default() }), Ok(None));
    // NVCC is an order: nothing else is looked at, and it must run.
    let order = Search { nvcc: Some(old.clone().into()), cuda_home: home("new"), ..Search::default() };
    assert_eq!(found(&order), Ok(Some(old)));
    let bare = Search { nvcc: Some("nvcc".into()), path: path(&["none", "new/bin"]), ..Search::default() };
    assert_eq!(found(&bare), Ok(Some(new.clone())));
    assert!(
        found(&Search { nvcc: home("gone/nvcc"), cuda_home: home("new"), ..Search::default() })
            .is_err_and(|e| e.contains("NVCC"))
    );

    let tools = Tools::of(find(&Search { nvcc: Some(new.into()), ..Search::default() }).expect("it runs").as_ref());
    assert!(tools.is_err_and(|e| e.contains("ptxas") && e.contains("HALFBYTE_CUDA_ARCHS")));
    assert!(Tools::of(None).is_err_and(|e| e.contains("CUDA_HOME")));
}

#[test]
fn architectures() {
    assert_eq!(fatbin::parse(""), Ok(vec![]));
    assert_eq!(fatbin::parse(" 80, sm_90a;120f 80"), Ok(vec!["80".to_owned(), "90a".to_owned(), "120f".to_owned()]));
    for bad in ["native", "8.0", "80x", "90aa", "a", "7"] {
        assert!(fatbin::parse(bad).is_err_and(|e| e.contains(bad)), "{bad}");
    }
    assert!(
        fatbin::serves(Target::Sm80, "80")
            && fatbin::serves(Target::Sm80, "90a")
            && fatbin::serves(Target::Sm80, "120f")
    );
    assert!(!fatbin::serves(Target::Sm80, "75") && !fatbin::serves(Target::Sm89, "86"));
    assert!(
        fatbin::serves(Target::Sm90a, "90a")
            && !fatbin::serves(Target::Sm90a, "90")
            && !fatbin::serves(Target::Sm90a, "100a")
    );
}

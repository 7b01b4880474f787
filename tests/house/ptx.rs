//! What the embedded PTX must be: just the entries of the manifest, and nothing of the machine that made it.

use super::manifest::ROWS;
use super::root;
use halfbyte::kernels::{self, Module};
use std::collections::BTreeSet;

/// Name, alignment and size of the parameter, for every entry of a module; `.maxntid` too.
fn entries(module: &Module) -> Vec<(String, u32, u32, u32)> {
    let number = |text: &str| text.trim().parse::<u32>().unwrap_or_else(|_| panic!("a number: {text}"));
    let between = |text: &str, a: &str, b: &str| {
        let (_, rest) = text.split_once(a).unwrap_or_else(|| panic!("`{a}` in {}", module.file()));
        rest.split_once(b).unwrap_or_else(|| panic!("`{b}` in {}", module.file())).0.to_owned()
    };
    let heads = module.ptx.split(".entry ").skip(1).map(|rest| rest.split('{').next().unwrap_or(""));
    let read = |head: &str| {
        let name = head.split('(').next().unwrap_or("").trim().to_owned();
        let params: Vec<&str> = head.lines().filter(|line| line.contains(".param ")).collect();
        assert_eq!(params.len(), 1, "{name} has one parameter");
        let align = number(&between(params[0], ".align ", " "));
        let size = number(&between(params[0], "[", "]"));
        let threads = number(&between(head, ".maxntid ", ","));
        (name, align, size, threads)
    };
    heads.map(read).collect()
}

#[test]
fn a_module_has_the_entries_of_its_rows() {
    let mut modules = BTreeSet::new();
    for module in kernels::modules() {
        assert!(modules.insert((module.source, module.target.name())), "{} is there twice", module.file());
        let mut found = entries(module);
        for row in module.rows() {
            let at = found.iter().position(|(name, ..)| name == row.symbol);
            let at = at.unwrap_or_else(|| panic!("{} has no entry {}", module.file(), row.symbol));
            let (_, align, size, threads) = found.swap_remove(at);
            assert_eq!((align as usize, size as usize), (row.params.align(), row.params.size()), "{}", row.symbol);
            assert_eq!(threads, row.threads, "{}", row.symbol);
        }
        assert!(found.is_empty(), "{} has entries that no row names: {found:?}", module.file());
        assert!(module.ptx.contains(&format!("\n.target {}\n", module.target.name())), "target of {}", module.file());
    }
    let rows: usize = ROWS.iter().map(|row| row.targets.len()).sum();
    let served: usize = kernels::modules().iter().map(|module| module.rows().count()).sum();
    assert_eq!(rows, served, "every row is in the module of each of its targets");
}

#[test]
fn a_module_states_the_driver_it_needs() {
    for module in kernels::modules() {
        let (major, minor) = module.version;
        assert!(module.ptx.contains(&format!("\n.version {major}.{minor}\n")), "{}", module.file());
        let driver = module.driver().unwrap_or_else(|| panic!("{} states {major}.{minor}", module.file()));
        let cuda = module.cuda_version().expect("it stands in the same row");
        // nvcc 13.0 states 9.0; older drivers are served only because the version was lowered.
        assert!(cuda < 13000, "{} needs driver {driver}, CUDA {cuda}", module.file());
    }
}

#[test]
fn nothing_of_the_machine_is_in_the_ptx() {
    for module in kernels::modules() {
        let file = module.file();
        assert!(!module.ptx.contains('\r') && module.ptx.ends_with("}\n"), "line ends of {file}");
        assert!(!module.ptx.contains("Build ID") && !module.ptx.contains("NVVM"), "the compiler's heading in {file}");
        for line in module.ptx.lines().filter(|line| line.trim_start().starts_with(".file")) {
            let path = line.split('"').nth(1).expect("a quoted path");
            let ours = path.starts_with("kernels/") && root().join(path).is_file();
            assert!(ours || path == "<manifest>" || path.starts_with("<cuda>/"), "{file}: {path}");
        }
        let bytes: Vec<u8> = module
            .ptx
            .lines()
            .filter_map(|line| line.strip_prefix(".b8 "))
            .flat_map(|values| values.split(',').map(|value| value.parse::<u8>().expect("a byte")))
            .collect();
        for text in [String::from_utf8_lossy(&bytes).as_ref(), module.ptx] {
            for name in text.split("_INTERNAL_").skip(1) {
                assert!(name.starts_with("00000000_"), "{file}: _INTERNAL_{}", &name[..name.len().min(40)]);
            }
        }
    }
}

#[test]
fn the_prebuilt_ptx_is_the_embedded_one() {
    let embedded = kernels::provenance();
    let prebuilt = root().join("kernels/prebuilt");
    let index = super::read(&prebuilt.join("index.txt"));
    let compiler = index.lines().find_map(|line| line.strip_prefix("compiler ")).expect("it names its compiler");
    if embedded.compiler == compiler {
        kernels::check(&prebuilt).expect("kernels/prebuilt/ is what this build embeds");
    } else {
        // Only HALFBYTE_ANY_NVCC or another 13.0.x gets here.
        println!("not compared: embedded by nvcc {}, prebuilt by {compiler}", embedded.compiler);
    }
}

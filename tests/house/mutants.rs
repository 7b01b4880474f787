//! The table of planted faults fits the kernels as they are: what cannot be planted any more is noticed here, without
//! nvcc.

use super::manifest::ROWS;
use super::{read, root};
use std::collections::{BTreeMap, BTreeSet};

#[path = "../../examples/mutants/table.rs"]
#[allow(dead_code)] // The program uses its share of it.
mod table;

use table::{Kind, Table};

/// Faults of a kernel, at least.
const LEAST: usize = 10;

fn tables() -> Vec<Table> {
    table::load(&root().join("tests/mutants")).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_kernel_has_its_mutants() {
    let tables = tables();
    let sources: BTreeSet<&str> = ROWS.iter().map(|row| row.source).filter(|s| !s.starts_with("probe/")).collect();
    for source in &sources {
        let of: Vec<&Table> = tables.iter().filter(|table| table.source == *source).collect();
        assert_eq!(of.len(), 1, "tables of kernels/{source}.cuh");
        assert_eq!(source.rsplit('/').next(), Some(of[0].kernel.as_str()));
        let caught = of[0].mutants.iter().filter(|mutant| mutant.survives.is_none()).count();
        assert!(caught >= LEAST, "kernels/{source}.cuh has {caught} mutants, at least {LEAST}");
    }
    assert_eq!(tables.len(), sources.len(), "a table is about no kernel");
    let mut of_kind = BTreeMap::new();
    for mutant in tables.iter().flat_map(|table| &table.mutants) {
        *of_kind.entry(mutant.kind).or_insert(0) += 1;
        assert!(mutant.survives.as_ref().is_none_or(|reason| reason.len() > 20), "{}: why?", mutant.id);
    }
    println!("{} mutants: {of_kind:?}", tables.iter().map(|table| table.mutants.len()).sum::<usize>());
    for kind in Kind::ALL {
        assert!(of_kind.contains_key(&kind), "no mutant is about {kind:?}");
    }
}

/// The faults that the emulator's prototype was tried with are all planted here.
#[test]
fn the_prototypes_faults_are_planted() {
    let tables = tables();
    let mutants = tables.iter().flat_map(|table| &table.mutants).filter(|mutant| mutant.survives.is_none());
    let mut numbers: Vec<u32> = mutants.filter_map(|mutant| mutant.prototype).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=19).collect::<Vec<_>>());
}

#[test]
fn every_edit_fits() {
    let mut unfit = Vec::new();
    let mut edits = 0;
    for table in tables() {
        for mutant in &table.mutants {
            let mut files = BTreeMap::new();
            for edit in &mutant.edits {
                let text = files.entry(&edit.file).or_insert_with(|| read(&root().join("kernels").join(&edit.file)));
                match edit.apply(text) {
                    Ok(edited) => *text = edited,
                    Err(message) => unfit.push(format!("{}/{}: {message}", table.kernel, mutant.id)),
                }
                edits += 1;
            }
        }
    }
    assert!(unfit.is_empty(), "{}", unfit.join("\n"));
    assert!(edits > 0);
}

/// What an edit must be, by edits that are none.
#[test]
fn an_edit_is_told_where_it_stands() {
    let edit = |old: &str, new: &str, nth| table::Edit {
        file: "x.cuh".to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        nth,
    };
    assert_eq!(edit("b", "x", None).apply("abc").as_deref(), Ok("axc"));
    assert_eq!(edit("b", "", Some([2, 2])).apply("abcb").as_deref(), Ok("abc"));
    for (wrong, why) in [
        (edit("b", "x", None), "twice"),
        (edit("b", "x", Some([1, 3])), "twice, not three times"),
        (edit("b", "x", Some([3, 2])), "no third"),
        (edit("b", "x", Some([0, 2])), "counted from 1"),
        (edit("d", "x", None), "not at all"),
        (edit("", "x", None), "nothing"),
        (edit("b", "b", Some([1, 2])), "the same"),
    ] {
        assert!(wrong.apply("abcb").is_err(), "{why}");
    }
}

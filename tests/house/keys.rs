//! What a unit's key depends on, the hash behind it, and the threads that compile.

use super::Scratch;
use super::build::compile::parallel;
use super::build::hash;
use super::build::sources::{files, key};
use super::build::unit::{Unit, units};
use super::manifest::ROWS;

#[test]
fn hash_is_fnv_1a() {
    // Test vectors of the FNV authors.
    for (text, expected) in [
        ("", "6c62272e07bb014262b821756295c58d"),
        ("a", "d228cb696f1a8caf78912b704e4a8964"),
        ("foobar", "343e1662793c64bf6f0d3597ba446f18"),
    ] {
        assert_eq!(hash::Hash::new().bytes(text.as_bytes()).hex(), expected, "{text}");
    }
    let fields = |fields: &[&str]| fields.iter().fold(hash::Hash::new(), |hash, field| hash.field(field)).hex();
    assert_ne!(fields(&["ab", "c"]), fields(&["a", "bc"]));
    assert_eq!(hash::of("a\r\nb"), hash::of("a\nb"));
}

/// A unit of the manifest, and a `kernels` folder with its source and what that includes.
fn kernels(name: &str) -> (Scratch, Unit) {
    let unit = units(ROWS).expect("the manifest is sound").remove(0);
    let scratch = Scratch::new(name);
    scratch.write(
        &format!("{}.cuh", unit.source),
        "#include \"params.cuh\"\n# include <tile/a.cuh>\n#include \"near.cuh\"\n#include <cuda_fp16.h>\n",
    );
    scratch.write(
        "tile/a.cuh",
        "#pragma once\n#include \"../tile/b.cuh\"\n#include \"a.cuh\"\n#include \"../../outside.h\"\n",
    );
    scratch.write("tile/b.cuh", "int b;\n");
    scratch.write("near.cuh", "not this one\n");
    let folder = unit.source.rsplit_once('/').expect("a folder").0;
    scratch.write(&format!("{folder}/near.cuh"), "int near;\n");
    scratch.write("tile/unused.cuh", "int unused;\n");
    (scratch, unit)
}

#[test]
fn a_key_covers_what_is_included() {
    let (scratch, unit) = kernels("keys");
    let folder = unit.source.rsplit_once('/').expect("a folder").0;
    let found = files(&scratch.0, &unit, "int params;\n").expect("all is there");
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let mut expected = vec![format!("{}.cuh", unit.source), format!("{folder}/near.cuh")];
    expected.extend(["params.cuh", "tile/a.cuh", "tile/b.cuh"].map(str::to_owned));
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(found["params.cuh"], "int params;\n");

    let now = || key(&scratch.0, &unit, "int params;\n", "13.0.88").expect("all is there");
    let before = now();
    scratch.write("tile/unused.cuh", "int other;\n");
    assert_eq!(now(), before, "a file that is not included");
    scratch.write("tile/b.cuh", "int b;\r\n");
    assert_eq!(now(), before, "line ends");
    assert_ne!(key(&scratch.0, &unit, "int params;\n", "13.0.48").expect("all is there"), before, "the compiler");
    assert_ne!(
        key(&scratch.0, &unit, "int param;\n", "13.0.88").expect("all is there"),
        before,
        "the parameter blocks"
    );
    let fewer = Unit { rows: unit.rows[1..].to_vec(), ..unit.clone() };
    assert_ne!(key(&scratch.0, &fewer, "int params;\n", "13.0.88").expect("all is there"), before, "the rows");
    scratch.write("tile/b.cuh", "int c;\n");
    assert_ne!(now(), before, "a file that is included by one that is included");
}

#[test]
fn a_missing_source_is_named() {
    let (scratch, unit) = kernels("missing-source");
    std::fs::remove_file(scratch.0.join(format!("{}.cuh", unit.source))).expect("it was written");
    let error = key(&scratch.0, &unit, "", "13.0.88").expect_err("the source is gone");
    assert!(error.contains(&format!("kernels/{}.cuh", unit.source)) && error.contains(unit.rows[0].symbol), "{error}");
}

#[test]
fn parallel_work_keeps_its_order() {
    let items: Vec<usize> = (0..50).collect();
    for jobs in [0, 1, 3, 100] {
        assert_eq!(parallel(&items, jobs, |i| Ok(i * i)), Ok(items.iter().map(|i| i * i).collect()));
    }
    let result = parallel(&items, 4, |&i| if i % 20 == 19 { Err(format!("{i} failed")) } else { Ok(i) });
    assert_eq!(result, Err("19 failed".to_owned()));
    assert_eq!(parallel(&[] as &[usize], 4, |i| Ok(*i)), Ok(vec![]));
}

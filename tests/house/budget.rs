//! Files stay about one thing: how long they may grow, how much PTX there may be, and one stem for one thing.

use super::{files, manifest::ROWS, read, root};
use std::collections::BTreeSet;

const RUST_LINES: usize = 500;
const DEVICE_LINES: usize = 400;
/// Kernels that one operation launches together, and its stem.
const TOGETHER: [(&str, &str); 4] = [
    ("key_mean", "attention_quantize"),
    ("quantize_heads", "attention_quantize"),
    ("quantize_values", "attention_quantize"),
    ("prefill_int8", "attention_int8"),
];

#[test]
fn files_are_short() {
    let folders = ["src", "build", "kernels", "tests", "examples", "benches", "cli"];
    let mut long = Vec::new();
    let mut seen = 0;
    for (ending, most) in [(".rs", RUST_LINES), (".cuh", DEVICE_LINES)] {
        for path in folders.iter().flat_map(|folder| files(&root().join(folder), ending)) {
            let lines = read(&path).lines().count();
            // The parameter blocks are written from the manifest.
            if lines > most && path != root().join("kernels/params.cuh") {
                long.push(format!("{}: {lines} lines, at most {most}", path.display()));
            }
            seen += 1;
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert!(seen > 20, "the folders were found, {seen} files were read");
}

/// What `cargo fmt` leaves alone: comments in Rust. Rows of tables, drawings and names without a space cannot be
/// broken.
#[test]
fn comments_keep_to_120_columns() {
    let mut wide = Vec::new();
    let mut seen = 0;
    for path in
        ["src", "build", "tests", "examples", "benches", "cli"].iter().flat_map(|f| files(&root().join(f), ".rs"))
    {
        for (at, line) in read(&path).lines().enumerate() {
            let text = line.trim_start();
            let Some(comment) = text.strip_prefix("//") else { continue };
            let words = comment.trim_start_matches(['/', '!']).trim_start();
            seen += 1;
            if line.chars().count() > 120 && !words.starts_with('|') && words.contains(' ') {
                wide.push(format!("{}:{}", path.display(), at + 1));
            }
        }
    }
    assert!(wide.is_empty(), "wider than 120 columns:\n{}", wide.join("\n"));
    assert!(seen > 5000, "{seen} lines of comments were read");
}

#[test]
fn prebuilt_ptx_is_small() {
    let bytes: u64 =
        files(&root().join("kernels/prebuilt"), "").iter().map(|path| path.metadata().map_or(0, |m| m.len())).sum();
    assert!(bytes > 0 && bytes <= 24 << 20, "kernels/prebuilt/ holds {bytes} bytes, at most {}", 24 << 20);
}

/// `gemm_s8_mma` as a Rust type is called: `GemmS8Mma`.
fn camel(stem: &str) -> String {
    stem.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

#[test]
fn one_stem_for_one_thing() {
    for row in ROWS {
        let (_, stem) = row.source.rsplit_once('/').expect("a source is <folder>/<stem>");
        assert!(root().join(format!("kernels/{}.cuh", row.source)).is_file(), "kernels/{}.cuh", row.source);
        let function = row.call.split('<').next().unwrap_or("").rsplit("::").next();
        let params = row.params.name.strip_suffix("Params");
        // One loop multiplies every element, and one attends in every one: its sources are named by what they multiply,
        // its entries by that and more.
        if function == Some("gemm_mma") {
            assert!(stem.starts_with("gemm_") && stem.contains("_mma"), "{stem}");
            assert!(row.symbol.starts_with("gemm_") && row.symbol.contains("_mma_"), "{}", row.symbol);
            assert_eq!(format!("{:?}", row.entry), camel(row.symbol), "{}", row.symbol);
            assert_eq!(params, Some("GemmMma"), "parameter block of {}", row.symbol);
            continue;
        }
        if function == Some("attention_prefill") {
            assert!(stem.starts_with("attention_prefill_") && row.symbol.starts_with(&format!("{stem}_")), "{stem}");
            assert_eq!(format!("{:?}", row.entry), camel(row.symbol), "{}", row.symbol);
            assert_eq!(params, Some("AttentionPrefill"), "parameter block of {}", row.symbol);
            continue;
        }
        assert!(row.symbol.starts_with(&format!("{stem}_")), "the symbol {} does not start with {stem}", row.symbol);
        assert_eq!(function, Some(stem), "{} calls {}", row.symbol, row.call);
        assert!(
            format!("{:?}", row.entry).starts_with(&camel(stem)),
            "{:?} does not start with {}",
            row.entry,
            camel(stem)
        );
        assert_eq!(params, Some(camel(stem).as_str()), "parameter block of {}", row.symbol);
    }
    // An operation has the stem of its kernels, up to what tells one kernel from the next.
    let stems: BTreeSet<&str> = ROWS.iter().filter_map(|row| row.source.rsplit('/').next()).collect();
    for room in ["plan", "op"] {
        let names: Vec<String> = files(&root().join("src").join(room), ".rs")
            .iter()
            .filter_map(|path| path.strip_prefix(root().join("src").join(room)).ok()?.components().next())
            .map(|first| first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
            .collect();
        for stem in &stems {
            let together = TOGETHER.iter().find(|(kernel, _)| kernel == stem).map_or(*stem, |(_, operation)| operation);
            let stem = &together;
            let served = names.iter().any(|name| stem == name || stem.starts_with(&format!("{name}_")));
            assert!(served, "src/{room}/ has no file for {stem}: {names:?}");
        }
    }
}

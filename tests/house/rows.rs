//! What every row of the manifest must be.

use super::build::params;
use super::manifest::{Field, ROWS, Row};
use super::{read, root};
use std::collections::BTreeSet;

/// The keys as `manifest.rs` declares them.
fn declared() -> Vec<String> {
    let text = read(&root().join("kernels/manifest.rs"));
    let body =
        text.split_once("pub enum Entry {").and_then(|(_, rest)| rest.split_once('}')).expect("the enum of keys").0;
    let names = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['/', '#']));
    names.map(|line| line.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn every_key_has_one_row() {
    let keys = declared();
    assert!(!keys.is_empty());
    for key in &keys {
        let rows = ROWS.iter().filter(|row| format!("{:?}", row.entry) == *key).count();
        assert_eq!(rows, 1, "rows of Entry::{key}");
    }
    assert_eq!(keys.len(), ROWS.len());
    assert!(ROWS.len() <= 250, "{} rows, at most 250", ROWS.len());
    for row in ROWS {
        assert_eq!(row.entry.row().symbol, row.symbol);
    }
}

#[test]
fn symbols_are_unique() {
    let symbols: BTreeSet<&str> = ROWS.iter().map(|row| row.symbol).collect();
    assert_eq!(symbols.len(), ROWS.len());
    for symbol in symbols {
        assert!(symbol.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{symbol}");
    }
}

/// The integers among the template arguments of a call.
fn integers(call: &str) -> Vec<u32> {
    let arguments = call.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map_or("", |(inner, _)| inner);
    arguments.split(',').filter_map(|argument| argument.trim().parse().ok()).collect()
}

#[test]
fn constants_are_those_of_the_call() {
    for row in ROWS {
        // `gemm_mma` takes the bytes of K, the row names its elements: f16 and bf16 have two.
        let wide = row.call.starts_with("gemm_mma<gemm::F16") || row.call.starts_with("gemm_mma<gemm::Bf16");
        let of = |&(name, value): &(&str, u32)| if wide && name == "TILE_K" { 2 * value } else { value };
        let values: Vec<u32> = row.constants.iter().map(of).collect();
        assert_eq!(integers(row.call), values, "constants of {}: {}", row.symbol, row.call);
        let names: BTreeSet<&str> = row.constants.iter().map(|&(name, _)| name).collect();
        assert_eq!(names.len(), values.len(), "names of the constants of {}", row.symbol);
        if let (Some(m), Some(n), Some(k)) = (row.constant("TILE_M"), row.constant("TILE_N"), row.constant("TILE_K")) {
            assert!(row.symbol.ends_with(&format!("_{m}x{n}x{k}")), "{} has the tile {m}x{n}x{k}", row.symbol);
        }
        if let Some(threads) = row.constant("THREADS") {
            assert_eq!(threads, row.threads, "threads of {}", row.symbol);
        }
        if let (Some(m), Some(n)) = (row.constant("WARPS_M"), row.constant("WARPS_N")) {
            assert_eq!(32 * m * n, row.threads, "threads of {}", row.symbol);
        }
    }
}

/// Registers that a warp takes: given out in units of 256, that is 8 a thread.
fn registers(row: &Row) -> u32 {
    row.max_registers.next_multiple_of(8) * row.threads * row.min_blocks
}

#[test]
fn a_block_fits_its_machine() {
    for row in ROWS {
        assert!(row.threads % 32 == 0 && (32..=1024).contains(&row.threads), "{}: {} threads", row.symbol, row.threads);
        assert!(row.min_blocks >= 1 && row.max_registers <= 255, "{}", row.symbol);
        assert!(registers(row) <= 65536, "{}: {} registers a multiprocessor", row.symbol, registers(row));
        assert!(!row.targets.is_empty(), "{}", row.symbol);
        for (i, target) in row.targets.iter().enumerate() {
            assert!(!row.targets[..i].contains(target), "{} lists {} twice", row.symbol, target.name());
            // The most that one block may ask for: CUDA C++ programming guide, "Technical Specifications per Compute
            // Capability".
            let most = if target.capability() == 90 {
                227
            } else if target.capability() == 80 {
                163
            } else {
                99
            };
            assert!(row.shared_bytes <= most << 10, "{}: {} bytes of shared memory", row.symbol, row.shared_bytes);
        }
    }
}

#[test]
fn tensor_maps_come_first() {
    for row in ROWS {
        let kinds: Vec<Field> = row.params.fields.iter().map(|&(_, kind, _)| kind).collect();
        let maps = kinds.iter().take_while(|&&kind| kind == Field::TensorMap).count();
        assert!(!kinds[maps..].contains(&Field::TensorMap), "{}", row.params.name);
        assert!(row.params.size() <= 4096, "{} has {} bytes", row.params.name, row.params.size());
    }
}

#[test]
fn the_committed_header_is_the_manifests() {
    let header = params::header(ROWS).expect("the manifest is sound");
    params::check(&header, Some(&read(&root().join("kernels/params.cuh")))).expect("kernels/params.cuh is current");
    assert_eq!(halfbyte::kernels::params_header(), header);
    let old = header.replace("uint32_t", "int32_t");
    let error = params::check(&header, Some(&old)).expect_err("an edited header is refused");
    assert!(error.contains("kernels/params.cuh") && error.contains("export_kernels"), "{error}");
    assert!(params::check(&header, None).is_err());
}

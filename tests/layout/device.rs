//! The kernels' own maps, compiled for the host, against the maps of this crate: every index of each.

use std::process::Command;
use std::{env, fs, process};

use halfbyte::layout::fragment::{Holder, MMA_M16N8_D, ldmatrix_a, ldmatrix_b};
use halfbyte::layout::swizzle::{CHUNK, Swizzle};

/// Prints what the headers say, a map a line.
const PROGRAM: &str = r#"
#define __host__
#define __device__
#define __forceinline__ inline
#include <cstdio>
#include "tile/fragment.cuh"
#include "tile/swizzle.cuh"

template <int ROW_BYTES>
void swizzle() {
    printf("swizzle %d:", ROW_BYTES);
    for (unsigned row = 0; row < 64; ++row)
        for (unsigned chunk = 0; chunk < ROW_BYTES / 16; ++chunk) printf(" %u", tile::Swizzle<ROW_BYTES>::offset(row, chunk));
    puts("");
}

int main() {
    swizzle<64>();
    swizzle<128>();
    printf("ldmatrix_a:");
    for (unsigned lane = 0; lane < 32; ++lane) printf(" %u %u", tile::ldmatrix_a(lane).row, tile::ldmatrix_a(lane).chunk);
    printf("\nldmatrix_b:");
    for (unsigned lane = 0; lane < 32; ++lane) printf(" %u %u", tile::ldmatrix_b(lane).row, tile::ldmatrix_b(lane).chunk);
    printf("\naccumulator:");
    for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned i = 0; i < 4; ++i) printf(" %u %u", tile::accumulator(lane, i).row, tile::accumulator(lane, i).column);
    puts("");
}
"#;

fn line(name: &str, numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().fold(format!("{name}:"), |line, number| format!("{line} {number}"))
}

fn expected() -> Vec<String> {
    let swizzle = |swizzle: Swizzle| {
        let places = (0..64).flat_map(move |row| (0..swizzle.chunks()).map(move |chunk| (row, chunk * CHUNK)));
        let offsets = places.map(move |(row, byte)| swizzle.offset(row, byte).expect("inside"));
        line(&format!("swizzle {}", swizzle.row_bytes()), offsets)
    };
    let asked = |at: halfbyte::layout::fragment::RowChunk| [at.row.into(), at.chunk.into()];
    let accumulators = (0..32).flat_map(|lane| (0..4).map(move |register| Holder { lane, register, element: 0 }));
    vec![
        swizzle(Swizzle::ROWS_OF_64),
        swizzle(Swizzle::ROWS_OF_128),
        line("ldmatrix_a", (0..32).flat_map(|lane| asked(ldmatrix_a(lane)))),
        line("ldmatrix_b", (0..32).flat_map(|lane| asked(ldmatrix_b(lane)))),
        line(
            "accumulator",
            accumulators.flat_map(|holder| {
                let (row, column) = MMA_M16N8_D.position(holder).expect("a holder");
                [row.into(), column.into()]
            }),
        ),
    ]
}

#[test]
fn the_kernels_headers_are_the_same_maps() {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("skipped: 5 maps; there is no C++ compiler {compiler:?} to compile the kernels' headers for the host");
        return;
    }
    let folder = env::temp_dir().join(format!("halfbyte-{}-maps", process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let (source, program) = (folder.join("maps.cpp"), folder.join("maps"));
    fs::write(&source, PROGRAM).expect("the folder can be written");
    let kernels = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
    let mut command = Command::new(&compiler);
    let compiled = command.args(["-std=c++17", "-Wall", "-Werror", "-Wno-unknown-pragmas", "-I", kernels, "-o"]);
    let compiled = compiled.args([&program, &source]).output().expect("it was there a moment ago");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&program).output().expect("it was just compiled").stdout;
    fs::remove_dir_all(&folder).expect("it is ours");
    let printed = String::from_utf8(printed).expect("digits");
    let (got, want) = (printed.lines().collect::<Vec<_>>(), expected());
    assert_eq!(got, want);
    println!("maps of the kernels' headers: {}", got.len());
    assert_eq!(got.len(), 5);
}

//! safetensors files that are not as they should be: an error each, with its values; never a panic.

use std::collections::BTreeMap;
use std::fs;

use halfbyte::Error;
use halfbyte::format::int8::{self, Int8Matrix, Int8Weight};
use halfbyte::format::safetensors::{Archive, HEADER_LIMIT};
use halfbyte::reference::sample::Sample;

use super::safetensors::Scratch;

fn file(header: &str, data_len: usize) -> Vec<u8> {
    file_of_length(header.len() as u64, header.as_bytes(), data_len)
}

fn file_of_length(length: u64, header: &[u8], data_len: usize) -> Vec<u8> {
    let mut image = length.to_le_bytes().to_vec();
    image.extend_from_slice(header);
    image.resize(image.len() + data_len, 1);
    image
}

fn tensor(dtype: &str, shape: &str, offsets: &str) -> String {
    format!("{{\"x\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
}

/// Each is refused with a message that has the values in it.
#[test]
fn bad_files_are_refused_with_their_values() {
    let pair = |a: &str, b: &str| {
        let one = |name, offsets| format!("\"{name}\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":{offsets}}}");
        format!("{{{},{}}}", one("a", a), one("b", b))
    };
    let rank_65 = format!("[{}]", ["1"; 65].join(","));
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty", vec![], &["0 bytes", "8"]),
        ("cut in the length", vec![1; 7], &["7 bytes", "8"]),
        ("header beyond the file", file_of_length(100, b"{}", 0), &["100", "2"]),
        ("header one byte beyond", file_of_length(3, b"{}", 0), &["3 bytes does not fit", "2"]),
        ("header at the limit", file_of_length(HEADER_LIMIT, b"{}", 0), &["100000000 bytes does not fit into the 2"]),
        ("header beyond the limit", file_of_length(HEADER_LIMIT + 1, b"{}", 0), &["100000001", "100000000"]),
        ("header beyond everything", file_of_length(u64::MAX, b"{}", 0), &["18446744073709551615"]),
        ("no JSON", file("hello", 0), &["header"]),
        ("no header", file("", 0), &["header", "EOF"]),
        ("no object", file("[]", 0), &["an object of tensors"]),
        ("not UTF-8", file_of_length(4, b"{\"\xff\"", 0), &["header"]),
        ("more after the header", file("{} {}", 0), &["header", "trailing"]),
        ("deep", file(&"{\"x\":".repeat(500), 0), &["header"]),
        ("deep in an unknown field", file(&format!("{{\"x\":{{\"y\":{}", "[".repeat(500)), 0), &["header", "EOF"]),
        ("unknown type", file(&tensor("F33", "[4]", "[0,4]"), 4), &["F33"]),
        ("no offsets", file("{\"x\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4), &["data_offsets"]),
        ("negative dimension", file(&tensor("U8", "[-4]", "[0,4]"), 4), &["-4"]),
        ("fractional dimension", file(&tensor("U8", "[4.0]", "[0,4]"), 4), &["4.0"]),
        ("dimension beyond 64 bits", file(&tensor("U8", "[18446744073709551616]", "[0,4]"), 4), &["header"]),
        ("shape overflows", file(&tensor("U8", "[4294967296,4294967296]", "[0,4]"), 4), &["4294967296", "overflows"]),
        ("bits overflow", file(&tensor("F64", "[1152921504606846976]", "[0,4]"), 4), &["F64", "overflows"]),
        ("half a byte", file(&tensor("F4", "[3]", "[0,2]"), 2), &["F4", "12 bits"]),
        ("too many dimensions", file(&tensor("U8", &rank_65, "[0,1]"), 1), &["65", "64 dimensions"]),
        ("data too short", file(&tensor("F32", "[4]", "[0,12]"), 12), &["takes 16 bytes", "0..12"]),
        ("data too long", file(&tensor("F32", "[4]", "[0,20]"), 20), &["takes 16 bytes", "0..20"]),
        ("data backwards", file(&tensor("U8", "[4]", "[4,0]"), 4), &["takes 4 bytes", "4..0"]),
        ("file cut", file(&tensor("U8", "[4]", "[0,4]"), 3), &["4 bytes", "3"]),
        ("garbage at the end", file(&tensor("U8", "[4]", "[0,4]"), 5), &["4 bytes", "5"]),
        ("hole at the start", file(&tensor("U8", "[4]", "[2,6]"), 6), &["\"x\"", "starts at 2", "gap", "0 was due"]),
        ("hole between", file(&pair("[0,4]", "[5,9]"), 9), &["\"b\"", "starts at 5", "gap", "4 was due"]),
        ("overlap", file(&pair("[0,4]", "[3,7]"), 7), &["\"b\"", "starts at 3", "overlaps", "4 was due"]),
        ("the same data twice", file(&pair("[0,4]", "[0,4]"), 4), &["overlaps"]),
        ("one name twice", file(&pair("[0,4]", "[4,8]").replace("\"b\"", "\"a\""), 8), &["\"a\" is there twice"]),
        ("two notes", file("{\"__metadata__\":{},\"__metadata__\":{}}", 0), &["__metadata__", "twice"]),
        ("notes that are no text", file("{\"__metadata__\":{\"a\":1}}", 0), &["string"]),
    ];
    for (case, image, parts) in &cases {
        let error = Archive::from_bytes(image).expect_err(case);
        let Error::File(message) = &error else { panic!("{case}: {error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{case}: {message:?} lacks one of {parts:?}");

        let on_disk = Scratch::new("hostile");
        fs::write(&on_disk.0, image).expect("the folder can be written");
        let from_disk = Archive::open(&on_disk.0).expect_err(case).to_string();
        assert_eq!(
            from_disk.split_once(": ").map(|(_, why)| why),
            message.split_once(": ").map(|(_, why)| why),
            "{case}"
        );
    }
    println!("bad files: {}", cases.len());
    assert_eq!(cases.len(), 35);
}

/// A dimension of 0 makes any other dimension harmless.
#[test]
fn tensors_without_elements_take_nothing() {
    let image = file(&tensor("F32", "[4611686018427387904,0]", "[0,0]"), 0);
    let archive = Archive::from_bytes(&image).expect("sound");
    assert_eq!(archive.read::<f32>("x"), Ok(vec![]));
}

#[test]
fn long_and_ugly_names_are_shown_short_and_escaped() {
    let name = "\\u001b[2J".to_string() + &"n".repeat(100_000);
    let image = file(&format!("{{\"{name}\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,5]}}}}"), 5);
    let message = Archive::from_bytes(&image).expect_err("5 bytes for 4").to_string();
    assert!(message.len() < 300 && message.contains("\\u{1b}[2Jnnn") && !message.contains('\u{1b}'), "{message}");
}

fn sound_file() -> Vec<u8> {
    let matrix = Int8Matrix::quantize(&Sample::new("sound").matrix(3, 5), 3, 5).expect("finite");
    let weight = Int8Weight { matrix, bias: Some(vec![1.0, 2.0, 3.0]) };
    int8::to_bytes(&[("layer", &weight)], &BTreeMap::from([("made by".into(), "test".into())])).expect("sound")
}

/// Opens and reads all there is; what comes of it is an error or not, but never a panic.
fn read_all(image: &[u8]) -> bool {
    let Ok(archive) = Archive::from_bytes(image) else { return false };
    for tensor in archive.tensors() {
        let _ = (archive.read_f32(tensor.name()), archive.read::<i8>(tensor.name()));
    }
    for name in int8::names(&archive) {
        let _ = int8::load(&archive, &name);
    }
    true
}

#[test]
fn every_truncation_is_refused() {
    let image = sound_file();
    assert!(read_all(&image));
    for length in 0..image.len() {
        assert!(!read_all(&image[..length]), "{length} of {} bytes", image.len());
    }
    println!("truncations: {}", image.len());
    assert!(image.len() > 250);
}

/// Every byte of length and header, set to every value: never a panic, and the data is never misread as larger than it
/// is.
#[test]
fn no_mutation_of_the_header_panics() {
    let image = sound_file();
    let header = 8 + u64::from_le_bytes(image[..8].try_into().expect("8 bytes")) as usize;
    let (mut cases, mut accepted) = (0, 0);
    let mut mutant = image.clone();
    for at in 0..header {
        for byte in 0..=255 {
            mutant[at] = byte;
            accepted += u32::from(read_all(&mutant));
            cases += 1;
        }
        mutant[at] = image[at];
    }
    println!("mutations: {cases}, of which {accepted} are still well-formed");
    assert_eq!(cases, 256 * header);
    assert!(accepted as usize > header, "at least every byte replaced by itself is well-formed");
}

/// Pairs of mutations, seeded.
#[test]
fn no_pair_of_mutations_panics() {
    let image = sound_file();
    let mut sample = Sample::new("pairs of mutations");
    for _ in 0..20_000 {
        let mut mutant = image.clone();
        for _ in 0..2 {
            let at = sample.integer(0, image.len() as i32 - 1) as usize;
            mutant[at] = sample.integer(0, 255) as u8;
        }
        read_all(&mutant);
    }
    println!("pairs of mutations: 20000");
}

#[test]
fn a_file_cut_while_it_is_open_is_an_error() {
    let on_disk = Scratch::new("cut-while-open");
    let image = sound_file();
    fs::write(&on_disk.0, &image).expect("the folder can be written");
    let archive = Archive::open(&on_disk.0).expect("sound");
    assert!(archive.read::<i8>("layer.weight").is_ok());
    let file = fs::OpenOptions::new().write(true).open(&on_disk.0).expect("it is there");
    file.set_len(image.len() as u64 - 1).expect("it can be cut");
    let error = archive.read::<i8>("layer.weight").expect_err("cut").to_string();
    assert!(error.contains("\"layer.weight\"") && error.contains("15 bytes at offset"), "{error}");
    assert!(archive.read::<f32>("layer.bias").is_ok(), "what lies before the cut is still there");
}

#[test]
fn what_is_no_file_is_refused() {
    for path in ["/", "/no/such/file.safetensors"] {
        let error = Archive::open(path).expect_err("no file");
        assert!(matches!(&error, Error::File(message) if message.starts_with(path)), "{error}");
    }
}

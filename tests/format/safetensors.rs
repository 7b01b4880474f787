//! safetensors files that are as they should be, held against the format's own crate in both directions.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::{env, fs, process};

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::safetensors::{Archive, TensorData, to_bytes, write};
use halfbyte::format::{DType, F8E4M3, F8E5M2};
use halfbyte::reference::sample::Sample;
use safetensors::tensor::{Dtype, TensorView};

/// A file of this test run's own, removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        Scratch(env::temp_dir().join(format!("halfbyte-{}-{name}.safetensors", process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn notes() -> BTreeMap<String, String> {
    [("format", "pt"), ("quoted \"key\"\n", "väl\\ue")].map(|(key, value)| (key.into(), value.into())).into()
}

#[test]
fn every_type_comes_back_from_memory_and_from_a_file() {
    let floats = Sample::new("floats").matrix(3, 5000);
    let halves: Vec<f16> = floats.iter().map(|&x| f16::from_f32(x)).collect();
    let brains: Vec<bf16> = floats.iter().map(|&x| bf16::from_f32(x)).collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let ints = [i32::MIN, -1, 0, i32::MAX];
    let tensors = [
        TensorData::new("floats", &[3, 5000], &floats),
        TensorData::new("halves", &[15000], &halves),
        TensorData::new("brains", &[5000, 3, 1], &brains),
        TensorData::new("codes", &[16, 16], bytemuck::cast_slice::<u8, i8>(&bytes)),
        TensorData::new("bytes", &[256], &bytes),
        TensorData::new("e4m3", &[256], bytemuck::cast_slice::<u8, F8E4M3>(&bytes)),
        TensorData::new("e5m2", &[8, 32], bytemuck::cast_slice::<u8, F8E5M2>(&bytes)),
        TensorData::new("ints", &[2, 2], &ints),
        TensorData::new("words", &[4], bytemuck::cast_slice::<i32, u32>(&ints)),
        TensorData::new("scalar", &[], &floats[..1]),
        TensorData::new("nothing", &[0, 7], &floats[..0]),
    ]
    .map(|tensor| tensor.expect("shapes fit"));
    let image = to_bytes(&tensors, &notes()).expect("names differ");
    let file = Scratch::new("every-type");
    write(&file.0, &tensors, &notes()).expect("the folder can be written");
    assert_eq!(fs::read(&file.0).expect("it was written"), image);

    let origins = ["safetensors bytes".to_string(), file.0.display().to_string()];
    let archives = [Archive::from_bytes(&image), Archive::open(&file.0)].map(|archive| archive.expect("sound"));
    for (archive, origin) in archives.into_iter().zip(origins) {
        assert_eq!(archive.origin(), origin);
        assert_eq!(archive.metadata(), &notes());
        assert_eq!(archive.tensors().len(), tensors.len());
        assert_eq!(archive.read::<f32>("floats").as_ref(), Ok(&floats));
        assert_eq!(archive.read::<f16>("halves").as_ref(), Ok(&halves));
        assert_eq!(archive.read::<bf16>("brains").as_ref(), Ok(&brains));
        assert_eq!(archive.read::<i8>("codes").map(|c| c.iter().map(|&c| c as u8).collect()), Ok(bytes.clone()));
        assert_eq!(archive.read::<u8>("bytes").as_ref(), Ok(&bytes));
        assert_eq!(archive.read::<F8E4M3>("e4m3").map(|c| c.iter().map(F8E4M3::to_bits).collect()), Ok(bytes.clone()));
        assert_eq!(archive.read::<F8E5M2>("e5m2").map(|c| c.iter().map(F8E5M2::to_bits).collect()), Ok(bytes.clone()));
        assert!(archive.read::<F8E5M2>("e4m3").is_err() && archive.read::<u8>("e4m3").is_err());
        assert_eq!(archive.read::<i32>("ints"), Ok(ints.to_vec()));
        assert_eq!(archive.read::<u32>("words"), Ok(ints.map(|i| i as u32).to_vec()));
        assert_eq!(archive.read_f32("scalar"), Ok(vec![floats[0]]));
        assert_eq!(archive.read_f32("nothing"), Ok(vec![]));
        // Longer than a piece of the conversion.
        assert_eq!(archive.read_f32("halves"), Ok(halves.iter().map(|x| x.to_f32()).collect()));
        assert_eq!(archive.read_f32("brains"), Ok(brains.iter().map(|x| x.to_f32()).collect()));

        let tensor = archive.tensor("brains").expect("it is there");
        assert_eq!((tensor.dtype(), tensor.dtype_name().as_str()), (Some(DType::Bf16), "BF16"));
        assert_eq!((tensor.shape(), tensor.byte_len(), tensor.is_float()), (&[5000, 3, 1][..], 30000, true));
    }
}

#[test]
fn the_formats_own_crate_reads_what_we_write() {
    let (floats, codes) = (Sample::new("f").matrix(2, 3), Sample::new("c").codes(7, -128, 127));
    let eights: &[u8] = bytemuck::cast_slice(&codes);
    let tensors = [
        TensorData::new("c", &[7], &codes),
        TensorData::new("f.\"ü\"", &[2, 3], &floats),
        TensorData::new("e4m3", &[7], bytemuck::cast_slice::<u8, F8E4M3>(eights)),
        TensorData::new("e5m2", &[7], bytemuck::cast_slice::<u8, F8E5M2>(eights)),
    ];
    let image = to_bytes(&tensors.map(|t| t.expect("shapes fit")), &notes()).expect("names differ");
    let peer = safetensors::SafeTensors::deserialize(&image).expect("sound");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&image).expect("sound");
    assert_eq!(metadata.metadata().clone().expect("notes"), notes().into_iter().collect::<HashMap<_, _>>());
    let (f, c) = (peer.tensor("f.\"ü\"").expect("it is there"), peer.tensor("c").expect("it is there"));
    assert_eq!((f.dtype(), f.shape(), f.data()), (Dtype::F32, &[2, 3][..], bytemuck::cast_slice(&floats)));
    assert_eq!((c.dtype(), c.shape(), c.data()), (Dtype::I8, &[7][..], bytemuck::cast_slice(&codes)));
    for (name, dtype) in [("e4m3", Dtype::F8_E4M3), ("e5m2", Dtype::F8_E5M2)] {
        let tensor = peer.tensor(name).expect("it is there");
        assert_eq!((tensor.dtype(), tensor.shape(), tensor.data()), (dtype, &[7][..], eights));
    }
    let header = u64::from_le_bytes(image[..8].try_into().expect("8 bytes"));
    assert!(header.is_multiple_of(8), "the data is aligned");
    let spaces = image[8..8 + header as usize].iter().rev().take_while(|byte| **byte == b' ').count();
    assert!(spaces < 8, "by no more spaces than that takes: {spaces}");
}

#[test]
fn we_read_what_the_formats_own_crate_writes() {
    let doubles: Vec<u8> = [1.0f64, 0.1, 1e300, -0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let longs: Vec<u8> = 7i64.to_le_bytes().into();
    let peer = [
        ("doubles", TensorView::new(Dtype::F64, vec![4], &doubles)),
        ("longs", TensorView::new(Dtype::I64, vec![1, 1], &longs)),
        ("tiny", TensorView::new(Dtype::F8_E4M3, vec![4], &[1, 2, 3, 4])),
        ("scales", TensorView::new(Dtype::F8_E8M0, vec![1], &[9])),
        ("nibbles", TensorView::new(Dtype::F4, vec![2, 2], &[5, 6])),
    ]
    .map(|(name, view)| (name, view.expect("shapes fit")));
    let image = safetensors::serialize(peer, None).expect("sound");
    let archive = Archive::from_bytes(&image).expect("sound");
    assert_eq!(archive.read_f32("doubles"), Ok(vec![1.0, 0.1, f32::INFINITY, -0.0]));
    assert!(archive.metadata().is_empty());
    let tiny = archive.read::<F8E4M3>("tiny").map(|codes| codes.iter().map(F8E4M3::to_bits).collect());
    assert_eq!(tiny, Ok(vec![1, 2, 3, 4]));
    for (name, dtype, stored) in [
        ("longs", None, "I64"),
        ("tiny", Some(DType::E4m3), "F8_E4M3"),
        ("scales", None, "F8_E8M0"),
        ("nibbles", None, "F4"),
    ] {
        let tensor = archive.tensor(name).expect("it is there");
        assert_eq!((tensor.dtype(), tensor.dtype_name().as_str(), tensor.is_float()), (dtype, stored, false));
        let error = archive.read_f32(name).expect_err("not floating").to_string();
        assert!(error.contains(&format!("{name:?} is stored as {stored}")), "{error}");
    }
}

#[test]
fn equal_contents_give_equal_bytes() {
    let values = [1.0f32, 2.0];
    let make = |order: [&str; 3]| {
        let tensors = order.map(|name| TensorData::new(name, &[2], &values).expect("shapes fit"));
        to_bytes(&tensors, &notes()).expect("names differ")
    };
    assert_eq!(make(["a", "b", "c"]), make(["c", "a", "b"]));
}

#[test]
fn bad_tensors_are_not_written() {
    let values = [1.0f32; 4];
    assert!(matches!(TensorData::new("x", &[3], &values), Err(Error::Shape(_))));
    assert!(matches!(TensorData::new("x", &[usize::MAX, 2], &values), Err(Error::Shape(_))));
    let tensor = |name: &str| TensorData::new(name, &[4], &values).expect("shapes fit");
    for tensors in [vec![tensor("x"), tensor("x")], vec![tensor("__metadata__")]] {
        assert!(matches!(to_bytes(&tensors, &BTreeMap::new()), Err(Error::Value(_))));
    }
    // A folder cannot be replaced by a file; nothing is left beside it.
    let folder = env::temp_dir().join(format!("halfbyte-{}-folder", process::id()));
    fs::create_dir_all(folder.join("target")).expect("the folder can be made");
    assert!(matches!(write(folder.join("target"), &[tensor("x")], &BTreeMap::new()), Err(Error::File(_))));
    let left: Vec<_> = fs::read_dir(&folder).expect("it is there").map(|e| e.expect("readable").file_name()).collect();
    fs::remove_dir_all(&folder).expect("it is ours");
    assert_eq!(left, ["target"]);
    let missing = env::temp_dir().join("halfbyte-no-such-folder/x.safetensors");
    let error = write(&missing, &[tensor("x")], &BTreeMap::new()).expect_err("no such folder");
    assert!(matches!(&error, Error::File(m) if m.contains("halfbyte-no-such-folder")), "{error}");
}

#[test]
fn a_missing_or_wrong_tensor_is_an_error_with_its_name() {
    let values = [1.0f32; 4];
    let image = to_bytes(&[TensorData::new("x", &[4], &values).expect("fits")], &BTreeMap::new()).expect("sound");
    let archive = Archive::from_bytes(&image).expect("sound");
    for (error, parts) in [
        (archive.read::<f32>("y").expect_err("no y"), ["no tensor", "\"y\""]),
        (archive.read::<i8>("x").expect_err("not i8"), ["\"x\" is stored as F32", "i8"]),
        (archive.read::<f16>("x").expect_err("not f16"), ["\"x\" is stored as F32", "f16"]),
    ] {
        let Error::File(message) = &error else { panic!("{error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

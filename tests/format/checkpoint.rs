//! int8 weights saved to and loaded from safetensors, named as the `int-quantized` format of compressed-tensors.

use std::collections::BTreeMap;

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::DType;
use halfbyte::format::int8::{self, Int8Matrix, Int8Weight};
use halfbyte::format::safetensors::{Archive, TensorData, to_bytes};
use halfbyte::reference::sample::Sample;
use proptest::prelude::*;

use super::safetensors::Scratch;

fn weight(name: &str, n: usize, k: usize, biased: bool) -> Int8Weight {
    let mut sample = Sample::new(name);
    let codes = sample.codes(n * k, -128, 127);
    let matrix = Int8Matrix::from_contiguous(n, k, &codes, sample.scales(n)).expect("well-formed");
    Int8Weight { matrix, bias: biased.then(|| (0..n).map(|_| sample.gaussian()).collect()) }
}

#[test]
fn several_weights_share_a_file() {
    let weights = [("a", weight("a", 5, 17, true)), ("b.c", weight("b", 1, 64, false)), ("b", weight("c", 3, 0, true))];
    let named: Vec<_> = weights.iter().map(|(name, weight)| (*name, weight)).collect();
    let notes = BTreeMap::from([("scheme".to_string(), "int8".to_string())]);
    let file = Scratch::new("several-weights");
    int8::save(&file.0, &named, &notes).expect("the folder can be written");
    let archive = Archive::open(&file.0).expect("sound");
    assert_eq!(archive.metadata(), &notes);
    assert_eq!(int8::names(&archive), ["a", "b", "b.c"]);
    for (name, weight) in &weights {
        assert_eq!(int8::load(&archive, name).as_ref(), Ok(weight));
    }
    // The names, types and shapes that other readers look for.
    let stored: Vec<_> = ["a.weight", "a.weight_scale", "a.bias", "b.bias"]
        .map(|name| archive.tensor(name).expect("it is there"))
        .map(|tensor| (tensor.dtype(), tensor.shape().to_vec()))
        .into();
    let f32s = Some(DType::F32);
    assert_eq!(stored, [(Some(DType::I8), vec![5, 17]), (f32s, vec![5, 1]), (f32s, vec![5]), (f32s, vec![3])]);
    assert!(archive.tensor("b.c.bias").is_none());
}

proptest! {
    #[test]
    fn saving_and_loading_changes_no_bit(seed in any::<u64>(), n in 0usize..20, k in 0usize..40, biased in any::<bool>()) {
        let weight = weight(&format!("round trip {seed}"), n, k, biased);
        let image = int8::to_bytes(&[("w", &weight)], &BTreeMap::new()).expect("sound");
        let archive = Archive::from_bytes(&image).expect("sound");
        prop_assert_eq!(int8::load(&archive, "w"), Ok(weight));
    }
}

#[test]
fn what_cannot_be_loaded_is_not_saved() {
    let not_saved = |weight: &Int8Weight| int8::to_bytes(&[("w", weight)], &BTreeMap::new()).expect_err("unsound");
    let nan = Int8Matrix::quantize_activations(&[1.0, f32::NAN], 2, 1).expect("activations may be anything");
    let error = not_saved(&Int8Weight { matrix: nan, bias: None });
    assert!(matches!(&error, Error::Value(message) if message.contains("row 1 of \"w\" is NaN")), "{error}");
    let error = not_saved(&Int8Weight { bias: Some(vec![0.0; 4]), ..weight("w", 3, 5, false) });
    assert!(matches!(&error, Error::Shape(message) if message.contains("4 values, but N = 3")), "{error}");
    let weight = weight("w", 3, 5, false);
    let twice = int8::to_bytes(&[("w", &weight), ("w", &weight)], &BTreeMap::new());
    assert!(matches!(&twice, Err(Error::Value(message)) if message.contains("twice")), "{twice:?}");
}

const CODES: [i8; 6] = [1, -2, 3, -4, 5, -128];

fn load(tensors: Vec<halfbyte::Result<TensorData<'_>>>) -> halfbyte::Result<Int8Weight> {
    let tensors: Vec<_> = tensors.into_iter().map(|tensor| tensor.expect("shapes fit")).collect();
    let image = to_bytes(&tensors, &BTreeMap::new())?;
    int8::load(&Archive::from_bytes(&image)?, "w")
}

#[test]
fn other_spellings_are_read() {
    let codes = || TensorData::new("w.weight", &[2, 3], &CODES);
    let (per_row, one) = ([0.5f32, 0.25], [0.5f32]);
    let (halves, brains) = (per_row.map(f16::from_f32), per_row.map(bf16::from_f32));
    let want = |scales: &[f32]| Int8Matrix::from_contiguous(2, 3, &CODES, scales.to_vec()).expect("well-formed");
    let loaded = |scale| load(vec![codes(), scale]).expect("sound").matrix;
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[2, 1], &per_row)), want(&per_row));
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[2], &per_row)), want(&per_row));
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[1], &one)), want(&[0.5; 2]));
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[], &one)), want(&[0.5; 2]));
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[2, 1], &halves)), want(&per_row));
    assert_eq!(loaded(TensorData::new("w.weight_scale", &[2, 1], &brains)), want(&per_row));
    let zeros = load(vec![
        codes(),
        TensorData::new("w.weight_scale", &[1], &one),
        TensorData::new("w.weight_zero_point", &[2, 1], &[0i8; 2]),
        TensorData::new("w.bias", &[2], &halves),
    ]);
    assert_eq!(zeros, Ok(Int8Weight { matrix: want(&[0.5; 2]), bias: Some(per_row.to_vec()) }));
}

#[test]
fn files_that_do_not_fit_are_refused_with_their_values() {
    let codes = || TensorData::new("w.weight", &[2, 3], &CODES);
    let scale = || TensorData::new("w.weight_scale", &[2, 1], &[0.5f32, 0.25]);
    let floats = [1.0f32; 6];
    let cases = [
        ("no weight", vec![scale()], vec!["no tensor \"w.weight\""]),
        ("no scale", vec![codes()], vec!["no tensor \"w.weight_scale\""]),
        ("not i8", vec![TensorData::new("w.weight", &[2, 3], &floats), scale()], vec!["stored as F32", "i8"]),
        ("a vector", vec![TensorData::new("w.weight", &[6], &CODES), scale()], vec!["\"w.weight\" is not a matrix"]),
        ("a cube", vec![TensorData::new("w.weight", &[2, 3, 1], &CODES), scale()], vec!["not a matrix"]),
        ("3 scales", vec![codes(), TensorData::new("w.weight_scale", &[3], &floats[..3])], vec!["[3]", "2 rows"]),
        ("scales across", vec![codes(), TensorData::new("w.weight_scale", &[1, 2], &floats[..2])], vec!["[1, 2]"]),
        ("integer scales", vec![codes(), TensorData::new("w.weight_scale", &[2], &[1i32, 1])], vec!["stored as I32"]),
        ("NaN scale", vec![codes(), TensorData::new("w.weight_scale", &[2], &[1.0, f32::NAN])], vec!["row 1 is NaN"]),
        ("negative scale", vec![codes(), TensorData::new("w.weight_scale", &[1], &[-1f32])], vec!["row 0 is -1"]),
        ("3 biases", vec![codes(), scale(), TensorData::new("w.bias", &[3], &floats[..3])], vec!["[3]", "N = 2"]),
        (
            "rows without end",
            vec![
                TensorData::new("w.weight", &[1 << 60, 0], &CODES[..0]),
                TensorData::new("w.weight_scale", &[1], &floats[..1]),
            ],
            vec!["[1]", "1152921504606846976 rows"],
        ),
    ];
    let count = cases.len();
    for (case, tensors, parts) in cases {
        let error = load(tensors).expect_err(case);
        let Error::File(message) = &error else { panic!("{case}: {error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{case}: {message:?} lacks one of {parts:?}");
    }
    println!("files that do not fit: {count}");
    assert_eq!(count, 12);

    let asymmetric = vec![codes(), scale(), TensorData::new("w.weight_zero_point", &[2, 1], &[0i8, -3])];
    let error = load(asymmetric).expect_err("asymmetric");
    assert!(matches!(&error, Error::Unsupported(message) if message.contains("holds -3")), "{error}");
}

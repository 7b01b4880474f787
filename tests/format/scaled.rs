//! 8-bit codes with grids of scales: quantized, turned, smoothed, saved and loaded.

use std::collections::BTreeMap;

use half::f16;
use halfbyte::Error;
use halfbyte::format::int8::{Codes, Int8Matrix};
use halfbyte::format::safetensors::{Archive, TensorData, to_bytes};
use halfbyte::format::scaled::{
    self, Code, ScaledMatrix, ScaledWeight, Scaling, channel_absmax, fold_into_weights, input_factors, smooth_factors,
};
use halfbyte::format::{DType, F8E4M3, F8E5M2};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{Scheme, quantize};
use proptest::prelude::*;

const SCALINGS: [Scaling; 5] =
    [Scaling::Tensor, Scaling::Rows, Scaling::Groups(64), Scaling::Groups(128), Scaling::Blocks(128, 128)];

/// Numbers of another size in every row and group.
fn values(rows: usize, cols: usize) -> Vec<f32> {
    let mut values = Sample::new(&format!("{rows} x {cols}")).matrix(rows, cols);
    values.iter_mut().enumerate().for_each(|(i, v)| *v *= 1.0 + (i % cols / 64) as f32);
    values
}

fn turned<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
    (0..rows * cols).map(|i| values[i % rows * cols + i / rows]).collect()
}

/// Codes and scales against the reference of quantizing, which knows rows and groups: a block is a group of a row made
/// of all its rows.
fn every_scaling<C: Code + PartialEq + std::fmt::Debug>() {
    for (rows, cols) in [(1, 1), (5, 200), (130, 260), (3, 0), (257, 129)] {
        let values = values(rows, cols);
        for scaling in SCALINGS {
            let matrix = ScaledMatrix::<C>::quantize(&values, rows, cols, scaling).unwrap();
            let [down, across] = scaling.grid(rows, cols).unwrap();
            assert_eq!(matrix.scales().len(), down * across, "{matrix:?}");
            let [tall, wide] = match scaling {
                Scaling::Tensor => [rows, cols],
                Scaling::Rows => [1, cols],
                Scaling::Groups(group) => [1, group],
                Scaling::Blocks(tall, wide) => [tall, wide],
            };
            let got: &[u8] = bytemuck::cast_slice(matrix.codes());
            for (at, &scale) in matrix.scales().iter().enumerate() {
                let inside = |row: usize, col: usize| row / tall == at / across && col / wide.max(1) == at % across;
                let places: Vec<_> =
                    (0..rows * cols).map(|i| (i / cols, i % cols)).filter(|&(r, c)| inside(r, c)).collect();
                let block: Vec<f32> = places.iter().map(|&(r, c)| values[r * cols + c]).collect();
                let want = quantize(&block, [1, block.len()], None, C::DTYPE, Scheme::Rows).unwrap();
                assert_eq!(scale.to_bits(), want.scales[0].to_bits(), "{matrix:?}: scale {at}");
                for (&(r, c), code) in places.iter().zip(want.codes) {
                    assert_eq!(got[r * matrix.ld() + c], code, "{matrix:?}: [{r}, {c}]");
                }
            }
            let padding = (0..rows * matrix.ld()).filter(|i| i % matrix.ld() >= cols).all(|i| got[i] == 0);
            assert!(padding && matrix.ld().is_multiple_of(16), "{matrix:?}");
            let other = ScaledMatrix::<C>::quantize_transposed(&turned(&values, rows, cols), rows, cols, scaling);
            assert_eq!(other.as_ref(), Ok(&matrix));
            let codes = turned(&matrix.to_contiguous(), rows, cols);
            let again =
                ScaledMatrix::from_transposed([rows, cols], &codes, scaling, matrix.scales().to_vec(), None).unwrap();
            assert_eq!(again, matrix);
            // What comes back is within half a step of what went in: of an integer's, or of the coarser float's 2 bits.
            for ((i, got), &want) in matrix.dequantize().into_iter().enumerate().zip(&values) {
                let scale = matrix.scales()[i / cols / tall * across + i % cols / wide];
                let step = if C::DTYPE == DType::I8 { 1.002 * scale } else { want.abs() / 4.0 + scale / 64.0 };
                assert!((got - want).abs() <= step / 2.0, "{matrix:?}: {got} for {want}");
            }
        }
    }
}

#[test]
fn codes_are_the_references() {
    every_scaling::<i8>();
    every_scaling::<F8E4M3>();
    every_scaling::<F8E5M2>();
}

/// A scale of 0 has codes of 0, not the NaN that a division gives.
#[test]
fn zeros_have_codes_of_zero() {
    fn check<C: Code + PartialEq + std::fmt::Debug>() {
        let mut values = values(3, 130);
        values[130..194].fill(0.0);
        let matrix = ScaledMatrix::<C>::quantize(&values, 3, 130, Scaling::Groups(64)).unwrap();
        assert_eq!(matrix.scales()[3], 0.0);
        let codes: &[u8] = bytemuck::cast_slice(&matrix.codes()[matrix.ld()..]);
        assert!(codes[..64].iter().all(|&code| code == 0) && codes[64..130].iter().any(|&code| code != 0));
        assert_eq!(format!("{matrix:?}"), format!("ScaledMatrix[3, 130; ld 144; {}]", Scaling::Groups(64)));
    }
    check::<i8>();
    check::<F8E4M3>();
    check::<F8E5M2>();
}

#[test]
fn zero_points_and_sums() {
    let codes = [-128i8, 0, 127, 5, 6, 7];
    let matrix =
        ScaledMatrix::from_contiguous([2, 3], &codes, Scaling::Rows, vec![0.5, 2.0], Some(vec![-128, 5])).unwrap();
    assert_eq!(matrix.dequantize(), [0.0, 64.0, 127.5, 0.0, 2.0, 4.0]);
    assert_eq!(matrix.zeros(), Some(&[-128i8, 5][..]));
    assert_eq!(Codes::new(&codes, 2, 3, 3).unwrap().column_sums().unwrap(), [-1, 18]);
    assert_eq!(Codes::new(&codes, 2, 2, 3).unwrap().column_sums().unwrap(), [-128, 11]);
    let most = vec![-128i8; 1 << 24];
    assert_eq!(Codes::new(&most, 1, 1 << 24, 1 << 24).unwrap().column_sums().unwrap(), [i32::MIN]);
    let beyond = vec![127i8; (1 << 24) + (1 << 18)];
    let text = Codes::new(&beyond, 1, beyond.len(), beyond.len()).unwrap().column_sums().unwrap_err().to_string();
    assert!(text.contains("the sum of row 0, 2163998720"), "{text}");
    // The same codes from K down the rows, and as a matrix of scaled codes.
    let scales = || vec![0.5, 2.0];
    let down = Int8Matrix::from_transposed(2, 3, &[-128, 5, 0, 6, 127, 7], scales()).unwrap();
    assert_eq!(down, Int8Matrix::from_contiguous(2, 3, &codes, scales()).unwrap());
    let scaled = ScaledMatrix::from(down);
    assert_eq!((scaled.to_contiguous(), scaled.scaling()), (codes.to_vec(), Scaling::Rows));
}

#[test]
fn smoothing_moves_what_is_large() {
    let x = [1.0f32, -64.0, 0.0, 0.5, 16.0, 0.0];
    let w = [4.0f32, 1.0, 3.0, -4.0, 0.25, 2.0];
    let (x_most, w_most) = (channel_absmax(&x, 2, 3).unwrap(), channel_absmax(&w, 2, 3).unwrap());
    assert_eq!((&x_most[..], &w_most[..]), (&[1.0, 64.0, 0.0][..], &[4.0, 1.0, 3.0][..]));
    let s = smooth_factors(&x_most, &w_most, 0.5).unwrap();
    assert_eq!(s, [0.5, 8.0, 1.0], "sqrt(1 / 4), sqrt(64 / 1), and a channel that is 0");
    assert_eq!(fold_into_weights(&w, 2, 3, &s).unwrap(), [2.0, 8.0, 3.0, -2.0, 2.0, 2.0]);
    assert_eq!(input_factors(&s), [2.0, 0.125, 1.0]);
    assert_eq!(smooth_factors(&[4.0, 8.0], &[2.0, 16.0], 1.0).unwrap(), [4.0, 8.0]);
    assert_eq!(smooth_factors(&[4.0, 8.0], &[2.0, 16.0], 0.0).unwrap(), [0.5, 0.0625]);
    assert_eq!(smooth_factors(&[f32::MAX], &[1e-45], 0.5).unwrap(), [1.0], "no f32");
    // Of two powers the one of 0 is 1, and would pass.
    assert_eq!(smooth_factors(&[5.0, 0.0], &[0.0, 4.0], 1.0).unwrap(), [1.0, 1.0]);
    assert_eq!(smooth_factors(&[5.0, 0.0], &[0.0, 4.0], 0.0).unwrap(), [1.0, 1.0]);
    assert_eq!(smooth_factors(&[1e-45, 1e-45], &[f32::MAX; 2], 1.0).unwrap(), [1e-45; 2]);
    assert!(channel_absmax(&[1.0, f32::NAN, 2.0, 3.0], 2, 2).unwrap()[1].is_nan());
    assert_eq!(channel_absmax::<f16>(&[], 0, 2).unwrap(), [0.0, 0.0]);
    for (error, want) in [
        (smooth_factors(&[1.0], &[1.0, 2.0], 0.5), "1 channels, but the weights have 2"),
        (smooth_factors(&[1.0], &[1.0], 1.5), "α = 1.5"),
        (smooth_factors(&[1.0], &[1.0], f32::NAN), "α = NaN"),
        (smooth_factors(&[1.0, f32::NAN], &[1.0, 1.0], 0.5), "channel 1 of the activations is NaN"),
        (smooth_factors(&[1.0], &[-2.0], 0.5), "channel 0 of the weights is -2"),
        (fold_into_weights(&w, 2, 3, &[1.0]), "3 columns need as many factors, but 1"),
        (fold_into_weights(&w, 2, 2, &[1.0; 2]), "[2, 2] does not have 6 values"),
        (channel_absmax(&w, usize::MAX, 3), "does not have 6 values"),
    ] {
        let text = error.unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let make = |codes: &[i8], scaling, scales: &[f32], zeros: Option<&[i8]>| {
        ScaledMatrix::from_contiguous([2, 3], codes, scaling, scales.to_vec(), zeros.map(<[i8]>::to_vec))
    };
    let codes = [1i8; 6];
    for (result, want) in [
        (make(&codes[..5], Scaling::Rows, &[1.0; 2], None), "[2, 3] is 6 values, but 5 were given"),
        (make(&codes, Scaling::Rows, &[1.0; 3], None), "scales of rows of [2, 3] are 2 scales, but 3 were given"),
        (make(&codes, Scaling::Groups(2), &[1.0; 2], None), "groups of 2 columns of [2, 3] are 4 scales, but 2"),
        (make(&codes, Scaling::Tensor, &[1.0], Some(&[0; 2])), "one scale of [2, 3] are 1 zero points, but 2"),
        (make(&codes, Scaling::Groups(0), &[1.0], None), "groups of 0 columns hold no element"),
        (make(&codes, Scaling::Blocks(0, 1), &[1.0], None), "blocks of 0 by 1 hold no element"),
        (make(&codes, Scaling::Groups(2), &[1.0, 1.0, 1.0, -1.0], None), "the scale [1, 1] is -1"),
        (make(&codes, Scaling::Rows, &[1.0, f32::INFINITY], None), "the scale [1, 0] is inf"),
        (ScaledMatrix::quantize(&[1.0, f32::NAN], 1, 2, Scaling::Tensor), "row 0, column 1 is NaN"),
        (ScaledMatrix::quantize_transposed(&[1.0, f32::INFINITY], 2, 1, Scaling::Rows), "row 1, column 0 is inf"),
        (ScaledMatrix::quantize(&[1.0f32], usize::MAX, 2, Scaling::Rows), "exceed the address space"),
    ] {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

fn weight<C: Code>(n: usize, k: usize, scaling: Scaling, more: bool) -> ScaledWeight<C> {
    let matrix = ScaledMatrix::quantize(&values(n, k), n, k, scaling).unwrap();
    let new = ScaledWeight::new(matrix);
    if !more {
        return new;
    }
    ScaledWeight { bias: Some(vec![0.5; n]), input_scale: Some(0.25), input_zero: Some(-7), ..new }
}

fn round_trip<C: Code + PartialEq + std::fmt::Debug>(n: usize, k: usize, scaling: Scaling, more: bool) {
    let weight = weight::<C>(n, k, scaling, more);
    let image = scaled::to_bytes(&[("w", &weight)], &BTreeMap::new()).unwrap();
    let archive = Archive::from_bytes(&image).unwrap();
    assert_eq!(scaled::names::<C>(&archive), ["w"]);
    let loaded = scaled::load::<C>(&archive, "w").unwrap();
    assert_eq!(loaded.matrix.dequantize(), weight.matrix.dequantize());
    assert_eq!(loaded.matrix.scales(), weight.matrix.scales());
    assert_eq!(loaded.matrix.codes(), weight.matrix.codes());
    let rest = |w: ScaledWeight<C>| (w.bias, w.input_scale, w.input_zero);
    assert_eq!(rest(loaded), rest(weight));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn saving_and_loading_changes_no_bit(
        n in 1usize..300, k in 1usize..300, scaling in prop::sample::select(SCALINGS.to_vec()), more in any::<bool>(),
    ) {
        round_trip::<i8>(n, k, scaling, more);
        round_trip::<F8E4M3>(n, k, scaling, more);
    }
}

/// The names, types and shapes that other readers look for.
#[test]
fn files_are_spelled_as_others_spell_them() {
    let stored = |image: &[u8]| {
        let archive = Archive::from_bytes(image).unwrap();
        let mut all: Vec<_> =
            archive.tensors().iter().map(|t| (t.name().to_string(), t.dtype().unwrap(), t.shape().to_vec())).collect();
        all.sort();
        all
    };
    let image = |scaling, more| {
        stored(&scaled::to_bytes(&[("w", &weight::<F8E4M3>(200, 300, scaling, more))], &BTreeMap::new()).unwrap())
    };
    let w = ("w.weight".to_string(), DType::E4m3, vec![200, 300]);
    let scale = |name: &str, shape: &[usize]| (name.to_string(), DType::F32, shape.to_vec());
    assert_eq!(image(Scaling::Blocks(128, 128), false), [w.clone(), scale("w.weight_scale_inv", &[2, 3])]);
    assert_eq!(image(Scaling::Tensor, false), [w.clone(), scale("w.weight_scale", &[1])]);
    assert_eq!(image(Scaling::Rows, false), [w.clone(), scale("w.weight_scale", &[200, 1])]);
    let all = [
        scale("w.bias", &[200]),
        scale("w.input_scale", &[1]),
        ("w.input_zero_point".into(), DType::I8, vec![1]),
        w,
        scale("w.weight_scale", &[200, 5]),
    ];
    assert_eq!(image(Scaling::Groups(64), true), all);
    let zeros =
        ScaledMatrix::from_contiguous([2, 2], &[1i8; 4], Scaling::Rows, vec![1.0; 2], Some(vec![3, 4])).unwrap();
    let bytes = scaled::to_bytes(&[("w", &ScaledWeight::new(zeros.clone()))], &BTreeMap::new()).unwrap();
    assert!(stored(&bytes).contains(&("w.weight_zero_point".into(), DType::I8, vec![2, 1])));
    assert_eq!(scaled::load::<i8>(&Archive::from_bytes(&bytes).unwrap(), "w").unwrap().matrix, zeros);
}

fn load<C: Code>(tensors: Vec<halfbyte::Result<TensorData<'_>>>) -> halfbyte::Result<ScaledWeight<C>> {
    let tensors: Vec<_> = tensors.into_iter().map(|tensor| tensor.unwrap()).collect();
    let image = to_bytes(&tensors, &BTreeMap::new())?;
    scaled::load(&Archive::from_bytes(&image)?, "w")
}

#[test]
fn other_spellings_are_read_and_the_rest_is_refused() {
    let codes = [-128i8, 2, 3, 4, 5, 6];
    let w = || TensorData::new("w.weight", &[2, 3], &codes);
    let one = [0.5f32];
    let two = [0.5f32, 0.25];
    let halves = two.map(f16::from_f32);
    let read = |scale| load::<i8>(vec![w(), scale]).unwrap().matrix;
    for shape in [&[][..], &[1], &[1, 1]] {
        assert_eq!(read(TensorData::new("w.weight_scale", shape, &one)).dequantize()[0], -64.0, "{shape:?}");
    }
    assert_eq!(read(TensorData::new("w.weight_scale", &[2], &two)).scaling(), Scaling::Rows);
    assert_eq!(read(TensorData::new("w.weight_scale", &[2, 1], &halves)).scales(), two);
    assert_eq!(read(TensorData::new("w.weight_scale_inv", &[], &one)).scaling(), Scaling::Tensor);
    let six = [1.0f32; 6];
    assert_eq!(read(TensorData::new("w.weight_scale", &[2, 3], &six)).scaling(), Scaling::Groups(1));

    let scale = || TensorData::new("w.weight_scale", &[2, 1], &two);
    let (zeros, nan, floats) = ([0i8; 2], [f32::NAN, 1.0], [0u8; 6].map(F8E4M3::from_bits));
    assert_eq!(
        load::<i8>(vec![w(), scale(), TensorData::new("w.weight_zero_point", &[2, 1], &zeros)]).unwrap().matrix.zeros(),
        None
    );
    let table: Vec<(halfbyte::Result<()>, &str)> = vec![
        (load::<i8>(vec![w()]).map(|_| ()), "holds no tensor"),
        (load::<F8E4M3>(vec![w(), scale()]).map(|_| ()), "stored as I8, not as e4m3"),
        (
            load::<i8>(vec![w(), TensorData::new("w.weight_scale", &[3, 2], &six)]).map(|_| ()),
            "of shape [3, 2] does not scale a weight of shape [2, 3]",
        ),
        (
            load::<i8>(vec![w(), TensorData::new("w.weight_scale", &[2, 1], &nan)]).map(|_| ()),
            "the scale [0, 0] is NaN",
        ),
        (
            load::<i8>(vec![w(), scale(), TensorData::new("w.weight_zero_point", &[1], &zeros[..1])]).map(|_| ()),
            "has shape [1], but its scales have [2, 1]",
        ),
        (load::<i8>(vec![w(), scale(), TensorData::new("w.bias", &[1], &one)]).map(|_| ()), "has shape [1], but N = 2"),
        (
            load::<i8>(vec![w(), scale(), TensorData::new("w.input_scale", &[2], &two)]).map(|_| ()),
            "has shape [2], but one value",
        ),
        (
            load::<i8>(vec![w(), scale(), TensorData::new("w.input_scale", &[1], &nan[..1])]).map(|_| ()),
            "input_scale\" is NaN",
        ),
        (load::<i8>(vec![TensorData::new("w.weight", &[6], &codes), scale()]).map(|_| ()), "is not a matrix"),
        (
            load::<F8E4M3>(vec![
                TensorData::new("w.weight", &[2, 3], &floats),
                scale(),
                TensorData::new("w.weight_zero_point", &[2, 1], &zeros),
            ])
            .map(|_| ()),
            "of a weight of e4m3",
        ),
    ];
    for (result, want) in table {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
    // Nothing to hold, and any number of rows claimed.
    let rows = 1usize << 60;
    let none: [i8; 0] = [];
    let claimed =
        load::<i8>(vec![TensorData::new("w.weight", &[rows, 0], &none), TensorData::new("w.weight_scale", &[1], &one)]);
    assert!(claimed.unwrap_err().to_string().contains("1152921504606846976 rows without columns, and 1 scales"));
    let matrix = ScaledMatrix::from_contiguous([rows, 0], &none, Scaling::Tensor, vec![1.0], None).unwrap();
    assert!(matrix.to_contiguous().is_empty() && matrix.dequantize().is_empty());
    // What loading would take for something else is not saved.
    for scaling in [Scaling::Groups(100), Scaling::Blocks(64, 64)] {
        let error = scaled::to_bytes(&[("w", &weight::<i8>(300, 300, scaling, false))], &BTreeMap::new()).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
    let bias = ScaledWeight { bias: Some(vec![0.0; 4]), ..weight::<i8>(3, 5, Scaling::Rows, false) };
    assert!(
        scaled::to_bytes(&[("w", &bias)], &BTreeMap::new()).unwrap_err().to_string().contains("4 values, but N = 3")
    );
}

/// Shapes of scales at the edges of the table: one for all of a large weight, none at all, more groups than K has.
#[test]
fn scales_of_odd_shapes_are_read_or_refused() {
    let codes = vec![1i8; 200 * 5];
    let with = |n: usize, k: usize, shape: &[usize]| {
        let scales = vec![0.5f32; shape.iter().product()];
        load::<i8>(vec![
            TensorData::new("w.weight", &[n, k], &codes[..n * k]),
            TensorData::new("w.weight_scale", shape, &scales),
        ])
    };
    assert_eq!(with(200, 5, &[1, 1]).unwrap().matrix.scaling(), Scaling::Tensor);
    for (n, k, shape) in [(200, 5, [200, 0]), (3, 0, [3, 2])] {
        let text = with(n, k, &shape).unwrap_err().to_string();
        assert!(text.contains(&format!("{shape:?} does not scale a weight of shape [{n}, {k}]")), "{text}");
    }
    for scale in [-1.0f32, f32::INFINITY, f32::NAN] {
        let text = load::<i8>(vec![
            TensorData::new("w.weight", &[2, 2], &codes[..4]),
            TensorData::new("w.weight_scale", &[1], &[1.0f32]),
            TensorData::new("w.input_scale", &[1], &[scale]),
        ]);
        let text = text.unwrap_err().to_string();
        assert!(text.contains("input_scale") && text.contains(&scale.to_string()), "{text}");
    }
}

#[test]
fn a_file_holds_what_its_bytes_say() {
    let weight = weight::<i8>(130, 256, Scaling::Blocks(128, 128), true);
    let bytes = scaled::to_bytes(&[("w", &weight)], &BTreeMap::new()).unwrap();
    let path = std::env::temp_dir().join(format!("halfbyte-scaled-{}.safetensors", std::process::id()));
    scaled::save(&path, &[("w", &weight)], &BTreeMap::new()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    std::fs::remove_file(&path).unwrap();
    // Blocks of int8 go by the plain name, those of floats by DeepSeek's.
    let archive = Archive::from_bytes(&bytes).unwrap();
    assert!(archive.tensor("w.weight_scale").is_some() && archive.tensor("w.weight_scale_inv").is_none());
}

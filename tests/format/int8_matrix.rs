//! The int8 matrix: shapes, padding, what it refuses.

use half::{bf16, f16};
use halfbyte::Error;
use halfbyte::format::int8::{Codes, Int8Matrix, Int8View, quantize_row};
use halfbyte::reference::sample::Sample;
use proptest::prelude::*;

#[test]
fn rows_are_padded_with_zeros() {
    let mut cases = 0;
    for (rows, cols) in [(0, 0), (0, 5), (5, 0), (1, 1), (3, 15), (3, 16), (2, 17), (7, 100)] {
        let values = Sample::new("padding").matrix(rows, cols);
        let matrix = Int8Matrix::quantize(&values, rows, cols).expect("finite");
        assert_eq!((matrix.rows(), matrix.cols(), matrix.ld()), (rows, cols, cols.div_ceil(16) * 16));
        assert_eq!((matrix.view().rows(), matrix.view().cols()), (rows, cols));
        assert_eq!(format!("{matrix:?}"), format!("Int8Matrix[{rows}, {cols}; ld {}]", cols.div_ceil(16) * 16));
        assert_eq!((matrix.codes().len(), matrix.scales().len()), (rows * matrix.ld(), rows));
        for row in 0..rows {
            let mut codes = vec![0; cols];
            let scale = quantize_row(&values[row * cols..][..cols], &mut codes).expect("lengths agree");
            assert_eq!(matrix.scales()[row], scale);
            assert_eq!(matrix.row(row), Some(codes.as_slice()));
            assert!(matrix.codes()[row * matrix.ld() + cols..][..matrix.ld() - cols].iter().all(|&code| code == 0));
            cases += 1;
        }
        assert_eq!(matrix.row(rows), None);
        assert_eq!(matrix.dequantize().len(), rows * cols);
        let again = Int8Matrix::from_contiguous(rows, cols, &matrix.to_contiguous(), matrix.scales().to_vec());
        assert_eq!(again.as_ref(), Ok(&matrix));
        let parts = (matrix.codes().to_vec(), matrix.scales().to_vec());
        assert_eq!(Int8Matrix::from_parts(rows, cols, matrix.ld(), parts.0, parts.1), Ok(matrix));
    }
    println!("padded rows: {cases}");
    assert_eq!(cases, 5 + 1 + 3 + 3 + 2 + 7);
}

#[test]
fn sixteen_bit_inputs_are_their_f32_values() {
    let values = Sample::new("16 bits").matrix(4, 33);
    let (half, brain): (Vec<f16>, Vec<bf16>) = values.iter().map(|&x| (f16::from_f32(x), bf16::from_f32(x))).unzip();
    let wide: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
    assert_eq!(Int8Matrix::quantize(&half, 4, 33), Int8Matrix::quantize(&wide, 4, 33));
    let wide: Vec<f32> = brain.iter().map(|x| x.to_f32()).collect();
    assert_eq!(Int8Matrix::quantize(&brain, 4, 33), Int8Matrix::quantize(&wide, 4, 33));
}

#[test]
fn weights_must_be_finite_and_activations_need_not() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = Sample::new("not finite").matrix(3, 20);
        values[2 * 20 + 7] = bad;
        let error = Int8Matrix::quantize(&values, 3, 20).expect_err("not finite");
        let Error::Value(message) = &error else { panic!("{error:?}") };
        assert_eq!(message, &format!("the weight at row 2, column 7 is {bad}, which has no int8 code"));

        let matrix = Int8Matrix::quantize_activations(&values, 3, 20).expect("activations may be anything");
        assert!(matrix.scales()[2].is_nan() && matrix.row(2) == Some(&[0; 20]));
        assert!(matrix.scales()[..2].iter().all(|scale| *scale > 0.0));
        assert!(matrix.dequantize()[40..].iter().all(|x| x.is_nan()));
    }
}

fn parts(rows: usize, ld: usize) -> (Vec<i8>, Vec<f32>) {
    (vec![0; rows * ld], vec![1.0; rows])
}

#[test]
fn bad_parts_are_refused_with_their_values() {
    let refuse = |rows, cols, ld, (codes, scales): (Vec<i8>, Vec<f32>), parts: &[&str]| {
        let message = Int8Matrix::from_parts(rows, cols, ld, codes, scales).expect_err("bad parts").to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    };
    refuse(2, 17, 16, parts(2, 16), &["leading dimension 16", "17 columns"]);
    refuse(2, 17, 24, parts(2, 24), &["leading dimension 24", "multiple of 16"]);
    refuse(2, 17, 32, parts(1, 32), &["2 rows of stride 32 are 64 codes", "32 were given"]);
    refuse(2, 17, 32, (vec![0; 64], vec![1.0; 3]), &["2 rows", "3 were given"]);
    refuse(usize::MAX, 16, 16, parts(0, 16), &["18446744073709551615 rows", "exceed"]);
    for bad in [f32::NAN, f32::INFINITY, -1.0, -f32::from_bits(1)] {
        refuse(2, 16, 16, (vec![0; 32], vec![1.0, bad]), &["scale of row 1", &bad.to_string()]);
    }
    let (mut codes, scales) = parts(2, 32);
    codes[32 + 20] = -3;
    refuse(2, 17, 32, (codes, scales), &["row 1", "-3", "column 20"]);

    let shape = |result: halfbyte::Result<Int8Matrix>| matches!(result, Err(Error::Shape(_)));
    assert!(shape(Int8Matrix::quantize(&[0f32; 11], 3, 4)));
    assert!(shape(Int8Matrix::quantize(&[0f32; 13], 3, 4)));
    assert!(shape(Int8Matrix::quantize(&[0f32; 1], usize::MAX, 2)));
    assert!(shape(Int8Matrix::from_contiguous(3, 4, &[0; 11], vec![0.0; 3])));
    assert!(shape(Int8Matrix::from_contiguous(1, usize::MAX, &[], vec![0.0])));
}

#[test]
fn imported_codes_may_be_anything() {
    let codes: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    let matrix = Int8Matrix::from_parts(1, 256, 256, codes.clone(), vec![0.5]).expect("well-formed");
    let want: Vec<f32> = codes.iter().map(|&code| f32::from(code) / 2.0).collect();
    assert_eq!(matrix.dequantize(), want);
}

#[test]
fn views_check_their_lengths() {
    let codes = [1i8; 20];
    let view = Codes::new(&codes, 3, 4, 8).expect("2 · 8 + 4 = 20");
    assert_eq!((view.rows(), view.cols(), view.ld(), view.iter().len()), (3, 4, 8, 3));
    assert_eq!(view.row(3), None);
    assert_eq!(format!("{view:?}"), "Codes[3, 4; ld 8]");
    assert!(matches!(Codes::new(&codes, 3, 5, 8), Err(Error::TooShort { have: 20, need: 21, .. })));
    assert!(matches!(Codes::new(&codes, 1, 4, 3), Err(Error::Shape(_))));
    assert!(matches!(Codes::new(&codes, usize::MAX, 2, 3), Err(Error::Shape(_))));
    assert!(Codes::new(&[], 0, 4, 8).is_ok());
    assert!(matches!(Int8View::new(view, &[1.0; 2]), Err(Error::Shape(_))));
    assert!(Int8View::new(view, &[f32::NAN; 3]).is_ok());
}

proptest! {
    /// Codes and scales of a dequantized matrix are those it came from (the largest code of a row is ±127, so the scale
    /// survives when it is a power of two).
    #[test]
    fn quantizing_twice_changes_nothing(seed in any::<u64>(), rows in 0usize..6, cols in 1usize..70) {
        let mut sample = Sample::new(&format!("twice {seed}"));
        let mut codes = sample.codes(rows * cols, -127, 127);
        codes.chunks_mut(cols).for_each(|row| row[0] = 127);
        let scales = sample.power_of_two_scales(rows);
        let matrix = Int8Matrix::from_contiguous(rows, cols, &codes, scales).expect("well-formed");
        prop_assert_eq!(Int8Matrix::quantize(&matrix.dequantize(), rows, cols), Ok(matrix));
    }
}

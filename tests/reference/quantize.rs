//! The reference of quantizing, by values worked out by hand and by the rules of the formats.

use halfbyte::format::int8::quantize_row;
use halfbyte::format::{DType, F8E4M3, F8E5M2, Float};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{Scheme, quantize};

#[test]
fn by_hand() {
    // A row of scale 2: ties go to the even code.
    let row = [254.0, -254.0, 1.0, 3.0, 5.0, -1.0, -3.0, 0.0];
    let q = quantize(&row, [1, 8], None, DType::I8, Scheme::Rows).unwrap();
    assert_eq!((q.scales, q.nonfinite), (vec![2.0], false));
    assert_eq!(q.codes.iter().map(|&c| c as i8).collect::<Vec<_>>(), [127, -127, 0, 2, 2, 0, -2, 0]);

    // From -10 to 245 by 1: 0 has code -118, and all of it fits.
    let row = [-10.0, 245.0, 0.0, 0.5, 1.5, -9.5];
    let q = quantize(&row, [1, 6], None, DType::I8, Scheme::RowsWithZeros).unwrap();
    assert_eq!((q.scales, q.zeros), (vec![1.0], vec![-118]));
    assert_eq!(q.codes.iter().map(|&c| c as i8).collect::<Vec<_>>(), [-128, 127, -118, -118, -116, -128]);
    // A range without 0 is stretched to it.
    let q = quantize(&[510.0, 255.0, -255.0, -510.0], [2, 2], None, DType::I8, Scheme::RowsWithZeros).unwrap();
    assert_eq!((q.scales, q.zeros), (vec![2.0, 2.0], vec![-128, 127]));
    assert_eq!(q.codes.iter().map(|&c| c as i8).collect::<Vec<_>>(), [127, 0, -1, -128]);
    // A range beyond f32: 6e38 / 255.
    let q = quantize(&[3e38, -3e38, 0.0], [1, 3], None, DType::I8, Scheme::RowsWithZeros).unwrap();
    assert!((f64::from(q.scales[0]) / (2.0 * f64::from(3e38f32) / 255.0) - 1.0).abs() < 1e-7, "{q:?}");
    assert_eq!((q.zeros[0], q.codes[2] as i8), (0, 0));

    // Groups of 2 of five columns; the second row has a NaN in its second group.
    let values = [448.0, 1.0, 0.0, -0.0, 896.0, 1.0, 2.0, f32::NAN, 3.0, 0.0];
    let q = quantize(&values, [2, 5], None, DType::E4m3, Scheme::Groups(2)).unwrap();
    assert_eq!(q.scales[..4], [1.0, 0.0, 2.0, 2.0 / 448.0]);
    assert!(q.scales[4].is_nan() && q.nonfinite && q.scales[5] == 0.0);
    assert_eq!(q.codes[..5], [0x7e, 0x38, 0, 0, 0x7e]);
    assert_eq!(q.codes[6..], [0x7e, 0, 0, 0]);

    // A given scale: what is beyond goes to the end, a NaN to the code of 0 or to NaN.
    let values = [1e9, -1e9, f32::NAN, f32::INFINITY, -0.0, 1.0];
    let given = |zero| Scheme::Given { scale: 0.5, zero };
    let int8 = |zero| quantize(&values, [1, 6], None, DType::I8, given(zero)).unwrap();
    assert_eq!(int8(None).codes.iter().map(|&c| c as i8).collect::<Vec<_>>(), [127, -127, 0, 127, 0, 2]);
    assert_eq!(int8(Some(-100)).codes.iter().map(|&c| c as i8).collect::<Vec<_>>(), [127, -128, -100, 127, -100, -98]);
    let q = quantize(&values, [1, 6], None, DType::E5m2, given(None)).unwrap();
    assert_eq!(q.codes, [0x7b, 0xfb, 0x7f, 0x7b, 0x80, 0x40]);
    assert!(q.scales.is_empty() && q.nonfinite);
    // Factors come first, and their product may be infinite.
    let q = quantize(&[2.0, 2.0], [1, 2], Some(&[127.0, 0.5]), DType::I8, Scheme::Rows).unwrap();
    assert_eq!((q.scales, q.codes), (vec![2.0], vec![127, 0]));
    assert!(quantize(&[3e38], [1, 1], Some(&[3e38]), DType::I8, Scheme::Rows).unwrap().nonfinite);
    // Rows without columns.
    let q = quantize(&[], [2, 0], None, DType::I8, Scheme::Rows).unwrap();
    assert_eq!(q.scales, [0.0, 0.0]);
    assert!(quantize(&[], [2, 0], None, DType::I8, Scheme::Groups(64)).unwrap().scales.is_empty());
}

#[test]
fn bytes_are_those_of_the_format() {
    for (name, cols, size) in [("a", 1, 1.0), ("b", 77, 1e-40), ("c", 300, 3e37), ("d", 64, 1e-45)] {
        let values: Vec<f32> = Sample::new(name).matrix(4, cols).into_iter().map(|v| v * size).collect();
        let q = quantize(&values, [4, cols], None, DType::I8, Scheme::Rows).unwrap();
        for (m, row) in values.chunks(cols).enumerate() {
            let mut codes = vec![0; cols];
            let scale = quantize_row(row, &mut codes).unwrap();
            assert_eq!(scale.to_bits(), q.scales[m].to_bits(), "{name}: row {m}");
            assert_eq!(codes, q.codes[m * cols..][..cols].iter().map(|&c| c as i8).collect::<Vec<_>>(), "{name}");
        }
    }
}

/// Every f16 and what stands halfway between neighbours: the search finds what the conversion gives.
#[test]
fn floats_are_those_of_the_format() {
    let mut values: Vec<f32> = (0..=u16::MAX).map(|bits| half::f16::from_bits(bits).to_f32()).collect();
    values.extend([3e38, -3e38, 1e-45, -1e-45, 463.99, 464.0, 464.1, 61439.0, 61440.0, 1e5]);
    let one = Scheme::Given { scale: 1.0, zero: None };
    let of = |dtype| quantize(&values, [1, values.len()], None, dtype, one).unwrap().codes;
    for ((&v, e4m3), e5m2) in values.iter().zip(of(DType::E4m3)).zip(of(DType::E5m2)) {
        assert_eq!(e4m3, <F8E4M3 as Float>::from_f32(v).to_bits(), "{v}");
        assert_eq!(e5m2, <F8E5M2 as Float>::from_f32(v).to_bits(), "{v}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let given = Scheme::Given { scale: 1.0, zero: Some(0) };
    for (result, want) in [
        (quantize(&[1.0; 5], [2, 3], None, DType::I8, Scheme::Rows), "[2, 3] does not have 5 values"),
        (quantize(&[], [usize::MAX, 3], None, DType::I8, Scheme::Rows), "does not have 0 values"),
        (quantize(&[], [usize::MAX, 0], None, DType::I8, Scheme::Rows), "out of memory"),
        (quantize(&[1.0; 6], [2, 3], Some(&[1.0]), DType::I8, Scheme::Rows), "1 factors"),
        (quantize(&[1.0; 6], [2, 3], None, DType::I8, Scheme::Groups(0)), "groups of no columns"),
        (quantize(&[1.0; 6], [2, 3], None, DType::F16, Scheme::Rows), "codes of type f16"),
        (quantize(&[1.0; 6], [2, 3], None, DType::E4m3, given), "codes of type e4m3 with zero points"),
    ] {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(want), "{text}");
    }
}

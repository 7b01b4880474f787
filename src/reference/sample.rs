//! Repeatable test data: the same numbers from the same name, on every machine, with integer arithmetic only.
//!
//! A case's name is its seed, so a failing case is run again by its name alone, and two operands with different names
//! are never correlated.

use crate::format::Float;

/// A stream of numbers that its name decides.
#[derive(Clone, Debug)]
pub struct Sample {
    state: u64,
}

impl Sample {
    /// The stream of `name`.
    pub fn new(name: &str) -> Self {
        // Each byte is mixed into all 64 bits before the next, and the length last.
        let seed = name.bytes().fold(0, |state, byte| mix(state ^ u64::from(byte)));
        Sample { state: mix(seed ^ name.len() as u64) }
    }

    /// 64 uniform bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A uniform integer from `low` to `high`, both included; `low` when `high` is less.
    pub fn integer(&mut self, low: i32, high: i32) -> i32 {
        let span = (i64::from(high) - i64::from(low)).max(0) as u128 + 1;
        // The upper bits of a 96-bit product: the bias, below 2⁻³², is of no account here.
        let offset = (u128::from(self.bits()) * span) >> 64;
        (i64::from(low) + offset as i64) as i32
    }

    /// A uniform number in [0, 1) with 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// A nearly Gaussian number of mean 0 and variance 1, at most 6 in size: twelve 16-bit uniforms, summed exactly.
    pub fn gaussian(&mut self) -> f32 {
        let mut sum = 0i64;
        for _ in 0..3 {
            let bits = self.bits();
            sum += (0..4).map(|part| (bits >> (16 * part)) as i64 & 0xffff).sum::<i64>();
        }
        // The mean of one part is 0xffff / 2.
        (2 * sum - 12 * 0xffff) as f32 / (1 << 17) as f32
    }

    /// `[rows, cols]` Gaussian numbers, each row of another size ([`row_size`]): a scale taken from the wrong row
    /// shows.
    pub fn matrix(&mut self, rows: usize, cols: usize) -> Vec<f32> {
        (0..rows).flat_map(|row| std::iter::repeat_n(row_size(row), cols)).map(|size| size * self.gaussian()).collect()
    }

    /// `len` uniform codes from `low` to `high`.
    pub fn codes(&mut self, len: usize, low: i8, high: i8) -> Vec<i8> {
        (0..len).map(|_| self.integer(low.into(), high.into()) as i8).collect()
    }

    /// [`matrix`](Self::matrix) rounded to numbers of `T`: widening them again is exact.
    pub fn floats<T: Float>(&mut self, rows: usize, cols: usize) -> Vec<T> {
        self.matrix(rows, cols).into_iter().map(T::from_f32).collect()
    }

    /// `len` uniform integers from −`most` to `most`, as numbers of `T`. Every type holds those up to 8; with what
    /// [`Accumulation::exact_integers`](super::Accumulation::exact_integers) allows, sums of products are exact.
    pub fn integers<T: Float>(&mut self, len: usize, most: i32) -> Vec<T> {
        (0..len).map(|_| T::from_f32(self.integer(-most, most) as f32)).collect()
    }

    /// A scale for each row, all different, near 2⁻⁷.
    pub fn scales(&mut self, rows: usize) -> Vec<f32> {
        (0..rows).map(|row| row_size(row) * (0.75 + 0.5 * self.unit()) / 128.0).collect()
    }

    /// A power of two for each row, from 2⁻³ to 2³: with these, scaling is exact.
    pub fn power_of_two_scales(&mut self, rows: usize) -> Vec<f32> {
        (0..rows).map(|_| f32::powi(2.0, self.integer(-3, 3))).collect()
    }
}

/// Numbers of `T` as f32, exactly: what a reference computes on.
pub fn widened<T: Float>(values: &[T]) -> Vec<f32> {
    values.iter().map(|&value| value.to_f32()).collect()
}

/// A size in [0.5, 1.5) for a row, different for any two rows close to each other.
pub fn row_size(row: usize) -> f32 {
    // Multiples of the golden ratio, modulo 1, spread evenly.
    let fraction = (row as u32).wrapping_mul(0x9e37_79b9) >> 8;
    0.5 + fraction as f32 / (1 << 24) as f32
}

/// The output function of splitmix64: a bijection in which every bit depends on every other.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

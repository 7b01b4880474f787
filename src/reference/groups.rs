//! Products that are summed by groups of K, each group's sum scaled by itself.

use super::exact::output;
use super::product;
use crate::{Error, Result};

/// Groups of K: so many terms, and their scales `[M, groups]` and `[N, groups]`, 1 where there are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups<'a> {
    pub len: usize,
    a: Option<&'a [f32]>,
    b: Option<&'a [f32]>,
}

impl<'a> Groups<'a> {
    pub fn new(
        len: usize,
        a: Option<&'a [f32]>,
        b: Option<&'a [f32]>,
        (m, n, k): (usize, usize, usize),
    ) -> Result<Groups<'a>> {
        if len == 0 {
            return Err(Error::Shape("groups of K have no terms".into()));
        }
        let count = k.div_ceil(len);
        for (what, scales, rows) in [("a", a, m), ("b", b, n)] {
            if scales.is_some_and(|scales| rows.checked_mul(count) != Some(scales.len())) {
                return Err(Error::Shape(format!(
                    "{} scales of {what} were given, but {rows} rows have {count} groups of {len} each",
                    scales.map_or(0, <[f32]>::len)
                )));
            }
        }
        Ok(Groups { len, a, b })
    }

    /// The scales of group `group`, of row i and column j, out of `count` groups.
    pub fn scales(&self, (i, j): (usize, usize), group: usize, count: usize) -> [f32; 2] {
        [(self.a, i), (self.b, j)].map(|(scales, row)| scales.map_or(1.0, |scales| scales[row * count + group]))
    }

    /// Gives `(group, sums [M, N] of its terms)` for every group in order.
    pub fn parts(
        &self,
        a: &[f32],
        b: &[f32],
        (m, n, k): (usize, usize, usize),
        mut each: impl FnMut(usize, Vec<f64>) -> Result<()>,
    ) -> Result<()> {
        for (group, first) in (0..k).step_by(self.len).enumerate() {
            let len = self.len.min(k - first);
            let cut = |values: &[f32]| -> Vec<f32> {
                values.chunks_exact(k).flat_map(|row| &row[first..][..len]).copied().collect()
            };
            each(group, product(&cut(a), &cut(b), (m, n, len))?)?;
        }
        Ok(())
    }

    /// The sum of the parts times their scales, in f64, each scale as large as `size` makes it.
    pub fn sums(
        &self,
        a: &[f32],
        b: &[f32],
        shape: (usize, usize, usize),
        size: impl Fn(f64) -> f64,
    ) -> Result<Vec<f64>> {
        let (m, n, k) = shape;
        let count = k.div_ceil(self.len);
        let mut sums = output(m, n, 0f64)?;
        self.parts(a, b, shape, |group, parts| {
            for (at, (sum, part)) in sums.iter_mut().zip(parts).enumerate() {
                let [x, y] = self.scales((at / n, at % n), group, count).map(f64::from);
                *sum += part * size(x * y);
            }
            Ok(())
        })?;
        Ok(sums)
    }

    /// `values` `[rows, K]` times the scales of the first operand (or of the second), each rounded to f32.
    #[cfg(feature = "candle")]
    pub fn scaled(&self, values: &[f32], second: bool, k: usize) -> Vec<f32> {
        let Some(scales) = (if second { self.b } else { self.a }) else { return values.to_vec() };
        let count = k.div_ceil(self.len);
        let of = |(at, x): (usize, &f32)| x * scales[at / k * count + at % k / self.len];
        values.iter().enumerate().map(of).collect()
    }
}

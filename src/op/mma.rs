//! The parameter block that every product by `mma.sync` takes (`gemm/mma_loop.cuh`).

use crate::device::{Element, LaunchBuilder, View, ViewMut};

/// One operand: its memory, and the bytes from a row of it and from a matrix of a batch to the next.
pub(super) struct Side<'a, T> {
    pub view: View<'a, T>,
    pub ld: i64,
    pub batch: i64,
    /// Alignment of all rows in bytes: 16, 4, or an element's 2 or 1.
    pub unit: u32,
}

/// Something per row or column of the output: its values, whether there is one for each or one for all, and the
/// elements from a matrix of a batch to the next.
pub(super) struct Vector<'a, T> {
    pub view: View<'a, T>,
    pub each: bool,
    pub batch: i64,
}

/// Scales by groups of K: a line of them for every 2^`shift` rows, `ld` elements apart, groups `step` apart.
pub(super) struct Groups<'a> {
    pub view: View<'a, f32>,
    pub ld: i64,
    pub step: i64,
    pub batch: i64,
    pub shift: u32,
}

/// What is added to the product.
pub(super) enum Addend<'a, O> {
    None,
    /// Another matrix, elements from row to row and from matrix to matrix.
    Of(View<'a, O>, i64, i64),
    /// The output as it was.
    Output,
}

/// Everything that a launch is told beside its geometry.
pub(super) struct Mma<'a, A, B, O> {
    pub a: Side<'a, A>,
    pub b: Side<'a, B>,
    pub c: Addend<'a, O>,
    pub d: ViewMut<'a, O>,
    pub ldd: i64,
    pub batch_d: i64,
    pub scale_row: Option<Vector<'a, f32>>,
    pub scale_col: Option<Vector<'a, f32>>,
    pub bias: Option<Vector<'a, f32>>,
    pub zero_row: Option<Vector<'a, i32>>,
    pub column_sums: Option<Vector<'a, i32>>,
    pub groups: [Option<Groups<'a>>; 2],
    /// log2 of the bytes of a group of K, or 0 without groups.
    pub k_group_shift: u32,
    pub scratch: Option<(ViewMut<'a, u8>, ViewMut<'a, u32>)>,
    pub mn: [u32; 2],
    /// Bytes of K, slices, bytes of a slice.
    pub k: [u32; 3],
    pub d_type: u32,
    pub alpha: f32,
    pub beta: f32,
}

/// Whether there is one for each, and elements between matrices; of what is absent nothing.
fn steps<T>(vector: Option<&Vector<'_, T>>) -> (u32, i64) {
    vector.map_or((0, 0), |v| (v.each.into(), v.batch))
}

impl<'a, A: Element, B: Element, O: Element> Mma<'a, A, B, O> {
    /// Gives all arguments, in the order of the manifest.
    pub fn encode(self, launch: &mut LaunchBuilder<'a>) {
        fn vector<'a, T: Element>(launch: &mut LaunchBuilder<'a>, vector: Option<Vector<'a, T>>) {
            launch.optional(vector.map(|vector| vector.view));
        }
        let (row_step, batch_row) = match &self.scale_row {
            Some(_) => steps(self.scale_row.as_ref()),
            None => steps(self.zero_row.as_ref()),
        };
        let (col_step, batch_col) = steps(self.scale_col.as_ref());
        let (batch_bias, batch_sums) = (steps(self.bias.as_ref()).1, steps(self.column_sums.as_ref()).1);
        let (ldc, batch_c) = match self.c {
            Addend::None => (0, 0),
            Addend::Of(_, ld, batch) => (ld, batch),
            Addend::Output => (self.ldd, self.batch_d),
        };
        launch.ptr(self.a.view).ptr(self.b.view);
        match self.c {
            Addend::None => launch.null(),
            Addend::Of(view, ..) => launch.ptr(view),
            Addend::Output => launch.ptr_too(&self.d),
        };
        launch.ptr_mut(self.d);
        vector(launch, self.scale_row);
        vector(launch, self.scale_col);
        vector(launch, self.bias);
        vector(launch, self.zero_row);
        vector(launch, self.column_sums);
        let [lines_a, lines_b] = self.groups.each_ref().map(|groups| match groups {
            Some(Groups { ld, step, batch, shift, .. }) => (*ld, *step, *batch, *shift),
            None => (0, 0, 0, 0),
        });
        for groups in self.groups {
            launch.optional(groups.map(|groups| groups.view));
        }
        match self.scratch {
            None => launch.null().null(),
            Some((partials, tickets)) => launch.ptr_mut(partials).ptr_mut(tickets),
        };
        launch.i64(self.a.ld).i64(self.b.ld).i64(ldc).i64(self.ldd);
        launch.i64(self.a.batch).i64(self.b.batch).i64(batch_c).i64(self.batch_d);
        launch.i64(batch_row).i64(batch_col).i64(batch_bias).i64(batch_sums);
        launch.i64(lines_a.0).i64(lines_a.1).i64(lines_b.0).i64(lines_b.1).i64(lines_a.2).i64(lines_b.2);
        launch.u32(self.mn[0]).u32(self.mn[1]).u32(self.k[0]).u32(self.k[1]).u32(self.k[2]).u32(self.d_type);
        launch.u32(self.a.unit).u32(self.b.unit).u32(row_step).u32(col_step);
        launch.u32(lines_a.3).u32(lines_b.3).u32(self.k_group_shift);
        launch.f32(self.alpha).f32(self.beta);
    }
}

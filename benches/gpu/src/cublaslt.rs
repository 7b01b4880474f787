//! The peer: cuBLASLt's products, of int8 into exact s32, of f16 and of e4m3 into f16 by f32 sums.

use std::error::Error;
use std::ffi::c_void;
use std::ptr;

use cudarc::cublaslt::{result, sys};
use halfbyte::device::{Buffer, Element, Matrix, MatrixMut, Region, Stream};

/// Scratch that the library may use (what its own samples give it on Hopper).
const WORKSPACE: usize = 32 << 20;

/// `CUBLAS_OP_T` of `cublasOperation_t`.
const OP_T: i32 = 1;

/// What the library multiplies and writes.
#[derive(Clone, Copy, PartialEq)]
pub enum Types {
    /// int8 into s32.
    S8,
    /// f16 into f16, summed in f32.
    F16,
    /// e4m3 into f16, summed in f32.
    E4m3,
}

/// One product `d[m, n] = Σ a[m, k] · b[n, k]`, with the algorithm that the library thinks best.
///
/// cuBLASLt counts in columns: row-major `[n, k]` is its column-major `k × n`. So it is asked for
/// `dᵀ = bᵀ(transposed) · a`, the form that its kernels of 8 bits want.
pub struct Product {
    handle: sys::cublasLtHandle_t,
    operation: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
    workspace: Buffer<u8>,
    /// Bits of the factors 1 and 0, in the type of the sums.
    factors: [u32; 2],
}

/// True when the library can be loaded.
pub fn is_present() -> bool {
    // SAFETY: only looks whether the library can be opened; its initializers are NVIDIA's.
    unsafe { sys::is_culib_present() }
}

impl Product {
    /// Asks the library for its best algorithm. Dimensions are those of the row-major product.
    pub fn new(stream: &Stream, types: Types, [m, n, k]: [usize; 3]) -> Result<Product, Box<dyn Error>> {
        let workspace = stream.alloc(WORKSPACE)?;
        let workspace_bytes = WORKSPACE as u64;
        use sys::cublasComputeType_t::{CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32I};
        use sys::cudaDataType::{CUDA_R_8F_E4M3, CUDA_R_8I, CUDA_R_16F, CUDA_R_32F, CUDA_R_32I};
        let (input, output, sums, compute) = match types {
            Types::S8 => (CUDA_R_8I, CUDA_R_32I, CUDA_R_32I, CUBLAS_COMPUTE_32I),
            Types::F16 => (CUDA_R_16F, CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F),
            Types::E4m3 => (CUDA_R_8F_E4M3, CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F),
        };
        let factors = if types == Types::S8 { [1, 0] } else { [1f32.to_bits(), 0] };
        let handle = result::create_handle()?;
        let operation = result::create_matmul_desc(compute, sums)?;
        let transposed = OP_T;
        // SAFETY: the descriptor is live, and the attribute is a value of this type and size.
        unsafe {
            result::set_matmul_desc_attribute(
                operation,
                sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA,
                (&raw const transposed).cast(),
                size_of_val(&transposed),
            )?;
        }
        let [rows, cols, depth] = [n as u64, m as u64, k as u64];
        let layouts = [
            result::create_matrix_layout(input, depth, rows, k as i64)?,
            result::create_matrix_layout(input, depth, cols, k as i64)?,
            result::create_matrix_layout(output, rows, cols, n as i64)?,
        ];
        let preference = result::create_matmul_pref()?;
        // SAFETY: all descriptors are live; the attribute is a value of this type and size.
        let heuristic = unsafe {
            result::set_matmul_pref_attribute(
                preference,
                sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const workspace_bytes).cast(),
                size_of_val(&workspace_bytes),
            )?;
            let [b, a, d] = layouts;
            let heuristic = result::get_matmul_algo_heuristic(handle, operation, b, a, d, d, preference);
            result::destroy_matmul_pref(preference)?;
            heuristic?
        };
        Ok(Product { handle, operation, layouts, algorithm: heuristic.algo, workspace, factors })
    }

    /// Queues the product of operands of the types and the shape that it was made for, dense.
    pub fn run<T: Element, O: Element>(
        &self,
        stream: &Stream,
        a: Matrix<'_, T>,
        b: Matrix<'_, T>,
        d: &MatrixMut<'_, O>,
    ) -> Result<(), Box<dyn Error>> {
        let raw = stream.cudarc().ok_or("a stream of the emulator")?;
        raw.context().bind_to_thread()?;
        let [alpha, beta] = self.factors;
        let [b_layout, a_layout, d_layout] = self.layouts;
        let at = |address: u64| address as *mut c_void;
        // SAFETY: the layouts were made for operands of these shapes, all of them dense and in memory of the stream's
        // context; the caller's borrows keep them alive until it synchronizes; the workspace has the size that was
        // said; alpha and beta are read before the call returns (host pointer mode).
        unsafe {
            result::matmul(
                self.handle,
                self.operation,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                at(b.address()),
                b_layout,
                at(a.address()),
                a_layout,
                ptr::null(),
                d_layout,
                at(d.address()),
                d_layout,
                &raw const self.algorithm,
                at(self.workspace.address()),
                WORKSPACE,
                raw.cu_stream().cast(),
            )?;
        }
        Ok(())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // SAFETY: each is live and destroyed once. An error here would leak a few hundred bytes.
        unsafe {
            for layout in self.layouts {
                let _ = result::destroy_matrix_layout(layout);
            }
            let _ = result::destroy_matmul_desc(self.operation);
            let _ = result::destroy_handle(self.handle);
        }
    }
}

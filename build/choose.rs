//! Decides between compiling the kernels and taking the prebuilt PTX.

use super::nvcc::Nvcc;
use super::{PINNED, REFRESH};

/// `HALFBYTE_KERNELS`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Not set: compile if the pinned nvcc is there.
    Auto,
    /// `source`: compile, or fail.
    Source,
    /// `prebuilt`: do not look for a compiler.
    Prebuilt,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Compile with this nvcc.
    Compile(Nvcc),
    /// Take the prebuilt PTX; the note says which compiler was passed over, if one was.
    Prebuilt(Option<String>),
}

impl Mode {
    /// Reads the variable's value.
    pub fn parse(value: Option<&str>) -> Result<Mode, String> {
        match value {
            None | Some("") => Ok(Mode::Auto),
            Some("source") => Ok(Mode::Source),
            Some("prebuilt") => Ok(Mode::Prebuilt),
            Some(other) => Err(format!("HALFBYTE_KERNELS is `{other}`; it may be `source` or `prebuilt`")),
        }
    }
}

/// The choice for a mode, `HALFBYTE_ANY_NVCC` and the nvcc that was found.
pub fn choose(mode: Mode, any: bool, found: Option<Nvcc>) -> Result<Choice, String> {
    let (major, minor) = PINNED;
    match (mode, found) {
        (Mode::Prebuilt, _) | (Mode::Auto, None) => Ok(Choice::Prebuilt(None)),
        (_, Some(nvcc)) if any || nvcc.is_pinned() => Ok(Choice::Compile(nvcc)),
        (Mode::Auto, Some(nvcc)) => Ok(Choice::Prebuilt(Some(format!(
            "{} is version {}, the kernels are tested with {major}.{minor}: taking the prebuilt PTX (HALFBYTE_ANY_NVCC=1 compiles nonetheless)",
            nvcc.path.display(),
            nvcc.version
        )))),
        (Mode::Source, Some(nvcc)) => Err(format!(
            "HALFBYTE_KERNELS=source needs nvcc {major}.{minor}, but {} is version {} (HALFBYTE_ANY_NVCC=1 accepts it)",
            nvcc.path.display(),
            nvcc.version
        )),
        (Mode::Source, None) => Err(format!(
            "HALFBYTE_KERNELS=source needs nvcc {major}.{minor}, and none was found through NVCC, CUDA_HOME, CUDA_PATH or PATH\n\
             the wheels nvidia-cuda-nvcc, nvidia-nvvm, nvidia-cuda-crt, nvidia-cuda-runtime and nvidia-cuda-cccl {major}.{minor} bring one: NVCC=<path of nvcc> {REFRESH}"
        )),
    }
}

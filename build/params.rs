//! Writes `kernels/params.cuh`: the parameter blocks of the manifest as C structs.

use super::REFRESH;
use super::manifest::{Field, Params, Row};
use std::fmt::Write;

/// The whole header, for every parameter block that a row uses.
pub fn header(rows: &[Row]) -> Result<String, String> {
    let mut blocks: Vec<&Params> = Vec::new();
    for row in rows {
        match blocks.iter().find(|p| p.name == row.params.name) {
            Some(known) if *known != row.params => {
                return Err(format!(
                    "kernels/manifest.rs: two different parameter blocks are called `{}`",
                    row.params.name
                ));
            }
            Some(_) => {}
            None => blocks.push(row.params),
        }
    }
    let mut text = String::from(
        "// Parameter blocks of the kernels, written from kernels/manifest.rs; an edit here is overwritten.\n\
         // One block is the one `const __grid_constant__` argument of its entry points.\n\
         #pragma once\n\n#include <cstddef>\n#include <cstdint>\n\n\
         /// A TMA tensor map, as cuTensorMapEncodeTiled makes it; opaque.\n\
         struct alignas(64) TensorMapBytes {\n    unsigned char bytes[128];\n};\n\
         static_assert(sizeof(TensorMapBytes) == 128, \"size of a tensor map\");\n\n\
         #define HALFBYTE_AT(block, field, at) static_assert(offsetof(block, field) == at, #block \"::\" #field)\n",
    );
    for block in blocks {
        write_block(&mut text, block).map_err(|e| e.to_string())?;
    }
    text += "\n#undef HALFBYTE_AT\n";
    Ok(text)
}

/// Says so if the committed file is not what the manifest says.
pub fn check(header: &str, file: Option<&str>) -> Result<(), String> {
    match file {
        Some(text) if super::hash::lf(text) == header => Ok(()),
        Some(_) => Err(format!("kernels/params.cuh is not what kernels/manifest.rs says; `{REFRESH}` writes it")),
        None => Err(format!("kernels/params.cuh is missing; `{REFRESH}` writes it")),
    }
}

fn write_block(text: &mut String, block: &Params) -> std::fmt::Result {
    let name = block.name;
    writeln!(text, "\nstruct {name} {{")?;
    for (field, kind, doc) in block.fields {
        let line = format!("    {} {field};  ///< {doc}", c_type(*kind));
        match line.len() {
            0..=120 => writeln!(text, "{line}")?,
            _ => writeln!(text, "    /// {doc}\n    {} {field};", c_type(*kind))?,
        }
    }
    writeln!(text, "}};\nstatic_assert(sizeof({name}) == {}, \"size of {name}\");", block.size())?;
    writeln!(text, "static_assert(alignof({name}) == {}, \"alignment of {name}\");", block.align())?;
    let mut line = String::new();
    for (index, (field, _, _)) in block.fields.iter().enumerate() {
        let check = format!("HALFBYTE_AT({name}, {field}, {});", block.offset(index));
        if line.len() + 1 + check.len() > 120 {
            writeln!(text, "{line}")?;
            line.clear();
        }
        line += if line.is_empty() { "" } else { " " };
        line += &check;
    }
    writeln!(text, "{line}")
}

fn c_type(field: Field) -> &'static str {
    match field {
        Field::TensorMap => "TensorMapBytes",
        Field::Ptr => "const void*",
        Field::PtrMut => "void*",
        Field::U32 => "uint32_t",
        Field::I64 => "int64_t",
        Field::F32 => "float",
    }
}

//! Modules and entries as wholes.

use super::super::super::ir::{Op, Space};
use super::super::module::{Module, Pointer};
use super::around;

#[test]
fn prebuilt_kernels_decode_into_few_slots() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/prebuilt");
    let (mut folders, mut texts) = (vec![root], 0);
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "ptx") {
                let module = Module::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
                texts += 1;
                assert!(module.target().starts_with("sm_"));
                for code in module.entries() {
                    // Fewer than 400, but attention to heads of 192 and 256 keeps an output of as many columns in
                    // registers, beside scores and what a tile of keys needs: 504 at most.
                    let slots = (code.num_r32, code.num_r64, code.num_pred);
                    let most = if code.name.ends_with("_64x192") || code.name.ends_with("_64x256") { 510 } else { 400 };
                    assert!(
                        slots.0 < most && slots.1 < 100 && slots.2 < 32,
                        "{}: {}: {slots:?} slots of 32 bits, 64 bits and predicates",
                        path.display(),
                        code.name
                    );
                }
            }
        }
    }
    assert!(texts >= 3);
}

#[test]
fn variables_have_places_and_values() {
    let module = Module::parse(
        ".version 8.4\n.target sm_89, debug\n.address_size 64\n\
         .visible .global .align 8 .u64 table[3] = {generic(c)+4, x, 7};\n\
         .global .b16 x = -2;\n.const .align 4 .f32 c[2] = {1.5, 0f40000000};\n.const .b64 d;\n\
         .entry k() { .reg .b64 %rd<3>; .reg .b32 %r<3>; mov.u64 %rd1, table+8; ld.const.b64 %rd2, [d]; st.global.b64 [%rd1], %rd2; }",
    )
    .unwrap();
    assert_eq!((module.target(), module.version(), module.const_bytes()), ("sm_89", (8, 4), 16));
    let [table, x, c, d] = module.variables() else { panic!() };
    assert_eq!(
        (table.space, table.bytes, table.init.as_slice()),
        (Space::Global, 24, [[0; 8], [0; 8], 7u64.to_le_bytes()].as_flattened())
    );
    assert_eq!(
        table.pointers,
        [
            Pointer { at: 0, variable: 2, addend: 4, generic: true },
            Pointer { at: 8, variable: 1, addend: 0, generic: false }
        ]
    );
    assert_eq!((x.bytes, x.init.as_slice()), (2, [0xFE, 0xFF].as_slice()));
    assert_eq!(
        (c.space, c.const_offset, c.init.as_slice()),
        (Space::Const, 0, [0, 0, 0xC0, 0x3F, 0, 0, 0, 0x40].as_slice())
    );
    assert_eq!((d.const_offset, d.bytes, d.init.len()), (8, 8, 0));
    let code = module.entry("k").unwrap();
    let [(slot, 0, 8)] = code.addresses[..] else { panic!("{:?}", code.addresses) };
    assert!(matches!(code.insts[0].op, Op::Unary { a, .. } if a == slot));
    assert!(
        matches!(&code.insts[1].op, Op::Load { space: Space::Const, addr, .. } if addr.base.is_none() && addr.offset == 8)
    );
}

#[test]
fn an_entry_tells_its_launch() {
    let text = ".version 9.0\n.target sm_90a\n.extern .shared .align 1024 .b8 dyn[];\n.shared .b8 unused[512];\n.shared .b32 used;\n\
                .func helper(.param .b32 x) { call nothing; }\n\
                .visible .entry k(.param .u8 a, .param .u64 .ptr .global .align 16 b, .param .align 64 .b8 c[128])\n\
                .maxntid 128, 2\n.minnctapersm 2\n.reqnctapercluster 2, 1, 1\n.explicitcluster\n\
                { .shared .align 8 .b8 own[12]; .local .align 16 .b8 depot[20]; .reg .b32 %r<9>;\n\
                  mov.u32 %r1, used; mov.u32 %r2, dyn; mov.u32 %r3, own; }\n.entry plain() .reqntid 32 { ret; }";
    let module = Module::parse(text).unwrap();
    let code = module.entry("k").unwrap();
    assert_eq!(
        (code.max_threads, code.required_threads, code.required_cluster),
        (Some([128, 2, 1]), None, Some([2, 1, 1]))
    );
    let params: Vec<_> = code.params.iter().map(|p| (p.name.as_str(), p.offset, p.bytes, p.align)).collect();
    assert_eq!(params, [("a", 0, 1, 1), ("b", 8, 8, 8), ("c", 64, 128, 64)]);
    assert_eq!((code.param_bytes, code.param_align), (192, 64));
    assert_eq!((code.shared_static, code.shared_dynamic_at, code.local_bytes), (20, 1024, 20));
    let values: Vec<u32> = code.const32.iter().map(|&(_, value)| value).collect();
    assert_eq!(values.iter().filter(|value| [0, 8, 1024].contains(*value)).count(), 3);
    assert!(matches!(code.insts.last().unwrap().op, Op::Exit));
    let plain = module.entry("plain").unwrap();
    assert_eq!((plain.required_threads, plain.shared_static, plain.shared_dynamic_at), (Some([32, 1, 1]), 0, 0));
    assert!(module.entry("helper").is_none());
}

#[test]
fn scopes_repeat_their_names() {
    let wait = "{ .reg .pred P; W: mbarrier.try_wait.parity.shared.b64 P, [%r1], 0; @P bra D; bra W; D: }\n";
    let module = Module::parse(&around(&wait.repeat(3))).unwrap();
    let code = module.entry("k").unwrap();
    let targets: Vec<u32> = code
        .insts
        .iter()
        .filter_map(|inst| if let Op::Branch { target } = inst.op { Some(target) } else { None })
        .collect();
    assert_eq!(targets, [3, 0, 6, 3, 9, 6]);
    assert_eq!(code.num_pred, 1);
}

#[test]
fn positions_follow_loc() {
    let text = around(".loc 7 12 1\nmov.u32 %r1, 1;\n.loc 9 5 1\nst.shared.u32 [sbuf], %r1;")
        + ".file 9 \"b.cuh\"\n.file 7 \"a.cu\", 1, 2\n";
    let module = Module::parse(&text).unwrap();
    let code = module.entry("k").unwrap();
    let place = |inst: usize| {
        let at = &code.lines[code.insts[inst].at as usize];
        (at.text.as_str(), at.file.map(|file| code.files[file as usize].as_str()), at.line)
    };
    assert_eq!(place(0), ("mov.u32 %r1, 1;", Some("a.cu"), 12));
    assert_eq!(place(1), ("st.shared.u32 [sbuf], %r1;", Some("b.cuh"), 5));
}

#[test]
fn every_row_has_a_form() {
    use super::{asynchronous, control, float, integer, logic, memory, moves, tensor, warp};
    let groups = [
        integer::FORMS,
        float::FORMS,
        logic::FORMS,
        moves::FORMS,
        memory::FORMS,
        control::FORMS,
        warp::FORMS,
        tensor::FORMS,
        asynchronous::FORMS,
    ];
    let opcodes: Vec<&str> = groups
        .iter()
        .flat_map(|group| group.iter())
        .filter_map(|(form, _)| form.split(' ').find(|word| !word.starts_with('@')))
        .collect();
    let mut stems = super::super::decode::stems();
    let count = stems.len();
    stems.retain(|stem| !opcodes.iter().any(|opcode| super::super::decode::stem_of(opcode) == Some(*stem)));
    // Second names of a form that is there.
    assert_eq!(stems, ["ldu", "applypriority"]);
    stems.dedup();
    assert_eq!(count, 117);
}

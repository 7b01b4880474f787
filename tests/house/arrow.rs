//! format ← layout ← plan ← device ← op: a `use` against the arrow is a fault of the house.

use super::{files, read, root};

/// What each room may name at the root of the crate, besides itself. Everybody but the emulator may name errors.
const ROOMS: &[(&str, &[&str])] = &[
    ("format", &[]),
    ("layout", &["format"]),
    ("plan", &["format", "layout", "manifest"]),
    ("device", &["format", "layout", "plan", "manifest", "kernels", "emulator"]),
    ("kernels", &["manifest"]),
    ("op", &["format", "layout", "plan", "device", "manifest"]),
    ("reference", &["format"]),
    ("emulator", &[]),
];
const ERRORS: &[&str] = &["Error", "Result", "error"];

/// The names at the crate's root that a file uses. `depth` is how many modules the file is below the root.
fn used(text: &str, depth: usize) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let starts = i == 0 || tokens[i - 1] != "::";
        let mut next = i + 1;
        if token == "super" && starts {
            let mut up = 1;
            while tokens.get(next).is_some_and(|t| t == "::") && tokens.get(next + 1).is_some_and(|t| t == "super") {
                up += 1;
                next += 2;
            }
            if up < depth {
                continue;
            }
        } else if token != "crate" {
            continue;
        }
        if tokens.get(next).is_some_and(|t| t == "::") {
            heads(&tokens[next + 1..], &mut found);
        }
    }
    found
}

/// The first names of a path or of every path of a group: `a::b` is a, `{a::b, c}` is a and c.
fn heads(tokens: &[String], found: &mut Vec<String>) {
    if tokens.first().is_none_or(|t| t != "{") {
        found.extend(tokens.first().cloned());
        return;
    }
    let (mut level, mut first) = (0, false);
    for token in tokens {
        match token.as_str() {
            "{" => {
                level += 1;
                first = level == 1;
            }
            "}" if level == 1 => return,
            "}" => level -= 1,
            "," => first = level == 1,
            name if first => {
                found.push(name.to_owned());
                first = false;
            }
            _ => {}
        }
    }
}

/// Identifiers and the punctuation of paths; no comments, no texts.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if rest.starts_with("'\"'") {
            3
        } else {
            if matches!(c, '{' | '}' | ',') {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The names that `room` may not use but a file of it does.
fn violations(room: &str, text: &str, depth: usize) -> Vec<String> {
    let allowed = ROOMS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, allowed)| allowed);
    let known = |name: &str| name == room || allowed.contains(&name) || (room != "emulator" && ERRORS.contains(&name));
    let rooms = |name: &String| ROOMS.iter().any(|(room, _)| room == name);
    let other = ["manifest", "Error", "Result", "error"];
    let mut found = used(text, depth);
    found.retain(|name| (rooms(name) || other.contains(&name.as_str())) && !known(name));
    found
}

#[test]
fn no_room_uses_what_comes_after_it() {
    let mut seen = 0;
    for (room, _) in ROOMS {
        let file = root().join("src").join(format!("{room}.rs"));
        let folder = files(&root().join("src").join(room), ".rs");
        for path in folder.into_iter().chain(file.is_file().then_some(file)) {
            let below = path.strip_prefix(root().join("src")).expect("it is below src");
            // src/plan/mod.rs is one module below the root, src/plan/sm80.rs is two.
            let depth = below.components().count() - usize::from(below.ends_with("mod.rs"));
            let found = violations(room, &read(&path), depth);
            assert!(found.is_empty(), "{}: `{room}` must not know {found:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= ROOMS.len(), "every room has a file, {seen} were read");
}

#[test]
fn a_use_against_the_arrow_is_found() {
    let none: [&str; 0] = [];
    assert_eq!(violations("plan", "use crate::device::Stream;", 1), ["device"]);
    assert_eq!(violations("plan", "fn f() -> crate::op::Linear { todo() }", 2), ["op"]);
    assert_eq!(violations("layout", "use crate::{Result, format::{int8, DType}, plan::{self, device}};", 1), ["plan"]);
    assert_eq!(violations("reference", "use crate::layout;", 1), ["layout"]);
    assert_eq!(violations("emulator", "use crate::Error; use crate::emulator::Arch;", 1), ["Error"]);
    assert_eq!(violations("format", "use super::super::kernels::modules;", 2), ["kernels"]);
    assert_eq!(
        violations("op", "let c = '\"'; use crate::kernels; let d = \"\\\" crate::reference\";", 1),
        ["kernels"]
    );
    assert_eq!(violations("format", "use super::plan; // a module of format itself", 2), none);
    assert_eq!(violations("format", "/// as crate::device does\nuse crate::format::DType;", 1), none);
    assert_eq!(violations("op", "use crate::{plan, device::{Stream, View}, Result};", 1), none);
}

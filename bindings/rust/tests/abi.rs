// SPDX-License-Identifier: MIT
//! A C compiler compares `src/ffi.rs` with the C header.
//!
//! The test turns each declaration of ffi.rs into C.  A constant becomes an assertion.  A
//! struct becomes a twin with assertions about its size and members.  A function becomes an
//! assertion about its type.  The test also fails if the library exports a function that
//! neither ffi.rs nor the list here has.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FFI: &str = include_str!("../src/ffi.rs");

/// Functions that the crate does not use.  A mapping outlives its slice, so it uses munmap().
const NOT_BOUND: &[&str] = &["vdb_parse_bdf", "vdb_slice_unmap"];

/// A type of ffi.rs in C, with room for a name in it: "int %", "struct vdb_slice *%".
fn c_type(rust: &str) -> String {
    let plain = |name: &str| format!("{name} %");
    if let Some(target) = rust.strip_prefix("*mut ") {
        return c_type(target).replace('%', "*%");
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("const {}", c_type(target).replace('%', "*%"));
    }
    if let Some(item) = rust.strip_prefix("Each<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("bool (*%)(const struct {item} *, void *)");
    }
    if let Some((item, size)) = rust.strip_prefix('[').and_then(|rest| rest.split_once("; ")) {
        let size = size.strip_suffix(']').expect("an array has an end");
        return c_type(item).replace('%', &format!("%[{size}]"));
    }
    match rust {
        "c_int" => plain("int"),
        "c_uint" => plain("unsigned int"),
        "c_char" => plain("char"),
        "c_void" => plain("void"),
        "bool" | "size_t" | "ssize_t" => plain(rust),
        "usize" => plain("size_t"),
        "libc::siginfo_t" => plain("siginfo_t"),
        "u8" | "u16" | "u32" | "u64" => plain(&format!("uint{}_t", &rust[1..])),
        "i64" => plain("int64_t"),
        name if name.starts_with("vdb_") => plain(&format!("struct {name}")),
        other => panic!("ffi.rs has a type that this test does not know: {other}"),
    }
}

/// A declaration without a name, or of one.
fn declare(rust: &str, name: &str) -> String {
    c_type(rust).replace('%', name).trim().to_owned()
}

/// "name: type" of a field or parameter.
fn split(declaration: &str) -> (&str, &str) {
    let (name, kind) = declaration.split_once(": ").expect("a name and a type");
    (name.strip_prefix("r#").unwrap_or(name), kind)
}

#[derive(Default)]
struct Checks {
    c: String,
    constants: usize,
    structs: usize,
    functions: BTreeSet<String>,
}

impl Checks {
    fn check(&mut self, condition: &str) {
        writeln!(self.c, "_Static_assert({condition}, \"\");").unwrap();
    }

    fn constant(&mut self, declaration: &str) {
        let (name, rest) = split(declaration);
        let (_, value) = rest.split_once(" = ").expect("a value");
        self.check(&format!("{name} == {value}"));
        self.constants += 1;
    }

    fn structure(&mut self, name: &str, fields: &[&str]) {
        // Opaque: only pointers to it exist.
        if fields.iter().any(|field| field.starts_with("opaque: ")) {
            return;
        }
        let mut twin = String::new();
        for field in fields {
            let (field, kind) = split(field.strip_prefix("pub ").expect("a public field"));
            write!(twin, " {};", declare(kind, field)).unwrap();
        }
        writeln!(self.c, "struct twin_{name} {{{twin} }};").unwrap();
        self.check(&format!("sizeof(struct twin_{name}) == sizeof(struct {name})"));
        for field in fields {
            let (field, kind) = split(&field["pub ".len()..]);
            self.check(&format!(
                "offsetof(struct twin_{name}, {field}) == offsetof(struct {name}, {field})"
            ));
            self.check(&format!(
                "__builtin_types_compatible_p(__typeof__(((struct {name} *)0)->{field}), {})",
                declare(kind, "")
            ));
        }
        self.structs += 1;
    }

    fn function(&mut self, declaration: &str) {
        let (name, rest) = declaration.split_once('(').expect("parameters");
        let (parameters, result) = rest.split_once(')').expect("their end");
        let result = result.trim_end_matches(';').trim().strip_prefix("-> ").unwrap_or("c_void");
        let parameters: Vec<_> = parameters
            .split(", ")
            .filter(|parameter| !parameter.is_empty())
            .map(|parameter| declare(split(parameter).1, ""))
            .collect();
        let parameters =
            if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
        // Rust does not have volatile pointers.
        let pointer = declare(result, &format!("(*)({parameters})"));
        let volatile = if name.starts_with("vdb_try_write") || name == "vdb_try_copy_to" {
            pointer.replacen("(*)(void *,", "(*)(volatile void *,", 1)
        } else {
            pointer.replacen("const void *", "const volatile void *", 1)
        };
        let wanted = if name.starts_with("vdb_try_") { volatile } else { pointer };
        self.check(&format!("__builtin_types_compatible_p(__typeof__(&{name}), {wanted})"));
        self.functions.insert(name.to_owned());
    }
}

fn checks() -> Checks {
    let mut checks = Checks::default();
    let mut open: Option<(&str, Vec<&str>)> = None;

    writeln!(checks.c, "#include <stddef.h>\n#include <vfio-dmabuf.h>").unwrap();
    for line in FFI.lines().map(str::trim) {
        if let Some((name, fields)) = &mut open {
            if line == "}" {
                let (name, fields) = (*name, std::mem::take(fields));
                checks.structure(name, &fields);
                open = None;
            } else {
                fields.push(line.trim_end_matches(','));
            }
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            checks.constant(constant.trim_end_matches(';'));
        } else if let Some(function) = line.strip_prefix("pub fn ") {
            checks.function(function);
        } else if let Some(name) = line.strip_prefix("pub struct ") {
            open = Some((name.trim_end_matches(" {"), Vec::new()));
        }
    }
    checks
}

/// The header of the checkout, or of the compiler's directories.
fn include_option() -> Option<String> {
    let dir = env::var("VFIO_DMABUF_INCLUDE_DIR").map(PathBuf::from);
    let dir = dir.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include"));
    dir.join("vfio-dmabuf.h").exists().then(|| format!("-I{}", dir.display()))
}

/// A file of this test, which is removed at its end.
struct Source(PathBuf);

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let path = env::temp_dir().join(format!("vfio-dmabuf-{}-{name}.c", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The compiler's errors, or an empty text.
fn compile(name: &str, text: &str) -> Result<(), String> {
    let source = Source::new(name, text);
    let output = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()))
        .args(["-std=gnu17", "-fsyntax-only", "-Werror"])
        .args(include_option())
        .arg(&source.0)
        .output()
        .expect("a C compiler");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn declarations_are_those_of_the_header() {
    let checks = checks();

    // The parser must have seen them.
    assert!(checks.constants > 30 && checks.structs > 10 && checks.functions.len() > 50);
    if let Err(said) = compile("declarations", &checks.c) {
        panic!("ffi.rs is not what the header says:\n{said}");
    }
}

/// Tests the check: each of these declarations has one mistake.
#[test]
fn wrong_declarations_are_found() {
    type Add = fn(&mut Checks);
    let wrong: [(&str, Add); 5] = [
        ("constant", |checks| checks.constant("VDB_BARS: c_uint = 5")),
        ("order", |checks| checks.structure("vdb_range", &["pub length: u64", "pub offset: u64"])),
        ("member", |checks| checks.structure("vdb_range", &["pub offset: u64"])),
        ("sign", |checks| checks.structure("vdb_range", &["pub offset: i64", "pub length: u64"])),
        ("function", |checks| checks.function("vdb_slice_bar(slice: *const vdb_slice) -> u64;")),
    ];
    for (name, add) in wrong {
        let mut checks = Checks::default();
        writeln!(checks.c, "#include <stddef.h>\n#include <vfio-dmabuf.h>").unwrap();
        assert_eq!(compile(name, &checks.c), Ok(()));
        add(&mut checks);
        assert!(compile(name, &checks.c).is_err(), "{name} was not found");
    }
}

#[test]
fn every_function_of_the_library_is_bound() {
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lib/libvfio-dmabuf.map");
    let map = env::var("VFIO_DMABUF_MAP").map_or(map, PathBuf::from);
    let Ok(map) = fs::read_to_string(map) else {
        eprintln!("skipped: this is not the library's checkout");
        return;
    };
    let exported: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|name| name.starts_with("vdb_") && !NOT_BOUND.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(exported.len() > 50);
    assert_eq!(checks().functions, exported);
}

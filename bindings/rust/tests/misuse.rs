// SPDX-License-Identifier: MIT
//! Misuse does not compile.  The compiler must reject each file in `tests/misuse`, for the
//! reason that the file's first line names and for no other.
//!
//! A line that ends in `// WRONG` is the mistake.  Without it, the file must compile.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The directory in which cargo has put the crate and its dependencies.
fn deps() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The newest, because there can be some of earlier builds.
fn library() -> PathBuf {
    fs::read_dir(deps())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("libvfio_dmabuf-") && name.ends_with(".rlib")
        })
        .max_by_key(|path| {
            fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        })
        .expect("cargo has built the crate")
}

/// The codes of the compiler's errors; empty if it compiles.
fn errors(source: &Path, out: &Path) -> (BTreeSet<String>, String) {
    let output = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["--edition=2021", "--emit=metadata", "--crate-type=lib", "-Adead_code"])
        .arg("-o")
        .arg(out)
        .arg("--extern")
        .arg(format!("vfio_dmabuf={}", library().display()))
        .arg(format!("-Ldependency={}", deps().display()))
        .arg(source)
        .output()
        .expect("the compiler");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut codes: BTreeSet<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("error["))
        .filter_map(|rest| rest.split_once(']'))
        .map(|(code, _)| code.to_owned())
        .collect();
    if !output.status.success() && codes.is_empty() {
        codes.insert("without a code".to_owned());
    }
    (codes, said)
}

/// What is wrong with a file, if anything.
fn check(source: &Path) -> Option<String> {
    let name = source.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(source).unwrap();
    let code = text
        .lines()
        .find_map(|line| line.strip_prefix("// error: "))
        .unwrap_or_else(|| panic!("{name} does not say which error it wants"));
    let scratch = env::temp_dir().join(format!("vfio-dmabuf-{}-{name}", std::process::id()));
    fs::create_dir(&scratch).unwrap();
    let right = scratch.join("right.rs");
    let kept: Vec<_> = text.lines().filter(|line| !line.ends_with("// WRONG")).collect();
    assert_ne!(kept.len(), text.lines().count(), "{name} does not say what is wrong");
    fs::write(&right, kept.join("\n")).unwrap();

    let out = scratch.join("out.rmeta");
    let (codes, said) = errors(source, &out);
    let (none, complaint) = errors(&right, &out);
    fs::remove_dir_all(&scratch).unwrap();
    if !none.is_empty() {
        return Some(format!("{name} without what is wrong:\n{complaint}"));
    }
    let wanted = BTreeSet::from([code.to_owned()]);
    (codes != wanted).then(|| format!("{name}: {codes:?} instead of {code}:\n{said}"))
}

#[test]
fn misuse_does_not_compile() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/misuse");
    let sources: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let wrong: Vec<_> = sources.iter().filter_map(|source| check(source)).collect();
    assert!(sources.len() > 5);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

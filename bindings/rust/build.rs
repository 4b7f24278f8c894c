// SPDX-License-Identifier: MIT
//! Links libvfio-dmabuf: from VFIO_DMABUF_LIB_DIR, from where pkg-config finds it, or from
//! the linker's directories.

use std::process::Command;

fn pkg_config_dir() -> Option<String> {
    let output =
        Command::new("pkg-config").args(["--variable=libdir", "vfio-dmabuf"]).output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !dir.is_empty()).then_some(dir)
}

fn main() {
    println!("cargo:rerun-if-env-changed=VFIO_DMABUF_LIB_DIR");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    if let Some(dir) = std::env::var("VFIO_DMABUF_LIB_DIR").ok().or_else(pkg_config_dir) {
        println!("cargo:rustc-link-search=native={dir}");
    }
    println!("cargo:rustc-link-lib=dylib=vfio-dmabuf");
}

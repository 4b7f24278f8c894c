// SPDX-License-Identifier: MIT
// error: E0133
// That a handler of the program's calls the guard's is a promise.
pub fn promise() {
    vfio_dmabuf::guard::assume_installed(); // WRONG
}

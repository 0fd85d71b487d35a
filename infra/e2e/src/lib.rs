//! The whole system, tested from outside: real binaries and the real template, over HTTP. The tests are in
//! `tests/it`, the public npm clients they stand beside in `node`.

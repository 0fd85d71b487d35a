//! Tests of the whole system from outside: real binaries and the real template, over HTTP. The tests are in
//! `tests/it`, and the programs that drive public npm clients in `node`.

pub mod shop;

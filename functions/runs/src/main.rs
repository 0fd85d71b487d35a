//! runs

fn main() {}

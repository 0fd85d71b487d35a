//! projects

fn main() {}

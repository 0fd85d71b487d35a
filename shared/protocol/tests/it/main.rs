//! Guarantees of the projections, checked on random valid logs and with the public clients.

mod generator;
mod npm;
mod properties;
mod representative;

//! What must hold of every projection of every valid log, checked on random ones and by the public clients.

mod generator;
mod npm;
mod properties;
mod representative;

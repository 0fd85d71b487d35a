//! Webhooks over real tables and a real receiver, in simulated time.

mod bench;
mod managing;
mod receiver;
mod storm;
mod telling;

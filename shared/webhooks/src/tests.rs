//! Webhooks over real tables and a real receiver, in simulated time.

mod bench;
mod credits;
mod managing;
mod receiver;
mod shares;
mod storm;
mod telling;

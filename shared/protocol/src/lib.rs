//! The protocols in which a run is shown: each a pure function from its log to frames.
//!
//! A projector takes the events of one log in order, from the first, and gives zero or more frames for each. It
//! holds nothing but what earlier events told it, so a replay yields the same bytes as the live stream did, and a
//! resumed stream is the rest of the whole one. Each protocol has one integer cursor:
//!
//! | protocol | cursor | where the client keeps it |
//! |---|---|---|
//! | [`native`] | the event's `seq` | SSE `id`, sent back as `Last-Event-ID` |
//! | [`simple`] | the run and the event's `seq` | SSE `id`, sent back as `Last-Event-ID` by `EventSource` itself |
//! | [`ui_message`] | the number of chunks received | counted by the client, `?startIndex=` |
//!
//! Nothing here does input or output: callers read the log, push its events and write the frames.

pub mod native;
pub mod simple;
pub mod sse;
pub mod ui_message;

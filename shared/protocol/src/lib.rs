//! The protocols in which clients read a run. Each is a pure function from the log to frames.
//!
//! A projector takes the events of one log in order, from the first, and returns zero or more frames for
//! each. Its state depends on earlier events only, so a replay yields the same bytes as the live stream, and
//! a resumed stream is the rest of the whole one. Each protocol has one integer cursor:
//!
//! | protocol | cursor | where the client keeps it |
//! |---|---|---|
//! | [`native`] | the event's `seq` | SSE `id`, sent back as `Last-Event-ID` |
//! | [`event_source`] | the run and the event's `seq` | SSE `id`, sent back as `Last-Event-ID` by `EventSource` itself |
//! | [`ui_message`] | the number of chunks received | counted by the client, `?startIndex=` |
//!
//! This crate does no input or output: callers read the log, push its events and write the frames.

pub mod event_source;
pub mod native;
pub mod sse;
pub mod ui_message;

//! The `preview` function over Lambda events and a bucket that is served in process.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod previews;

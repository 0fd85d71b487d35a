//! Observes the raw frames of an answer, for facts that the events of the crate `genai` do not contain.
//!
//! The crate reports an end only when the provider's last marker arrives (`[DONE]`, `message_stop`), and
//! drops a finish reason if the marker is missing. Some servers never send the marker, so an answer with a
//! finish reason is complete, and one without it was cut.
//!
//! The crate also splits an event if the CR and the LF of a line end arrive separately, and skips the part
//! without a name. Anthropic itself ends lines with LF. With a gateway that uses CR LF, an event without a
//! name must be an error, because otherwise a piece of the answer would be missing.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use genai::{
    adapter::AdapterKind,
    chat::{ChatFrameSink, FrameCtx, RawFrameRef, StopReason, Usage},
};
use serde_json::Value;

use crate::chunks::Activity;

/// The facts about the frames of an answer.
#[derive(Debug)]
pub(super) struct Frames {
    activity: Activity,
    /// A frame arrived that is not an event.
    noise: AtomicBool,
    /// At least one event arrived.
    data: AtomicBool,
    /// The protocol requires that events have names.
    needs_names: bool,
    /// An event without a required name arrived.
    nameless: AtomicBool,
    finish: Mutex<Option<Finish>>,
}

#[derive(Clone, Debug)]
pub(super) struct Finish {
    pub(super) reason: StopReason,
    pub(super) usage: Option<Usage>,
}

impl Frames {
    pub(super) fn new(kind: AdapterKind, activity: Activity) -> Self {
        Self {
            activity,
            needs_names: kind == AdapterKind::Anthropic,
            nameless: AtomicBool::new(false),
            noise: AtomicBool::new(false),
            data: AtomicBool::new(false),
            finish: Mutex::new(None),
        }
    }

    /// Returns the finish reason, if one arrived.
    pub(super) fn finish(&self) -> Option<Finish> {
        let finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner);
        finish.clone()
    }

    /// Returns `true` if an event without a required name arrived.
    pub(super) fn has_nameless_event(&self) -> bool {
        self.nameless.load(Ordering::Relaxed)
    }

    /// Returns `true` if the body contains no event at all, like a web page or a JSON document.
    pub(super) fn only_noise(&self) -> bool {
        self.noise.load(Ordering::Relaxed) && !self.data.load(Ordering::Relaxed)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        self.activity.note();
        if frame.data.is_empty() {
            self.noise.store(true, Ordering::Relaxed);
            return;
        }
        self.data.store(true, Ordering::Relaxed);
        if self.needs_names && frame.event.is_none() {
            self.nameless.store(true, Ordering::Relaxed);
        }
        let has_reason = has_text(frame.data, "\"finish_reason\"") || has_text(frame.data, "\"stop_reason\"");
        let mut finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner);
        // The frame after a finish reason may contain the usage.
        if !has_reason && finish.is_none() {
            return;
        }
        let Some(data) = frame.json() else { return };
        let reason = ["/choices/0/finish_reason", "/delta/stop_reason"]
            .iter()
            .find_map(|path| data.pointer(path).and_then(Value::as_str));
        if let Some(reason) = reason {
            *finish = Some(Finish { reason: StopReason::from(reason.to_owned()), usage: None });
        }
        if let Some(finish) = finish.as_mut()
            && let Some(usage) = data.get("usage").filter(|usage| usage.is_object())
        {
            finish.usage = serde_json::from_value(usage.clone()).ok();
        }
    }
}

/// Returns `true` if the value of `key` is a string. Most providers send `null` in every frame, which is not
/// worth parsing.
fn has_text(data: &str, key: &str) -> bool {
    data.match_indices(key).any(|(at, _)| {
        let rest = data[at + key.len()..].trim_start();
        rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with('"'))
    })
}

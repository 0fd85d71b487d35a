//! Watches the wire beside the provider crate, for what its events do not say.
//!
//! The crate reports an end only when the provider's last marker arrives (`[DONE]`, `message_stop`), and forgets a finish reason that came
//! before a missing marker. Some servers never send the marker, so an answer with a finish reason is whole; without one it was cut.
//!
//! It also tears an event apart if CR and LF of one line end arrive separately, and then skips the half without a name. Anthropic itself
//! ends lines with LF; of a gateway that does not, an event without a name must be an error and not a missing word.

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

/// What was seen on the wire.
#[derive(Debug)]
pub(super) struct Frames {
    activity: Activity,
    /// Something came that is not an event.
    noise: AtomicBool,
    /// An event came.
    data: AtomicBool,
    /// Whether events must have names, and whether one had none.
    named: bool,
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
            named: kind == AdapterKind::Anthropic,
            nameless: AtomicBool::new(false),
            noise: AtomicBool::new(false),
            data: AtomicBool::new(false),
            finish: Mutex::new(None),
        }
    }

    /// The finish reason, if one came.
    pub(super) fn finish(&self) -> Option<Finish> {
        let finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner);
        finish.clone()
    }

    /// Whether an event came that cannot be placed.
    pub(super) fn torn(&self) -> bool {
        self.nameless.load(Ordering::Relaxed)
    }

    /// Whether a body came that holds no event at all: a web page, a JSON document.
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
        if self.named && frame.event.is_none() {
            self.nameless.store(true, Ordering::Relaxed);
        }
        let says_why = has_text(frame.data, "\"finish_reason\"") || has_text(frame.data, "\"stop_reason\"");
        let mut finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner);
        // The frame after a finish reason may be the one with the usage.
        if !says_why && finish.is_none() {
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

/// Whether `key` has a string for its value. Most providers send `null` with every frame, which must not cost a parse.
fn has_text(data: &str, key: &str) -> bool {
    data.match_indices(key).any(|(at, _)| {
        let rest = data[at + key.len()..].trim_start();
        rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with('"'))
    })
}

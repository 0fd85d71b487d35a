//! Traces of runs for a collector of OpenTelemetry.
//!
//! Invariants:
//!
//! * **A trace is a pure projection of a run's log.** [`RunTrace::of`] reads nothing but the events, so the same log gives the
//!   same bytes. The ids of a trace and its spans are functions of the run's id and of positions in its log: a trace that
//!   is sent again replaces itself, and a child run finds the span of its parent without reading the parent's log.
//! * **No run waits for a trace.** When a run has ended, the table's stream leads to the job [`ExportTrace`], which reads the
//!   log and sends it. A collector that fails or hangs delays other jobs for moments only.
//! * **Contents stay here unless the operator asks for them.** Without that, spans have names, times, numbers and ids.
//!
//! The names are those of OpenTelemetry's conventions for generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai>, 0.1.0), with those of Langfuse where the conventions have
//! none. What only this system has begins with `sequent.`.

mod collector;
mod contents;
mod job;
mod model_call;
mod otlp;
mod project;
mod settings;
mod span;
mod trace_id;

pub use collector::Collector;
pub use job::{ExportTrace, TraceInput};
pub use project::RunTrace;
pub use settings::TraceEndpoint;
pub use span::{Attribute, AttributeValue, Span, SpanEvent, SpanKind, SpanStatus};
pub use trace_id::{SpanId, TraceId};

#[cfg(test)]
mod tests;

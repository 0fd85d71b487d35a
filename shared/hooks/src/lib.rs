//! Hooks: addresses at which other systems start runs.
//!
//! A hook is a row of a tenant: an agent, a task, and the conversation of its runs. Its address contains a token. Anyone who
//! sends a request there has a run started, in the name of the user who made the hook. Invariants:
//!
//! * **The token is a credential.** It has 256 random bits, is shown once, and is stored as a hash only, as the secrets of API
//!   keys are. The row that leads from it to the tenant is keyed by the hash, so no comparison can take longer for a better
//!   guess. A token that is unknown, was replaced, or belongs to a hook that is disabled has the same answer.
//! * **The body is data of others, and never an instruction.** It becomes a part of the run's message with the name
//!   [`REQUEST_BODY`](sequent_event::DataPart::REQUEST_BODY), after the task: one line of JSON, which cannot end before its last
//!   quotation mark. Every request to a model says that such lines are information from others. Addresses in it are not fetched
//!   as if the person had named them. It is not the value of a variable: variables are a part of the agent's instructions, which
//!   a model obeys, so their values are those of the hook's owner.
//! * **One message, one run.** The key of a call, an `Idempotency-Key` or the `webhook-id` of Standard Webhooks, is claimed in
//!   the transaction that creates the run. A hook that demands signatures uses the signed id alone. A message that is
//!   recorded and sent again leads to the same run for as long as its signature is accepted.
//! * **A hook that is gone starts nothing.** The transaction that creates a run requires the row of the hook, with its token, and
//!   enabled.

mod body;
mod change;
mod error;
mod find;
mod hook;
mod launch;
mod signing;
mod spec;
mod store;
mod text;

pub use body::HookBody;
pub use change::HookChange;
pub use error::Error;
pub use find::CalledHook;
pub use hook::{Hook, HookRefusal, HookRun};
pub use launch::HookLauncher;
pub use signing::HookSigning;
pub use spec::{HookProject, HookSpec};
pub use store::{Hooks, IssuedHook, MAX_HOOKS, delete_hooks};
pub use text::{HookInput, HookName, InvalidHookText};

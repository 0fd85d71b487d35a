//! `hello_world`: greets, and counts the greetings. The smallest job with an effect, to try the system with.

use std::{sync::Arc, time::Duration};

use sequent_tables::{Transaction, Update, key};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{Context, Done, Failed, JobKind};

/// Greets a name and counts the greeting.
#[derive(Debug, Clone, Copy, Default)]
pub struct HelloWorld;

/// The input of [`HelloWorld`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HelloInput {
    /// The name to greet; `world` by default.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub name: Option<String>,
    /// A second request with the same key returns the first job.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub key: Option<String>,
    /// Milliseconds that the job takes; at most a minute.
    #[cfg_attr(feature = "openapi", schema(maximum = 60000))]
    pub pause_ms: u32,
}

impl JobKind for HelloWorld {
    const TYPE: &'static str = "hello_world";
    const TIMEOUT: Duration = Duration::from_secs(90);
    type Input = HelloInput;

    fn key(input: &HelloInput) -> Option<String> {
        input.key.clone()
    }

    async fn run(&self, input: HelloInput, context: Context) -> Result<Done, Failed> {
        const STEPS: u32 = 10;
        let name = input.name.unwrap_or_else(|| "world".to_owned());
        if input.pause_ms > 0 {
            for step in 0..STEPS {
                context.progress.report(u8::try_from(step * 100 / STEPS).unwrap_or(100), "Taking a breath.");
                sleep(Duration::from_millis(u64::from(input.pause_ms.min(60_000) / STEPS))).await;
            }
        }
        let count = Update::of(&key::greeting(context.tenant, &name)).add("greeted", 1);
        Ok(Done {
            writes: Some(Arc::new(move |transaction: Transaction| transaction.write(count.clone()))),
            ..Done::text(format!("Hello, {name}!"))
        })
    }
}

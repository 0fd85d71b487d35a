//! `hello_world`: greets somebody, and counts how often. The smallest job that has an effect, to try the rest with.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_tables::{Change, Transaction, key};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{Context, Done, Failed, Kind};

/// Greets.
#[derive(Debug, Clone, Copy, Default)]
pub struct HelloWorld;

/// Whom to greet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HelloInput {
    /// Who is greeted; `world` if nobody is named.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub name: Option<String>,
    /// With the same key it is the same job.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub key: Option<String>,
    /// Milliseconds to take over it, a minute at most.
    #[cfg_attr(feature = "openapi", schema(maximum = 60000))]
    pub pause_ms: u32,
}

impl Kind for HelloWorld {
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
                context.progress.say(u8::try_from(step * 100 / STEPS).unwrap_or(100), "Taking a breath.");
                sleep(Duration::from_millis(u64::from(input.pause_ms.min(60_000) / STEPS))).await;
            }
        }
        let (store, key) = (context.store().clone(), key::greeting(context.tenant, &name));
        let count = Change {
            update: "ADD greeted :one".to_owned(),
            values: vec![(":one", Value::N("1".to_owned()))],
            ..Change::default()
        };
        Ok(Done {
            writes: Some(Arc::new(move |writes: Transaction| writes.update(&store, &key, count.clone()))),
            ..Done::text(format!("Hello, {name}!"))
        })
    }
}

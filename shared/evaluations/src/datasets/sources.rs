//! Items that are made from runs.

use futures::{StreamExt, TryStreamExt, stream};
use sequent_conversation::{Feedback, FeedbackFilter, Runs, list_feedback};
use sequent_core::{RunId, TenantId};
use sequent_definitions::Agents;
use sequent_event::{RunAgent, State, Thumb};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Storage as _, read_all};
use sequent_tables::{CursorKey, key::NumberedAgent};
use serde_json::{Map, Value};

use super::{ItemText, NewItem};
use crate::Error;

/// Runs that are read at the same time.
const CONCURRENCY: usize = 8;
/// Events of several runs that one request reads at most. All of them are read again to find the answers.
const MAX_EVENTS: u64 = 50_000;
/// Pages of feedback that are looked through for rated runs.
const MAX_PAGES: usize = 20;

/// Reads the runs of a tenant, to make items from them.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "plain data")]
pub struct ItemSources<'a> {
    pub storage: &'a DynamoStorage,
    pub agents: &'a Agents,
    pub cursors: &'a CursorKey,
    pub tenant: TenantId,
}

/// The runs of a version of an agent that people have rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct RatedRuns {
    pub of: NumberedAgent,
    /// Only runs that have this thumb, themselves or one of their answers.
    pub thumb: Option<Thumb>,
}

impl ItemSources<'_> {
    /// Returns the newest runs with this feedback, as many as one request adds.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn rated(self, rated: RatedRuns) -> Result<Vec<RunId>, Error> {
        let mut runs: Vec<RunId> = Vec::new();
        let mut cursor: Option<String> = None;
        let filter = FeedbackFilter::Version(rated.of);
        for _ in 0..MAX_PAGES {
            let list = list_feedback(
                self.storage.store(),
                self.tenant,
                filter,
                self.cursors,
                cursor.as_deref(),
                Some(100),
            );
            let page = list.await?;
            let fits = |given: &&Feedback| rated.thumb.is_none() || given.thumb == rated.thumb;
            for given in page.items.iter().filter(fits) {
                if !runs.contains(&given.run_id) && runs.len() < NewItem::MAX_AT_ONCE {
                    runs.push(given.run_id);
                }
            }
            cursor = page.next_cursor(self.cursors);
            if cursor.is_none() || runs.len() == NewItem::MAX_AT_ONCE {
                break;
            }
        }
        Ok(runs)
    }
}

/// Makes items from runs: the message that each was started with, the variables of its agent, and its answer as the expected
/// one. The items are copies: they stay if the conversation of a run is deleted.
///
/// # Errors
/// [`Error::Conversation`] if there is no such run, [`Error::Run`] if a run has no answer, [`Error::TooManyEvents`], or when the
/// table or a log fails.
pub async fn items_of_runs(sources: ItemSources<'_>, runs: &[RunId]) -> Result<Vec<NewItem>, Error> {
    check_length(sources, runs, MAX_EVENTS).await?;
    let items = stream::iter(runs.to_vec()).map(|run| Box::pin(item_of_run(sources, run)));
    items.buffered(CONCURRENCY).try_collect().await
}

/// Checks, by the ends of their logs, that several runs have at most `max` events together. One run is always short enough.
async fn check_length(sources: ItemSources<'_>, runs: &[RunId], max: u64) -> Result<(), Error> {
    if runs.len() < 2 {
        return Ok(());
    }
    let ItemSources { storage, tenant, .. } = sources;
    let tails = stream::iter(runs.to_vec()).map(|run| storage.tail(LogKey { tenant, run }));
    let tails = tails.buffered(CONCURRENCY).try_collect::<Vec<_>>().await?;
    let events: u64 = tails.iter().flatten().map(|tail| tail.last().0).sum();
    if events > max { Err(Error::TooManyEvents(max)) } else { Ok(()) }
}

async fn item_of_run(sources: ItemSources<'_>, run: RunId) -> Result<NewItem, Error> {
    let ItemSources { storage, tenant, .. } = sources;
    Runs::new(storage.store(), tenant).get_for_caller(run).await?;
    let segments = read_all(storage, LogKey { tenant, run }).await?;
    let events: Vec<_> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).map_err(|_| Error::Run(run, "has a damaged log"))?;
    let task = state.prompts.first().ok_or(Error::Run(run, "has no message"))?;
    let answer = state.answer_text();
    if answer.is_empty() {
        return Err(Error::Run(run, "has no answer"));
    }
    let variables = match state.configuration.agent.as_deref() {
        Some(agent) => own_variables(sources, agent).await?,
        None => Map::new(),
    };
    Ok(NewItem {
        input: ItemText(task.content.text().into_owned()),
        variables,
        expected: Some(Value::String(answer)),
        metadata: Map::new(),
        run_id: Some(run),
    })
}

/// The values of the variables that the agent declares. The others, such as the date, have a value of their own in each run.
async fn own_variables(sources: ItemSources<'_>, agent: &RunAgent) -> Result<Map<String, Value>, Error> {
    let definition = sources.agents.version(sources.tenant, agent.id, agent.version).await?;
    let declared = |name: &str| definition.variables.keys().any(|variable| variable.to_string() == name);
    let own = agent.variables.iter().filter(|(name, value)| declared(name) && !value.is_null());
    Ok(own.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use sequent_core::MessageId;
    use sequent_event::Body;
    use sequent_runlog::{Settings, create};

    use super::*;

    #[tokio::test]
    async fn several_runs_are_read_only_if_they_are_short_together() {
        let store = sequent_tables::testing::store().await;
        let storage = DynamoStorage::new(store.clone());
        let agents = Agents::new(store);
        let cursors = CursorKey::new("a key for tests".to_owned().into());
        let tenant = TenantId::new();
        let sources = ItemSources { storage: &storage, agents: &agents, cursors: &cursors, tenant };
        let runs = [RunId::new(), RunId::new(), RunId::new()];
        for run in runs {
            let message_id = MessageId::new();
            let asked = Body::UserMessage { message_id, content: "Why?".into(), by: None, model: None };
            let key = LogKey { tenant, run };
            create(&storage, key, Settings::default(), vec![asked], None).await.unwrap();
        }
        check_length(sources, &runs, 3).await.unwrap();
        let refused = check_length(sources, &runs, 2).await;
        assert!(matches!(refused, Err(Error::TooManyEvents(2))), "{refused:?}");
        check_length(sources, &runs[..2], 2).await.unwrap();
        check_length(sources, &runs[..1], 0).await.expect("a long run alone");
    }
}

//! Items that are made from runs.

use sequent_conversation::{Feedback, FeedbackFilter, Runs, list_feedback};
use sequent_core::{RunId, TenantId};
use sequent_definitions::Agents;
use sequent_event::{RunAgent, State, Thumb};
use sequent_runlog::{DynamoStorage, LogKey, Segment, read_all};
use sequent_tables::{CursorKey, key::NumberedAgent};
use serde_json::{Map, Value};

use super::{ItemText, NewItem};
use crate::Error;

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
/// [`Error::Conversation`] if there is no such run, [`Error::Run`] if a run has no answer, or when the table or a log fails.
pub async fn items_of_runs(sources: ItemSources<'_>, runs: &[RunId]) -> Result<Vec<NewItem>, Error> {
    let mut items = Vec::new();
    for run in runs {
        items.push(item_of_run(sources, *run).await?);
    }
    Ok(items)
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

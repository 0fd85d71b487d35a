//! A conversation on a table of its own, for the tests of this crate.

use sequent_core::{MessageId, MicroUsd, ProjectId, TenantId, Timestamp, UserId};
use sequent_event::{Body, Role, RunOutcome, Usage};
use sequent_runlog::{DynamoStorage, Finish, Settings, Writer};
use sequent_tables::key;

use crate::{
    Message, NewRun, Project, ProjectName, Projects, RunStore, Runs, branch::Branch, create_claimed, finish,
};

pub(crate) struct Conversation {
    pub(crate) runs: RunStore,
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) project: ProjectId,
}

impl Conversation {
    /// Creates an empty conversation.
    pub(crate) async fn new() -> Self {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let runs = RunStore::new(storage, Settings::default());
        let tenant = TenantId::new();
        let user = UserId::new();
        let name = ProjectName::new("p").unwrap();
        let project =
            Projects::new(runs.tables(), tenant).create(user, name, Timestamp::now()).await.unwrap();
        Self { runs, tenant, user, project: project.id }
    }

    pub(crate) fn projects(&self) -> Projects<'_> {
        Projects::new(self.runs.tables(), self.tenant)
    }

    /// A run that is not created yet.
    pub(crate) fn asking(&self) -> NewRun {
        NewRun::new(self.tenant, self.user, self.project, "Why?")
    }

    pub(crate) async fn begin(&self, new: &NewRun) -> Box<Writer<DynamoStorage>> {
        create_claimed(&self.runs, new, None).await.unwrap()
    }

    /// Ends the run with `bodies` and this outcome.
    pub(crate) async fn end(
        &self,
        writer: &Writer<DynamoStorage>,
        of: &NewRun,
        mut bodies: Vec<Body>,
        outcome: RunOutcome,
    ) {
        writer.flush().await.unwrap();
        let run = Runs::new(self.runs.tables(), self.tenant).get(of.run).await.unwrap();
        bodies.push(Body::RunFinished { thread_id: self.project, run_id: of.run, outcome });
        loop {
            let known = *writer.signals().borrow();
            let ended = finish(writer, self.tenant, &run, known, bodies.clone()).await.unwrap();
            match ended {
                Finish::Done(_) => return,
                Finish::Superseded => {} // by messages that the writer had not read
                Finish::RowsRefused(refused) => panic!("{refused:?}"),
            }
        }
    }

    /// The messages of the conversation, oldest first, also if it is being deleted.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let store = self.runs.tables();
        let project: Option<Project> = store.get(&key::project(self.tenant, self.project)).await.unwrap();
        let branch = Branch::of_head(store, self.tenant, &project.unwrap()).await.unwrap();
        branch.latest(100).await.unwrap()
    }
}

/// The events of a response with this text to the first `told` messages.
pub(crate) fn response(text: &str, told: u32, finish_reason: &str) -> Vec<Body> {
    let message_id = MessageId::new();
    let usage = Usage {
        cost_micro_usd: Some(MicroUsd(0)),
        finish_reason: finish_reason.into(),
        messages_told: Some(told),
        ..sequent_event::testing::usage()
    };
    vec![
        Body::TextMessageStart { message_id, role: Role::Assistant },
        Body::TextMessageContent { message_id, delta: text.to_owned() },
        Body::TextMessageEnd { message_id },
        Body::UsageRecorded(usage),
    ]
}

pub(crate) async fn append_all(writer: &Writer<DynamoStorage>, bodies: impl IntoIterator<Item = Body>) {
    for body in bodies {
        writer.append(body).await.unwrap();
    }
}

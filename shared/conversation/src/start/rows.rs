//! The rows that come with a new run's first segment, and where each stands in the transaction.

use std::sync::Arc;

use crate::{Message, Name, Project, Role, Standing};
use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_billing::hold;
use sequent_core::{MessageId, RunId, TenantId, Timestamp};
use sequent_runlog::{DynamoStorage, Settings, TransactionRows};
use sequent_tables::{Change, Row, Transaction, key};

use super::{Held, Start, configuration};
use crate::{Cost, Error, Run, Status, Tokens, Work, queue::marked};

/// Order of the writes in a starting transaction; 0 is the segment.
pub(super) const PLACE: usize = 1;
/// Where something is held for the run; claims then come behind it.
pub(super) const HOLD: usize = 4;
pub(super) const CLAIMS: usize = 4;
/// Messages a replaced run may have left; deleting a row that is not there does no harm.
const REPLACED_MESSAGES: usize = 4;

/// The project exists, is not being deleted, and no run answers in it.
pub(super) const FREE: &str = "(attribute_exists(pk) AND attribute_not_exists(deleting) \
                    AND (attribute_not_exists(live_run_id) OR live_run_id = :none))";

/// When a new run answers in its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once, by the process that starts it.
    Now,
    /// As soon as it is delivered: the project is taken for it.
    Next,
    /// After those before it.
    Later,
}

/// The rows that come with a new run's first segment.
pub(super) struct Rows {
    storage: DynamoStorage,
    tenant: TenantId,
    project: Project,
    new_project: bool,
    parent: Option<RunId>,
    pending: Row,
    leased: Row,
    message: Row,
    claims: Vec<Row>,
    held: Option<Box<Held>>,
    now: Timestamp,
    replaces: Option<RunId>,
    id: RunId,
}

impl Rows {
    pub(super) fn new(
        storage: &DynamoStorage,
        settings: Settings,
        start: &Start,
        message_id: MessageId,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let project = Project {
            id: start.project,
            name: Name::from_message(&start.content),
            user_id: start.user,
            created_at: now,
            updated_at: now,
            live_run_id: Some(start.run),
        };
        let pending = Run {
            id: start.run,
            project_id: start.project,
            user_id: start.user,
            parent_run_id: start.parent,
            status: Status::Pending,
            model: start.model.clone(),
            work: Work::from(&configuration(start)),
            interrupts: Vec::new(),
            usage: Tokens::default(),
            cost: Cost::default(),
            error: None,
            opens_project: start.new_project,
            created_at: asked_at(start.run),
            started_at: None,
            completed_at: None,
        };
        let running = Run { status: Status::Running, started_at: Some(now), ..pending.clone() };
        let key = key::run(start.tenant, start.run);
        let index = || key::run_of_user(start.tenant, start.user, start.run);
        let message = Message {
            id: message_id,
            project_id: start.project,
            run_id: start.run,
            role: Role::User,
            content: start.content.clone(),
            status: Standing::Complete,
            created_at: said_at(message_id),
        };
        let row = |run: &Run| -> Result<Row, Error> {
            let row = Row::new(&key, run)?.gsi1(index());
            Ok(if run.opens_project { row.with("opens_project", Value::Bool(true)) } else { row })
        };
        let until = now + settings.lease;
        Ok(Self {
            storage: storage.clone(),
            tenant: start.tenant,
            project,
            new_project: start.new_project,
            parent: start.parent,
            pending: marked(row(&pending)?, start.run, now),
            leased: DynamoStorage::leased(row(&running)?, start.run, until),
            message: Row::new(&key::message(start.tenant, start.project, start.run, 0), &message)?,
            claims: start.claims.clone(),
            held: start.held.clone(),
            now,
            replaces: start.replaces,
            id: start.run,
        })
    }

    pub(super) fn companions(self, turn: Turn) -> TransactionRows {
        Arc::new(move |transaction| {
            let store = self.storage.store();
            let run = if turn == Turn::Now { self.leased.clone() } else { self.pending.clone() };
            match self.parent {
                // A child works in its parent's project without answering in it: it neither takes the project nor
                // says anything there.
                Some(parent) => transaction.require(store, &key::run(self.tenant, parent)).insert(store, run),
                None => {
                    let transaction = self.take_place(transaction, turn).insert(store, run);
                    self.with_claims(transaction.put(store, self.message.clone()))
                }
            }
        })
    }

    fn take_place(&self, transaction: Transaction, turn: Turn) -> Transaction {
        let store = self.storage.store();
        let key = key::project(self.tenant, self.project.id);
        if self.new_project {
            let row = Row::new(&key, &self.project).expect("a project serialises to a map");
            return transaction.insert(store, row);
        }
        if turn == Turn::Later {
            return transaction.require(store, &key);
        }
        let claim = Change {
            update: "SET live_run_id = :run, updated_at = :now".to_owned(),
            condition: Some(FREE.to_owned()),
            values: vec![
                (":run", text(self.id)),
                (":now", text(self.project.updated_at)),
                (":none", Value::Null(true)),
            ],
            ..Change::default()
        };
        transaction.update(store, &key, claim)
    }

    fn with_claims(&self, transaction: Transaction) -> Transaction {
        debug_assert_eq!(transaction.len(), CLAIMS, "the claims' place in the transaction is fixed");
        let store = self.storage.store();
        let transaction = match self.held.as_deref() {
            Some(Held { hold, plan, .. }) => {
                hold::take(hold, transaction, store, (self.tenant, self.id), plan, self.now)
            }
            None => transaction,
        };
        let claims = self.claims.iter().cloned();
        let transaction = claims.fold(transaction, |transaction, row| transaction.insert(store, row));
        let gone = self.replaces.iter().flat_map(|run| (0..REPLACED_MESSAGES).map(move |n| (*run, n)));
        gone.fold(transaction, |transaction, (run, ordinal)| {
            transaction.delete(store, &key::message(self.tenant, self.project.id, run, ordinal))
        })
    }
}

/// When a run was asked for, as its id says: so its row can be told from its log.
pub(crate) fn asked_at(run: RunId) -> Timestamp {
    run.created_at()
}

/// When a run's first message was said, as its id says.
pub(crate) fn said_at(message: MessageId) -> Timestamp {
    message.created_at()
}

pub(super) fn text(value: impl std::fmt::Display) -> Value {
    Value::S(value.to_string())
}

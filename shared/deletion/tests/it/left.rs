//! A conversation that has left something everywhere.

use bytes::Bytes;
use sequent_artifacts::{
    Artifact, Content, Description, Digest, Entity, Export, Mention, Origin, Source, rows_with_run,
};
use sequent_conversation::{
    Continues, FeedbackTarget, NewRun, ParentRun, RunOptions, Runs, SettleRun, TurnRequest, create,
    create_claimed, finish, give_feedback,
};
use sequent_core::{
    AgentId, ArtifactId, DatasetId, InterruptId, JobId, MessageId, MicroUsd, NoteId, ProjectId, RunId,
    Timestamp, UserId,
};
use sequent_documents::Format;
use sequent_event::{
    Attachment, Body, Citation, EvaluationSetup, Interrupt, Job as RunJob, Plan, Question, Rating, Reason,
    Role, RunAgent, RunNote, RunOutcome, Scorer, Step, StepAgent, StepStatus, Totals, Usage, UserContent,
    UserPart,
};
use sequent_jobs::{
    NewJob, cancel, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_memory::Memory;
use sequent_runlog::{DynamoStorage, LogKey, Writer, append_control};
use sequent_tables::{
    Row, Write,
    key::{self, DefinitionKind},
};

use crate::bench::{Bench, WORD};

type Owner = Box<Writer<DynamoStorage>>;

/// The runs of the conversation.
pub(crate) struct Left {
    pub(crate) project: ProjectId,
    /// Ended. The next one is its sibling.
    pub(crate) first: RunId,
    pub(crate) child: RunId,
    /// Waits for a person.
    pub(crate) asking: RunId,
    /// Waits for the turn.
    pub(crate) waiting: RunId,
    /// The file inside the first message.
    pub(crate) file: ArtifactId,
}

impl Left {
    pub(crate) fn all(&self) -> [RunId; 4] {
        [self.first, self.child, self.asking, self.waiting]
    }
}

fn word(of: &str) -> String {
    format!("{WORD} {of}")
}

pub(crate) async fn conversation(bench: &Bench) -> Left {
    let user = UserId::new();
    let project = ProjectId::new();
    let about = serde_json::json!({ "project_id": project, "note": WORD });
    let name = Row::new(&key::chat_name(bench.tenant, WORD), &about).unwrap();
    let first = NewRun {
        new_project: true,
        claims: vec![Write::insert(name)],
        reservation: Some(bench.reservation().await),
        ..NewRun::new(bench.tenant, user, project, word("message"))
    };
    let child = NewRun {
        parent: Some(ParentRun { run: first.run, epoch: 1 }),
        ..NewRun::new(bench.tenant, user, project, word("step"))
    };
    let listed = serde_json::json!({ "note": WORD });
    let listed = Row::new(&key::evaluation(bench.tenant, child.run), &listed).unwrap();
    bench.store().put(listed).await.unwrap();
    let child = NewRun { options: evaluating(), ..child };
    let file = put_file(bench).await;
    let first = NewRun {
        content: attaching(&file),
        rows: rows_with_run(bench.tenant, std::slice::from_ref(&file), first.run).unwrap(),
        options: noting(bench).await,
        ..first
    };
    Box::pin(answer(bench, &first, &child)).await;
    let again = NewRun::new(bench.tenant, user, project, word("again"));
    let asking = NewRun { continues: Continues::Beside(first.run), ..again };
    Box::pin(ask(bench, &asking)).await;
    let waiting = NewRun::new(bench.tenant, user, project, word("next"));
    create(&bench.runs(), &waiting, TurnRequest::Wait).await.unwrap();
    let [first, child, asking, waiting] = [first, child, asking, waiting].map(|new| new.run);
    Left { project, first, child, asking, waiting, file: file.id }
}

/// The options of an evaluation.
fn evaluating() -> RunOptions {
    let agent = StepAgent { id: AgentId::new(), name: "judged".to_owned(), version: 1 };
    let dataset_id = DatasetId::new();
    let setup = EvaluationSetup { dataset_id, items: 1, repetitions: 1, agent, scorers: vec![Scorer::Exact] };
    RunOptions { evaluation: Some(Box::new(setup)), ..RunOptions::default() }
}

/// The options of a run whose agent keeps notes, and has made one in an earlier conversation.
pub(crate) async fn noting(bench: &Bench) -> RunOptions {
    let agent = RunAgent {
        id: AgentId::new(),
        name: "support".to_owned(),
        version: 1,
        prompts: Vec::new(),
        variables: Default::default(),
        turns: None,
        max_notes: Some(20),
    };
    let head = key::definition(bench.tenant, DefinitionKind::Agent, agent.id);
    bench.store().put(Row::new(&head, &serde_json::json!({ "name": "support" })).unwrap()).await.unwrap();
    let notes = vec![RunNote { id: NoteId::new(), text: word("earlier note") }];
    RunOptions { agent: Some(agent), notes, ..RunOptions::default() }
}

/// A note that the agent of the run makes.
pub(crate) async fn note(bench: &Bench, run: RunId) {
    let memory = Memory::new(bench.store().clone());
    let noting = memory.of_run(bench.tenant, run).await.unwrap();
    let text = word("note").try_into().unwrap();
    memory.add(&noting, NoteId::new(), text, Timestamp::now()).await.unwrap();
}

/// A file whose row is stored with its run.
async fn put_file(bench: &Bench) -> Artifact {
    let description = Description {
        title: word("file"),
        entity_type: "attachment".to_owned(),
        tags: Vec::new(),
        media_type: "text/plain".to_owned(),
    };
    let bytes = Bytes::from(word("in a file"));
    let now = Timestamp::now();
    let file = Artifact::new(ArtifactId::new(), description, Origin::default(), Content::of(&bytes), now);
    bench.artifacts.put(bench.tenant, &file, bytes).await.unwrap();
    file
}

/// A message with a text and the file.
pub(crate) fn attaching(file: &Artifact) -> UserContent {
    let attachment = Attachment {
        artifact_id: file.id,
        media_type: file.media_type.clone(),
        name: Some(file.title.clone()),
        size: file.size,
    };
    UserContent::Parts(vec![UserPart::Text { text: word("message") }, UserPart::File(attachment)])
}

/// A run that nothing settles: its child was at work when it ended, and its job `settle_run` was cancelled.
pub(crate) async fn unsettled(bench: &Bench) -> NewRun {
    let user = UserId::new();
    let project = ProjectId::new();
    let run = NewRun {
        new_project: true,
        reservation: Some(bench.reservation().await),
        ..NewRun::new(bench.tenant, user, project, word("message"))
    };
    let child = NewRun {
        parent: Some(ParentRun { run: run.run, epoch: 1 }),
        ..NewRun::new(bench.tenant, user, project, word("step"))
    };
    let owner = Box::pin(create_claimed(&bench.runs(), &run, None)).await.unwrap();
    let delegated =
        Body::SubagentStarted { subagent_run_id: child.run, name: "east".to_owned(), description: None };
    owner.append(delegated).await.unwrap();
    owner.append(Body::UsageRecorded(usage())).await.unwrap();
    let worker = Box::pin(create_claimed(&bench.runs(), &child, None)).await.unwrap();
    let cancelled = Body::SubagentError {
        subagent_run_id: child.run,
        message: "The child run was cancelled.".to_owned(),
        code: "cancelled".to_owned(),
        usage: Totals::default(),
        usage_may_grow: true,
    };
    owner.append(cancelled).await.unwrap();
    end(bench, &run, &owner, RunOutcome::Cancelled).await;
    worker.append(Body::UsageRecorded(usage())).await.unwrap();
    end(bench, &child, &worker, RunOutcome::Cancelled).await;
    let settling = SettleRun::job_id(run.run);
    let cancelling = cancel(&bench.storage, bench.tenant, settling, "by a test", Timestamp::now());
    Box::pin(cancelling).await.unwrap();
    run
}

/// A run with a plan, a tool, a source, a steering message, a child, a job, an artifact, exports, a note and an answer.
async fn answer(bench: &Bench, new: &NewRun, child: &NewRun) {
    let owner = Box::pin(create_claimed(&bench.runs(), new, None)).await.unwrap();
    let key = LogKey { tenant: bench.tenant, run: new.run };
    let message_id = MessageId::new();
    let content = word("steering").into();
    let steering = Body::UserMessage { message_id, content, by: Some(new.user), model: None };
    append_control(&bench.storage, key, steering).await.unwrap();
    let job_id = job(bench, new.run).await;
    for body in work(job_id, child.run) {
        owner.append(body).await.unwrap();
    }
    create(&bench.runs(), child, TurnRequest::Wait).await.unwrap();
    artifact(bench, new.run).await;
    note(bench, new.run).await;
    say(&owner, &word("answer")).await;
    end(bench, new, &owner, RunOutcome::Success).await;
    rate(bench, new.run).await;
}

/// Feedback on the run with a comment.
pub(crate) async fn rate(bench: &Bench, run: RunId) {
    let rating = Rating { comment: Some(word("feedback")), ..Rating::default() };
    let on = FeedbackTarget { run, message: None };
    let given = give_feedback(&bench.storage, bench.tenant, on, UserId::new(), Some(rating));
    Box::pin(given).await.unwrap().expect("it is given");
}

fn work(job_id: JobId, child: RunId) -> Vec<Body> {
    let step = Step {
        id: "east".to_owned(),
        title: word("title"),
        instructions: word("instructions"),
        independent: true,
        agent: None,
        status: StepStatus::Pending,
    };
    let source = Citation {
        url: "https://example.com/".to_owned(),
        title: word("source"),
        quote: Some(word("quote")),
        tool_call_id: None,
    };
    let id = || "call_1".to_owned();
    let tool_call_name = "web_fetch".to_owned();
    let result = word("result");
    let description = Some(word("child"));
    vec![
        Body::PlanUpdated { plan: Plan { steps: vec![step] } },
        Body::ToolCallStart { tool_call_id: id(), tool_call_name, parent_message_id: None },
        Body::ToolCallArgs { tool_call_id: id(), delta: word("arguments") },
        Body::ToolCallEnd { tool_call_id: id() },
        Body::ToolCallResult {
            message_id: MessageId::new(),
            tool_call_id: id(),
            content: result,
            error: None,
        },
        Body::SourceCited(source),
        Body::JobEnqueued(RunJob {
            job_id,
            job_type: "hello_world".to_owned(),
            tool_call_id: None,
            budget: Default::default(),
        }),
        Body::SubagentStarted { subagent_run_id: child, name: "east".to_owned(), description },
        Body::UsageRecorded(usage()),
    ]
}

/// A run that waits for the answer to a question.
async fn ask(bench: &Bench, new: &NewRun) {
    let owner = Box::pin(create_claimed(&bench.runs(), new, None)).await.unwrap();
    say(&owner, &word("beginning")).await;
    let question = Question {
        reason: Reason::Question,
        message: word("question"),
        tool_call_id: None,
        call: None,
        response_schema: None,
        expires_at: None,
    };
    let interrupt = Interrupt { id: InterruptId::new(), question: question.clone() };
    owner.append(Body::ClarificationNeeded { interrupt_id: interrupt.id, question }).await.unwrap();
    end(bench, new, &owner, RunOutcome::Interrupt { interrupts: vec![interrupt] }).await;
}

async fn say(owner: &Owner, text: &str) {
    let message_id = MessageId::new();
    owner.append(Body::TextMessageStart { message_id, role: Role::Assistant }).await.unwrap();
    owner.append(Body::TextMessageContent { message_id, delta: text.to_owned() }).await.unwrap();
    owner.append(Body::TextMessageEnd { message_id }).await.unwrap();
}

async fn end(bench: &Bench, new: &NewRun, owner: &Owner, outcome: RunOutcome) {
    let row = Runs::new(bench.store(), bench.tenant).get(new.run).await.unwrap();
    let end = Body::RunFinished { thread_id: new.project, run_id: new.run, outcome };
    // A steering message is a signal. The owner has met it when it has stored its own events.
    let known = *owner.signals().borrow();
    finish(owner, bench.tenant, &row, known, vec![end]).await.unwrap();
}

fn usage() -> Usage {
    Usage {
        input_tokens: 100,
        output_tokens: 20,
        cost_micro_usd: Some(MicroUsd(700)),
        ..sequent_event::testing::usage()
    }
}

/// A job of the run. No worker has taken it.
async fn job(bench: &Bench, run: RunId) -> JobId {
    let input = HelloInput { name: Some(WORD.to_owned()), ..HelloInput::default() };
    let new = NewJob { run: Some(run), ..NewJob::of::<HelloWorld>(bench.tenant, &input) };
    enqueue(bench.store(), &new, Timestamp::now()).await.unwrap();
    new.id
}

/// The artifact of the run.
pub(crate) fn document_of(run: RunId) -> ArtifactId {
    sequent_artifacts::derived_id(run, "call_1")
}

/// An artifact of the run, an entity in it, an export of it, and an export of the run.
async fn artifact(bench: &Bench, run: RunId) {
    let document = document_of(run);
    let origin = Origin { run: Some(run), ..Origin::default() };
    save(bench, document, origin, "document").await.unwrap();
    let mention = Mention { entity_type: "person".to_owned(), name: word("person"), count: 1 };
    let entity = Entity::found(mention, document, Some(run), JobId::new(), Timestamp::now());
    bench.store().put(Row::new(&entity.key(bench.tenant), &entity).unwrap()).await.unwrap();
    export(bench, Source::Artifact(document), Some(run)).await;
    export(bench, Source::Run(run), None).await;
}

pub(crate) async fn export(bench: &Bench, source: Source, run: Option<RunId>) {
    let export = Export { source, version: Digest::of(b"1"), format: Format::Markdown, again: 0 };
    let new = export.job(bench.tenant, run);
    enqueue(bench.store(), &new, Timestamp::now()).await.unwrap();
    let origin = Origin { job: Some(new.id), ..Origin::default() };
    save(bench, ArtifactId::from_bits(new.id.bits()), origin, &source.id()).await.unwrap();
}

pub(crate) async fn save(
    bench: &Bench,
    id: ArtifactId,
    origin: Origin,
    of: &str,
) -> Result<Artifact, sequent_artifacts::Error> {
    let description = Description {
        title: word(of),
        entity_type: "report".to_owned(),
        tags: vec![WORD.to_owned()],
        media_type: "text/markdown".to_owned(),
    };
    let bytes = Bytes::from(format!("{WORD} in the bytes of {of}"));
    bench.artifacts.save(bench.tenant, id, description, origin, bytes).await
}

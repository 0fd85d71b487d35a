//! Requests that meet a key, a name or a project that is in use.

mod quotas;

use std::time::Duration;

use futures::future::join_all;
use sequent_billing::{Markup, Plans, Terms};
use sequent_core::{MicroCredits, NoteId, Principal, Scope, Scopes, TenantId, UserId, Via};
use sequent_definitions::{AgentDefinition, NewAgent, NewVersion};
use sequent_event::{Body, RunNote};
use sequent_runlog::Settings;
use sequent_tables::{Store, Transaction, Update, idempotency::PayloadHash, key};
use tokio::time::{Instant, timeout};

use super::*;
use crate::{ParentRun, Projects, Prompt, RunStatus, Runs};

struct Bench {
    starter: RunStarter,
    caller: Principal,
}

impl Bench {
    async fn new() -> Self {
        let store = sequent_tables::testing::store().await;
        Self::with(Credits::new(store.clone(), None, Default::default()), store)
    }

    /// A tenant whose plan allows one run at a time.
    async fn with_one_run_at_a_time() -> Self {
        Self::with_runs_at_a_time(1).await
    }

    async fn with_runs_at_a_time(limit: u32) -> Self {
        let store = sequent_tables::testing::store().await;
        Self::with(credits(&store, limit), store)
    }

    /// Changes the plan of the tenant.
    fn allow_runs_at_a_time(&mut self, limit: u32) {
        self.starter.credits = credits(self.starter.runs().tables(), limit);
    }

    fn with(credits: Credits, store: Store) -> Self {
        let runs = RunStore::new(DynamoStorage::new(store), Settings::default());
        let caller = Principal {
            tenant: TenantId::new(),
            user: UserId::new(),
            session: None,
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        };
        Self { starter: RunStarter::new(runs, credits), caller }
    }

    fn request(&self, project: Destination) -> RunRequest {
        RunRequest {
            caller: self.caller.clone(),
            project,
            prompt: Prompt::try_from("hello".to_owned()).expect("a prompt"),
            setup: RunSetup::default(),
            on_conflict: OnConflict::Reject,
            continues: Continues::Head,
            replay: None,
            idempotency: None,
        }
    }

    fn keyed(&self, text: &str) -> Option<idempotency::Request> {
        let record = key::idempotency(self.caller.tenant, "tests", text);
        Some(idempotency::Request { record, payload: PayloadHash::of("POST", "/tests", b"") })
    }

    /// Creates an agent without any choice.
    async fn agent(&self, name: &str) {
        let version =
            NewVersion { content: AgentDefinition::default(), change: None, user: self.caller.user };
        let new = NewAgent { name: name.parse().expect("a name"), version };
        let agents = self.starter.agents();
        agents.create(self.caller.tenant, &new, Timestamp::now()).await.expect("created");
    }

    /// Starts a run in a project of its own and leaves it to a worker.
    async fn submit_elsewhere(&self) -> StartedRun {
        self.starter.submit(&self.request(Destination::or_new(None))).await.expect("started")
    }

    /// A request that interrupts the live run of `project`.
    fn interrupting(&self, project: ProjectId) -> RunRequest {
        RunRequest { on_conflict: OnConflict::Interrupt, ..self.request(Destination::Project(project)) }
    }

    /// Starts a run with a child that does not stop, and hands the run over.
    async fn start_with_child(&self) -> (StartedRun, Box<Writer<DynamoStorage>>) {
        let runs = self.starter.runs();
        let request = self.request(Destination::or_new(None));
        let mut live = self.starter.start(&request).await.expect("started");
        let Principal { tenant, user, .. } = self.caller;
        let parent = Some(ParentRun { run: live.run, epoch: 1 });
        let child = NewRun { parent, ..NewRun::new(tenant, user, live.project, "A part.") };
        let owner = live.owner.take().expect("an owner");
        let child_started =
            Body::SubagentStarted { subagent_run_id: child.run, name: "part".to_owned(), description: None };
        owner.writer.append(child_started).await.expect("appended");
        let child = create_claimed(runs, &child, None).await.expect("created");
        owner.writer.release().await.expect("released");
        (live, child)
    }

    /// Releases the credits of an ended run, as `settle_run` does when its child has ended.
    async fn release_hold(&self, run: RunId) {
        let account = Update::of(&key::account(self.caller.tenant));
        let released = account.remove(["holds", run.to_string().as_str()]);
        self.starter.runs().tables().write(released).await.expect("written");
    }

    /// A new project with the client's name `chat`.
    fn named(&self) -> Destination {
        Destination::NewProject { id: ProjectId::new(), name: Some("chat".to_owned()) }
    }

    async fn status(&self, run: RunId) -> RunStatus {
        Runs::new(self.starter.runs().tables(), self.caller.tenant).get(run).await.expect("exists").status
    }
}

/// Credits on a plan that allows so many runs at a time.
fn credits(store: &Store, limit: u32) -> Credits {
    let terms = Terms {
        plans: Plans::from_json(&format!(r#"{{"free": {{"concurrent_runs": {limit}}}}}"#)).expect("plans"),
        markup: Markup(100),
        usual_hold: MicroCredits(200_000),
        welcome: MicroCredits::whole(1),
        unverified_usd: None,
        metered: false,
    };
    Credits::new(store.clone(), Some(terms), Default::default())
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_run() {
    let bench = Bench::new().await;
    let request =
        || RunRequest { idempotency: bench.keyed("key"), ..bench.request(Destination::or_new(None)) };
    let first = bench.starter.submit(&request()).await.expect("started");
    let again = bench.starter.submit(&request()).await.expect("replayed");
    assert!(!first.replayed && again.replayed);
    assert_eq!((first.run, first.project), (again.run, again.project));
}

#[tokio::test]
async fn a_key_whose_record_has_expired_starts_a_run() {
    let bench = Bench::new().await;
    let keyed = bench.keyed("key").expect("a key");
    let long_ago = Timestamp::now() - idempotency::LIFETIME - Duration::from_secs(1);
    let expired = Record::for_run(&keyed, RunId::new(), ProjectId::new(), long_ago).expect("a record");
    let store = bench.starter.runs().tables();
    Transaction::new().write(expired).run(store).await.expect("stored");
    let request = RunRequest { idempotency: Some(keyed), ..bench.request(Destination::or_new(None)) };
    let started = bench.starter.submit(&request).await.expect("started");
    assert!(!started.replayed);
}

#[tokio::test]
async fn first_messages_for_one_name_meet_in_one_project() {
    let bench = Bench::new().await;
    let requests: Vec<RunRequest> = (0..4)
        .map(|n| RunRequest {
            idempotency: bench.keyed(&n.to_string()),
            on_conflict: OnConflict::Enqueue,
            ..bench.request(bench.named())
        })
        .collect();
    let started = join_all(requests.iter().map(|request| bench.starter.submit(request))).await;
    let started: Vec<StartedRun> = started.into_iter().map(|started| started.expect("started")).collect();
    assert!(started.iter().all(|other| other.project == started[0].project));
    let refused = RunRequest { idempotency: bench.keyed("last"), ..bench.request(bench.named()) };
    let refused = bench.starter.submit(&refused).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
}

#[tokio::test]
async fn a_busy_project_refuses_a_run_or_lets_it_wait() {
    let bench = Bench::new().await;
    let live = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    let in_project = || bench.request(Destination::Project(live.project));
    let refused = bench.starter.submit(&in_project()).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");
    let refused = bench.starter.start(&in_project()).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");

    let waiting = RunRequest { on_conflict: OnConflict::Enqueue, ..in_project() };
    let waiting = bench.starter.start(&waiting).await.expect("enqueued");
    assert!(waiting.owner.is_none(), "a worker executes it later");
    let store = bench.starter.runs().tables();
    let project = Projects::new(store, bench.caller.tenant).get(live.project).await.expect("exists");
    assert_eq!(project.live_run_id, Some(live.run));
}

#[tokio::test]
async fn a_project_whose_live_run_has_no_row_is_not_busy() {
    let bench = Bench::new().await;
    let lost = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    let store = bench.starter.runs().tables();
    store.delete(&key::run(bench.caller.tenant, lost.run)).await.expect("deleted");
    let request = bench.request(Destination::Project(lost.project));
    let next = bench.starter.submit(&request).await.expect("started");
    let project = Projects::new(store, bench.caller.tenant).get(lost.project).await.expect("exists");
    assert_eq!(project.live_run_id, Some(next.run));
}

#[tokio::test]
async fn a_key_for_chat_alone_deletes_no_messages_and_may_add_an_answer() {
    let mut bench = Bench::new().await;
    let first = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    bench.caller.scopes = Scopes::NONE.with(Scope::Chat);
    let request = bench.request(Destination::Project(first.project));
    let rollback = RunRequest { on_conflict: OnConflict::Rollback, ..request.clone() };
    let refused = bench.starter.submit(&rollback).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Scope(_))), "{refused:?}");
    let continues = Continues::Beside(first.run);
    let another = RunRequest { continues, on_conflict: OnConflict::Enqueue, ..request };
    bench.starter.submit(&another).await.expect("it deletes nothing");
}

#[tokio::test]
async fn another_answer_takes_the_place_of_the_run_that_it_rolls_back() {
    for executor in [Executor::Caller, Executor::Worker] {
        let bench = Bench::new().await;
        let live = bench.submit_elsewhere().await;
        let request = RunRequest {
            on_conflict: OnConflict::Rollback,
            continues: Continues::Beside(live.run),
            ..bench.request(Destination::Project(live.project))
        };
        let next = bench.starter.until_started(&request, executor).await.expect("started");
        let store = bench.starter.runs().tables();
        let row = Runs::new(store, bench.caller.tenant).get(next.run).await.expect("exists");
        assert_eq!((row.after, row.lineage.depth), (None, 0), "{executor:?}");
        let project = Projects::new(store, bench.caller.tenant).get(live.project).await.expect("exists");
        assert_eq!(project.head, Some(next.run));
    }
}

#[tokio::test]
async fn a_run_that_is_rolled_back_is_not_continued() {
    let bench = Bench::new().await;
    let live = bench.submit_elsewhere().await;
    let request = RunRequest {
        on_conflict: OnConflict::Rollback,
        continues: Continues::Run(live.run),
        ..bench.request(Destination::Project(live.project))
    };
    let refused = bench.starter.submit(&request).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::ContinuesRolledBack(run)) if run == live.run), "{refused:?}");
    assert_eq!(bench.status(live.run).await, RunStatus::Pending, "nothing was ended");
}

#[tokio::test]
async fn an_interrupting_run_takes_the_turn() {
    let bench = Bench::new().await;
    let live = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    let request = bench.request(Destination::Project(live.project));
    let request = RunRequest { on_conflict: OnConflict::Interrupt, ..request };
    let next = bench.starter.start(&request).await.expect("started");
    assert!(next.owner.is_some(), "the caller executes it");
    let store = bench.starter.runs().tables();
    let project = Projects::new(store, bench.caller.tenant).get(live.project).await.expect("exists");
    assert_eq!(project.live_run_id, Some(next.run));
    assert_eq!(bench.status(live.run).await, RunStatus::Cancelled);
}

#[tokio::test]
async fn an_interrupting_run_needs_no_second_slot_of_the_plan() {
    for (on_conflict, executor) in [
        (OnConflict::Interrupt, Executor::Caller),
        (OnConflict::Rollback, Executor::Caller),
        (OnConflict::Interrupt, Executor::Worker),
    ] {
        let bench = Bench::with_one_run_at_a_time().await;
        let live = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
        let elsewhere = bench.starter.submit(&bench.request(Destination::or_new(None))).await;
        assert!(matches!(elsewhere, Err(Error::Billing(_))), "the plan allows one run");
        let request = bench.request(Destination::Project(live.project));
        let rejected = bench.starter.submit(&request).await;
        assert!(matches!(rejected, Err(Error::Billing(_))), "this request does not end the live run");
        assert_eq!(bench.status(live.run).await, RunStatus::Pending);

        let request = RunRequest { on_conflict, ..request };
        let next = bench.starter.until_started(&request, executor).await.expect("started");
        assert_eq!(bench.status(live.run).await, RunStatus::Cancelled);
        assert_ne!(next.run, live.run);
    }
}

#[tokio::test]
async fn a_live_run_goes_on_if_its_end_makes_no_room() {
    let mut bench = Bench::with_runs_at_a_time(2).await;
    let live = bench.submit_elsewhere().await;
    bench.submit_elsewhere().await;
    // Two runs are one more than the plan allows now.
    bench.allow_runs_at_a_time(1);
    let refused = bench.starter.submit(&bench.interrupting(live.project)).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Billing(_))), "{refused:?}");
    assert_eq!(bench.status(live.run).await, RunStatus::Pending);

    let bench = Bench::with_one_run_at_a_time().await;
    let Principal { tenant, user, .. } = bench.caller;
    let free = NewRun { new_project: true, ..NewRun::new(tenant, user, ProjectId::new(), "hello") };
    create(bench.starter.runs(), &free, TurnRequest::Claim).await.expect("created");
    bench.submit_elsewhere().await;
    let refused = bench.starter.submit(&bench.interrupting(free.project)).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Billing(_))), "the live run holds no credits: {refused:?}");
    assert_eq!(bench.status(free.run).await, RunStatus::Pending);
}

#[tokio::test]
async fn an_interrupting_run_starts_when_the_live_run_is_settled() {
    let bench = Bench::with_one_run_at_a_time().await;
    let (live, _child) = bench.start_with_child().await;
    let settled = async {
        while bench.status(live.run).await != RunStatus::Cancelled {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.release_hold(live.run).await;
    };
    let request = bench.interrupting(live.project);
    let (next, ()) = tokio::join!(bench.starter.start(&request), settled);
    assert_ne!(next.expect("started").run, live.run);
}

#[tokio::test]
async fn a_run_that_keeps_its_credits_after_its_end_is_waited_for() {
    let bench = Bench::with_one_run_at_a_time().await;
    let (live, _child) = bench.start_with_child().await;
    let request = bench.interrupting(live.project);
    let key = LogKey { tenant: bench.caller.tenant, run: live.run };
    let in_the_way = LiveRun::in_the_way(bench.starter.runs(), &request).await.expect("read");
    in_the_way.expect("it is live").end().await.expect("ended");
    assert_eq!(bench.status(live.run).await, RunStatus::Cancelled);
    let refused = bench.starter.reserve_after(&request, key, Instant::now()).await;
    assert!(matches!(refused, Err(Error::StillRunning(run)) if run == live.run), "{refused:?}");

    let later = Instant::now() + Duration::from_secs(600);
    let mut reserving = Box::pin(bench.starter.reserve_after(&request, key, later));
    assert!(timeout(Duration::from_secs(1), &mut reserving).await.is_err(), "it waits");
    bench.release_hold(live.run).await;
    assert!(reserving.await.expect("there is room").reservation.is_some());
}

#[tokio::test]
async fn a_repeated_request_gets_its_run_although_the_agent_was_deleted() {
    let bench = Bench::new().await;
    bench.agent("support").await;
    let key = bench.keyed("once");
    let choices =
        || RunChoices { agent: Some("support".parse().expect("a reference")), ..RunChoices::default() };
    let set_up = || bench.starter.set_up(&bench.caller, choices(), key.as_ref());
    let request =
        |setup| RunRequest { setup, idempotency: key.clone(), ..bench.request(Destination::or_new(None)) };
    let first = bench.starter.submit(&request(set_up().await.expect("set up"))).await.expect("started");
    let agents = bench.starter.agents();
    agents.delete(bench.caller.tenant, &"support".parse().expect("a key")).await.expect("deleted");
    let again = bench.starter.submit(&request(set_up().await.expect("set up"))).await.expect("replayed");
    assert_eq!((again.run, again.replayed), (first.run, true));
    let other = bench.starter.set_up(&bench.caller, choices(), bench.keyed("other").as_ref()).await;
    assert!(matches!(other, Err(Error::Agent(sequent_definitions::Error::AgentNotFound))));
}

#[tokio::test]
async fn the_notes_of_the_agent_are_a_part_of_the_price() {
    let bench = Bench::new().await;
    let request = bench.request(Destination::or_new(None));
    let mut told = request.clone();
    told.setup.options.notes = vec![RunNote { id: NoteId::new(), text: "x".repeat(300) }];
    assert!(told.priced().bytes > request.priced().bytes + 300);
}

//! An engine with its own tables, and the demo as its model.

use std::time::Duration;

use sequent_agent::{Bounds, Engine, Live, LiveStream, OnCut, Source, StreamItem};
use sequent_conversation::{NewRun, Project, ProjectName, Projects, RunStatus, Runs, create_claimed};
use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Event, Seq, State};
use sequent_model::{Client, Config};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Settings, Writer, read_all};

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let lease = Duration::from_millis(200);
        let settings = Settings {
            linger_min: Duration::from_millis(25),
            linger_max: Duration::from_millis(25),
            lease,
            renew: lease / 4,
            idle_check: Duration::from_millis(20),
            ..Settings::default()
        };
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let engine = Engine { settings, ..Engine::new(storage, Client::new(Config::demo())) };
        Self { engine, tenant: TenantId::new(), user: UserId::new() }
    }

    /// A bench whose model costs one micro-dollar a token of input, and ten a token of output. Its owners release
    /// their process at once when they wait.
    pub(crate) async fn priced() -> Self {
        let prices = r#"{"demo": {"input": 1000000, "output": 10000000}}"#;
        let prices = sequent_model::price::Table::from_json(prices).unwrap();
        let models = Client::new(Config { prices, ..Config::demo() });
        let bench = Self::new().await;
        let bounds = Bounds { patience: Duration::ZERO, ..bench.engine.bounds };
        Self { engine: Engine { models, bounds, ..bench.engine }, ..bench }
    }

    /// The same deployment as another process has it.
    pub(crate) fn of_process(other: &Self) -> Self {
        let (store, _) = sequent_tables::testing::process(other.engine.store());
        let engine = Engine { storage: DynamoStorage::new(store), ..other.engine.clone() };
        Self { engine, tenant: other.tenant, user: other.user }
    }

    pub(crate) fn projects(&self) -> Projects<'_> {
        Projects::new(self.engine.store(), self.tenant)
    }

    pub(crate) async fn project(&self) -> Project {
        self.projects().create(self.user, ProjectName::new("p").unwrap(), Timestamp::now()).await.unwrap()
    }

    pub(crate) fn asking(&self, project: ProjectId, content: &str) -> NewRun {
        NewRun::new(self.tenant, self.user, project, content)
    }

    pub(crate) async fn owned(&self, new: &NewRun) -> Box<Writer<DynamoStorage>> {
        create_claimed(&self.engine.runs(), new, None).await.unwrap()
    }

    pub(crate) fn key(&self, run: RunId) -> LogKey {
        LogKey { tenant: self.tenant, run }
    }

    pub(crate) async fn events(&self, run: RunId) -> Vec<Event> {
        let segments = read_all(&self.engine.storage, self.key(run)).await.unwrap();
        segments.iter().flat_map(Segment::events).collect()
    }

    pub(crate) async fn state(&self, run: RunId) -> State {
        State::of(&self.events(run).await).unwrap()
    }

    pub(crate) async fn status(&self, run: RunId) -> RunStatus {
        Runs::new(self.engine.store(), self.tenant).get(run).await.unwrap().status
    }

    pub(crate) fn stream(&self, run: RunId, source: Source) -> LiveStream {
        Live::stream(self.engine.clone(), self.key(run), Seq::START, source, OnCut::Reconnect, None)
    }

    pub(crate) async fn watch(&self, run: RunId) -> Vec<Event> {
        let mut items = self.stream(run, Source::Elsewhere);
        let mut events = Vec::new();
        while let Some(item) = items.recv().await {
            match item {
                StreamItem::Event(event) => events.push(event),
                StreamItem::Heartbeat => {}
                StreamItem::Cut => panic!("a stream without a deadline was cut"),
            }
        }
        events
    }
}

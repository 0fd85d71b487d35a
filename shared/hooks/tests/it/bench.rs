//! A tenant with hooks.

use sequent_billing::Credits;
use sequent_conversation::{Error as RunError, Run, RunStarter, RunStatus, RunStore, Runs, StartedRun};
use sequent_core::{Principal, RunId, Scopes, SessionId, TenantId, Timestamp, UserId, Via};
use sequent_definitions::AgentReference;
use sequent_hooks::{CalledHook, Error, HookBody, HookLauncher, HookSigning, HookSpec, Hooks, IssuedHook};
use sequent_identity::Vault;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{Row, Store, Update, key, testing};
use serde_json::{Value, json};

pub(crate) const EMAIL: &str = "ada@example.com";

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) hooks: Hooks,
    pub(crate) launcher: HookLauncher,
    pub(crate) caller: Principal,
    pub(crate) now: Timestamp,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let store = testing::store().await;
        let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
        let credits = Credits::new(store.clone(), None, Default::default());
        let runs = RunStore::new(DynamoStorage::new(store.clone()), Settings::default());
        let hooks = Hooks::new(store.clone(), vault.clone());
        let launcher = HookLauncher::new(hooks.clone(), RunStarter::new(runs, credits));
        let caller = caller(Scopes::ALL);
        let bench = Self { store, vault, hooks, launcher, caller, now: Timestamp::now() };
        let Principal { tenant, user, .. } = bench.caller;
        let row = json!({"id": user, "email": EMAIL, "name": "Ada", "tenant_id": tenant, "created_at": bench.now, "role": "owner"});
        bench.store.put(Row::new(&key::user(tenant, user), &row).unwrap()).await.unwrap();
        let row = json!({"tenant": tenant, "user": user, "password_hash": "none"});
        bench.store.put(Row::new(&key::lookup::email(EMAIL), &row).unwrap()).await.unwrap();
        bench
    }

    pub(crate) async fn create(&self, spec: HookSpec) -> IssuedHook {
        self.hooks.create(&self.caller, spec, HookSigning::None, self.now).await.unwrap()
    }

    pub(crate) async fn called(&self, hook: &IssuedHook) -> Result<CalledHook, Error> {
        self.hooks.called(hook.token.expose(), self.now).await
    }

    pub(crate) async fn call(
        &self,
        hook: &IssuedHook,
        body: &str,
        key: Option<&str>,
    ) -> Result<StartedRun, Error> {
        let called = self.called(hook).await?;
        let body = HookBody::read(Some("application/json"), body.as_bytes())?;
        self.launcher.launch(&called, body, key, self.now).await
    }

    pub(crate) async fn run(&self, run: RunId) -> Result<Run, RunError> {
        Runs::new(&self.store, self.caller.tenant).get(run).await
    }

    /// Ends a run without executing it.
    pub(crate) async fn end(&self, run: &StartedRun) {
        let row = Update::of(&key::run(self.caller.tenant, run.run));
        self.store.write(row.set("status", RunStatus::Success)).await.unwrap();
        let project = Update::of(&key::project(self.caller.tenant, run.project));
        self.store.write(project.remove("live_run_id")).await.unwrap();
    }
}

pub(crate) fn caller(scopes: Scopes) -> Principal {
    Principal {
        tenant: TenantId::new(),
        user: UserId::new(),
        session: Some(SessionId::new()),
        api_key: None,
        scopes,
        via: Via::Bearer,
    }
}

/// A hook with more than its name and its task.
pub(crate) fn spec(more: Value) -> HookSpec {
    let mut spec =
        json!({"name": "Tickets", "enabled": true, "input": "Sort the ticket.", "on_conflict": "reject"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

pub(crate) fn agent(name: &str) -> AgentReference {
    serde_json::from_value(json!(name)).unwrap()
}

//! Deleting an account that has left something everywhere.

use std::time::Duration;

use sequent_artifacts::{Origin, Source};
use sequent_core::{
    AgentId, ArtifactId, DatasetId, DeliveryId, EventId, HookId, Principal, RunId, ScheduleId, Scopes,
    TenantId, Timestamp, UserId, Via, WebhookId,
};
use sequent_identity::{
    Config, Identity, SignedIn, Vault,
    account::NewAccount,
    api_key::NewApiKey,
    closing::AccountDeletion,
    password::{Cost, Password},
    session::Device,
};
use sequent_jobs::{
    Delivery, Job, NewJob, Queue, Worked, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_tables::{
    Row,
    key::{self, DefinitionKind, NumberedAgent},
};

use crate::{
    bench::{Bench, WORD},
    left::{conversation, export, save},
};

const NOTHING: [String; 0] = [];

/// Parts of the keys of all rows that contain the word before the deletion, besides those of a conversation.
const KINDS: [&str; 27] = [
    "#users",
    "\"tenant\"",
    "#sessions#",
    "#api-keys",
    "#audit",
    "#mcp-servers",
    "#uploads",
    "#settings",
    "#statistics",
    "#datasets",
    "#dataset-items",
    "#evaluations",
    "#idempotency#POST /api/datasets",
    "#agents",
    "#agent-names",
    "#agent-versions",
    "#prompts",
    "#prompt-versions",
    "#memory",
    "#schedules",
    "#hooks",
    "#idempotency#POST /api/agents",
    "#webhooks",
    "#webhook-deliveries",
    "#webhook-failures",
    "#webhook-queue",
    "#webhook-events",
];

fn identity(bench: &Bench) -> Identity {
    let config = Config {
        issuer: "urn:sequent".to_owned(),
        access_token_ttl: Duration::from_secs(900),
        reauthenticate_after: Duration::from_secs(600),
        password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
    };
    let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
    Identity::new(bench.store().clone(), vault, &config).unwrap()
}

/// An account whose name, address, devices, keys and audit trail contain the word.
async fn account(identity: &Identity) -> SignedIn {
    let account = NewAccount {
        email: format!("{WORD}@example.com").parse().unwrap(),
        password: Password::presented("seven lanterns over the harbour".into()).unwrap(),
        name: WORD.to_owned(),
    };
    let device =
        Device { user_agent: Some(WORD.to_owned()), address: Some(WORD.to_owned()), ..Device::default() };
    let signed_in = identity.sign_up(account, device, Timestamp::now()).await.unwrap();
    let new = NewApiKey { name: WORD.to_owned(), scopes: Scopes::ALL, valid_until: None };
    identity.create_api_key(&owner(&signed_in), new, Timestamp::now()).await.unwrap();
    signed_in
}

fn owner(of: &SignedIn) -> Principal {
    Principal {
        tenant: of.user.tenant_id,
        user: of.user.id,
        session: Some(of.session.id),
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    }
}

/// Fills what belongs to no conversation.
async fn belongings(bench: &Bench) {
    let row = |key| Row::new(&key, &serde_json::json!({ "note": WORD })).unwrap();
    let webhook = WebhookId::new();
    let delivery = DeliveryId::new();
    for key in [
        key::mcp_server(bench.tenant, WORD),
        key::upload(bench.tenant, ArtifactId::new()),
        key::chat_name(bench.tenant, WORD),
        key::web_access(bench.tenant),
        key::tool_rules(bench.tenant),
        key::tool_calls(bench.tenant, WORD, 1),
        key::definition(bench.tenant, DefinitionKind::Agent, WORD),
        key::agent_name(bench.tenant, WORD),
        key::definition_version(bench.tenant, DefinitionKind::Agent, WORD, 1),
        key::definition(bench.tenant, DefinitionKind::Prompt, WORD),
        key::definition_version(bench.tenant, DefinitionKind::Prompt, WORD, 1),
        key::definition_settings(bench.tenant),
        key::dataset(bench.tenant, DatasetId::new()),
        key::dataset_item(bench.tenant, DatasetId::new(), 1),
        key::evaluation(bench.tenant, RunId::new()),
        key::idempotency(bench.tenant, "POST /api/datasets", WORD),
        key::schedule(bench.tenant, ScheduleId::new()),
        key::hook(bench.tenant, HookId::new()),
        key::score_statistics(bench.tenant, NumberedAgent { agent: AgentId::new(), version: 1 }, WORD),
        key::memory(bench.tenant, AgentId::new(), UserId::new()),
        key::idempotency(bench.tenant, "POST /api/agents", WORD),
        key::webhook(bench.tenant, webhook),
        key::webhook_delivery(bench.tenant, webhook, delivery),
        key::webhook_failure(bench.tenant, webhook, delivery),
        key::queued_delivery(bench.tenant, webhook, Timestamp::now(), delivery),
        key::webhook_event(bench.tenant, EventId::new()),
    ] {
        bench.store().put(row(key)).await.unwrap();
    }
    let id = ArtifactId::new();
    save(bench, id, Origin::default(), "upload").await.unwrap();
    export(bench, Source::Artifact(id), None).await;
    let input = HelloInput { name: Some(WORD.to_owned()), ..HelloInput::default() };
    let job = NewJob::of::<HelloWorld>(bench.tenant, &input);
    enqueue(bench.store(), &job, Timestamp::now()).await.unwrap();
}

/// Closes the account, as the route does.
async fn close(bench: &Bench, identity: &Identity, of: &SignedIn) -> Delivery {
    let now = Timestamp::now();
    let closed_at = now - Duration::from_secs(3600);
    let input = AccountDeletion { tenant_id: bench.tenant, user_id: of.user.id, closed_at };
    let job = NewJob {
        job_type: AccountDeletion::TYPE.to_owned(),
        job_key: Some(input.key()),
        queue: Queue::Jobs,
        input: serde_json::to_value(input).unwrap(),
        ..NewJob::of::<HelloWorld>(TenantId::SYSTEM, &HelloInput::default())
    };
    identity.close_account(&owner(of), job.rows(now), now).await.unwrap();
    Delivery { tenant_id: TenantId::SYSTEM, job_id: job.id }
}

/// Executes the jobs that delete conversations, until it is dropped.
async fn delete_conversations(bench: &Bench) {
    loop {
        let jobs: Vec<Job> = bench.store().every(key::jobs(bench.tenant)).await.unwrap();
        for job in jobs.iter().filter(|job| job.job_type == "delete_conversation" && !job.has_ended()) {
            bench.work(Delivery { tenant_id: bench.tenant, job_id: job.id }).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_word_of_a_deleted_account_is_left() {
    let mut bench = Bench::new().await;
    let identity = identity(&bench);
    let ada = account(&identity).await;
    bench.tenant = ada.user.tenant_id;
    conversation(&bench).await;
    belongings(&bench).await;
    let places = bench.places().await;
    for kind in KINDS {
        assert!(
            places.iter().any(|place| place.contains(kind)),
            "the word is in no row of {kind}: {places:#?}"
        );
    }

    let delivery = close(&bench, &identity, &ada).await;
    let worked = tokio::select! {
        worked = bench.work(delivery) => worked,
        () = delete_conversations(&bench) => unreachable!("it ends only by being dropped"),
    };
    assert_eq!(worked, Worked::Success);
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);
}

#[tokio::test]
async fn the_address_of_a_deleted_account_belongs_to_its_next_owner() {
    let mut bench = Bench::new().await;
    let identity = identity(&bench);
    let first = account(&identity).await;
    bench.tenant = first.user.tenant_id;
    let delivery = close(&bench, &identity, &first).await;
    let next = account(&identity).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    let email = format!("{WORD}@example.com").parse().unwrap();
    let password = Password::presented("seven lanterns over the harbour".into()).unwrap();
    let signed_in = identity.sign_in(&email, password, Device::default(), Timestamp::now()).await.unwrap();
    assert_eq!(signed_in.user.id, next.user.id);
}

//! Equal bytes are stored once, however many processes store them at the same time.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use futures::future::join_all;
use sequent_artifacts::Origin;
use sequent_core::ArtifactId;

use super::{artifacts, described, environment, list, objects, references, tenant};
use crate::{surface::Person, system::System};

const PROCESSES: usize = 50;

/// A process that waits to save, and its output.
struct Saver {
    child: Child,
    output: std::io::Lines<BufReader<ChildStdout>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_processes_that_save_the_same_bytes_leave_one_object_and_fifty_artifacts() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "fifty@example.com").await;
    let tenant = tenant(&person).await;
    let content = "The same in every process.";
    let mut savers: Vec<Saver> =
        (0..PROCESSES).map(|number| saver(&system, &tenant.to_string(), number, content)).collect();
    let mut ids: Vec<String> = tokio::task::block_in_place(|| {
        for saver in &mut savers {
            assert_eq!(saver.output.next().unwrap().unwrap(), "ready");
        }
        for saver in &mut savers {
            saver.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        let end = |mut saver: Saver| {
            let id = saver.output.next();
            assert!(saver.child.wait().unwrap().success());
            id.unwrap().unwrap()
        };
        savers.into_iter().map(end).collect()
    });

    let object =
        sequent_tables::key::object_path(tenant, sequent_artifacts::Digest::of(content.as_bytes()).bytes());
    assert_eq!(
        objects(&system).await,
        [object],
        "one object, in one version: nobody has written over another's"
    );
    assert_eq!(references(&system, tenant, content.as_bytes()).await, Some(PROCESSES as u64));
    let mut kept: Vec<String> =
        list(&person, "").await.iter().map(|artifact| artifact["id"].as_str().unwrap().to_owned()).collect();
    kept.sort();
    ids.sort();
    assert_eq!(kept, ids, "one row for each");
}

fn saver(system: &System, tenant: &str, number: usize, content: &str) -> Saver {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequent-e2e-saver"));
    command.args([tenant, &format!("Number {number}"), content]);
    command.env_clear().envs(environment(system)).envs(system.stack.endpoint().function_env());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines();
    Saver { child, output }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_repeated_keeps_one_artifact() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "again@example.com").await;
    let artifacts = artifacts(&system);
    let tenant = tenant(&person).await;
    let id = ArtifactId::new();
    let save = |content: &'static str| {
        artifacts.save(tenant, id, described("Again"), Origin::default(), content.as_bytes().into())
    };
    let saved = join_all((0..16).map(|_| save("once"))).await;
    let saved: Vec<_> = saved.into_iter().map(Result::unwrap).collect();
    assert!(saved.iter().all(|artifact| *artifact == saved[0]), "all are given what is there");
    assert_eq!(references(&system, tenant, b"once").await, Some(1));
    let other = save("other bytes").await.unwrap_err();
    assert!(matches!(other, sequent_artifacts::Error::Taken), "{other:?}");
    assert_eq!(references(&system, tenant, b"other bytes").await, Some(0));
    assert_eq!(list(&person, "").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_share_no_object() {
    let system = System::start(&[]).await;
    let (ada, bob) = tokio::join!(
        Person::sign_up(&system, "ada@example.com"),
        Person::sign_up(&system, "bob@example.com")
    );
    let artifacts = artifacts(&system);
    for person in [&ada, &bob] {
        let tenant = tenant(person).await;
        let save =
            artifacts.save(tenant, ArtifactId::new(), described("Mine"), Origin::default(), "same".into());
        save.await.unwrap();
        assert_eq!(references(&system, tenant, b"same").await, Some(1));
    }
    assert_eq!(objects(&system).await.len(), 2);
}

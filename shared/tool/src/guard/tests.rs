use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use futures::future::{self, BoxFuture, FutureExt};

use super::*;

/// A name server that returns these answers in order.
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    fn new(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().map(parse).collect()))
    }
}

impl Resolve for Answers {
    fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        future::ready(answer.ok_or_else(|| io::Error::other("no answer is left"))).boxed()
    }
}

#[test]
fn public_urls_are_admitted_and_normalized() {
    let guard = Guard::default();
    for (url, normalized) in [
        ("https://example.com", "https://example.com/"),
        ("http://EXAMPLE.com.:8080/a?b#c", "http://example.com:8080/a?b#c"),
        ("https://bücher.example./", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        ("https://local.example.com/", "https://local.example.com/"),
    ] {
        assert_eq!(guard.admit(url).unwrap().url().as_str(), normalized);
    }
}

#[test]
fn a_refusal_states_its_reason() {
    let guard = Guard::default();
    for (url, why) in [
        ("example.com", Refusal::Malformed),
        ("http://", Refusal::Malformed),
        ("http://[fe80::1%25eth0]/", Refusal::Malformed),
        ("ftp://example.com/", Refusal::Scheme),
        ("file:///etc/hostname", Refusal::Scheme),
        ("https://me@example.com/", Refusal::Credentials),
        ("https://:pw@example.com/", Refusal::Credentials),
        ("https://example.com:22/", Refusal::Port(22)),
        ("https://example.com:0/", Refusal::Port(0)),
        ("https://10.0.0.1/", Refusal::NotPublic),
        ("https://localhost/", Refusal::NotPublic),
    ] {
        assert_eq!(guard.admit(url), Err(why), "{url}");
    }
}

#[test]
fn redirects_are_joined_and_admitted() {
    let guard = Guard::default();
    let from = guard.admit("https://example.com/a/b").unwrap();
    assert_eq!(guard.admit_redirect(&from, "../c").unwrap().url().as_str(), "https://example.com/c");
    assert_eq!(guard.admit_redirect(&from, "//127.1/"), Err(Refusal::NotPublic));
    assert_eq!(guard.admit_redirect(&from, "javascript:alert(1)"), Err(Refusal::Scheme));
}

#[tokio::test]
async fn one_private_address_refuses_the_name() {
    let answers = Answers::new(&[
        &["93.184.216.34", "2606:4700::1111"],
        &["93.184.216.34", "10.0.0.1"],
        &["::ffff:93.184.216.34"],
        &[],
    ]);
    let guard = Guard::new(Vec::new(), answers);
    assert_eq!(guard.resolve("example.com").await.unwrap().len(), 2);
    assert_eq!(guard.resolve("example.com").await, Err(Refusal::NotPublic));
    assert_eq!(guard.resolve("example.com").await, Err(Refusal::NotPublic));
    assert_eq!(guard.resolve("example.com").await, Err(Refusal::Unresolved));
    assert_eq!(guard.resolve("example.com").await, Err(Refusal::Unresolved), "the name server fails");
}

#[tokio::test]
async fn names_of_private_networks_are_not_resolved() {
    let guard = Guard::new(Vec::new(), Answers::new(&[]));
    for name in [
        "localhost",
        "a.localhost",
        "printer.local",
        "metadata",
        "metadata.google.internal",
        "host.docker.internal",
        "localhost.localdomain",
        "router.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "kubernetes",
        "db.corp",
        "LOCALHOST.",
        "",
        ".",
        "a.1",
    ] {
        assert_eq!(guard.resolve(name).await, Err(Refusal::NotPublic), "{name}");
    }
}

#[tokio::test]
async fn an_exception_allows_loopback_and_nothing_else() {
    let allow = || Allow::parse_list("127.0.0.1:9999,docs.test:9999").unwrap();
    let guard = Guard::new(
        allow(),
        Answers::new(&[&["127.0.0.1"], &["169.254.169.254"], &["10.0.0.1"], &["127.0.0.1"]]),
    );
    assert!(guard.admit("http://127.0.0.1:9999/").is_ok());
    assert!(guard.admit("http://docs.test:9999/").is_ok());
    for url in [
        "http://127.0.0.1:9998/",
        "http://127.0.0.1/",
        "http://127.0.0.2:9999/",
        "http://localhost:9999/",
        "http://[::1]:9999/",
        "http://[::ffff:127.0.0.1]:9999/",
        "http://docs.test:9998/",
        "http://a.docs.test:9999/",
    ] {
        assert!(guard.admit(url).is_err(), "{url}");
    }
    assert_eq!(guard.resolve("docs.test").await.unwrap(), [IpAddr::from([127, 0, 0, 1])]);
    assert_eq!(guard.resolve("docs.test").await, Err(Refusal::NotPublic), "metadata");
    assert_eq!(guard.resolve("docs.test").await, Err(Refusal::NotPublic), "private");
    assert_eq!(guard.resolve("other.test").await, Err(Refusal::NotPublic), "another name on loopback");
}

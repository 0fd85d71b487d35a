//! An upload that differs from its announcement is refused.

use reqwest::{Client, Response};
use sequent_artifacts::Digest;
use serde_json::{Value, json};

use super::{list, objects, offer};
use crate::{
    surface::{Answer, Call, Person},
    system::System,
};

const CONTENT: &str = "quarter,revenue\nQ3,4200\n";

fn announced(content: &str) -> Value {
    json!({"sha256": Digest::of(content.as_bytes()), "size": content.len(), "title": "Revenue", "media_type": "text/csv",
        "entity_type": "table", "tags": ["q3"]})
}

/// Makes the signed request with changes, as a browser would.
pub(super) async fn put(offered: &Value, content: &str, change: &[(&str, &str)]) -> Response {
    let put = &offered["put"];
    let mut request =
        Client::new().request(put["method"].as_str().unwrap().parse().unwrap(), put["url"].as_str().unwrap());
    for (name, value) in put["headers"].as_object().unwrap() {
        let changed = change.iter().find(|(changed, _)| changed == name);
        let value = changed.map_or_else(|| value.as_str().unwrap(), |(_, value)| value);
        // Headers that the client adds by itself.
        if !matches!(name.as_str(), "host" | "content-length") && !value.is_empty() {
            request = request.header(name, value);
        }
    }
    request.body(content.to_owned()).send().await.unwrap()
}

pub(super) async fn complete(person: &Person, offered: &Value) -> Answer {
    let path = format!("/api/artifacts/uploads/{}/complete", offered["id"].as_str().unwrap());
    person.read("POST", &Call::to(path), &person.bearer()).await
}

fn code(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.json()["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_with_another_hash_length_type_or_tenant_is_refused() {
    let system = System::start(&[]).await;
    let (ada, bob) = tokio::join!(
        Person::sign_up(&system, "ada@example.com"),
        Person::sign_up(&system, "bob@example.com")
    );
    let offered = offer(&ada, announced(CONTENT)).await;
    assert!(offered["artifact"].is_null(), "{offered}");
    let headers = offered["put"]["headers"].as_object().unwrap();
    for name in ["content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"] {
        assert!(headers.contains_key(name), "{name} is signed: {offered}");
    }
    assert_eq!(code(&complete(&ada, &offered).await, 409), "not_uploaded");

    let other = CONTENT.replace("4200", "9900");
    let other_hash = Digest::of(other.as_bytes()).base64();
    let longer = format!("{CONTENT}Q4,0\n");
    let longer_hash = Digest::of(longer.as_bytes()).base64();
    for (what, content, change) in [
        ("other bytes of the same length", other.as_str(), vec![]),
        ("other bytes with their own checksum", &other, vec![("x-amz-checksum-sha256", other_hash.as_str())]),
        ("more bytes", &longer, vec![]),
        (
            "more bytes with their own checksum",
            &longer,
            vec![("x-amz-checksum-sha256", longer_hash.as_str())],
        ),
        ("no checksum", CONTENT, vec![("x-amz-checksum-sha256", "")]),
        ("another type", CONTENT, vec![("content-type", "text/html")]),
        ("an overwrite", CONTENT, vec![("if-none-match", "")]),
    ] {
        let refused = put(&offered, content, &change).await;
        assert!(matches!(refused.status().as_u16(), 400 | 403), "{what}: {refused:?}");
        assert_eq!(objects(&system).await, Vec::<String>::new(), "{what}");
    }

    // Bob knows the id of the upload, but his link leads to an object of his own.
    assert_eq!(code(&complete(&bob, &offered).await, 404), "not_found");
    let bobs = offer(&bob, announced(CONTENT)).await;
    let stolen = bobs["put"]["url"].as_str().unwrap().split_once('?').unwrap().1;
    let place = offered["put"]["url"].as_str().unwrap().split_once('?').unwrap().0;
    let mut forged = bobs.clone();
    forged["put"]["url"] = json!(format!("{place}?{stolen}"));
    assert_eq!(put(&forged, CONTENT, &[]).await.status(), 403, "a signature is for one place");
    assert!(list(&ada, "").await.is_empty() && list(&bob, "").await.is_empty());

    let stored = put(&offered, CONTENT, &[]).await;
    assert!(stored.status().is_success(), "{}", stored.text().await.unwrap());
    assert_eq!(put(&offered, CONTENT, &[]).await.status(), 412, "once");
    let artifact = complete(&ada, &offered).await;
    assert_eq!(artifact.status, 200, "{artifact:?}");
    let artifact = artifact.json();
    assert_eq!((&artifact["id"], &artifact["size"]), (&offered["id"], &json!(CONTENT.len())));
    assert_eq!(complete(&ada, &offered).await.json(), artifact, "again gives the same");
    assert_eq!(list(&ada, "&tag=q3&entity_type=table").await, [artifact]);
    assert_eq!(list(&ada, "&tag=q4").await, Vec::<Value>::new());
    assert_eq!(code(&complete(&bob, &offered).await, 404), "not_found");
    assert!(list(&bob, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existing_bytes_need_no_upload_and_each_artifact_keeps_its_own_description() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let first = announced(CONTENT);
    let mut json_too = announced(CONTENT);
    json_too["media_type"] = json!("application/json");
    let first = offer(&person, first).await;
    let second = offer(&person, json_too.clone()).await;
    assert!(put(&first, CONTENT, &[]).await.status().is_success());
    // The bytes match the announcement, but were not uploaded with this type.
    assert_eq!(put(&second, CONTENT, &[]).await.status(), 412);
    let refused = complete(&person, &second).await;
    assert_eq!(code(&refused, 409), "upload_mismatch");
    assert_eq!(refused.json()["mismatch"], "media_type");
    assert_eq!(complete(&person, &first).await.status, 200);

    let third = offer(&person, json_too).await;
    assert!(third["put"].is_null(), "{third}");
    assert_eq!(third["artifact"]["media_type"], "application/json");
    assert_eq!(list(&person, "").await.len(), 2);
    assert_eq!(objects(&system).await.len(), 1);

    for (field, value) in [
        ("sha256", json!("e3b0")),
        ("size", json!(0)),
        ("size", json!(1_u64 << 40)),
        ("title", json!("")),
        ("media_type", json!("text/html\r\nx: y")),
        ("entity_type", json!("A#B")),
        ("tags", json!(["a/b"])),
    ] {
        let mut body = announced("other");
        body[field] = value;
        let call = Call::to("/api/artifacts/uploads").body(body);
        let refused = person.read("POST", &call, &person.bearer()).await;
        assert_eq!(code(&refused, 422), "validation_failed", "{field}");
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("#/{field}"), "{refused:?}");
    }
}

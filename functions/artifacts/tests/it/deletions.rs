//! The rows and objects that are left of an artifact, as a deletion finds them.

use sequent_artifacts::{Entity, Mention};
use sequent_core::{JobId, Timestamp};
use sequent_http::testing::deployment::{golden, request};
use sequent_tables::{PageRequest, Row, key};
use serde_json::{Value, json};

use crate::deployment::{ARTIFACT, Deployment, RUN};

#[tokio::test]
async fn the_entities_of_a_deleted_artifact_are_deleted_too() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.create_run(&ada).await;
    let document = deployment.save(&ada, "text/markdown", b"# Q3").await.id;
    let mention = Mention { entity_type: "person".to_owned(), name: "Ada".to_owned(), count: 1 };
    let entity = Entity::found(mention, document, None, JobId::new(), Timestamp::now());
    let row = Row::new(&entity.key(ada.tenant()), &entity).unwrap();
    deployment.store().put(row).await.unwrap();
    let persons = async || -> Value {
        let answer = deployment.send(&request("GET", "/api/entities?type=person", &ada)).await;
        answer.json()["items"].clone()
    };
    assert_eq!(persons().await[0]["name"], "Ada");
    assert_eq!(deployment.send(&golden("artifacts", "delete", &ada)).await.status, 204);
    assert_eq!(persons().await, json!([]));
}

#[tokio::test]
async fn the_deletion_of_a_run_finds_the_exports_of_its_documents() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.create_run(&ada).await;
    deployment.save(&ada, "text/markdown", b"# Q3").await;
    let body = json!({"artifact_id": ARTIFACT, "format": "pdf"});
    let job = deployment.send(&request("POST", "/api/exports", &ada).json(&body)).await.json();
    let list = PageRequest::new(key::jobs_about(ada.tenant(), RUN));
    let listed = deployment.store().page::<Value>(&list).await.unwrap();
    assert_eq!(listed.items.iter().map(|row| &row["job_id"]).collect::<Vec<_>>(), [&job["id"]]);
}

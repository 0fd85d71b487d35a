//! The notes of an agent about the caller.

use sequent_core::{AgentId, ProjectId, RunId, Timestamp, UserId};
use sequent_tables::{Key, Row, key};
use serde_json::json;

use super::Bench;

impl Bench {
    /// Stores a note of the agent about a person, as a run makes it. Returns the key of its row.
    async fn note(&self, about: UserId) -> Key {
        let agent: AgentId = self.of_agent("id").await.parse().expect("an id");
        let row = key::memory(self.ada.tenant(), agent, about);
        let note = json!({
            "id": "note_01K9Z3M4N5P6Q7R8S9T0V1W2X3",
            "text": "Prefers answers in metric units.",
            "project_id": ProjectId::new(),
            "run_id": RunId::new(),
            "created_at": Timestamp::now(),
        });
        let body = json!({"version": 1, "notes": [note], "deleted": []});
        self.deployment.store().put(Row::new(&row, &body).expect("a row")).await.expect("stored");
        row
    }

    /// Stores a note about Ada, who has created the agent.
    async fn note_about_ada(&self) -> Key {
        self.note(self.of_agent("user_id").await.parse().expect("an id")).await
    }

    async fn of_agent(&self, member: &str) -> String {
        let agent = self.deployment.read(&self.ada, "/api/agents/support").await;
        agent[member].as_str().expect("a text").to_owned()
    }

    async fn notes(&self) -> usize {
        let notes = self.deployment.read(&self.ada, "/api/agents/support/memory").await;
        notes["items"].as_array().expect("a list").len()
    }
}

#[tokio::test]
async fn notes_are_listed_and_deleted() {
    let bench = Bench::new().await;
    bench.note_about_ada().await;
    insta::assert_snapshot!(bench.answer("list-notes").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "note_1",
          "text": "Prefers answers in metric units.",
          "project_id": "prj_1",
          "run_id": "run_1",
          "created_at": "[time]"
        }
      ]
    }
    "#);
    insta::assert_snapshot!(bench.answer("delete-note").await, @"204");
    assert_eq!(bench.notes().await, 0);
    insta::assert_snapshot!(bench.answer("delete-note").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "The agent keeps no note with this id about you.",
      "instance": "[redacted]"
    }
    "#);
    bench.note_about_ada().await;
    insta::assert_snapshot!(bench.answer("delete-notes").await, @"204");
    assert_eq!(bench.notes().await, 0);
    insta::assert_snapshot!(bench.answer("delete-notes").await, @"204");
}

#[tokio::test]
async fn notes_about_another_person_are_neither_shown_nor_deleted() {
    let bench = Bench::new().await;
    let other = bench.note(UserId::new()).await;
    assert_eq!(bench.notes().await, 0);
    assert!(bench.answer("delete-note").await.starts_with("404"));
    assert!(bench.answer("delete-notes").await.starts_with("204"));
    let row = bench.deployment.store().get_item(&other).await.unwrap().unwrap();
    assert!(format!("{row:?}").contains("metric units"), "{row:?}");
}

#[tokio::test]
async fn a_deleted_agent_leaves_no_notes() {
    let bench = Bench::new().await;
    let rows = [bench.note_about_ada().await, bench.note(UserId::new()).await];
    assert!(bench.answer("delete").await.starts_with("204"));
    for row in rows {
        assert_eq!(bench.deployment.store().get_item(&row).await.unwrap(), None);
    }
}

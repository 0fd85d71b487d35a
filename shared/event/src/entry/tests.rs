use std::collections::BTreeSet;

use proptest::prelude::*;
use sequent_core::{MessageId, ProjectId, RunId};
use serde_json::json;

use super::*;
use crate::{RunOutcome, name::KNOWN};

fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

#[test]
fn an_event_is_the_ag_ui_object_with_our_envelope() {
    let body = Body::TextMessageContent { message_id: MessageId::from_bits(7), delta: "Hé".into() };
    let event = Entry::new(at(), body).at_seq(Seq(5));
    insta::assert_snapshot!(serde_json::to_string(&event).unwrap(), @r#"{"seq":5,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_00000000000000000000000007","delta":"Hé"}"#);
    let body = Body::RunFinished {
        thread_id: ProjectId::from_bits(1),
        run_id: RunId::from_bits(2),
        outcome: RunOutcome::Cancelled,
    };
    insta::assert_snapshot!(serde_json::to_string(&Entry::new(at(), body)).unwrap(), @r#"{"v":1,"timestamp":1700000000000,"type":"RUN_FINISHED","threadId":"prj_00000000000000000000000001","runId":"run_00000000000000000000000002","outcome":{"type":"cancelled"}}"#);
}

#[test]
fn a_newer_version_of_a_known_type_passes_through_unchanged() {
    let stored = json!({"type": "RUN_STARTED", "v": 2, "timestamp": 5, "threadId": 9, "mood": "sunny"});
    let entry: Entry = serde_json::from_value(stored.clone()).unwrap();
    assert!(entry.body().is_none());
    assert_eq!(serde_json::to_value(&entry).unwrap(), stored);
}

#[test]
fn a_known_type_with_wrong_fields_is_malformed_not_passed_through() {
    let stored = json!({"type": "TEXT_MESSAGE_END", "v": 1, "timestamp": 5, "messageId": "run_x"});
    assert!(serde_json::from_value::<Entry>(stored).is_err());
}

#[test]
fn the_list_of_names_matches_the_enum() {
    let error = serde_json::from_value::<Body>(json!({"type": "NO_SUCH"})).unwrap_err().to_string();
    let of_enum: BTreeSet<&str> = error
        .split('`')
        .filter(|part| {
            part.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                && part.contains('_')
                && *part != "NO_SUCH"
        })
        .collect();
    let named: BTreeSet<&str> = error.split('`').filter(|part| *part == "CUSTOM").chain(of_enum).collect();
    assert_eq!(named, KNOWN.iter().copied().collect());
}

proptest! {
    #[test]
    // A field of an event is never called `seq`: that name belongs to the envelope.
    fn unknown_events_round_trip(name in "[A-Z_]{3,20}X", fields in prop::collection::btree_map("[a-z]{1,8}qq", any::<i32>(), 0..6)) {
        let mut object = json!({"type": name, "v": 3, "timestamp": 77});
        for (field, value) in fields {
            object[field] = value.into();
        }
        let entry: Entry = serde_json::from_value(object.clone()).unwrap();
        prop_assert_eq!(&entry.type_name(), &object["type"].as_str().unwrap());
        let text = serde_json::to_string(&entry.clone().at_seq(Seq(3))).unwrap();
        let again: Event = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&again.entry, &entry);
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), text, "replay is byte for byte");
    }

    #[test]
    fn known_events_round_trip(bits: u128, delta in ".{0,50}") {
        let body = Body::TextMessageContent { message_id: MessageId::from_bits(bits), delta };
        let event = Entry::new(at(), body).at_seq(Seq(1));
        let text = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}

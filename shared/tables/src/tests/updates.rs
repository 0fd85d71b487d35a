//! An update's expression, applied by the database, equals the update applied to a model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::any_key;
use crate::{Row, Update, testing};

/// Names that DynamoDB reserves, that contain its separators, and a plain one.
const NAMES: [&str; 5] = ["status", "size", "a.b", "#x", "plain"];

type Model = BTreeMap<String, Value>;

#[derive(Debug, Clone)]
enum Step {
    Set(usize, Value),
    SetIfAbsent(usize, Value),
    Add(usize, i64, i64),
    Remove(usize),
    SetInside(usize, Value),
    RemoveInside(usize),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(|n| json!(n)),
        "[a-z]{0,4}".prop_map(|text| json!(text)),
        Just(Value::Null),
        any::<bool>().prop_map(|yes| json!(yes)),
        Just(json!({ "a": [1, "b"], "c": { "d": null } })),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Step::Set(name, value)),
        (name(), value()).prop_map(|(name, value)| Step::SetIfAbsent(name, value)),
        (name(), -9..9_i64, -9..9_i64).prop_map(|(name, start, by)| Step::Add(name, start, by)),
        name().prop_map(Step::Remove),
        (name(), value()).prop_map(|(name, value)| Step::SetInside(name, value)),
        name().prop_map(Step::RemoveInside),
    ]
}

/// Adds the step to the update. Numbers have names of their own, because adding to a text is refused.
fn add(update: Update, step: &Step) -> Update {
    match step {
        Step::Set(name, value) => update.set(NAMES[*name], value),
        Step::SetIfAbsent(name, value) => update.set_if_absent(NAMES[*name], value),
        Step::Add(name, start, by) => update.add_from(counter(*name), *start, *by),
        Step::Remove(name) => update.remove(NAMES[*name]),
        Step::SetInside(name, value) => update.set(["map", NAMES[*name]], value),
        Step::RemoveInside(name) => update.remove(["map", NAMES[*name]]),
    }
}

fn counter(name: usize) -> String {
    format!("count-{}", NAMES[name])
}

/// Every step reads the row as it was before the update, and the last step for a path counts.
fn expected(before: &Model, steps: &[Step]) -> Model {
    let mut after = before.clone();
    let restore = |after: &mut Model, name: &str| match before.get(name) {
        Some(value) => drop(after.insert(name.to_owned(), value.clone())),
        None => drop(after.remove(name)),
    };
    for step in steps {
        match step {
            Step::Set(name, value) => drop(after.insert(NAMES[*name].to_owned(), value.clone())),
            Step::SetIfAbsent(name, value) => {
                restore(&mut after, NAMES[*name]);
                after.entry(NAMES[*name].to_owned()).or_insert_with(|| value.clone());
            }
            Step::Add(name, start, by) => {
                let name = counter(*name);
                let old = before.get(&name).and_then(Value::as_i64).unwrap_or(*start);
                after.insert(name, json!(old + by));
            }
            Step::Remove(name) => drop(after.remove(NAMES[*name])),
            Step::SetInside(name, value) => {
                drop(inside(&mut after).insert(NAMES[*name].to_owned(), value.clone()))
            }
            Step::RemoveInside(name) => drop(inside(&mut after).remove(NAMES[*name])),
        }
    }
    after
}

fn inside(model: &mut Model) -> &mut serde_json::Map<String, Value> {
    model.get_mut("map").and_then(Value::as_object_mut).expect("every row has the map")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_update_does_what_its_model_does(rounds in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = testing::store().await;
            let key = any_key();
            let mut model = Model::from([("map".to_owned(), json!({}))]);
            store.put(Row::new(&key, &model).unwrap()).await.unwrap();
            for steps in &rounds {
                let update = steps.iter().fold(Update::of(&key), add);
                let mut stored: Model = store.update_if(update).await.unwrap().unwrap();
                stored.retain(|name, _| name != "pk" && name != "sk");
                model = expected(&model, steps);
                assert_eq!(stored, model, "{steps:?}");
            }
        });
    }
}

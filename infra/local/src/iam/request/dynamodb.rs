//! DynamoDB. A transaction needs the permission of each of its parts; a batch needs one of its own for each table.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::{Need, Unknown, World};
use crate::iam::condition::{ENCLOSING_OPERATION, LEADING_KEYS};

/// Partition keys of a table and its indexes.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    table: String,
    indexes: BTreeMap<String, String>,
}

impl Keys {
    /// Reads the key schemas of a table's properties.
    pub(super) fn of(properties: &Value) -> Self {
        let partition = |schema: &Value| {
            let keys = schema.as_array().into_iter().flatten();
            let hash =
                keys.filter(|key| key["KeyType"] == "HASH").find_map(|key| key["AttributeName"].as_str());
            hash.unwrap_or_default().to_owned()
        };
        let kinds = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"];
        let indexes = kinds.iter().flat_map(|kind| properties[kind].as_array().into_iter().flatten());
        let named =
            |index: &Value| Some((index["IndexName"].as_str()?.to_owned(), partition(&index["KeySchema"])));
        Self { table: partition(&properties["KeySchema"]), indexes: indexes.filter_map(named).collect() }
    }

    fn of_index(&self, index: Option<&str>) -> Option<&str> {
        match index {
            Some(index) => self.indexes.get(index).map(String::as_str),
            None => Some(&self.table),
        }
    }
}

pub(super) fn needs(world: &World, operation: &str, body: &Bytes) -> Result<Vec<Need>, Unknown> {
    let unknown = |reason: &str| Unknown::new("dynamodb", operation, reason);
    let request: Value = serde_json::from_slice(body).map_err(|_| unknown("the body is not JSON"))?;
    let item = |field: &str| {
        let need = Access { world, request: &request, operation }.item(operation, &request[field]);
        need.map(|need| vec![need]).map_err(unknown)
    };
    match operation {
        "GetItem" | "UpdateItem" | "DeleteItem" => item("Key"),
        "PutItem" => item("Item"),
        "Query" | "Scan" => {
            let access = Access { world, request: &request, operation };
            access.list().map(|need| vec![need]).map_err(unknown)
        }
        "DescribeTable" => {
            let access = Access { world, request: &request, operation };
            let table = access.table().map_err(unknown)?;
            Ok(vec![Need::new("dynamodb:DescribeTable", &access.arn(table, None))])
        }
        "BatchGetItem" | "BatchWriteItem" => {
            batch(world, operation, &request["RequestItems"]).map_err(unknown)
        }
        "TransactWriteItems" | "TransactGetItems" => {
            let parts =
                request["TransactItems"].as_array().ok_or_else(|| unknown("there are no TransactItems"))?;
            parts.iter().map(|part| of_part(world, operation, part).map_err(unknown)).collect()
        }
        _ => Err(unknown("the operation is not known")),
    }
}

fn of_part(world: &World, operation: &str, part: &Value) -> Result<Need, &'static str> {
    let kinds = [
        ("Put", "PutItem", "Item"),
        ("Update", "UpdateItem", "Key"),
        ("Delete", "DeleteItem", "Key"),
        ("Get", "GetItem", "Key"),
        ("ConditionCheck", "ConditionCheckItem", "Key"),
    ];
    let kind = kinds.into_iter().find(|(name, _, _)| part[name].is_object());
    let (name, action, field) = kind.ok_or("a part of the transaction is not known")?;
    let access = Access { world, request: &part[name], operation };
    let need = access.item(action, &part[name][field])?;
    Ok(need.with(ENCLOSING_OPERATION, vec![operation.to_owned()]))
}

fn batch(world: &World, operation: &str, tables: &Value) -> Result<Vec<Need>, &'static str> {
    let mut needs = Vec::new();
    for (table, requests) in tables.as_object().ok_or("there are no RequestItems")? {
        let named = serde_json::json!({"TableName": table});
        let access = Access { world, request: &named, operation };
        let keys: Vec<&Value> = match requests.as_array() {
            Some(writes) => writes.iter().map(written).collect(),
            None => requests["Keys"].as_array().into_iter().flatten().collect(),
        };
        let leading: Result<Vec<String>, &str> = keys.iter().map(|key| access.leading(key)).collect();
        let need = Need::new(&format!("dynamodb:{operation}"), &access.arn(table, None));
        needs.push(need.with(LEADING_KEYS, leading?));
    }
    Ok(needs)
}

fn written(request: &Value) -> &Value {
    let put = &request["PutRequest"]["Item"];
    if put.is_null() { &request["DeleteRequest"]["Key"] } else { put }
}

/// Access to one table.
struct Access<'a> {
    world: &'a World,
    request: &'a Value,
    operation: &'a str,
}

impl Access<'_> {
    fn table(&self) -> Result<&str, &'static str> {
        self.request["TableName"].as_str().ok_or("there is no TableName")
    }

    fn arn(&self, table: &str, index: Option<&str>) -> String {
        let table = if table.starts_with("arn:") {
            table.to_owned()
        } else {
            self.world.arn("dynamodb", &format!("table/{table}"))
        };
        index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"))
    }

    fn keys(&self) -> Result<&Keys, &'static str> {
        let table = self.table()?;
        let name = table.rsplit('/').next().unwrap_or(table);
        self.world.tables.get(name).ok_or("the table is not in the template")
    }

    /// Returns the need of an operation on one item, whose key is among these attributes.
    fn item(&self, action: &str, attributes: &Value) -> Result<Need, &'static str> {
        let need = Need::new(&format!("dynamodb:{action}"), &self.arn(self.table()?, None));
        Ok(need.with(LEADING_KEYS, vec![self.leading(attributes)?]))
    }

    fn leading(&self, attributes: &Value) -> Result<String, &'static str> {
        scalar(&attributes[&self.keys()?.table]).ok_or("the partition key is missing")
    }

    fn list(&self) -> Result<Need, &'static str> {
        let index = self.request["IndexName"].as_str();
        let need = Need::new(&format!("dynamodb:{}", self.operation), &self.arn(self.table()?, index));
        // A scan names no partition, so it has no leading keys.
        if self.operation == "Scan" {
            return Ok(need);
        }
        let partition = self.keys()?.of_index(index).ok_or("the index is not in the template")?;
        let value = partition_of_query(self.request, partition);
        Ok(need
            .with(LEADING_KEYS, vec![value.ok_or("the condition on the partition key is not understood")?]))
    }
}

/// Returns the value that a query compares the partition key with: `name = :value` in its key condition.
fn partition_of_query(query: &Value, partition: &str) -> Option<String> {
    let expression = query["KeyConditionExpression"].as_str()?;
    let spaced = expression.replace(['(', ')'], " ").replace('=', " = ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let is_partition =
        |name: &str| name == partition || query["ExpressionAttributeNames"][name].as_str() == Some(partition);
    let compared = tokens.windows(3).find(|three| is_partition(three[0]) && three[1] == "=")?;
    scalar(&query["ExpressionAttributeValues"][compared[2]])
}

fn scalar(value: &Value) -> Option<String> {
    ["S", "N", "B"].iter().find_map(|kind| value[kind].as_str()).map(str::to_owned)
}

//! Stores the secrets that only an operator has: the keys of the administrator and of Stripe. All other secrets are made
//! by the functions themselves.

use serde_json::json;

use crate::aws::{self, Endpoint};

/// A field of a secret in the table of secrets.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The name of the secret, such as `admin`.
    pub secret: &'a str,
    /// The name of the field, such as `key`.
    pub name: &'a str,
}

/// Sets a field of a secret in this table, and leaves the others unchanged.
pub async fn set(endpoint: &Endpoint, table: &str, field: Field<'_>, value: &str) -> Result<(), aws::Error> {
    let update = json!({
        "TableName": table,
        "Key": {"pk": {"S": format!("secret#{}", field.secret)}, "sk": {"S": "secret"}},
        "UpdateExpression": "SET #field = :value",
        "ExpressionAttributeNames": {"#field": field.name},
        "ExpressionAttributeValues": {":value": {"S": value}},
    });
    endpoint.json("dynamodb", "DynamoDB_20120810.UpdateItem", &update).await?;
    Ok(())
}

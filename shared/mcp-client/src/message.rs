//! Messages of servers in the form that the SDK can read.
//!
//! The SDK reads a result into the first of its types that fits, and loses a whole list of tools if one of them is
//! malformed. Results are therefore wrapped, so that it passes them on as they are, and this crate reads them piece by
//! piece. What servers get wrong around a result is put right: an `error` that is null, an id that is not the request's, an
//! answer in a list.

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, CustomResult, InitializeResult, ProtocolVersion, ServerResult,
};
use serde_json::{Map, Value, json};

/// The member that a result is wrapped in. No type of the SDK has it.
const WRAPPER: &str = "sequent/result";
/// The code of an error that has none: the internal error of JSON-RPC.
const INTERNAL_ERROR: i64 = -32603;

/// The request that an answer is for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    id: Value,
    /// The request starts a session, so the SDK reads its result.
    starts: bool,
}

impl Asked {
    /// Returns the request of a message. Returns `None` for a message that has no answer.
    pub(crate) fn of(message: &ClientJsonRpcMessage) -> Option<Self> {
        let ClientJsonRpcMessage::Request(request) = message else { return None };
        let starts = matches!(request.request, ClientRequest::InitializeRequest(_));
        Some(Self { id: serde_json::to_value(&request.id).ok()?, starts })
    }
}

/// Returns a message of the server in the form that the SDK reads. `asked` is the request that it answers, if that is
/// known. Returns `None` if the text is no message.
pub(crate) fn readable(text: &str, asked: Option<&Asked>) -> Option<Value> {
    let message = match serde_json::from_str(text).ok()? {
        Value::Object(message) => message,
        // A batch of JSON-RPC, which MCP had in 2025-03-26.
        Value::Array(batch) => batch.into_iter().filter_map(object).find(|message| !is_call(message))?,
        _ => return None,
    };
    if is_call(&message) {
        return Some(Value::Object(message));
    }
    answer(message, asked)
}

/// Returns `true` for a request or a notification of the server.
fn is_call(message: &Map<String, Value>) -> bool {
    message.contains_key("method")
}

fn answer(mut message: Map<String, Value>, asked: Option<&Asked>) -> Option<Value> {
    // The answer to a request is for that request, whatever id it has.
    let id = asked.map_or_else(|| message.remove("id"), |asked| Some(asked.id.clone()));
    let mut answer = json!({"jsonrpc": "2.0", "id": id?});
    match message.remove("error").filter(|error| !error.is_null()) {
        Some(error) => answer["error"] = readable_error(&error),
        None => {
            let result = message.remove("result")?;
            let starts = asked.is_some_and(|asked| asked.starts);
            answer["result"] = if starts { readable_start(result)? } else { json!({WRAPPER: result}) };
        }
    }
    Some(answer)
}

fn readable_error(error: &Value) -> Value {
    let code = error["code"].as_i64().filter(|code| i32::try_from(*code).is_ok());
    let message = error["message"].as_str().or(error.as_str());
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    json!({"code": code.unwrap_or(INTERNAL_ERROR), "message": message})
}

/// Returns the result that starts a session: as it is, or what of it is needed. Returns `None` if it is no object.
fn readable_start(result: Value) -> Option<Value> {
    if serde_json::from_value::<InitializeResult>(result.clone()).is_ok() {
        return Some(result);
    }
    result.as_object()?;
    let capabilities: Map<String, Value> = ["tools", "resources", "prompts"]
        .into_iter()
        .filter(|name| result["capabilities"][name].is_object())
        .map(|name| (name.to_owned(), json!({})))
        .collect();
    let text = |value: &Value, otherwise: &str| value.as_str().unwrap_or(otherwise).to_owned();
    let info = &result["serverInfo"];
    Some(json!({
        "protocolVersion": text(&result["protocolVersion"], ProtocolVersion::LATEST_WITH_INITIALIZE.as_str()),
        "capabilities": capabilities,
        "serverInfo": {"name": text(&info["name"], "unknown"), "version": text(&info["version"], "unknown")},
    }))
}

/// Returns the result that was wrapped. Returns `None` for a result that the SDK has read itself.
pub(crate) fn unwrapped(result: ServerResult) -> Option<Value> {
    match result {
        ServerResult::CustomResult(CustomResult(Value::Object(mut members))) => members.remove(WRAPPER),
        _ => None,
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::ServerJsonRpcMessage;

    use super::*;

    fn asked(starts: bool) -> Asked {
        Asked { id: json!(7), starts }
    }

    fn read(text: &str, starts: bool) -> Option<ServerJsonRpcMessage> {
        serde_json::from_value(readable(text, Some(&asked(starts)))?).ok()
    }

    #[test]
    fn a_result_of_any_form_passes_the_sdk_as_it_is() {
        for result in [
            json!({"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}),
            json!({"tools": [{"name": 7}], "nextCursor": 7}),
            json!({"content": [], "isError": "no"}),
            json!({"resultType": "complete"}),
            json!({}),
            json!(null),
            json!([1]),
            json!("text"),
        ] {
            let text = json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string();
            let Some(ServerJsonRpcMessage::Response(response)) = read(&text, false) else { panic!("{text}") };
            assert_eq!(unwrapped(response.result), Some(result));
        }
    }

    #[test]
    fn what_is_wrong_around_a_result_is_put_right() {
        let result = json!({"n": 1});
        for text in [
            json!({"id": 7, "result": result}),
            json!({"jsonrpc": "2.0", "id": null, "result": result, "error": null}),
            json!({"jsonrpc": "1.0", "id": "7", "result": result}),
            json!([{"method": "notifications/message"}, {"jsonrpc": "2.0", "id": 7, "result": result}]),
        ] {
            let Some(ServerJsonRpcMessage::Response(response)) = read(&text.to_string(), false) else {
                panic!("{text}")
            };
            assert_eq!(serde_json::to_value(&response.id).unwrap(), json!(7));
            assert_eq!(unwrapped(response.result), Some(result.clone()), "{text}");
        }
        for (error, message) in [
            (json!({"code": "x", "message": "no"}), "no"),
            (json!("no"), "no"),
            (json!({"reason": 1}), r#"{"reason":1}"#),
        ] {
            let text = json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string();
            let Some(ServerJsonRpcMessage::Error(read)) = read(&text, false) else { panic!("{text}") };
            assert_eq!(read.error.message, message);
        }
        for text in ["", "OK", "7", "{}", "[]", r#"{"jsonrpc":"2.0","id":7}"#] {
            assert!(readable(text, Some(&asked(false))).is_none(), "{text}");
        }
    }

    #[test]
    fn a_session_starts_with_a_server_that_describes_itself_badly() {
        let start = |result: Value| read(&json!({"id": 7, "result": result}).to_string(), true);
        for result in [
            json!({}),
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}, "prompts": {}}, "serverInfo": {"name": "n", "version": "1"}}),
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": true, "prompts": {}}, "serverInfo": "n"}),
        ] {
            let Some(ServerJsonRpcMessage::Response(response)) = start(result.clone()) else {
                panic!("{result}")
            };
            let ServerResult::InitializeResult(read) = response.result else { panic!("{result}") };
            assert_eq!(read.capabilities.prompts.is_some(), result["capabilities"]["prompts"].is_object());
        }
        assert!(start(json!("hello")).is_none());
    }
}
